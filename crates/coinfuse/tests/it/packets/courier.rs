//! Whoever brings packets to a relay, by hand.

use super::office::Office;
use crate::network::soon;
use crate::support::{PATIENCE, dialler};
use coinfuse::link::{Link, LinkEndpoint, LinkKey};
use coinfuse_circuit::LaneHeader;
use coinfuse_directory::{Descriptor, Identity};
use coinfuse_onion::{Frame, FrameKind, INTRODUCTION_LABEL, Introduction};
use coinfuse_wire::{Encode, PacketSize};

/// A packet lane to a relay.
pub(crate) struct Courier {
    pub(crate) link: Link,
    pub(crate) send: quinn::SendStream,
    recv: quinn::RecvStream,
}

impl Courier {
    /// A lane of somebody who does not say who it is.
    pub(crate) async fn anonymous(office: &Office) -> Self {
        Self::from(&dialler(), office).await
    }

    pub(crate) async fn from(endpoint: &LinkEndpoint, office: &Office) -> Self {
        Self::to(endpoint, &office.descriptor()).await
    }

    pub(crate) async fn to(endpoint: &LinkEndpoint, descriptor: &Descriptor) -> Self {
        let key = LinkKey::new(*descriptor.keys.link.as_bytes());
        let link = endpoint.dial(&descriptor.addresses, key, PATIENCE).await;
        Self::on(link.unwrap()).await
    }

    /// One more lane on a link.
    pub(crate) async fn on(link: Link) -> Self {
        let (mut send, recv) = link.open_bi().await.unwrap();
        send.write_all(&LaneHeader::Packets.to_bytes())
            .await
            .unwrap();
        Self { link, send, recv }
    }

    /// A lane of a relay.
    pub(crate) async fn of_relay(identity: &Identity, office: &Office) -> Self {
        let mut courier = Self::anonymous(office).await;
        let exported = courier.link.export_keying_material(INTRODUCTION_LABEL);
        let introduction = Introduction {
            relay: identity.relay_id(),
            signature: identity.sign("coinfuse packet lane v1", &exported.unwrap()),
        };
        courier.send(Frame::Introduction(introduction)).await;
        courier
    }

    /// A lane with a mailbox.
    pub(crate) async fn with_mailbox(office: &Office, name: [u8; 32]) -> Self {
        let mut courier = Self::anonymous(office).await;
        courier.send(Frame::Mailbox(name)).await;
        courier
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        self.send.write_all(&frame.to_bytes()).await.unwrap();
    }

    pub(crate) async fn bring(&mut self, packet: Vec<u8>) {
        let size = PacketSize::ALL
            .into_iter()
            .find(|size| size.len() == packet.len());
        self.send(Frame::Packet(size.unwrap(), packet)).await;
    }

    /// The next packet that comes down.
    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        let packet = async {
            let mut kind = [0];
            self.recv.read_exact(&mut kind).await.unwrap();
            let kind = FrameKind::from_byte(kind[0]).unwrap();
            assert!(matches!(kind, FrameKind::Packet(_)), "{kind:?}");
            let mut body = vec![0; kind.body_len()];
            self.recv.read_exact(&mut body).await.unwrap();
            body
        };
        soon("a packet", packet).await
    }

    /// The relay has ended the lane.
    pub(crate) async fn is_ended(&mut self) {
        let mut byte = [0];
        let ended = soon("the lane's end", self.recv.read(&mut byte)).await;
        assert!(!matches!(ended, Ok(Some(_))), "it said something");
    }
}
