//! Output: tables for people, JSON for programs.

use crate::{clock, style};
use anstyle::Style;
use cutover_core::Timestamp;
use serde_json::Value;
use std::{
    io::stdout,
    sync::atomic::{AtomicBool, Ordering},
};

/// True if tables have no line that names their columns. It is set once, before the command runs.
static IS_BARE: AtomicBool = AtomicBool::new(false);

/// Length of a time with milliseconds: `2026-01-31T23:59:59.000Z`.
const TIME_CHARS: usize = 24;

/// Units of relative times with their lengths in milliseconds, the largest first.
const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tables and sentences, for people.
    Table,
    /// The management API's own JSON, for programs.
    Json,
}

/// Prints a value as JSON, or calls `table` to print it for people.
pub fn show(format: Format, value: &Value, table: impl FnOnce()) {
    match format {
        Format::Json => json(value),
        Format::Table => table(),
    }
}

/// Prints a value as JSON.
pub fn json(value: &Value) {
    println!("{value:#}");
}

/// Has tables printed without the line that names their columns.
pub fn hide_headings() {
    IS_BARE.store(true, Ordering::Relaxed);
}

/// Prints rows under a heading, each column as wide as its widest cell. States have colours on a terminal.
pub fn table(heading: &[&str], rows: &[Vec<String>]) {
    let heading: &[&str] = if IS_BARE.load(Ordering::Relaxed) { &[] } else { heading };
    let is_coloured = style::is_shown(&stdout());
    print!("{}", lines(heading, rows, &|cell| if is_coloured { style::of_state(cell) } else { None }));
}

/// Prints the fields of an object, one per row. Times at which something happened or will happen are also given
/// relative to now.
pub fn fields(value: &Value) {
    let fields = value.as_object().into_iter().flatten();
    let shown =
        |name: &str, value: &Value| if name.ends_with("_at") { time(&cell(value)) } else { cell(value) };
    let rows: Vec<_> = fields.map(|(name, value)| vec![name.clone(), shown(name, value)]).collect();
    table(&["FIELD", "VALUE"], &rows);
}

/// Returns a time with its distance from now, such as `2026-01-31T23:59:59.000Z (5 min ago)`; any other text as it is.
pub fn time(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => format!("{} ({})", fixed(text), relative(time.millis(), clock::now())),
        Err(_) => text.to_owned(),
    }
}

/// Returns the distance of a time from now, in its largest unit.
fn relative(time: i64, now: i64) -> String {
    let distance = time.saturating_sub(now);
    let length = distance.saturating_abs();
    match UNITS.iter().find(|(unit, _)| length >= *unit) {
        None => "now".to_owned(),
        Some((unit, name)) if distance > 0 => format!("in {} {name}", length / unit),
        Some((unit, name)) => format!("{} {name} ago", length / unit),
    }
}

/// Gives a time all digits of its milliseconds, so that columns of times are aligned and sorted. Any other text is returned
/// as it is.
pub fn fixed(text: &str) -> String {
    let is_time = text.ends_with('Z') && text.len() <= TIME_CHARS && text.parse::<Timestamp>().is_ok();
    let Some(start) = text.strip_suffix('Z').filter(|_| is_time) else { return text.to_owned() };
    let (seconds, fraction) = start.split_once('.').unwrap_or((start, ""));
    format!("{seconds}.{fraction:0<3}Z")
}

/// Prints the warnings of a response to standard error.
pub fn warnings(response: &Value) {
    for warning in list(response, "warnings") {
        eprintln!("warning: {}", cell(warning));
    }
}

/// Returns a number of things, such as `1 object` or `2 objects`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Formats rows under a heading, each column as wide as its widest cell.
pub fn format_table(heading: &[&str], rows: &[Vec<String>]) -> String {
    lines(heading, rows, &|_| None)
}

fn lines(heading: &[&str], rows: &[Vec<String>], style: &dyn Fn(&str) -> Option<Style>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(heading.get(column).map(|cell| cell.chars().count())).max().unwrap_or_default()
    };
    let line = |cells: &mut dyn Iterator<Item = &str>, style: &dyn Fn(&str) -> Option<Style>| {
        let (mut text, mut padding) = (String::new(), String::new());
        for (column, cell) in cells.enumerate() {
            // Nothing follows the last cell that has text, not even spaces.
            if !cell.is_empty() {
                text.push_str(&padding);
                padding.clear();
            }
            match style(cell) {
                Some(style) => text.push_str(&format!("{}{cell}{}", style.render(), style.render_reset())),
                None => text.push_str(cell),
            }
            padding.push_str(&" ".repeat(width(column).saturating_sub(cell.chars().count()) + 2));
        }
        format!("{}\n", text.trim_end())
    };
    let mut text = String::new();
    if !heading.is_empty() {
        text.push_str(&line(&mut heading.iter().copied(), &|_| None));
    }
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str), style));
    }
    text
}

/// Returns the named fields of an object as cells, `-` for a field that is missing.
pub fn pick(value: &Value, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| value.get(name).map_or_else(|| "-".to_owned(), cell)).collect()
}

/// Returns a field of an object as a cell, empty if it is missing.
pub fn field(value: &Value, name: &str) -> String {
    value.get(name).map(cell).unwrap_or_default()
}

/// Returns a string field of an object, empty if it is missing or no string.
pub fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Iterates over an array field of an object; a missing field is an empty array.
pub fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Formats a value as a cell.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => fixed(text),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".to_owned(), "yes".to_owned()], vec!["längste".to_owned(), "no".to_owned()]];
        assert_eq!(format_table(&["NAME", "ON"], &rows), "NAME     ON\na        yes\nlängste  no\n");
    }

    #[test]
    fn rows_without_a_heading_are_as_wide_as_they_are() {
        let rows = vec![vec!["a".to_owned(), "yes".to_owned()], vec!["bcd".to_owned(), "no".to_owned()]];
        assert_eq!(format_table(&[], &rows), "a    yes\nbcd  no\n");
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "object")), ["0 objects", "1 object", "2 objects"]);
    }

    #[test]
    fn colours_change_no_width() {
        let rows = vec![vec!["running".to_owned(), "x".to_owned()], vec!["no".to_owned(), String::new()]];
        let coloured = lines(&["STATE", "FLAG"], &rows, &style::of_state);
        assert!(coloured.contains("\u{1b}[32mrunning\u{1b}[0m  x\n"), "{coloured:?}");
        let plain = coloured.replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
        assert_eq!(plain, format_table(&["STATE", "FLAG"], &rows));
        assert_eq!(plain, "STATE    FLAG\nrunning  x\nno\n");
    }

    #[test]
    fn times_have_all_their_digits() {
        for (text, expected) in [
            ("2026-11-21T14:51:42Z", "2026-11-21T14:51:42.000Z"),
            ("2026-11-21T14:51:42.1Z", "2026-11-21T14:51:42.100Z"),
            ("2026-11-21T15:08:05.87Z", "2026-11-21T15:08:05.870Z"),
            ("2026-11-21T15:08:05.866Z", "2026-11-21T15:08:05.866Z"),
            ("quiz", "quiz"),
            ("Z", "Z"),
        ] {
            assert_eq!(cell(&Value::from(text)), expected);
        }
    }

    #[test]
    fn times_are_also_given_as_a_distance() {
        for (distance, expected) in [
            (0, "now"),
            (-999, "now"),
            (-1_000, "1 s ago"),
            (-119_999, "1 min ago"),
            (7_200_000, "in 2 h"),
            (90 * 86_400_000, "in 90 d"),
        ] {
            assert_eq!(relative(1_000_000 + distance, 1_000_000), expected);
        }
        assert_eq!(time("-"), "-", "no time");
        assert!(time("2001-01-01T00:00:00Z").starts_with("2001-01-01T00:00:00.000Z ("));
    }
}
