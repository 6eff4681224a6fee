//! The issuer tells its own coins from others without a request.

use coinfuse_mint::{LoopbackLightning, NotOurs, Unit};
use coinfuse_wire::Msat;

use crate::support::{buy, mint_of, wallet_at};

#[tokio::test]
async fn the_issuer_knows_its_coins_before_and_after_a_rotation() {
    let network = LoopbackLightning::new();
    let (mint, _folder) = mint_of(&network, Unit::Msat).await;
    let payer = network.wallet(Msat::new(10_000)).await.expect("a wallet");
    let coin = buy(&wallet_at(&mint).await, &payer, 64).await.remove(0);
    let amount = coin.amount.to_u64();

    let before = mint.issuer_keys().await.expect("keys");
    let rotated = mint.rotate_keyset().await.expect("a new keyset");
    let after = mint.issuer_keys().await.expect("keys");

    assert_eq!(before.active(), coin.keyset_id);
    assert_eq!(after.active(), rotated);
    assert_eq!(mint.active_keyset().expect("a keyset"), rotated);
    assert_eq!(after.ids().count(), 2);
    for keys in [&before, &after] {
        let check = |amount| keys.verify(coin.keyset_id, amount, coin.secret.as_bytes(), coin.c);
        assert_eq!(check(amount), Ok(()));
        assert_eq!(check(amount * 2), Err(NotOurs::BadSignature));
        assert_eq!(check(65), Err(NotOurs::NoSuchAmount { amount: 65 }));
        let forged = keys.verify(coin.keyset_id, amount, b"another secret", coin.c);
        assert_eq!(forged, Err(NotOurs::BadSignature));
    }
    let unknown = before.verify(rotated, amount, coin.secret.as_bytes(), coin.c);
    assert_eq!(unknown, Err(NotOurs::UnknownKeyset));
}

#[tokio::test]
async fn the_derived_keys_are_the_published_ones() {
    let network = LoopbackLightning::new();
    let (mint, _folder) = mint_of(&network, Unit::Sat).await;
    let keyset = mint.active_keyset().expect("a keyset");
    let published = mint.cdk().keyset(&keyset).expect("public keys");
    let keys = mint.issuer_keys().await.expect("keys");

    let secp = cdk::SECP256K1.clone();
    let derived: Vec<_> = keys
        .secret_keys(keyset)
        .map(|(amount, secret)| (amount, secret.public_key(&secp).to_string()))
        .collect();
    let expected: Vec<_> = published
        .keys
        .iter()
        .map(|(amount, public)| (amount.to_u64(), public.to_string()))
        .collect();

    assert_eq!(derived.len(), 32);
    assert_eq!(derived, expected);
}
