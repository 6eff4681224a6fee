//! A peer that speaks the protocols and says whatever a test wants.

use crate::town::PATIENCE;
use coinfuse_directory::PeerKey;
use coinfuse_directory::sync::Request;
use coinfuse_discovery::PeerAddress;
use coinfuse_wire::Decode;
use core::net::SocketAddr;
use futures::StreamExt;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{QueryResult, Quorum, Record};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{Codec, Event, Message, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, kad, noise, rendezvous,
    request_response, tcp, yamux,
};
use std::io;
use tokio::sync::mpsc::{self, UnboundedSender};

/// Bytes each way.
#[derive(Debug, Default, Clone)]
pub(crate) struct Raw {
    /// If set, no more than the first byte of an answer is read; that it came is told here.
    begun: Option<mpsc::UnboundedSender<()>>,
}

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        stream: &mut T,
    ) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        if let Some(begun) = &self.begun {
            stream.read_exact(&mut [0]).await?;
            let _gone = begun.send(());
            return core::future::pending().await;
        }
        self.read_request(protocol, stream).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        stream.write_all(&bytes).await?;
        stream.close().await
    }

    async fn write_response<T>(
        &mut self,
        protocol: &StreamProtocol,
        stream: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write_request(protocol, stream, bytes).await
    }
}

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    directory: request_response::Behaviour<Raw>,
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
    meeting_point: rendezvous::server::Behaviour,
}

pub(crate) struct Stranger {
    swarm: Swarm<Behaviour>,
    registrations: Option<UnboundedSender<PeerKey>>,
}

impl Stranger {
    pub(crate) fn new() -> Self {
        Self::with(Raw::default())
    }

    fn with(codec: Raw) -> Self {
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap()
            .with_behaviour(|pair| {
                let directory = StreamProtocol::new("/coinfuse/directory/1");
                let kad = kad::Config::new(StreamProtocol::new("/coinfuse/kad/1"));
                let local = pair.public().to_peer_id();
                Behaviour {
                    directory: request_response::Behaviour::with_codec(
                        codec,
                        [(directory, ProtocolSupport::Full)],
                        request_response::Config::default(),
                    ),
                    kad: kad::Behaviour::with_config(local, MemoryStore::new(local), kad),
                    identify: identify::Behaviour::new(identify::Config::new(
                        "/coinfuse/1".to_owned(),
                        pair.public(),
                    )),
                    meeting_point: rendezvous::server::Behaviour::new(Default::default()),
                }
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE * 2))
            .build();
        Self {
            swarm,
            registrations: None,
        }
    }

    /// Has it told who leaves word here.
    pub(crate) fn tell_registrations(mut self, whom: UnboundedSender<PeerKey>) -> Self {
        self.registrations = Some(whom);
        self
    }

    /// Asks so often at once, and reads none of the answers. They are on their way when this returns,
    /// until the stranger is dropped.
    pub(crate) async fn that_does_not_read(
        whom: &PeerAddress,
        question: &[u8],
        times: usize,
    ) -> Self {
        let (begun, mut answers) = mpsc::unbounded_channel();
        let mut stranger = Self::with(Raw { begun: Some(begun) });
        let (peer, address) = parts(whom);
        for _ in 0..times {
            let directory = &mut stranger.swarm.behaviour_mut().directory;
            let (question, addresses) = (question.to_vec(), vec![address.clone()]);
            directory.send_request_with_addresses(&peer, question, addresses);
        }
        let mut begun = 0;
        while begun < times {
            tokio::select! {
                _ = stranger.swarm.select_next_some() => {}
                _ = answers.recv() => begun += 1,
            }
        }
        stranger
    }

    /// Waits until nobody is connected with it.
    pub(crate) async fn until_alone(&mut self) {
        while self.swarm.connected_peers().count() > 0 {
            self.swarm.select_next_some().await;
        }
    }

    /// Hangs up.
    pub(crate) async fn leave(&mut self, whom: &PeerAddress) {
        let (peer, _) = parts(whom);
        self.swarm
            .disconnect_peer_id(peer)
            .expect("it is connected");
        loop {
            let event = self.swarm.select_next_some().await;
            if let SwarmEvent::ConnectionClosed { .. } = event {
                return;
            }
        }
    }

    fn key(&self) -> PeerKey {
        key_of(self.swarm.local_peer_id())
    }

    /// Names this one to whoever looks something up.
    pub(crate) fn befriend(&mut self, friend: &PeerAddress) {
        let (peer, address) = parts(friend);
        self.swarm.behaviour_mut().kad.add_address(&peer, address);
    }

    /// Answers each question about the directory as `answer` says, for as long as the test runs.
    pub(crate) async fn serve(
        mut self,
        mut answer: impl FnMut(Request) -> Vec<u8> + Send + 'static,
    ) -> PeerAddress {
        let key = self.key();
        let anywhere = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        self.swarm.listen_on(anywhere).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = self.swarm.select_next_some().await {
                break socket(&address);
            }
        };
        self.swarm
            .behaviour_mut()
            .kad
            .set_mode(Some(kad::Mode::Server));
        tokio::spawn(async move {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::Behaviour(BehaviourEvent::Directory(Event::Message {
                        message:
                            Message::Request {
                                request, channel, ..
                            },
                        ..
                    })) => {
                        let request = Request::from_bytes(&request).expect("honest nodes ask well");
                        let directory = &mut self.swarm.behaviour_mut().directory;
                        let _gone = directory.send_response(channel, answer(request));
                    }
                    SwarmEvent::Behaviour(BehaviourEvent::MeetingPoint(
                        rendezvous::server::Event::PeerRegistered { peer, .. },
                    )) => {
                        let whom = self.registrations.as_ref();
                        let _gone = whom.map(|whom| whom.send(key_of(&peer)));
                    }
                    _ => {}
                }
            }
        });
        PeerAddress { key, address }
    }

    /// Sends a question about the directory; `None` if it is not answered.
    pub(crate) async fn ask(&mut self, whom: &PeerAddress, question: Vec<u8>) -> Option<Vec<u8>> {
        let (peer, address) = parts(whom);
        let directory = &mut self.swarm.behaviour_mut().directory;
        directory.send_request_with_addresses(&peer, question, vec![address]);
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(BehaviourEvent::Directory(Event::Message {
                    message: Message::Response { response, .. },
                    ..
                })) => return (!response.is_empty()).then_some(response),
                SwarmEvent::Behaviour(BehaviourEvent::Directory(Event::OutboundFailure {
                    ..
                })) => return None,
                _ => {}
            }
        }
    }

    /// Stores something in the DHT, at one node; false if that node says no.
    pub(crate) async fn put(&mut self, whom: &PeerAddress, key: Vec<u8>, value: Vec<u8>) -> bool {
        let (peer, address) = parts(whom);
        let kad = &mut self.swarm.behaviour_mut().kad;
        kad.add_address(&peer, address);
        let id = kad.put_record_to(Record::new(key, value), [peer].into_iter(), Quorum::One);
        loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id: of,
                result: QueryResult::PutRecord(result),
                ..
            })) = self.swarm.select_next_some().await
                && of == id
            {
                return result.is_ok();
            }
        }
    }
}

/// The key that a peer's name is made of.
fn key_of(peer: &PeerId) -> PeerKey {
    let name = peer.to_bytes();
    let (_, key) = name.split_last_chunk::<32>().expect("it ends in the key");
    PeerKey::new(*key)
}

fn parts(whom: &PeerAddress) -> (PeerId, Multiaddr) {
    let multiaddr: Multiaddr = whom.to_string().parse().unwrap();
    match multiaddr.iter().last() {
        Some(Protocol::P2p(peer)) => (peer, multiaddr),
        other => panic!("{other:?}"),
    }
}

fn socket(multiaddr: &Multiaddr) -> SocketAddr {
    let mut parts = multiaddr.iter();
    match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => (ip, port).into(),
        other => panic!("{other:?}"),
    }
}
