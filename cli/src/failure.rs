//! What went wrong, and the exit code that scripts can act on.

use cutover_core::config::Problem;
use std::{fmt, process::ExitCode};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line or the environment lacks something. Exit code 2, as for a command line clap refuses.
    Usage(String),
    /// A file has mistakes. Exit code 3.
    File {
        /// Its name.
        name: String,
        /// All of them.
        problems: Vec<Problem>,
    },
    /// The management API said no: bad input 3, not allowed 4, not found 5, somebody was faster 6, else 1.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What happened.
        detail: String,
        /// What to do.
        hint: String,
        /// Every mistake of a document.
        errors: Vec<String>,
    },
    /// The change is kept until a second person agrees. Exit code 8.
    Waits(String),
    /// Checks of a deployment failed; they are on standard output. Exit code 9.
    Preflight(usize),
    /// The management API could not be reached. Exit code 7.
    Unreachable(String),
    /// A file could not be read or written. Exit code 1.
    Io(String),
}

impl Failure {
    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Usage(_) => 2,
            Failure::File { .. } => 3,
            Failure::Refused { status, .. } => match status {
                400 | 413 | 422 => 3,
                401 | 403 | 429 => 4,
                404 => 5,
                409 | 412 => 6,
                _ => 1,
            },
            Failure::Unreachable(_) => 7,
            Failure::Waits(_) => 8,
            Failure::Preflight(_) => 9,
            Failure::Io(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Unreachable(text) | Failure::Io(text) => {
                write!(f, "error: {text}")
            }
            Failure::Waits(text) => f.write_str(text),
            Failure::Preflight(failed) => {
                let s = if *failed == 1 { "" } else { "s" };
                write!(f, "error: {failed} check{s} failed; what to do stands beside each")
            }
            Failure::File { name, problems } => {
                for problem in problems {
                    // What stands in a file that this one names says which.
                    let own = if problem.file.is_empty() { format!("{name}:") } else { String::new() };
                    writeln!(f, "{own}{problem}\n  hint: {}", problem.hint)?;
                }
                let (count, s) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
                write!(f, "error: {count} mistake{s} in {name}; nothing was changed")
            }
            Failure::Refused { detail, hint, errors, .. } => {
                for error in errors {
                    writeln!(f, "{error}")?;
                }
                write!(f, "error: {detail}")?;
                if !hint.is_empty() {
                    write!(f, "\n  hint: {hint}")?;
                }
                Ok(())
            }
        }
    }
}
