//! Coins, swaps and wallets: what a purse and a redeemer have in common.
//!
//! A swap is written down before it is sent, complete, so that it can be sent again after a crash;
//! the mint answers a request that it has seen before (NUT-19), or says what it has signed (NUT-09).

use super::book::{Book, Fees, PlanError, Wish, key_of};
use super::error::PurseError;
use super::mould::{BadMint, Cast, Mould, Seed};
use super::record::{Coin, Held, Input, Swap};
use super::store::{Change, Store, StoreError, Written};
use crate::id::VoucherId;
use crate::keyring::Keyring;
use crate::unit::MintId;
use cashu::{BlindSignature, CheckStateRequest, KeySet, RestoreRequest, State, SwapRequest};
use cdk::types::ProofInfo;
use cdk::wallet::types::KeysetLoadPolicy;
use cdk::wallet::{MintConnector, Wallet, WalletBuilder};
use coinfuse_wire::Msat;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// Makes the connection to a mint: through a proxy, through circuits, or with faults for a test.
pub type Connector = Arc<dyn Fn(&MintId) -> Arc<dyn MintConnector + Send + Sync> + Send + Sync>;

/// Where a purse or redeemer lives and whom it talks to.
#[derive(Clone)]
pub struct PurseConfig {
    /// The folder of its two files, `purse.redb` and `wallet.sqlite`; made if it is not there. One
    /// process at a time.
    pub dir: PathBuf,
    /// The only mints it will ever talk to.
    pub mints: Vec<MintId>,
    /// From which all secrets follow: 32 random bytes, kept as carefully as money.
    pub seed: Zeroizing<[u8; 32]>,
    /// How long vouchers stay locked to their relay; rounded up to a whole day, so that the
    /// locktime does not tell the time of purchase. Default: 30 days.
    pub lock_for: Duration,
    /// How long a mint may take to answer a swap. Default: 30 s.
    pub timeout: Duration,
    /// Keep to the pace that public mints expect (`cdk`'s rate limit). Default: true; off for a mint
    /// of one's own and in tests. Without effect where `connector` is given.
    pub rate_limit: bool,
    /// How to reach a mint; `None` for HTTP from this machine, which shows its address to the mint.
    pub connector: Option<Connector>,
}

impl PurseConfig {
    /// The defaults, for these mints.
    pub fn new(dir: impl Into<PathBuf>, mints: Vec<MintId>, seed: [u8; 32]) -> Self {
        Self {
            dir: dir.into(),
            mints,
            seed: Zeroizing::new(seed),
            lock_for: Duration::from_secs(30 * 24 * 3600),
            timeout: Duration::from_secs(30),
            rate_limit: true,
            connector: None,
        }
    }
}

impl core::fmt::Debug for PurseConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PurseConfig")
            .field("mints", &self.mints)
            .field("lock_for", &self.lock_for)
            .field("timeout", &self.timeout)
            .field("rate_limit", &self.rate_limit)
            .finish_non_exhaustive()
    }
}

/// The `cdk` wallet of one mint, which speaks Lightning for us.
pub(crate) struct MintWallet {
    pub(crate) wallet: Wallet,
    /// Held while coins are moved between the wallet and the book.
    pub(crate) moving: Mutex<()>,
}

pub(crate) struct Till {
    seed: Arc<Seed>,
    store: Store,
    book: Mutex<Book>,
    wallets: BTreeMap<MintId, MintWallet>,
    /// Swaps that a task is working on.
    running: StdMutex<HashSet<u64>>,
    timeout: Duration,
}

impl Till {
    /// Opens the files and puts right, without the network, what a crash left between the two.
    pub(crate) async fn open(config: &PurseConfig) -> Result<Self, PurseError> {
        let (dir, path) = (config.dir.clone(), config.dir.join("purse.redb"));
        let opened = tokio::task::spawn_blocking(move || {
            private_dir(&dir).map_err(StoreError::damaged)?;
            Store::open(&path)
        });
        let (store, rows) = opened.await.map_err(|_| PurseError::Stopped)??;
        let book = Book::load(rows)?;
        let seed = Seed::new(&config.seed);
        let database = cdk_sqlite::WalletSqliteDatabase::new(&config.dir.join("wallet.sqlite"))
            .await
            .map_err(PurseError::Database)?;
        let database = Arc::new(database);
        let mut wallets = BTreeMap::new();
        for mint in &config.mints {
            let mut builder = WalletBuilder::new()
                .mint_url(mint.url().clone())
                .unit(mint.unit().to_cashu())
                .localstore(database.clone())
                .seed(*seed.for_cdk());
            if !config.rate_limit {
                builder = builder.without_rate_limiting();
            }
            if let Some(connector) = &config.connector {
                builder = builder.shared_client(connector(mint));
            }
            let wallet = builder.build().map_err(|source| unfinished(mint, source))?;
            wallets.insert(
                mint.clone(),
                MintWallet {
                    wallet,
                    moving: Mutex::new(()),
                },
            );
        }
        let till = Self {
            seed: Arc::new(seed),
            store,
            book: Mutex::new(book),
            wallets,
            running: StdMutex::default(),
            timeout: config.timeout,
        };
        till.reconcile().await?;
        Ok(till)
    }

    pub(crate) fn mints(&self) -> impl Iterator<Item = &MintId> {
        self.wallets.keys()
    }

    pub(crate) fn wallet(&self, mint: &MintId) -> Result<&MintWallet, PurseError> {
        self.wallets
            .get(mint)
            .ok_or_else(|| PurseError::UnknownMint(mint.clone()))
    }

    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Changes the book, and hands the change to the disk in the same order as other tasks' changes.
    pub(crate) async fn change<T>(
        &self,
        edit: impl FnOnce(&mut Book) -> (T, Vec<Change>),
    ) -> Result<(T, Written), PurseError> {
        let mut book = self.book.lock().await;
        let (value, changes) = edit(&mut book);
        Ok((value, self.store.write(changes).await?))
    }

    pub(crate) async fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&*self.book.lock().await)
    }

    pub(crate) async fn balance(&self, mint: &MintId) -> Result<Msat, PurseError> {
        self.wallet(mint)?;
        let units = self.read(|book| book.balance(mint)).await;
        Ok(mint.unit().value(units).unwrap_or(Msat::MAX))
    }

    /// The keysets of all mints that answer, for checking vouchers.
    pub(crate) async fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::new();
        for (mint, wallet) in &self.wallets {
            let keysets = wallet.wallet.keysets(KeysetLoadPolicy::Refresh).await;
            for keyset in keysets.unwrap_or_default() {
                if let Err(error) = keyring.add(mint, &keyset) {
                    tracing::warn!(%mint, %error, "a keyset is not accepted");
                }
            }
        }
        keyring
    }

    pub(crate) async fn keyset(
        &self,
        mint: &MintId,
        refresh: bool,
    ) -> Result<(KeySet, Fees), PurseError> {
        let policy = match refresh {
            true => KeysetLoadPolicy::Refresh,
            false => KeysetLoadPolicy::default(),
        };
        let keysets = self.wallet(mint)?.wallet.keysets(policy).await;
        let keysets = keysets.map_err(|source| unfinished(mint, source))?;
        let fees = keysets
            .iter()
            .map(|keyset| (keyset.id, keyset.input_fee_ppk))
            .collect();
        let active = keysets
            .into_iter()
            .filter(|keyset| keyset.active == Some(true));
        let active = active
            .min_by_key(|keyset| keyset.input_fee_ppk)
            .ok_or_else(|| unfinished(mint, cdk::Error::NoActiveKeyset))?;
        active
            .verify_id()
            .map_err(|_| bad_mint(mint, BadMint::Answer))?;
        Ok((active, fees))
    }

    /// Plans a purchase and writes it down.
    pub(crate) async fn plan(
        &self,
        mint: &MintId,
        wishes: &[Wish],
        refresh: bool,
    ) -> Result<(Planned, Written), PurseError> {
        let (keyset, fees) = self.keyset(mint, refresh).await?;
        let (swap, written) = self
            .change(|book| match book.plan(mint, &keyset, wishes, &fees) {
                Ok((swap, changes)) => (Ok(swap), changes),
                Err(error) => (Err(error), Vec::new()),
            })
            .await?;
        let swap = swap.map_err(|error| plan_error(mint, error))?;
        Ok((self.planned(swap, keyset), written))
    }

    /// Plans a swap of foreign coins for plain ones and writes it down.
    pub(crate) async fn plan_intake(
        &self,
        mint: &MintId,
        inputs: Vec<Input>,
        refresh: bool,
    ) -> Result<(Planned, Written), PurseError> {
        let (keyset, fees) = self.keyset(mint, refresh).await?;
        let (swap, written) = self
            .change(
                |book| match book.plan_intake(mint, &keyset, inputs, &fees) {
                    Ok((swap, changes)) => (Ok(swap), changes),
                    Err(error) => (Err(error), Vec::new()),
                },
            )
            .await?;
        let swap = swap.map_err(|error| plan_error(mint, error))?;
        Ok((self.planned(swap, keyset), written))
    }

    fn planned(&self, swap: Swap, keyset: KeySet) -> Planned {
        self.running().insert(swap.number);
        Planned {
            swap: Arc::new(swap),
            keyset: Arc::new(keyset),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a planned swap, after its record is on disk, and finishes it.
    pub(crate) async fn execute(
        &self,
        planned: Planned,
        written: Option<Written>,
    ) -> Result<Brought, PurseError> {
        let number = planned.swap.number;
        let result = self.execute_running(&planned, written).await;
        self.running().remove(&number);
        result
    }

    async fn execute_running(
        &self,
        planned: &Planned,
        written: Option<Written>,
    ) -> Result<Brought, PurseError> {
        let moulds = planned.moulds(Arc::clone(&self.seed));
        if let Some(written) = written {
            written.wait().await?;
        }
        let moulds = moulds.await?;
        let request = SwapRequest::new(
            planned.swap.inputs.iter().map(Input::to_proof).collect(),
            moulds.iter().map(|mould| mould.message.clone()).collect(),
        );
        let mut answer = self.post(&planned.swap.mint, &request).await;
        if answer.as_ref().is_err_and(|error| !is_refusal(error)) {
            // The answer may have been lost; the same request has the same answer.
            answer = self.post(&planned.swap.mint, &request).await;
        }
        match answer {
            Ok(signatures) => self.finish(planned, moulds, signatures).await,
            Err(source) if is_refusal(&source) => self.settle(planned, moulds, source).await,
            Err(source) => Err(unfinished(&planned.swap.mint, source)),
        }
    }

    async fn post(
        &self,
        mint: &MintId,
        request: &SwapRequest,
    ) -> Result<Vec<BlindSignature>, cdk::Error> {
        let Some(wallet) = self.wallets.get(mint) else {
            return Err(cdk::Error::IncorrectMint);
        };
        let connector = wallet.wallet.mint_connector();
        let answer = tokio::time::timeout(self.timeout, connector.post_swap(request.clone()));
        Ok(answer.await.map_err(|_| cdk::Error::Timeout)??.signatures)
    }

    /// The mint refuses the swap. Either it has happened before, then the mint can say what it has
    /// signed; or it will never happen.
    async fn settle(
        &self,
        planned: &Planned,
        moulds: Arc<Vec<Mould>>,
        refusal: cdk::Error,
    ) -> Result<Brought, PurseError> {
        let swap = &planned.swap;
        let mint = &swap.mint;
        let connector = self.wallet(mint)?.wallet.mint_connector();
        let outputs = moulds.iter().map(|mould| mould.message.clone()).collect();
        let restored = connector
            .post_restore(RestoreRequest { outputs })
            .await
            .map_err(|source| unfinished(mint, source))?;
        if !restored.signatures.is_empty() {
            let mut signed: std::collections::HashMap<_, _> = restored
                .outputs
                .iter()
                .map(|output| output.blinded_secret)
                .zip(restored.signatures)
                .collect();
            let signatures = moulds
                .iter()
                .map(|mould| signed.remove(&mould.message.blinded_secret))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| bad_mint(mint, BadMint::Answer))?;
            return self.finish(planned, moulds, signatures).await;
        }
        let unspent = self.unspent(mint, &swap.inputs).await?;
        let is_unspent = |coin: &Coin| unspent.contains(&key_of(coin));
        let (_, written) = self
            .change(|book| ((), book.cancel(swap, &is_unspent)))
            .await?;
        written.wait().await?;
        Err(PurseError::Refused {
            mint: mint.clone(),
            source: Box::new(refusal),
        })
    }

    /// Which of the coins the mint says are unspent. An error while one is on its way.
    pub(crate) async fn unspent(
        &self,
        mint: &MintId,
        inputs: &[Input],
    ) -> Result<HashSet<[u8; 32]>, PurseError> {
        let connector = self.wallet(mint)?.wallet.mint_connector();
        let ys = inputs
            .iter()
            .filter_map(|input| input.coin.to_proof().y().ok())
            .collect();
        let states = connector
            .post_check_state(CheckStateRequest { ys })
            .await
            .map_err(|source| unfinished(mint, source))?
            .states;
        if states
            .iter()
            .any(|state| !matches!(state.state, State::Unspent | State::Spent))
        {
            return Err(unfinished(mint, cdk::Error::TokenPending));
        }
        let unspent = states.iter().filter(|state| state.state == State::Unspent);
        Ok(unspent
            .map(|state| state.y.x_only_public_key().serialize())
            .collect())
    }

    async fn finish(
        &self,
        planned: &Planned,
        moulds: Arc<Vec<Mould>>,
        signatures: Vec<BlindSignature>,
    ) -> Result<Brought, PurseError> {
        let casts = planned.casts(moulds, signatures).await?;
        let mut brought = Brought::default();
        for cast in &casts {
            match cast {
                Cast::Coin(coin) => brought.plain += coin.amount,
                Cast::Voucher(voucher) => brought.vouchers.push((**voucher).clone()),
            }
        }
        // Not waited for: until it is on disk, the record of the swap is, which brings the same.
        self.change(|book| ((), book.finish(&planned.swap, casts)))
            .await?;
        Ok(brought)
    }

    /// Goes on with every swap that nobody is working on. Returns how many are left.
    pub(crate) async fn recover_swaps(&self) -> Result<usize, PurseError> {
        let swaps: Vec<Swap> = self.read(|book| book.swaps().cloned().collect()).await;
        let mut left = 0;
        for swap in swaps {
            if !self.running().insert(swap.number) {
                left += 1;
                continue;
            }
            let number = swap.number;
            let result = self.resume(swap).await;
            self.running().remove(&number);
            match result {
                Ok(_) | Err(PurseError::Refused { .. }) => {}
                Err(PurseError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "a swap is left unfinished");
                    left += 1;
                }
            }
        }
        Ok(left)
    }

    async fn resume(&self, swap: Swap) -> Result<Brought, PurseError> {
        let mint = swap.mint.clone();
        let keyset = self.wallet(&mint)?.wallet.keyset(swap.keyset).await;
        let keyset = keyset.map_err(|source| unfinished(&mint, source))?;
        keyset
            .verify_id()
            .map_err(|_| bad_mint(&mint, BadMint::Answer))?;
        let planned = Planned {
            swap: Arc::new(swap),
            keyset: Arc::new(keyset),
        };
        self.execute_running(&planned, None).await
    }

    /// Puts right what a crash left between the book and the wallets' database.
    async fn reconcile(&self) -> Result<(), PurseError> {
        let (lent, mut known) = self
            .read(|book| {
                let known: HashSet<_> = book.known_coins().collect();
                (book.lent(), known)
            })
            .await;
        for coin in lent {
            let Some(wallet) = self.wallets.get(&coin.mint) else {
                continue;
            };
            let y = coin
                .to_proof()
                .y()
                .map_err(|_| StoreError::damaged("a lent coin"))?;
            let there = wallet.wallet.localstore.get_proofs_by_ys(vec![y]).await;
            let arrived = !there.map_err(PurseError::Database)?.is_empty();
            known.remove(&key_of(&coin));
            self.change(|book| {
                let mut changes = book.handed_over(std::slice::from_ref(&coin));
                if !arrived {
                    changes.extend(book.deposit(vec![coin]));
                }
                ((), changes)
            })
            .await?;
        }
        for (mint, wallet) in &self.wallets {
            let proofs = wallet.wallet.get_unspent_proofs().await;
            let proofs = proofs.map_err(|source| unfinished(mint, source))?;
            let ys = proofs
                .iter()
                .filter_map(|proof| proof.y().ok())
                .filter(|y| known.contains(&y.x_only_public_key().serialize()))
                .collect::<Vec<_>>();
            if !ys.is_empty() {
                let removed = wallet.wallet.localstore.update_proofs(Vec::new(), ys).await;
                removed.map_err(PurseError::Database)?;
            }
        }
        Ok(())
    }

    /// Moves what the `cdk` wallet has into the book. The caller holds `moving`.
    pub(crate) async fn sweep(&self, mint: &MintId) -> Result<u64, PurseError> {
        let wallet = &self.wallet(mint)?.wallet;
        let proofs = wallet.get_unspent_proofs().await;
        let proofs = proofs.map_err(|source| unfinished(mint, source))?;
        if proofs.is_empty() {
            return Ok(0);
        }
        let coins: Vec<_> = proofs
            .iter()
            .map(|proof| Coin::from_proof(mint, proof))
            .collect();
        let units = coins.iter().map(|coin| coin.amount).sum();
        let (_, written) = self.change(|book| ((), book.deposit(coins))).await?;
        written.wait().await?;
        let ys = proofs.iter().filter_map(|proof| proof.y().ok()).collect();
        wallet
            .localstore
            .update_proofs(Vec::new(), ys)
            .await
            .map_err(PurseError::Database)?;
        Ok(units)
    }

    /// Moves coins worth `units` into the `cdk` wallet. The caller holds `moving`.
    pub(crate) async fn lend(&self, mint: &MintId, units: u64) -> Result<(), PurseError> {
        let (_, fees) = self.keyset(mint, false).await?;
        let (coins, written) = self
            .change(|book| match book.lend(mint, units, &fees) {
                Ok((coins, changes)) => (Ok(coins), changes),
                Err(error) => (Err(error), Vec::new()),
            })
            .await?;
        let coins = coins.map_err(|error| plan_error(mint, error))?;
        written.wait().await?;
        let wallet = &self.wallet(mint)?.wallet;
        let infos = coins.iter().map(|coin| {
            let unit = mint.unit().to_cashu();
            ProofInfo::new(coin.to_proof(), mint.url().clone(), State::Unspent, unit)
        });
        let infos = infos.collect::<Result<Vec<_>, _>>();
        let infos = infos.map_err(|_| StoreError::damaged("a coin"))?;
        let added = wallet.localstore.update_proofs(infos, Vec::new()).await;
        added.map_err(PurseError::Database)?;
        self.change(|book| ((), book.handed_over(&coins))).await?;
        Ok(())
    }
}

/// A folder that nobody else on the machine can read.
fn private_dir(dir: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

/// A swap in the book, with the keys that its outputs will be signed with.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) swap: Arc<Swap>,
    keyset: Arc<KeySet>,
}

/// What a swap has brought.
#[derive(Default)]
pub(crate) struct Brought {
    /// Units in plain coins.
    pub(crate) plain: u64,
    pub(crate) vouchers: Vec<(VoucherId, Held)>,
}

impl Planned {
    /// Starts the curve arithmetic at once, away from the threads that move data.
    fn moulds(
        &self,
        seed: Arc<Seed>,
    ) -> impl Future<Output = Result<Arc<Vec<Mould>>, PurseError>> + use<> {
        let swap = Arc::clone(&self.swap);
        let work = tokio::task::spawn_blocking(move || Mould::for_swap(&seed, &swap));
        async move {
            let moulds = work.await.map_err(|_| PurseError::Stopped)?;
            Ok(Arc::new(moulds.ok_or(StoreError::damaged("a swap"))?))
        }
    }

    async fn casts(
        &self,
        moulds: Arc<Vec<Mould>>,
        signatures: Vec<BlindSignature>,
    ) -> Result<Vec<Cast>, PurseError> {
        let Self { swap, keyset } = self.clone();
        let mint = swap.mint.clone();
        let work = tokio::task::spawn_blocking(move || {
            if signatures.len() != moulds.len() {
                return Err(BadMint::Answer);
            }
            let pairs = moulds.iter().zip(&signatures);
            pairs
                .map(|(mould, signed)| mould.cast(&swap, &keyset, signed))
                .collect()
        });
        let casts = work.await.map_err(|_| PurseError::Stopped)?;
        casts.map_err(|source| bad_mint(&mint, source))
    }
}

/// True when the mint has answered that it will not do this swap: it may have done it before.
fn is_refusal(error: &cdk::Error) -> bool {
    use cdk::Error::{BlindedMessageAlreadySigned, HttpError, TokenAlreadySpent};
    match error {
        TokenAlreadySpent | BlindedMessageAlreadySigned => true,
        // A proxy on the way gave up; the mint may not have.
        HttpError(Some(408), _) => false,
        error => error.is_definitive_failure(),
    }
}

pub(crate) fn unfinished(mint: &MintId, source: cdk::Error) -> PurseError {
    PurseError::Unfinished {
        mint: mint.clone(),
        source: Box::new(source),
    }
}

fn bad_mint(mint: &MintId, source: BadMint) -> PurseError {
    PurseError::BadMint {
        mint: mint.clone(),
        source,
    }
}

fn plan_error(mint: &MintId, error: PlanError) -> PurseError {
    let value = |units| mint.unit().value(units).unwrap_or(Msat::MAX);
    match error {
        PlanError::Amount => PurseError::Amount(mint.clone()),
        PlanError::TooLittle { have, need } => PurseError::TooLittle {
            mint: mint.clone(),
            have: value(have),
            need: value(need),
        },
    }
}
