//! The funding proofs: checked by the receiver, unblinded by the sender.

use crate::channel::{Channel, ParamsError};
use crate::derive::Output;
use crate::hash::{multiply, subtract};
use crate::keyset::Keyset;
use crate::message::FundingProof;
use crate::refusal::Refusal;
use cashu::{BlindSignature, Id, Proof, ProofDleq, PublicKey, SecretKey};
use thiserror::Error;

/// Why the mint's answer is not taken. The mint has broken the protocol, or cheats; what it was
/// asked for is written down, so nothing is lost by asking again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MintFault {
    /// Too few signatures or too many.
    #[error("the mint answered with {got} signatures for {want} outputs")]
    Count {
        /// What it sent.
        got: usize,
        /// What it was asked for.
        want: usize,
    },
    /// A signature is for another amount.
    #[error("signature {0} is for another amount")]
    Other(usize),
    /// A signature is of another keyset than the one that is expected. No fault of the mint's if
    /// it answered to an earlier swap: settle under this keyset, or search with it.
    #[error("a signature is of keyset {0}, which is not the one expected")]
    Keyset(Id),
    /// A signature is not proven to be made with the mint's published key (NUT-12).
    #[error("signature {0} is not proven to be made with the mint's key")]
    Dleq(usize),
    /// The terms have no derivation.
    #[error(transparent)]
    Terms(#[from] ParamsError),
}

/// Checks and unblinds the mint's signatures on `outputs`.
pub(crate) fn unblind(
    keyset: &Keyset,
    outputs: &[Output],
    signatures: &[BlindSignature],
) -> Result<Vec<(PublicKey, SecretKey, SecretKey)>, MintFault> {
    if signatures.len() != outputs.len() {
        return Err(MintFault::Count {
            got: signatures.len(),
            want: outputs.len(),
        });
    }
    outputs
        .iter()
        .zip(signatures)
        .enumerate()
        .map(|(place, (output, signed))| unblind_one(keyset, output, signed, place))
        .collect()
}

fn unblind_one(
    keyset: &Keyset,
    output: &Output,
    signed: &BlindSignature,
    place: usize,
) -> Result<(PublicKey, SecretKey, SecretKey), MintFault> {
    let key = keyset.key(output.amount).ok_or(MintFault::Other(place))?;
    if signed.keyset_id != keyset.id() {
        return Err(MintFault::Keyset(signed.keyset_id));
    }
    if signed.amount != output.amount {
        return Err(MintFault::Other(place));
    }
    signed
        .verify_dleq(*key, output.point)
        .map_err(|_| MintFault::Dleq(place))?;
    let dleq = signed.dleq.clone().ok_or(MintFault::Dleq(place))?;
    let c = multiply(key, &output.blinding)
        .and_then(|blinding| subtract(&signed.c, &blinding))
        .ok_or(MintFault::Other(place))?;
    Ok((c, dleq.e, dleq.s))
}

/// The proof that an output became.
pub(crate) fn proof(output: &Output, keyset: Id, c: PublicKey) -> Proof {
    let mut proof = Proof::new(output.amount, keyset, output.secret.clone(), c);
    proof.p2pk_e = output.ephemeral;
    proof
}

/// Checks what a sender sent against what the terms come to, and the mint's signatures (SPILMAN 9,
/// 7 to 9). The number of proofs was bounded before.
pub(crate) fn verify(channel: &Channel, sent: &[FundingProof]) -> Result<Vec<Proof>, Refusal> {
    let want = channel.ladder.outputs(channel.params.funding_amount);
    let want = usize::try_from(want.map_err(ParamsError::Amount)?).unwrap_or(usize::MAX);
    if sent.len() != want {
        return Err(Refusal::ProofCount {
            got: sent.len(),
            want,
        });
    }
    // One by one: the first lie ends it.
    channel
        .coins(channel.params.funding_amount)?
        .zip(sent)
        .enumerate()
        .map(|(place, ((amount, index), sent))| {
            let output = channel.funding_output(amount, index)?;
            check_claim(channel, &output, sent, place)?;
            check_signature(channel, &output, sent, place)
        })
        .collect()
}

fn check_claim(
    channel: &Channel,
    output: &Output,
    sent: &FundingProof,
    place: usize,
) -> Result<(), Refusal> {
    let Some(claim) = &sent.claim else {
        return Ok(());
    };
    match () {
        () if claim.amount != output.amount => Err(Refusal::ProofAmount(place)),
        () if claim.keyset != channel.keyset.id() => Err(Refusal::ProofKeyset(place)),
        () if claim.secret != output.secret => Err(Refusal::ProofSecret(place)),
        () if claim.blinding != output.blinding => Err(Refusal::ProofBlinding(place)),
        () => Ok(()),
    }
}

fn check_signature(
    channel: &Channel,
    output: &Output,
    sent: &FundingProof,
    place: usize,
) -> Result<Proof, Refusal> {
    let key = channel
        .keyset
        .key(output.amount)
        .ok_or(Refusal::ProofAmount(place))?;
    let mut signed = proof(output, channel.keyset.id(), sent.c);
    signed.dleq = Some(ProofDleq::new(
        sent.e.clone(),
        sent.s.clone(),
        output.blinding.clone(),
    ));
    signed.verify_dleq(*key).map_err(|_| Refusal::Dleq(place))?;
    // The mint must not be shown it: it would tell which coin was blinded how.
    signed.dleq = None;
    Ok(signed)
}
