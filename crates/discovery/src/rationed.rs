//! The DHT, of which each has so much.

use crate::party::{Party, Rates};
use crate::store::Store;
use coinfuse_wire::Instant;
use core::ops::{Deref, DerefMut};
use core::task::{Context, Poll};
use core::time::Duration;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, kad};
use std::collections::{HashMap, VecDeque};

type Kad = kad::Behaviour<Store>;

/// How many messages of a party are taken at once. All that answer our own lookups are among them, and
/// may be from as many relays of a subnet as there are places for it.
const BURST: u32 = 2048;
/// After which time one more is taken.
const INTERVAL: Duration = Duration::from_millis(10);

/// libp2p's Kademlia, with the messages of each party counted. Who sends too many is disconnected, for
/// there is no way to say that this node is busy.
///
/// libp2p answers before it says that something was asked, and mostly not by whom. So they are counted
/// on their way from the connection to it.
pub(crate) struct Rationed {
    kad: Kad,
    private: bool,
    started: tokio::time::Instant,
    messages: Rates,
    parties: HashMap<ConnectionId, Party>,
    closing: VecDeque<(PeerId, ConnectionId)>,
}

impl Rationed {
    pub(crate) fn new(kad: Kad, private: bool) -> Self {
        Self {
            kad,
            private,
            started: tokio::time::Instant::now(),
            messages: Rates::new(BURST, INTERVAL),
            parties: HashMap::new(),
            closing: VecDeque::new(),
        }
    }

    fn connected(&mut self, id: ConnectionId, peer: PeerId, address: &Multiaddr) {
        let party = Party::of(address, peer, self.private);
        self.parties.insert(id, party);
    }

    fn may_go_on(&mut self, connection: ConnectionId) -> bool {
        let now = Instant::from_epoch(self.started.elapsed());
        let party = self.parties.get(&connection);
        party.is_some_and(|party| self.messages.take(*party, now))
    }
}

impl Deref for Rationed {
    type Target = Kad;

    fn deref(&self) -> &Kad {
        &self.kad
    }
}

impl DerefMut for Rationed {
    fn deref_mut(&mut self) -> &mut Kad {
        &mut self.kad
    }
}

impl NetworkBehaviour for Rationed {
    type ConnectionHandler = <Kad as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = <Kad as NetworkBehaviour>::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.kad
            .handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad
            .handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.kad
            .handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad
            .handle_established_outbound_connection(id, peer, address, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionEstablished(connection) => self.connected(
                connection.connection_id,
                connection.peer_id,
                connection.endpoint.get_remote_address(),
            ),
            FromSwarm::ConnectionClosed(connection) => {
                self.parties.remove(&connection.connection_id);
            }
            _ => {}
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if self.may_go_on(connection) {
            self.kad
                .on_connection_handler_event(peer, connection, event);
        } else if self.parties.remove(&connection).is_some() {
            self.closing.push_back((peer, connection));
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            });
        }
        self.kad.poll(cx)
    }
}
