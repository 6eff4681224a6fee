//! The files of a relay: `relay.toml`, and the seed in the data folder.

use crate::Failure;
use coinfuse::config::{RelayConfig, bootstrap_line};
use coinfuse::discovery::PeerAddress;
use coinfuse::keys::MasterSeed;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

const CONFIG: &str = "relay.toml";
const SEED: &str = "seed";

/// Writes both files; neither is ever overwritten.
pub(crate) fn init(dir: &Path, bootstrap: &[PeerAddress]) -> Result<(), Failure> {
    fs::create_dir_all(dir)
        .and_then(|()| std::env::set_current_dir(dir))
        .map_err(|error| {
            Failure::Failed(format!(
                "the folder {} cannot be used: {error}",
                dir.display()
            ))
        })?;
    match write_new(Path::new(CONFIG), &RelayConfig::template_with(bootstrap)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            println!("{CONFIG} is there already and stays as it is");
            if !bootstrap.is_empty() {
                println!("write this into it: {}", bootstrap_line(bootstrap));
            }
        }
        result => result
            .map(|()| {
                println!("wrote {CONFIG}: set `advertise`, a price, and a mint under [[accept]]")
            })
            .map_err(|error| Failure::Failed(format!("{CONFIG} cannot be written: {error}")))?,
    }
    let config = RelayConfig::load(Path::new(CONFIG)).map_err(Failure::config)?;
    fs::create_dir_all(&config.data_dir).map_err(|error| {
        Failure::Failed(format!(
            "{} cannot be made: {error}",
            config.data_dir.display()
        ))
    })?;
    let seed = config.data_dir.join(SEED);
    MasterSeed::create(&seed).map_err(Failure::failed)?;
    println!(
        "wrote {}: all keys come from it, back it up",
        seed.display()
    );
    println!("next: relay run");
    Ok(())
}

/// Goes to the folder, and reads both.
pub(crate) fn open(dir: &Path) -> Result<(RelayConfig, MasterSeed), Failure> {
    std::env::set_current_dir(dir).map_err(|error| {
        Failure::Config(format!(
            "the folder {} cannot be used: {error}",
            dir.display()
        ))
    })?;
    let path = Path::new(CONFIG);
    if !path.exists() {
        return Err(Failure::Config(format!(
            "there is no {CONFIG} in {}: make one with `relay init`, or name the folder with --dir",
            dir.display()
        )));
    }
    let config = RelayConfig::load(path).map_err(Failure::config)?;
    let seed = MasterSeed::load(&config.data_dir.join(SEED)).map_err(Failure::config)?;
    if config.mint.is_some() && !cfg!(feature = "mint") {
        return Err(Failure::Config(format!(
            "{CONFIG} has a [mint] section, but this relay was built without the feature `mint`: \
             build it with `--features mint`, or delete the section"
        )));
    }
    Ok((config, seed))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(all(test, not(feature = "mint")))]
mod tests {
    use super::*;

    /// The only test here, since it changes the working folder of the process.
    #[test]
    fn a_mint_in_the_file_needs_the_feature_and_says_so() {
        let folder = std::env::temp_dir().join(format!("coinfuse-relay-{}", std::process::id()));
        init(&folder, &[]).unwrap();
        let mint = "[mint]\nlisten = \"127.0.0.1:0\"\nurl = \"http://127.0.0.1:1\"\nlightning = \"loopback\"\n";
        fs::write(folder.join(CONFIG), mint).unwrap();
        let failure = open(&folder).unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(failure, Failure::Config(words) if words.contains("feature `mint`")));
    }
}
