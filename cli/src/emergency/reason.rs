//! The reason of an emergency: an argument, or else the option of all changes.

use crate::{connection::Connection, failure::Failure};
use clap::Args;

/// Argument with the reason. An operator in a hurry also finds it under the name that it has elsewhere, `--reason`.
#[derive(Debug, Args)]
pub(super) struct Reason {
    /// Reason, recorded in the audit log; also as --reason.
    #[arg(value_name = "REASON")]
    cause: Option<String>,
}

impl Reason {
    /// Returns the reason. An argument and the option are both parts of it.
    ///
    /// # Errors
    ///
    /// Fails with an example of `command` if none is given.
    pub(super) fn given(&self, connection: &Connection, command: &str) -> Result<String, Failure> {
        match (self.cause.as_deref(), connection.reason_option()) {
            (Some(cause), Some(option)) => Ok(format!("{cause}: {option}")),
            (Some(reason), None) | (None, Some(reason)) => Ok(reason.to_owned()),
            (None, None) => {
                let hint = format!("say why in a few words: cutover {command}");
                Err(Failure::Usage(format!("no reason given\n  hint: {hint}")))
            }
        }
    }

    /// Returns the reason like [`Reason::given`], but not of two parts: the argument may be meant as the name of a flag, and
    /// without that name all flags come back.
    ///
    /// # Errors
    ///
    /// Fails like [`Reason::given`], and if both are given.
    pub(super) fn given_once(&self, connection: &Connection, command: &str) -> Result<String, Failure> {
        if let (Some(cause), Some(_)) = (&self.cause, connection.reason_option()) {
            return Err(Failure::Usage(format!(
                "the reason is given twice, as {cause:?} and by --reason; nothing was changed\n  hint: name a flag with \
                 --flag, and give the reason once"
            )));
        }
        self.given(connection, command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::CommandLine;
    use clap::Parser;

    #[test]
    fn a_reason_is_an_argument_or_an_option() {
        for (words, expected) in [
            (&["errors on checkout"][..], Some("errors on checkout")),
            (&["--reason", "errors on checkout"], Some("errors on checkout")),
            (&["checkout", "--reason", "errors"], Some("checkout: errors")),
            (&[], None),
        ] {
            let parsed = CommandLine::<Reason>::parse_from([&["cutover"][..], words].concat());
            let given = parsed.arguments.given(&parsed.connection, "emergency-rollback 'errors on checkout'");
            match (given, expected) {
                (Ok(reason), Some(expected)) => assert_eq!(reason, expected, "{words:?}"),
                (Err(failure), None) => {
                    let text = failure.to_string();
                    assert!(text.contains("cutover emergency-rollback 'errors on checkout'"), "{text}");
                }
                (given, _) => panic!("{words:?}: {given:?}"),
            }
        }
    }

    #[test]
    fn a_reason_that_is_given_twice_may_be_the_name_of_a_flag() {
        let given = |words: &[&str]| {
            let parsed = CommandLine::<Reason>::parse_from([&["cutover"][..], words].concat());
            parsed.arguments.given_once(&parsed.connection, "emergency-clear 'fixed in 1.4.2'")
        };
        let refused = given(&["checkout", "--reason", "fixed"]).unwrap_err();
        assert!(matches!(refused, Failure::Usage(_)));
        let text = refused.to_string();
        assert!(text.contains("\"checkout\"") && text.contains("--flag"), "{text}");
        assert_eq!(given(&["--reason", "fixed"]).unwrap(), "fixed");
        assert_eq!(given(&["fixed"]).unwrap(), "fixed");
    }
}
