//! Responses of both backends: whatever they are, comparing them comes to an end, a response does not differ from itself,
//! and no text of theirs is in what is reported. The first line is two content types, the second the old body, the rest
//! the new one.

#![no_main]

use cutover_core::compare::{Comparison, ComparisonOutcome, Response, Tally, compare_answers};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Texts of this length and more are a user's data if they are in a report.
const TELLING: usize = 12;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (kinds, old, new) = (next(), next(), next());
    let (old_kind, new_kind) = kinds.split_once('|').unwrap_or((kinds, kinds));
    let policy = Comparison::default();
    let compare = |old_kind: &str, old: &str, new_kind: &str, new: &str| {
        let old = Response { status: 200, headers: &[Some(old_kind)], body: old.as_bytes() };
        let new = Response { status: 200, headers: &[Some(new_kind)], body: new.as_bytes() };
        compare_answers(&policy, old, new)
    };
    if let ComparisonOutcome::Compared(found) = compare(old_kind, old, old_kind, old) {
        assert_eq!(found.differences, [], "a response does not differ from itself");
    }
    let ComparisonOutcome::Compared(found) = compare(old_kind, old, new_kind, new) else { return };
    let mut tally = Tally::default();
    tally.add(&found.differences, None);
    tally.add_rules(&found.rules);
    let report = serde_json::to_string(&tally).expect("a tally is JSON");
    let (mut values, mut names) = (Vec::new(), Vec::new());
    for body in [old, new] {
        if let Ok(body) = serde_json::from_str(body) {
            texts(&body, &mut values, &mut names);
        }
    }
    for word in values.iter().filter(|word| word.len() >= TELLING && !names.contains(word)) {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'@' || byte == b'.');
        // Nines and x are what everything is masked with.
        let is_masked = word.bytes().all(|byte| matches!(byte, b'9' | b'x' | b'@' | b'.'));
        // Content types are reported as they are.
        let is_shown = kinds.contains(word.as_str());
        assert!(
            !is_plain || is_masked || is_shown || digits < 3 || !report.contains(word.as_str()),
            "{word} is in {report}"
        );
    }
});

/// Collects the texts of a body, and the names of its fields.
fn texts(body: &Value, values: &mut Vec<String>, names: &mut Vec<String>) {
    match body {
        Value::String(text) => values.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, values, names)),
        Value::Object(fields) => {
            for (name, value) in fields {
                names.push(name.clone());
                texts(value, values, names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
