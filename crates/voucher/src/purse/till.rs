//! Coins and wallets: what a purse and a redeemer have in common.

use super::book::Book;
use super::config::PurseConfig;
use super::error::{PurseError, bad_mint, unfinished};
use super::line::Line;
use super::mould::{BadMint, Seed};
use super::plan::{Fees, PlanError};
use super::record::Swap;
use super::running::Running;
use super::send::Planned;
use super::store::{Change, Store, StoreError, Written};
use crate::keyring::Keyring;
use crate::unit::MintId;
use cashu::{Id, KeySet, KeySetInfo};
use cdk::wallet::types::KeysetLoadPolicy;
use cdk::wallet::{Wallet, WalletBuilder};
use coinfuse_wire::Msat;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The `cdk` wallet of one mint, which speaks Lightning for us.
pub(crate) struct MintWallet {
    pub(crate) wallet: Wallet,
    /// Held while coins are moved between the wallet and the book.
    pub(crate) moving: Mutex<()>,
}

pub(crate) struct Till {
    pub(super) seed: Arc<Seed>,
    store: Store,
    book: Mutex<Book>,
    pub(super) wallets: BTreeMap<MintId, MintWallet>,
    pub(super) running: Arc<Running>,
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
        let till = Self {
            wallets: open_wallets(config, &seed).await?,
            seed: Arc::new(seed),
            store,
            book: Mutex::new(book),
            running: Arc::default(),
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

    pub(crate) fn line(&self, mint: &MintId) -> Result<Line, PurseError> {
        let connector = self.wallet(mint)?.wallet.mint_connector();
        Ok(Line::new(connector, self.timeout))
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

    /// Thinks something out in the book that does not have to be written down.
    pub(crate) async fn sketch<T>(&self, edit: impl FnOnce(&mut Book) -> T) -> T {
        edit(&mut *self.book.lock().await)
    }

    /// Plans a swap that spends coins of the purse, and claims it.
    pub(crate) async fn plan(
        &self,
        plan: impl FnOnce(&mut Book) -> Result<(Swap, Vec<Change>), PlanError>,
    ) -> Result<Result<(Swap, super::running::Claim, Written), PlanError>, PurseError> {
        let (planned, written) = self
            .change(|book| match plan(book) {
                Ok((swap, changes)) => {
                    let claim = self.running.claim_new(swap.number);
                    (Ok((swap, claim)), changes)
                }
                Err(error) => (Err(error), Vec::new()),
            })
            .await?;
        Ok(planned.map(|(swap, claim)| (swap, claim, written)))
    }

    /// Swaps some hundreds of coins for few. Called where a plan fails with
    /// [`PlanError::TooMany`]; every time there are fewer.
    pub(crate) async fn merge(
        &self,
        mint: &MintId,
        keyset: &KeySet,
        fees: &Fees,
    ) -> Result<(), PurseError> {
        let planned = self.plan(|book| book.plan_merge(mint, keyset, fees));
        let (swap, claim, written) = planned.await?.map_err(|error| error.at(mint))?;
        let planned = Planned::new(swap, keyset.clone(), claim);
        self.execute(planned, written).await.map(drop)
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

    async fn keysets(&self, mint: &MintId, refresh: bool) -> Result<Vec<KeySet>, PurseError> {
        let policy = match refresh {
            true => KeysetLoadPolicy::Refresh,
            false => KeysetLoadPolicy::default(),
        };
        let keysets = self.wallet(mint)?.wallet.keysets(policy);
        let keysets = tokio::time::timeout(self.timeout, keysets).await;
        keysets
            .unwrap_or(Err(cdk::Error::Timeout))
            .map_err(|source| unfinished(mint, source))
    }

    /// The active keyset that is cheapest to spend.
    pub(crate) async fn keyset(
        &self,
        mint: &MintId,
        refresh: bool,
    ) -> Result<(KeySet, Fees), PurseError> {
        let keysets = self.keysets(mint, refresh).await?;
        let fees = fees(&keysets);
        let active = keysets.into_iter().filter(is_active);
        let active = active
            .min_by_key(|keyset| keyset.input_fee_ppk)
            .ok_or_else(|| unfinished(mint, cdk::Error::NoActiveKeyset))?;
        Ok((checked(mint, active)?, fees))
    }

    /// This keyset; `None` if it is not active, by the mint's own word.
    pub(crate) async fn active_keyset(
        &self,
        mint: &MintId,
        id: Id,
        refresh: bool,
    ) -> Result<Option<(KeySet, Fees)>, PurseError> {
        for refresh in [refresh, true] {
            let keysets = self.keysets(mint, refresh).await?;
            let fees = fees(&keysets);
            let mut active = keysets.into_iter().filter(is_active);
            if let Some(keyset) = active.find(|keyset| keyset.id == id) {
                return Ok(Some((checked(mint, keyset)?, fees)));
            }
        }
        Ok(None)
    }

    /// The names of all keysets of the mint, active or not.
    pub(crate) async fn keyset_infos(
        &self,
        mint: &MintId,
        refresh: bool,
    ) -> Result<Vec<KeySetInfo>, PurseError> {
        let keysets = self.keysets(mint, refresh).await?;
        let info = |keyset: KeySet| KeySetInfo {
            id: keyset.id,
            unit: keyset.unit,
            active: keyset.active == Some(true),
            input_fee_ppk: keyset.input_fee_ppk,
            final_expiry: keyset.final_expiry,
        };
        Ok(keysets.into_iter().map(info).collect())
    }

    /// A keyset that need not be active any more.
    pub(crate) async fn known_keyset(&self, mint: &MintId, id: Id) -> Result<KeySet, PurseError> {
        for refresh in [false, true] {
            let keysets = self.keysets(mint, refresh).await?;
            if let Some(keyset) = keysets.into_iter().find(|keyset| keyset.id == id) {
                return checked(mint, keyset);
            }
        }
        Err(unfinished(mint, cdk::Error::UnknownKeySet))
    }
}

async fn open_wallets(
    config: &PurseConfig,
    seed: &Seed,
) -> Result<BTreeMap<MintId, MintWallet>, PurseError> {
    let database = cdk_sqlite::WalletSqliteDatabase::new(&config.dir.join("wallet.sqlite")).await;
    let database = Arc::new(database.map_err(PurseError::Database)?);
    let wallets = config.mints.iter().map(|mint| {
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
        let wallet = MintWallet {
            wallet: builder.build().map_err(|source| unfinished(mint, source))?,
            moving: Mutex::new(()),
        };
        Ok((mint.clone(), wallet))
    });
    wallets.collect()
}

fn fees(keysets: &[KeySet]) -> Fees {
    keysets
        .iter()
        .map(|keyset| (keyset.id, keyset.input_fee_ppk))
        .collect()
}

fn is_active(keyset: &KeySet) -> bool {
    keyset.active == Some(true)
}

fn checked(mint: &MintId, keyset: KeySet) -> Result<KeySet, PurseError> {
    match keyset.verify_id() {
        Ok(()) => Ok(keyset),
        Err(_) => Err(bad_mint(mint, BadMint::Answer)),
    }
}

/// A folder that nobody else on the machine can read.
fn private_dir(dir: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}
