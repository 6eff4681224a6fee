//! One connection of a [`BitcoinPeer`](super::BitcoinPeer).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bitcoin::hashes::Hash;
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::address::Address;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::{Transaction, Wtxid};
use tokio::net::TcpStream;

use super::wire::Wire;
use super::{Misbehaviour, Shared};

/// How far the talk has come, and what was agreed.
struct Talk {
    shared: Arc<Shared>,
    wire: Wire,
    misbehaviour: Option<Misbehaviour>,
    /// The client wants to be told of transactions.
    tell: bool,
    by_wtxid: bool,
}

pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    let misbehaviour = shared.state().misbehaviour;
    if misbehaviour == Some(Misbehaviour::Silent) {
        return std::future::pending().await;
    }
    // From here on, so that nothing is missed while the client greets.
    let mut news = shared.announce.subscribe();
    let wire = Wire::accept(stream, shared.magic, shared.sealed).await?;
    shared.state().sealed_connections += u64::from(wire.is_sealed());
    let mut talk = Talk {
        shared,
        wire,
        misbehaviour,
        tell: false,
        by_wtxid: false,
    };
    talk.greet().await?;
    loop {
        tokio::select! {
            message = talk.wire.read() => talk.on_message(message?).await?,
            Ok(transaction) = news.recv() => talk.announce(&transaction).await?,
        }
    }
}

impl Talk {
    async fn say(&mut self, message: NetworkMessage) -> io::Result<()> {
        self.wire.write(message).await
    }

    fn does(&self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

    async fn greet(&mut self) -> io::Result<()> {
        let NetworkMessage::Version(theirs) = self.wire.read().await? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.tell = theirs.relay;
        self.shared.state().greetings.push(theirs);
        match self.misbehaviour {
            Some(Misbehaviour::OutOfOrder) => {
                let item = Inventory::WTx(Wtxid::all_zeros());
                self.say(NetworkMessage::Inv(vec![item])).await?;
            }
            Some(Misbehaviour::Garbage) => self.wire.write_raw(&[0xAB; 64]).await?,
            Some(Misbehaviour::TooLong) => self.say_too_long().await?,
            _ => {}
        }
        self.say(NetworkMessage::Version(self.version())).await?;
        self.say(NetworkMessage::WtxidRelay).await?;
        self.say(NetworkMessage::SendAddrV2).await?;
        loop {
            match self.wire.read().await? {
                NetworkMessage::WtxidRelay => self.by_wtxid = true,
                NetworkMessage::Verack => break,
                _ => {}
            }
        }
        self.say(NetworkMessage::Verack).await?;
        // What nodes say next, and clients pass over.
        self.say(NetworkMessage::SendHeaders).await?;
        self.say(NetworkMessage::FeeFilter(1000)).await?;
        self.say(NetworkMessage::Ping(7)).await?;
        if self.does(Misbehaviour::AnnouncesOthers) {
            let item = Inventory::WTx(Wtxid::from_byte_array([1; 32]));
            self.say(NetworkMessage::Inv(vec![item])).await?;
        }
        while self.does(Misbehaviour::Flood) {
            self.say(NetworkMessage::Ping(8)).await?;
        }
        Ok(())
    }

    fn version(&self) -> VersionMessage {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let address = Address::new(&nowhere, ServiceFlags::NONE);
        VersionMessage {
            version: 70_016,
            services: ServiceFlags::NETWORK | ServiceFlags::WITNESS,
            timestamp: 1_700_000_000,
            receiver: address.clone(),
            sender: address,
            nonce: 1,
            user_agent: "/testkit:0.1.0/".to_owned(),
            start_height: 0,
            relay: !self.does(Misbehaviour::NoRelay),
        }
    }

    async fn say_too_long(&mut self) -> io::Result<()> {
        let mut header = self.shared.magic.to_bytes().to_vec();
        header.extend_from_slice(b"version\0\0\0\0\0");
        header.extend_from_slice(&(1u32 << 30).to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        self.wire.write_raw(&header).await
    }

    async fn on_message(&mut self, message: NetworkMessage) -> io::Result<()> {
        match message {
            NetworkMessage::Inv(items) => self.on_inv(items).await,
            NetworkMessage::Tx(transaction) => self.on_tx(transaction),
            NetworkMessage::GetData(items) => self.on_getdata(items).await,
            NetworkMessage::Ping(nonce) => self.on_ping(nonce).await,
            _ => Ok(()),
        }
    }

    /// Asks for what it does not have.
    async fn on_inv(&mut self, items: Vec<Inventory>) -> io::Result<()> {
        if self.does(Misbehaviour::HangsUpAtAnnouncement) {
            return Err(io::ErrorKind::Other.into());
        }
        let mut wanted: Vec<Inventory> = items
            .into_iter()
            .filter(|item| self.find(item).is_none())
            .map(|item| match item {
                Inventory::Transaction(txid) => Inventory::WitnessTransaction(txid),
                other => other,
            })
            .collect();
        if wanted.is_empty() || self.does(Misbehaviour::NeverAsks) {
            return Ok(());
        }
        if self.does(Misbehaviour::AsksAgain) {
            wanted = wanted.repeat(100);
            self.say(NetworkMessage::GetData(wanted.clone())).await?;
        }
        self.say(NetworkMessage::GetData(wanted)).await
    }

    fn on_tx(&mut self, transaction: Transaction) -> io::Result<()> {
        self.shared.state().transactions_received += 1;
        if self.does(Misbehaviour::HangsUpAfterTransaction) {
            return Err(io::ErrorKind::Other.into());
        }
        if !self.does(Misbehaviour::Swallows) {
            self.shared.take(Arc::new(transaction));
        }
        Ok(())
    }

    async fn on_getdata(&mut self, items: Vec<Inventory>) -> io::Result<()> {
        for item in items {
            match self.find(&item) {
                Some(found) => self.say(NetworkMessage::Tx((*found).clone())).await?,
                None => self.say(NetworkMessage::NotFound(vec![item])).await?,
            }
        }
        Ok(())
    }

    async fn on_ping(&mut self, nonce: u64) -> io::Result<()> {
        match self.misbehaviour {
            Some(Misbehaviour::StallsAfterTransaction) => Ok(()),
            Some(Misbehaviour::WrongPong) => self.say(NetworkMessage::Pong(!nonce)).await,
            _ => self.say(NetworkMessage::Pong(nonce)).await,
        }
    }

    fn find(&self, item: &Inventory) -> Option<Arc<Transaction>> {
        let state = self.shared.state();
        match item {
            Inventory::WitnessTransaction(txid) | Inventory::Transaction(txid) => {
                state.mempool.get(txid).cloned()
            }
            Inventory::WTx(wtxid) => {
                let mut all = state.mempool.values();
                all.find(|known| known.compute_wtxid() == *wtxid).cloned()
            }
            _ => None,
        }
    }

    async fn announce(&mut self, transaction: &Transaction) -> io::Result<()> {
        if !self.tell {
            return Ok(());
        }
        let item = match self.by_wtxid {
            true => Inventory::WTx(transaction.compute_wtxid()),
            false => Inventory::Transaction(transaction.compute_txid()),
        };
        self.say(NetworkMessage::Inv(vec![item])).await
    }
}
