//! The reason for which an adapter cannot use a backend's response.

use crate::{
    adapter::{program::AdaptedRoute, shape::diagnose::Misfit},
    compare::{Difference, DifferenceKind},
};
use std::fmt;

/// The reason for which an adapter cannot use a backend's response, without any data of the
/// response. It is for operators: a client gets the fault `unfit` of the program.
///
/// ```text
/// GET /api/x/{id}: results[].id: expected a number, or a string that holds one, found true
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The method and the path pattern of the adapter's route.
    pub route: String,
    /// The path of the value that does not fit, see [`Misfit::path`].
    pub path: String,
    /// The form that is expected.
    pub expected: String,
    /// The value that was found, masked.
    pub found: String,
}

impl Unfit {
    pub(super) fn new(route: &AdaptedRoute, misfit: &Misfit) -> Self {
        let Misfit { path, expected, found, .. } = misfit.clone();
        let route = format!("{} {}", route.matcher.methods.join("|"), route.matcher.path);
        Self { route, path, expected, found }
    }

    /// Returns the difference that reports of comparisons have in place of those between an error
    /// and legacy's response.
    pub fn difference(&self) -> Difference {
        Difference {
            path: format!("(adapter) {}", self.path),
            kind: DifferenceKind::Type,
            example: (self.expected.clone(), self.found.clone()),
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, path, expected, found } = self;
        write!(f, "{route}: {path}: expected {expected}, found {found}")
    }
}
