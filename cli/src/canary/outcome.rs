//! Results of commands that wait for a run, which become exit codes for scripts and pipelines.

use crate::failure::Failure;

/// Result of waiting for a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The run is where it should be.
    Reached,
    /// The run ended in another way, which the sentence tells.
    Missed(String),
    /// The time is over, and the sentence tells where the run is.
    TimeOver(String),
}

impl Outcome {
    /// Returns the outcome as the result of a command.
    ///
    /// # Errors
    ///
    /// Fails unless the run is where it should be.
    pub(super) fn result(self) -> Result<(), Failure> {
        match self {
            Self::Reached => Ok(()),
            Self::Missed(sentence) => Err(Failure::Missed(sentence)),
            Self::TimeOver(sentence) => Err(Failure::TimeOver(sentence)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_tell_outcomes_apart() {
        assert!(Outcome::Reached.result().is_ok());
        for (outcome, exit_code, code) in [
            (Outcome::Missed("f is rolled_back".to_owned()), 10, "missed"),
            (Outcome::TimeOver("f is running".to_owned()), 11, "time_over"),
        ] {
            let failure = outcome.result().unwrap_err();
            assert!(failure.to_string().starts_with("error: f is "), "{failure}");
            let document = failure.json();
            assert_eq!(document["exit_code"], serde_json::json!(exit_code));
            assert_eq!(document["code"], code);
        }
    }
}
