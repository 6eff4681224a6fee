//! Why a relay does not take a voucher, and what the client does about it.

use core::fmt;

/// What a client does with a voucher that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Present the same voucher again later.
    Retry,
    /// Pay with another voucher; take this one back from the mint after its locktime.
    Refund,
    /// Nothing: it has been used already.
    Drop,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $remedy:ident, $text:literal;)*) => {
        /// Why a relay does not take a voucher. A refused voucher that was not spent remains the
        /// client's money.
        ///
        /// There is no reason of its own for a wrong lock, mint or unit. The lock is not sent but
        /// rebuilt, so a voucher for another relay shows as one with a bad signature; and mint and
        /// unit are those of the keyset.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[$doc])* $name = $code,)*
        }

        impl Refusal {
            /// Every reason, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The reason with this wire code, if it is known here.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// What the client does about it.
            pub const fn remedy(self) -> Remedy {
                match self {
                    $(Self::$name => Remedy::$remedy,)*
                }
            }
        }

        impl fmt::Display for Refusal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

refusals! {
    /// The bytes are not a voucher.
    Malformed = 1, Refund,
        "not a voucher: encode it as the specification says";
    /// The relay accepts no keyset with this id.
    UnknownKeyset = 2, Refund,
        "keyset not accepted: buy from a mint that the relay's descriptor lists, with its current keyset";
    /// The mint will stop honouring the keyset too soon.
    KeysetExpiring = 3, Refund,
        "keyset about to expire: buy with a newer keyset of the mint";
    /// The keyset has no such coin.
    UnknownAmount = 4, Refund,
        "no coin of this amount in the keyset: buy powers of two that the mint offers";
    /// The coin is worth less than the relay takes.
    TooSmall = 5, Refund,
        "voucher too small for this relay: pay with larger ones";
    /// The relay would not have time to redeem.
    LocktimeTooNear = 6, Refund,
        "locktime too near: buy a fresh voucher with a later one";
    /// The relay cannot check the mint's signature without a DLEQ proof.
    DleqMissing = 7, Retry,
        "no DLEQ proof: this relay is not the issuer, present the voucher again with its proof";
    /// Not a coin of this mint that is locked to this relay: forged, altered, of another
    /// denomination, or locked to another key.
    BadSignature = 8, Refund,
        "not signed by the mint for this relay: check the relay's voucher key and the mint's DLEQ proof";
    /// Already credited, to another account.
    Spent = 9, Drop,
        "already spent in another account: use that account, or pay with a fresh voucher";
    /// The relay cannot write to its ledger now.
    Unavailable = 10, Retry,
        "the relay cannot record payments now: present the same voucher again later";
}

impl Refusal {
    /// The code on the wire; codes never change their meaning.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_and_read_back() {
        let codes: Vec<u8> = Refusal::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes, (1..=10).collect::<Vec<u8>>());
        for code in 0..=u8::MAX {
            assert_eq!(
                Refusal::from_code(code).map(Refusal::code),
                codes.contains(&code).then_some(code)
            );
        }
    }

    #[test]
    fn only_a_spent_voucher_is_lost() {
        for refusal in Refusal::ALL {
            assert_eq!(
                refusal.remedy() == Remedy::Drop,
                *refusal == Refusal::Spent,
                "{refusal}"
            );
        }
    }
}
