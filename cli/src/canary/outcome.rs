//! Exit codes of commands that wait for a run, for scripts and pipelines.

use std::process;

/// Exit code if the run ended, but not as it should have.
const MISSED: i32 = 10;

/// Exit code if the time was over first.
const TIME_OVER: i32 = 11;

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
    /// Returns the exit code of the process.
    fn code(&self) -> i32 {
        match self {
            Self::Reached => 0,
            Self::Missed(_) => MISSED,
            Self::TimeOver(_) => TIME_OVER,
        }
    }

    /// Ends the process with the exit code of the outcome and its sentence, unless the run is where it should be.
    pub(super) fn finish(self) {
        let code = self.code();
        if let Self::Missed(sentence) | Self::TimeOver(sentence) = self {
            eprintln!("error: {sentence}");
            process::exit(code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_tell_outcomes_apart() {
        let missed = Outcome::Missed("rolled back".to_owned());
        let late = Outcome::TimeOver("running".to_owned());
        assert_eq!([Outcome::Reached.code(), missed.code(), late.code()], [0, 10, 11]);
    }
}
