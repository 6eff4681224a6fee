//! The control task of a circuit: messages, payments, the next hop, and the end.

use super::cashier::Judged;
use super::cell::{Cell, NextLink};
use super::pump::fits_a_lane;
use crate::lane::{LaneReader, write};
use crate::link::{DialError, LinkKey};
use bytes::Bytes;
use coinfuse_circuit::{
    CircuitNumber, CloseReason, CreateRefusal, ExtendRefusal, LaneHeader, MAX_HANDSHAKE, NextHop,
    PayResult, Record, RelayCircuit, RelayEvent, RelayOutput, Suite,
};
use coinfuse_wire::{Encode, Msat, Writer};
use core::time::Duration;
use quinn::{RecvStream, SendStream};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// What the tasks that the control task started tell it.
enum News {
    Extended(Box<Extended>),
    ExtendFailed(ExtendRefusal),
    Paid {
        result: PayResult,
        upstream: Msat,
        served: Msat,
    },
}

/// The control lane to the next hop.
struct Extended {
    next: NextLink,
    send: SendStream,
    reader: LaneReader,
    answer: Vec<u8>,
}

/// The payments that may wait for the disk at once, per circuit; further ones wait in the lane.
const MAX_PAYMENTS: usize = 8;
/// How long a last word may take to leave.
const FAREWELL: Duration = Duration::from_secs(2);

struct Control {
    cell: Arc<Cell>,
    to_client: SendStream,
    next: Option<(SendStream, LaneReader)>,
    news: mpsc::Sender<News>,
    /// Payments and extensions that are under way.
    pending: usize,
}

/// Runs a circuit until it is over.
pub(super) async fn run(
    cell: Arc<Cell>,
    first: Option<Judged>,
    reader: LaneReader,
    send: SendStream,
) {
    let relay = Arc::clone(&cell.relay);
    relay.stats.circuit_opened();
    let (news, mail) = mpsc::channel(MAX_PAYMENTS + 1);
    let mut control = Control {
        cell: Arc::clone(&cell),
        to_client: send,
        next: None,
        news,
        pending: 0,
    };
    // Its upstream share was settled by the welcome: what comes late goes downstream.
    if let Some(first) = first {
        control.commit(first, Msat::ZERO);
    }
    let reason = control.run(reader, mail).await;
    cell.close(reason);
    control.say_farewell().await;
    relay.stats.circuit_closed();
}

impl Control {
    async fn run(&mut self, mut reader: LaneReader, mut mail: mpsc::Receiver<News>) -> CloseReason {
        let cell = Arc::clone(&self.cell);
        let lifetime = sleep(cell.relay.limits.max_lifetime);
        tokio::pin!(lifetime);
        loop {
            if let Err(reason) = self.drain().await {
                return reason;
            }
            let idle = cell
                .lock()
                .machine
                .poll_timeout()
                .saturating_since(cell.now());
            let busy = self.pending >= MAX_PAYMENTS;
            let step = tokio::select! {
                biased;
                () = cell.over.cancelled() => {
                    return cell.close_reason().unwrap_or(CloseReason::Leaving);
                }
                Some(news) = mail.recv() => { self.hear(news); Ok(()) }
                () = cell.outputs() => Ok(()),
                record = reader.next(), if !busy => match record {
                    Ok(Some(record)) => self.hear_client(record),
                    Ok(None) => return CloseReason::Done,
                    Err(_) => Err(CloseReason::Protocol),
                },
                record = next_record(&mut self.next) => match record {
                    Some(record) if fits_a_lane(RelayCircuit::wrapped_len(&record)) => {
                        cell.lock().machine.control_from_next(cell.now(), record);
                        Ok(())
                    }
                    _ => Err(CloseReason::NextHopLost),
                },
                () = sleep(idle) => {
                    match cell.lock().machine.handle_timeout(cell.now()) {
                        Some(reason) => Err(reason),
                        None => Ok(()),
                    }
                }
                () = &mut lifetime => Err(CloseReason::Lifetime),
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    fn hear_client(&self, record: Record) -> Result<(), CloseReason> {
        let now = self.cell.now();
        let result = self.cell.lock().machine.control_from_client(now, record);
        result.map_err(|error| {
            tracing::debug!(%error, "a circuit is closed");
            error.close_reason()
        })?;
        self.cell.activate()
    }

    /// Does what the machine says.
    async fn drain(&mut self) -> Result<(), CloseReason> {
        while let Some(output) = self.cell.next_output() {
            match output {
                RelayOutput::ToClient(bytes) => {
                    write(&mut self.to_client, bytes)
                        .await
                        .map_err(|_| CloseReason::Done)?;
                }
                RelayOutput::ToNext(bytes) => {
                    if let Some((send, _)) = &mut self.next {
                        write(send, bytes)
                            .await
                            .map_err(|_| CloseReason::NextHopLost)?;
                    }
                }
                RelayOutput::Event(event) => self.handle(event)?,
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: RelayEvent) -> Result<(), CloseReason> {
        match event {
            RelayEvent::Extend {
                next,
                suite,
                handshake,
            } => {
                self.pending += 1;
                let (cell, news) = (Arc::clone(&self.cell), self.news.clone());
                tokio::spawn(async move {
                    let limit = cell.relay.limits.extend_timeout;
                    let extended = timeout(limit, extend(&cell, &next, suite, &handshake)).await;
                    let word = match extended.unwrap_or(Err(ExtendRefusal::TimedOut)) {
                        Ok(extended) => News::Extended(Box::new(extended)),
                        Err(refusal) => News::ExtendFailed(refusal),
                    };
                    let _circuit_over = news.send(word).await;
                });
            }
            RelayEvent::Pay {
                number,
                upstream,
                offer,
            } => {
                let relay = &self.cell.relay;
                let account = self.cell.lock().account();
                let Some(account) = account else {
                    return Err(CloseReason::AccountMoved);
                };
                let judged = relay
                    .cashier
                    .judge(relay.clock.unix(), account, number, &offer);
                if !judged.provisional.is_zero() {
                    let mut state = self.cell.lock();
                    state.machine.add_credit(judged.provisional, upstream);
                    state.wake_waiting();
                }
                self.commit(judged, upstream);
            }
            RelayEvent::Closed(_) => return Err(CloseReason::Done),
        }
        Ok(())
    }

    /// Writes a payment down beside the circuit.
    fn commit(&mut self, judged: Judged, upstream: Msat) {
        self.pending += 1;
        let news = self.news.clone();
        let served = judged.provisional;
        tokio::spawn(async move {
            let result = judged.commit().await;
            let _circuit_over = news
                .send(News::Paid {
                    result,
                    upstream,
                    served,
                })
                .await;
        });
    }

    fn hear(&mut self, news: News) {
        self.pending -= 1;
        let now = self.cell.now();
        let mut state = self.cell.lock();
        match news {
            News::Extended(extended) => {
                let Extended {
                    next,
                    send,
                    reader,
                    answer,
                } = *extended;
                state.set_next(next);
                state.machine.extended(now, answer);
                self.next = Some((send, reader));
            }
            News::ExtendFailed(refusal) => state.machine.extend_failed(now, refusal),
            News::Paid {
                result,
                upstream,
                served,
            } => {
                if served.is_zero() && !result.credited.is_zero() {
                    state.machine.add_credit(result.credited, upstream);
                    state.wake_waiting();
                }
                state.machine.pay_result(now, result);
            }
        }
    }

    /// Tells both neighbours that it is over; the client also why.
    async fn say_farewell(&mut self) {
        let now = self.cell.now();
        let reason = self.cell.close_reason().unwrap_or(CloseReason::Leaving);
        self.cell.lock().machine.close(now, reason);
        let words = async {
            while let Some(output) = self.cell.next_output() {
                if let RelayOutput::ToClient(bytes) = output {
                    write(&mut self.to_client, bytes).await?;
                }
            }
            let _already_closed = self.to_client.finish();
            Ok::<_, crate::lane::LaneError>(())
        };
        let _deaf_client = timeout(FAREWELL, words).await;
        if let Some((send, _)) = &mut self.next {
            let _already_closed = send.finish();
        }
    }
}

/// The next record from the next hop; never, if there is none. `None` when the lane ended.
async fn next_record(next: &mut Option<(SendStream, LaneReader)>) -> Option<Record> {
    match next {
        Some((_, reader)) => reader.next().await.ok().flatten(),
        None => core::future::pending().await,
    }
}

/// Makes a link to the next hop, or uses the one there is, and opens a control lane on it.
async fn extend(
    cell: &Cell,
    next: &NextHop,
    suite: Suite,
    handshake: &[u8],
) -> Result<Extended, ExtendRefusal> {
    let relay = &cell.relay;
    let addresses = relay.extend_policy.judge(next)?;
    let key = LinkKey::new(next.link_key);
    let link = relay
        .links
        .get(key, &addresses)
        .await
        .map_err(refusal_for)?;
    let circuit = relay.next_number();
    let (send, recv) = link
        .open_bi()
        .await
        .map_err(|_| ExtendRefusal::Unreachable)?;
    let mut lane = (send, LaneReader::new(recv));
    let answer = open_control_lane(&mut lane, circuit, suite, handshake).await?;
    let (send, reader) = lane;
    Ok(Extended {
        next: NextLink { link, circuit },
        send,
        reader,
        answer,
    })
}

fn refusal_for(error: DialError) -> ExtendRefusal {
    match error {
        DialError::Timeout => ExtendRefusal::TimedOut,
        DialError::Busy | DialError::Closing | DialError::Refused => ExtendRefusal::Busy,
        _ => ExtendRefusal::Unreachable,
    }
}

/// Opens a control lane on a stream: writes the header and the handshake, reads the answer.
pub(crate) async fn open_control_lane(
    (send, reader): &mut (SendStream, LaneReader),
    circuit: CircuitNumber,
    suite: Suite,
    handshake: &[u8],
) -> Result<Vec<u8>, ExtendRefusal> {
    let lost = |_| ExtendRefusal::Unreachable;
    let header = LaneHeader::Control {
        circuit,
        suite: suite.code(),
        handshake: handshake.len() as u16,
    };
    let mut out = Writer::new();
    out.value(&header);
    out.put(handshake);
    write(send, Bytes::from(out.into_bytes()))
        .await
        .map_err(lost)?;
    let mut status = [0];
    reader.read_exact(&mut status).await.map_err(lost)?;
    if status[0] != 0 {
        return Err(CreateRefusal::from_code(status[0]).as_extend_refusal());
    }
    let mut len = [0; 2];
    reader.read_exact(&mut len).await.map_err(lost)?;
    let len = usize::from(u16::from_be_bytes(len));
    if len > MAX_HANDSHAKE {
        return Err(ExtendRefusal::Refused);
    }
    let mut answer = vec![0; len];
    reader.read_exact(&mut answer).await.map_err(lost)?;
    Ok(answer)
}

/// Opens the data lane of a circuit on a link.
pub(crate) async fn open_data_lane(
    next: &NextLink,
) -> Result<(SendStream, RecvStream), quinn::ConnectionError> {
    let (mut send, recv) = next.link.open_bi().await?;
    let header = LaneHeader::Data {
        circuit: next.circuit,
    }
    .to_bytes();
    // A failure shows at the next write.
    let _lost = write(&mut send, header.into()).await;
    Ok((send, recv))
}
