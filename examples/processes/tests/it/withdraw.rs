//! `relay withdraw`: earnings leave as a token or to a Lightning invoice, or stay where they are.

use crate::books::sum;
use crate::process::{RELAY, fail, json, succeed};
use crate::town::{Town, body};
use coinfuse_voucher::{MintId, Purse, PurseConfig, Unit};
use coinfuse_wire::Msat;

#[tokio::test(flavor = "multi_thread")]
async fn earnings_leave_as_a_token_that_others_receive_and_to_an_invoice() {
    let town = earned().await;
    let dir = town.relay_dir(0);
    let earned = coins(&town).await;

    let taken = json(RELAY, &dir, &["withdraw", "--token", "500", "--json"]).await;
    let token = taken["token"].as_str().unwrap();
    assert_eq!(coins(&town).await, earned - 500);
    let kept = json(RELAY, &dir, &["withdraw", "--tokens", "--json"]).await;
    assert_eq!(kept["tokens"][0]["token"], token);
    assert_eq!(kept["tokens"][0]["msat"], 500);

    let folder = tempfile::tempdir().unwrap();
    let mint = MintId::new(town.mint.url(), Unit::Msat).unwrap();
    let config = PurseConfig::new(folder.path(), vec![mint.clone()], [7; 32]);
    let other = Purse::open(&config).await.unwrap();
    let (from, brought) = other.receive(token).await.unwrap();
    assert_eq!((from, brought.get()), (mint, 500));
    succeed(RELAY, &dir, &["withdraw", "--forget", token]).await;
    let kept = json(RELAY, &dir, &["withdraw", "--tokens", "--json"]).await;
    assert_eq!(kept["tokens"], serde_json::json!([]));

    let payee = town.mint.network().wallet(Msat::new(0)).await.unwrap();
    let invoice = payee.invoice(Msat::new(700)).await.unwrap();
    let paid = json(RELAY, &dir, &["withdraw", "--invoice", &invoice, "--json"]).await;
    assert_eq!(paid["paid_msat"], 700, "{paid}");
    assert_eq!(payee.balance().await.unwrap().get(), 700);
    let fee = paid["fee_msat"].as_u64().unwrap();
    let left = earned - 500 - 700 - fee;
    assert_eq!(coins(&town).await, left);

    // An invoice is paid once.
    let (code, _) = fail(RELAY, &dir, &["withdraw", "--invoice", &invoice]).await;
    assert_eq!(code, 1);
    assert_eq!(coins(&town).await, left);
    assert_eq!(payee.balance().await.unwrap().get(), 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_is_away_keeps_a_withdrawal_waiting_and_nothing_is_lost() {
    let mut town = earned().await;
    let dir = town.relay_dir(0);
    let earned = coins(&town).await;
    town.mint.stop().await;
    let (code, words) = fail(RELAY, &dir, &["withdraw", "--token", "500"]).await;
    assert_eq!(code, 1);
    assert!(words.contains("`relay redeem` finishes it"), "{words}");

    town.mint.restart().await;
    // What is unfinished goes on before anything is redeemed.
    json(RELAY, &dir, &["redeem", "--json"]).await;
    let kept = json(RELAY, &dir, &["withdraw", "--tokens", "--json"]).await;
    let (kept, left) = (sum(&kept["tokens"], "msat"), coins(&town).await);
    assert_eq!(kept + left, earned, "{kept} in tokens, {left} in coins");
    let again = json(RELAY, &dir, &["withdraw", "--token", "500", "--json"]).await;
    assert!(again["token"].is_string(), "{again}");
    assert_eq!(coins(&town).await, left - 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_withdrawn_is_said_and_stays() {
    let mut town = earned().await;
    let payee = town.mint.network().wallet(Msat::new(0)).await.unwrap();
    let too_much = payee.invoice(Msat::new(1_000_000)).await.unwrap();
    let wrong: [(&[&str], &str); 8] = [
        // The mint's reason comes after this.
        (&["--invoice", "lnbcnonsense"], "refuses: "),
        (&["--invoice", "bc1nonsense"], "BOLT 11"),
        (&["--invoice", &too_much], "1000000 msat are needed"),
        (&["--token", "0"], "0 is not in 1.."),
        (&["--token", "1000000"], "1000000 msat are needed"),
        (&["--token", "-5"], "unexpected argument"),
        (
            &["--token", "5", "--mint", "http://127.0.0.1:1"],
            "no mint with url",
        ),
        (&[], "--invoice"),
    ];
    let before = coins(&town).await;
    // By the relay that runs, and from the files of one that does not.
    for running in [true, false] {
        for (arguments, words) in wrong {
            let arguments = [&["withdraw"], arguments].concat();
            let (code, said) = fail(RELAY, &town.relay_dir(0), &arguments).await;
            assert!(code == 1 || code == 2, "{arguments:?}: {code}, {said}");
            assert!(said.contains(words), "{arguments:?}: {said}");
            assert_eq!(coins(&town).await, before, "{arguments:?}");
        }
        if running {
            assert_eq!(town.relays[0].signal("INT").await.code(), Some(0));
        }
    }
    // All of it can still be had.
    let all = before.to_string();
    let token = succeed(RELAY, &town.relay_dir(0), &["withdraw", "--token", &all]).await;
    assert!(token.starts_with("cashuB"), "{token}");
    assert_eq!(coins(&town).await, 0);
}

/// A town whose first relay has earned something, and has it in coins.
async fn earned() -> Town {
    let town = Town::with_relays().await;
    let (mut client, socks) = town.client().await;
    body(&socks, &[&town.web.url("/hello")]).await;
    assert_eq!(client.signal("INT").await.code(), Some(0));
    let done = json(RELAY, &town.relay_dir(0), &["redeem", "--json"]).await;
    assert!(done["earned_msat"].as_u64() > Some(1_300), "{done}");
    town
}

async fn coins(town: &Town) -> u64 {
    sum(&town.earnings(0).await["coins"], "msat")
}
