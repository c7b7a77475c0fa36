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
    /// Returns the reason.
    ///
    /// # Errors
    ///
    /// Fails with an example of `command` if none is given.
    pub(super) fn given(&self, connection: &Connection, command: &str) -> Result<String, Failure> {
        let given = self.cause.as_deref().or_else(|| connection.reason_option());
        let missing = || {
            let hint = format!("say why in a few words: cutover {command}");
            Failure::Usage(format!("no reason given\n  hint: {hint}"))
        };
        given.map(str::to_owned).ok_or_else(missing)
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
            (&["errors", "--reason", "of another kind"], Some("errors")),
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
}
