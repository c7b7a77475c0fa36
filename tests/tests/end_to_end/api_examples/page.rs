//! The page of examples: JSON in few lines, with the same word in place of every time and identifier that differs from run
//! to run.

use cutover_core::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Longest line of JSON, in characters.
const WIDTH: usize = 110;

/// Longest string that is shown whole, in characters.
const MAX_TEXT: usize = 400;

/// Longest list that is shown whole.
const MAX_ITEMS: usize = 12;

/// End of a text or a list that is cut.
const MARK: &str = "…";

/// Time in place of every other one, in the three forms in which responses have times.
const TIME: &str = "2026-01-31T12:00:00Z";
const TIME_S: u64 = 1_769_860_800;
const TIME_MS: u64 = 1_769_860_800_000;

/// Hash in place of every other one.
const HASH: u64 = 1_234_567_890;

/// Shortest identifier of hexadecimal digits, in characters.
const MIN_ID: usize = 12;

/// Replacements of the times and identifiers of a run.
#[derive(Default)]
pub struct Masks {
    /// Replacements of identifiers, which are numbered in the order in which they appear.
    ids: BTreeMap<String, String>,
}

impl Masks {
    /// Replaces what differs from run to run, and cuts what is long.
    pub fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let masked = self.text(text);
                let shown: String = masked.chars().take(MAX_TEXT).collect();
                if shown.len() < masked.len() { json!(format!("{shown}{MARK}")) } else { json!(shown) }
            }
            Value::Number(number) => {
                number.as_u64().map_or_else(|| value.clone(), |number| json!(number_of(number)))
            }
            Value::Array(items) => {
                let shown = if items.len() > MAX_ITEMS { 2 } else { items.len() };
                let mut masked: Vec<Value> = items.iter().take(shown).map(|item| self.value(item)).collect();
                if shown < items.len() {
                    masked.push(json!(MARK));
                }
                Value::Array(masked)
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (self.text(name), self.value(value)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Value::Null | Value::Bool(_) => value.clone(),
        }
    }

    /// Replaces the times and identifiers in a text.
    pub fn text(&mut self, text: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '+');
        let (mut masked, mut rest) = (String::new(), text);
        while let Some(start) = rest.find(is_word) {
            let length = rest[start..].find(|c: char| !is_word(c)).unwrap_or(rest.len() - start);
            masked.push_str(&rest[..start]);
            masked.push_str(&self.word(&rest[start..start + length]));
            rest = &rest[start + length..];
        }
        masked + rest
    }

    fn word(&mut self, word: &str) -> String {
        let inner = word.trim_end_matches(['.', ':']);
        let tail = &word[inner.len()..];
        if inner.parse::<Timestamp>().is_ok() {
            return format!("{TIME}{tail}");
        }
        let is_hex = inner.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        let is_zero = inner.chars().all(|c| c == '0');
        if inner.len() < MIN_ID || !is_hex || is_zero {
            return word.to_owned();
        }
        let number = self.ids.len() + 1;
        let id = self
            .ids
            .entry(inner.to_owned())
            .or_insert_with(|| format!("{number:0width$x}", width = inner.len()));
        format!("{id}{tail}")
    }
}

/// Replaces a number that is a time or a hash.
fn number_of(number: u64) -> u64 {
    match number {
        0..1_000_000_000 => number,
        1_000_000_000..100_000_000_000 => TIME_S,
        100_000_000_000..100_000_000_000_000 => TIME_MS,
        _ => HASH,
    }
}

/// Returns a value without the marks of lists that were cut, which have no form that the API describes.
pub fn unmarked(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            items.into_iter().filter(|item| item.as_str() != Some(MARK)).map(unmarked).collect()
        }
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, unmarked(value))).collect::<Map<_, _>>().into()
        }
        _ => value,
    }
}

/// Writes JSON in lines of at most [`WIDTH`] characters, where that is possible.
pub fn pretty(value: &Value, indent: usize) -> String {
    let line = flat(value);
    if line.chars().count() + indent <= WIDTH {
        return line;
    }
    match value {
        Value::Array(items) => {
            block(['[', ']'], items.iter().map(|item| pretty(item, indent + 2)).collect(), indent)
        }
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| format!("{}: {}", json!(name), pretty(value, indent + 2));
            block(['{', '}'], fields.iter().map(field).collect(), indent)
        }
        _ => line,
    }
}

fn block([open, close]: [char; 2], lines: Vec<String>, indent: usize) -> String {
    let space = " ".repeat(indent);
    format!("{open}\n{space}  {}\n{space}{close}", lines.join(&format!(",\n{space}  ")))
}

fn flat(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{}: {}", json!(name), flat(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

#[test]
fn times_and_identifiers_are_the_same_in_every_run() {
    let mut masks = Masks::default();
    let first = json!({
        "at": "2027-05-06T07:08:09.123Z", "id": "9f86d081884c", "token": "ctv_00ff00ff00ff00ff", "none": "0".repeat(64),
        "says": "until 2027-05-06T07:08:09Z. Then 9f86d081884c.", "ms": 1_800_000_000_123_u64, "epoch": 1_800_000_000_u64,
        "run": "r12", "count": 425_861, "share": 2.5, "hash": u64::MAX,
    });
    let expected = json!({
        "at": TIME, "id": "000000000001", "token": "ctv_0000000000000002", "none": "0".repeat(64),
        "says": "until 2026-01-31T12:00:00Z. Then 000000000001.", "ms": TIME_MS, "epoch": TIME_S,
        "run": "r12", "count": 425_861, "share": 2.5, "hash": HASH,
    });
    assert_eq!(masks.value(&first), expected);
    let long = json!(vec![1; 13]);
    assert_eq!(masks.value(&long), json!([1, 1, "…"]));
    assert_eq!(
        unmarked(json!({ "cut": masks.value(&long), "text": "x…" })),
        json!({ "cut": [1, 1], "text": "x…" })
    );
}

#[test]
fn json_is_written_in_few_lines() {
    let small = json!({ "a": [1, { "b": null }], "c": {} });
    assert_eq!(pretty(&small, 0), r#"{ "a": [1, { "b": null }], "c": {} }"#);
    let text = "x".repeat(100);
    let wide = json!({ "a": text, "b": [] });
    assert_eq!(pretty(&wide, 0), format!("{{\n  \"a\": \"{text}\",\n  \"b\": []\n}}"));
}
