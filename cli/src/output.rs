//! Output: tables for people, JSON for programs.

pub use crate::times::{fixed, time};
use crate::{
    encoding,
    fitting::{FittedTable, GAP},
    streams, style, terminal,
};
use anstyle::Style;
use serde_json::Value;
use std::{
    io::stdout,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// True if tables have no line that names their columns. It is set once, before the command runs.
static IS_BARE: AtomicBool = AtomicBool::new(false);

/// Cause for which the document of a read was not printed.
static REFUSAL: OnceLock<String> = OnceLock::new();

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Tables and sentences, for people.
    Table,
    /// The management API's own JSON, for programs, in the encoding that is chosen.
    Json,
}

/// Prints what was read for programs, or calls `table` to print it for people.
pub fn show(format: Format, value: &Value, table: impl FnOnce()) {
    match format {
        Format::Json => document(value),
        Format::Table => table(),
    }
}

/// Prints the response to a change like [`show`]. One that cannot be printed is no failure: the change is made.
pub fn show_change(format: Format, value: &Value, table: impl FnOnce()) {
    match format {
        Format::Json => match encoding::chosen().document(value) {
            Ok(text) => data(&text),
            Err(cause) => eprintln!("hint: {cause}; use -o json"),
        },
        Format::Table => table(),
    }
}

/// Prints what was read for programs.
pub fn document(value: &Value) {
    encoded(encoding::chosen().document(value));
}

/// Prints one of several values for programs, which follow one another.
pub fn item(value: &Value) {
    encoded(encoding::chosen().item(value));
}

/// Prints a document of a read, or keeps the cause for which it cannot be printed.
fn encoded(text: Result<String, String>) {
    match text {
        Ok(text) => data(&text),
        Err(cause) => drop(REFUSAL.set(cause)),
    }
}

/// Returns the cause for which the document of a read was not printed; `None` if all were.
pub fn refusal() -> Option<&'static str> {
    REFUSAL.get().map(String::as_str)
}

/// Prints a text for programs, or for another command: it is never broken, on a terminal neither.
pub fn data(text: &str) {
    streams::write_data(text);
}

/// Has tables printed without the line that names their columns.
pub fn hide_headings() {
    IS_BARE.store(true, Ordering::Relaxed);
}

/// Prints rows under a heading, each column as wide as its widest cell. On a terminal states have colours, and the table fits.
pub fn table(heading: &[&str], rows: &[Vec<String>]) {
    let table = fitted(heading, rows, terminal::columns_of_output());
    print_rows(&table.heading, &table.rows);
    if !table.is_whole {
        eprintln!("hint: use --json for all columns");
    }
}

/// Fits a table into the lines of a terminal; without one it is not changed.
fn fitted<'h>(heading: &[&'h str], rows: &[Vec<String>], columns: Option<usize>) -> FittedTable<'h> {
    FittedTable::of(heading, rows, columns.unwrap_or(usize::MAX))
}

fn print_rows(heading: &[&str], rows: &[Vec<String>]) {
    let heading: &[&str] = if IS_BARE.load(Ordering::Relaxed) { &[] } else { heading };
    let is_coloured = style::is_shown(&stdout());
    print!("{}", lines(heading, rows, &|cell| if is_coloured { style::of_state(cell) } else { None }));
}

/// Prints the fields of an object, one per row. Times at which something happened or will happen are also given
/// relative to now. On a terminal a long value goes on below its beginning, because nothing else shows it.
pub fn fields(value: &Value) {
    let fields = value.as_object().into_iter().flatten();
    let shown =
        |name: &str, value: &Value| if name.ends_with("_at") { time(&cell(value)) } else { cell(value) };
    let rows: Vec<_> = fields.map(|(name, value)| vec![name.clone(), shown(name, value)]).collect();
    print_rows(&["FIELD", "VALUE"], &rows);
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
            padding.push_str(&" ".repeat(width(column).saturating_sub(cell.chars().count()) + GAP));
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
    fn a_terminal_gets_a_table_that_fits_it() {
        let rows = vec![vec!["reviews_read".to_owned(), "words ".repeat(20).trim().to_owned()]];
        let table = |columns: Option<usize>| fitted(&["FLAG", "DESCRIPTION"], &rows, columns);
        assert_eq!(table(None).rows, rows, "a pipe has everything");
        assert!(table(Some(80)).rows[0][1].ends_with('…'));
    }
}
