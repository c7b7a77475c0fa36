//! Confirmations of changes that move users in production.

use crate::{environment::Environment, failure::Failure};
use clap::Args;
use std::io::{self, IsTerminal, stderr, stdin};

/// Option of commands that move users.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Confirmation {
    /// Do not ask for a confirmation, as in a context with --production.
    #[arg(short = 'y', long)]
    yes: bool,
}

impl Confirmation {
    /// Returns true if a command in this environment asks before it changes something.
    pub fn is_asked(self, environment: &Environment) -> bool {
        environment.is_production() && !self.yes
    }

    /// Asks for a confirmation of a change, if the environment is production and `--yes` is not given. `change` names the
    /// change, and `moved` says who is moved, as the second half of a sentence.
    ///
    /// # Errors
    ///
    /// Fails if the answer is not yes, or if nobody is there to ask.
    pub fn confirm(self, environment: &Environment, change: &str, moved: &str) -> Result<(), Failure> {
        if !self.is_asked(environment) {
            return Ok(());
        }
        let is_terminal = stdin().is_terminal() && stderr().is_terminal();
        decide(&format!("{environment}: {change}; {moved}"), is_terminal, |question| {
            eprint!("{question}");
            let mut answer = String::new();
            stdin().read_line(&mut answer).map(|_| answer)
        })
    }
}

fn decide(
    sentence: &str,
    is_terminal: bool,
    ask: impl FnOnce(&str) -> io::Result<String>,
) -> Result<(), Failure> {
    if !is_terminal {
        let hint = "this is production, and nobody is at a terminal to confirm it: add --yes";
        return Err(Failure::Usage(format!("{sentence}\n  hint: {hint}")));
    }
    let answer = ask(&format!("{sentence}\nGo on? [y/N] "))
        .map_err(|error| Failure::Io(format!("the answer cannot be read: {error}")))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Usage("not confirmed; nothing was changed".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(is_terminal: bool, answer: &str) -> Result<(), String> {
        decide("live: 1 % of users", is_terminal, |_| Ok(answer.to_owned()))
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn only_yes_is_a_yes() {
        for yes in ["y\n", "Y\n", "yes\n", " YES \n"] {
            assert_eq!(outcome(true, yes), Ok(()), "{yes:?}");
        }
        for no in ["\n", "", "n\n", "ye\n", "yes please\n"] {
            assert!(outcome(true, no).unwrap_err().contains("nothing was changed"), "{no:?}");
        }
    }

    #[test]
    fn production_is_not_changed_by_scripts_unless_they_say_yes() {
        let refused = outcome(false, "y\n").unwrap_err();
        assert!(refused.contains("live: 1 % of users") && refused.contains("add --yes"), "{refused}");
    }

    #[test]
    fn only_production_asks() {
        let (live, staging) = ("https://live.example", Environment::of_url("https://staging.example"));
        let live = Environment::of_context("live", live, true);
        assert!(Confirmation::default().is_asked(&live));
        assert!(!Confirmation::default().is_asked(&staging));
        assert!(!Confirmation { yes: true }.is_asked(&live));
        assert!(Confirmation::default().confirm(&staging, "x", "y").is_ok());
        assert!(Confirmation { yes: true }.confirm(&live, "x", "y").is_ok());
    }
}
