//! Pages of lists that end before their response is too large.

use crate::store::PageRoom;
use serde_json::Value;

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
