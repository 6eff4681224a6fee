use crate::laws::{canonical, choose, stable};
use coinfuse_circuit::{
    Assembler, Hello, IncomingCircuit, LaneHeader, MAX_CIPHERTEXT, NextHop, Offer, OnionSecret,
    PayResult, Price, Quote, Reading, Seed, Suite, ToClient, ToRelay, Welcome,
};
use coinfuse_wire::RelayId;

/// Every message of a circuit, as either side hears it.
pub fn circuit_messages(data: &[u8]) {
    let Some((choice, data)) = choose(data, 12) else {
        return;
    };
    match choice {
        0 => canonical::<ToRelay>(data),
        1 => canonical::<ToClient>(data),
        2 => stable::<Hello>(data),
        3 => stable::<Welcome>(data),
        4 => canonical::<NextHop>(data),
        5 => canonical::<Offer>(data),
        6 => canonical::<PayResult>(data),
        7 => canonical::<Reading>(data),
        8 => canonical::<Price>(data),
        9 => canonical::<Quote>(data),
        10 => canonical::<Suite>(data),
        _ => canonical::<LaneHeader>(data),
    }
}

/// Nobody without the relay's onion key gets past the handshake, and a wrong one is refused.
pub fn circuit_handshake(data: &[u8]) {
    let Some((suite, handshake)) = data.split_first() else {
        return;
    };
    let (relay, key) = (RelayId::new([7; 32]), OnionSecret::new([9; 32]));
    // A valid handshake is possible, from a fuzzer that is the client; then its Hello was parsed.
    if let Ok(circuit) = IncomingCircuit::read(&relay, &key, *suite, handshake, &Seed::new([3; 32]))
    {
        let _ = circuit.hello();
    }
}

/// The records of a lane do not depend on how its bytes are cut up on the way.
pub fn circuit_records(data: &[u8]) {
    let Some((&size, lane)) = data.split_first() else {
        return;
    };
    let whole = records(lane.chunks(lane.len().max(1)));
    let cut = records(lane.chunks(usize::from(size).max(1)));
    assert_eq!(whole, cut);
    if let Some(records) = whole {
        let total: usize = records.iter().map(|record| record.len()).sum();
        assert!(total <= lane.len());
        assert_eq!(
            records.concat(),
            lane[..total],
            "the bytes of the lane, in order"
        );
    }
}

/// The wire form of each complete record; `None` when a length is not allowed.
fn records<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Vec<u8>>> {
    let mut assembler = Assembler::new();
    let mut records = Vec::new();
    for mut chunk in chunks {
        while !chunk.is_empty() {
            assembler.feed(&mut chunk);
            // Until there is none: a length that follows a record is judged too.
            while let Some(record) = assembler.take().ok()? {
                assert!(record.ciphertext_len() <= MAX_CIPHERTEXT);
                records.push(record.into_wire().to_vec());
            }
        }
    }
    Some(records)
}
