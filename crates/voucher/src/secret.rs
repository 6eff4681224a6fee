//! The canonical secret: what the mint signs, rebuilt by the relay from a few bytes.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use cashu::{PublicKey, SecretKey};
use coinfuse_wire::UnixTime;
use core::fmt::Write as _;

/// The last time of a lock that a voucher can carry: 2106-02-07.
pub const MAX_LOCKTIME: UnixTime = UnixTime::from_secs(u32::MAX as u64);

/// The NUT-10 secret of a voucher as the mint sees it: one spelling of the JSON, no white space,
/// keys and tags in this order.
///
/// ```text
/// ["P2PK",{"nonce":"<64 hex>","data":"<66 hex: P'>","tags":[["locktime","<decimal>"],["refund","<66 hex: E>"]]}]
/// ```
///
/// The nonce is `SHA256("Coinfuse_voucher_nonce_v1" || E)`. The refund key is E itself: the buyer
/// alone knows e, and the mint cannot get from E to the relay's key without e or p. There is no
/// `sigflag` tag: each input is signed for itself (NUT-11's default).
pub(crate) fn canonical(
    blinded: &PublicKey,
    ephemeral: &PublicKey,
    locktime: u32,
) -> cashu::secret::Secret {
    let mut text = String::with_capacity(320);
    text.push_str(r#"["P2PK",{"nonce":""#);
    push_hex(&mut text, &nonce(ephemeral));
    text.push_str(r#"","data":""#);
    push_hex(&mut text, &blinded.to_bytes());
    text.push_str(r#"","tags":[["locktime",""#);
    // Writing to a string does not fail.
    let _ = write!(text, "{locktime}");
    text.push_str(r#""],["refund",""#);
    push_hex(&mut text, &ephemeral.to_bytes());
    text.push_str(r#""]]}]"#);
    cashu::secret::Secret::new(text)
}

fn nonce(ephemeral: &PublicKey) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    engine.input(b"Coinfuse_voucher_nonce_v1");
    engine.input(&ephemeral.to_bytes());
    sha256::Hash::from_engine(engine).to_byte_array()
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// The ephemeral key that belongs to `seed`.
pub(crate) fn ephemeral_key(seed: &[u8; 32]) -> SecretKey {
    crate::key::derive_key(b"Coinfuse_voucher_ephemeral_v1", seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cashu::nut10::{Secret as Nut10Secret, SpendingConditions};
    use cashu::{Kind, SigFlag};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cashu_reads_the_secret_as_a_lock_with_refund(p: [u8; 32], e: [u8; 32], locktime in 1u32..) {
            let (p, e) = (ephemeral_key(&p).public_key(), ephemeral_key(&e).public_key());
            let secret = canonical(&p, &e, locktime);

            let read = Nut10Secret::try_from(&secret).unwrap();
            prop_assert_eq!(read.kind(), Kind::P2PK);
            prop_assert_eq!(read.secret_data().nonce(), cashu::util::hex::encode(nonce(&e)));
            // The spelling is also the one that cashu itself writes.
            prop_assert_eq!(&cashu::secret::Secret::try_from(read.clone()).unwrap(), &secret);

            let SpendingConditions::P2PKConditions { data, conditions: Some(conditions) } =
                SpendingConditions::try_from(read).unwrap() else { panic!("no conditions") };
            prop_assert_eq!(data, p);
            prop_assert_eq!(conditions.locktime, Some(u64::from(locktime)));
            prop_assert_eq!(conditions.refund_keys, Some(vec![e]));
            prop_assert_eq!((conditions.pubkeys, conditions.num_sigs, conditions.num_sigs_refund), (None, None, None));
            prop_assert_eq!(conditions.sig_flag, SigFlag::SigInputs);
        }
    }

    #[test]
    fn the_spelling_never_changes() {
        let e = PublicKey::from_hex(
            "02a8cda4cf448bfce9a9e46e588c06ea1780fcb94e3bbdf3277f42995d403a8b0c",
        )
        .unwrap();
        let blinded = PublicKey::from_hex(
            "03b7c03eb05a0a539cfc438e81bcf38b65b7bb8685e8790f9b853bfe3d77ad5315",
        )
        .unwrap();
        assert_eq!(
            canonical(&blinded, &e, 1_900_000_000).to_string(),
            include_str!("../tests/vectors/canonical-secret.txt")
                .lines()
                .last()
                .unwrap()
        );
    }
}
