//! Questions about money. The client that runs answers them, or, if none does, this process with
//! the files.

use crate::Failure;
use crate::channels;
use coinfuse::client::{ChannelFile, ChannelReport, CircuitReport, Client};
use coinfuse::config::ClientConfig;
use coinfuse::keys::MasterSeed;
use coinfuse::node::{Conversation, channels_file, open_purse};
use coinfuse_voucher::{MintId, Purse, PurseError, Unit};
use coinfuse_wire::{Msat, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// What can be asked; one line of JSON between processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Question {
    Fund {
        mint: (String, String),
        amount: u64,
        timeout: u32,
    },
    Balance,
    Circuits,
    Channels,
    Recover,
}

/// Who knows the answers: the client that runs, or the files.
pub(crate) struct Source<'a> {
    pub(crate) purse: &'a Purse,
    pub(crate) client: Option<&'a Client>,
    pub(crate) file: Option<&'a ChannelFile>,
}

impl Source<'_> {
    fn channels(&self) -> Vec<ChannelReport> {
        match (self.client, self.file) {
            (Some(client), _) => client.channels(),
            (None, Some(file)) => file.channels(),
            (None, None) => Vec::new(),
        }
    }

    async fn reclaim(&self) -> Msat {
        match (self.client, self.file) {
            (Some(client), _) => client.reclaim().await,
            (None, Some(file)) => file.reclaim().await,
            (None, None) => Msat::ZERO,
        }
    }
}

/// Where the lines of an answer go.
type Lines = mpsc::Sender<String>;

/// Chooses the mint to fund: address and unit.
pub(crate) fn mint_to_fund(
    config: &ClientConfig,
    wanted: Option<&str>,
) -> Result<(String, String), Failure> {
    let wanted = wanted.map(|url| url.trim_end_matches('/'));
    let fits = |url: &str| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(url));
    let mut mints = config.mint.iter().filter(|mint| fits(mint.url.as_str()));
    match (mints.next(), mints.next(), wanted) {
        (Some(mint), None, _) => Ok((mint.url.to_string(), mint.unit.to_string())),
        (Some(_), Some(_), _) => Err(Failure::config(
            "client.toml has several mints: say which one with --mint",
        )),
        (None, _, Some(wanted)) => Err(Failure::Config(format!(
            "client.toml has no [[mint]] with url = \"{wanted}\": add it, or name another"
        ))),
        (None, ..) => Err(Failure::config(
            "client.toml names no mint: add a [[mint]] with its url",
        )),
    }
}

/// Asks, and shows the answer.
pub(crate) async fn ask(
    config: &ClientConfig,
    seed: &MasterSeed,
    question: &Question,
    json: bool,
) -> Result<(), Failure> {
    let request = serde_json::to_string(question).map_err(Failure::failed)?;
    let gone = |error| Failure::Failed(format!("the running client broke off: {error}"));
    if let Some(mut talk) = Conversation::begin(&config.data_dir, &request)
        .await
        .map_err(gone)?
    {
        while let Some(line) = talk.next().await.map_err(gone)? {
            show(&line, json)?;
        }
        return Ok(());
    }
    let purse = open_purse(config, seed).await.map_err(Failure::failed)?;
    let path = channels_file(config);
    let file = match config.channels.settings(path.clone()) {
        Some(settings) if path.exists() => {
            let file = ChannelFile::open(settings, purse.clone()).await;
            Some(file.map_err(Failure::failed)?)
        }
        _ => None,
    };
    let source = Source {
        purse: &purse,
        client: None,
        file: file.as_ref(),
    };
    let (lines, mut inbox) = mpsc::channel(4);
    let answering = async {
        // So that the channel ends with the answer.
        let lines = lines;
        answer(question, &source, &lines).await;
    };
    let showing = async {
        while let Some(line) = inbox.recv().await {
            show(&line, json)?;
        }
        Ok(())
    };
    tokio::join!(answering, showing).1
}

/// Answers a question that came as a line.
pub(crate) async fn answer_line(line: &str, source: &Source<'_>, lines: &Lines) {
    match serde_json::from_str(line) {
        Ok(question) => answer(&question, source, lines).await,
        Err(_) => {
            let words = "the client that runs is of another version and does not know this";
            say(lines, json!({ "error": words })).await;
        }
    }
}

async fn answer(question: &Question, source: &Source<'_>, lines: &Lines) {
    let answer = match question {
        Question::Fund {
            mint,
            amount,
            timeout,
        } => {
            let timeout = Duration::from_secs((*timeout).into());
            fund(source.purse, mint, Msat::new(*amount), timeout, lines).await
        }
        Question::Balance => Ok(balance(source).await),
        Question::Circuits => circuits(source.client),
        Question::Channels => Ok(channels::list(&source.channels())),
        Question::Recover => recover(source).await,
    };
    say(
        lines,
        answer.unwrap_or_else(|words| json!({ "error": words })),
    )
    .await;
}

async fn say(lines: &Lines, answer: Value) {
    // Nobody waits for it any more if this fails.
    let _ = lines.send(answer.to_string()).await;
}

async fn fund(
    purse: &Purse,
    (url, unit): &(String, String),
    amount: Msat,
    timeout: Duration,
    lines: &Lines,
) -> Result<Value, String> {
    let unit = if unit == "msat" {
        Unit::Msat
    } else {
        Unit::Sat
    };
    let mint = MintId::new(url, unit).map_err(|error| error.to_string())?;
    let invoice = purse.fund(&mint, amount).await.map_err(with_causes)?;
    let asked = json!({
        "invoice": invoice.bolt11,
        "mint": url,
        "amount_msat": invoice.amount.get(),
        "expires": invoice.expires.secs(),
    });
    say(lines, asked).await;
    let funded = purse.await_funding(&invoice, timeout).await.map_err(|error| {
        format!(
            "the invoice was not seen paid: {}; if it is paid later, `client recover` brings the money",
            with_causes(error)
        )
    })?;
    Ok(json!({ "funded_msat": funded.get(), "mint": url }))
}

async fn balance(source: &Source<'_>) -> Value {
    let balances = source.purse.balances().await;
    let channels = source.channels();
    let in_channels: Msat = channels.iter().map(|channel| channel.locked).sum();
    let total: u64 = balances.values().map(|msat| msat.get()).sum();
    let mints = balances.iter().map(|(mint, msat)| {
        json!({ "mint": mint.url().to_string(), "unit": mint.unit().as_str(), "msat": msat.get() })
    });
    json!({
        "total_msat": total,
        "locked_msat": source.purse.locked().await.get(),
        "in_channels_msat": in_channels.get(),
        "mints": mints.collect::<Vec<_>>(),
    })
}

fn circuits(client: Option<&Client>) -> Result<Value, String> {
    let client = client.ok_or("no client runs here: start it with `client run`")?;
    let reports = client.circuits();
    Ok(json!({
        "spent_msat": client.spent().get(),
        "circuits": reports.iter().map(circuit).collect::<Vec<_>>(),
    }))
}

fn circuit(report: &CircuitReport) -> Value {
    let hops = report.hops.iter().map(|hop| {
        json!({
            "relay": hop.relay.to_string(),
            "up_bytes": hop.up.get(),
            "down_bytes": hop.down.get(),
            "paid_msat": hop.paid.get(),
            "used_msat": hop.used.get(),
            "left_msat": hop.left.get(),
            "channel_capacity_msat": hop.channels.capacity.get(),
            "channel_in_use_msat": hop.channels.in_use.get(),
            "channels_paid_msat": hop.channels.paid.get(),
            "channel_updates": hop.channels.updates,
        })
    });
    json!({
        "built_in_ms": u64::try_from(report.built_in.as_millis()).unwrap_or(u64::MAX),
        "hops": hops.collect::<Vec<_>>(),
    })
}

async fn recover(source: &Source<'_>) -> Result<Value, String> {
    let unfinished = source.purse.recover().await.map_err(with_causes)?;
    let back = source.purse.refund_expired(now()).await;
    let back = back.map_err(with_causes)?;
    Ok(json!({
        "unfinished": unfinished,
        "refunded_msat": back.get(),
        "from_channels_msat": source.reclaim().await.get(),
    }))
}

/// Shows one line of an answer; an error ends the program.
fn show(line: &str, as_json: bool) -> Result<(), Failure> {
    let answer: Value =
        serde_json::from_str(line).map_err(|_| Failure::failed("the running client broke off"))?;
    if let Some(words) = answer.get("error").and_then(Value::as_str) {
        return Err(Failure::failed(words));
    }
    if as_json {
        println!("{answer}");
        return Ok(());
    }
    let number = |name: &str| answer[name].as_u64().unwrap_or_default();
    let has = |name: &str| answer.get(name).is_some();
    if has("invoice") {
        println!("pay this invoice over {} msat:", number("amount_msat"));
        println!("{}", answer["invoice"].as_str().unwrap_or_default());
    } else if has("funded_msat") {
        println!("funded with {} msat", number("funded_msat"));
    } else if has("mints") {
        show_balance(&answer);
    } else if has("channels") {
        channels::show(&answer);
    } else if has("circuits") {
        show_circuits(&answer, number("spent_msat"));
    } else if has("refunded_msat") {
        println!(
            "{} msat came back from expired vouchers",
            number("refunded_msat")
        );
        println!(
            "{} msat came back from payment channels",
            number("from_channels_msat")
        );
        println!("{} things wait for a mint to answer", number("unfinished"));
    }
    Ok(())
}

fn show_balance(answer: &Value) {
    let number = |name: &str| answer[name].as_u64().unwrap_or_default();
    for mint in answer["mints"].as_array().into_iter().flatten() {
        let (url, msat) = (mint["mint"].as_str(), mint["msat"].as_u64());
        println!(
            "{:>12} msat  {}",
            msat.unwrap_or_default(),
            url.unwrap_or_default()
        );
    }
    println!("{:>12} msat  in total", number("total_msat"));
    for (name, where_else) in [
        ("locked_msat", "in vouchers on their way to relays"),
        ("in_channels_msat", "in payment channels"),
    ] {
        if number(name) > 0 {
            println!("{:>12} msat  {where_else}", number(name));
        }
    }
}

fn show_circuits(answer: &Value, spent: u64) {
    for (index, circuit) in answer["circuits"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        println!("circuit {index}, built in {} ms", circuit["built_in_ms"]);
        for hop in circuit["hops"].as_array().into_iter().flatten() {
            let relay = hop["relay"].as_str().unwrap_or_default();
            println!(
                "  {}  up {} B  down {} B  paid {} msat  used {} msat  by channel {} msat in {} updates",
                relay.get(..8).unwrap_or(relay),
                hop["up_bytes"],
                hop["down_bytes"],
                hop["paid_msat"],
                hop["used_msat"],
                hop["channels_paid_msat"],
                hop["channel_updates"]
            );
        }
    }
    println!("spent {spent} msat since the client started");
}

fn with_causes(error: PurseError) -> String {
    let first: &dyn std::error::Error = &error;
    let causes = std::iter::successors(first.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}

#[allow(clippy::disallowed_methods, reason = "a program tells the time")]
pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_secs(since.unwrap_or_default().as_secs())
}
