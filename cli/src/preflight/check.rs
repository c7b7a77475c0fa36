//! One check of a deployment and its result.

use crate::failure::Failure;
use std::fmt;

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Ok,
    /// Needs attention, although nothing is broken.
    Warn,
    /// The part is broken.
    Fail,
    /// Not checked, because an argument is missing.
    Skipped,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Finding::Ok => "ok",
            Finding::Warn => "warn",
            Finding::Fail => "FAIL",
            Finding::Skipped => "skipped",
        })
    }
}

/// A check that was made, or skipped.
#[derive(Debug)]
pub struct Check {
    /// Name of the check.
    pub name: String,
    /// Result of the check.
    pub finding: Finding,
    /// Observation that led to the result.
    pub detail: String,
    /// Suggested fix, empty if none is needed.
    pub remedy: String,
}

impl Check {
    fn new(name: &str, finding: Finding, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.to_owned(), finding, detail: detail.into(), remedy: remedy.into() }
    }

    /// Builds a check that passed.
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Finding::Ok, detail, "")
    }

    /// Builds a check that failed.
    pub fn fail(name: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Finding::Fail, detail, remedy)
    }

    /// Builds a check that needs attention.
    pub fn warn(name: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, Finding::Warn, detail, remedy)
    }

    /// Builds a check that was skipped; the remedy names the missing argument.
    pub fn skipped(name: &str, remedy: impl Into<String>) -> Self {
        Self::new(name, Finding::Skipped, "not checked", remedy)
    }

    /// Builds a check that failed because the management API refused a request or was unreachable.
    pub fn unanswered(name: &str, failure: &Failure) -> Self {
        let text = failure.to_string();
        let (detail, remedy) = text.split_once("\n  hint: ").unwrap_or((&text, ""));
        Self::fail(name, detail.trim_start_matches("error: "), remedy)
    }
}
