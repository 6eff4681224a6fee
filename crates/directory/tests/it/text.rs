//! Directory files.

use crate::{NOW, identity, relay};
use coinfuse_directory::{
    DescriptorError, Directory, DirectoryFile, DirectoryFull, Inserted, LineError, TextError,
    UnverifiedDescriptor,
};
use coinfuse_wire::{DecodeError, ServiceCode, UnixTime};
use proptest::prelude::*;

#[test]
fn a_bad_line_costs_one_relay_and_is_named() {
    let (good, other) = (relay(1, |_| {}), relay(2, |_| {}));
    let expired = relay(3, |body| {
        body.published = UnixTime::from_secs(1_000);
        body.expires = UnixTime::from_secs(2_000);
    });
    let mut forged = other.to_string();
    forged.replace_range(forged.len() - 4.., "AAAA");
    let text = format!(
        "\u{feff}# relays\r\n\r\n  {good}\r\nhello\n{expired}\n{forged}\ncoinfuse-relay1:!!\n\
         coinfuse-relay1:AQ\n{other}"
    );
    let file = DirectoryFile::parse(&text, NOW);
    assert_eq!(file.directory.len(), 2);
    let problems: Vec<_> = file.problems.iter().map(|p| (p.line, p.reason)).collect();
    let expires = UnixTime::from_secs(2_000);
    assert_eq!(
        problems,
        [
            (4, LineError::Text(TextError::Prefix)),
            (
                5,
                LineError::Descriptor(DescriptorError::Expired { expires, now: NOW })
            ),
            (6, LineError::Descriptor(DescriptorError::BadSignature)),
            (7, LineError::Text(TextError::Base64)),
            (
                8,
                LineError::Text(TextError::Descriptor(DecodeError::Missing {
                    what: "relay"
                }))
            ),
        ]
    );
    assert_eq!(
        file.problems[2].to_string(),
        "line 6: the signature does not verify"
    );
}

#[test]
fn the_highest_sequence_of_a_relay_counts_in_any_order() {
    let at = |sequence| relay(1, |body| body.sequence = sequence);
    for order in [[5, 7, 6], [7, 6, 5], [6, 5, 7]] {
        let lines: Vec<_> = order.map(|sequence| at(sequence).to_string()).to_vec();
        let file = DirectoryFile::parse(&lines.join("\n"), NOW);
        assert_eq!(file.problems, []);
        assert_eq!(
            file.directory
                .get(&identity(1).relay_id())
                .unwrap()
                .sequence,
            7
        );
    }
}

#[test]
fn a_line_as_long_as_a_file_is_refused_unread() {
    let line = format!("coinfuse-relay1:{}", "A".repeat(8_000));
    assert_eq!(
        line.parse::<UnverifiedDescriptor>(),
        Err(TextError::Descriptor(DecodeError::TooLarge {
            what: "descriptor",
            got: 6_000,
            max: 4_096
        }))
    );
}

#[test]
fn a_directory_is_bounded_finds_by_name_and_service_and_forgets() {
    let mut directory = Directory::with_limit(2);
    assert_eq!(directory.insert(relay(1, |_| {})), Ok(Inserted::Added));
    let exit = relay(2, |body| {
        body.services.insert(ServiceCode::EXIT);
        body.expires = UnixTime::from_secs(NOW.secs() + 60);
    });
    assert_eq!(directory.insert(exit.clone()), Ok(Inserted::Added));
    assert_eq!(directory.insert(exit.clone()), Ok(Inserted::Unchanged));
    assert_eq!(
        directory.insert(relay(3, |_| {})),
        Err(DirectoryFull { limit: 2 })
    );
    // Full is no reason to keep what is out of date.
    assert_eq!(
        directory.insert(relay(1, |body| body.sequence += 1)),
        Ok(Inserted::Replaced)
    );
    let exits: Vec<_> = directory
        .offering(ServiceCode::EXIT)
        .map(|relay| relay.relay)
        .collect();
    assert_eq!(exits, [exit.relay]);
    assert!(directory.remove(&exit.relay).is_some());
    assert!(directory.get(&exit.relay).is_none() && directory.len() == 1);
}

#[test]
fn a_directory_written_is_the_directory_read() {
    let mut directory = Directory::new();
    directory.extend((0..20).map(|number| relay(number, |_| {})));
    let read = DirectoryFile::parse(&directory.to_text(), NOW).directory;
    assert!(directory.iter().eq(read.iter()) && read.len() == 20);
}

proptest! {
    #[test]
    fn reading_a_file_is_total(text in "(\\PC|\n|coinfuse-relay1:|AQAA){0,40}") {
        let file = DirectoryFile::parse(&text, NOW);
        prop_assert!(file.directory.is_empty());
    }
}
