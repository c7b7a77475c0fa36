//! Writing of JSON, without whitespace.

use crate::json::{parse::plain_length, value::Json};

fn value(value: &Json<'_>, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(digits) => out.push_str(digits),
        Json::Text(content) => write_text(content, out),
        Json::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                self::value(item, out);
            }
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                self::value(field, out);
            }
            out.push('}');
        }
    }
}

/// Appends a string to `out` as JSON, quoted and escaped.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    write_content(text, out);
    out.push('"');
}

/// Appends a part of a string to `out` as JSON: escaped, between quotes that the caller writes.
pub(crate) fn write_content(text: &str, out: &mut String) {
    let mut rest = text;
    // Only ASCII characters need an escape, so it is safe to cut at their bytes.
    loop {
        let at = plain_length(rest.as_bytes());
        if at >= rest.len() {
            break;
        }
        out.push_str(rest.get(..at).unwrap_or_default());
        let byte = rest.as_bytes().get(at).copied().unwrap_or_default();
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x8 => out.push_str("\\b"),
            0xc => out.push_str("\\f"),
            _ => {
                out.push_str("\\u00");
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
                }
            }
        }
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    out.push_str(rest);
}

impl Json<'_> {
    /// Appends the value to `out` as JSON without whitespace.
    pub fn write(&self, out: &mut String) {
        value(self, out);
    }
}

impl std::fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}
