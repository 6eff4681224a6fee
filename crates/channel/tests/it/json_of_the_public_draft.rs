//! The JSON that other implementations speak.

use crate::bank::Bank;
use crate::life::{NOW, funded, saved, terms};
use coinfuse_channel::json::{JsonError, MAX_JSON_LEN, Payment};
use coinfuse_channel::{Open, Params, Refusal, Sender, Update};
use serde_json::{Value, json};

fn bank_and_sender() -> (Bank, Sender) {
    let mut bank = Bank::new(12, 100);
    let sender = funded(&mut bank, 1000);
    (bank, sender)
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The opening with one value changed.
fn changed(sender: &Sender, pointer: &str, value: Value) -> String {
    let mut body = parse(&sender.open_with_claims().to_json().unwrap());
    *body.pointer_mut(pointer).expect(pointer) = value;
    body.to_string()
}

#[test]
fn an_opening_survives_and_opens_the_channel() {
    let (bank, sender) = bank_and_sender();
    let sent = sender.open_with_claims();
    let open = Open::from_json(&sent.to_json().unwrap()).unwrap();
    assert!(open == sent);
    assert!(matches!(
        open.proofs[0].claim,
        Some(ref claim) if claim.secret.to_string().starts_with("[\"P2PK\",{\"data\":")
    ));
    let receiver = saved(terms(&bank).open(NOW, &open).unwrap());
    assert_eq!(receiver.id(), sender.id());
}

#[test]
fn the_fields_are_those_of_the_reference() {
    let (_, sender) = bank_and_sender();
    let body = parse(&sender.open_with_claims().to_json().unwrap());
    let names = |value: &Value| -> Vec<String> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(
        names(&body),
        [
            "balance",
            "channel_id",
            "funding_proofs",
            "params",
            "signature"
        ]
    );
    assert_eq!(
        names(&body["params"]),
        [
            "capacity",
            "expiry_timestamp",
            "funding_token_amount",
            "input_fee_ppk",
            "keyset_id",
            "maximum_amount",
            "mint",
            "receiver_pubkey",
            "sender_pubkey",
            "setup_timestamp",
            "unit"
        ]
    );
    assert_eq!(body["params"]["unit"], "msat");
    let proof = &body["funding_proofs"][0];
    assert_eq!(names(proof), ["C", "amount", "dleq", "id", "secret"]);
    assert_eq!(names(&proof["dleq"]), ["e", "r", "s"]);
    // And they are proofs to `cashu`, which the reference reads them with.
    let proofs: Vec<cashu::Proof> = serde_json::from_value(body["funding_proofs"].clone()).unwrap();
    assert_eq!(proofs.len(), sender.open().proofs.len());
}

#[test]
fn terms_survive() {
    let (_, sender) = bank_and_sender();
    let text = sender.params().to_json();
    assert!(Params::from_json(&text).unwrap() == *sender.params());
    let drafts = text.replace("maximum_amount", "maximum_amount_for_one_output");
    assert!(Params::from_json(&drafts).unwrap() == *sender.params());
}

#[test]
fn an_update_survives_in_both_forms() {
    let (_, sender) = bank_and_sender();
    let update = saved(sender.pay(NOW, 123.into()).unwrap()).update();
    assert_eq!(parse(&update.to_json())["balance"], 123);
    assert_eq!(parse(&update.to_json_message())["amount"], 123);
    for text in [update.to_json(), update.to_json_message()] {
        assert_eq!(Update::from_json(&text).unwrap(), update);
        assert_eq!(Payment::from_json(&text).unwrap(), Payment::Update(update));
    }
}

#[test]
fn a_bundle_of_signatures_is_accepted_and_never_written() {
    let (_, sender) = bank_and_sender();
    let update = sender.update();
    let plain = update.signature.to_string();
    let with = |signature: String| {
        let mut body = parse(&update.to_json());
        body["signature"] = signature.into();
        Update::from_json(&body.to_string())
    };
    let legacy = "11".repeat(64);
    assert_eq!(
        with(format!("sigall-compat-v1:{plain}:{legacy}")),
        Ok(update)
    );
    for broken in [
        format!("sigall-compat-v1:{plain}"),
        format!("sigall-compat-v1:{plain}:"),
        format!("sigall-compat-v1:{plain}:{legacy}:{legacy}"),
        format!("sigall-compat-v2:{plain}:{legacy}"),
        format!("sigall-compat-v1::{plain}"),
        plain[2..].to_owned(),
        plain.to_uppercase(),
        String::new(),
    ] {
        assert_eq!(with(broken), Err(JsonError::Field("signature")));
    }
    assert!(!update.to_json().contains("sigall"));
}

#[test]
fn values_without_meaning_are_named() {
    let (_, sender) = bank_and_sender();
    let off_the_curve = format!("02{}", "ff".repeat(32));
    for (pointer, value, field) in [
        ("/channel_id", json!("00"), "channel_id"),
        ("/channel_id", json!("é".repeat(32)), "channel_id"),
        ("/params/unit", json!("MSAT"), "unit"),
        ("/params/keyset_id", json!("02aa"), "keyset_id"),
        ("/params/keyset_id", json!(""), "keyset_id"),
        (
            "/params/sender_pubkey",
            json!(off_the_curve),
            "sender_pubkey",
        ),
        ("/params/receiver_pubkey", json!("03"), "receiver_pubkey"),
        ("/funding_proofs/0/C", json!(off_the_curve), "C"),
        ("/funding_proofs/0/id", json!("0"), "id"),
        ("/funding_proofs/0/dleq/e", json!("00".repeat(32)), "e"),
        ("/funding_proofs/0/dleq/s", json!("ff".repeat(32)), "s"),
        ("/funding_proofs/0/dleq/r", json!("zz"), "r"),
    ] {
        let text = changed(&sender, pointer, value);
        assert_eq!(Open::from_json(&text), Err(JsonError::Field(field)));
    }
}

#[test]
fn values_of_another_type_are_refused_without_repeating_them() {
    let (_, sender) = bank_and_sender();
    for (pointer, value) in [
        ("/balance", json!(-1)),
        ("/balance", json!(1.5)),
        ("/balance", json!("1")),
        ("/params/capacity", json!(1e30)),
        ("/params", json!([])),
        ("/funding_proofs", json!({})),
        ("/funding_proofs/0/dleq", Value::Null),
        ("/funding_proofs/0/secret", json!(["hush"])),
    ] {
        let text = changed(&sender, pointer, value);
        let error = Open::from_json(&text).unwrap_err();
        assert!(matches!(error, JsonError::Shape { .. }), "{pointer}");
        assert!(!error.to_string().contains("hush"));
    }
    assert!(matches!(
        Update::from_json("[[["),
        Err(JsonError::Shape { .. })
    ));
    let twice = sender.update().to_json().replacen('{', "{\"amount\":1,", 1);
    assert!(matches!(
        Update::from_json(&twice),
        Err(JsonError::Shape { .. })
    ));
}

#[test]
fn an_opening_needs_both_halves() {
    let (_, sender) = bank_and_sender();
    for missing in ["/params", "/funding_proofs"] {
        let text = changed(&sender, missing, Value::Null);
        assert_eq!(Payment::from_json(&text), Err(JsonError::Halved));
    }
    let update = sender.update().to_json();
    assert_eq!(Open::from_json(&update), Err(JsonError::Halved));
    assert_eq!(sender.open().to_json(), Err(JsonError::NoClaims));
}

#[test]
fn a_text_that_is_too_long_is_not_parsed() {
    let text = " ".repeat(MAX_JSON_LEN + 1);
    let error = Update::from_json(&text).unwrap_err();
    assert_eq!(error, JsonError::TooLarge(text.len()));
}

#[test]
fn claims_that_are_not_the_derived_ones_are_refused() {
    let (bank, sender) = bank_and_sender();
    let refusal = |pointer, value| {
        let open = Open::from_json(&changed(&sender, pointer, value)).unwrap();
        terms(&bank).open(NOW, &open).unwrap_err()
    };
    assert_eq!(
        refusal("/funding_proofs/0/amount", json!(1 << 11)),
        Refusal::ProofAmount(0)
    );
    assert_eq!(
        refusal("/funding_proofs/1/secret", json!("[]")),
        Refusal::ProofSecret(1)
    );
    assert_eq!(
        refusal("/funding_proofs/2/id", json!("00aabbccddeeff00")),
        Refusal::ProofKeyset(2)
    );
    assert_eq!(
        refusal("/funding_proofs/0/dleq/r", json!("11".repeat(32))),
        Refusal::ProofBlinding(0)
    );
}
