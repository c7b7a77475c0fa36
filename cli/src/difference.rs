//! Differences between two versions of an object, as lines for people.

use crate::output::cell;
use serde_json::{Map, Value};

/// Value that one side of a difference does not have, as the API writes it too. A difference of the order has none on either.
pub const NOTHING: &str = "(nothing)";

/// Most lines about one object.
const MAX_LINES: usize = 20;

/// Longest value that is shown whole, in characters.
const MAX_CHARS: usize = 100;

/// Number of characters that are shown before the first difference of two long values.
const BEFORE_DIFFERENCE: usize = 20;

/// Largest product of the lengths of two sequences that are compared item by item.
const MAX_PAIRS: usize = 4_000_000;

/// Describes the changed fields of an object. Each is a pair of the value before and the value after the
/// change; null stands for a missing field.
///
/// Objects that only one side has are described field by field. A whole object that is new or gone has the empty name.
///
/// ```text
/// routes[GET /api/v1/reviews].headers.location: "/a/{id}" -> "/b/{id}"
/// + shapes.review.object.tags: "tags"
/// - operations:7:   rating
/// + operations:7:   stars
/// - user_whitelist[]: "user-9"
/// ... and 12 more changes
/// ```
pub fn lines(fields: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, pair) in fields {
        let side = |index: usize| pair.get(index).filter(|value| !value.is_null());
        values(name, side(0), side(1), &mut lines);
    }
    let hidden = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    if hidden > 0 {
        lines.push(format!("... and {hidden} more change{}", if hidden == 1 { "" } else { "s" }));
    }
    lines
}

fn values(path: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<String>) {
    match (before, after) {
        (None, None) => {}
        (Some(before), None) => one_sided('-', path, before, lines),
        (None, Some(after)) => one_sided('+', path, after, lines),
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => objects(path, before, after, lines),
        (Some(Value::Array(before)), Some(Value::Array(after))) => lists(path, before, after, lines),
        (Some(Value::String(before)), Some(Value::String(after)))
            if before.contains('\n') || after.contains('\n') =>
        {
            texts(path, before, after, lines);
        }
        (Some(before), Some(after)) => {
            let (before, after) = excerpts(&before.to_string(), &after.to_string());
            lines.push(format!("{path}: {before} -> {after}"));
        }
    }
}

/// Describes a value that only one side has. Objects are described by their fields, lists of objects by their items.
fn one_sided(sign: char, path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                one_sided(sign, &field(path, name), value, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let keys =
                keys(items).unwrap_or_else(|| (0..items.len()).map(|index| index.to_string()).collect());
            for (item, key) in items.iter().zip(keys) {
                one_sided(sign, &format!("{path}[{key}]"), item, lines);
            }
        }
        value => lines.push(format!("{sign} {path}: {}", excerpt(&value.to_string(), 0))),
    }
}

/// Returns the path of a field of the object at a path, which is empty for a whole object.
fn field(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn objects(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, lines: &mut Vec<String>) {
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        values(&field(path, name), before.get(name), after.get(name), lines);
    }
}

/// Compares items with keys by their keys, lists without objects as sequences, and others by position.
fn lists(path: &str, before: &[Value], after: &[Value], lines: &mut Vec<String>) {
    if let (Some(old), Some(new)) = (keys(before), keys(after)) {
        return keyed(path, &Keyed { items: before, keys: old }, &Keyed { items: after, keys: new }, lines);
    }
    if before.iter().chain(after).all(|item| !item.is_object() && !item.is_array()) {
        for edit in edits(before, after) {
            let (sign, item) = match edit {
                Edit::Removed(index) => ('-', before.get(index)),
                Edit::Added(index) => ('+', after.get(index)),
            };
            let item = item.map(Value::to_string).unwrap_or_default();
            lines.push(format!("{sign} {path}[]: {}", excerpt(&item, 0)));
        }
        return;
    }
    for index in 0..before.len().max(after.len()) {
        values(&format!("{path}[{index}]"), before.get(index), after.get(index), lines);
    }
}

/// A list of objects, each with a key that no other one has.
struct Keyed<'v> {
    items: &'v [Value],
    keys: Vec<String>,
}

impl Keyed<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        let index = self.keys.iter().position(|held| held == key)?;
        self.items.get(index)
    }
}

fn keyed(path: &str, before: &Keyed<'_>, after: &Keyed<'_>, lines: &mut Vec<String>) {
    let added = after.keys.iter().filter(|key| !before.keys.contains(key));
    for key in before.keys.iter().chain(added) {
        values(&format!("{path}[{key}]"), before.get(key), after.get(key), lines);
    }
    let kept = before.keys.iter().filter(|key| after.keys.contains(key));
    if kept.ne(after.keys.iter().filter(|key| before.keys.contains(key))) {
        lines.push(format!("{path}: the items are in another order"));
    }
}

/// Returns the keys of the items of a list, or `None` if an item has none or two have the same.
fn keys(items: &[Value]) -> Option<Vec<String>> {
    let mut keys = Vec::with_capacity(items.len());
    for item in items {
        let key = key(item)?;
        if keys.contains(&key) {
            return None;
        }
        keys.push(key);
    }
    Some(keys)
}

/// Returns the `id` of an item, or its `match`, as in `GET /reviews/{id}`.
fn key(item: &Value) -> Option<String> {
    if let Some(id @ (Value::String(_) | Value::Number(_))) = item.get("id") {
        return Some(cell(id));
    }
    let pattern = item.get("match")?.as_object()?;
    let known = ["method", "methods", "path"];
    let mut words: Vec<String> = known
        .iter()
        .filter_map(|name| pattern.get(*name))
        .map(cell)
        .filter(|word| !word.is_empty())
        .collect();
    let mut others: Vec<_> = pattern.iter().filter(|(name, _)| !known.contains(&name.as_str())).collect();
    others.sort_by_key(|(name, _)| *name);
    words.extend(others.into_iter().map(|(name, value)| format!("{name} {value}")));
    Some(words.join(" "))
}

/// Compares strings of several lines, line by line.
fn texts(path: &str, before: &str, after: &str, lines: &mut Vec<String>) {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    for edit in edits(&old, &new) {
        let (sign, index, line) = match edit {
            Edit::Removed(index) => ('-', index, old.get(index)),
            Edit::Added(index) => ('+', index, new.get(index)),
        };
        let line = excerpt(&printable(line.copied().unwrap_or_default()), 0);
        lines.push(format!("{sign} {path}:{}: {line}", index + 1));
    }
}

/// Returns a line without characters that would move the cursor of a terminal.
fn printable(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '\t' => text.push_str("  "),
            control if control.is_control() => text.extend(control.escape_default()),
            other => text.push(other),
        }
    }
    text
}

/// An item that only one of two sequences has, by its position there.
enum Edit {
    Removed(usize),
    Added(usize),
}

/// Returns the items outside a longest common subsequence, in order.
fn edits<T: PartialEq>(before: &[T], after: &[T]) -> Vec<Edit> {
    let start = before.iter().zip(after).take_while(|(old, new)| old == new).count();
    let (old, new) = (before.get(start..).unwrap_or_default(), after.get(start..).unwrap_or_default());
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let old = old.get(..old.len() - end).unwrap_or_default();
    let new = new.get(..new.len() - end).unwrap_or_default();
    let lengths = common_lengths(old, new);
    let length = |row: usize, column: usize| {
        lengths.get(row).and_then(|row| row.get(column)).copied().unwrap_or_default()
    };
    let (mut edits, mut row, mut column) = (Vec::new(), 0, 0);
    while row < old.len() || column < new.len() {
        let (has_old, has_new) = (row < old.len(), column < new.len());
        if has_old && has_new && old.get(row) == new.get(column) {
            (row, column) = (row + 1, column + 1);
        } else if has_old && (!has_new || length(row + 1, column) >= length(row, column + 1)) {
            edits.push(Edit::Removed(start + row));
            row += 1;
        } else {
            edits.push(Edit::Added(start + column));
            column += 1;
        }
    }
    edits
}

/// Returns the lengths of the longest common subsequences of `old` from each row on and `new` from each
/// column on. Returns nothing for very long sequences, whose differences are then not the fewest.
fn common_lengths<T: PartialEq>(old: &[T], new: &[T]) -> Vec<Vec<u32>> {
    if old.len().saturating_mul(new.len()) > MAX_PAIRS {
        return Vec::new();
    }
    // The last row is built first.
    let mut rows = vec![vec![0; new.len() + 1]];
    for item in old.iter().rev() {
        let below = rows.last().map(Vec::as_slice).unwrap_or_default();
        let below = |column: usize| below.get(column).copied().unwrap_or_default();
        let mut row = vec![0; new.len() + 1];
        let mut length = 0;
        for (column, other) in new.iter().enumerate().rev() {
            length = if item == other { below(column + 1) + 1 } else { below(column).max(length) };
            if let Some(held) = row.get_mut(column) {
                *held = length;
            }
        }
        rows.push(row);
    }
    rows.reverse();
    rows
}

/// Returns two long values from shortly before their first difference on.
fn excerpts(before: &str, after: &str) -> (String, String) {
    let is_long = [before, after].into_iter().any(|text| text.chars().count() > MAX_CHARS);
    let same = before.chars().zip(after.chars()).take_while(|(old, new)| old == new).count();
    let start = if is_long { same.saturating_sub(BEFORE_DIFFERENCE) } else { 0 };
    (excerpt(before, start), excerpt(after, start))
}

/// Returns at most [`MAX_CHARS`] characters of a value.
fn excerpt(text: &str, start: usize) -> String {
    let mut rest = text.chars().skip(start);
    let shown: String = rest.by_ref().take(MAX_CHARS).collect();
    let begin = if start > 0 { "..." } else { "" };
    let end = if rest.next().is_some() { "..." } else { "" };
    format!("{begin}{shown}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Returns the lines about a field `f` with this value before and after a change.
    fn told(before: Value, after: Value) -> Vec<String> {
        lines(json!({ "f": [before, after] }).as_object().unwrap())
    }

    #[test]
    fn a_change_is_told_at_its_path() {
        let cases = [
            (json!(1), json!(2), vec!["f: 1 -> 2"]),
            (json!(null), json!([1]), vec!["+ f: [1]"]),
            (json!({ "a": 1 }), json!(null), vec!["- f.a: 1"]),
            (
                json!(null),
                json!({ "a": { "b": 1, "c": {} }, "l": [{ "id": "x", "n": 1 }, { "id": "y" }], "m": [{ "n": 1 }, 2] }),
                vec![
                    "+ f.a.b: 1",
                    "+ f.a.c: {}",
                    r#"+ f.l[x].id: "x""#,
                    "+ f.l[x].n: 1",
                    r#"+ f.l[y].id: "y""#,
                    "+ f.m[0].n: 1",
                    "+ f.m[1]: 2",
                ],
            ),
            (json!({ "a": 1 }), json!("a"), vec![r#"f: {"a":1} -> "a""#]),
            (
                json!({ "a": { "b": "x", "c": 1 }, "d": 1, "e": null }),
                json!({ "a": { "b": "y", "c": 1 }, "e": false, "n": [] }),
                vec![r#"f.a.b: "x" -> "y""#, "- f.d: 1", "f.e: null -> false", "+ f.n: []"],
            ),
            // By position.
            (
                json!([{ "a": 1 }, { "a": 2 }]),
                json!([{ "a": 1 }, { "a": 3 }, 4]),
                vec!["f[1].a: 2 -> 3", "+ f[2]: 4"],
            ),
            // As sequences.
            (json!(["a", "b", "c"]), json!(["b", "x", "c"]), vec![r#"- f[]: "a""#, r#"+ f[]: "x""#]),
            (json!([10, 50]), json!([10, 25, 50]), vec!["+ f[]: 25"]),
        ];
        for (before, after, expected) in cases {
            let shown = format!("{before} -> {after}");
            assert_eq!(told(before, after), expected, "{shown}");
        }
    }

    #[test]
    fn items_with_a_key_are_told_by_it_wherever_they_are() {
        let route = |method: &str, status: u16| json!({ "match": { "path": "/r/{id}", "method": method }, "status": status });
        let before = json!([route("GET", 200), route("PUT", 200), route("DELETE", 204)]);
        let after = json!([route("POST", 201), route("GET", 203), route("PUT", 200)]);
        let expected = [
            "f[GET /r/{id}].status: 200 -> 203",
            r#"- f[DELETE /r/{id}].match.path: "/r/{id}""#,
            r#"- f[DELETE /r/{id}].match.method: "DELETE""#,
            "- f[DELETE /r/{id}].status: 204",
            r#"+ f[POST /r/{id}].match.path: "/r/{id}""#,
            r#"+ f[POST /r/{id}].match.method: "POST""#,
            "+ f[POST /r/{id}].status: 201",
        ];
        assert_eq!(told(before, after), expected);

        let named = |id: &str| json!({ "id": id });
        let (ab, ba) = (json!([named("a"), named("b")]), json!([named("b"), named("a")]));
        assert_eq!(told(ab, ba), ["f: the items are in another order"]);
        // Two routes of one path differ by their conditions.
        let only = |rule: &str, n: u16| {
            let pattern = json!({ "methods": ["GET", "PUT"], "path": "/r", "where": { "id": rule } });
            json!({ "match": pattern, "n": n })
        };
        let (before, after) =
            (json!([only("digits", 1), only("list", 1)]), json!([only("digits", 1), only("list", 2)]));
        assert_eq!(told(before, after), [r#"f[GET, PUT /r where {"id":"list"}].n: 1 -> 2"#]);
        // Keys that appear twice are none.
        let (before, after) = (json!([named("a"), named("a")]), json!([named("a"), named("b")]));
        assert_eq!(told(before, after), [r#"f[1].id: "a" -> "b""#]);
    }

    #[test]
    fn a_whole_object_is_described_field_by_field() {
        let created = lines(
            json!({ "": [null, { "enabled": true, "plan": { "steps": [1, 5] } }] }).as_object().unwrap(),
        );
        assert_eq!(created, ["+ enabled: true", "+ plan.steps: [1,5]"]);
    }

    #[test]
    fn of_a_text_only_the_changed_lines_are_told() {
        let before = "query A {\n  a\n  b\n}\n";
        let cases = [
            (before.replace("  a\n", "  x\n"), vec!["- f:2:   a", "+ f:2:   x"]),
            (before.replace("  b\n", ""), vec!["- f:3:   b"]),
            (before.replace("{\n", "{\n\tc\u{1b}[2J\n"), vec![r"+ f:2:   c\u{1b}[2J"]),
            (before.trim_end().to_owned(), vec!["- f:5: "]),
        ];
        for (after, expected) in cases {
            assert_eq!(told(json!(before), json!(after)), expected, "{after:?}");
        }
    }

    #[test]
    fn long_values_begin_where_they_differ() {
        let long = |end: &str| json!(format!("{}{end}{}", "a".repeat(500), "z".repeat(500)));
        let lines = told(long("x"), long("y"));
        let (a, z) = ("a".repeat(20), "z".repeat(79));
        assert_eq!(lines, [format!("f: ...{a}x{z}... -> ...{a}y{z}...")]);
        let shown = told(json!(null), long("x"));
        assert_eq!(shown, [format!("+ f: \"{}...", "a".repeat(99))]);
    }

    #[test]
    fn an_object_has_at_most_so_many_lines() {
        let list = |from: u32| json!((from..from + 16).collect::<Vec<_>>());
        let lines = told(list(0), list(100));
        assert_eq!(lines.len(), 21);
        assert_eq!(lines[20], "... and 12 more changes");
        assert_eq!(told(list(0), list(11)).last().unwrap(), "... and 2 more changes");
    }

    #[test]
    fn sequences_that_are_too_long_to_be_compared_well_are_compared() {
        let list = |parity: u32| (0..9_000_u32).filter(|n| n % 4 != parity).collect::<Vec<_>>();
        let (before, after) = (list(1), list(3));
        let (mut kept, mut expected) = (before.clone(), Vec::new());
        for edit in edits(&before, &after) {
            match edit {
                Edit::Removed(index) => kept.retain(|n| *n != before[index]),
                Edit::Added(index) => expected.push(after[index]),
            }
        }
        kept.extend(expected);
        kept.sort_unstable();
        assert_eq!(kept, after);
    }
}
