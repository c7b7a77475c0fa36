//! Reads `success_metrics`: the names of metrics in the established form, of which most are names of events.

use crate::{config::reading::Cursor, request::event::is_event_name};

const LIST_HINT: &str = "write a list such as [\"orders\", \"error_rate\"]";
const NAME_HINT: &str = "write 1 to 128 bytes without control characters, and without spaces around them";

/// Reads the names. One that no reported event can have is a mistake: nothing would ever be counted.
pub(super) fn names(cursor: &Cursor<'_>) -> Vec<String> {
    cursor.list(LIST_HINT).iter().filter_map(name).collect()
}

fn name(cursor: &Cursor<'_>) -> Option<String> {
    let name = cursor.loose_string()?;
    // An earlier version stored any string.
    if cursor.is_stored() || is_event_name(&name) {
        return Some(name);
    }
    cursor.refuse("no event can have this name, so the metric would count nothing", NAME_HINT)
}
