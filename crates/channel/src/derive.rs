//! Keys and coins that both parties derive, and nobody else can.

use crate::hash::{blind_key, blind_point, hash, scalar};
use crate::params::ChannelId;
use bitcoin::secp256k1::ecdh::{SharedSecret, shared_secret_point};
use cashu::dhke::hash_to_curve;
use cashu::secret::Secret;
use cashu::{Amount, BlindedMessage, Id, PublicKey, SecretKey};
use coinfuse_wire::UnixTime;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What the parties have in common and do not send.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ChannelSecret([u8; 32]);

impl ChannelSecret {
    /// From one party's secret key and the other's public key (SPILMAN 1).
    pub fn agree(own: &SecretKey, other: &PublicKey) -> Self {
        let shared = SharedSecret::new(other, own);
        Self(hash(&[b"Cashu_Spilman_channel_secret_v1", shared.as_ref()]))
    }

    /// The 32 bytes: whoever has them can recognise every coin of the channel.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Debug for ChannelSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ChannelSecret([scrubbed])")
    }
}

/// A key of the funding proofs (SPILMAN 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FundingKey {
    Sender,
    Receiver,
    Refund,
}

impl FundingKey {
    const fn role(self) -> &'static str {
        match self {
            Self::Sender => "sender_stage1",
            Self::Receiver => "receiver_stage1",
            Self::Refund => "sender_stage1_refund",
        }
    }
}

/// What an output is for (SPILMAN 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Context {
    Receiver,
    Sender,
    Funding,
}

impl Context {
    const fn name(self) -> &'static str {
        match self {
            Self::Funding => "funding",
            Self::Receiver => "receiver",
            Self::Sender => "sender",
        }
    }

    const fn stage2_role(self) -> &'static str {
        match self {
            Self::Sender => "sender_stage2",
            // Funding outputs have no second stage.
            Self::Receiver | Self::Funding => "receiver_stage2",
        }
    }
}

/// The three blinded keys of the funding proofs.
#[derive(Clone)]
pub(crate) struct FundingKeys {
    pub(crate) sender: PublicKey,
    pub(crate) receiver: PublicKey,
    pub(crate) refund: PublicKey,
}

/// One output of a funding or commitment, with all that is needed to unblind it.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) amount: Amount,
    pub(crate) secret: Secret,
    pub(crate) blinding: SecretKey,
    pub(crate) point: PublicKey,
    /// The ephemeral key of a stage-2 lock: what a wallet needs beside its own key to open it.
    pub(crate) ephemeral: Option<PublicKey>,
}

impl Output {
    pub(crate) fn message(&self, keyset: Id) -> BlindedMessage {
        BlindedMessage::new(self.amount, keyset, self.point)
    }
}

/// Derives what belongs to one channel.
///
/// Every function is `None` only for inputs that nobody finds: a hash that is no scalar, a sum at
/// infinity.
#[derive(Clone)]
pub(crate) struct Deriver {
    secret: ChannelSecret,
    cid: String,
}

impl Deriver {
    pub(crate) fn new(secret: ChannelSecret, id: &ChannelId) -> Self {
        Self {
            secret,
            cid: id.to_hex(),
        }
    }

    fn tweak(&self, key: FundingKey) -> Option<SecretKey> {
        let prefix = format!("{}|{}", self.cid, key.role());
        scalar(b"Cashu_Spilman_P2BK_v1", &self.secret.0, &prefix)
    }

    pub(crate) fn funding_point(&self, key: FundingKey, raw: &PublicKey) -> Option<PublicKey> {
        blind_point(raw, &self.tweak(key)?)
    }

    pub(crate) fn funding_secret(&self, key: FundingKey, raw: &SecretKey) -> Option<SecretKey> {
        blind_key(raw, &self.tweak(key)?)
    }

    pub(crate) fn funding_keys(
        &self,
        sender: &PublicKey,
        receiver: &PublicKey,
    ) -> Option<FundingKeys> {
        Some(FundingKeys {
            sender: self.funding_point(FundingKey::Sender, sender)?,
            receiver: self.funding_point(FundingKey::Receiver, receiver)?,
            refund: self.funding_point(FundingKey::Refund, sender)?,
        })
    }

    /// A funding output: both parties together, or after `expiry` the sender alone.
    ///
    /// The JSON is hashed and signed byte by byte, so it is written by hand: a serialiser's order
    /// of keys is the affair of whoever else is in the build.
    pub(crate) fn funding_output(
        &self,
        keys: &FundingKeys,
        expiry: UnixTime,
        amount: Amount,
        index: u32,
    ) -> Option<Output> {
        let secret = format!(
            concat!(
                r#"["P2PK",{{"data":"{}","nonce":"{}","tags":[["pubkeys","{}"],["locktime","{}"],"#,
                r#"["n_sigs","2"],["refund","{}"],["n_sigs_refund","1"],["sigflag","SIG_ALL"]]}}]"#
            ),
            keys.sender.to_hex(),
            self.nonce(Context::Funding, amount, index),
            keys.receiver.to_hex(),
            expiry.secs(),
            keys.refund.to_hex(),
        );
        self.output(Context::Funding, amount, index, secret, None)
    }

    /// An output of a commitment, for the party whose raw key is `owner`.
    pub(crate) fn stage2_output(
        &self,
        context: Context,
        owner: &PublicKey,
        amount: Amount,
        index: u32,
    ) -> Option<Output> {
        let ephemeral = self.ephemeral(context, amount, index)?;
        let tweak = stage2_tweak(owner, &ephemeral)?;
        let secret = format!(
            r#"["P2PK",{{"data":"{}","nonce":"{}","tags":null}}]"#,
            blind_point(owner, &tweak)?.to_hex(),
            self.nonce(context, amount, index),
        );
        self.output(context, amount, index, secret, Some(ephemeral.public_key()))
    }

    fn output(
        &self,
        context: Context,
        amount: Amount,
        index: u32,
        secret: String,
        ephemeral: Option<PublicKey>,
    ) -> Option<Output> {
        let blinding = SecretKey::from_slice(&*self.blinding(context, amount, index)).ok()?;
        let point = hash_to_curve(secret.as_bytes()).ok()?;
        Some(Output {
            amount,
            secret: Secret::new(secret),
            point: crate::hash::add(&point, &blinding.public_key())?,
            blinding,
            ephemeral,
        })
    }

    fn ephemeral(&self, context: Context, amount: Amount, index: u32) -> Option<SecretKey> {
        let role = context.stage2_role();
        let prefix = format!("{}|{role}|{}|{index}", self.cid, amount.to_u64());
        scalar(b"Cashu_Spilman_P2BK_ephemeral_v1", &self.secret.0, &prefix)
    }

    fn nonce(&self, context: Context, amount: Amount, index: u32) -> String {
        cashu::util::hex::encode(self.item(context, amount, "nonce", index))
    }

    fn blinding(&self, context: Context, amount: Amount, index: u32) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.item(context, amount, "blinding", index))
    }

    fn item(&self, context: Context, amount: Amount, what: &str, index: u32) -> [u8; 32] {
        let (cid, name, amount) = (&self.cid, context.name(), amount.to_u64());
        let text = format!("{cid}|{name}|{amount}|{what}|{index}");
        hash(&[&self.secret.0, text.as_bytes()])
    }
}

/// The tweak of a stage-2 lock, from the side that holds `scalar`: the ephemeral secret with the
/// owner's point, or the owner's secret with the ephemeral point (NUT-28, slot 0).
fn stage2_tweak(point: &PublicKey, scalar: &SecretKey) -> Option<SecretKey> {
    let shared = Zeroizing::new(shared_secret_point(point, scalar));
    let tweak = |tail: &[u8]| {
        let bytes = Zeroizing::new(hash(&[b"Cashu_P2BK_v1", &shared[..32], tail]));
        SecretKey::from_slice(&*bytes).ok()
    };
    tweak(&[0]).or_else(|| tweak(&[0, 0xff]))
}

/// The key that opens a stage-2 output whose ephemeral point is `ephemeral`.
pub(crate) fn stage2_key(owner: &SecretKey, ephemeral: &PublicKey) -> Option<SecretKey> {
    blind_key(owner, &stage2_tweak(ephemeral, owner)?)
}
