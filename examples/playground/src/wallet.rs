//! A wallet with money in it, in files as the programs `client` and `broadcast` use them.

use crate::town::{Town, fund};
use anyhow::Result;
use coinfuse::config::ClientConfig;
use coinfuse::discovery::PeerAddress;
use coinfuse::keys::MasterSeed;
use coinfuse::node::open_purse;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Makes the files in a folder of the town; where the configuration is.
pub(crate) async fn make(town: &Town) -> Result<PathBuf> {
    let folder = town.folder.path().join("wallet");
    let data = folder.join("client-data");
    std::fs::create_dir_all(&data)?;
    let file = folder.join("client.toml");
    let peers = town.bootstrap.iter().map(PeerAddress::to_string);
    let mut text = format!("bootstrap = {:?}\n", peers.collect::<Vec<_>>());
    for mint in &town.mint_ids {
        writeln!(text, "[[mint]]\nurl = \"{}\"\nunit = \"msat\"", mint.url())?;
    }
    std::fs::write(&file, &text)?;
    let seed = data.join("seed");
    MasterSeed::create(&seed)?;
    let mut config = ClientConfig::load(&file)?;
    config.data_dir = data;
    let purse = open_purse(&config, &MasterSeed::load(&seed)?).await?;
    fund(&purse, &town.mint_ids, &town.lightning).await?;
    Ok(file)
}

/// How to use them with a transaction.
pub(crate) fn advice(file: &Path, transaction: &str) -> String {
    format!(
        "cargo run -p broadcast -- --config {} --tx {transaction}",
        file.display()
    )
}
