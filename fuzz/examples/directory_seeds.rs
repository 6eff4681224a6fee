//! Writes the seeds of the targets about comparing directories anew:
//! `cargo run --no-default-features --example directory_seeds`.

use coinfuse_directory::sync::{Answer, Bucket, BucketSet, Cursor, RawDescriptor, Request};
use coinfuse_directory::{
    DescriptorBody, Identity, LinkKey, Load, OnionKey, PeerKey, RelayKeys, Snapshot, SourceOffer,
    VoucherKey, WorkNonce,
};
use coinfuse_fuzz::{DIRECTORY, JOURNAL, NOW};
use coinfuse_wire::Encode;
use std::error::Error;
use std::path::Path;

type Done = Result<(), Box<dyn Error>>;

fn save(target: &str, name: &str, bytes: &[u8]) -> Done {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let folder = seeds.join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), bytes)?)
}

fn main() -> Done {
    let known: Vec<_> = DIRECTORY.iter().collect();
    let first: BucketSet = known[..1]
        .iter()
        .map(|one| Bucket::of(&one.relay))
        .collect();
    let ids = known.iter().map(|one| one.relay).take(2).collect();
    let raw: Vec<RawDescriptor> = known[2..].iter().map(|one| (&***one).into()).collect();
    for (name, request) in [
        ("summary", Request::Summary),
        ("listings", Request::Listings(first)),
        ("descriptors", Request::Descriptors(ids)),
        ("publish", Request::Publish(raw)),
    ] {
        save("directory_question", name, &request.to_bytes())?;
        let answer = DIRECTORY.answer(&request).unwrap_or(Answer::Published(1));
        save("directory_answer", name, &answer.to_bytes())?;
    }
    save("directory_question", "who", &Request::Who.to_bytes())?;
    let halfway = Cursor {
        number: 2,
        ..JOURNAL.cursor()
    };
    for (name, since) in [("changes", Some(halfway)), ("changes_at_first", None)] {
        save(
            "directory_question",
            name,
            &Request::Changes(since).to_bytes(),
        )?;
        let answer = Answer::Changes(JOURNAL.since(since));
        save("directory_answer", name, &answer.to_bytes())?;
    }
    for (name, answer) in [
        ("busy", Answer::Busy),
        ("relay", Answer::Relay(Some(known[0].relay))),
        ("no_relay", Answer::Relay(None)),
    ] {
        save("directory_answer", name, &answer.to_bytes())?;
    }
    let kept = Snapshot::of(&DIRECTORY).to_bytes();
    save("directory_snapshot", "four", &kept)?;
    save("descriptor", "claims", &claims()?)
}

/// A descriptor with the fields that rank a relay, and its source.
fn claims() -> Result<Vec<u8>, Box<dyn Error>> {
    let identity = Identity::from_seed([7; 32]);
    let keys = RelayKeys {
        link: LinkKey::new([1; 32]),
        onion: OnionKey::new([2; 32]),
        voucher: VoucherKey::new([2; 33]),
    };
    let mut body = DescriptorBody::new(&identity, keys, NOW);
    body.load = Some(Load::Medium);
    body.family = DIRECTORY.iter().map(|one| one.relay).collect();
    body.country = Some("NL".parse()?);
    body.work = Some(WorkNonce::new(6357));
    body.source = Some(SourceOffer {
        key: PeerKey::new([9; 32]),
        addresses: vec!["192.0.2.7:4434".parse()?],
    });
    Ok(body.sign(&identity)?.as_bytes().to_vec())
}
