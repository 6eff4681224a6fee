//! The relays that are known, for people and for scripts.

use crate::Failure;
use crate::money::now;
use coinfuse::client::read_history;
use coinfuse::config::ClientConfig;
use coinfuse::node::{Conversation, history_file, known_relays};
use coinfuse_directory::{Descriptor, Directory, History};
use coinfuse_wire::UnixTime;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// What is asked of a client that runs.
pub(crate) const QUESTION: &str = "relays";
/// Bytes of relays in one line of an answer; a line between processes has at most 64 KiB.
const IN_ONE_LINE: usize = 32 << 10;

/// Asks the client that runs, or, if none does, looks for relays, and shows them.
pub(crate) async fn ask(config: &ClientConfig, as_json: bool) -> Result<(), Failure> {
    let gone = |error| Failure::Failed(format!("the running client broke off: {error}"));
    let talk = Conversation::begin(&config.data_dir, QUESTION).await;
    let found = match talk.map_err(gone)? {
        Some(mut talk) => {
            let mut found = Vec::new();
            while let Some(line) = talk.next().await.map_err(gone)? {
                let line = serde_json::from_str(&line);
                found.push(line.map_err(|_| Failure::failed("the running client broke off"))?);
            }
            found
        }
        None => {
            let relays = known_relays(config).await.map_err(Failure::failed)?;
            let history = read_history(&history_file(config)).unwrap_or_else(|error| {
                eprintln!("what was seen of relays cannot be read: {error}");
                History::new()
            });
            lines(&relays, &history, now())
        }
    };
    let answer = join(found);
    match as_json {
        true => println!("{answer}"),
        false => show(&answer),
    }
    Ok(())
}

/// Answers the question.
pub(crate) async fn answer(relays: &Directory, history: &History, to: &mpsc::Sender<String>) {
    for line in lines(relays, history, now()) {
        if to.send(line.to_string()).await.is_err() {
            // Nobody waits for it any more.
            return;
        }
    }
}

/// The relays as lines of an answer, each with some of them.
fn lines(relays: &Directory, history: &History, now: UnixTime) -> Vec<Value> {
    let (mut lines, mut line, mut bytes) = (Vec::new(), Vec::new(), 0);
    for descriptor in relays.iter() {
        let relay = relay(descriptor, history, now);
        // None is much longer than its descriptor, which has 4 KiB at most.
        bytes += relay.to_string().len();
        line.push(relay);
        if bytes > IN_ONE_LINE {
            bytes = 0;
            lines.push(core::mem::take(&mut line));
        }
    }
    lines.push(line);
    let lines = lines.into_iter().map(|some| json!({ "relays": some }));
    lines.collect()
}

/// The lines of an answer as one.
fn join(lines: Vec<Value>) -> Value {
    let relays = lines
        .into_iter()
        .filter_map(|mut line| Some(line["relays"].as_array_mut()?.drain(..).collect::<Vec<_>>()));
    json!({ "relays": relays.flatten().collect::<Vec<_>>() })
}

fn relay(descriptor: &Descriptor, history: &History, now: UnixTime) -> Value {
    let services = descriptor.services.iter().map(ToString::to_string);
    let mints = descriptor.mints.iter().map(|mint| mint.url.to_string());
    let per_second = history.capacity(&descriptor.relay);
    json!({
        "relay": descriptor.relay.to_string(),
        "services": services.collect::<Vec<_>>(),
        "price_up_msat_per_mib": descriptor.price.up.msat_per_mib(),
        "price_down_msat_per_mib": descriptor.price.down.msat_per_mib(),
        "mints": mints.collect::<Vec<_>>(),
        "load": descriptor.load.map(|load| load.to_string()),
        "operator": descriptor.operator.as_ref().map(ToString::to_string),
        "country": descriptor.country.map(|country| country.to_string()),
        "age_secs": now.saturating_since(descriptor.published).as_secs(),
        "expires_in_secs": descriptor.expires.saturating_since(now).as_secs(),
        "reliability_permille": history.reliability(&descriptor.relay, now),
        "measured_bytes_per_s": per_second.map(|bytes| bytes.get()),
    })
}

/// Shows it to a person.
fn show(answer: &Value) {
    let relays = answer["relays"].as_array().map_or(&[][..], Vec::as_slice);
    if relays.is_empty() {
        println!("no relays are known");
        return;
    }
    println!(
        "{:<12} {:>13} {:<7} {:>8} {:>10} {:>8}  services",
        "relay", "msat/MiB", "load", "reliable", "measured", "age"
    );
    for relay in relays {
        let text = |name: &str| relay[name].as_str().unwrap_or("-");
        let id = text("relay");
        println!(
            "{:<12} {:>13} {:<7} {:>8} {:>10} {:>8}  {}",
            id.get(..12).unwrap_or(id),
            format!(
                "{} / {}",
                relay["price_up_msat_per_mib"], relay["price_down_msat_per_mib"]
            ),
            text("load"),
            or_dash(&relay["reliability_permille"], |permille| {
                format!("{} %", permille / 10)
            }),
            or_dash(&relay["measured_bytes_per_s"], |bytes| {
                format!("{:.1} MB/s", bytes as f64 / 1e6)
            }),
            or_dash(&relay["age_secs"], age),
            services(relay),
        );
    }
    println!("{} relays", relays.len());
}

fn or_dash(value: &Value, show: impl Fn(u64) -> String) -> String {
    value.as_u64().map_or_else(|| "-".into(), show)
}

fn age(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        _ => format!("{} h", secs / 3600),
    }
}

fn services(relay: &Value) -> String {
    let services = relay["services"].as_array().into_iter().flatten();
    let services: Vec<_> = services.filter_map(Value::as_str).collect();
    services.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use coinfuse_directory::{
        DescriptorBody, Identity, LinkKey, MintOffer, MintUnit, OnionKey, RelayKeys, VoucherKey,
    };

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    /// Each takes as many mints as it can.
    fn known(count: u8) -> Directory {
        let mut directory = Directory::new();
        directory.extend((0..count).map(|number| {
            let identity = Identity::from_seed([number; 32]);
            let keys = RelayKeys {
                link: LinkKey::new([1; 32]),
                onion: OnionKey::new([2; 32]),
                voucher: VoucherKey::new([2; 33]),
            };
            let mut body = DescriptorBody::new(&identity, keys, NOW);
            body.mints = (0..DescriptorBody::MAX_MINTS).map(mint).collect();
            body.sign(&identity).expect("it fits")
        }));
        directory
    }

    fn mint(number: usize) -> MintOffer {
        let url = format!("https://{number}.{}.example", "m".repeat(170));
        MintOffer {
            url: url.parse().expect("an address"),
            unit: MintUnit::Sat,
            issuer: false,
        }
    }

    #[test]
    fn a_list_of_any_length_goes_in_lines_that_are_short_enough() {
        for count in [0, 1, 32, 33, 200] {
            let lines = lines(&known(count), &History::new(), NOW);
            assert!(lines.iter().all(|line| line.to_string().len() < 64 << 10));
            let joined = join(lines);
            assert_eq!(
                joined["relays"].as_array().unwrap().len(),
                usize::from(count)
            );
        }
    }

    #[test]
    fn what_was_seen_of_a_relay_is_told_beside_what_it_says() {
        let directory = known(1);
        let id = directory.iter().next().unwrap().relay;
        let mut history = History::new();
        history.failed(&id, NOW);
        let lines = lines(&directory, &history, NOW);
        assert_eq!(lines[0]["relays"][0]["reliability_permille"], 500);
        assert_eq!(lines[0]["relays"][0]["services"][0], "relay");
    }
}
