//! Output: tables for people, JSON for programs.

use serde_json::Value;

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

/// Prints rows under a heading, each column as wide as its widest cell.
pub fn table(heading: &[&str], rows: &[Vec<String>]) {
    print!("{}", format_table(heading, rows));
}

/// Prints the fields of an object, one per row.
pub fn fields(value: &Value) {
    let fields = value.as_object().into_iter().flatten();
    let rows: Vec<_> = fields.map(|(name, value)| vec![name.clone(), cell(value)]).collect();
    table(&["FIELD", "VALUE"], &rows);
}

/// Prints the warnings of a response to standard error.
pub fn warnings(response: &Value) {
    for warning in list(response, "warnings") {
        eprintln!("warning: {}", cell(warning));
    }
}

/// Formats rows under a heading, each column as wide as its widest cell.
pub fn format_table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(heading.get(column).map(|cell| cell.chars().count())).max().unwrap_or_default()
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (column, cell) in cells.enumerate() {
            let width = width(column);
            text.push_str(&format!("{cell:<width$}  "));
        }
        format!("{}\n", text.trim_end())
    };
    let mut text = line(&mut heading.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
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
        Value::String(text) => text.clone(),
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
}
