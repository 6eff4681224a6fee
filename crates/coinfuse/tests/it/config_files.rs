//! Configuration files as people write them, right and wrong.

use coinfuse::config::{
    ClientConfig, ConfigError, Lightning, MempoolConfig, MempoolNodeAuth, MempoolPeers, MempoolWay,
    PeerTransport, RelayConfig,
};
use coinfuse_delivery::mempool::Network;
use coinfuse_wire::ServiceCode;
use std::collections::BTreeSet;
use std::path::Path;

fn relay(text: &str) -> Result<RelayConfig, ConfigError> {
    RelayConfig::parse(Path::new("relay.toml"), text)
}

fn client(text: &str) -> Result<ClientConfig, ConfigError> {
    ClientConfig::parse(Path::new("client.toml"), text)
}

#[test]
fn the_templates_say_the_defaults() {
    assert_eq!(
        relay(RelayConfig::TEMPLATE).unwrap(),
        RelayConfig::default()
    );
    assert_eq!(
        client(ClientConfig::TEMPLATE).unwrap(),
        ClientConfig::default()
    );
    assert_eq!(relay("").unwrap(), RelayConfig::default());
    assert_eq!(client("").unwrap(), ClientConfig::default());
}

/// The default written by a machine has every key; the template written by hand must have them too.
#[test]
fn the_templates_have_every_key_once() {
    let relay = toml::Table::try_from(RelayConfig::default()).unwrap();
    let client = toml::Table::try_from(ClientConfig::default()).unwrap();
    for (defaults, template) in [
        (relay, RelayConfig::TEMPLATE),
        (client, ClientConfig::TEMPLATE),
    ] {
        let mut defaults = keys("", &defaults);
        // Lists of sections, which stand in the template as comments.
        defaults.retain(|key| key != "accept" && key != "mint");
        assert_eq!(keys("", &template.parse().unwrap()), defaults);
    }
}

fn keys(prefix: &str, table: &toml::Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => found.extend(keys(&format!("{prefix}{key}."), inner)),
            _ => drop(found.insert(format!("{prefix}{key}"))),
        }
    }
    found
}

/// The commented-out sections are what people will uncomment.
#[test]
fn the_commented_sections_of_the_templates_are_right() {
    let uncommented = |template: &str, from: &str| {
        let (_, section) = template
            .split_once(from)
            .expect("the section is in the template");
        let is_toml = |line: &&str| line.contains(" = ") || line.starts_with('[');
        let lines = format!("{from}{section}").replace("# ", "");
        lines
            .lines()
            .filter(is_toml)
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let config = relay(&uncommented(RelayConfig::TEMPLATE, "# [[accept]]")).unwrap();
    assert_eq!(config.accept[0].url.as_str(), "https://mint.example");
    assert_eq!(config.mint.unwrap().lightning, Lightning::Loopback);
    let MempoolWay::Peers(peers) = config.mempool.unwrap().way else {
        panic!("the peers are what is uncommented")
    };
    assert_eq!(peers.peers[0], "192.0.2.1:8333".parse().unwrap());
    let peers_alone = MempoolPeers::new(peers.peers.clone());
    assert_eq!(peers, peers_alone, "the template has the defaults");
    let config = client(&uncommented(ClientConfig::TEMPLATE, "# [[mint]]")).unwrap();
    assert_eq!(config.mint[0].url.as_str(), "https://mint.example");
}

#[test]
fn a_relay_is_an_exit_when_it_has_a_policy() {
    assert_eq!(relay("").unwrap().services(), [ServiceCode::RELAY]);
    let exit = relay("[exit]\npolicy = ['reject *:25', 'accept *:80']\n").unwrap();
    assert_eq!(exit.services(), [ServiceCode::RELAY, ServiceCode::EXIT]);
    assert!(exit.exit.policy.allows("198.41.0.4".parse().unwrap(), 80));
    assert!(!exit.exit.policy.allows("198.41.0.4".parse().unwrap(), 25));
}

#[test]
fn packets_are_taken_where_they_can_be_paid_or_are_free() {
    let mint = "[[accept]]\nurl = 'https://mint.example'\n";
    let mempool = "[mempool]\nnetwork = 'signet'\nrpc = '127.0.0.1:38332'\ncookie = '.cookie'\n";
    let free = "[packets]\nsmall_msat = 0\nlarge_msat = 0\nservice_msat = 0\ndelay_msat = 0\n";
    for (text, takes) in [
        (String::new(), false),
        (mint.to_owned(), true),
        (free.to_owned(), true),
        (format!("{mint}[packets]\nenabled = false\n"), false),
    ] {
        assert_eq!(relay(&text).unwrap().takes_packets(), takes, "{text}");
        let config = relay(&format!("{text}{mempool}")).unwrap();
        let delivers = config.services().contains(&ServiceCode::MEMPOOL);
        assert_eq!(delivers, takes, "transactions come in packets: {text}");
    }
}

#[test]
fn a_wildcard_is_not_an_address_to_publish() {
    assert!(relay("").unwrap().public_addresses().is_empty());
    let one = relay("listen = '198.51.100.7:4433'").unwrap();
    assert_eq!(
        one.public_addresses(),
        ["198.51.100.7:4433".parse().unwrap()]
    );
    let named = relay("advertise = ['[2001:db8::7]:443']").unwrap();
    assert_eq!(
        named.public_addresses(),
        ["[2001:db8::7]:443".parse().unwrap()]
    );
}

#[test]
fn mistakes_are_explained_with_line_and_key() {
    for (text, expected) in [
        (
            "# a comment\nlisten = 'localhost:1'\n",
            "relay.toml, line 2, `listen`: found \"localhost:1\", expected an IP address and a \
             port, like 0.0.0.0:4433 or [::]:4433",
        ),
        (
            "[exit]\npolicy = [\n  'accept *:80',\n  'acept *:443',\n]\n",
            "relay.toml, line 2, `policy`: rule 2: found \"acept\", expected accept, reject, \
             accept6 or reject6",
        ),
        (
            "bootstrap = [\n  '/ip4/192.0.2.7/tcp/4434',\n]\n",
            "relay.toml, line 1, `bootstrap`: found \"/ip4/192.0.2.7/tcp/4434\": expected \
             /ip4/ADDRESS/tcp/PORT/p2p/PEER or the same with ip6",
        ),
        (
            "[link]\nmax_udp_payload = 900\n",
            "relay.toml, line 2, `max_udp_payload`: found 900, expected a whole number from 1200 \
             to 65527",
        ),
        (
            "\n[price]\nup = 'cheap'\n",
            "relay.toml, line 3, `up`: invalid type: string \"cheap\", expected i64",
        ),
        (
            "[price]\nup = -1\n",
            "relay.toml, line 2, `up`: found -1, expected a whole number from 0 to 4294967295",
        ),
        (
            "[price]\nsideways = 1\n",
            "relay.toml, line 2, `sideways`: unknown field `sideways`, expected `up` or `down`",
        ),
        (
            "[[accept]]\nunit = 'sat'\n",
            "relay.toml, line 1, `[[accept]]`: missing field `url`",
        ),
        (
            "[[accept]]\nurl = 'mint.example'\n",
            "relay.toml, line 2, `url`: found \"mint.example\", but a mint's address starts with \
             http:// or https://",
        ),
        (
            "[[accept]]\nurl = 'https://mint.example'\nunit = 'usd'\n",
            "relay.toml, line 3, `unit`: found \"usd\", expected \"sat\" or \"msat\"",
        ),
        (
            "log = 'loud'\n",
            "relay.toml, line 1, `log`: unknown variant `loud`, expected one of `error`, `warn`, \
             `info`, `debug`, `trace`",
        ),
    ] {
        assert_eq!(relay(text).unwrap_err().to_string(), expected, "{text}");
    }
    let hops = client("hops = 9\n").unwrap_err().to_string();
    assert_eq!(
        hops,
        "client.toml, line 1, `hops`: found 9, expected a whole number from 1 to 8"
    );
    let relays = client("[paths]\nexclude_relays = ['7f']\n").unwrap_err();
    assert_eq!(
        relays.to_string(),
        "client.toml, line 2, `exclude_relays`: found \"7f\", expected a relay's id: 64 of the digits \
         0 to 9 and a to f"
    );
    let countries = client("[paths]\nexclude_countries = ['Kosovo']\n").unwrap_err();
    assert_eq!(
        countries.to_string(),
        "client.toml, line 2, `exclude_countries`: found \"Kosovo\": a country is two letters, such as NL"
    );
}

#[test]
fn what_a_user_does_not_want_reaches_the_client() {
    let id = "7f".repeat(32);
    let config = client(&format!(
        "[paths]\nexclude_relays = ['{id}']\nexclude_countries = ['xk']\nmax_total_price_up = 9\n"
    ));
    let mut settings = coinfuse::client::ClientConfig::default();
    config.unwrap().paths.apply(&mut settings);
    assert_eq!(settings.excluded_relays, [id.parse().unwrap()].into());
    assert_eq!(settings.excluded_countries, ["XK".parse().unwrap()].into());
    let up = settings.max_total_price.map(|price| price.up);
    assert_eq!(up, Some(coinfuse_wire::Rate::from_msat_per_mib(9)));
}

/// Where one key depends on another, the section is named and what to do about it.
#[test]
fn a_mempool_that_is_not_one_is_explained() {
    let twice = "peers = ['192.0.2.1', '192.0.2.1:18444']\n";
    let node = "rpc = '127.0.0.1:18443'\n";
    let cookie = "cookie = 'x'\n";
    for (text, expected) in [
        (
            String::new(),
            "name nodes under `peers`, or a node of your own under `rpc`",
        ),
        (
            "peers = []\n".into(),
            "name nodes under `peers`, or a node of your own under `rpc`",
        ),
        (
            format!("{twice}{node}"),
            "there are `peers` and `rpc`: leave one of them out",
        ),
        (
            twice.into(),
            "with one peer there is none to look at for what was handed to it: name more, or set \
             `observers` to 0, which takes the peer at its word",
        ),
        (
            format!("{twice}observers = 0\n{cookie}"),
            "`cookie` is for a node of your own, which is named under `rpc`",
        ),
        (
            format!("{node}{cookie}submit_to = 1\n"),
            "`submit_to` is for `peers`, and this is a node of your own",
        ),
        (
            node.into(),
            "`rpc` needs the node's `cookie` file, or a `user` and a `password`",
        ),
        (
            format!("{node}password = 'x'\n"),
            "`rpc` needs the node's `cookie` file, or a `user` and a `password`",
        ),
        (
            format!("{node}{cookie}user = 'x'\npassword = 'y'\n"),
            "there are a `cookie` and a `user` or a `password`: leave one of them out",
        ),
        (
            format!("{node}user = 'x:y'\npassword = 'y'\n"),
            "a `user` has no colon in it",
        ),
    ] {
        let text = format!("[mempool]\nnetwork = 'regtest'\n{text}");
        let error = relay(&text).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("relay.toml, line 1, `[mempool]`: {expected}"),
            "{text}"
        );
    }
    for (line, expected) in [
        (
            "network = 'bitcoin'",
            "relay.toml, line 2, `network`: found \"bitcoin\", but a network is one of mainnet, \
             signet, testnet4 and regtest",
        ),
        (
            "network = 'signet'\npeers = ['node.example']",
            "relay.toml, line 3, `peers`: found \"node.example\", expected the IP address of a \
             node, with or without a port, like 192.0.2.1 or [2001:db8::1]:8333",
        ),
        (
            "network = 'signet'\nrpc = '127.0.0.1'",
            "relay.toml, line 3, `rpc`: found \"127.0.0.1\", expected an IP address and a port, \
             like 0.0.0.0:4433 or [::]:4433",
        ),
        (
            "network = 'signet'\nobservers = 99",
            "relay.toml, line 3, `observers`: found 99, expected a whole number from 0 to 16",
        ),
        (
            "peers = ['192.0.2.1']",
            "relay.toml, line 1, `[mempool]`: missing field `network`",
        ),
    ] {
        let error = relay(&format!("[mempool]\n{line}\n")).unwrap_err();
        assert_eq!(error.to_string(), expected, "{line}");
    }
}

#[test]
fn a_node_of_the_operator_is_asked_with_what_the_file_names() {
    let text = "[mempool]\nnetwork = 'testnet4'\nrpc = '127.0.0.1:48332'\nuser = 'relay'\n\
                password = 'a secret'\nmean_delay_secs = 0\n";
    let config = relay(text).unwrap();
    let mempool = config.mempool.clone().unwrap();
    assert_eq!(mempool.network, Network::Testnet4);
    assert!(mempool.mean_delay().is_zero());
    let MempoolWay::Node(node) = &mempool.way else {
        panic!("a node")
    };
    assert!(matches!(&node.auth, MempoolNodeAuth::Password(user, _) if user == "relay"));
    assert!(!format!("{config:?}").contains("a secret"));
    let written = toml::to_string(&config).unwrap();
    assert_eq!(relay(&written).unwrap(), config, "{written}");
}

#[test]
fn peers_listen_where_nodes_of_the_network_do() {
    let text = "[mempool]\nnetwork = 'signet'\npeers = ['192.0.2.1', '2001:db8::1', \
                '192.0.2.1:8333']\ntransport = 'only-encrypted'\n";
    let config = relay(text).unwrap();
    let mempool = config.mempool.clone().unwrap();
    let addresses = ["192.0.2.1:38333", "[2001:db8::1]:38333", "192.0.2.1:8333"];
    let mut expected = MempoolPeers::new(addresses.map(|text| text.parse().unwrap()).into());
    expected.transport = PeerTransport::OnlyEncrypted;
    let peers = expected.peers.clone();
    let mut section = MempoolConfig::peers(Network::Signet, peers);
    section.way = MempoolWay::Peers(expected);
    assert_eq!(mempool, section);
    let written = toml::to_string(&config).unwrap();
    assert_eq!(relay(&written).unwrap(), config, "{written}");
}

#[test]
fn broken_toml_is_explained_with_its_line() {
    for (text, line) in [
        ("price = [\n", 1),
        ("a = 1\nb = = 2\n", 2),
        ("\n\nlisten\n", 3),
    ] {
        let ConfigError::Invalid {
            line: found,
            problem,
            ..
        } = relay(text).unwrap_err()
        else {
            panic!("not a mistake in the file");
        };
        assert_eq!(found, line, "{text:?}: {problem}");
        assert!(!problem.is_empty() && !problem.contains('\n'), "{problem}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = RelayConfig::load(Path::new("no/such/relay.toml")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no/such/relay.toml cannot be read: "),
        "{error}"
    );
}

proptest::proptest! {
    /// Whatever stands in a file, the answer is a configuration or a mistake on one of its lines.
    #[test]
    fn any_text_gives_a_configuration_or_a_line(
        at in 0..RelayConfig::TEMPLATE.len(),
        garbage in "(\\PC|\n){0,8}",
    ) {
        let mut text = RelayConfig::TEMPLATE.to_owned();
        text.insert_str(at, &garbage);
        if let Err(ConfigError::Invalid { line, .. }) = relay(&text) {
            proptest::prop_assert!((1..=text.lines().count() + 1).contains(&line));
        }
    }
}
