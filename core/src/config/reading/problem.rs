//! Problems of a configuration, each with its place and its remedy, and the list that collects
//! them.

use serde::Serialize;
use std::{cell::RefCell, collections::BTreeSet, fmt};

/// A mistake in a configuration, with its place and its remedy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file with the mistake; empty for the document itself, set for a file that it refers to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The line, from 1; 0 if the document was not read from text, which JSON leaves out.
    #[serde(skip_serializing_if = "is_unknown")]
    pub line: usize,
    /// The column, from 1; 0 if the document was not read from text, which JSON leaves out.
    #[serde(skip_serializing_if = "is_unknown")]
    pub column: usize,
    /// The path to the field, such as `routes[2].legacy`.
    pub field: String,
    /// A description of the mistake.
    pub message: String,
    /// The remedy: an instruction to the author of the file.
    pub hint: String,
}

/// Returns true for the line or column of a document that was not read from text.
fn is_unknown(position: &usize) -> bool {
    *position == 0
}

impl Problem {
    /// Creates a problem of the whole document, without a place or a remedy.
    pub(crate) fn without_place(message: String) -> Self {
        Self { file: String::new(), line: 0, column: 0, field: String::new(), message, hint: String::new() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// The problems found so far in one document and the files it refers to. All cursors of a document
/// share it, which is why it is filled through a shared reference.
#[derive(Default)]
pub(crate) struct Problems {
    found: RefCell<Vec<Problem>>,
    is_stored: bool,
}

impl Problems {
    /// The problems of a document that was stored earlier. Limits that came later do not apply to
    /// it, so that a stored object does not make every change of another one fail.
    pub(crate) fn of_stored() -> Self {
        Self { is_stored: true, ..Self::default() }
    }

    /// Returns true if the document was stored earlier.
    pub(super) fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Adds a problem.
    pub(super) fn add(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }

    /// Returns true if such a problem was found.
    pub(super) fn has(&self, is_such: impl Fn(&Problem) -> bool) -> bool {
        self.found.borrow().iter().any(is_such)
    }

    /// Returns the number of problems found so far.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// Returns the value if no problem was found, and otherwise all problems in the order of their
    /// lines.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        let mut problems = self.found.into_inner();
        // A shape that is used twice is read twice, and reports its problems twice.
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.clone()));
        problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(problems),
        }
    }
}
