use crate::NOW;
use crate::laws::{canonical, choose};
use coinfuse_voucher::{
    Denomination, Keyring, Payment, Policy, SpentRecord, Verifier, Voucher, VoucherKey,
    VoucherPublicKey,
};
use coinfuse_wire::Decode;

/// Vouchers have one encoding, and nobody makes one out of nothing.
pub fn voucher(data: &[u8]) {
    let Some((choice, data)) = choose(data, 5) else {
        return;
    };
    match choice {
        0 => forged(data),
        1 => canonical::<Payment>(data),
        2 => canonical::<SpentRecord>(data),
        3 => canonical::<VoucherPublicKey>(data),
        _ => canonical::<Denomination>(data),
    }
}

fn forged(data: &[u8]) {
    canonical::<Voucher>(data);
    let Ok(voucher) = Voucher::from_bytes(data) else {
        return;
    };
    let key = VoucherKey::from_secret_bytes([9; 32]).expect("a key");
    let relay = Verifier::new(key, Keyring::new(), Policy::default());
    assert!(relay.verify(NOW, &voucher).is_err());
}
