//! What an operator decides about a mint.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use cdk_common::nuts::CurrencyUnit;
use cdk_common::payment::DynMintPayment;
use coinfuse_wire::Msat;
use zeroize::Zeroizing;

use crate::loopback::LoopbackLightning;

/// The unit in which a mint denominates its coins; written `msat` or `sat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Thousandths of a satoshi: relays charge a few of these per MiB.
    Msat,
    /// Satoshis, as most public mints.
    Sat,
}

impl Unit {
    /// The same unit as Cashu's libraries spell it.
    pub fn currency(self) -> CurrencyUnit {
        match self {
            Self::Msat => CurrencyUnit::Msat,
            Self::Sat => CurrencyUnit::Sat,
        }
    }

    /// An amount in this unit as millisatoshis; `None` when it does not fit.
    pub fn to_msat(self, amount: u64) -> Option<Msat> {
        match self {
            Self::Msat => Some(Msat::new(amount)),
            Self::Sat => amount.checked_mul(1_000).map(Msat::new),
        }
    }

    /// Millisatoshis in this unit, rounded up: what a payer must give for `amount`.
    pub fn from_msat_ceil(self, amount: Msat) -> u64 {
        match self {
            Self::Msat => amount.get(),
            Self::Sat => amount.get().div_ceil(1_000),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Msat => "msat",
            Self::Sat => "sat",
        })
    }
}

/// A unit that a mint of ours does not issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the unit must be \"msat\" or \"sat\"")]
pub struct UnknownUnit;

impl FromStr for Unit {
    type Err = UnknownUnit;

    fn from_str(text: &str) -> Result<Self, UnknownUnit> {
        match text {
            "msat" => Ok(Self::Msat),
            "sat" => Ok(Self::Sat),
            _ => Err(UnknownUnit),
        }
    }
}

/// How money gets in and out of a mint.
#[derive(Clone)]
#[non_exhaustive]
pub enum Backend {
    /// The Lightning network in memory: tests and demonstrations, no real money.
    Loopback(LoopbackLightning),
    /// Anything that speaks `cdk`'s payment interface, for instance one of its Lightning backends.
    Custom(DynMintPayment),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback(_) => "Loopback",
            Self::Custom(_) => "Custom",
        })
    }
}

/// The settings of an [`EmbeddedMint`](crate::EmbeddedMint).
///
/// The database and the seed belong together: the seed derives the keys of every keyset in the
/// database, and coins are lost to their holders without it.
#[derive(Clone)]
pub struct MintConfig {
    pub(crate) database: PathBuf,
    pub(crate) seed: Zeroizing<[u8; 32]>,
    pub(crate) unit: Unit,
    pub(crate) name: String,
    pub(crate) public_url: Option<String>,
    pub(crate) input_fee_ppk: u64,
    pub(crate) mint_quote_ttl: Duration,
    pub(crate) melt_quote_ttl: Duration,
    pub(crate) max_amount: u64,
    pub(crate) max_in_flight: usize,
}

impl MintConfig {
    /// A mint with no fees, quotes that live an hour, and at most 2^40 units per invoice.
    pub fn new(database: impl Into<PathBuf>, seed: [u8; 32], unit: Unit) -> Self {
        Self {
            database: database.into(),
            seed: Zeroizing::new(seed),
            unit,
            name: "Coinfuse mint".to_owned(),
            public_url: None,
            input_fee_ppk: 0,
            mint_quote_ttl: Duration::from_secs(3_600),
            melt_quote_ttl: Duration::from_secs(600),
            max_amount: 1 << 40,
            max_in_flight: 256,
        }
    }

    /// The name that wallets show. Default: "Coinfuse mint".
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The URL under which clients reach the listener, when it is not the listener's own address
    /// (a proxy in front, a host name). Coins name their mint by it, so keep it. No `/` at its end.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// The fee per input of a swap, in thousandths of a unit (NUT-02). Default 0. A change opens
    /// a new keyset at the next start.
    pub fn input_fee_ppk(mut self, ppk: u64) -> Self {
        self.input_fee_ppk = ppk;
        self
    }

    /// How long an invoice may be paid, and how long an offer to pay one stands. Defaults: an hour
    /// and ten minutes.
    pub fn quote_ttl(mut self, mint: Duration, melt: Duration) -> Self {
        self.mint_quote_ttl = mint;
        self.melt_quote_ttl = melt;
        self
    }

    /// The largest amount of one invoice, in the mint's unit. Default 2^40.
    pub fn max_amount(mut self, amount: u64) -> Self {
        self.max_amount = amount;
        self
    }

    /// How many requests may be under way at once; more are told 503. Default 256; worst case
    /// memory is this times 2 MiB of request body.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }
}

impl fmt::Debug for MintConfig {
    /// Without the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintConfig")
            .field("database", &self.database)
            .field("unit", &self.unit)
            .field("input_fee_ppk", &self.input_fee_ppk)
            .finish_non_exhaustive()
    }
}
