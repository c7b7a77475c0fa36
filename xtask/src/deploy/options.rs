//! The arguments of `cargo xtask deploy`.

use crate::{root::root, run::Failure};
use std::{path::PathBuf, time::Duration};

const USAGE: &str = "cargo xtask deploy [--env staging|production] [--plan | --rollback] [--yes] [--at-once] \
                     [--watch SECONDS] [--infra FOLDER] [--archives FOLDER]";

/// Time for which each share of the requests is watched, unless the arguments say otherwise.
const WATCH: Duration = Duration::from_secs(60);

/// The work to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Show the changes and make them.
    Deploy,
    /// Show the changes.
    Plan,
    /// Return to the versions before.
    RollBack,
}

/// The arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The environment.
    pub environment: String,
    /// The work to do.
    pub action: Action,
    /// True if changes of production need no confirmation.
    pub is_confirmed: bool,
    /// True if the Worker gets all requests at once.
    pub is_at_once: bool,
    /// Time for which the new version of the Worker is watched with each share of the requests.
    pub watch: Duration,
    /// The folder with the Terraform configuration. A team may keep a copy in a repository of its own, next to its
    /// wrangler.toml.
    pub infra: PathBuf,
    /// Archives that were built elsewhere, instead of building them here.
    pub archives: Option<PathBuf>,
}

impl Options {
    /// Parses the arguments.
    ///
    /// # Errors
    /// Fails at the first unknown argument, and if two exclude each other.
    pub fn read(arguments: &[&str]) -> Result<Self, Failure> {
        let mut options = Self {
            environment: "staging".to_owned(),
            action: Action::Deploy,
            is_confirmed: false,
            is_at_once: false,
            watch: WATCH,
            infra: root().join("infra"),
            archives: None,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match *word {
                "--plan" => options.begin(Action::Plan)?,
                "--rollback" => options.begin(Action::RollBack)?,
                "--yes" => options.is_confirmed = true,
                "--at-once" => options.is_at_once = true,
                "--env" | "--watch" | "--infra" | "--archives" => {
                    let value = words.next().copied();
                    options.set(word, value.ok_or_else(|| refused(format!("{word} has no value")))?)?;
                }
                unknown => return Err(refused(format!("unknown argument {unknown}"))),
            }
        }
        Ok(options)
    }

    fn begin(&mut self, action: Action) -> Result<(), Failure> {
        if self.action != Action::Deploy {
            return Err(refused("--plan and --rollback exclude each other"));
        }
        self.action = action;
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match (name, value) {
            ("--env", "staging" | "production") => self.environment = value.to_owned(),
            ("--env", "") => {
                return Err(refused(
                    "production has no name for wrangler alone; here it is --env production",
                ));
            }
            ("--env", _) => return Err(refused(format!("unknown environment {value}"))),
            ("--watch", _) => {
                let seconds =
                    value.parse().map_err(|_| refused(format!("{value} is no number of seconds")))?;
                self.watch = Duration::from_secs(seconds);
            }
            ("--infra", _) => self.infra = PathBuf::from(value),
            _ => self.archives = Some(PathBuf::from(value)),
        }
        Ok(())
    }
}

fn refused(what: impl Into<String>) -> Failure {
    Failure::new(what, USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let plain = Options::read(&[]).unwrap();
        assert_eq!((plain.environment.as_str(), plain.action), ("staging", Action::Deploy));
        assert!(!plain.is_confirmed && !plain.is_at_once && plain.archives.is_none());
        assert_eq!(plain.watch, WATCH);
        assert_eq!(Options::read(&["--watch", "300"]).unwrap().watch, Duration::from_secs(300));
        let full =
            ["--env", "production", "--yes", "--at-once", "--rollback", "--infra", "a", "--archives", "b"];
        let full = Options::read(&full).unwrap();
        assert_eq!((full.environment.as_str(), full.action), ("production", Action::RollBack));
        assert!(full.is_confirmed && full.is_at_once);
        assert_eq!((full.infra, full.archives), (PathBuf::from("a"), Some(PathBuf::from("b"))));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let cases: [(&[&str], &str); 6] = [
            (&["--now"], "unknown argument --now"),
            (&["--env"], "--env has no value"),
            (&["--env", "test"], "unknown environment test"),
            (&["--env", ""], "here it is --env production"),
            (&["--watch", "a minute"], "a minute is no number of seconds"),
            (&["--plan", "--rollback"], "exclude each other"),
        ];
        for (arguments, expected) in cases {
            let text = Options::read(arguments).unwrap_err().to_string();
            assert!(text.contains(expected), "{arguments:?}: {text}");
        }
    }
}
