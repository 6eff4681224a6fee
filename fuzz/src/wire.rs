use crate::laws::{canonical, choose};
use coinfuse_wire::{
    ByteCount, Msat, Rate, Reader, RelayId, ServiceCode, TlvStream, TlvWriter, UnixTime, Writer,
};

/// The vocabulary: one encoding each, and the price's arithmetic.
pub fn wire(data: &[u8]) {
    let Some((choice, data)) = choose(data, 11) else {
        return;
    };
    match choice {
        0 => canonical::<Msat>(data),
        1 => canonical::<ByteCount>(data),
        2 => canonical::<Rate>(data),
        3 => canonical::<UnixTime>(data),
        4 => canonical::<RelayId>(data),
        5 => canonical::<ServiceCode>(data),
        7 => varint(data),
        8 => stream(data),
        9 => bytes(data),
        _ => price(data),
    }
}

fn varint(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Ok(value) = reader.varint("fuzz") else {
        return;
    };
    let mut out = Writer::new();
    out.varint(value);
    assert_eq!(out.into_bytes(), data[..data.len() - reader.remaining()]);
}

fn bytes(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Ok(body) = reader.bytes(300, "fuzz") else {
        return;
    };
    assert!(body.len() <= 300);
    let mut out = Writer::new();
    out.bytes(body);
    assert_eq!(out.into_bytes(), data[..data.len() - reader.remaining()]);
}

/// A stream that reads to its end is written back to the same bytes.
fn stream(data: &[u8]) {
    let mut stream = TlvStream::new(Reader::new(data));
    let mut out = TlvWriter::new();
    loop {
        match stream.next_field() {
            Ok(Some(field)) => drop(out.field(field.kind, field.value)),
            Ok(None) => break,
            Err(_) => return,
        }
    }
    assert_eq!(out.into_bytes(), data);
}

/// Money buys at most what it pays for, and one byte more costs more.
fn price(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (Ok(rate), Ok(money)) = (reader.u32("rate"), reader.u64("money")) else {
        return;
    };
    let (rate, money) = (Rate::from_msat_per_mib(rate), Msat::new(money));
    let bytes = rate.affordable(money);
    assert!(rate.charge(bytes) <= money || bytes == ByteCount::MAX);
    if let Some(more) = bytes.checked_add(ByteCount::new(1)) {
        assert!(rate.charge(more) > money || rate.charge(more) == Msat::MAX);
    }
}
