//! Vouchers that come back after their locktime.

use super::error::PurseError;
use super::intake::as_they_are;
use super::record::{Held, Input, MAX_SWAP};
use super::till::Till;
use crate::id::VoucherId;
use crate::unit::MintId;
use coinfuse_wire::{Msat, UnixTime};

/// One swap of all expired vouchers of one mint that are still unspent.
pub(super) async fn refund_at(
    till: &Till,
    mint: &MintId,
    now: UnixTime,
) -> Result<Msat, PurseError> {
    let expired: Vec<(VoucherId, Held)> = till
        .read(|book| {
            // Mints count the locktime as passed one second after it.
            book.vouchers()
                .filter(|(_, held)| held.mint == *mint && held.terms.locktime < now)
                .filter(|(id, _)| !book.in_swap(id))
                .take(MAX_SWAP / 2)
                .map(|(id, held)| (*id, held.clone()))
                .collect()
        })
        .await;
    if expired.is_empty() {
        return Ok(Msat::ZERO);
    }
    let inputs: Vec<_> = expired
        .iter()
        .filter_map(|(_, held)| refund_input(till, held))
        .collect();
    let unspent = till.unspent(mint, &inputs).await?;
    let (back, gone): (Vec<_>, Vec<_>) = inputs
        .into_iter()
        .partition(|input| unspent.contains(&input.key));
    let gone: Vec<_> = gone
        .iter()
        .map(|input| VoucherId::from_bytes(input.key))
        .collect();
    till.change(|book| {
        (
            (),
            gone.iter().filter_map(|id| book.drop_voucher(id)).collect(),
        )
    })
    .await?;
    if back.is_empty() {
        return Ok(Msat::ZERO);
    }
    let taken = till.try_take_in(mint, &back, &mut as_they_are).await?;
    Ok(mint.unit().value(taken.units).unwrap_or(Msat::MAX))
}

fn refund_input(till: &Till, held: &Held) -> Option<Input> {
    let denomination = held.voucher.denomination();
    let blank = till
        .seed()
        .blank(
            (&held.salt, held.counter),
            &held.terms,
            denomination,
            held.keyset,
        )
        .ok()?;
    let (mut proof, key) = blank.refund(held.voucher.signature);
    proof.sign_p2pk(key).ok()?;
    Some(Input::from_proof(&held.mint, &proof))
}
