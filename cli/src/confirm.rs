//! Confirmations of changes that move users. All commands have one rule: an operator at a terminal is asked, in every
//! environment; a script is not, and needs `--yes` in production.

use crate::{environment::Environment, failure::Failure};
use clap::Args;
use std::io::{self, IsTerminal, stderr, stdin};

/// Option of commands that move users.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Confirmation {
    /// Do not ask before users are moved. Scripts need it in a context with --production.
    #[arg(short = 'y', long)]
    yes: bool,
}

/// Next act of a command that is about to move users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// It goes on.
    Open,
    /// It asks the operator.
    Asks,
    /// It refuses, because there is nobody to ask.
    Closed,
}

impl Confirmation {
    /// Returns true if a command in this environment asks, or refuses, before it moves users.
    pub fn is_asked(self, environment: &Environment) -> bool {
        self.gate(environment, is_terminal()) != Gate::Open
    }

    /// Returns true if a command in this environment waits for the answer of an operator at a terminal.
    pub fn asks(self, environment: &Environment) -> bool {
        self.gate(environment, is_terminal()) == Gate::Asks
    }

    /// Asks for a confirmation of a change, by the rule of the module. `change` names the change, and `moved` says who is
    /// moved, as the second half of a sentence.
    ///
    /// # Errors
    ///
    /// Fails if the answer is not yes, or if nobody is there to ask.
    pub fn confirm(self, environment: &Environment, change: &str, moved: &str) -> Result<(), Failure> {
        let sentence = format!("{environment}: {change}; {moved}");
        pass(self.gate(environment, is_terminal()), &sentence, |question| {
            eprint!("{question}");
            let mut answer = String::new();
            stdin().read_line(&mut answer).map(|_| answer)
        })
    }

    fn gate(self, environment: &Environment, is_terminal: bool) -> Gate {
        match (self.yes, is_terminal, environment.is_production()) {
            (true, ..) | (false, false, false) => Gate::Open,
            (false, true, _) => Gate::Asks,
            (false, false, true) => Gate::Closed,
        }
    }

    /// Confirms everything, as `--yes` does.
    #[cfg(test)]
    pub fn given() -> Self {
        Self { yes: true }
    }
}

/// Returns true if an operator reads questions and can answer them. Unit tests have none: they would wait for an answer.
fn is_terminal() -> bool {
    !cfg!(test) && stdin().is_terminal() && stderr().is_terminal()
}

fn pass(gate: Gate, sentence: &str, ask: impl FnOnce(&str) -> io::Result<String>) -> Result<(), Failure> {
    match gate {
        Gate::Open => return Ok(()),
        Gate::Closed => {
            let hint = "this is production, and nobody is at a terminal to confirm it: add --yes";
            return Err(Failure::Usage(format!("{sentence}\n  hint: {hint}")));
        }
        Gate::Asks => {}
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

    fn outcome(gate: Gate, answer: &str) -> Result<(), String> {
        pass(gate, "live: 1 % of users", |_| Ok(answer.to_owned())).map_err(|failure| failure.to_string())
    }

    #[test]
    fn only_yes_is_a_yes() {
        for yes in ["y\n", "Y\n", "yes\n", " YES \n"] {
            assert_eq!(outcome(Gate::Asks, yes), Ok(()), "{yes:?}");
        }
        for no in ["\n", "", "n\n", "ye\n", "yes please\n"] {
            assert!(outcome(Gate::Asks, no).unwrap_err().contains("nothing was changed"), "{no:?}");
        }
    }

    #[test]
    fn production_is_not_changed_by_scripts_unless_they_say_yes() {
        let refused = outcome(Gate::Closed, "y\n").unwrap_err();
        assert!(refused.contains("live: 1 % of users") && refused.contains("add --yes"), "{refused}");
        assert_eq!(outcome(Gate::Open, "n\n"), Ok(()));
    }

    #[test]
    fn operators_are_asked_everywhere_and_scripts_need_a_yes_in_production() {
        let staging = Environment::of_url("https://staging.example");
        let live = Environment::of_context("live", "https://live.example", true);
        for (yes, is_terminal, environment, expected) in [
            (false, true, &staging, Gate::Asks),
            (false, true, &live, Gate::Asks),
            (false, false, &staging, Gate::Open),
            (false, false, &live, Gate::Closed),
            (true, true, &live, Gate::Open),
            (true, false, &live, Gate::Open),
        ] {
            let found = Confirmation { yes }.gate(environment, is_terminal);
            assert_eq!(found, expected, "{yes} {is_terminal} {environment}");
        }
        assert!(Confirmation::given().confirm(&live, "x", "y").is_ok());
    }
}
