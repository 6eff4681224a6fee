//! The control task of a circuit at its client.

use super::ClientError;
use super::cell::Cell;
use super::channels::ChannelPayment;
use super::memory::Memory;
use super::payer::{Claims, Payer, Purchase, refusals};
use super::teller::Teller;
use crate::lane::{LaneReader, write};
use coinfuse_circuit::{ClientEvent, ClientOutput, CloseReason, PayResult, Record};
use coinfuse_wire::{HopIndex, Instant};
use core::time::Duration;
use quinn::SendStream;
use std::sync::Arc;
use tokio::time::timeout;

/// How long the hops may take to answer the last payments, and a last word to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// A circuit that a hop closes before it is that old was not worth its building.
const YOUNG: Duration = Duration::from_secs(60);

/// The control task: sends what the machine says, hears what the hops say, pays.
pub(super) struct Control {
    pub(super) cell: Arc<Cell>,
    pub(super) payer: Arc<Payer>,
    pub(super) memory: Arc<Memory>,
    pub(super) accounts: Claims,
    pub(super) send: SendStream,
    pub(super) reader: LaneReader,
    /// When the circuit was begun.
    pub(super) since: Instant,
}

impl Control {
    /// Runs until all sessions stand. Each hop may take so long to answer.
    pub(super) async fn until_ready(&mut self, patience: Duration) -> Result<(), ClientError> {
        while let Some(hop) = self.missing() {
            let answered = timeout(patience, self.until_there(hop)).await;
            answered.unwrap_or(Err(ClientError::Silent(hop)))?;
        }
        self.drain().await
    }

    /// The next hop without a session.
    fn missing(&self) -> Option<HopIndex> {
        let mut hops = (0..self.accounts.len()).filter_map(HopIndex::new);
        hops.find(|hop| self.cell.credit(*hop).is_none())
    }

    async fn until_there(&mut self, hop: HopIndex) -> Result<(), ClientError> {
        while self.cell.credit(hop).is_none() {
            self.drain().await?;
            let record = self
                .reader
                .next()
                .await
                .map_err(|_| ClientError::CircuitLost)?;
            self.hear(record.ok_or(ClientError::CircuitLost)?)?;
        }
        Ok(())
    }

    /// Runs until the circuit is over.
    pub(super) async fn run(mut self) {
        let orderly = self.serve().await;
        let words = self.leave_channels(orderly).await;
        if !words.is_empty() {
            let _some_are_deaf = timeout(FAREWELL, self.take_leave(words)).await;
        }
        self.cell.over.cancel();
        self.cell.desert();
        self.release_accounts();
        self.payer.remember().await;
        self.say_farewell().await;
    }

    /// What is left on the accounts is there for the next circuit.
    pub(super) fn release_accounts(&mut self) {
        for (index, account) in self.accounts.iter().enumerate() {
            let credit = HopIndex::new(index).and_then(|hop| self.cell.credit(hop));
            if let Some(credit) = credit {
                self.payer.note_left(account, credit.left());
            }
        }
        self.accounts = Arc::new([]);
    }

    /// True when the circuit is to end, false when it has.
    async fn serve(&mut self) -> bool {
        let error = match self.serve_on().await {
            Ok(orderly) => return orderly,
            Err(error) => error,
        };
        tracing::info!(%error, "a circuit ended");
        self.cell.over.cancel();
        let relay = |hop: HopIndex| self.accounts.get(hop.get()).map(|account| account.relay);
        let too_soon = self.is_too_soon(&error);
        let error = match error {
            // A hop on the way is done when the one after it has ended the streams.
            ClientError::Closed(hop, CloseReason::Done) if too_soon && hop != self.last_hop() => {
                ClientError::StreamsEnded(self.last_hop())
            }
            error => error,
        };
        self.memory.went_wrong(&error, too_soon, relay);
        false
    }

    /// Whether a circuit that was closed was just built, and its hops had what they ask for.
    fn is_too_soon(&self, error: &ClientError) -> bool {
        let age = self.cell.clock().now().saturating_since(self.since);
        let in_debt = match error {
            ClientError::Closed(hop, CloseReason::Unpaid) => !self.cell.is_paid(*hop),
            _ => false,
        };
        age < YOUNG && !in_debt
    }

    /// The same, or why it has ended.
    async fn serve_on(&mut self) -> Result<bool, ClientError> {
        let (leaving, over) = (self.cell.leaving.clone(), self.cell.over.clone());
        loop {
            let step = tokio::select! {
                biased;
                () = over.cancelled() => match leaving.is_cancelled() {
                    true => return Ok(false),
                    false => Err(self.hear_why().await),
                },
                () = leaving.cancelled() => return Ok(true),
                () = self.cell.outputs() => Ok(()),
                record = self.reader.next() => match record {
                    Ok(Some(record)) => self.hear(record),
                    _ => Err(ClientError::CircuitLost),
                },
            };
            step?;
            self.drain().await?;
        }
    }

    /// The data lane has ended. Whoever ended it says why on the control lane, at about the same time.
    async fn hear_why(&mut self) -> ClientError {
        let why = async {
            loop {
                let Ok(Some(record)) = self.reader.next().await else {
                    return ClientError::CircuitLost;
                };
                if let Err(error) = self.hear(record) {
                    return error;
                }
                while let Some(output) = self.cell.next_output() {
                    let told = match output {
                        ClientOutput::Event(
                            event @ (ClientEvent::Closed { .. } | ClientEvent::Paid { .. }),
                        ) => self.handle(event),
                        _ => Ok(()),
                    };
                    if let Err(error) = told {
                        return error;
                    }
                }
            }
        };
        let why = timeout(FAREWELL, why).await;
        // The link stands: whoever lost a neighbour would have said so.
        why.unwrap_or_else(|_| match self.cell.has_stalled() {
            true => ClientError::Stalled,
            false => ClientError::StreamsEnded(self.last_hop()),
        })
    }

    fn last_hop(&self) -> HopIndex {
        let last = self.accounts.len().saturating_sub(1);
        HopIndex::new(last).unwrap_or_default()
    }

    /// The channels' last words, hop by hop.
    async fn leave_channels(&self, orderly: bool) -> Vec<(HopIndex, ChannelPayment)> {
        let mut words = Vec::new();
        let Some(channels) = self.payer.channels() else {
            return words;
        };
        for (index, account) in self.accounts.iter().enumerate() {
            let payments = channels.leave(account, orderly).await;
            if let Some(hop) = HopIndex::new(index) {
                words.extend(payments.into_iter().map(|payment| (hop, payment)));
            }
        }
        words
    }

    /// Sends the last words while the circuit stands, and hears what the hops say to them.
    async fn take_leave(&mut self, words: Vec<(HopIndex, ChannelPayment)>) {
        for (hop, payment) in words {
            let offer = payment.offer();
            self.cell.pay(hop, Purchase::Channel(payment), offer, None);
        }
        loop {
            while let Some(output) = self.cell.next_output() {
                let sent = match output {
                    ClientOutput::Transmit(bytes) => write(&mut self.send, bytes).await.is_ok(),
                    ClientOutput::Event(ClientEvent::Paid { hop, result }) => {
                        self.settle(hop, result).is_ok()
                    }
                    ClientOutput::Event(_) => true,
                };
                if !sent {
                    return;
                }
            }
            if !self.cell.awaits_answers() {
                return;
            }
            let Ok(Some(record)) = self.reader.next().await else {
                return;
            };
            if self.hear(record).is_err() {
                return;
            }
        }
    }

    fn hear(&self, record: Record) -> Result<(), ClientError> {
        let (now, unix) = (self.cell.clock().now(), self.cell.clock().unix());
        Ok(self
            .cell
            .with(|state| state.machine.control(now, unix, record))?)
    }

    async fn drain(&mut self) -> Result<(), ClientError> {
        while let Some(output) = self.cell.next_output() {
            match output {
                ClientOutput::Transmit(bytes) => {
                    write(&mut self.send, bytes)
                        .await
                        .map_err(|_| ClientError::CircuitLost)?;
                }
                ClientOutput::Event(event) => self.handle(event)?,
            }
        }
        Ok(())
    }

    fn handle(&self, event: ClientEvent) -> Result<(), ClientError> {
        match event {
            ClientEvent::HopReady { hop, welcome } => {
                if let Some(result) = welcome.result {
                    self.check_first(hop, result)?;
                }
            }
            ClientEvent::Ready => self.tellers().for_each(Teller::attend_soon),
            ClientEvent::Paid { hop, result } => self.settle(hop, result)?,
            ClientEvent::TopUp {
                hop,
                direction,
                amount,
            } => {
                if let Some(teller) = self.teller(hop) {
                    teller.top_up(direction, amount);
                }
            }
            ClientEvent::Paused { hop } => tracing::debug!(%hop, "paused until it is paid"),
            ClientEvent::Closed { hop, reason } => return Err(ClientError::Closed(hop, reason)),
        }
        Ok(())
    }

    /// A welcome says what of a first payment was refused; what was not is not durable yet.
    fn check_first(&self, hop: HopIndex, result: PayResult) -> Result<(), ClientError> {
        let refused = self.check(hop, &result);
        if refused.is_err()
            && let Some(Purchase::Vouchers(vouchers)) = self.cell.lock().answered(hop, &result)
        {
            let payer = Arc::clone(&self.payer);
            tokio::spawn(async move { payer.note_refusals(&vouchers, &result).await });
        }
        refused
    }

    fn settle(&self, hop: HopIndex, result: PayResult) -> Result<(), ClientError> {
        let purchase = self.cell.lock().answered(hop, &result);
        match purchase {
            Some(Purchase::Channel(payment)) => {
                if let Some(teller) = self.teller(hop) {
                    teller.answered(payment, result);
                }
                Ok(())
            }
            Some(Purchase::Vouchers(vouchers)) => {
                let refused = self.check(hop, &result);
                let payer = Arc::clone(&self.payer);
                tokio::spawn(async move { payer.settle(vouchers, &result).await });
                refused
            }
            None => self.check(hop, &result),
        }
    }

    /// A hop that refuses a voucher is given no other one: it could go on until the purse is empty.
    fn check(&self, hop: HopIndex, result: &PayResult) -> Result<(), ClientError> {
        let Some(reason) = refusals(result).next() else {
            return Ok(());
        };
        if let Some(account) = self.accounts.get(hop.get()) {
            self.payer.avoid(account, reason, self.cell.clock().now());
        }
        Err(ClientError::PaymentRefused { hop, reason })
    }

    fn teller(&self, hop: HopIndex) -> Option<Teller> {
        Some(Teller {
            cell: Arc::clone(&self.cell),
            payer: Arc::clone(&self.payer),
            account: self.accounts.get(hop.get())?.account().clone(),
            hop,
        })
    }

    fn tellers(&self) -> impl Iterator<Item = Teller> {
        let hops = (0..self.accounts.len()).filter_map(HopIndex::new);
        hops.filter_map(|hop| self.teller(hop))
    }

    async fn say_farewell(&mut self) {
        let now = self.cell.clock().now();
        self.cell.lock().machine.close(now, CloseReason::Done);
        let words = async {
            while let Some(output) = self.cell.next_output() {
                if let ClientOutput::Transmit(bytes) = output {
                    write(&mut self.send, bytes).await?;
                }
            }
            let _already_closed = self.send.finish();
            Ok::<_, crate::lane::LaneError>(())
        };
        let _deaf = timeout(FAREWELL, words).await;
    }
}
