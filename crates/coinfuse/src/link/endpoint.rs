//! The socket that all links of a process share.

use super::cid::KnownIds;
use super::dial::dial;
use super::parting::Parting;
use super::tls::{self, TlsError};
use super::transport::{Side, transport_config};
use super::{CloseReason, DialError, Link, LinkKey, LinkLimits, LinkSecret, socket};
use core::fmt;
use core::time::Duration;
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, NoneTokenStore, ServerConfig, TokioRuntime,
    ValidationTokenConfig, VarInt,
};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// A UDP socket with QUIC on it: dials neighbours, and with a [`LinkSecret`] is dialled too.
///
/// A cheap handle: clones are the same endpoint. It lives on the tokio runtime on which it was bound.
#[derive(Clone)]
pub struct LinkEndpoint {
    endpoint: Endpoint,
    /// Without what is each link's own; none if nobody can dial us.
    server: Option<ServerConfig>,
    parting: Parting,
    limits: Arc<LinkLimits>,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The operating system refused the socket.
    #[error("UDP {address} cannot be used: {hint}", hint = hint(.source))]
    Socket {
        /// What was to be bound.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The limits contain a value that QUIC does not allow.
    #[error("max_udp_payload must be from 1200 to 65527 bytes, not {0}")]
    UdpPayload(u16),
    /// The TLS library refused our own configuration: a defect of this program.
    #[error("the TLS configuration was refused: {0}")]
    Tls(String),
}

fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port; stop it or choose another".into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".into(),
        io::ErrorKind::PermissionDenied => {
            "the system does not permit it; ports below 1024 need a privilege".into()
        }
        _ => error.to_string(),
    }
}

impl From<TlsError> for BindError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

impl LinkEndpoint {
    /// Binds `address`. With a `secret` others can dial us under its key, see [`Self::serve`];
    /// without one this endpoint only dials. Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BindError::Socket`] is for the operator to act on, see its text.
    pub fn bind(
        address: SocketAddr,
        secret: Option<&LinkSecret>,
        limits: LinkLimits,
    ) -> Result<Self, BindError> {
        let mut config = secret.map(endpoint_config).unwrap_or_default();
        config
            .max_udp_payload_size(limits.max_udp_payload)
            .map_err(|_| BindError::UdpPayload(limits.max_udp_payload))?;
        let server = secret.map(server_config).transpose()?;
        let endpoint = socket::bind(address, limits.socket_buffer)
            .and_then(|socket| {
                let (socket, runtime) = (Arc::new(socket), Arc::new(TokioRuntime));
                Endpoint::new_with_abstract_socket(config, server.clone(), socket, runtime)
            })
            .map_err(|source| BindError::Socket { address, source })?;
        Ok(Self {
            endpoint,
            server,
            parting: Parting::default(),
            limits: Arc::new(limits),
        })
    }

    /// Binds any free port for dialling only: both families where the system has IPv6.
    ///
    /// # Errors
    ///
    /// As [`Self::bind`].
    pub fn bind_for_dialling(limits: LinkLimits) -> Result<Self, BindError> {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self::bind(both, None, limits.clone()).or_else(|_| Self::bind(ipv4, None, limits))
    }

    /// The address and port that the socket has.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The limits given at the beginning.
    pub fn limits(&self) -> &LinkLimits {
        &self.limits
    }

    /// Links open or being opened, in both directions.
    pub fn open_links(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// Makes a link to the holder of `key` at one of `addresses`, which are tried in this order, each 250 ms after
    /// the one before or as soon as that failed; at most eight. Gives up after `limit`.
    ///
    /// Dropping the future abandons the dial. Circuits use a [`LinkPool`](super::LinkPool) instead, to share links.
    ///
    /// # Errors
    ///
    /// The failure that tells most, see [`DialError`].
    pub async fn dial(
        &self,
        addresses: &[SocketAddr],
        key: LinkKey,
        limit: Duration,
    ) -> Result<Link, DialError> {
        // A configuration of its own for each dial: it holds the pinned key.
        let tls = tls::client_config(key).map_err(|_| DialError::Incompatible)?;
        let mut config = ClientConfig::new(Arc::new(tls));
        let parting = self.parting.for_link();
        let transport = transport_config(&self.limits, Side::Dialling, parting.clone());
        config.transport_config(transport);
        // Tokens are kept by name, and we have one name: they would show one relay that we know another.
        config.token_store(Arc::new(NoneTokenStore));
        dial(&self.endpoint, &config, addresses, key, parting, limit).await
    }

    /// Closes all links, refuses newcomers, and waits until the peers were told, but
    /// at most a second.
    pub async fn close(&self, reason: CloseReason) {
        self.parting.begin();
        self.endpoint.close(VarInt::from_u32(reason.code()), b"");
        let _ = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }

    pub(super) fn quinn(&self) -> &Endpoint {
        &self.endpoint
    }

    /// For one link that is dialled.
    pub(super) fn server_config(&self) -> Option<(Arc<ServerConfig>, Parting)> {
        let mut config = self.server.clone()?;
        let parting = self.parting.for_link();
        let transport = transport_config(&self.limits, Side::Dialled, parting.clone());
        config.transport_config(transport);
        Some((Arc::new(config), parting))
    }
}

/// A relay that was killed has told nobody, and its neighbours write on until the silence is too
/// long. So the tokens of its stateless resets outlive it: started again at the same address, it
/// ends a link that it does not know as soon as something comes on it.
fn endpoint_config(secret: &LinkSecret) -> EndpointConfig {
    /// A thousand a second, where quinn has fifty: all links of a busy relay end at once. Each
    /// answers an ID of ours, and is smaller than the packet with it.
    const BETWEEN_RESETS: Duration = Duration::from_millis(1);

    let mut config = EndpointConfig::new(Arc::new(secret.reset_key()));
    let id_key = secret.id_key();
    config
        .cid_generator(move || Box::new(KnownIds::new(id_key.clone())))
        .min_reset_interval(BETWEEN_RESETS);
    config
}

fn server_config(secret: &LinkSecret) -> Result<ServerConfig, TlsError> {
    /// Newcomers that wait to be judged; each holds its first packet.
    const MAX_INCOMING: usize = 1_024;
    /// Bytes of further packets kept for one of them, and for all.
    const INCOMING_BUFFER: u64 = 16 << 10;
    const INCOMING_BUFFER_TOTAL: u64 = 8 << 20;

    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    let mut config = ServerConfig::with_crypto(Arc::new(tls::server_config(secret)?));
    config
        .validation_token_config(tokens)
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    Ok(config)
}

impl fmt::Debug for LinkEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkEndpoint")
            .field("open_links", &self.open_links())
            .finish_non_exhaustive()
    }
}
