//! Swaps are sent here, and driven to their end.
//!
//! A swap is written down before it is sent, complete, so that it can be sent again after a crash;
//! the mint answers a request that it has seen before (NUT-19), or says what it has signed (NUT-09).

use super::book::key_of;
use super::error::{PurseError, bad_mint, unfinished};
use super::line::is_refusal;
use super::mould::{BadMint, Cast, Mould};
use super::record::{Coin, Held, Input, Swap};
use super::running::Claim;
use super::store::{StoreError, Written};
use super::till::Till;
use crate::id::VoucherId;
use crate::unit::MintId;
use cashu::{BlindSignature, KeySet, State, SwapRequest};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A swap in the book, with the keys that its outputs will be signed with.
pub(crate) struct Planned {
    swap: Arc<Swap>,
    keyset: Arc<KeySet>,
    _claim: Claim,
}

impl Planned {
    pub(crate) fn new(swap: Swap, keyset: KeySet, claim: Claim) -> Self {
        Self {
            swap: Arc::new(swap),
            keyset: Arc::new(keyset),
            _claim: claim,
        }
    }
}

/// What a swap has brought.
#[derive(Default)]
pub(crate) struct Brought {
    /// Units in plain coins.
    pub(crate) plain: u64,
    pub(crate) vouchers: Vec<(VoucherId, Held)>,
    /// The coins of a token.
    pub(crate) handed: Vec<Coin>,
    /// Signatures on the outputs of a caller, in the caller's order.
    pub(crate) signatures: Vec<BlindSignature>,
}

impl Brought {
    fn of(casts: &[Cast]) -> Self {
        let mut brought = Self::default();
        let mut foreign = Vec::new();
        for cast in casts {
            match cast {
                Cast::Coin(coin) => brought.plain = brought.plain.saturating_add(coin.amount),
                Cast::Handed(coin) => brought.handed.push(coin.clone()),
                Cast::Voucher(voucher) => brought.vouchers.push((**voucher).clone()),
                Cast::Foreign(place, _, signed) => foreign.push((*place, signed)),
            }
        }
        foreign.sort_unstable_by_key(|(place, _)| *place);
        brought.signatures = foreign.into_iter().map(|(_, s)| s.clone()).collect();
        brought
    }
}

/// What there is in answer to each output of a swap, in its order.
type Answers = Vec<Option<BlindSignature>>;

impl Till {
    /// Sends a planned swap, after its record is on disk, and finishes it.
    pub(crate) async fn execute(
        &self,
        planned: Planned,
        written: Written,
    ) -> Result<Brought, PurseError> {
        // The curve arithmetic goes on while the disk writes.
        let moulds = self.moulds(&planned.swap);
        written.wait().await?;
        self.send(&planned, moulds.await?).await
    }

    async fn send(
        &self,
        planned: &Planned,
        moulds: Arc<Vec<Mould>>,
    ) -> Result<Brought, PurseError> {
        let mint = &planned.swap.mint;
        let line = self.line(mint)?;
        let request = request(&planned.swap, &moulds);
        let mut answer = line.swap(request.clone()).await;
        if answer.as_ref().is_err_and(|error| !is_refusal(error)) {
            // The answer may have been lost; the same request has the same answer.
            answer = line.swap(request).await;
        }
        match answer {
            Ok(signatures) => {
                let answers = signatures.into_iter().map(Some).collect();
                let casts = self.casts(planned, moulds, answers).await?;
                self.finish(planned, casts).await
            }
            Err(source) if is_refusal(&source) => self.settle(planned, moulds, source).await,
            Err(source) => Err(unfinished(mint, source)),
        }
    }

    /// The mint refuses the swap. Either it has happened before, then the mint can say what it has
    /// signed; or it will never happen.
    async fn settle(
        &self,
        planned: &Planned,
        moulds: Arc<Vec<Mould>>,
        refusal: cdk::Error,
    ) -> Result<Brought, PurseError> {
        let mint = &planned.swap.mint;
        let answers = self.restore(mint, &moulds).await?;
        let there = |foreign: bool| {
            let outputs = moulds.iter().zip(&answers);
            outputs
                .filter(|(mould, _)| mould.is_foreign() == foreign)
                .map(|(_, answer)| answer.is_some())
                .collect::<Vec<_>>()
        };
        let (own, foreign) = (there(false), there(true));
        if own.contains(&true) {
            if own.contains(&false) || foreign.contains(&false) {
                return Err(bad_mint(mint, BadMint::Answer));
            }
            let casts = self.casts(planned, moulds, answers).await?;
            return self.finish(planned, casts).await;
        }
        // None of our own outputs: the swap did not happen, or it had none. In both cases the
        // coins tell.
        let unspent = self.unspent(mint, &planned.swap.inputs).await?;
        let signed = !foreign.is_empty() && !foreign.contains(&false);
        let casts = match signed {
            // By this swap, or by another that knew these outputs: they need not be paid again.
            true => self.casts(planned, moulds, answers).await?,
            false => Vec::new(),
        };
        let brought = Brought::of(&casts);
        let is_unspent = |coin: &Coin| unspent.contains(&key_of(coin));
        let (_, written) = self
            .change(|book| ((), book.cancel(&planned.swap, &is_unspent, casts)))
            .await?;
        written.wait().await?;
        match signed {
            true => Ok(brought),
            false => Err(PurseError::Refused {
                mint: mint.clone(),
                source: Box::new(refusal),
            }),
        }
    }

    async fn restore(&self, mint: &MintId, moulds: &[Mould]) -> Result<Answers, PurseError> {
        let outputs = moulds.iter().map(|mould| mould.message.clone()).collect();
        let restored = self.line(mint)?.restore(outputs).await;
        let mut restored: HashMap<_, _> = restored
            .map_err(|source| unfinished(mint, source))?
            .into_iter()
            .map(|(output, signed)| (output.blinded_secret, signed))
            .collect();
        let answers = moulds.iter().map(|mould| {
            let signed = restored.remove(&mould.message.blinded_secret)?;
            // A caller may have had its point signed for another amount; that is not what it wants
            // now. Our own outputs are nobody else's.
            (mould.fits(&signed) || !mould.is_foreign()).then_some(signed)
        });
        Ok(answers.collect())
    }

    /// Which of the coins the mint says are unspent. An error while one is on its way.
    pub(crate) async fn unspent(
        &self,
        mint: &MintId,
        inputs: &[Input],
    ) -> Result<HashSet<[u8; 32]>, PurseError> {
        let ys = inputs
            .iter()
            .filter_map(|input| input.coin.to_proof().y().ok())
            .collect();
        let states = self.line(mint)?.states(ys).await;
        let states = states.map_err(|source| unfinished(mint, source))?;
        let known = |state| matches!(state, State::Unspent | State::Spent);
        if !states.iter().all(|state| known(state.state)) {
            return Err(unfinished(mint, cdk::Error::TokenPending));
        }
        let unspent = states.iter().filter(|state| state.state == State::Unspent);
        Ok(unspent
            .map(|state| state.y.x_only_public_key().serialize())
            .collect())
    }

    async fn finish(&self, planned: &Planned, casts: Vec<Cast>) -> Result<Brought, PurseError> {
        let brought = Brought::of(&casts);
        let (_, written) = self
            .change(|book| ((), book.finish(&planned.swap, casts)))
            .await?;
        // Else not waited for: until it is on disk, the record of the swap is, which brings the
        // same. But a token that leaves is to be found again without the mint.
        if !brought.handed.is_empty() {
            written.wait().await?;
        }
        Ok(brought)
    }

    /// Goes on with every swap that nobody is working on. Returns how many are left.
    pub(crate) async fn recover_swaps(&self) -> Result<usize, PurseError> {
        let numbers: Vec<u64> = self
            .read(|book| book.swaps().map(|s| s.number).collect())
            .await;
        let mut left = 0;
        for number in numbers {
            let Some(claim) = self.running.claim(number) else {
                left += 1;
                continue;
            };
            match self.resume(number, claim).await {
                Ok(_) | Err(PurseError::Refused { .. }) => {}
                Err(PurseError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "a swap is left unfinished");
                    left += 1;
                }
            }
        }
        Ok(left)
    }

    /// Goes on with a swap, when nobody else is working on it any more. `None` if it was ended in
    /// the meantime, well or not.
    pub(crate) async fn go_on(&self, number: u64) -> Result<Option<Brought>, PurseError> {
        let claim = self.running.wait(number).await;
        self.resume(number, claim).await
    }

    async fn resume(&self, number: u64, claim: Claim) -> Result<Option<Brought>, PurseError> {
        let Some(swap) = self.read(|book| book.swap(number).cloned()).await else {
            return Ok(None);
        };
        let keyset = self.known_keyset(&swap.mint, swap.keyset).await?;
        let planned = Planned::new(swap, keyset, claim);
        let moulds = self.moulds(&planned.swap).await?;
        self.send(&planned, moulds).await.map(Some)
    }

    /// Starts the curve arithmetic at once, away from the threads that move data.
    pub(crate) fn moulds(
        &self,
        swap: &Arc<Swap>,
    ) -> impl Future<Output = Result<Arc<Vec<Mould>>, PurseError>> + use<> {
        let (seed, swap) = (Arc::clone(&self.seed), Arc::clone(swap));
        let work = tokio::task::spawn_blocking(move || Mould::for_swap(&seed, &swap));
        async move {
            let moulds = work.await.map_err(|_| PurseError::Stopped)?;
            Ok(Arc::new(moulds.ok_or(StoreError::damaged("a swap"))?))
        }
    }

    /// Checks and unblinds what there is.
    async fn casts(
        &self,
        planned: &Planned,
        moulds: Arc<Vec<Mould>>,
        answers: Answers,
    ) -> Result<Vec<Cast>, PurseError> {
        let (swap, keyset) = (Arc::clone(&planned.swap), Arc::clone(&planned.keyset));
        let work = tokio::task::spawn_blocking(move || {
            let pairs = moulds.iter().zip(&answers);
            pairs
                .filter_map(|(mould, signed)| Some((mould, signed.as_ref()?)))
                .map(|(mould, signed)| mould.cast(&swap, &keyset, signed))
                .collect::<Result<Vec<_>, _>>()
        });
        let casts = work.await.map_err(|_| PurseError::Stopped)?;
        casts.map_err(|source| bad_mint(&planned.swap.mint, source))
    }
}

/// What is sent to the mint.
pub(crate) fn request(swap: &Swap, moulds: &[Mould]) -> SwapRequest {
    SwapRequest::new(
        swap.inputs.iter().map(Input::to_proof).collect(),
        moulds.iter().map(|mould| mould.message.clone()).collect(),
    )
}
