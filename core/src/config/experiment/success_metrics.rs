//! Reads `success_metrics`: the names of metrics in the established form, of which most are names of events.

use crate::config::reading::Cursor;

const LIST_HINT: &str = "write a list such as [\"orders\", \"error_rate\"]";
const NAME_HINT: &str = "write 1 to 128 bytes without control characters, and without spaces around them";

/// Longest name of an event that can be reported, in bytes.
const MAX_NAME: usize = 128;

/// Reads the names. One that no reported event can have is a mistake: nothing would ever be counted.
pub(super) fn names(cursor: &Cursor<'_>) -> Vec<String> {
    cursor.list(LIST_HINT).iter().filter_map(name).collect()
}

fn name(cursor: &Cursor<'_>) -> Option<String> {
    let name = cursor.loose_string()?;
    // An earlier version stored any string.
    if cursor.is_stored() || can_be_reported(&name) {
        return Some(name);
    }
    cursor.refuse("no event can have this name, so the metric would count nothing", NAME_HINT)
}

fn can_be_reported(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.trim() == name && !name.chars().any(char::is_control)
}
