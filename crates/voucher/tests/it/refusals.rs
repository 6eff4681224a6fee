//! What a relay takes, and one test for every reason not to.

use crate::shop::{DAY, NOW, Shop, coin, key, month, relay};
use cashu::SecretKey;
use coinfuse_voucher::{
    BlankError, Denomination, Keyring, KeyringError, MintId, Policy, Refusal, Unit, Verifier,
    Voucher, VoucherBlank,
};
use coinfuse_wire::{Decode, Encode, Msat, UnixTime};
use proptest::prelude::*;

fn shop() -> Shop {
    Shop::new(1, Unit::Msat)
}

fn voucher() -> Voucher {
    shop().sell(&shop().blank(&key(9).public_key(), 1))
}

fn refusal(verifier: &Verifier, voucher: &Voucher) -> Refusal {
    verifier.verify(NOW, voucher).expect_err("must be refused")
}

#[test]
fn the_issuer_checks_with_its_own_keys() {
    let checked = relay(shop().issuer_keyring())
        .verify(NOW, &voucher().without_dleq())
        .unwrap();
    assert_eq!(checked.value(), Msat::new(1024));
    assert_eq!(checked.mint(), &shop().mint);
    assert_eq!(checked.id(), shop().blank(&key(9).public_key(), 1).id());
}

#[test]
fn another_relay_checks_the_dleq_proof() {
    let checked = relay(shop().public_keyring())
        .verify(NOW, &voucher())
        .unwrap();
    assert_eq!(checked.value(), Msat::new(1024));
}

#[test]
fn a_satoshi_is_a_thousand_msat() {
    let shop = Shop::new(1, Unit::Sat);
    let voucher = shop.sell(&shop.blank(&key(9).public_key(), 1));
    let checked = relay(shop.public_keyring()).verify(NOW, &voucher).unwrap();
    assert_eq!(checked.value(), Msat::from_sat(1024));
}

#[test]
fn the_redemption_is_what_cashu_calls_a_signed_p2pk_proof() {
    let checked = relay(shop().public_keyring())
        .verify(NOW, &voucher())
        .unwrap();
    let (mut proof, signing_key) = checked.redemption();
    assert_eq!((proof.dleq.is_none(), proof.p2pk_e), (true, None));
    cashu::dhke::verify_message(&shop().secret_keys[&1024], proof.c, proof.secret.as_bytes())
        .unwrap();
    assert!(proof.verify_p2pk().is_err());
    proof
        .sign_p2pk(SecretKey::from_slice(&[9; 32]).unwrap())
        .unwrap();
    assert!(
        proof.verify_p2pk().is_err(),
        "the relay's plain key must not be enough"
    );
    proof.witness = None;
    proof.sign_p2pk(signing_key).unwrap();
    proof.verify_p2pk().unwrap();
}

#[test]
fn a_keyset_that_is_not_held_is_refused() {
    assert_eq!(
        refusal(&relay(Keyring::new()), &voucher()),
        Refusal::UnknownKeyset
    );
    let other = Shop::new(2, Unit::Msat).public_keyring();
    assert_eq!(refusal(&relay(other), &voucher()), Refusal::UnknownKeyset);
    let mut removed = shop().public_keyring();
    assert!(removed.remove(&shop().keyset.id));
    assert_eq!(refusal(&relay(removed), &voucher()), Refusal::UnknownKeyset);
}

#[test]
fn a_keyset_that_ends_before_the_relay_can_redeem_is_refused() {
    let week = NOW.saturating_add(7 * DAY).secs();
    for (expiry, verdict) in [(week, None), (week - 1, Some(Refusal::KeysetExpiring))] {
        let shop = Shop::expiring(1, Unit::Msat, Some(expiry));
        let voucher = shop.sell(&shop.blank(&key(9).public_key(), 1));
        let got = relay(shop.public_keyring()).verify(NOW, &voucher);
        assert_eq!(got.err(), verdict);
    }
}

#[test]
fn an_amount_that_the_keyset_lacks_is_refused() {
    let mut bytes = voucher().to_bytes();
    bytes[0] = 0x80 | 17;
    let voucher = Voucher::from_bytes(&bytes).unwrap();
    assert_eq!(
        refusal(&relay(shop().public_keyring()), &voucher),
        Refusal::UnknownAmount
    );
    assert_eq!(
        refusal(&relay(shop().issuer_keyring()), &voucher),
        Refusal::UnknownAmount
    );
}

#[test]
fn a_value_too_large_to_count_is_refused() {
    let shop = Shop::new(1, Unit::Sat);
    let mut bytes = shop.sell(&shop.blank(&key(9).public_key(), 1)).to_bytes();
    bytes[0] = 0x80 | 63;
    let voucher = Voucher::from_bytes(&bytes).unwrap();
    assert_eq!(
        refusal(&relay(shop.public_keyring()), &voucher),
        Refusal::UnknownAmount
    );
}

#[test]
fn a_voucher_below_the_minimum_is_refused() {
    let with_min = |min_value| {
        let policy = Policy {
            min_value: Msat::new(min_value),
            ..Policy::default()
        };
        Verifier::new(key(9), shop().public_keyring(), policy)
    };
    assert!(with_min(1024).verify(NOW, &voucher()).is_ok());
    assert_eq!(refusal(&with_min(1025), &voucher()), Refusal::TooSmall);
}

#[test]
fn a_locktime_within_the_time_to_redeem_is_refused() {
    let relay = relay(shop().public_keyring());
    let last = month().saturating_sub(7 * DAY);
    assert!(relay.verify(last, &voucher()).is_ok());
    let late = last.saturating_add(core::time::Duration::from_secs(1));
    assert_eq!(
        relay.verify(late, &voucher()).unwrap_err(),
        Refusal::LocktimeTooNear
    );
    assert_eq!(
        relay
            .verify(UnixTime::from_secs(u64::MAX), &voucher())
            .unwrap_err(),
        Refusal::LocktimeTooNear
    );
    assert!(
        relay.reopen(&voucher()).is_ok(),
        "what was taken in time can still be redeemed"
    );
}

#[test]
fn a_missing_dleq_proof_is_asked_for() {
    let relay = relay(shop().public_keyring());
    assert_eq!(
        refusal(&relay, &voucher().without_dleq()),
        Refusal::DleqMissing
    );
}

#[test]
fn a_voucher_for_another_relay_is_refused() {
    let other = shop().sell(&shop().blank(&key(8).public_key(), 1));
    assert_eq!(
        refusal(&relay(shop().issuer_keyring()), &other),
        Refusal::BadSignature
    );
    assert_eq!(
        refusal(&relay(shop().public_keyring()), &other),
        Refusal::BadSignature
    );
}

#[test]
fn another_locktime_than_the_signed_one_is_refused() {
    let mut bytes = voucher().to_bytes();
    bytes[12] ^= 1;
    let voucher = Voucher::from_bytes(&bytes).unwrap();
    assert_eq!(
        refusal(&relay(shop().issuer_keyring()), &voucher),
        Refusal::BadSignature
    );
    assert_eq!(
        refusal(&relay(shop().public_keyring()), &voucher),
        Refusal::BadSignature
    );
}

#[test]
fn another_amount_than_the_paid_one_is_refused() {
    let mut bytes = voucher().to_bytes();
    bytes[0] += 1;
    let voucher = Voucher::from_bytes(&bytes).unwrap();
    assert_eq!(
        refusal(&relay(shop().issuer_keyring()), &voucher),
        Refusal::BadSignature
    );
    assert_eq!(
        refusal(&relay(shop().public_keyring()), &voucher),
        Refusal::BadSignature
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Of all the vouchers within a byte of a good one, the relay takes the good one only.
    #[test]
    fn no_byte_can_be_changed(at in 0usize..175, byte: u8, issuer: bool) {
        let (good, keyring) = match issuer {
            true => (voucher().without_dleq(), shop().issuer_keyring()),
            false => (voucher(), shop().public_keyring()),
        };
        let mut bytes = good.to_bytes();
        if let Some(place) = bytes.get_mut(at) { *place = byte; }
        if let Ok(read) = Voucher::from_bytes(&bytes) {
            let taken = relay(keyring).verify(NOW, &read).is_ok();
            prop_assert_eq!(taken, read == good);
        }
    }
}

#[test]
fn a_locktime_must_fit_and_must_not_be_zero() {
    let ask = |secs| {
        let locktime = UnixTime::from_secs(secs);
        VoucherBlank::new(
            &key(9).public_key(),
            &[1; 32],
            coin(),
            shop().keyset.id,
            locktime,
        )
        .err()
    };
    assert_eq!(ask(0), Some(BlankError::Locktime(0)));
    assert_eq!(ask(1 << 32), Some(BlankError::Locktime(1 << 32)));
    assert_eq!(ask((1 << 32) - 1), None);
}

#[test]
fn the_buyer_can_take_the_coin_back_with_the_refund_key() {
    let blank = shop().blank(&key(9).public_key(), 1);
    let long_ago = UnixTime::from_secs(1_000_000);
    let expired = VoucherBlank::new(
        &key(9).public_key(),
        &[1; 32],
        coin(),
        shop().keyset.id,
        long_ago,
    )
    .unwrap();
    for (blank, refundable) in [(blank, false), (expired, true)] {
        let (mut proof, refund_key) = blank.refund(key_of_coin());
        proof.sign_p2pk(refund_key).unwrap();
        // cashu asks the machine's clock, which stands between the two locktimes.
        assert_eq!(proof.verify_p2pk().is_ok(), refundable);
    }
}

fn key_of_coin() -> cashu::PublicKey {
    shop().secret_keys[&1024].public_key()
}

#[test]
fn a_keyring_refuses_what_it_cannot_vouch_for() {
    let shop = shop();
    let mut keyring = Keyring::new();

    let mut altered = shop.keyset.clone();
    altered.input_fee_ppk = 1;
    assert_eq!(
        keyring.add(&shop.mint, &altered),
        Err(KeyringError::WrongId(shop.keyset.id))
    );

    let sat = MintId::new("https://mint1.example", Unit::Sat).unwrap();
    assert_eq!(
        keyring.add(&sat, &shop.keyset),
        Err(KeyringError::WrongUnit(shop.keyset.id))
    );

    let mut keys = shop.secret_keys.clone();
    keys.insert(4, SecretKey::from_slice(&[3; 32]).unwrap());
    assert_eq!(
        keyring.add_issuer(&shop.mint, &shop.keyset, &keys),
        Err(KeyringError::WrongSecretKey(shop.keyset.id))
    );

    keyring.add(&shop.mint, &shop.keyset).unwrap();
    keyring.add(&shop.mint, &shop.keyset).unwrap();
    assert_eq!(keyring.len(), 1);
    let alias = MintId::new("https://alias.example", Unit::Msat).unwrap();
    assert_eq!(
        keyring.add(&alias, &shop.keyset),
        Err(KeyringError::Ambiguous(shop.keyset.id))
    );
}

#[test]
fn a_keyring_stays_bounded() {
    let mut keyring = Keyring::new();
    let shop = |n: u64| Shop::expiring(1, Unit::Msat, Some(NOW.secs() + n));
    for n in 0..Keyring::MAX_KEYSETS as u64 {
        let shop = shop(n);
        keyring.add(&shop.mint, &shop.keyset).unwrap();
    }
    let last = shop(Keyring::MAX_KEYSETS as u64);
    assert_eq!(
        keyring.add(&last.mint, &last.keyset),
        Err(KeyringError::Full)
    );
}

#[test]
fn the_secret_keys_survive_a_refresh_from_the_public_ones() {
    let mut keyring = shop().issuer_keyring();
    keyring.add(&shop().mint, &shop().keyset).unwrap();
    assert!(
        relay(keyring)
            .verify(NOW, &voucher().without_dleq())
            .is_ok()
    );
}

#[test]
fn only_powers_of_two_are_denominations() {
    assert_eq!(Denomination::from_units(0), None);
    assert_eq!(Denomination::from_units(3), None);
    assert_eq!(Denomination::from_units(1024), Some(coin()));
}
