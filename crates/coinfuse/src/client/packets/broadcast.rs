//! A transaction to the Bitcoin network.

use super::{AskError, Inner, ServiceRequest};
use coinfuse_delivery::mempool::{Answer, Remedy};
use coinfuse_wire::{Decode, ServiceCode};

impl Inner {
    /// Tries paths and relays until one says what became of the transaction.
    pub(super) async fn broadcast(&self, message: Vec<u8>) -> Result<Answer, AskError> {
        let request = ServiceRequest {
            service: ServiceCode::MEMPOOL,
            instruction: Vec::new(),
            message,
        };
        let mut attempt = 1;
        let mut before = None;
        loop {
            let outcome = match self.ask_once(&request).await {
                Ok((answer, asked)) => {
                    let answer = Answer::from_bytes(&answer).map_err(|_| AskError::BadAnswer);
                    if is_worth_another_path(&answer) {
                        self.note_service(asked, false);
                    }
                    answer
                }
                Err(error) => Err(error),
            };
            let outcome = best(before, outcome);
            if attempt >= self.config.packets.attempts || !is_worth_another_path(&outcome) {
                return outcome;
            }
            tracing::debug!(attempt, "trying another path for a transaction");
            attempt += 1;
            before = Some(outcome);
        }
    }
}

type Outcome = Result<Answer, AskError>;

fn is_worth_another_path(outcome: &Outcome) -> bool {
    match outcome {
        Ok(Answer::Accepted(_)) => false,
        Ok(Answer::Rejected(class)) => class.remedy() == Remedy::OtherRelay,
        Err(error) => error.is_worth_another_path(),
    }
}

/// What a relay said says more than that another one could not be asked.
fn best(before: Option<Outcome>, outcome: Outcome) -> Outcome {
    match (before, outcome) {
        (Some(before), Err(AskError::NoPath(_))) => before,
        (Some(Ok(answer)), Err(error)) if error.is_worth_another_path() => Ok(answer),
        (_, outcome) => outcome,
    }
}
