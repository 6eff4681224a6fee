//! The line to a mint: single calls, each with a time-out and a look at whether the answer fits.

use crate::unit::MintId;
use cashu::{
    BlindSignature, BlindedMessage, CheckStateRequest, ProofState, PublicKey, RestoreRequest,
    SwapRequest,
};
use cdk::Error;
use cdk::error::ErrorResponse;
use cdk::wallet::MintConnector;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Why a single call to a mint brought nothing. Nothing of it is written down: what to do next is
/// the caller's to know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The mint is not on the list that the purse was opened with.
    #[error("{0} is not a mint of this purse: add it to the configuration")]
    UnknownMint(MintId),
    /// The mint has answered that it does not do this. The same request will not be done later
    /// either; but it may have been done before, when [`Self::is_spent`].
    #[error("{mint} refuses: {reason}")]
    Refused {
        /// The mint.
        mint: MintId,
        /// The error code (NUT-00), if it gave one.
        code: Option<u16>,
        /// Its words.
        reason: String,
    },
    /// No answer, or one that means "not now" (a coin is on its way elsewhere, the mint is
    /// overloaded or broken). It is not known whether the request was done: send the same again.
    #[error("{mint} does not answer: {reason}")]
    Unanswered {
        /// The mint.
        mint: MintId,
        /// What went wrong.
        reason: String,
    },
    /// The answer does not fit the request. The request may have been done.
    #[error("{mint} breaks the protocol: {reason}")]
    BadAnswer {
        /// The mint.
        mint: MintId,
        /// How.
        reason: String,
    },
}

impl CallError {
    /// The error code (NUT-00) with which the mint has refused, if it gave one.
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => *code,
            _ => None,
        }
    }

    /// True if an input is spent already (11001), or an output signed already (11003): by an
    /// earlier sending of this request, which a restore tells, or by something else.
    pub const fn is_spent(&self) -> bool {
        matches!(self.code(), Some(11001 | 11003))
    }

    /// True if the keyset of the outputs is unknown, retired or expired (12000 to 12999): make
    /// the outputs anew, with an active keyset.
    pub const fn is_keyset(&self) -> bool {
        matches!(self.code(), Some(code) if is_keyset_code(code))
    }

    pub(crate) fn new(mint: &MintId, error: Error) -> Self {
        let (mint, reason) = (mint.clone(), error.to_string());
        match verdict(error) {
            Verdict::Refused(code) => Self::Refused { mint, code, reason },
            Verdict::Unanswered => Self::Unanswered { mint, reason },
            Verdict::Bad => Self::BadAnswer { mint, reason },
        }
    }
}

const fn is_keyset_code(code: u16) -> bool {
    matches!(code, 12000..=12999)
}

enum Verdict {
    Refused(Option<u16>),
    Unanswered,
    Bad,
}

fn verdict(error: Error) -> Verdict {
    match error {
        Error::InvalidMintResponse(_) | Error::SerdeJsonError(_) => Verdict::Bad,
        // Timed out at a proxy, too early, too often.
        Error::HttpError(Some(408 | 425 | 429), _) => Verdict::Unanswered,
        Error::HttpError(Some(400..=499), _) => Verdict::Refused(None),
        Error::HttpError(..) | Error::Timeout => Verdict::Unanswered,
        error => match code(error) {
            // On its way (11002, 11004, 20005), or the mint's own trouble.
            None | Some(11002 | 11004 | 20005 | 50000..) => Verdict::Unanswered,
            code => Verdict::Refused(code),
        },
    }
}

/// The code that `cdk` has turned into a variant, or into words.
fn code(error: Error) -> Option<u16> {
    match &error {
        Error::UnknownErrorResponse(words) => written_code(words),
        _ => Some(ErrorResponse::from(error).code.to_code()),
    }
}

/// From "code: 10003, detail: ...", as `cdk` writes a code that it has no variant for.
fn written_code(words: &str) -> Option<u16> {
    let digits = words.strip_prefix("code: ")?;
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().ok()
}

/// True when the mint has answered that it will not do this swap: it may have done it before.
pub(crate) fn is_refusal(error: &Error) -> bool {
    use Error::{BlindedMessageAlreadySigned, HttpError, TokenAlreadySpent, UnknownErrorResponse};
    match error {
        TokenAlreadySpent | BlindedMessageAlreadySigned => true,
        // Not now; or a proxy on the way gave up, and the mint may not have.
        HttpError(Some(408 | 425 | 429), _) => false,
        UnknownErrorResponse(words) => written_code(words).is_some_and(|code| code < 50000),
        error => error.is_definitive_failure(),
    }
}

/// True when the mint does not sign with the keyset of the outputs.
pub(crate) fn is_keyset_refusal(error: &Error) -> bool {
    use Error::{
        ExpiredKeyset, InactiveKeyset, KeysetUnknown, UnknownErrorResponse, UnknownKeySet,
    };
    match error {
        ExpiredKeyset | InactiveKeyset | KeysetUnknown(_) | UnknownKeySet => true,
        UnknownErrorResponse(words) => written_code(words).is_some_and(is_keyset_code),
        _ => false,
    }
}

/// A line to one mint.
pub(crate) struct Line {
    connector: Arc<dyn MintConnector + Send + Sync>,
    timeout: Duration,
}

impl Line {
    pub(crate) fn new(connector: Arc<dyn MintConnector + Send + Sync>, timeout: Duration) -> Self {
        Self { connector, timeout }
    }

    /// A swap (NUT-03): one signature for each output, in their order.
    pub(crate) async fn swap(&self, request: SwapRequest) -> Result<Vec<BlindSignature>, Error> {
        let amounts: Vec<_> = request
            .outputs()
            .iter()
            .map(|output| output.amount)
            .collect();
        let answer = self.within(self.connector.post_swap(request)).await?;
        let signed = answer.signatures.iter().map(|signature| signature.amount);
        match signed.eq(amounts) {
            true => Ok(answer.signatures),
            false => Err(misfit("other signatures than asked for")),
        }
    }

    /// Which of the outputs the mint has signed before (NUT-09).
    pub(crate) async fn restore(
        &self,
        outputs: Vec<BlindedMessage>,
    ) -> Result<Vec<(BlindedMessage, BlindSignature)>, Error> {
        let mut asked: HashMap<_, _> = outputs
            .iter()
            .map(|output| (output.blinded_secret, output.clone()))
            .collect();
        let request = RestoreRequest { outputs };
        let answer = self.within(self.connector.post_restore(request)).await?;
        if answer.outputs.len() != answer.signatures.len() {
            return Err(misfit("not one signature for each output"));
        }
        let pairs = answer.outputs.iter().zip(answer.signatures);
        pairs
            .map(|(output, signature)| {
                let output = asked.remove(&output.blinded_secret);
                let output = output.ok_or_else(|| misfit("an output that was not asked for"))?;
                Ok((output, signature))
            })
            .collect()
    }

    /// The states of coins (NUT-07), in the order of `ys`.
    pub(crate) async fn states(&self, ys: Vec<PublicKey>) -> Result<Vec<ProofState>, Error> {
        let request = CheckStateRequest { ys: ys.clone() };
        let answer = self
            .within(self.connector.post_check_state(request))
            .await?;
        let mut states: HashMap<_, _> = answer
            .states
            .into_iter()
            .map(|state| (state.y, state))
            .collect();
        let in_order = ys.iter().map(|y| states.remove(y));
        in_order
            .collect::<Option<_>>()
            .ok_or_else(|| misfit("not one state for each coin"))
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.timeout, call)
            .await
            .map_err(|_| Error::Timeout)?
    }
}

fn misfit(what: &str) -> Error {
    Error::InvalidMintResponse(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Unit;
    use cdk::error::ErrorCode;

    fn call(error: Error) -> CallError {
        CallError::new(
            &MintId::new("https://mint.example", Unit::Msat).unwrap(),
            error,
        )
    }

    /// What comes out when the mint answers with `code`.
    fn answer(code: u16) -> CallError {
        let code = ErrorCode::from_code(code);
        call(ErrorResponse::new(code, "words".into()).into())
    }

    #[test]
    fn a_refusal_carries_the_code_that_the_mint_gave() {
        for code in [
            10001, 11001, 11003, 11005, 11007, 12001, 12002, 12003, 20008, 10003, 12004,
        ] {
            assert_eq!(answer(code).code(), Some(code));
        }
        assert!(answer(11001).is_spent() && answer(11003).is_spent());
        assert!(answer(12002).is_keyset() && answer(12999).is_keyset());
        assert!(!answer(11001).is_keyset() && !answer(12002).is_spent());
    }

    #[test]
    fn what_may_still_happen_is_no_refusal() {
        for code in [11002, 11004, 50000] {
            assert!(
                matches!(answer(code), CallError::Unanswered { .. }),
                "{code}"
            );
        }
        for status in [None, Some(408), Some(429), Some(500), Some(503)] {
            let error = call(Error::HttpError(status, String::new()));
            assert!(matches!(error, CallError::Unanswered { .. }), "{status:?}");
        }
        assert!(matches!(call(Error::Timeout), CallError::Unanswered { .. }));
    }

    #[test]
    fn a_status_without_a_code_is_a_refusal_without_a_code() {
        let error = call(Error::HttpError(Some(400), String::new()));
        assert!(matches!(error, CallError::Refused { code: None, .. }));
        assert!(matches!(call(misfit("")), CallError::BadAnswer { .. }));
    }
}
