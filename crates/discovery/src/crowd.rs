//! How many connections come from one place.

use crate::config::Limits;
use crate::party::Party;
use core::convert::Infallible;
use core::task::{Context, Poll};
use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use thiserror::Error;

/// Refuses connections of a subnet that has enough of them, before anything is spent on a handshake.
///
/// libp2p counts connections in total and by the peer's key. A key costs nothing, so without this one
/// machine could have all of them.
#[derive(Debug)]
pub(crate) struct Crowd {
    private: bool,
    max_pending: u32,
    max_established: u32,
    connections: HashMap<ConnectionId, Party>,
    counts: HashMap<Party, Count>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    pending: u32,
    established: u32,
}

/// Why a connection is refused: others of its subnet have what there is for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("enough connections of this subnet")]
pub(crate) struct Crowded;

impl Crowd {
    /// `private` exempts addresses that are not public.
    pub(crate) fn new(limits: &Limits, private: bool) -> Self {
        Self {
            private,
            max_pending: limits.pending_per_subnet,
            max_established: limits.incoming_per_subnet,
            connections: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// Somebody wants to connect. The handshake counts until [`established`](Self::established) or
    /// [`failed`](Self::failed).
    fn pending(&mut self, id: ConnectionId, from: &Multiaddr) -> Result<(), Crowded> {
        let Some(party) = Party::at(from, self.private) else {
            return Ok(());
        };
        let count = self.counts.get(&party).copied().unwrap_or_default();
        if count.pending >= self.max_pending || count.established >= self.max_established {
            return Err(Crowded);
        }
        self.counts.entry(party).or_default().pending += 1;
        self.connections.insert(id, party);
        Ok(())
    }

    /// A handshake was made.
    fn established(&self, id: ConnectionId) -> Result<(), Crowded> {
        let party = self.connections.get(&id);
        let count = party.and_then(|party| self.counts.get(party));
        match count.is_some_and(|count| count.established >= self.max_established) {
            true => Err(Crowded),
            false => Ok(()),
        }
    }

    /// All have agreed to a connection.
    fn entered(&mut self, id: ConnectionId) {
        if let Some(party) = self.connections.get(&id)
            && let Some(count) = self.counts.get_mut(party)
        {
            count.pending -= 1;
            count.established += 1;
        }
    }

    /// A handshake was not made, or its connection refused.
    fn failed(&mut self, id: ConnectionId) {
        self.forget(id, |count| count.pending -= 1);
    }

    fn closed(&mut self, id: ConnectionId) {
        self.forget(id, |count| count.established -= 1);
    }

    fn forget(&mut self, id: ConnectionId, less: impl FnOnce(&mut Count)) {
        let Some(party) = self.connections.remove(&id) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&party) {
            less(count);
            if count.pending + count.established == 0 {
                self.counts.remove(&party);
            }
        }
    }
}

impl NetworkBehaviour for Crowd {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.pending(id, from).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.established(id).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(connection) => {
                if let ConnectedPoint::Listener { .. } = connection.endpoint {
                    self.entered(connection.connection_id);
                }
            }
            FromSwarm::ConnectionClosed(connection) => self.closed(connection.connection_id),
            FromSwarm::ListenFailure(failure) => self.failed(failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(private: bool) -> Crowd {
        let limits = Limits {
            pending_per_subnet: 2,
            incoming_per_subnet: 3,
            ..Limits::default()
        };
        Crowd::new(&limits, private)
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn from(address: &str) -> Multiaddr {
        format!("/ip4/{address}/tcp/1").parse().unwrap()
    }

    #[test]
    fn handshakes_of_a_subnet_are_bounded_and_others_come_in() {
        let mut crowd = crowd(false);
        assert_eq!(crowd.pending(id(1), &from("1.2.3.4")), Ok(()));
        assert_eq!(crowd.pending(id(2), &from("1.2.3.5")), Ok(()));
        assert_eq!(crowd.pending(id(3), &from("1.2.3.6")), Err(Crowded));
        assert_eq!(crowd.pending(id(4), &from("1.2.4.4")), Ok(()));
        // One that failed makes room, and one that was refused does not.
        crowd.failed(id(3));
        assert_eq!(crowd.pending(id(5), &from("1.2.3.4")), Err(Crowded));
        crowd.failed(id(1));
        assert_eq!(crowd.pending(id(6), &from("1.2.3.4")), Ok(()));
    }

    #[test]
    fn connections_of_a_subnet_are_bounded_whatever_their_keys() {
        let mut crowd = crowd(false);
        for number in 0..3 {
            crowd.pending(id(number), &from("1.2.3.4")).unwrap();
            crowd.established(id(number)).unwrap();
            crowd.entered(id(number));
        }
        assert_eq!(crowd.pending(id(3), &from("1.2.3.9")), Err(Crowded));
        crowd.closed(id(0));
        // Two handshakes begin when there is room for one connection.
        crowd.pending(id(4), &from("1.2.3.9")).unwrap();
        crowd.pending(id(5), &from("1.2.3.9")).unwrap();
        crowd.established(id(4)).unwrap();
        crowd.entered(id(4));
        assert_eq!(crowd.established(id(5)), Err(Crowded));
        crowd.failed(id(5));
        for number in [1, 2, 4] {
            crowd.closed(id(number));
        }
        assert!(crowd.counts.is_empty() && crowd.connections.is_empty());
    }

    #[test]
    fn in_a_network_of_ones_own_all_may_be_at_one_address() {
        let mut own = crowd(true);
        let mut proxied = crowd(false);
        for number in 0..100 {
            own.pending(id(number), &from("127.0.0.1")).unwrap();
            let refused = proxied.pending(id(number), &from("127.0.0.1")).is_err();
            assert_eq!(refused, number >= 2);
        }
        own.pending(id(100), &from("1.2.3.4")).unwrap();
        own.pending(id(101), &from("1.2.3.4")).unwrap();
        assert_eq!(own.pending(id(102), &from("1.2.3.4")), Err(Crowded));
    }
}
