//! Tables for people, JSON for programs.

use serde_json::Value;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: the API's own answer.
    Json,
}

/// Writes a value as JSON.
pub fn json(value: &Value) {
    println!("{value:#}");
}

/// Writes rows under a heading, each column as wide as its widest cell.
pub fn table(heading: &[&str], rows: &[Vec<String>]) {
    print!("{}", format_table(heading, rows));
}

/// Rows under a heading, as text.
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

/// Fields of an object as cells.
pub fn pick(value: &Value, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| value.get(name).map(cell).unwrap_or_else(|| "-".to_owned())).collect()
}

/// A value as a cell.
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
