//! Pages of lists: their parameters, and pages that end before their response is too large.

use crate::{problem::Problem, store::PageRoom};
use serde::Deserialize;
use serde_json::Value;

/// Parameters of a list whose pages begin after a position.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// End of the previous page; empty for the first one.
    #[serde(default)]
    pub(super) after: String,
    /// Requested number of entries of a page.
    pub(super) limit: Option<usize>,
}

/// Bounds of the parameter `limit` of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLimit {
    /// Number of entries of a page if the request states none.
    pub(super) default: usize,
    /// Largest number of entries of a page.
    pub(super) max: usize,
    /// Parameter that requests the next page.
    pub(super) next: &'static str,
}

impl PageLimit {
    /// Returns the number of entries of a page.
    ///
    /// # Errors
    ///
    /// Returns the problem `invalid` if the requested number is out of bounds.
    pub(super) fn check(&self, requested: Option<usize>) -> Result<usize, Problem> {
        let limit = requested.unwrap_or(self.default);
        if (1..=self.max).contains(&limit) {
            return Ok(limit);
        }
        let detail = format!("the limit {limit} is not between 1 and {}", self.max);
        let hint = format!("use a limit of 1 to {}, and {} to request the next page", self.max, self.next);
        Err(Problem::invalid("limit", detail, hint))
    }
}

/// Checks the position of a record after which a page begins.
///
/// # Errors
///
/// Returns the problem `invalid` if it is not the end of another page.
pub(super) fn must_be_a_position(after: &str) -> Result<(), Problem> {
    // A value of `next_after` begins with the digits of a time.
    let is_position = after.len() <= 200
        && after.bytes().all(|byte| matches!(byte, b' '..=b'}'))
        && after.bytes().next().is_none_or(|byte| byte.is_ascii_digit());
    if is_position {
        return Ok(());
    }
    let hint = "send the next_after of the previous page unchanged";
    Err(Problem::invalid("after", "it is not the end of a page", hint))
}

/// Cuts the entries of a page, each with its name, where they fill a response. Returns the entries and
/// the name of the last one if there are more; `next` is that name if nothing is cut.
pub(super) fn filled(
    entries: impl IntoIterator<Item = (String, Value)>,
    next: Option<String>,
) -> (Vec<Value>, Option<String>) {
    let mut room = PageRoom::new(usize::MAX);
    let (mut page, mut last) = (Vec::new(), None);
    for (name, entry) in entries {
        if !room.take(entry.to_string().len()) {
            return (page, last);
        }
        page.push(entry);
        last = Some(name);
    }
    (page, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MAX_PAGE_BYTES;
    use serde_json::json;

    #[test]
    fn a_limit_out_of_bounds_is_refused_with_the_bounds() {
        let limit = PageLimit { default: 50, max: 100, next: "before" };
        for (requested, expected) in [(None, Some(50)), (Some(1), Some(1)), (Some(100), Some(100))] {
            assert_eq!(limit.check(requested).ok(), expected, "{requested:?}");
        }
        for requested in [0, 101] {
            let problem = limit.check(Some(requested)).unwrap_err();
            assert_eq!((problem.code, problem.field.as_deref()), ("invalid", Some("limit")));
            assert_eq!(problem.hint, "use a limit of 1 to 100, and before to request the next page");
        }
    }

    #[test]
    fn a_page_of_large_entries_ends_early_and_says_where() {
        let entry = |name: &str, bytes: usize| (name.to_owned(), json!("x".repeat(bytes)));
        let half = MAX_PAGE_BYTES / 2;
        let few = vec![entry("a", 1), entry("b", 1)];
        assert_eq!(filled(few, Some("b".to_owned())).1, Some("b".to_owned()));
        let many = vec![entry("a", half), entry("b", half / 2), entry("c", half)];
        let (page, next) = filled(many, None);
        assert_eq!((page.len(), next), (2, Some("b".to_owned())));
        assert_eq!(filled(vec![entry("a", 2 * MAX_PAGE_BYTES)], None).0.len(), 1);
    }
}
