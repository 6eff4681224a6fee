//! Cashu Spilman payment channels, without I/O.
//!
//! A *sender* funds a channel to a *receiver* with one swap at a Cashu mint, then pays as often as it
//! likes by signing the next *balance*: all that it has paid so far, which only grows. The receiver
//! keeps the newest signature and settles once, with one swap, when it pleases before the *expiry*. The
//! sender finds what is left by itself at the mint, and takes everything back after the expiry if the
//! receiver is gone. To the mint all of it is swaps of locked coins (NUT-03, NUT-11).
//!
//! The channels are those of the public draft (cashubtc/nuts, pull request 296), byte for byte as the
//! crate `cdk-spilman` 0.17 speaks them. `docs/spec/channel.md` is the protocol.
//!
//! # How to drive it
//!
//! > **Every step gives an [`Unsaved`]: write its row, and only then say or do what the next state
//! > allows.**
//!
//! The states are types, a step takes one and gives the next, and the next is only had by
//! [`Unsaved::save`]. A process that starts again gives all rows of a channel to [`Sender::load`] or
//! [`Receiver::load`] and goes on from there; whatever it may have said before its end can be said
//! again. There are no sockets, clocks or randomness in here: the time is a parameter, questions to the
//! mint are what the states offer (`outputs`, `swap`, `watch`, `search`), and its answers are checked.
//!
//! ```text
//! sender                                               receiver
//!   Planned::new                                         Terms::open <───── Open
//!      │ outputs: have the mint sign them                   │
//!   Planned ─ ─ ─ ─ ─ ─ abandon ─ ─ ─ ─ ─ ─ ┐            Receiver ──┐
//!      │ funded                             ╎               │  ↑    │ receive <── Update
//!   Sender ──┐                              ╎               │  └────┘ credit the difference
//!      │  ↑  │ pay ──> Update               ╎               │ settle: swap at the mint
//!      │  └──┘                              ╎            Settling ──┐
//!      │ close                              ╎               │  ↑    │ under: another keyset
//!   Closing                                 ╎               │  └────┘
//!      │ watch, then search or refund       ╎               │ settled        ╎ lost
//!      │ done                               ╎            Settled             ╎
//!   Done <─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ┘               │ collected      ╎
//!                                                        Closed <─ ─ ─ ─ ─ ─ ┘
//! ```
//!
//! What to do when something does not go as it should:
//!
//! * *The mint's answer is lost*: restore the same outputs (NUT-09). Nothing is ever derived from
//!   chance, so they are there if the mint has signed.
//! * *The receiver's answer is lost*: send the same word again. [`Refusal::Replay`] says that it had
//!   arrived.
//! * *The row cannot be written*: [`NotSaved`] has the step, to be saved again.
//! * *A peer lies*: a [`Refusal`] or a [`MintFault`] says how, and the state is as it was.
//!
//! # Example: a whole life
//!
//! ```
//! use cashu::{Amount, CurrencyUnit, SecretKey};
//! use coinfuse_channel::*;
//! use coinfuse_wire::{Decode, Encode, UnixTime};
//! use std::convert::Infallible;
//! # // A mint: it signs whatever it is asked to, and forgets.
//! # use cashu::{BlindSignature, BlindedMessage, Id, KeySet, Keys, dhke::sign_message};
//! # let secrets: std::collections::BTreeMap<Amount, SecretKey> = (0..16)
//! #     .map(|bit| (Amount::from(1 << bit), SecretKey::from_slice(&[bit + 1; 32]).unwrap()))
//! #     .collect();
//! # let keys = Keys::new(secrets.iter().map(|(amount, key)| (*amount, key.public_key())).collect());
//! # let unit = CurrencyUnit::Msat;
//! # let published = KeySet {
//! #     id: Id::v2_from_data(&keys, &unit, 0, None),
//! #     unit, keys, active: Some(true), input_fee_ppk: 0, final_expiry: None,
//! # };
//! # let mint_signs = |outputs: &[BlindedMessage]| -> Vec<BlindSignature> {
//! #     outputs.iter().map(|output| {
//! #         let (key, point) = (&secrets[&output.amount], &output.blinded_secret);
//! #         let c = sign_message(key, point).unwrap();
//! #         BlindSignature::new(output.amount, c, output.keyset_id, point, key).unwrap()
//! #     }).collect()
//! # };
//! # fn key(byte: u8) -> SecretKey { SecretKey::from_slice(&[byte; 32]).unwrap() }
//! # let now = UnixTime::from_secs(1_900_000_000);
//!
//! // A real host writes `(row.channel, row.part) -> row.bytes` to its storage here.
//! fn save<S: core::fmt::Debug>(step: Unsaved<S>) -> S {
//!     step.save(|_row| Ok::<_, Infallible>(())).unwrap()
//! }
//!
//! let keyset = Keyset::new(&published)?; // checked against its id
//! let (alice, charlie) = (key(1), key(2));
//! let params = Params {
//!     mint: "https://mint.example".into(),
//!     unit: CurrencyUnit::Msat,
//!     capacity: 1000.into(),
//!     funding_amount: 1000.into(), // more, if the keyset has a fee: `Ladder::before_fees`, twice
//!     keyset_id: keyset.id(),
//!     input_fee_ppk: keyset.input_fee_ppk(),
//!     max_amount: Amount::ZERO,
//!     setup: now,
//!     expiry: UnixTime::from_secs(now.secs() + 86_400),
//!     sender: alice.public_key(),
//!     receiver: charlie.public_key(),
//! };
//!
//! // The sender plans, has the mint sign, and opens.
//! let planned = save(Planned::new(params, &keyset, &alice)?);
//! let signatures = mint_signs(&planned.outputs());
//! let sender = save(planned.funded(&signatures).map_err(|unmoved| unmoved.error)?);
//! let message = sender.open().to_bytes();
//!
//! // The receiver checks everything, without asking anybody.
//! let mut terms = Terms::new(charlie);
//! terms.keysets.push(("https://mint.example".into(), keyset));
//! let receiver = save(terms.open(now, &Open::from_bytes(&message)?)?);
//!
//! // A payment is a signature of the next balance.
//! let sender = save(sender.pay(now, 250.into()).map_err(|unmoved| unmoved.error)?);
//! let message = sender.update().to_bytes();
//! assert!(message.len() <= Update::MAX_LEN);
//! let update = Update::from_bytes(&message)?;
//! let receiver = save(receiver.receive(now, &update).map_err(|unmoved| unmoved.error)?);
//! assert_eq!(receiver.balance(), 250.into());
//!
//! // Taken twice, it pays once.
//! let unmoved = receiver.receive(now, &update).unwrap_err();
//! assert_eq!(unmoved.error, Refusal::Replay);
//! let receiver = unmoved.state;
//!
//! // The receiver settles: one swap for both parties' coins.
//! let settling = save(receiver.settle());
//! let swap = settling.swap()?;
//! let signatures = mint_signs(swap.outputs());
//! let settled = save(settling.settled(&signatures).map_err(|unmoved| unmoved.error)?);
//! let earned: u64 = settled.coins().iter().map(|coin| coin.amount().to_u64()).sum();
//! assert_eq!(earned, 250);
//! save(settled.collected()); // when `Coin::signed` coins were swapped for plain ones
//!
//! // The sender finds the rest by itself.
//! let closing = save(sender.close());
//! # let signed: Vec<_> = swap.outputs().iter().cloned().zip(signatures).collect();
//! # let mint_restores = |asked: Vec<BlindedMessage>| -> Vec<_> {
//! #     signed.iter().filter(|(output, _)| asked.contains(output)).cloned().collect()
//! # };
//! let mut search = closing.search(&[]);
//! while let Some(outputs) = search.question()? {
//!     search.answer(&mint_restores(outputs))?;
//! }
//! let left: u64 = search.found().iter().map(|coin| coin.amount().to_u64()).sum();
//! assert_eq!(left, 750);
//! save(closing.done());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Messages
//!
//! [`Open`] and [`Update`] have a binary form ([`Encode`](coinfuse_wire::Encode),
//! [`Decode`](coinfuse_wire::Decode)), which is Coinfuse's, and the JSON of the public draft ([`json`]).
//!
//! # What the other side learns
//!
//! Both parties know every blinding factor. If the receiver and the mint work together, they can tell
//! from which swap a channel was funded and what became of it; so fund it with coins that say nothing,
//! and swap what comes of it. The mint alone sees at the settlement that there was a channel, by its
//! lock of two keys and a refund; the keys are blinded for each channel and do not say whose it was.
//! Use a fresh key as sender for each channel.
//!
//! # Limits
//!
//! Numbers from a peer are judged arithmetically before anything is derived from them: no amount of a
//! channel needs more than [`MAX_OUTPUTS`] coins, an opening has at most [`Terms::max_proofs`], a text
//! at most [`json::MAX_JSON_LEN`] bytes. An open channel keeps one line of at most 90 bytes for each
//! output that ever occurred: some 5 kB as a rule, never more than twice [`MAX_OUTPUTS`] of them.

mod channel;
mod coin;
mod commitment;
mod derive;
mod funding;
mod hash;
pub mod json;
mod keyset;
mod message;
mod params;
mod receiver;
mod reclaim;
mod refusal;
mod rows;
mod sender;
mod settle;
mod step;
#[cfg(test)]
mod vectors;

pub use channel::{MAX_MINT_LEN, ParamsError};
pub use coin::Coin;
pub use commitment::BalanceError;
pub use derive::ChannelSecret;
pub use funding::MintFault;
pub use keyset::{AmountError, Keyset, KeysetError, Ladder, MAX_OUTPUTS};
pub use message::{Claim, FundingProof, Open, Update};
pub use params::{ChannelId, Params};
pub use receiver::{Closed, Receiver, ReceiverState, Terms};
pub use reclaim::{Closing, Refund, RefundError, Search};
pub use refusal::{Refusal, RefusalCode, Remedy};
pub use rows::LoadError;
pub use sender::{Done, PayError, Planned, Sender, SenderState, Unmoved};
pub use settle::{Settled, Settling};
pub use step::{NotSaved, Row, Unsaved};

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
