//! A mint over HTTP with a Lightning network in memory, a line to it that can be cut, and the
//! people who use it.

use cashu::SecretKey;
use coinfuse_mint::{Backend, EmbeddedMint, LightningWallet, LoopbackLightning, MintConfig};
use coinfuse_voucher::{
    Bought, Keyring, MintId, Order, Policy, Purse, PurseConfig, Unit, VerifiedVoucher, Verifier,
    VoucherKey,
};
use coinfuse_wire::{Msat, RelayId, UnixTime};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What the line to the mint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It carries everything.
    Up = 0,
    /// It carries nothing.
    Down = 1,
    /// It carries requests, and loses the answers.
    Deaf = 2,
    /// It carries everything, and leaves the DLEQ proofs out: as a mint would that marks coins.
    Bare = 3,
}

/// A mint and its line.
pub(crate) struct Town {
    pub(crate) mint: EmbeddedMint,
    pub(crate) id: MintId,
    settings: (MintConfig, Backend),
    payer: LightningWallet,
    line: Arc<AtomicU8>,
    /// Where the line leads.
    addr: Arc<Mutex<SocketAddr>>,
    _dir: TempDir,
}

impl Town {
    pub(crate) async fn found(lightning: &LoopbackLightning, seed: u8, unit: Unit) -> Self {
        Self::with_fee(lightning, seed, unit, 0).await
    }

    pub(crate) async fn with_fee(
        lightning: &LoopbackLightning,
        seed: u8,
        unit: Unit,
        ppk: u64,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mint_addr = listener.local_addr().unwrap();
        let entrance = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", entrance.local_addr().unwrap());
        let mint_unit = match unit {
            Unit::Msat => coinfuse_mint::Unit::Msat,
            Unit::Sat => coinfuse_mint::Unit::Sat,
        };
        let config = MintConfig::new(dir.path().join("mint.sqlite"), [seed; 32], mint_unit)
            .public_url(&url)
            .input_fee_ppk(ppk);
        let backend = Backend::Loopback(lightning.clone());
        let mint = EmbeddedMint::start(config.clone(), backend.clone(), listener)
            .await
            .unwrap();
        let line = Arc::new(AtomicU8::new(Line::Up as u8));
        let addr = Arc::new(Mutex::new(mint_addr));
        tokio::spawn(run_line(entrance, Arc::clone(&addr), Arc::clone(&line)));
        let payer = lightning.wallet(Msat::from_sat(100_000_000)).await.unwrap();
        Self {
            mint,
            id: MintId::new(&url, unit).unwrap(),
            settings: (config, backend),
            payer,
            line,
            addr,
            _dir: dir,
        }
    }

    /// Stops the mint and starts it again: it has forgotten its answers (NUT-19), and knows what it
    /// has signed (NUT-09).
    pub(crate) async fn restart(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *self.addr.lock().unwrap() = listener.local_addr().unwrap();
        let (config, backend) = self.settings.clone();
        let mint = EmbeddedMint::start(config, backend, listener)
            .await
            .unwrap();
        std::mem::replace(&mut self.mint, mint).shutdown().await;
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.store(line as u8, Ordering::SeqCst);
    }

    /// What the mint owes to the holders of its coins.
    pub(crate) async fn owes(&self) -> Msat {
        self.mint.totals().await.unwrap().outstanding().unwrap()
    }

    pub(crate) fn config(&self, dir: &Path) -> PurseConfig {
        let mut config = PurseConfig::new(dir, vec![self.id.clone()], [7; 32]);
        config.rate_limit = false;
        config.timeout = SOON;
        config
    }

    pub(crate) async fn purse(&self, dir: &Path) -> Purse {
        Purse::open(&self.config(dir)).await.unwrap()
    }

    /// Pays money into a purse.
    pub(crate) async fn fill(&self, purse: &Purse, amount: Msat) {
        let invoice = purse.fund(&self.id, amount).await.unwrap();
        self.payer.pay(&invoice.bolt11).await.unwrap();
        assert_eq!(purse.await_funding(&invoice, SOON).await.unwrap(), amount);
    }

    /// The keyring of the relay that is this mint.
    pub(crate) async fn issuer_keyring(&self) -> Keyring {
        let secret_keys = self.mint.issuer_keys().await.unwrap();
        let mut keyring = Keyring::new();
        for keyset in self.mint.cdk().pubkeys().keysets {
            let secret: BTreeMap<u64, SecretKey> = secret_keys
                .secret_keys(keyset.id)
                .map(|(amount, key)| (amount, SecretKey::from(key)))
                .collect();
            keyring.add_issuer(&self.id, &keyset, &secret).unwrap();
        }
        keyring
    }
}

pub(crate) fn key(relay: u8) -> VoucherKey {
    VoucherKey::from_secret_bytes([100 + relay; 32]).unwrap()
}

pub(crate) fn relay_id(relay: u8) -> RelayId {
    RelayId::new([relay; 32])
}

pub(crate) fn order(relay: u8, mint: &MintId, amount: Msat) -> Order {
    Order {
        relay: relay_id(relay),
        voucher_key: key(relay).public_key(),
        mint: mint.clone(),
        issuer: false,
        account: [relay; 32],
        amount,
    }
}

/// A relay that trusts the mints of `purse`.
pub(crate) async fn relay(relay: u8, purse: &Purse) -> Verifier {
    Verifier::new(key(relay), purse.keyring().await, Policy::default())
}

pub(crate) fn check(relay: &Verifier, bought: &[Bought]) -> Vec<VerifiedVoucher> {
    bought
        .iter()
        .map(|bought| relay.verify(now(), &bought.voucher).unwrap())
        .collect()
}

pub(crate) fn value(bought: &[Bought]) -> Msat {
    bought.iter().map(|bought| bought.value).sum()
}

/// The machine's clock: the mint goes by it.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> UnixTime {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    UnixTime::from_secs(since.as_secs())
}

/// The folder as it would be after the power went, now.
pub(crate) fn copy_dir(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

async fn run_line(entrance: TcpListener, mint: Arc<Mutex<SocketAddr>>, line: Arc<AtomicU8>) {
    while let Ok((client, _)) = entrance.accept().await {
        if line.load(Ordering::SeqCst) == Line::Down as u8 {
            continue;
        }
        let addr = *mint.lock().unwrap();
        let Ok(mint) = TcpStream::connect(addr).await else {
            continue;
        };
        let line = Arc::clone(&line);
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_mint, mut to_mint) = mint.into_split();
            let down = Arc::clone(&line);
            let up = async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                    let cut = down.load(Ordering::SeqCst) == Line::Down as u8;
                    if cut || to_mint.write_all(&buffer[..n]).await.is_err() {
                        break;
                    }
                }
            };
            let back = async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(n @ 1..) = from_mint.read(&mut buffer).await {
                    let line = line.load(Ordering::SeqCst);
                    if line == Line::Bare as u8 {
                        rename_dleqs(&mut buffer[..n]);
                    }
                    let up = line == Line::Up as u8 || line == Line::Bare as u8;
                    if !up || to_client.write_all(&buffer[..n]).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! { () = up => {}, () = back => {} }
        });
    }
}

fn rename_dleqs(answer: &mut [u8]) {
    const NAME: &[u8] = b"\"dleq\"";
    while let Some(at) = answer.windows(NAME.len()).position(|name| name == NAME) {
        answer[at + 4] = b'x';
    }
}
