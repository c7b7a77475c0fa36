//! Responses of both backends: whatever they are, comparing them comes to an end, a response does not differ from itself,
//! and no text of theirs is in what is reported. The first line is two content types, the second the old body, the rest
//! the new one.

#![no_main]

use cutover_core::{
    compare::{Comparison, ComparisonOutcome, Response, Tally, compare_answers},
    json::Json,
};
use libfuzzer_sys::fuzz_target;

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
        assert_eq!(found, [], "a response does not differ from itself");
    }
    let ComparisonOutcome::Compared(found) = compare(old_kind, old, new_kind, new) else { return };
    let mut tally = Tally::default();
    tally.add(&found, None);
    let report = serde_json::to_string(&tally).expect("a tally is JSON");
    for body in [old, new] {
        // What is between quotation marks, as far as it is plain, is a name or a value.
        for word in body.split('"').filter(|word| word.len() >= TELLING && Json::parse(body).is_ok()) {
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'@' || byte == b'.');
            // Nines and x are what everything is masked with.
            let is_masked = word.bytes().all(|byte| matches!(byte, b'9' | b'x' | b'@' | b'.'));
            assert!(!is_plain || is_masked || digits < 3 || !report.contains(word), "{word} is in {report}");
        }
    }
});
