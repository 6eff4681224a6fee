//! The JSON of the public draft, as its reference speaks it (SPILMAN 7), for peers of other makes.
//! Coinfuse's own relays and clients speak the binary form of [`Open`] and [`Update`].
//!
//! | what | read | written |
//! |---|---|---|
//! | payment body with `params` and `funding_proofs` | [`Open::from_json`], [`Payment::from_json`] | [`Open::to_json`] |
//! | payment body without them | [`Update::from_json`], [`Payment::from_json`] | [`Update::to_json`] |
//! | `BalanceUpdateMessage`, which says `amount` for `balance` | [`Update::from_json`] | [`Update::to_json_message`] |
//! | the eleven fields of `params` | [`Params::from_json`] | [`Params::to_json`] |
//!
//! Hex is lower case. Fields that are not known are passed over. A signature may also be the
//! reference's bundle `sigall-compat-v1:<current>:<legacy>`: the current one counts, the legacy one
//! has to be well formed and is dropped. It is never written.

use crate::keyset::MAX_OUTPUTS;
use crate::message::{Claim, FundingProof, Open, Update, parse_unit};
use crate::params::{ChannelId, Params};
use bitcoin::secp256k1::schnorr::Signature;
use cashu::secret::Secret;
use cashu::util::hex;
use cashu::{Id, PublicKey, SecretKey};
use coinfuse_wire::UnixTime;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The longest text that is read, in bytes: an opening with [`MAX_OUTPUTS`] proofs fits. A host
/// that takes fewer proofs should read less.
pub const MAX_JSON_LEN: usize = 1280 * MAX_OUTPUTS as usize;

/// What a bundle of signatures begins with.
const BUNDLE: &str = "sigall-compat-v1:";

/// Why a text is not a message, or a message has no text. It never repeats the text, which may hold
/// proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is longer than any message. The sender is at fault.
    #[error("{0} bytes are more than the {MAX_JSON_LEN} allowed")]
    TooLarge(usize),
    /// It is not JSON, or a field is missing, twice there, or of another type. The sender is at
    /// fault.
    #[error("not the JSON of a channel's message, at line {line} column {column}")]
    Shape {
        /// Where, from 1.
        line: usize,
        /// Where, from 1; 0 if at the line's start.
        column: usize,
    },
    /// A field has a value without meaning: another length, upper case, not on the curve. The
    /// sender is at fault.
    #[error("{0}: not a valid value")]
    Field(&'static str),
    /// Only one of `params` and `funding_proofs` is there, or neither in an opening. The sender is
    /// at fault.
    #[error("`params` and `funding_proofs` belong together")]
    Halved,
    /// A mistake of the caller: JSON carries what the binary form leaves out. Write
    /// [`Sender::open_with_claims`](crate::Sender::open_with_claims).
    #[error("an opening without claims has no JSON")]
    NoClaims,
}

/// What a payment body can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payment {
    /// The first one of a channel.
    Open(Box<Open>),
    /// A later one.
    Update(Update),
}

#[derive(Serialize, Deserialize)]
struct ParamsBody {
    mint: String,
    unit: String,
    capacity: u64,
    funding_token_amount: u64,
    keyset_id: String,
    input_fee_ppk: u64,
    // The draft's name for it; the reference reads both.
    #[serde(alias = "maximum_amount_for_one_output")]
    maximum_amount: u64,
    setup_timestamp: u64,
    expiry_timestamp: u64,
    sender_pubkey: String,
    receiver_pubkey: String,
}

#[derive(Serialize, Deserialize)]
struct DleqBody {
    e: String,
    s: String,
    r: String,
}

#[derive(Serialize, Deserialize)]
struct ProofBody {
    amount: u64,
    id: String,
    secret: String,
    #[serde(rename = "C")]
    c: String,
    dleq: DleqBody,
}

#[derive(Serialize, Deserialize)]
struct PaymentBody {
    channel_id: String,
    // What a `BalanceUpdateMessage` calls it.
    #[serde(alias = "amount")]
    balance: u64,
    signature: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    params: Option<ParamsBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    funding_proofs: Option<Vec<ProofBody>>,
}

#[derive(Serialize)]
struct MessageBody {
    channel_id: String,
    amount: u64,
    signature: String,
}

impl Payment {
    /// Reads a payment body of either kind.
    ///
    /// # Errors
    ///
    /// [`JsonError`].
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        read::<PaymentBody>(text)?.payment()
    }
}

impl Open {
    /// Reads a payment body with `params` and `funding_proofs`. Its proofs have claims.
    ///
    /// # Errors
    ///
    /// [`JsonError`].
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        match Payment::from_json(text)? {
            Payment::Open(open) => Ok(*open),
            Payment::Update(_) => Err(JsonError::Halved),
        }
    }

    /// Writes a payment body with `params` and `funding_proofs`.
    ///
    /// # Errors
    ///
    /// [`JsonError::NoClaims`] unless every proof has its claim.
    pub fn to_json(&self) -> Result<String, JsonError> {
        let proofs: Option<_> = self.proofs.iter().map(ProofBody::of).collect();
        let mut body = PaymentBody::of(&self.update);
        body.params = Some(ParamsBody::of(&self.params));
        body.funding_proofs = Some(proofs.ok_or(JsonError::NoClaims)?);
        Ok(write(&body))
    }
}

impl Update {
    /// Reads a payment body, or a `BalanceUpdateMessage`. Terms and proofs are passed over.
    ///
    /// # Errors
    ///
    /// [`JsonError`].
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        read::<PaymentBody>(text)?.update()
    }

    /// Writes a payment body.
    pub fn to_json(&self) -> String {
        write(&PaymentBody::of(self))
    }

    /// Writes a `BalanceUpdateMessage`.
    pub fn to_json_message(&self) -> String {
        write(&MessageBody {
            channel_id: self.channel.to_hex(),
            amount: self.balance.to_u64(),
            signature: self.signature.to_string(),
        })
    }
}

impl Params {
    /// Reads the eleven fields.
    ///
    /// # Errors
    ///
    /// [`JsonError`].
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        read::<ParamsBody>(text)?.params()
    }

    /// Writes the eleven fields.
    pub fn to_json(&self) -> String {
        write(&ParamsBody::of(self))
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    if text.len() > MAX_JSON_LEN {
        return Err(JsonError::TooLarge(text.len()));
    }
    // The error's own text could repeat the input.
    serde_json::from_str(text).map_err(|error| JsonError::Shape {
        line: error.line(),
        column: error.column(),
    })
}

/// Structs of numbers and strings always have a text.
fn write(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

impl PaymentBody {
    fn of(update: &Update) -> Self {
        Self {
            channel_id: update.channel.to_hex(),
            balance: update.balance.to_u64(),
            signature: update.signature.to_string(),
            params: None,
            funding_proofs: None,
        }
    }

    fn update(&self) -> Result<Update, JsonError> {
        Ok(Update {
            channel: ChannelId::new(digits(&self.channel_id, "channel_id")?),
            balance: self.balance.into(),
            signature: signature(&self.signature)?,
        })
    }

    fn payment(self) -> Result<Payment, JsonError> {
        let update = self.update()?;
        match (self.params, self.funding_proofs) {
            (None, None) => Ok(Payment::Update(update)),
            (Some(params), Some(proofs)) => Ok(Payment::Open(Box::new(Open {
                params: params.params()?,
                proofs: read_proofs(proofs)?,
                update,
            }))),
            _ => Err(JsonError::Halved),
        }
    }
}

fn read_proofs(proofs: Vec<ProofBody>) -> Result<Vec<FundingProof>, JsonError> {
    if proofs.len() as u64 > MAX_OUTPUTS {
        return Err(JsonError::Field("funding_proofs"));
    }
    proofs.into_iter().map(ProofBody::proof).collect()
}

impl ParamsBody {
    fn of(params: &Params) -> Self {
        Self {
            mint: params.mint.clone(),
            unit: params.unit.to_string(),
            capacity: params.capacity.to_u64(),
            funding_token_amount: params.funding_amount.to_u64(),
            keyset_id: params.keyset_id.to_string(),
            input_fee_ppk: params.input_fee_ppk,
            maximum_amount: params.max_amount.to_u64(),
            setup_timestamp: params.setup.secs(),
            expiry_timestamp: params.expiry.secs(),
            sender_pubkey: params.sender.to_hex(),
            receiver_pubkey: params.receiver.to_hex(),
        }
    }

    fn params(self) -> Result<Params, JsonError> {
        Ok(Params {
            mint: self.mint,
            unit: parse_unit(&self.unit).map_err(|_| JsonError::Field("unit"))?,
            capacity: self.capacity.into(),
            funding_amount: self.funding_token_amount.into(),
            keyset_id: id(&self.keyset_id, "keyset_id")?,
            input_fee_ppk: self.input_fee_ppk,
            max_amount: self.maximum_amount.into(),
            setup: UnixTime::from_secs(self.setup_timestamp),
            expiry: UnixTime::from_secs(self.expiry_timestamp),
            sender: point(&self.sender_pubkey, "sender_pubkey")?,
            receiver: point(&self.receiver_pubkey, "receiver_pubkey")?,
        })
    }
}

impl ProofBody {
    fn of(proof: &FundingProof) -> Option<Self> {
        let claim = proof.claim.as_ref()?;
        Some(Self {
            amount: claim.amount.to_u64(),
            id: claim.keyset.to_string(),
            secret: claim.secret.to_string(),
            c: proof.c.to_hex(),
            dleq: DleqBody {
                e: proof.e.to_secret_hex(),
                s: proof.s.to_secret_hex(),
                r: claim.blinding.to_secret_hex(),
            },
        })
    }

    fn proof(self) -> Result<FundingProof, JsonError> {
        Ok(FundingProof {
            c: point(&self.c, "C")?,
            e: scalar(&self.dleq.e, "e")?,
            s: scalar(&self.dleq.s, "s")?,
            claim: Some(Claim {
                amount: self.amount.into(),
                keyset: id(&self.id, "id")?,
                secret: Secret::new(self.secret),
                blinding: scalar(&self.dleq.r, "r")?,
            }),
        })
    }
}

fn bytes(text: &str, what: &'static str) -> Result<Vec<u8>, JsonError> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match text.bytes().all(lower) {
        true => hex::decode(text).map_err(|_| JsonError::Field(what)),
        false => Err(JsonError::Field(what)),
    }
}

fn digits<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], JsonError> {
    let bytes = bytes(text, what)?;
    bytes.try_into().map_err(|_| JsonError::Field(what))
}

fn point(text: &str, what: &'static str) -> Result<PublicKey, JsonError> {
    PublicKey::from_slice(&digits::<33>(text, what)?).map_err(|_| JsonError::Field(what))
}

fn scalar(text: &str, what: &'static str) -> Result<SecretKey, JsonError> {
    SecretKey::from_slice(&digits::<32>(text, what)?).map_err(|_| JsonError::Field(what))
}

fn id(text: &str, what: &'static str) -> Result<Id, JsonError> {
    Id::from_bytes(&bytes(text, what)?).map_err(|_| JsonError::Field(what))
}

/// A plain signature, or the current one of a bundle.
fn signature(text: &str) -> Result<Signature, JsonError> {
    let Some(bundle) = text.strip_prefix(BUNDLE) else {
        return plain_signature(text);
    };
    let (current, legacy) = bundle
        .split_once(':')
        .ok_or(JsonError::Field("signature"))?;
    plain_signature(legacy)?;
    plain_signature(current)
}

fn plain_signature(text: &str) -> Result<Signature, JsonError> {
    const WHAT: &str = "signature";
    Signature::from_slice(&digits::<64>(text, WHAT)?).map_err(|_| JsonError::Field(WHAT))
}
