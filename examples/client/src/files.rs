//! The files of a client: `client.toml`, and the seed in the data folder.

use crate::Failure;
use coinfuse::config::{ClientConfig, bootstrap_line};
use coinfuse::discovery::PeerAddress;
use coinfuse::keys::MasterSeed;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

const CONFIG: &str = "client.toml";
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
    match write_new(Path::new(CONFIG), &ClientConfig::template_with(bootstrap)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            println!("{CONFIG} is there already and stays as it is");
            if !bootstrap.is_empty() {
                println!("write this into it: {}", bootstrap_line(bootstrap));
            }
        }
        result => result
            .map(|()| println!("wrote {CONFIG}: name a mint under [[mint]]"))
            .map_err(|error| Failure::Failed(format!("{CONFIG} cannot be written: {error}")))?,
    }
    let config = ClientConfig::load(Path::new(CONFIG)).map_err(Failure::config)?;
    fs::create_dir_all(&config.data_dir).map_err(|error| {
        Failure::Failed(format!(
            "{} cannot be made: {error}",
            config.data_dir.display()
        ))
    })?;
    let seed = config.data_dir.join(SEED);
    MasterSeed::create(&seed).map_err(Failure::failed)?;
    println!(
        "wrote {}: it is your money, back up its folder",
        seed.display()
    );
    let first = match config.bootstrap.is_empty() {
        true => "name a relay under `bootstrap`, then ",
        false => "",
    };
    println!("next: {first}client fund 1000, then client run");
    Ok(())
}

/// Goes to the folder, and reads both.
pub(crate) fn open(dir: &Path) -> Result<(ClientConfig, MasterSeed), Failure> {
    std::env::set_current_dir(dir).map_err(|error| {
        Failure::Config(format!(
            "the folder {} cannot be used: {error}",
            dir.display()
        ))
    })?;
    let path = Path::new(CONFIG);
    if !path.exists() {
        return Err(Failure::Config(format!(
            "there is no {CONFIG} in {}: make one with `client init`, or name the folder with --dir",
            dir.display()
        )));
    }
    let config = ClientConfig::load(path).map_err(Failure::config)?;
    let seed = MasterSeed::load(&config.data_dir.join(SEED)).map_err(Failure::config)?;
    Ok((config, seed))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
