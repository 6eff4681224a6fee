//! Lanes that neighbours open: new circuits, and data lanes for those there are.

use super::cashier::Judged;
use super::cell::Cell;
use super::{Shared, circuit, packets, pump};
use crate::lane::{LaneError, LaneReader, write};
use crate::link::Link;
use bytes::Bytes;
use coinfuse_circuit::{
    CircuitNumber, CreateRefusal, IncomingCircuit, LaneHeader, MAX_HANDSHAKE, Seed, Welcome,
};
use coinfuse_wire::{Decode, Instant, Msat, TokenBucket, Writer};
use core::time::Duration;
use quinn::{RecvStream, SendStream};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::time::timeout;

/// The circuits that a neighbour opened on one link.
struct Circuits {
    cells: Mutex<HashMap<CircuitNumber, Weak<Cell>>>,
    creates: Mutex<TokenBucket>,
}

impl Circuits {
    fn new(creates_per_second: u32) -> Self {
        let per_second = creates_per_second.max(1);
        let bucket = TokenBucket::new(per_second, Duration::from_secs(1) / per_second);
        Self {
            cells: Mutex::default(),
            creates: Mutex::new(bucket),
        }
    }

    /// Whether the neighbour may make one more circuit now.
    fn admit(&self, now: Instant) -> bool {
        self.creates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CircuitNumber, Weak<Cell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, number: CircuitNumber) -> Option<Arc<Cell>> {
        self.lock().get(&number)?.upgrade()
    }

    /// Notes a new circuit, unless its number is in use.
    fn insert(&self, number: CircuitNumber, cell: &Arc<Cell>) -> bool {
        let mut circuits = self.lock();
        if circuits
            .get(&number)
            .is_some_and(|cell| cell.strong_count() > 0)
        {
            return false;
        }
        if circuits.len() == circuits.capacity() {
            circuits.retain(|_, cell| cell.strong_count() > 0);
        }
        circuits.insert(number, Arc::downgrade(cell));
        true
    }
}

/// Where packets of a link go, if the relay takes any, and what the link is allowed.
type PacketGate = Option<(Arc<packets::Hub>, Arc<packets::Gate>)>;

/// Serves the lanes of a link until it is gone.
pub(super) async fn serve_link(relay: Arc<Shared>, link: Link) {
    let circuits = Arc::new(Circuits::new(relay.limits.creates_per_second));
    let gate = |hub: &Arc<packets::Hub>| (Arc::clone(hub), Arc::new(hub.gate()));
    let gate: PacketGate = relay.packets.as_ref().map(gate);
    loop {
        let lane = tokio::select! {
            lane = link.accept_bi() => lane,
            () = relay.shutdown.cancelled() => return,
        };
        let Ok((send, recv)) = lane else { return };
        tokio::spawn(serve_lane(
            Arc::clone(&relay),
            Arc::clone(&circuits),
            (link.clone(), gate.clone()),
            (send, recv),
        ));
    }
}

async fn serve_lane(
    relay: Arc<Shared>,
    circuits: Arc<Circuits>,
    (link, gate): (Link, PacketGate),
    (mut send, recv): (SendStream, RecvStream),
) {
    let mut reader = LaneReader::new(recv);
    let limit = relay.limits.create_timeout;
    let Ok(Ok(header)) = timeout(limit, read_header(&mut reader)).await else {
        return;
    };
    match header {
        LaneHeader::Data { circuit } => {
            if let Some(cell) = circuits.get(circuit) {
                pump::run_data_lane(cell, reader, send).await;
            }
        }
        LaneHeader::Packets => {
            if let Some((hub, gate)) = gate {
                packets::serve_lane(hub, gate, link, reader.into_stream(), send).await;
            }
        }
        LaneHeader::Control {
            circuit,
            suite,
            handshake,
        } => {
            let mut message = vec![0; usize::from(handshake)];
            match timeout(limit, reader.read_exact(&mut message)).await {
                Ok(Ok(())) => {}
                _ => return,
            }
            let created = create(&relay, &circuits, circuit, suite, &message).await;
            match created {
                Ok((cell, judged, answer)) => {
                    if write(&mut send, answer).await.is_ok() {
                        circuit::run(cell, judged, reader, send).await;
                    }
                }
                Err(refusal) => {
                    let refused = Bytes::copy_from_slice(&[refusal.code()]);
                    if write(&mut send, refused).await.is_ok() {
                        let _already_closed = send.finish();
                        // Not before the neighbour has it.
                        let _gone = send.stopped().await;
                    }
                }
            }
        }
    }
}

async fn read_header(reader: &mut LaneReader) -> Result<LaneHeader, LaneError> {
    let mut header = [0; 8];
    reader.read_exact(&mut header[..1]).await?;
    let len = LaneHeader::len_from_kind(header[0]).map_err(|_| LaneError::Lost)?;
    reader.read_exact(&mut header[1..len]).await?;
    LaneHeader::from_bytes(&header[..len]).map_err(|_| LaneError::Lost)
}

/// Makes a circuit: its cell, its first payment, and the answer for the control lane.
async fn create(
    relay: &Arc<Shared>,
    circuits: &Circuits,
    number: CircuitNumber,
    suite: u8,
    handshake: &[u8],
) -> Result<(Arc<Cell>, Option<Judged>, Bytes), CreateRefusal> {
    if !relay.admit() || !circuits.admit(relay.clock.now()) {
        return Err(CreateRefusal::Busy);
    }
    let seed = Seed::new(crate::clock::random());
    let incoming = IncomingCircuit::read(&relay.id, &relay.onion, suite, handshake, &seed)?;
    let hello = incoming.hello();
    let account = hello.account.id();
    let unix = relay.clock.unix();
    let offer = hello.offer.as_ref();
    let judged = offer.map(|offer| relay.cashier.judge_first(unix, account, offer));
    let (lease, balance) = relay.accounts.lease(account).map_err(|error| {
        tracing::error!(%error, "the ledger cannot be read; circuits are refused");
        CreateRefusal::Busy
    })?;
    let welcome = Welcome {
        quote: relay.quote(unix),
        balance,
        provisional: judged
            .as_ref()
            .map_or(Msat::ZERO, |judged| judged.provisional),
        result: judged.as_ref().and_then(Judged::refusals),
        mints: relay.mints.clone(),
    };
    let (machine, answer) = incoming
        .welcome(&welcome, relay.limits.circuit, relay.clock.now())
        .map_err(|_| CreateRefusal::Malformed)?;
    let cell = Arc::new(Cell::new(Arc::clone(relay), machine, lease));
    if !circuits.insert(number, &cell) {
        return Err(CreateRefusal::NumberInUse);
    }
    debug_assert!(answer.len() <= MAX_HANDSHAKE);
    let mut out = Writer::new();
    out.u8(0);
    out.u16(answer.len() as u16);
    out.put(&answer);
    Ok((cell, judged, out.into_bytes().into()))
}
