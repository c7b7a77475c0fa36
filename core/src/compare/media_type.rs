//! Media types (RFC 9110, 8.3.1), compared by their meaning: backends write the same type in many
//! ways.

use crate::request::token::is_token;
use std::collections::BTreeSet;

/// A media type: `type/subtype` in lower case, and its parameters.
#[derive(Debug, PartialEq, Eq)]
struct MediaType {
    essence: String,
    /// Names in lower case, with their values without quotes.
    parameters: BTreeSet<(String, String)>,
}

/// Returns true if two values of `content-type` denote the same type. Case does not matter in the
/// type, the names of parameters and the charset; the order of parameters does not matter. UTF-8 is
/// the same as no charset: frameworks add it to types that have no such parameter, such as JSON.
pub(super) fn same_media_type(old: &str, new: &str) -> bool {
    match (MediaType::parse(old), MediaType::parse(new)) {
        (Some(old), Some(new)) => old == new,
        _ => old == new,
    }
}

/// Returns true if a value of `content-type` is a media type.
pub(super) fn is_media_type(text: &str) -> bool {
    MediaType::parse(text).is_some()
}

impl MediaType {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = split_unquoted(text);
        let essence = parts.next()?.trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut parameters = BTreeSet::new();
        // RFC 9110 permits empty parameters, such as a semicolon at the end.
        for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = parameter(part)?;
            let is_utf8 = name == "charset" && matches!(value.as_str(), "utf-8" | "utf8");
            if !is_utf8 {
                parameters.insert((name, value));
            }
        }
        Some(Self { essence, parameters })
    }
}

/// Splits at the semicolons outside of quoted strings.
fn split_unquoted(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c: char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' => is_escaped = is_quoted,
            _ => {}
        }
        c == ';' && !is_quoted
    })
}

/// Parses `name=value` or `name="value"`.
fn parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.to_ascii_lowercase();
    let value = match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unescaped(quoted),
        None if is_token(value) => value.to_owned(),
        None => return None,
    };
    let value = if name == "charset" { value.to_ascii_lowercase() } else { value };
    is_token(&name).then_some((name, value))
}

/// Resolves the backslashes of a quoted string.
fn unescaped(quoted: &str) -> String {
    let mut is_escaped = false;
    let mut text = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        is_escaped = c == '\\' && !is_escaped;
        if !is_escaped {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_type_is_written_in_many_ways() {
        let same = [
            ("application/json", "application/json; charset=utf-8"),
            ("application/json;charset=UTF-8", "Application/JSON"),
            ("application/problem+json; charset=\"utf-8\"", "application/problem+json"),
            ("text/plain; charset=utf-8", "text/plain;"),
            ("text/html; a=1; b=2", "text/html; B=2 ;a=1"),
            ("text/html; a=\"x;y\"", "text/html;a=\"x;y\""),
            ("text/html; a=\"x\\\"\"", "text/html;a=\"\\x\\\"\""),
            ("application/xml; charset=UTF-8", "application/xml"),
            ("application/x-ndjson", "application/x-ndjson; charset=utf8"),
            ("not a type", "not a type"),
        ];
        for (old, new) in same {
            assert!(same_media_type(old, new), "{old} | {new}");
        }
    }

    #[test]
    fn another_type_is_a_difference() {
        let different = [
            ("application/json", "text/json"),
            ("application/json", "application/problem+json"),
            ("application/json", "application/json; charset=iso-8859-1"),
            ("application/json; charset=utf-8", "application/json; charset=utf-16"),
            ("application/xml", "application/xml; charset=iso-8859-1"),
            ("image/svg+xml; charset=utf-8", "image/svg+xml; charset=utf-16"),
            ("application/json; profile=a", "application/json; profile=b"),
            ("application/json; profile=a", "application/json; profile=A"),
            ("application/json", "application/json; profile=a"),
            ("text/html; a=\"x;y\"", "text/html; a=\"x\""),
            ("application/json", "application/json; charset"),
            ("not a type", "Not A Type"),
        ];
        for (old, new) in different {
            assert!(!same_media_type(old, new), "{old} | {new}");
        }
    }
}
