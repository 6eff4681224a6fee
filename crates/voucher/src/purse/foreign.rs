//! What a purse and a redeemer do with money that is locked elsewhere: in a payment channel, say,
//! of which they know nothing.

use super::error::PurseError;
use super::intake::as_they_are;
use super::line::{CallError, Line};
use super::record::Input;
use super::till::Till;
use super::{Purse, Redeemer, run};
use crate::unit::MintId;
use cashu::{
    BlindSignature, BlindedMessage, Id, KeySet, Proof, ProofState, PublicKey, SwapRequest,
};
use coinfuse_wire::Msat;
use std::sync::Arc;

macro_rules! facilities {
    ($name:ident) => {
        /// Money that is locked elsewhere.
        impl $name {
            /// The active keyset of a mint with which a swap would be made: the one that is
            /// cheapest to spend. `refresh` asks the mint first, and falls back to what is known of
            /// it if it does not answer.
            pub async fn keyset(&self, mint: &MintId, refresh: bool) -> Result<KeySet, PurseError> {
                Ok(self.till.keyset(mint, refresh).await?.0)
            }

            /// A keyset of a mint by its id, active or not: for what was signed under it before.
            ///
            /// # Errors
            ///
            /// [`PurseError::Unfinished`] if the mint does not answer, or knows no such keyset.
            pub async fn known_keyset(&self, mint: &MintId, id: Id) -> Result<KeySet, PurseError> {
                self.till.known_keyset(mint, id).await
            }

            /// Swaps coins for plain ones of the purse. Each has its own witness (SIG_INPUTS), or
            /// needs none. Returns what they have brought, less the mint's fee.
            ///
            /// The swap is written down before it is sent. After a crash, give the coins again, or
            /// call `recover`, which brings them as well.
            ///
            /// # Errors
            ///
            /// [`PurseError::Spent`] if all of them are spent: by an earlier call or a recovery that
            /// has ended well, or by somebody else; the purse does not remember which. If only some
            /// are, the others are taken in. After [`PurseError::Refused`] they are the caller's
            /// still.
            pub async fn take_in(
                &self,
                mint: &MintId,
                proofs: &[Proof],
            ) -> Result<Msat, PurseError> {
                self.take_in_signed(mint, proofs, as_they_are).await
            }

            /// As [`Self::take_in`], for coins whose witness signs the whole swap (SIG_ALL): `sign`
            /// is given the swap and puts the witness on its first input. It may change nothing but
            /// witnesses. It is called again if the swap has to be changed, and for every further
            /// 500 coins; it is not called for a swap that an earlier call has written down.
            pub async fn take_in_signed<E>(
                &self,
                mint: &MintId,
                proofs: &[Proof],
                mut sign: impl FnMut(&mut SwapRequest) -> Result<(), E> + Send + 'static,
            ) -> Result<Msat, PurseError>
            where
                E: Into<Box<dyn core::error::Error + Send + Sync>>,
            {
                let inputs = proofs.iter().map(|proof| Input::from_proof(mint, proof));
                let (inputs, mint) = (inputs.collect(), mint.clone());
                run(&self.till, move |till| async move {
                    let mut sign = |request: &mut SwapRequest| sign(request).map_err(Into::into);
                    let units = till.take_in(&mint, inputs, &mut sign).await?;
                    Ok(mint.unit().value(units).unwrap_or(Msat::MAX))
                })
                .await
            }

            /// Sends a swap of the caller's (NUT-03), which nothing is written down of, and returns
            /// one signature for each output, in their order. Their DLEQ proofs are not checked.
            ///
            /// The same request may be sent again: mints answer it as before for a while (NUT-19),
            /// and then refuse it with [`CallError::is_spent`]; [`Self::restore`] tells the rest.
            pub async fn submit_swap(
                &self,
                mint: &MintId,
                request: SwapRequest,
            ) -> Result<Vec<BlindSignature>, CallError> {
                let answer = line(&self.till, mint)?.swap(request).await;
                answer.map_err(|error| CallError::new(mint, error))
            }

            /// Which of these outputs the mint has signed (NUT-09), each as it was asked for and with
            /// its signature, which carries the amount and keyset that it was signed for.
            pub async fn restore(
                &self,
                mint: &MintId,
                outputs: Vec<BlindedMessage>,
            ) -> Result<Vec<(BlindedMessage, BlindSignature)>, CallError> {
                let answer = line(&self.till, mint)?.restore(outputs).await;
                answer.map_err(|error| CallError::new(mint, error))
            }

            /// The states of coins (NUT-07), in the order of their `ys`: `Y = hash_to_curve(secret)`.
            pub async fn check_state(
                &self,
                mint: &MintId,
                ys: Vec<PublicKey>,
            ) -> Result<Vec<ProofState>, CallError> {
                let answer = line(&self.till, mint)?.states(ys).await;
                answer.map_err(|error| CallError::new(mint, error))
            }
        }
    };
}

facilities!(Purse);
facilities!(Redeemer);

fn line(till: &Arc<Till>, mint: &MintId) -> Result<Line, CallError> {
    till.line(mint)
        .map_err(|_| CallError::UnknownMint(mint.clone()))
}

impl Purse {
    /// Has outputs signed whose secrets the purse does not know, and pays for them with its coins:
    /// one swap, in which the mint cannot tell them from change. Returns one signature for each
    /// output, in their order; their DLEQ proofs have been checked.
    ///
    /// The outputs are of one active keyset ([`Self::keyset`]). They are paid once: the swap is
    /// written down under `tag` before it is sent, and the signatures are kept under it until
    /// [`Self::forget_signed`]. The same call again, also after a crash, returns what is kept or
    /// goes on with the swap; [`Self::recover`] goes on with it as well. Outputs that the mint says
    /// it has signed before are not paid again.
    ///
    /// # Errors
    ///
    /// After [`PurseError::Unfinished`] and [`PurseError::BadMint`] the swap stays under its tag.
    /// After any other error the tag is as it was and the coins are in the purse; with
    /// [`PurseError::Keyset`] the keyset has been retired, and other outputs are needed.
    pub async fn sign_outputs(
        &self,
        tag: [u8; 32],
        mint: &MintId,
        outputs: Vec<BlindedMessage>,
    ) -> Result<Vec<BlindSignature>, PurseError> {
        let mint = mint.clone();
        self.run(move |till| async move { till.sign_outputs(tag, &mint, &outputs).await })
            .await
    }

    /// The signatures that are kept under `tag`, in the order of their outputs.
    pub async fn signed(&self, tag: &[u8; 32]) -> Option<Vec<BlindSignature>> {
        self.till.signed(tag).await
    }

    /// The caller has written down what it had signed under `tag`: it is forgotten here. Nothing
    /// happens if there is nothing, or if the swap is unfinished.
    pub async fn forget_signed(&self, tag: &[u8; 32]) -> Result<(), PurseError> {
        let tag = *tag;
        self.run(move |till| async move { till.forget_signed(&tag).await })
            .await
    }
}
