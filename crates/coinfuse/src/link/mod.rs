//! Links: one QUIC connection per pair of neighbours, shared by all circuits between them.
//!
//! ```text
//!   LinkPool::get(key, addresses) ──► LinkLease ──► open_bi(): control lane, data lane
//!        │ one dial per neighbour
//!        ▼
//!   LinkEndpoint ── dial ──────────────► LinkEndpoint::serve(on_link)
//!   (a UDP socket)   TLS 1.3, pinned key    │ HandshakeGate: rate limits, retry under load
//! ```
//!
//! What a link promises:
//!
//! * **The peer is who the descriptor says**, or there is no link: its TLS signature is checked under
//!   the pinned [`LinkKey`] itself. The dialling side stays anonymous: it has no certificate.
//! * **Nothing ties two links of one client together**: no TLS tickets, no QUIC address tokens, no
//!   early data, no spin bit.
//! * **A circuit cannot hold up another one.** Each stream has its own window ([`LinkLimits`]), and the
//!   connection as a whole has none.
//! * **Streams only in pairs of directions**; unidirectional streams and datagrams are off.
//!
//! Client addresses are never logged, and no `Debug` in here prints one.

mod accept;
mod cid;
mod connection;
mod dial;
mod endpoint;
mod gate;
mod key;
mod limits;
mod parting;
mod pool;
mod socket;
mod tls;
mod transport;

pub use accept::ServeEnd;
pub use coinfuse_directory::LinkKey;
pub use connection::{CloseReason, Link};
pub use dial::DialError;
pub use endpoint::{BindError, LinkEndpoint};
pub use gate::{HandshakeGate, HandshakeRates, Verdict};
pub use key::LinkSecret;
pub use limits::LinkLimits;
pub use pool::{LinkLease, LinkPool};
