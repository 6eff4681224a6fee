//! A voucher is credited once, to the account that presented it first, however often it comes.

use crate::shop::{NOW, Shop, key, relay};
use coinfuse_voucher::{AccountHash, Credit, Refusal, SpentRecord, SpentSet, Unit};
use coinfuse_wire::{Decode, Encode, Msat};
use proptest::prelude::*;

fn account(n: u8) -> AccountHash {
    AccountHash::of(&[n; 32])
}

#[test]
fn presenting_again_is_success_for_the_same_account_and_spent_for_another() {
    let shop = Shop::new(1, Unit::Msat);
    let voucher = shop.sell(&shop.blank(&key(9).public_key(), 1));
    let relay = relay(shop.issuer_keyring());
    let long = relay.verify(NOW, &voucher).unwrap();
    let short = relay.verify(NOW, &voucher.without_dleq()).unwrap();

    let mut spent = SpentSet::new();
    assert_eq!(
        spent.credit(account(1), &long),
        Ok(Credit::New(Msat::new(1024)))
    );
    assert_eq!(
        spent.credit(account(1), &long),
        Ok(Credit::Before(Msat::new(1024)))
    );
    // Another encoding of the coin is the same coin.
    assert_eq!(
        spent.credit(account(1), &short),
        Ok(Credit::Before(Msat::new(1024)))
    );
    assert_eq!(spent.credit(account(2), &short), Err(Refusal::Spent));
    assert_eq!(spent.credited(account(1)), Msat::new(1024));
    assert_eq!(spent.credited(account(2)), Msat::ZERO);
}

#[test]
fn a_record_is_forty_bytes_and_reads_back() {
    let record = SpentRecord {
        account: account(1),
        value: Msat::new(1 << 40),
    };
    let bytes = record.to_bytes();
    assert_eq!(bytes.len(), 40);
    assert_eq!(SpentRecord::from_bytes(&bytes), Ok(record));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is presented by whom: as much is credited as different coins were shown.
    #[test]
    fn money_is_conserved(shown in proptest::collection::vec((0u8..4, 1u8..6), 1..20)) {
        let shop = Shop::new(1, Unit::Msat);
        let relay = relay(shop.issuer_keyring());
        let mut spent = SpentSet::new();
        let mut coins = std::collections::BTreeSet::new();
        for (who, coin) in shown {
            let voucher = shop.sell(&shop.blank(&key(9).public_key(), coin));
            let _ = spent.credit(account(who), &relay.verify(NOW, &voucher).unwrap());
            coins.insert(coin);
            let credited: Msat = (0..4).map(|who| spent.credited(account(who))).sum();
            prop_assert_eq!(credited, Msat::new(1024 * coins.len() as u64));
            prop_assert_eq!(spent.len(), coins.len());
        }
    }
}
