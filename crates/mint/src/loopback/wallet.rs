//! A person's Lightning wallet on the loopback network.

use std::fmt;
use std::str::FromStr as _;

use cdk_common::Bolt11Invoice;
use coinfuse_wire::Msat;
use thiserror::Error;

use super::invoice;
use super::line::{LineError, Request, Response};
use super::node::{LoopbackNode, read_invoice};
use super::{LoopbackLightning, NetworkError};

/// The wallet of somebody outside the system: it pays the invoices of mints and is paid by melts.
pub struct LightningWallet {
    node: LoopbackNode,
}

/// Why an invoice is not paid.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PayError {
    /// The text is not a bolt11 invoice, or its signature is wrong.
    #[error("not a bolt11 invoice")]
    NotAnInvoice,
    /// The invoice leaves the amount to the payer.
    #[error("the invoice names no amount")]
    NoAmount,
    /// The network has refused or cannot be reached.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl LoopbackLightning {
    /// Opens a wallet and gives it `funds`, which come out of nothing: it is the only place where
    /// money on this network comes from.
    pub async fn wallet(&self, funds: Msat) -> Result<LightningWallet, NetworkError> {
        let seed = invoice::random()
            .ok_or_else(|| std::io::Error::other("the system has no random bytes"))?;
        let node = self.node(&seed);
        self.ask(Request::Grant {
            node: node.id(),
            amount: funds,
        })
        .await?;
        Ok(LightningWallet { node })
    }
}

impl LightningWallet {
    /// Pays a bolt11 invoice of this network; gives the amount.
    pub async fn pay(&self, bolt11: &str) -> Result<Msat, PayError> {
        let invoice = Bolt11Invoice::from_str(bolt11).map_err(|_| PayError::NotAnInvoice)?;
        let (hash, amount) = read_invoice(&invoice).ok_or(PayError::NoAmount)?;
        self.node.pay(hash, amount).await?;
        Ok(amount)
    }

    /// An invoice over `amount`, for somebody to pay within the hour.
    pub async fn invoice(&self, amount: Msat) -> Result<String, NetworkError> {
        let made = self.node.invoice(amount, String::new(), None).await;
        let (invoice, ..) =
            made.map_err(|error| NetworkError::Unreachable(std::io::Error::other(error)))?;
        Ok(invoice.to_string())
    }

    /// What the wallet holds: its first funds, plus what it was paid, less what it paid.
    pub async fn balance(&self) -> Result<Msat, NetworkError> {
        let request = Request::Balance {
            node: self.node.id(),
        };
        match self.node.network().ask(request).await? {
            Response::Balance { amount } => Ok(amount),
            _ => Err(LineError::Unexpected.into()),
        }
    }
}

impl fmt::Debug for LightningWallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LightningWallet")
    }
}
