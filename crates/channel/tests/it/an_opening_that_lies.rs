//! One test for each way in which a sender can lie when it opens a channel. None of it may be
//! taken, and whoever tells the truth afterwards is served.

use crate::bank::Bank;
use crate::life::{EXPIRY, MINT, NOW, funded_as, key, params, saved, terms};
use cashu::secret::Secret;
use cashu::{Amount, CurrencyUnit, Id};
use coinfuse_channel::*;
use coinfuse_wire::{Decode, Encode, UnixTime};
use std::time::Duration;

/// A receiver, and an opening with claims that it would take.
struct Scene {
    bank: Bank,
    terms: Terms,
    open: Open,
}

impl Scene {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// Of a sender who plans, funds and signs a channel with these changes to its terms.
    fn with(change: impl FnOnce(&mut Params)) -> Self {
        let mut bank = Bank::new(16, 100);
        let mut params = params(&bank, 1000);
        change(&mut params);
        let open = funded_as(&mut bank, params, 1).open_with_claims();
        let terms = terms(&bank);
        Self { bank, terms, open }
    }

    /// What becomes of the opening.
    fn refusal(&self) -> Refusal {
        self.terms.open(NOW, &self.open).unwrap_err()
    }

    fn is_taken(&self) -> bool {
        self.terms.open(NOW, &self.open).is_ok()
    }

    /// What becomes of the opening when it is changed on the way. As it was, it is taken.
    fn refusal_of(mut self, lie: impl FnOnce(&mut Open)) -> Refusal {
        let truth = self.open.clone();
        lie(&mut self.open);
        let refusal = self.refusal();
        let receiver = saved(self.terms.open(NOW, &truth).unwrap());
        assert_eq!(receiver.balance(), truth.update.balance);
        refusal
    }

    fn claim(open: &mut Open, place: usize) -> &mut Claim {
        open.proofs[place].claim.as_mut().unwrap()
    }
}

/// As the binary form has it: what is left out is derived.
fn without_claims(open: &mut Open) {
    *open = Open::from_bytes(&open.to_bytes()).unwrap();
}

#[test]
fn proof_claims_another_amount() {
    let lie = |open: &mut Open| Scene::claim(open, 1).amount = (1 << 15).into();
    assert_eq!(Scene::new().refusal_of(lie), Refusal::ProofAmount(1));
}

#[test]
fn proofs_in_another_order() {
    let lie = |open: &mut Open| open.proofs.reverse();
    assert_eq!(Scene::new().refusal_of(lie), Refusal::ProofAmount(0));
}

#[test]
fn proofs_in_another_order_without_claims() {
    let lie = |open: &mut Open| {
        open.proofs.reverse();
        without_claims(open);
    };
    assert_eq!(Scene::new().refusal_of(lie), Refusal::Dleq(0));
}

#[test]
fn proof_claims_a_secret_without_a_lock() {
    let lie = |open: &mut Open| Scene::claim(open, 2).secret = Secret::new("plain");
    assert_eq!(Scene::new().refusal_of(lie), Refusal::ProofSecret(2));
}

#[test]
fn proof_claims_a_lock_to_other_keys() {
    let lie = |open: &mut Open| {
        let claim = Scene::claim(open, 0);
        let own = key(1).public_key().to_hex();
        let text = claim.secret.to_string();
        let start = text.find("pubkeys\",\"").unwrap() + 10;
        claim.secret = Secret::new(text.replace(&text[start..start + 66], &own));
    };
    assert_eq!(Scene::new().refusal_of(lie), Refusal::ProofSecret(0));
}

#[test]
fn proof_claims_a_lock_that_ends_earlier() {
    let lie = |open: &mut Open| {
        let claim = Scene::claim(open, 0);
        let expiry = EXPIRY.secs().to_string();
        let earlier = claim.secret.to_string().replace(&expiry, "1900000000");
        claim.secret = Secret::new(earlier);
    };
    assert_eq!(Scene::new().refusal_of(lie), Refusal::ProofSecret(0));
}

#[test]
fn proof_claims_another_keyset() {
    let other = Bank::new(16, 0).published.id;
    let lie = |open: &mut Open| Scene::claim(open, 3).keyset = other;
    assert_eq!(Scene::new().refusal_of(lie), Refusal::ProofKeyset(3));
}

#[test]
fn proof_claims_another_blinding_factor() {
    let lie = |open: &mut Open| Scene::claim(open, 0).blinding = key(9);
    assert_eq!(Scene::new().refusal_of(lie), Refusal::ProofBlinding(0));
}

#[test]
fn dleq_with_another_challenge() {
    let lie = |open: &mut Open| open.proofs[1].e = key(9);
    assert_eq!(Scene::new().refusal_of(lie), Refusal::Dleq(1));
}

#[test]
fn dleq_with_another_answer() {
    let lie = |open: &mut Open| open.proofs[2].s = key(9);
    assert_eq!(Scene::new().refusal_of(lie), Refusal::Dleq(2));
}

#[test]
fn proof_that_the_mint_never_signed() {
    let lie = |open: &mut Open| open.proofs[0].c = key(9).public_key();
    assert_eq!(Scene::new().refusal_of(lie), Refusal::Dleq(0));
}

#[test]
fn proofs_that_another_mint_signed() {
    // It has the same amounts and says that its keyset is the honest mint's.
    let mut scene = Scene::new();
    let amounts: Vec<_> = (0..16).map(|bit| 1 << bit).collect();
    let mut forger = Bank::of(8, &amounts, 100, None);
    let planned = Planned::new(params(&scene.bank, 1000), &scene.bank.keyset(), &key(1));
    let outputs = saved(planned.unwrap()).outputs();
    let forged = forger.forge(&outputs);
    for (proof, forged) in scene.open.proofs.iter_mut().zip(forged) {
        proof.c = forged.c;
        let dleq = forged.dleq.unwrap();
        (proof.e, proof.s) = (dleq.e, dleq.s);
    }
    assert_eq!(scene.refusal(), Refusal::Dleq(0));
}

#[test]
fn too_few_proofs() {
    let lie = |open: &mut Open| drop(open.proofs.pop());
    let refusal = Scene::new().refusal_of(lie);
    assert!(matches!(refusal, Refusal::ProofCount { got, want } if got + 1 == want));
}

#[test]
fn no_proofs() {
    let lie = |open: &mut Open| open.proofs.clear();
    let refusal = Scene::new().refusal_of(lie);
    assert!(matches!(refusal, Refusal::ProofCount { got: 0, .. }));
}

#[test]
fn a_proof_twice() {
    let lie = |open: &mut Open| open.proofs.push(open.proofs[0].clone());
    let refusal = Scene::new().refusal_of(lie);
    assert!(matches!(refusal, Refusal::ProofCount { got, want } if got == want + 1));
}

#[test]
fn proofs_that_fund_another_channel_already() {
    let mut scene = Scene::new();
    let mut other = params(&scene.bank, 1000);
    other.setup = UnixTime::from_secs(1);
    let other = funded_as(&mut scene.bank, other, 1).open_with_claims();
    assert_eq!(
        Scene::new().refusal_of(|open| open.proofs = other.proofs.clone()),
        Refusal::ProofSecret(0)
    );
    let lie = |open: &mut Open| {
        open.proofs = other.proofs;
        without_claims(open);
    };
    assert_eq!(Scene::new().refusal_of(lie), Refusal::Dleq(0));
}

#[test]
fn a_channel_to_another_relay() {
    let scene = Scene::with(|params| params.receiver = key(3).public_key());
    assert_eq!(scene.refusal(), Refusal::OtherReceiver);
}

#[test]
fn another_sender_puts_its_name_on_a_channel() {
    let lie = |open: &mut Open| open.params.sender = key(4).public_key();
    assert_eq!(Scene::new().refusal_of(lie), Refusal::WrongId);
}

#[test]
fn the_receiver_is_named_as_sender() {
    let lie = |open: &mut Open| open.params.sender = key(2).public_key();
    assert_eq!(Scene::new().refusal_of(lie), Refusal::WrongId);
}

#[test]
fn an_id_of_other_terms() {
    let lie = |open: &mut Open| open.update.channel = ChannelId::new([0; 32]);
    assert_eq!(Scene::new().refusal_of(lie), Refusal::WrongId);
}

#[test]
fn no_field_of_the_terms_can_be_changed_on_the_way() {
    let changes: [fn(&mut Params); 11] = [
        |params| params.mint.push('x'),
        |params| params.unit = CurrencyUnit::Sat,
        |params| params.capacity = 999.into(),
        |params| params.funding_amount = (params.funding_amount.to_u64() + 1).into(),
        |params| params.keyset_id = Id::from_bytes(&[0; 8]).unwrap(),
        |params| params.input_fee_ppk += 1,
        |params| params.max_amount = (1 << 15).into(),
        |params| params.setup = UnixTime::from_secs(params.setup.secs() + 1),
        |params| params.expiry = UnixTime::from_secs(params.expiry.secs() + 1),
        |params| params.sender = key(9).public_key(),
        |params| params.receiver = key(9).public_key(),
    ];
    for change in changes {
        let _ = Scene::new().refusal_of(|open| change(&mut open.params));
    }
}

#[test]
fn another_fee_than_the_keysets() {
    let lie = |open: &mut Open| open.params.input_fee_ppk = 0;
    let refusal = Scene::new().refusal_of(lie);
    let fee = ParamsError::Fee {
        got: 0,
        keyset: 100,
    };
    assert_eq!(refusal, Refusal::Terms(fee));
}

#[test]
fn a_keyset_that_the_mint_does_not_have() {
    let other = Bank::new(16, 0).published.id;
    let lie = |open: &mut Open| open.params.keyset_id = other;
    assert_eq!(Scene::new().refusal_of(lie), Refusal::UnknownKeyset);
}

#[test]
fn another_unit() {
    let lie = |open: &mut Open| open.params.unit = CurrencyUnit::Sat;
    assert_eq!(Scene::new().refusal_of(lie), Refusal::UnknownMint);
}

#[test]
fn a_mint_that_the_receiver_does_not_trust() {
    let trusted = MINT.to_owned();
    for mint in [
        "https://evil.example",
        &(trusted.clone() + "/"),
        "",
        &trusted[1..],
    ] {
        let lie = |open: &mut Open| open.params.mint = mint.to_owned();
        assert_eq!(Scene::new().refusal_of(lie), Refusal::UnknownMint);
    }
}

#[test]
fn less_capacity_than_the_receiver_asks_for() {
    let mut scene = Scene::new();
    scene.terms.min_capacity = 1001.into();
    let (got, least) = (1000, 1001);
    assert_eq!(scene.refusal(), Refusal::CapacityTooSmall { got, least });
}

#[test]
fn no_capacity() {
    let mut scene = Scene::new();
    scene.open.params.capacity = Amount::ZERO;
    let (got, least) = (0, 1);
    assert_eq!(scene.refusal(), Refusal::CapacityTooSmall { got, least });
    scene.terms.min_capacity = Amount::ZERO;
    assert_eq!(scene.refusal(), Refusal::Terms(ParamsError::NoCapacity));
}

#[test]
fn more_capacity_than_the_receiver_wants_at_stake() {
    let mut scene = Scene::new();
    scene.terms.max_capacity = 999.into();
    let (got, most) = (1000, 999);
    assert_eq!(scene.refusal(), Refusal::CapacityTooLarge { got, most });
}

#[test]
fn more_capacity_than_the_funding_holds() {
    // Also by no more than what the fees of the two stages take away.
    let funding = Scene::new().open.params.funding_amount;
    for capacity in [1002, funding.to_u64(), funding.to_u64() + 1] {
        let lie = |open: &mut Open| open.params.capacity = capacity.into();
        let refusal = Scene::new().refusal_of(lie);
        assert!(
            matches!(refusal, Refusal::CapacityTooLarge { got, most } if got == capacity && most < 1002),
            "{capacity}: {refusal}"
        );
    }
}

#[test]
fn an_expiry_too_soon_to_settle() {
    let soonest = NOW.saturating_add(Duration::from_secs(1200));
    assert!(Scene::with(|params| params.expiry = soonest).is_taken());
    for secs in [0, 1, NOW.secs(), soonest.secs() - 1] {
        let expiry = UnixTime::from_secs(secs);
        let scene = Scene::with(|params| params.expiry = expiry);
        assert_eq!(scene.refusal(), Refusal::ExpiryTooSoon { expiry });
    }
}

#[test]
fn an_expiry_too_far_away() {
    let last = NOW.saturating_add(Duration::from_secs(30 * 24 * 3600));
    assert!(Scene::with(|params| params.expiry = last).is_taken());
    for secs in [last.secs() + 1, u64::MAX] {
        let expiry = UnixTime::from_secs(secs);
        let scene = Scene::with(|params| params.expiry = expiry);
        assert_eq!(scene.refusal(), Refusal::ExpiryTooFar { expiry });
    }
}

#[test]
fn a_keyset_that_ends_before_the_channel_is_settled() {
    let margin = Terms::new(key(2)).margin.as_secs();
    for (end, taken) in [
        (EXPIRY.secs() + margin, true),
        (EXPIRY.secs() + margin - 1, false),
        (NOW.secs(), false),
    ] {
        let mut bank = Bank::of(7, &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512], 0, Some(end));
        let params = params(&bank, 1000);
        let open = funded_as(&mut bank, params, 1).open();
        match terms(&bank).open(NOW, &open) {
            Ok(_) => assert!(taken),
            Err(refusal) => assert!(!taken && refusal == Refusal::KeysetExpiring),
        }
    }
}

#[test]
fn a_signature_with_another_key() {
    let mut scene = Scene::new();
    let other = params(&scene.bank, 1000);
    let mut other = Params {
        sender: key(4).public_key(),
        ..other
    };
    other.setup = UnixTime::from_secs(1);
    let stranger = funded_as(&mut scene.bank, other, 4);
    let lie = |open: &mut Open| open.update.signature = stranger.update().signature;
    assert_eq!(Scene::new().refusal_of(lie), Refusal::Signature);
}

#[test]
fn a_signature_for_another_balance() {
    let lie = |open: &mut Open| open.update.balance = Amount::ONE;
    assert_eq!(Scene::new().refusal_of(lie), Refusal::Signature);
}

#[test]
fn a_first_balance_over_capacity() {
    for balance in [1001, u64::MAX] {
        let lie = |open: &mut Open| open.update.balance = balance.into();
        let capacity = 1000;
        assert_eq!(
            Scene::new().refusal_of(lie),
            Refusal::OverCapacity { balance, capacity }
        );
    }
}
