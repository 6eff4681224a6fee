//! The protocols that a node speaks, and the transport under them.

use crate::codec::{self, DirectoryCodec};
use crate::config::{DiscoveryConfig, Role};
use crate::crowd::Crowd;
use crate::rationed::Rationed;
use crate::store::Store;
use core::num::NonZeroUsize;
use core::time::Duration;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, global_only};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, Transport, identify, kad, memory_connection_limits, noise, ping,
    rendezvous, tcp, yamux,
};

/// Our own DHT, apart from all others.
const KAD_PROTOCOL: StreamProtocol = StreamProtocol::new("/coinfuse/kad/1");
/// What nodes say they are.
const IDENTIFY_PROTOCOL: &str = "/coinfuse/1";
/// The same for all, whatever their version: it would tell clients apart.
const AGENT: &str = "coinfuse";
/// How long a connection may take until it is authenticated.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Streams on one connection, both ways. The DHT alone may have 64.
const MAX_STREAMS: usize = 80;
/// Streams of others on one connection that are not agreed on a protocol yet.
const MAX_NEGOTIATING: usize = 16;
/// Questions about the directory on one connection at once, both ways.
const MAX_QUESTIONS: usize = 8;
/// How often it is tried whether a connection still works.
const PING: Duration = Duration::from_secs(60);
/// With how many nodes a record is stored, and how many providers one of them names. Few, since each
/// relay holds the whole directory in the end.
pub(crate) const REPLICAS: usize = 8;
/// How long an announcement of a provider is kept.
pub(crate) const PROVIDER_TTL: Duration = Duration::from_secs(3600);

/// All protocols of a node.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    memory: Toggle<memory_connection_limits::Behaviour>,
    crowd: Crowd,
    limits: connection_limits::Behaviour,
    pub(crate) kad: Rationed,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) directory: request_response::Behaviour<DirectoryCodec>,
    pub(crate) meet: rendezvous::client::Behaviour,
    meeting_point: Toggle<rendezvous::server::Behaviour>,
}

impl Behaviour {
    fn new(config: &DiscoveryConfig, pair: &Keypair, store: Store) -> Self {
        let relay = config.role == Role::Relay;
        let memory = config.limits.process_memory;
        let support = match config.role {
            Role::Relay => ProtocolSupport::Full,
            Role::Client => ProtocolSupport::Outbound,
        };
        Self {
            memory: memory
                .map(memory_connection_limits::Behaviour::with_max_bytes)
                .into(),
            crowd: Crowd::new(&config.limits, config.private_addresses),
            limits: connection_limits::Behaviour::new(connection_limits(config)),
            kad: Rationed::new(
                kademlia(config.role, pair.public().to_peer_id(), store),
                config.private_addresses,
            ),
            identify: identify::Behaviour::new(
                identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), pair.public())
                    .with_agent_version(AGENT.to_owned())
                    .with_hide_listen_addrs(!relay),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING)),
            directory: request_response::Behaviour::with_codec(
                DirectoryCodec::new(config.limits.questions),
                [(codec::PROTOCOL, support)],
                request_response::Config::default()
                    .with_request_timeout(config.timing.answer)
                    .with_max_concurrent_streams(MAX_QUESTIONS),
            ),
            meet: rendezvous::client::Behaviour::new(pair.clone()),
            meeting_point: relay
                .then(|| rendezvous::server::Behaviour::new(meeting_point()))
                .into(),
        }
    }
}

fn connection_limits(config: &DiscoveryConfig) -> ConnectionLimits {
    let limits = &config.limits;
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.incoming.div_ceil(4)))
        .with_max_pending_outgoing(Some(limits.outgoing))
        .with_max_established_incoming(Some(limits.incoming))
        .with_max_established_outgoing(Some(limits.outgoing))
        .with_max_established_per_peer(Some(limits.per_peer))
}

fn kademlia(role: Role, local: PeerId, store: Store) -> kad::Behaviour<Store> {
    let count = |count| NonZeroUsize::new(count).expect("a constant that is not zero");
    let mut config = kad::Config::new(KAD_PROTOCOL);
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        // The node itself announces, and relays keep the records equal among themselves.
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_caching(kad::Caching::Disabled)
        // A lookup goes several ways that share no node, so that one liar does not decide it.
        .disjoint_query_paths(true)
        .set_parallelism(count(3))
        .set_replication_factor(count(REPLICAS))
        // The routing table is filled from the directory, whose relays are known to be relays; so there
        // is little to find out by looking around.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_periodic_bootstrap_interval(None)
        .set_query_timeout(Duration::from_secs(20));
    let mut kad = kad::Behaviour::with_config(local, store, config);
    kad.set_mode(Some(match role {
        Role::Relay => kad::Mode::Server,
        Role::Client => kad::Mode::Client,
    }));
    kad
}

fn meeting_point() -> rendezvous::server::Config {
    rendezvous::server::Config::default()
        .with_max_registration_per_peer(1)
        .with_max_registration_total(1000)
        .with_max_stored_cookies(1000)
}

/// The swarm, not listening yet.
pub(crate) fn swarm(
    config: &DiscoveryConfig,
    store: Store,
) -> Result<Swarm<Behaviour>, noise::Error> {
    let pair = crate::keys::keypair(*config.peer_seed);
    let transport = transport(&pair, config.private_addresses)?;
    let swarm_config = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(config.timing.idle)
        .with_max_negotiating_inbound_streams(MAX_NEGOTIATING);
    Ok(Swarm::new(
        transport,
        Behaviour::new(config, &pair, store),
        pair.public().to_peer_id(),
        swarm_config,
    ))
}

/// TCP, Noise, yamux. Addresses come from anybody, so what is not on the public Internet is dialled
/// only where that was allowed.
fn transport(
    pair: &Keypair,
    private_addresses: bool,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let noise = noise::Config::new(pair)?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(MAX_STREAMS);
    Ok(if private_addresses {
        secure(tcp(), noise, yamux)
    } else {
        secure(global_only::Transport::new(tcp()), noise, yamux)
    })
}

fn secure<T>(
    transport: T,
    noise: noise::Config,
    yamux: yamux::Config,
) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: Transport<Output = tcp::tokio::TcpStream> + Send + Unpin + 'static,
    T::Error: Send + Sync,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
{
    transport
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(HANDSHAKE)
        .boxed()
}
