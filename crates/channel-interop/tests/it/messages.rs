//! The shape of their messages, which is all that the two sides share.

use crate::http::json;
use crate::roles::{Receiver, Sender, Terms};
use crate::theirs::{TheirReceiver, TheirSender};
use crate::world::World;

#[tokio::test]
async fn the_messages_are_as_we_know_them() {
    let world = World::start(0).await;
    let receiver = TheirReceiver::start(&world, 60).await;
    let terms = Terms {
        coins: 100,
        maximum_amount: 0,
        lifetime: 600,
    };
    let mut sender = TheirSender::open(&world, &receiver.offer(), terms).await;

    let first = json(&sender.register());
    assert_eq!(
        fields(&first),
        "balance channel_id funding_proofs params signature"
    );
    assert_eq!(
        fields(&first["params"]),
        "capacity expiry_timestamp funding_token_amount input_fee_ppk keyset_id maximum_amount \
         mint receiver_pubkey sender_pubkey setup_timestamp unit"
    );
    let coin = &first["funding_proofs"][0];
    assert_eq!(fields(coin), "C amount dleq id secret");
    assert_eq!(fields(&coin["dleq"]), "e r s");
    let secret = coin["secret"].as_str().expect("text");
    // With `serde_json/preserve_order` in the build theirs would start with the nonce, and be
    // incompatible with itself elsewhere.
    assert!(secret.starts_with(r#"["P2PK",{"data":""#), "{secret}");

    let update = json(&sender.pay(7));
    assert_eq!(fields(&update), "balance channel_id signature");
    assert_eq!(update["signature"].as_str().map(str::len), Some(128));

    let asking = json(&sender.ask_to_close(7));
    let signature = asking["signature"].as_str().expect("text");
    let parts: Vec<_> = signature.split(':').collect();
    assert_eq!(parts[0], "sigall-compat-v1");
    assert_eq!(
        parts[1..].iter().map(|p| p.len()).collect::<Vec<_>>(),
        [128, 128]
    );
}

/// The names of an object's fields, in alphabetical order.
fn fields(object: &serde_json::Value) -> String {
    let mut names: Vec<_> = object
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    names.sort();
    names.join(" ")
}
