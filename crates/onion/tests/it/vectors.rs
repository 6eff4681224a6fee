//! Every case of every file of BOLT-4's vectors: those of this crate, and those in the folder that
//! the environment variable `COINFUSE_VECTORS` names. What became of each file is written to standard
//! error, past the test's own capture, so that nobody takes a file for run that was not.

mod blinded_message;
mod blinded_payment;
mod json;
mod onion;
mod route_blinding;

use json::Json;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why a file was not run.
type PassedOver = &'static str;

#[test]
fn every_case_of_every_file() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    assert_eq!(run(own), 2, "files of this crate");
    if let Some(folder) = std::env::var_os("COINFUSE_VECTORS") {
        let ran = run(folder.into());
        say(&format!("{ran} files of COINFUSE_VECTORS ran"));
    }
}

#[test]
fn what_is_not_ours_is_named_and_passed_over() {
    let passed_over = |text: &str| {
        let json = serde_json::from_str(text).unwrap();
        check(&Json::new(&json)).unwrap_err()
    };
    assert_eq!(
        passed_over(r#"{"generate": {}, "errorpacket": ""}"#),
        ERRORS
    );
    let frames = r#"{"generate": {"hops": [{"realm": 0, "payload": ""}]}, "onion": ""}"#;
    assert_eq!(passed_over(frames), FRAMES);
    assert_eq!(passed_over(r#"{"generate": {}}"#), UNKNOWN);
    assert_eq!(passed_over("[]"), UNKNOWN);
}

const ERRORS: PassedOver = "returned errors, of which our network has none";
const FRAMES: PassedOver = "frames, as packets had before payloads had lengths";
const UNKNOWN: PassedOver = "no onion and no blinded route";

/// How many of the files in `folder` are onions or blinded routes; they must be right.
fn run(folder: PathBuf) -> usize {
    let ran = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let result = match serde_json::from_str::<Value>(&text) {
            Ok(json) => check(&Json::new(&json)),
            Err(_) => Err("not JSON"),
        };
        say(&match result {
            Ok(kind) => format!("{}: ran, {kind}", file.display()),
            Err(reason) => format!("{}: NOT RUN, {reason}", file.display()),
        });
        result.is_ok()
    };
    files(folder).iter().filter(|file| ran(file)).count()
}

fn say(line: &str) {
    // Unlike `eprintln!`, this is not captured.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs a file on production code; what it was, by its shape.
fn check(file: &Json<'_>) -> Result<&'static str, PassedOver> {
    let generate = file.get("generate").ok_or(UNKNOWN)?;
    if file.get("onionmessage").is_some() {
        blinded_message::check(file);
        return Ok("blinded onion message");
    }
    if generate.get("full_route").is_some() {
        blinded_payment::check(file);
        return Ok("blinded payment");
    }
    if file.get("unblind").is_some() {
        route_blinding::check(file);
        return Ok("route blinding");
    }
    let framed = |hop: &Json<'_>| hop.get("realm").is_some() || hop.get("type").is_some();
    match (file.get("errorpacket"), file.get("onion")) {
        (Some(_), _) => Err(ERRORS),
        (None, Some(_)) if generate.list("hops").iter().any(framed) => Err(FRAMES),
        (None, Some(_)) => {
            onion::check(file);
            Ok("onion, built and peeled")
        }
        (None, None) => Err(UNKNOWN),
    }
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
