//! Every case of every file of vectors: those of this crate, and those in the folder that the
//! environment variable `COINFUSE_VECTORS` names.

use crate::channel::Channel;
use crate::commitment::{self, Commitments};
use crate::derive::{ChannelSecret, Context, FundingKey, stage2_key};
use crate::{Keyset, Params};
use bitcoin::secp256k1::schnorr::Signature;
use cashu::{Amount, CurrencyUnit, Id, Keys, Proof, PublicKey, SecretKey};
use coinfuse_wire::UnixTime;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[test]
fn every_case_of_every_file() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let other = std::env::var_os("COINFUSE_VECTORS").map(PathBuf::from);
    let mut cases = 0;
    for file in [Some(own), other].into_iter().flatten().flat_map(files) {
        let text = std::fs::read_to_string(&file).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        for case in json["cases"].as_array().into_iter().flatten() {
            if !case["channel_secret"].is_string() {
                continue;
            }
            println!("{}: {}", file.display(), case["name"]);
            check(case);
            cases += 1;
        }
    }
    assert!(cases >= 2, "the vectors of this crate have two cases");
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

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn point(value: &Value) -> PublicKey {
    PublicKey::from_hex(text(value)).unwrap()
}

fn key(value: &Value) -> SecretKey {
    SecretKey::from_hex(text(value)).unwrap()
}

fn keyset(info: &Value) -> Keyset {
    let keys = info["keys"].as_object().unwrap().iter();
    let keys = keys
        .map(|(amount, key)| (Amount::from(amount.parse::<u64>().unwrap()), point(key)))
        .collect();
    Keyset::new(&cashu::KeySet {
        id: Id::from_str(text(&info["keysetId"])).unwrap(),
        unit: CurrencyUnit::from_str(text(&info["unit"])).unwrap(),
        active: Some(true),
        keys: Keys::new(keys),
        input_fee_ppk: number(&info["inputFeePpk"]),
        final_expiry: info["finalExpiry"].as_u64(),
    })
    .unwrap()
}

fn params(json: &Value) -> Params {
    Params {
        mint: text(&json["mint"]).into(),
        unit: CurrencyUnit::from_str(text(&json["unit"])).unwrap(),
        capacity: number(&json["capacity"]).into(),
        funding_amount: number(&json["funding_token_amount"]).into(),
        keyset_id: Id::from_str(text(&json["keyset_id"])).unwrap(),
        input_fee_ppk: number(&json["input_fee_ppk"]),
        max_amount: number(&json["maximum_amount"]).into(),
        setup: UnixTime::from_secs(number(&json["setup_timestamp"])),
        expiry: UnixTime::from_secs(number(&json["expiry_timestamp"])),
        sender: point(&json["sender_pubkey"]),
        receiver: point(&json["receiver_pubkey"]),
    }
}

fn check(case: &Value) {
    let (sender, receiver) = (
        key(&case["sender_secret_key"]),
        key(&case["receiver_secret_key"]),
    );
    let secret = ChannelSecret::agree(&sender, &receiver.public_key());
    assert_eq!(
        cashu::util::hex::encode(secret.expose()),
        text(&case["channel_secret"])
    );

    let (terms, keyset) = (params(&case["params"]), keyset(&case["keyset_info"]));
    let channel = Channel::agree(terms.clone(), &keyset, &sender).unwrap();
    assert_eq!(channel.id.to_hex(), text(&case["channel_id"]));
    assert_eq!(
        Channel::agree(terms, &keyset, &receiver).unwrap().id,
        channel.id
    );
    assert_eq!(channel.value.to_u64(), number(&case["value_after_stage1"]));
    check_keys(case, &channel, &sender, &receiver);

    let proofs = check_funding(case, &channel);
    let mut commitments = Commitments::new(&proofs);
    for commitment in case["commitments"].as_array().unwrap() {
        check_commitment(commitment, &channel, &mut commitments);
        check_owners(commitment, &channel, &sender, &receiver);
    }
}

fn check_keys(case: &Value, channel: &Channel, sender: &SecretKey, receiver: &SecretKey) {
    let own = |key, raw| channel.funding_secret(key, raw).unwrap();
    assert_eq!(
        own(FundingKey::Sender, sender),
        key(&case["sender_stage1_secret"])
    );
    assert_eq!(
        own(FundingKey::Receiver, receiver),
        key(&case["receiver_stage1_secret"])
    );
    assert_eq!(
        own(FundingKey::Refund, sender),
        key(&case["sender_refund_secret"])
    );
    let keys = &channel.keys;
    assert_eq!(keys.sender, point(&case["sender_stage1_pubkey"]));
    assert_eq!(keys.receiver, point(&case["receiver_stage1_pubkey"]));
    assert_eq!(keys.refund, point(&case["sender_stage1_refund_pubkey"]));
}

fn check_funding(case: &Value, channel: &Channel) -> Vec<Proof> {
    let expected = case["funding"].as_array().unwrap();
    let outputs = channel.funding_outputs().unwrap();
    assert_eq!(outputs.len(), expected.len());
    outputs
        .iter()
        .zip(expected)
        .map(|(output, expected)| {
            assert_eq!(output.amount.to_u64(), number(&expected["amount"]));
            assert_eq!(output.secret.to_string(), text(&expected["secret"]));
            assert_eq!(output.blinding, key(&expected["blinding_factor"]));
            assert_eq!(output.point, point(&expected["B_"]));
            Proof::new(
                output.amount,
                channel.keyset.id(),
                output.secret.clone(),
                point(&expected["C"]),
            )
        })
        .collect()
}

fn check_commitment(expected: &Value, channel: &Channel, commitments: &mut Commitments) {
    let balance = Amount::from(number(&expected["balance"]));
    let digest = commitments.digest(channel, balance).unwrap();
    let hash = text(&expected["sig_all_message_sha256"]);
    assert_eq!(cashu::util::hex::encode(digest), hash);
    let signature = Signature::from_str(text(&expected["example_sender_signature"])).unwrap();
    assert!(commitment::verify(&channel.keys.sender, digest, &signature));

    let receiver = channel.ladder.before_fees(balance).unwrap();
    assert_eq!(receiver.to_u64(), number(&expected["receiver_nominal"]));
    assert_eq!(
        (channel.value - receiver).to_u64(),
        number(&expected["sender_nominal"])
    );
    let order: Vec<_> = commitment::outputs(channel, balance).unwrap();
    let expected = expected["swap_output_order"].as_array().unwrap();
    assert_eq!(order.len(), expected.len());
    for ((_, output), expected) in order.iter().zip(expected) {
        assert_eq!(output.amount.to_u64(), number(&expected[0]));
        assert_eq!(output.point, point(&expected[1]));
    }
}

fn check_owners(commitment: &Value, channel: &Channel, sender: &SecretKey, receiver: &SecretKey) {
    for expected in commitment["outputs"].as_array().unwrap() {
        let (context, owner) = match text(&expected["context"]) {
            "sender" => (Context::Sender, sender),
            "receiver" => (Context::Receiver, receiver),
            other => panic!("an output for {other}"),
        };
        let index = u32::try_from(number(&expected["index"])).unwrap();
        let amount = Amount::from(number(&expected["amount"]));
        let output = channel.commitment_output(context, amount, index).unwrap();
        assert_eq!(output.secret.to_string(), text(&expected["secret"]));
        assert_eq!(output.blinding, key(&expected["blinding_factor"]));
        assert_eq!(output.point, point(&expected["B_"]));
        // The owner can open the lock, from its own key and the ephemeral point alone.
        let opened = stage2_key(owner, &output.ephemeral.unwrap()).unwrap();
        let lock = opened.public_key().to_hex();
        assert!(text(&expected["secret"]).contains(&lock));
    }
}
