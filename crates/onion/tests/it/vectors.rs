//! Every case of every file of BOLT-4's vectors: those of this crate, and those in the folder that
//! the environment variable `COINFUSE_VECTORS` names.

mod blinded_message;
mod blinded_payment;
mod json;
mod onion;
mod route_blinding;

use json::Json;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[test]
fn every_case_of_every_file() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    assert_eq!(run(own), 2, "files of this crate");
    if let Some(folder) = std::env::var_os("COINFUSE_VECTORS") {
        let ran = run(folder.into());
        println!("{ran} files of the folder are of this crate");
    }
}

/// How many of the files in `folder` are onions or blinded routes; they must be right.
fn run(folder: PathBuf) -> usize {
    let ran = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let Ok(json) = serde_json::from_str::<Value>(&text) else {
            println!("{}: not JSON", file.display());
            return false;
        };
        let kind = check(&Json::new(&json));
        println!("{}: {}", file.display(), kind.unwrap_or("passed over"));
        kind.is_some()
    };
    files(folder).iter().filter(|file| ran(file)).count()
}

/// What the file was, by its shape. Frames of the first version of BOLT-4 (`realm`), trampoline
/// onions and returned errors are not ours.
fn check(file: &Json<'_>) -> Option<&'static str> {
    let generate = file.get("generate")?;
    if file.get("onionmessage").is_some() {
        blinded_message::check(file);
        return Some("blinded onion message");
    }
    if generate.get("full_route").is_some() {
        blinded_payment::check(file);
        return Some("blinded payment");
    }
    if file.get("unblind").is_some() {
        route_blinding::check(file);
        return Some("route blinding");
    }
    let bare = |hop: &Json<'_>| hop.get("payload").is_some() && hop.get("realm").is_none();
    if file.get("onion").is_some() && generate.list("hops").iter().all(bare) {
        onion::check(file);
        return Some("onion");
    }
    None
}

/// The JSON files in a folder and in the folders below it.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(path)),
            false if path.extension().is_some_and(|ext| ext == "json") => files.push(path),
            false => {}
        }
    }
    files.sort();
    files
}
