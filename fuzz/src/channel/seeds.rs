use super::{honest, scene};
use coinfuse_wire::Encode;

/// A seed: its target, its name, its bytes.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// Seeds for the channel targets.
pub fn channel_seeds() -> Vec<Seed> {
    let honest = honest();
    let (_, sender) = scene::funded();
    let open = sender.open_with_claims();
    let choice = |choice: u8, bytes: &[u8]| [&[choice], bytes].concat();
    let json = |text: String| text.into_bytes();
    let mut seeds = vec![
        ("channel_messages", "open", choice(0, &honest.open)),
        ("channel_messages", "update", choice(1, &honest.update)),
        (
            "channel_messages",
            "params",
            choice(2, &open.params.to_bytes()),
        ),
        (
            "channel_messages",
            "open_json",
            choice(3, &json(open.to_json().expect("it has claims"))),
        ),
        (
            "channel_messages",
            "payment_json",
            choice(3, &json(open.update.to_json())),
        ),
        (
            "channel_messages",
            "update_json",
            choice(4, &json(open.update.to_json_message())),
        ),
        (
            "channel_messages",
            "params_json",
            choice(5, &json(open.params.to_json())),
        ),
        ("channel_forgeries", "none", vec![0]),
        ("channel_forgeries", "capacity", vec![0, 0, 60, 9]),
        ("channel_forgeries", "balance", vec![1, 0, 96, 4]),
        ("channel_forgeries", "longer", vec![1, 1, 0, 4]),
        (
            "channel_operations",
            "life",
            vec![
                0, 0, 0, 0, 0, 2, 9, 6, 0, 2, 9, 6, 0, 10, 0, 11, 0, 11, 0, 11, 0, 0, 0,
            ],
        ),
        (
            "channel_operations",
            "struck",
            vec![
                1, 0, 0, 0, 0, 2, 9, 13, 1, 6, 0, 12, 0, 8, 1, 6, 0, 14, 255, 0, 0,
            ],
        ),
    ];
    seeds.extend(scene::rows().into_iter().map(|(name, sender, rows)| {
        let bytes = [vec![u8::from(!sender)], rows.iter().flat_map(row).collect()].concat();
        ("channel_rows", name, bytes)
    }));
    seeds
}

fn row((part, bytes): &(u8, Vec<u8>)) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("a small row");
    [&[*part][..], &len.to_be_bytes(), bytes].concat()
}
