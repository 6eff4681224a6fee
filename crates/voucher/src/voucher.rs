//! The voucher as it travels.

use crate::key::{read_point, read_scalar};
use crate::unit::Denomination;
use cashu::{Id, ProofDleq, PublicKey, SecretKey};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, UnixTime, Writer};
use core::fmt;

/// Set in the first byte of an encoded voucher when a DLEQ proof follows.
const DLEQ_BIT: u8 = 0x80;

/// Set in the first byte of an encoded voucher when the tweak of its lock follows.
const TWEAK_BIT: u8 = 0x40;

/// The first eight bytes of a keyset id: all of a version 0 id, the start of a version 1 id.
///
/// A [`Keyring`](crate::Keyring) holds at most one keyset for each, so a short id says both the
/// mint and the keyset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortKeysetId([u8; 8]);

impl ShortKeysetId {
    /// From the eight bytes.
    pub const fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The start of a full id.
    pub fn of(id: &Id) -> Self {
        let mut short = [0; 8];
        // Both versions have eight bytes or more.
        for (to, from) in short.iter_mut().zip(id.to_bytes()) {
            *to = from;
        }
        Self(short)
    }

    /// The eight bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for ShortKeysetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ShortKeysetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShortKeysetId({self})")
    }
}

/// The proof of a mint's signature that everybody can check (NUT-12), with the blinding factor `r`.
///
/// Whoever knows `r` and has seen the mint's books can tell when the coin was bought; that is why
/// it is never shown to the mint that issued the coin.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Dleq {
    pub(crate) e: SecretKey,
    pub(crate) s: SecretKey,
    pub(crate) r: SecretKey,
}

impl From<ProofDleq> for Dleq {
    fn from(dleq: ProofDleq) -> Self {
        Self {
            e: dleq.e,
            s: dleq.s,
            r: dleq.r,
        }
    }
}

/// What may follow a voucher: not both, as the relay that saves work by the tweak is the issuer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Extra {
    None,
    /// For a relay that is not the issuer.
    Dleq(Dleq),
    /// `r` of `P' = P + r*G`, which the relay could also find with its key.
    Tweak(SecretKey),
}

impl Extra {
    const fn flag(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Dleq(_) => DLEQ_BIT,
            Self::Tweak(_) => TWEAK_BIT,
        }
    }
}

/// A coin locked to one relay, in 79 bytes for the mint that issued it and 175 for others.
///
/// | bytes | field |
/// |---|---|
/// | 1 | bit 7: a DLEQ proof follows; bit 6: a tweak follows; bits 0-5: exponent of the [`Denomination`] |
/// | 8 | keyset, [`ShortKeysetId`] |
/// | 4 | locktime: seconds since 1970, big-endian |
/// | 33 | E, the ephemeral point (NUT-28's `p2pk_e`), also the refund key |
/// | 33 | C, the mint's signature |
/// | 96 | if bit 7 is set: the DLEQ proof, `e`, `s` and `r` |
/// | 32 | if bit 6 is set, and bit 7 is not: the tweak, `r` of `P' = P + r*G` |
///
/// Nothing about a decoded voucher has been checked but its form. It is money for whoever presents
/// it first at the right relay, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Voucher {
    pub(crate) denomination: Denomination,
    pub(crate) keyset: ShortKeysetId,
    pub(crate) locktime: u32,
    pub(crate) ephemeral: PublicKey,
    pub(crate) signature: PublicKey,
    pub(crate) extra: Extra,
}

impl Voucher {
    /// The length of an encoding without a DLEQ proof.
    pub const SHORT_LEN: usize = 79;
    /// The length of an encoding with a DLEQ proof.
    pub const LONG_LEN: usize = Self::SHORT_LEN + 96;
    /// The length of an encoding with a tweak.
    pub const TWEAK_LEN: usize = Self::SHORT_LEN + 32;

    /// The amount that the voucher claims, in units of its keyset.
    pub const fn denomination(&self) -> Denomination {
        self.denomination
    }

    /// The keyset that the voucher claims to be signed with.
    pub const fn keyset(&self) -> ShortKeysetId {
        self.keyset
    }

    /// When the relay's exclusive right ends and the buyer can take the coin back.
    pub const fn locktime(&self) -> UnixTime {
        UnixTime::from_secs(self.locktime as u64)
    }

    /// True when others than the issuer can check the mint's signature.
    pub const fn has_dleq(&self) -> bool {
        matches!(self.extra, Extra::Dleq(_))
    }

    /// The same voucher for the relay that issued the coin: without the proof that would link it
    /// to its purchase.
    pub fn without_dleq(mut self) -> Self {
        if self.has_dleq() {
            self.extra = Extra::None;
        }
        self
    }

    /// The same voucher in its short form, where room is scarcer than the relay's time.
    pub fn without_tweak(mut self) -> Self {
        if matches!(self.extra, Extra::Tweak(_)) {
            self.extra = Extra::None;
        }
        self
    }
}

impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Voucher([scrubbed])")
    }
}

impl Encode for Voucher {
    fn encode(&self, out: &mut Writer) {
        out.u8(self.extra.flag() | self.denomination.exponent());
        out.put(self.keyset.as_bytes());
        out.u32(self.locktime);
        out.put(&self.ephemeral.to_bytes());
        out.put(&self.signature.to_bytes());
        match &self.extra {
            Extra::None => {}
            Extra::Dleq(dleq) => {
                for scalar in [&dleq.e, &dleq.s, &dleq.r] {
                    out.put(scalar.as_secret_bytes());
                }
            }
            Extra::Tweak(tweak) => out.put(tweak.as_secret_bytes()),
        }
    }
}

const INVALID_HEAD: DecodeError = DecodeError::Invalid {
    what: "voucher head",
};

impl Decode for Voucher {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head = reader.u8("voucher head")?;
        let denomination =
            Denomination::from_exponent(head & !(DLEQ_BIT | TWEAK_BIT)).ok_or(INVALID_HEAD)?;
        let keyset = ShortKeysetId::new(reader.array("voucher keyset")?);
        let locktime = reader.u32("voucher locktime")?;
        let ephemeral = read_point(reader, "voucher ephemeral point")?;
        let signature = read_point(reader, "voucher signature")?;
        let extra = match head & (DLEQ_BIT | TWEAK_BIT) {
            0 => Extra::None,
            DLEQ_BIT => Extra::Dleq(Dleq {
                e: read_scalar(reader, "voucher dleq e")?,
                s: read_scalar(reader, "voucher dleq s")?,
                r: read_scalar(reader, "voucher dleq r")?,
            }),
            TWEAK_BIT => Extra::Tweak(read_scalar(reader, "voucher tweak")?),
            _ => return Err(INVALID_HEAD),
        };
        Ok(Self {
            denomination,
            keyset,
            locktime,
            ephemeral,
            signature,
            extra,
        })
    }
}
