//! Writes the seeds of the onion's targets anew:
//! `cargo run --no-default-features --example onion_seeds`.

use coinfuse_fuzz::{NOW, onion_reply_path};
use coinfuse_onion::bolt4::{self, Fill};
use coinfuse_onion::{
    Destination, Frame, HopRecord, Introduction, KeyRing, NextHop, OnionSecret, Packet,
    PaymentBytes, Question, Reply, RingConfig, Role, SMALL, ServiceRefusal, Task, Terms,
};
use coinfuse_wire::{Encode, PacketSize, RelayId, ServiceCode, TlvWriter};
use std::error::Error;
use std::path::Path;

type Done = Result<(), Box<dyn Error>>;

/// A seed for a target whose first byte chooses what it reads.
fn choice(target: &str, name: &str, choice: u8, bytes: &[u8]) -> Done {
    save(target, name, &[&[choice], bytes].concat())
}

fn save(target: &str, name: &str, bytes: &[u8]) -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), bytes)?)
}

fn main() -> Done {
    peel()?;
    record()?;
    reply()?;
    lane()?;
    build()
}

fn peel() -> Done {
    let hop = OnionSecret::from_seed(&[0; 32]).public_key();
    let session = OnionSecret::from_seed(&[9; 32]);
    let hops = [(hop, &b"payload"[..])];
    let packet: Packet<400> = bolt4::build(&session, &Fill::Pad, &hops, b"Coinfuse_onion_v1")?;
    choice("onion_peel", "packet", 0, &packet.to_bytes())?;
    let mut stream = TlvWriter::new();
    stream.field(2, &[7; 40]).field(4, b"message");
    choice("onion_peel", "payload", 1, &stream.into_bytes())?;
    let mut stream = TlvWriter::new();
    stream
        .field(2, &[7; 40])
        .value(6, &onion_reply_path().0)
        .field(7, &[1]);
    choice("onion_peel", "payload_reply", 1, &stream.into_bytes())
}

fn record() -> Done {
    let roles = [
        (
            "relay",
            Role::Forward {
                next: NextHop::Relay(RelayId::new([7; 32])),
            },
        ),
        (
            "mailbox",
            Role::Forward {
                next: NextHop::Mailbox([7; 32]),
            },
        ),
        (
            "deliver",
            Role::Deliver {
                service: ServiceCode::MEMPOOL,
                instruction: vec![1],
            },
        ),
        ("answer", Role::Answer),
    ];
    for (name, role) in roles {
        let terms = Terms {
            payment: Some(PaymentBytes::new(vec![7; 20])?),
            delay: core::time::Duration::from_millis(1500),
        };
        choice(
            "onion_record",
            name,
            0,
            &HopRecord { role, terms }.to_bytes(),
        )?;
    }
    let mut ring = KeyRing::new(RingConfig::default(), NOW, &[1; 32]);
    choice("onion_record", "ring", 1, &ring.to_bytes())?;
    choice("onion_record", "key", 2, &ring.public_key().to_bytes())?;
    ring.change(NOW, &[2; 32]);
    choice("onion_record", "ring_overlap", 1, &ring.to_bytes())
}

fn reply() -> Done {
    choice("onion_reply", "path", 0, &onion_reply_path().0.to_bytes())?;
    let packet: Packet<400> = onion_reply_path().0.answer(&[2; 32], b"answer")?;
    match OnionSecret::from_seed(&[0; 32]).open(packet)?.task {
        Task::Forward { packet, .. } => choice("onion_reply", "answer", 1, &packet.to_bytes()),
        Task::Deliver(_) => Err("an answer is forwarded".into()),
    }
}

fn lane() -> Done {
    let question = Question {
        via: &[],
        to: &Destination {
            key: OnionSecret::from_seed(&[0; 32]).public_key(),
            service: ServiceCode::MEMPOOL,
            instruction: vec![],
            terms: Terms::default(),
        },
        message: b"message",
        reply: None,
    };
    let packet = question.build::<SMALL>(&[1; 32])?.to_bytes();
    let packet = Frame::Packet(PacketSize::Small, packet).to_bytes();
    let mailbox = Frame::Mailbox([7; 32]).to_bytes();
    let introduction = Frame::Introduction(Introduction {
        relay: RelayId::new([7; 32]),
        signature: [8; 64],
    });
    let introduction = introduction.to_bytes();
    choice("onion_lane", "packet", 0, &packet)?;
    choice("onion_lane", "mailbox", 0, &mailbox)?;
    choice("onion_lane", "introduction", 0, &introduction)?;
    let lane = [introduction, mailbox.clone(), mailbox].concat();
    choice("onion_lane", "several", 1, &lane)?;
    choice(
        "onion_lane",
        "served",
        2,
        &Reply::Served(b"txid".to_vec()).to_bytes(),
    )?;
    let refused = Reply::Refused(ServiceRefusal::Busy).to_bytes();
    choice("onion_lane", "refused", 2, &refused)
}

fn build() -> Done {
    // Hops, payment, delay, instruction, answer.
    for (name, plan) in [
        ("one_hop", [0, 79, 0, 0, 0, 0, 0, 0, 0]),
        ("three_hops", [2, 79, 0, 0, 1, 0, 0, 10, 1]),
        ("eight_hops", [7, 175, 1, 0, 0, 0, 4, 0, 1]),
    ] {
        save("onion_build", name, &[&plan[..], b"message"].concat())?;
    }
    Ok(())
}
