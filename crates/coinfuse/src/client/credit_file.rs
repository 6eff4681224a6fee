//! What is left on accounts, kept in a file, so that a client that restarts does not pay before it
//! has used what it paid.
//!
//! One line for each account: the 64 hex digits of its id, a blank, the msat. The file is a memory
//! and not a claim: the relay says what an account holds, and a wrong line costs one top-up more.

use super::private_file;
use coinfuse_circuit::AccountId;
use coinfuse_wire::Msat;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

/// The most accounts that are remembered.
const MAX_ACCOUNTS: usize = 10_000;

/// Reads the file; nothing if there is none. Lines that say nothing are passed over.
pub(super) fn load(path: &Path) -> HashMap<AccountId, Msat> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(parse).take(MAX_ACCOUNTS).collect()
}

/// Writes the file.
pub(super) fn save(path: &Path, left: &HashMap<AccountId, Msat>) -> io::Result<()> {
    let mut text = String::new();
    let worth = left.iter().filter(|(_, left)| !left.is_zero());
    for (account, left) in worth.take(MAX_ACCOUNTS) {
        text += &format!("{} {}\n", hex::encode(account.as_bytes()), left.get());
    }
    private_file::replace(path, text.as_bytes())
}

fn parse(line: &str) -> Option<(AccountId, Msat)> {
    let (id, left) = line.split_once(' ')?;
    let mut account = [0; 32];
    hex::decode_to_slice(id, &mut account).ok()?;
    Some((AccountId::new(account), Msat::new(left.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_nonsense_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credit");
        assert!(load(&path).is_empty());
        let left = HashMap::from([(AccountId::new([7; 32]), Msat::new(12))]);
        save(&path, &left).unwrap();
        assert_eq!(load(&path), left);
        let text = fs::read_to_string(&path).unwrap() + "nonsense\n77 x\n";
        fs::write(&path, text).unwrap();
        assert_eq!(load(&path), left);
    }
}
