//! Writes the seeds anew: `cargo run --no-default-features --example make_seeds`. They are
//! deterministic, so a change in them is a change in a format.

use coinfuse_circuit::{
    AccountToken, CircuitNumber, CloseReason, Hello, Initiator, LaneHeader, NextHop, Offer,
    OnionSecret, PayResult, PaymentNumber, Price, Quote, Reading, RefusedItem, Seed, Suite,
    ToClient, ToRelay, Welcome,
};
use coinfuse_directory::{
    DescriptorBody, ExitPolicy, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey,
};
use coinfuse_fuzz::NOW;
use coinfuse_wire::{ByteCount, Encode, Msat, Rate, RelayId, ServiceCode, TlvWriter, Writer};
use std::error::Error;
use std::path::Path;

type Done = Result<(), Box<dyn Error>>;

fn save(target: &str, name: &str, bytes: &[u8]) -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), bytes)?)
}

/// A seed for a target whose first byte chooses what it reads.
fn choice(target: &str, name: &str, choice: u8, bytes: &[u8]) -> Done {
    save(target, name, &[&[choice], bytes].concat())
}

fn main() -> Done {
    wire()?;
    directory()?;
    voucher()?;
    circuit()?;
    for (target, name, bytes) in coinfuse_fuzz::channel_seeds() {
        save(target, name, &bytes)?;
    }
    for (name, text) in [
        ("name", "example.com:443"),
        ("dot", "Example.com.:80"),
        ("v4", "192.0.2.7:22"),
        ("v6", "[2001:db8::1]:22"),
        ("number", "0x7f.1:80"),
    ] {
        save("target", name, text.as_bytes())?;
    }
    Ok(())
}

fn wire() -> Done {
    choice("wire", "msat", 0, &Msat::new(6_400).to_bytes())?;
    choice("wire", "rate", 2, &Rate::from_msat_per_mib(100).to_bytes())?;
    choice("wire", "time", 3, &NOW.to_bytes())?;
    choice("wire", "relay", 4, &RelayId::new([7; 32]).to_bytes())?;
    choice("wire", "service", 5, &ServiceCode::EXIT.to_bytes())?;
    for (name, value) in [
        ("varint1", 252),
        ("varint3", 253),
        ("varint5", 1 << 16),
        ("varint9", u64::MAX),
    ] {
        let mut out = Writer::new();
        out.varint(value);
        choice("wire", name, 7, &out.into_bytes())?;
    }
    let mut tlv = TlvWriter::new();
    tlv.field(1, &[7]).field(2, b"text").field(300, &[]);
    choice("wire", "tlv", 8, &tlv.into_bytes())?;
    choice("wire", "bytes", 9, &[3, 1, 2, 3])?;
    choice("wire", "price", 10, &[0, 0, 0, 100, 0, 0, 0, 0, 0, 1, 0, 0])
}

fn directory() -> Done {
    let identity = Identity::from_seed([7; 32]);
    let keys = RelayKeys {
        link: LinkKey::new([1; 32]),
        onion: OnionKey::new([2; 32]),
        voucher: VoucherKey::new([2; 33]),
    };
    let mut body = DescriptorBody::new(&identity, keys, NOW);
    let small = body.sign(&identity)?;
    body.addresses.push("192.0.2.7:4433".parse()?);
    body.addresses.push("[2001:db8::7]:4433".parse()?);
    body.services.insert(ServiceCode::EXIT);
    let policy =
        "reject 198.41.0.0/24:*, accept *:80-90, accept6 [2001:db8::]/32:443, accept private:22";
    body.exit_policy = policy.parse()?;
    body.operator = Some("example".parse()?);
    let full = body.sign(&identity)?;
    save("descriptor", "small", small.as_bytes())?;
    save("descriptor", "full", full.as_bytes())?;
    save(
        "directory_file",
        "two",
        format!("# relays\n\n{small}\n{full}\nnonsense\n").as_bytes(),
    )?;
    choice(
        "exit_policy",
        "binary",
        0,
        &policy.parse::<ExitPolicy>()?.to_bytes(),
    )?;
    choice("exit_policy", "url", 2, b"https://mint.example:3338/path")?;
    let asked = [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80];
    choice(
        "exit_policy",
        "text",
        3,
        &[&asked[..], policy.as_bytes()].concat(),
    )?;
    choice(
        "exit_policy",
        "open",
        3,
        &[&asked[..], b"accept *:*"].concat(),
    )
}

/// Two points that exist: the generator of secp256k1, compressed, and its double.
const POINTS: [&str; 2] = [
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
];

fn point(number: usize) -> Vec<u8> {
    let digits = POINTS[number].as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn voucher() -> Done {
    let body = [
        &[0; 8][..],
        &1_900_000_000u32.to_be_bytes(),
        &point(0),
        &point(1),
    ]
    .concat();
    let short = [&[10][..], &body].concat();
    let long = [&[0x80 | 10][..], &body, &[1; 96]].concat();
    choice("voucher", "short", 0, &short)?;
    choice("voucher", "long", 0, &long)?;
    let mut tweak = [&short[..], &[7; 32]].concat();
    tweak[0] |= 0x40;
    choice("voucher", "tweak", 0, &tweak)?;
    choice("voucher", "payment", 1, &[&[2][..], &short, &long].concat())?;
    choice("voucher", "spent", 2, &[5; 40])?;
    choice("voucher", "key", 3, &point(0))
}

fn circuit() -> Done {
    let next = NextHop {
        link_key: [4; 32],
        addresses: vec!["192.0.2.7:4433".parse()?],
    };
    let offer = Offer {
        method: Offer::VOUCHERS,
        payment: vec![9; 79],
    };
    let result = PayResult {
        number: PaymentNumber::FIRST,
        credited: Msat::new(1024),
        refused: vec![RefusedItem {
            index: 1,
            reason: 9,
        }],
    };
    let price = Price {
        up: Rate::from_msat_per_mib(100),
        down: Rate::from_msat_per_mib(50),
    };
    let hello = Hello {
        account: AccountToken::new([1; 32]),
        upstream: Msat::new(500),
        offer: Some(offer.clone()),
    };
    let welcome = Welcome {
        quote: Quote::sign(price, NOW, &[7; 32]),
        balance: Msat::new(1000),
        provisional: Msat::ZERO,
        result: Some(result.clone()),
        mints: vec![1, 2, 3],
    };
    let reading = Reading {
        up: ByteCount::new(1 << 20),
        down: ByteCount::new(1 << 30),
    };
    let onion = OnionSecret::new([9; 32]);
    let suite = Suite::AesGcm;
    let relay = RelayId::new([7; 32]);
    let (_, handshake) = Initiator::start(
        suite,
        &relay,
        &onion.public(),
        &hello.to_bytes(),
        &Seed::new([3; 32]),
    )?;
    save(
        "circuit_handshake",
        "hello",
        &[&[suite.code()], &handshake[..]].concat(),
    )?;
    save("circuit_handshake", "short", &[suite.code(); 40])?;

    let extend = ToRelay::Extend {
        next: next.clone(),
        suite,
        handshake: handshake.to_vec(),
    };
    let pay = ToRelay::Pay {
        number: PaymentNumber::FIRST,
        upstream: Msat::new(9),
        offer: offer.clone(),
    };
    let name = "circuit_messages";
    choice(name, "extend", 0, &extend.to_bytes())?;
    choice(name, "pay", 0, &pay.to_bytes())?;
    choice(
        name,
        "close",
        0,
        &ToRelay::Close(CloseReason::from_code(1)).to_bytes(),
    )?;
    choice(name, "meter", 0, &ToRelay::Meter(reading).to_bytes())?;
    choice(name, "meter_back", 1, &ToClient::Meter(reading).to_bytes())?;
    choice(name, "hello", 2, &hello.to_bytes())?;
    choice(name, "welcome", 3, &welcome.to_bytes())?;
    choice(name, "next", 4, &next.to_bytes())?;
    choice(name, "offer", 5, &offer.to_bytes())?;
    choice(name, "result", 6, &result.to_bytes())?;
    let data = LaneHeader::Data {
        circuit: CircuitNumber(7),
    };
    choice(name, "lane", 11, &data.to_bytes())?;

    // Two records of 40 and 20 bytes and the start of a third, cut every 7 bytes.
    let lane = [&[0, 40][..], &[1; 40], &[0, 20], &[2; 20], &[0, 30, 3]].concat();
    choice("circuit_records", "two", 7, &lane)?;
    choice("circuit_records", "long", 255, &[0xff, 0xff, 1])?;
    // One record of 20 bytes, for each machine and lane.
    let forged = [&[0, 20][..], &[5; 20]].concat();
    for (name, whom) in [
        ("relay_control", 0),
        ("relay_data", 1),
        ("client_control", 2),
        ("client_data", 3),
        ("next_control", 4),
        ("next_data", 5),
    ] {
        choice("circuit_lane", name, whom, &forged)?;
    }
    operations()
}

/// Three bytes each: what, and two operands.
fn operations() -> Done {
    const UP: u8 = 0;
    const DOWN: u8 = 1;
    const PAY_FIRST: u8 = 2;
    const PAY_LAST: u8 = 8;
    const WAIT: u8 = 3;
    const DELIVER: u8 = 4;
    let both = [
        [UP, 1, 0],
        [DOWN, 63, 0],
        [DELIVER, 4, 0],
        [DELIVER, 7, 0],
        [DELIVER, 6, 0],
    ];
    save("circuit_operations", "both", both.as_flattened())?;
    let unpaid = [
        [DOWN, 63, 0],
        [DOWN, 63, 1],
        [UP, 63, 2],
        [UP, 63, 3],
        [PAY_LAST, 9, 200],
    ];
    save("circuit_operations", "unpaid", unpaid.as_flattened())?;
    let paid = [
        [PAY_FIRST, 255, 255],
        [WAIT, 63, 0],
        [UP, 0, 0],
        [DELIVER, 0, 0],
        [DELIVER, 1, 0],
    ];
    save("circuit_operations", "paid", paid.as_flattened())
}
