//! The protocol between processes that share a loopback network: one line asks, one line answers.
//!
//! A line is ASCII, at most [`MAX_LINE`] bytes with its line feed, and is made of words separated by
//! one space: a keyword, then fields. Numbers are decimal without sign or leading zeros; hashes and
//! preimages are 64 and node ids 66 lowercase hex digits.
//!
//! | request | answer |
//! |---|---|
//! | `hello` | `done` |
//! | `grant NODE MSAT` | `done`: the node has that much more |
//! | `register HASH PREIMAGE MSAT EXPIRES NODE` | `done`: the invoice can be paid until then |
//! | `pay HASH MSAT NODE` | `paid PREIMAGE` |
//! | `invoice HASH` | `unknown`, `open` or `settled MSAT PAYER PREIMAGE` |
//! | `balance NODE` | `balance MSAT` |
//! | `watch NODE FROM` | `received INDEX HASH MSAT`, one line for each payment that the node got, from number FROM on, until either side hangs up |
//!
//! Any request may be answered with `refused REASON`; see [`Refusal`].

use std::fmt;
use std::str::FromStr;

use coinfuse_wire::{Msat, UnixTime};
use thiserror::Error;

/// The longest line, its line feed included.
pub const MAX_LINE: usize = 320;

macro_rules! hex_field {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(
            /// The bytes.
            pub [u8; $len],
        );

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            /// The name of the type only.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = LineError;

            fn from_str(text: &str) -> Result<Self, LineError> {
                let mut bytes = [0; $len];
                let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) if lower => Ok(Self(bytes)),
                    _ => Err(LineError::Field { what: stringify!($name) }),
                }
            }
        }
    };
}

hex_field! {
    /// A payment hash: the SHA-256 of a preimage.
    Hash, 32
}
hex_field! {
    /// What the payer learns by paying.
    Preimage, 32
}
hex_field! {
    /// A node: its public key, compressed.
    NodeId, 33
}

/// What one asks of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Is anybody there?
    Hello,
    /// Makes money: the only way in which it comes into being.
    Grant {
        /// Who gets it.
        node: NodeId,
        /// How much.
        amount: Msat,
    },
    /// Announces an invoice.
    Register {
        /// Its payment hash.
        hash: Hash,
        /// The preimage of that hash.
        preimage: Preimage,
        /// The exact amount to pay.
        amount: Msat,
        /// From when on it cannot be paid.
        expires: UnixTime,
        /// Who is paid.
        payee: NodeId,
    },
    /// Pays an invoice.
    Pay {
        /// Its payment hash.
        hash: Hash,
        /// Its amount.
        amount: Msat,
        /// Who pays.
        payer: NodeId,
    },
    /// How is it with this invoice?
    Invoice {
        /// Its payment hash.
        hash: Hash,
    },
    /// What does this node hold?
    Balance {
        /// Which node.
        node: NodeId,
    },
    /// Tell me of each payment that this node receives.
    Watch {
        /// Which node.
        node: NodeId,
        /// The number of the first one to tell of, counting from 0.
        from: u64,
    },
}

/// What the network answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// As you say.
    Done,
    /// The invoice is paid now.
    Paid {
        /// The proof.
        preimage: Preimage,
    },
    /// No such invoice.
    Unknown,
    /// The invoice waits for its payment.
    Open,
    /// The invoice has been paid.
    Settled {
        /// How much.
        amount: Msat,
        /// By whom.
        payer: NodeId,
        /// The proof.
        preimage: Preimage,
    },
    /// What a node holds.
    Balance {
        /// How much.
        amount: Msat,
    },
    /// A payment that a watched node received.
    Received {
        /// Its number, counting from 0.
        index: u64,
        /// The payment hash.
        hash: Hash,
        /// The amount.
        amount: Msat,
    },
    /// No, and nothing has changed.
    Refused(Refusal),
}

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)*) => {
        /// Why the network says no. Nothing has changed when it does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
        #[non_exhaustive]
        pub enum Refusal {
            $(
                $(#[doc = $doc])+
                #[error($word)]
                $name,
            )*
        }

        impl FromStr for Refusal {
            type Err = LineError;

            fn from_str(text: &str) -> Result<Self, LineError> {
                match text {
                    $($word => Ok(Self::$name),)*
                    _ => Err(LineError::Field { what: "Refusal" }),
                }
            }
        }

        #[cfg(test)]
        const REFUSALS: &[Refusal] = &[$(Refusal::$name),*];
    };
}

refusals! {
    /// No such invoice here.
    Unknown = "unknown-invoice",
    /// The invoice has been paid before, by whomever.
    AlreadyPaid = "already-paid",
    /// The invoice's time is over.
    Expired = "expired",
    /// The invoice asks for another amount.
    WrongAmount = "wrong-amount",
    /// The payer has less.
    NoFunds = "no-funds",
    /// The payee would hold more than 2^64 msat.
    TooMuch = "too-much",
    /// The preimage is not that of the hash.
    WrongPreimage = "wrong-preimage",
    /// There is an invoice with this hash.
    Duplicate = "duplicate",
    /// The books are full.
    Full = "full",
    /// The request was not understood.
    NotUnderstood = "not-understood",
}

/// A line that says nothing in this protocol; whoever sent it is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is longer than [`MAX_LINE`], not ended, or not UTF-8.
    #[error("not a line of at most {MAX_LINE} bytes")]
    NotALine,
    /// The first word is not known.
    #[error("the keyword is not known")]
    Keyword,
    /// A field is missing or is not what it should be.
    #[error("{what}: missing or not valid")]
    Field {
        /// The type of the field.
        what: &'static str,
    },
    /// There are more fields than there should be.
    #[error("too many fields")]
    Leftover,
    /// The answer is none to what was asked.
    #[error("not an answer to the question")]
    Unexpected,
}

/// The words of a line, taken one by one.
struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        Self(line.split(' '))
    }

    fn word(&mut self, what: &'static str) -> Result<&'a str, LineError> {
        self.0.next().ok_or(LineError::Field { what })
    }

    fn field<T: FromStr<Err = LineError>>(&mut self) -> Result<T, LineError> {
        // A missing word reads as an empty one, and no field is empty.
        self.0.next().unwrap_or_default().parse()
    }

    fn number(&mut self, what: &'static str) -> Result<u64, LineError> {
        let text = self.word(what)?;
        let canonical = text == "0" || !text.starts_with(['0', '+']);
        match text.parse() {
            Ok(number) if canonical => Ok(number),
            _ => Err(LineError::Field { what }),
        }
    }

    fn msat(&mut self) -> Result<Msat, LineError> {
        self.number("Msat").map(Msat::new)
    }

    fn finish<T>(mut self, value: T) -> Result<T, LineError> {
        match self.0.next() {
            None => Ok(value),
            Some(_) => Err(LineError::Leftover),
        }
    }
}

impl FromStr for Request {
    type Err = LineError;

    /// Reads a line without its line feed.
    fn from_str(line: &str) -> Result<Self, LineError> {
        let mut words = Words::of(line);
        let request = match words.word("keyword")? {
            "hello" => Self::Hello,
            "grant" => Self::Grant {
                node: words.field()?,
                amount: words.msat()?,
            },
            "register" => Self::Register {
                hash: words.field()?,
                preimage: words.field()?,
                amount: words.msat()?,
                expires: UnixTime::from_secs(words.number("UnixTime")?),
                payee: words.field()?,
            },
            "pay" => Self::Pay {
                hash: words.field()?,
                amount: words.msat()?,
                payer: words.field()?,
            },
            "invoice" => Self::Invoice {
                hash: words.field()?,
            },
            "balance" => Self::Balance {
                node: words.field()?,
            },
            "watch" => Self::Watch {
                node: words.field()?,
                from: words.number("index")?,
            },
            _ => return Err(LineError::Keyword),
        };
        words.finish(request)
    }
}

impl fmt::Display for Request {
    /// Writes the line without its line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello => write!(f, "hello"),
            Self::Grant { node, amount } => write!(f, "grant {node} {}", amount.get()),
            Self::Register {
                hash,
                preimage,
                amount,
                expires,
                payee,
            } => {
                let (amount, expires) = (amount.get(), expires.secs());
                write!(f, "register {hash} {preimage} {amount} {expires} {payee}")
            }
            Self::Pay {
                hash,
                amount,
                payer,
            } => {
                write!(f, "pay {hash} {} {payer}", amount.get())
            }
            Self::Invoice { hash } => write!(f, "invoice {hash}"),
            Self::Balance { node } => write!(f, "balance {node}"),
            Self::Watch { node, from } => write!(f, "watch {node} {from}"),
        }
    }
}

impl FromStr for Response {
    type Err = LineError;

    /// Reads a line without its line feed.
    fn from_str(line: &str) -> Result<Self, LineError> {
        let mut words = Words::of(line);
        let response = match words.word("keyword")? {
            "done" => Self::Done,
            "paid" => Self::Paid {
                preimage: words.field()?,
            },
            "unknown" => Self::Unknown,
            "open" => Self::Open,
            "settled" => Self::Settled {
                amount: words.msat()?,
                payer: words.field()?,
                preimage: words.field()?,
            },
            "balance" => Self::Balance {
                amount: words.msat()?,
            },
            "received" => Self::Received {
                index: words.number("index")?,
                hash: words.field()?,
                amount: words.msat()?,
            },
            "refused" => Self::Refused(words.field()?),
            _ => return Err(LineError::Keyword),
        };
        words.finish(response)
    }
}

impl fmt::Display for Response {
    /// Writes the line without its line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "done"),
            Self::Paid { preimage } => write!(f, "paid {preimage}"),
            Self::Unknown => write!(f, "unknown"),
            Self::Open => write!(f, "open"),
            Self::Settled {
                amount,
                payer,
                preimage,
            } => {
                write!(f, "settled {} {payer} {preimage}", amount.get())
            }
            Self::Balance { amount } => write!(f, "balance {}", amount.get()),
            Self::Received {
                index,
                hash,
                amount,
            } => {
                write!(f, "received {index} {hash} {}", amount.get())
            }
            Self::Refused(refusal) => write!(f, "refused {refusal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request() -> impl Strategy<Value = Request> {
        let node = || any::<[u8; 32]>().prop_map(|x| NodeId(std::array::from_fn(|i| x[i % 32])));
        let hash = || any::<[u8; 32]>().prop_map(Hash);
        let msat = || any::<u64>().prop_map(Msat::new);
        prop_oneof![
            Just(Request::Hello),
            (node(), msat()).prop_map(|(node, amount)| Request::Grant { node, amount }),
            (hash(), any::<[u8; 32]>(), msat(), any::<u64>(), node()).prop_map(
                |(hash, preimage, amount, expires, payee)| Request::Register {
                    hash,
                    preimage: Preimage(preimage),
                    amount,
                    expires: UnixTime::from_secs(expires),
                    payee,
                }
            ),
            (hash(), msat(), node()).prop_map(|(hash, amount, payer)| Request::Pay {
                hash,
                amount,
                payer
            }),
            hash().prop_map(|hash| Request::Invoice { hash }),
            node().prop_map(|node| Request::Balance { node }),
            (node(), any::<u64>()).prop_map(|(node, from)| Request::Watch { node, from }),
        ]
    }

    fn response() -> impl Strategy<Value = Response> {
        let node = || any::<[u8; 32]>().prop_map(|x| NodeId(std::array::from_fn(|i| x[i % 32])));
        let preimage = || any::<[u8; 32]>().prop_map(Preimage);
        let msat = || any::<u64>().prop_map(Msat::new);
        prop_oneof![
            Just(Response::Done),
            Just(Response::Unknown),
            Just(Response::Open),
            preimage().prop_map(|preimage| Response::Paid { preimage }),
            (msat(), node(), preimage()).prop_map(|(amount, payer, preimage)| {
                Response::Settled {
                    amount,
                    payer,
                    preimage,
                }
            }),
            msat().prop_map(|amount| Response::Balance { amount }),
            (any::<u64>(), any::<[u8; 32]>(), msat()).prop_map(|(index, hash, amount)| {
                Response::Received {
                    index,
                    hash: Hash(hash),
                    amount,
                }
            }),
            proptest::sample::select(REFUSALS).prop_map(Response::Refused),
        ]
    }

    proptest! {
        #[test]
        fn requests_round_trip_and_fit_a_line(request in request()) {
            let line = request.to_string();
            prop_assert!(line.len() < MAX_LINE);
            prop_assert_eq!(line.parse::<Request>(), Ok(request));
        }

        #[test]
        fn responses_round_trip_and_fit_a_line(response in response()) {
            let line = response.to_string();
            prop_assert!(line.len() < MAX_LINE);
            prop_assert_eq!(line.parse::<Response>(), Ok(response));
        }

        #[test]
        fn what_parses_is_canonical(line in "(hello|grant|pay|invoice|balance|watch|done|paid)( [0-9a-f+]{0,3}| (02){33}| (ab){32}){0,3}") {
            if let Ok(request) = line.parse::<Request>() {
                prop_assert_eq!(request.to_string(), line.clone());
            }
            if let Ok(response) = line.parse::<Response>() {
                prop_assert_eq!(response.to_string(), line);
            }
        }
    }

    #[test]
    fn lines_that_say_nothing() {
        for (line, error) in [
            ("", LineError::Keyword),
            ("steal", LineError::Keyword),
            ("hello you", LineError::Leftover),
            ("hello ", LineError::Leftover),
            ("watch", LineError::Field { what: "NodeId" }),
            ("invoice AB", LineError::Field { what: "Hash" }),
        ] {
            assert_eq!(line.parse::<Request>(), Err(error), "{line:?}");
        }
        let node = NodeId([2; 33]);
        for number in ["", "-1", "+1", "01", "18446744073709551616", "1e3"] {
            let line = format!("watch {node} {number}");
            assert_eq!(
                line.parse::<Request>(),
                Err(LineError::Field { what: "index" }),
                "{line}"
            );
        }
    }
}
