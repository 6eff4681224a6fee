//! A mint's Lightning node on the loopback network.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use cdk_common::Bolt11Invoice;
use cdk_common::amount::Amount;
use cdk_common::nuts::{CurrencyUnit, MeltQuoteState};
use cdk_common::payment::{
    Bolt11Settings, CreateIncomingPaymentResponse, Error, Event, IncomingPaymentOptions,
    MakePaymentResponse, MintPayment, OutgoingPaymentOptions, PaymentIdentifier,
    PaymentQuoteResponse, SettingsResponse, WaitPaymentResponse,
};
use coinfuse_wire::{Msat, UnixTime};
use futures::{Stream, StreamExt as _, stream};

use super::invoice::{self, Terms};
use super::line::{Hash, LineError, NodeId, Preimage, Refusal, Request, Response};
use super::{Books, LoopbackLightning, NetworkError, now, tcp};

/// How long an invoice lives whose maker does not say.
const DEFAULT_EXPIRY_SECS: u64 = 3_600;

/// A node that a mint receives at and pays from; `cdk`'s payment interface.
///
/// It pays from what it has received, so a mint can never pay out more than was paid in.
pub struct LoopbackNode {
    network: LoopbackLightning,
    key: SecretKey,
    id: NodeId,
    watched: AtomicBool,
}

impl LoopbackNode {
    pub(super) fn new(network: LoopbackLightning, seed: &[u8; 32]) -> Self {
        let key = node_key(seed);
        let id = NodeId(key.public_key(&Secp256k1::signing_only()).serialize());
        Self {
            network,
            key,
            id,
            watched: AtomicBool::new(false),
        }
    }

    /// Who this node is on the network.
    pub(super) fn id(&self) -> NodeId {
        self.id
    }

    pub(super) fn network(&self) -> &LoopbackLightning {
        &self.network
    }

    /// Makes an invoice and announces it.
    pub(super) async fn invoice(
        &self,
        amount: Msat,
        description: String,
        expires: Option<UnixTime>,
    ) -> Result<(Bolt11Invoice, Hash, UnixTime), Error> {
        let now = now();
        let default = UnixTime::from_secs(now.secs().saturating_add(DEFAULT_EXPIRY_SECS));
        let expires = expires.unwrap_or(default);
        let terms = Terms {
            amount,
            description,
            now,
            expires,
        };
        let fresh = invoice::sign(&self.key, terms)
            .ok_or_else(|| Error::Custom("the terms do not fit an invoice".to_owned()))?;
        let register = Request::Register {
            hash: fresh.hash,
            preimage: fresh.preimage,
            amount,
            expires,
            payee: self.id,
        };
        self.network.ask(register).await.map_err(backend)?;
        Ok((fresh.invoice, fresh.hash, expires))
    }

    /// Pays an invoice of this network, exactly.
    pub(super) async fn pay(&self, hash: Hash, amount: Msat) -> Result<Preimage, NetworkError> {
        match self
            .network
            .ask(Request::Pay {
                hash,
                amount,
                payer: self.id,
            })
            .await?
        {
            Response::Paid { preimage } => Ok(preimage),
            _ => Err(LineError::Unexpected.into()),
        }
    }
}

/// The key of a node: not one that signs coins, whoever holds the same seed.
fn node_key(seed: &[u8; 32]) -> SecretKey {
    let mut engine = sha256::Hash::engine();
    engine.input(b"Coinfuse loopback Lightning node");
    engine.input(seed);
    let mut digest = sha256::Hash::from_engine(engine);
    // One hash in 2^128 is no key; its own hash is the next try.
    loop {
        match SecretKey::from_slice(digest.as_byte_array()) {
            Ok(key) => return key,
            Err(_) => digest = sha256::Hash::hash(digest.as_byte_array()),
        }
    }
}

fn backend(error: NetworkError) -> Error {
    Error::Backend(Box::new(error))
}

/// The hash and the exact amount of an invoice that this network can pay.
pub(super) fn read_invoice(invoice: &Bolt11Invoice) -> Option<(Hash, Msat)> {
    let amount = invoice.amount_milli_satoshis()?;
    Some((
        Hash(invoice.payment_hash().to_byte_array()),
        Msat::new(amount),
    ))
}

/// What a melt asks for; only whole payments of bolt11 invoices with an amount.
fn read_outgoing(options: &OutgoingPaymentOptions) -> Result<(Hash, Msat), Error> {
    match options {
        OutgoingPaymentOptions::Bolt11(bolt11) if bolt11.melt_options.is_none() => {
            read_invoice(&bolt11.bolt11).ok_or(Error::UnsupportedPaymentOption)
        }
        _ => Err(Error::UnsupportedPaymentOption),
    }
}

/// What a payer of `unit` gives for `amount`: fractions of a satoshi are rounded up.
fn price(unit: &CurrencyUnit, amount: Msat) -> Result<Amount<CurrencyUnit>, Error> {
    let value = match unit {
        CurrencyUnit::Msat => amount.get(),
        CurrencyUnit::Sat => amount.get().div_ceil(1_000),
        _ => return Err(Error::UnsupportedUnit),
    };
    Ok(Amount::new(value, unit.clone()))
}

fn received(hash: Hash, amount: Msat) -> WaitPaymentResponse {
    WaitPaymentResponse {
        payment_identifier: PaymentIdentifier::PaymentHash(hash.0),
        payment_amount: Amount::new(amount.get(), CurrencyUnit::Msat),
        payment_id: hash.to_string(),
    }
}

fn outgoing(
    hash: Hash,
    status: MeltQuoteState,
    preimage: Option<Preimage>,
    total_spent: Amount<CurrencyUnit>,
) -> MakePaymentResponse {
    MakePaymentResponse {
        payment_lookup_id: PaymentIdentifier::PaymentHash(hash.0),
        payment_proof: preimage.map(|preimage| preimage.to_string()),
        status,
        total_spent,
    }
}

fn payment_hash(identifier: &PaymentIdentifier) -> Result<Hash, Error> {
    match identifier {
        PaymentIdentifier::PaymentHash(hash) => Ok(Hash(*hash)),
        _ => Err(Error::UnsupportedPaymentOption),
    }
}

#[async_trait]
impl MintPayment for LoopbackNode {
    type Err = Error;

    async fn get_settings(&self) -> Result<SettingsResponse, Error> {
        Ok(SettingsResponse {
            unit: CurrencyUnit::Msat.to_string(),
            bolt11: Some(Bolt11Settings {
                mpp: false,
                amountless: false,
                invoice_description: true,
            }),
            bolt12: None,
            onchain: None,
            custom: Default::default(),
        })
    }

    async fn create_incoming_payment_request(
        &self,
        options: IncomingPaymentOptions,
    ) -> Result<CreateIncomingPaymentResponse, Error> {
        let IncomingPaymentOptions::Bolt11(wish) = options else {
            return Err(Error::UnsupportedPaymentOption);
        };
        let amount = Msat::new(wish.amount.to_msat()?);
        let expires = wish.unix_expiry.map(UnixTime::from_secs);
        let (invoice, hash, expires) = self
            .invoice(amount, wish.description.unwrap_or_default(), expires)
            .await?;
        Ok(CreateIncomingPaymentResponse {
            request_lookup_id: PaymentIdentifier::PaymentHash(hash.0),
            request: invoice.to_string(),
            expiry: Some(expires.secs()),
            extra_json: None,
        })
    }

    async fn get_payment_quote(
        &self,
        unit: &CurrencyUnit,
        options: OutgoingPaymentOptions,
    ) -> Result<PaymentQuoteResponse, Error> {
        let (hash, amount) = read_outgoing(&options)?;
        Ok(PaymentQuoteResponse {
            request_lookup_id: Some(PaymentIdentifier::PaymentHash(hash.0)),
            amount: price(unit, amount)?,
            fee: Amount::new(0, unit.clone()),
            state: MeltQuoteState::Unpaid,
            extra_json: None,
            estimated_blocks: None,
            fee_options: None,
        })
    }

    async fn make_payment(
        &self,
        unit: &CurrencyUnit,
        options: OutgoingPaymentOptions,
    ) -> Result<MakePaymentResponse, Error> {
        let (hash, amount) = read_outgoing(&options)?;
        let spent = price(unit, amount)?;
        match self.pay(hash, amount).await {
            Ok(preimage) => Ok(outgoing(hash, MeltQuoteState::Paid, Some(preimage), spent)),
            // A refusal is final and nothing has moved; anything else is uncertain, so an error.
            Err(NetworkError::Refused(_)) => Ok(outgoing(
                hash,
                MeltQuoteState::Failed,
                None,
                Amount::new(0, unit.clone()),
            )),
            Err(error) => Err(backend(error)),
        }
    }

    async fn wait_payment_event(&self) -> Result<Pin<Box<dyn Stream<Item = Event> + Send>>, Error> {
        // From the first payment on, every time: those known already change nothing, and none is
        // lost that came while the mint was down.
        let payments = watch(&self.network, self.id).await.map_err(backend)?;
        self.watched.store(true, Ordering::Release);
        let events = payments.map(|(hash, amount)| Event::PaymentReceived(received(hash, amount)));
        Ok(Box::pin(events))
    }

    fn is_payment_event_stream_active(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    fn cancel_payment_event_stream(&self) {
        self.watched.store(false, Ordering::Release);
    }

    async fn check_incoming_payment_status(
        &self,
        identifier: &PaymentIdentifier,
    ) -> Result<Vec<WaitPaymentResponse>, Error> {
        let hash = payment_hash(identifier)?;
        match self
            .network
            .ask(Request::Invoice { hash })
            .await
            .map_err(backend)?
        {
            Response::Settled { amount, .. } => Ok(vec![received(hash, amount)]),
            _ => Ok(Vec::new()),
        }
    }

    async fn check_outgoing_payment(
        &self,
        identifier: &PaymentIdentifier,
    ) -> Result<MakePaymentResponse, Error> {
        let hash = payment_hash(identifier)?;
        let none = Amount::new(0, CurrencyUnit::Msat);
        match self.network.ask(Request::Invoice { hash }).await {
            Ok(Response::Settled {
                amount,
                payer,
                preimage,
            }) if payer == self.id => {
                let spent = Amount::new(amount.get(), CurrencyUnit::Msat);
                Ok(outgoing(hash, MeltQuoteState::Paid, Some(preimage), spent))
            }
            Ok(Response::Settled { .. } | Response::Unknown)
            | Err(NetworkError::Refused(Refusal::Unknown)) => {
                Ok(outgoing(hash, MeltQuoteState::Failed, None, none))
            }
            Ok(Response::Open) => Ok(outgoing(hash, MeltQuoteState::Unpaid, None, none)),
            Ok(_) => Err(backend(LineError::Unexpected.into())),
            Err(error) => Err(backend(error)),
        }
    }
}

type Payments = Pin<Box<dyn Stream<Item = (Hash, Msat)> + Send>>;

/// Every payment that `node` has received and will receive. Ends when the other process does.
async fn watch(network: &LoopbackLightning, node: NodeId) -> Result<Payments, NetworkError> {
    match &network.books {
        Books::There(addr) => Ok(Box::pin(tcp::watch(*addr, node).await?)),
        Books::Here(ledger) => {
            let start = (ledger.clone(), ledger.bell(), 0);
            Ok(Box::pin(stream::unfold(
                start,
                move |(ledger, mut bell, index)| async move {
                    loop {
                        // Seen before looked: a payment after the look rings again.
                        bell.borrow_and_update();
                        if let Some(payment) = ledger.received(&node, index) {
                            return Some((payment, (ledger, bell, index + 1)));
                        }
                        bell.changed().await.ok()?;
                    }
                },
            )))
        }
    }
}
