//! JSON with one field or item per line. The digits of numbers stay as they are, which they would
//! not in a value of `serde_json`.

use crate::terminal;
use cutover_core::json::{Json, write_text};

/// Longest value that is shown in a line, in characters. On a terminal it is one that fits.
const LINE: usize = 160;

/// Characters before a value: its label, and the status of a response.
const LABEL: usize = 16;

/// Formats a body: JSON with line breaks, anything else as it is.
pub fn body(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match Json::parse(&text) {
        Ok(json) => {
            let mut out = String::new();
            write(&json, 0, &mut out);
            out
        }
        Err(_) => text.into_owned(),
    }
}

/// Cuts a text to one line, which fits the terminal.
pub fn line(text: &str) -> String {
    line_of(text, terminal::columns_of_output().map_or(LINE, |columns| columns.saturating_sub(LABEL)))
}

fn line_of(text: &str, longest: usize) -> String {
    let mut line: String = text.chars().take(longest).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(longest).is_some() {
        line.push('…');
    }
    line
}

/// Appends a value. The recursion is bounded by the depth that the parser permits.
fn write(value: &Json<'_>, indent: usize, out: &mut String) {
    match value {
        Json::List(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                begin_line(index, indent + 2, out);
                write(item, indent + 2, out);
            }
            end(indent, ']', out);
        }
        Json::Object(fields) if !fields.is_empty() => {
            out.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                begin_line(index, indent + 2, out);
                write_text(name, out);
                out.push_str(": ");
                write(field, indent + 2, out);
            }
            end(indent, '}', out);
        }
        other => other.write(out),
    }
}

fn begin_line(index: usize, indent: usize, out: &mut String) {
    out.push_str(if index > 0 { ",\n" } else { "\n" });
    out.push_str(&" ".repeat(indent));
}

fn end(indent: usize, bracket: char, out: &mut String) {
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(bracket);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_empty_values_stay_as_they_are() {
        let text = r#"{"id":12345678901234567890,"price":1.10,"tags":[],"a":{},"b":["x",{"c":null}]}"#;
        let expected = "{\n  \"id\": 12345678901234567890,\n  \"price\": 1.10,\n  \"tags\": [],\n  \"a\": {},\n  \
                        \"b\": [\n    \"x\",\n    {\n      \"c\": null\n    }\n  ]\n}";
        assert_eq!(body(text.as_bytes()), expected);
        assert_eq!(body(b"not json"), "not json");
    }

    #[test]
    fn a_long_text_is_cut_to_one_line() {
        assert_eq!(line_of("a\nb", 64), "a b");
        assert_eq!(line_of(&"x".repeat(64), 64), "x".repeat(64));
        assert_eq!(line_of(&"x".repeat(65), 64), "x".repeat(64) + "…");
    }
}
