//! The question before a command that moves users.

use crate::{failure::Failure, streams};
use std::io::{IsTerminal, stderr, stdin};

/// Asks the operator, if there is one at a terminal and nobody has agreed already.
///
/// # Errors
///
/// Fails if the answer is not yes, or cannot be read.
pub(super) fn confirm(question: &str, is_agreed: bool) -> Result<(), Failure> {
    if is_agreed || !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(());
    }
    streams::write_error(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::Io(format!("the answer cannot be read: {error}")))?;
    if is_yes(&answer) {
        return Ok(());
    }
    Err(Failure::Io("not confirmed, so nothing was changed".to_owned()))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, expected) in
            [("y\n", true), ("YES\n", true), ("", false), ("\n", false), ("no\n", false), ("yep\n", false)]
        {
            assert_eq!(is_yes(answer), expected, "{answer:?}");
        }
    }
}
