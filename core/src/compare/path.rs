//! The path of a value in a body: as rules address it, and as reports show it.

use crate::compare::naming::is_field_name;

/// Step of a path to any item of a list.
pub(super) const ITEMS: &str = "[]";

/// Step of a reported path in place of a name that may be data.
const ANY: &str = "*";

/// Longest path that is counted, in bytes: batches and ledgers store many paths. Differences below
/// it are merged into one; rules with a longer one are not counted.
pub(super) const MAX_PATH: usize = 120;

/// The path of a value.
#[derive(Debug, Default)]
pub(super) struct Path<'v> {
    names: Vec<&'v str>,
    /// The same steps without data.
    shown: Vec<&'v str>,
}

impl<'v> Path<'v> {
    /// Enters a field, or the items of a list with [`ITEMS`]. `is_map` is true if the field is the
    /// entry of a map, whose keys are not reported.
    pub(super) fn push(&mut self, name: &'v str, is_map: bool) {
        let is_shown = name == ITEMS || (!is_map && is_field_name(name));
        self.names.push(name);
        self.shown.push(if is_shown { name } else { ANY });
    }

    /// Leaves the last step.
    pub(super) fn pop(&mut self) {
        self.names.pop();
        self.shown.pop();
    }

    /// Returns the steps with the names that the body has.
    pub(super) fn names(&self) -> &[&'v str] {
        &self.names
    }

    /// Returns the path as reports show it.
    pub(super) fn reported(&self) -> String {
        let mut text = String::new();
        for step in &self.shown {
            if !text.is_empty() && *step != ITEMS {
                text.push('.');
            }
            text.push_str(step);
        }
        if text.is_empty() {
            return ".".to_owned();
        }
        if text.len() > MAX_PATH {
            // Every step is ASCII, so this is no cut through a character.
            text.truncate(MAX_PATH);
            text.push_str("...");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_see_the_names_and_reports_do_not() {
        let mut path = Path::default();
        assert_eq!(path.reported(), ".");
        path.push("limits", false);
        path.push("ann@example.com", false);
        path.push(ITEMS, false);
        path.push("credit", false);
        assert_eq!(path.names(), ["limits", "ann@example.com", "[]", "credit"]);
        assert_eq!(path.reported(), "limits.*[].credit");
        path.pop();
        path.push("ann", true);
        assert_eq!(path.reported(), "limits.*[].*");
    }

    #[test]
    fn a_long_path_is_cut() {
        let mut path = Path::default();
        (0..64).for_each(|_| path.push("a_rather_long_name", false));
        assert_eq!(path.reported().len(), MAX_PATH + 3);
    }
}
