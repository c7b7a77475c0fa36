//! `cutover segment list` and `get`, and a segment after a change.

use crate::{
    client::{Client, encode},
    condition,
    failure::Failure,
    output::{self, Format},
    publication,
};
use serde_json::{Value, json};

/// Fields of a response that say nothing about the segment.
const HIDDEN: [&str; 3] = ["revision", "published", "unpublished_because"];

/// Returns the path of a segment.
pub(super) fn path(segment: &str) -> String {
    format!("/segments/{}", encode(segment))
}

/// Lists all segments.
pub(super) fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let segments = client.whole("/segments", "segments")?;
    output::show(format, &segments, || table(output::list(&segments, "segments")));
    Ok(())
}

/// Shows every field of a segment.
pub(super) fn get(segment: &str, client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.get(&path(segment))?;
    output::show(format, &response, || output::fields(&in_words(&response)));
    Ok(())
}

/// Shows a segment after a change.
pub(super) fn change(response: &Value, format: Format) {
    output::show_change(format, response, || {
        table(std::iter::once(response));
        let is_unchanged = response.get("unchanged").and_then(Value::as_bool).unwrap_or_default();
        if is_unchanged {
            println!("unchanged; revision {}", output::field(response, "revision"));
        } else {
            println!("done; {}", publication::revision(response));
        }
    });
}

fn table<'s>(segments: impl Iterator<Item = &'s Value>) {
    let rows: Vec<Vec<String>> = segments.map(row).collect();
    output::table(
        &["SEGMENT", "INCLUDED", "EXCLUDED", "CONDITIONS", "VERSION", "FLAGS", "DESCRIPTION"],
        &rows,
    );
}

fn row(segment: &Value) -> Vec<String> {
    let count = |name: &str| output::list(segment, name).count().to_string();
    let mut row = output::pick(segment, &["name"]);
    row.extend(["include", "exclude", "conditions"].map(count));
    row.extend(output::pick(segment, &["version", "flags", "description"]));
    row
}

/// Returns a segment for people: its conditions in words.
fn in_words(segment: &Value) -> Value {
    let mut shown = segment.clone();
    let Some(fields) = shown.as_object_mut() else { return shown };
    fields.retain(|name, _| !HIDDEN.contains(&name.as_str()));
    let words: Vec<String> = output::list(segment, "conditions").map(condition::words).collect();
    if let Some(conditions) = fields.get_mut("conditions") {
        *conditions = json!(words.join(" and "));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_a_row_of_its_numbers_and_is_shown_in_words() {
        let segment = json!({
            "name": "staff", "description": "Us", "include": ["ann", "bob"], "exclude": [],
            "conditions": [{ "type": "attribute", "name": "country", "op": "in", "values": ["NO"] }],
            "flags": ["button"], "version": 3, "revision": 4,
        });
        assert_eq!(row(&segment), ["staff", "2", "0", "1", "3", "button", "Us"]);
        let shown = in_words(&segment);
        assert_eq!(output::field(&shown, "conditions"), "country in NO");
        assert_eq!((output::field(&shown, "include"), shown.get("revision")), ("ann, bob".to_owned(), None));
    }
}
