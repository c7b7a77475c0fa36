//! Documents of a megabyte whose shapes are made to crash or to stop a reader.

use super::unlimited;
use crate::graphql::{Limit, Limits, Refusal, document::scan_counting, scan};

/// Bytes of each document.
const SIZE: usize = 1 << 20;

/// Most work per byte of a document: reads of bytes, and steps from a definition to the fragments that it spreads.
const WORK_PER_BYTE: usize = 8;

/// Returns `start`, the unit as often as there is room, and `end`.
fn repeated(start: &str, unit: &str, end: &str) -> String {
    let times = (SIZE - start.len() - end.len()) / unit.len();
    [start, &unit.repeat(times), end].concat()
}

/// Returns fragments of which each spreads the next one as often as `spreads` says.
fn chain(spreads: usize) -> String {
    let mut text = "{ ...F0 }".to_owned();
    let mut index = 0;
    while text.len() < SIZE - 100 {
        let next = format!(" ...F{}", index + 1).repeat(spreads);
        text.push_str(&format!("fragment F{index} on T{{ {next} }}"));
        index += 1;
    }
    text.push_str(&format!("fragment F{index} on T{{a}}"));
    text
}

/// Returns one fragment, spread as often as there is room.
fn star() -> String {
    repeated("{ ", "...F ", "} fragment F on T { a }")
}

fn shapes() -> Vec<(&'static str, String)> {
    let quarter = |unit: &str| unit.repeat(SIZE / 4 / unit.len());
    vec![
        ("nested fields", repeated("", "{a", "")),
        ("nested and closed", quarter("{a ") + &quarter("}")),
        ("nested inline fragments", repeated("{", "...{", "")),
        ("nested inline fragments with types", repeated("{", "...on A{", "")),
        ("nested lists", repeated("{a(b:", "[", "")),
        ("nested objects", repeated("{a(b:", "{c:", "")),
        ("lists and objects", repeated("{a(b:", "[{c:", "")),
        ("nested types", repeated("query($a:", "[", "")),
        ("aliases", repeated("{", "a:b ", "}")),
        ("aliases with arguments", repeated("{", "a:b(c:1)", "}")),
        ("fields", repeated("{", "a ", "}")),
        ("directives of a field", repeated("{a", "@b", "}")),
        ("directives of fields", repeated("{", "a@b ", "}")),
        ("directives of a query", repeated("query", "@b", "{a}")),
        ("arguments", repeated("{a(", "b:1 ", ")}")),
        ("variables", repeated("query(", "$a:B ", "){a}")),
        ("items of a list", repeated("{a(b:[", "1 ", "])}")),
        ("empty lists", repeated("{a(b:[", "[]", "])}")),
        ("fields of an object", repeated("{a(b:{", "c:1 ", "})}")),
        ("operations", repeated("", "{a}", "")),
        ("fragments", repeated("{a}", "fragment F on T{a}", "")),
        ("one fragment, many spreads", star()),
        ("chain of fragments", chain(1)),
        ("doubling fragments", chain(2)),
        ("unknown fragments", repeated("{", "...F ", "}")),
        ("one name", repeated("{", "n", "}")),
        ("one string", repeated("{a(b:\"", "s", "\")}")),
        ("one string without an end", repeated("{a(b:\"", "s", "")),
        ("escapes", repeated("{a(b:\"", "\\n", "\")}")),
        ("long escapes", repeated("{a(b:\"\\u{", "0", "}\")}")),
        ("one block string", repeated("{a(b:\"\"\"", "s", "\"\"\")}")),
        ("quotes in a block string", repeated("{a(b:\"\"\"", "\"\" ", "\"\"\")}")),
        ("backslashes in a block string", repeated("{a(b:\"\"\"", "\\", " \"\"\")}")),
        ("empty strings", repeated("{a(b:[", "\"\"", " ])}")),
        ("one number", repeated("{a(b:", "1", ")}")),
        ("one fraction", repeated("{a(b:1.", "1", ")}")),
        ("one comment", repeated("#", "c", "\n{a}")),
        ("separators in a comment", repeated("#", "\u{2027}", "\n{a}")),
        ("comments", repeated("{", "#\n", "a}")),
        ("commas", repeated("{", ",", "a}")),
        ("spaces", repeated("", " ", "{a}")),
        ("byte order marks", repeated("", "\u{feff}", "{a}")),
        ("broken byte order marks", repeated("", "\u{fefe}", "{a}")),
        ("points", repeated("{", ".", "}")),
        ("braces that close", repeated("{a}", "}", "")),
        ("NULs", repeated("{", "\0", "}")),
        ("text", repeated("{", "\u{e4}", "}")),
        ("descriptions", repeated("", "\"\"\"\"\"\" ", "{a}")),
    ]
}

#[test]
fn a_megabyte_is_refused_at_once() {
    for (name, text) in shapes() {
        let (result, work) = scan_counting(&text, &Limits::default(), false);
        assert_eq!(result, Err(Refusal::Bytes(15_000)), "{name}");
        assert_eq!(work, 0, "{name}");
    }
}

#[test]
fn work_is_linear_without_the_limit_of_bytes() {
    for (name, text) in shapes() {
        assert!(text.len() > SIZE / 3, "{name} is too short to tell");
        let limits = Limits { bytes: u32::MAX, ..Limits::default() };
        let (_, work) = scan_counting(&text, &limits, false);
        assert!(work <= WORK_PER_BYTE * text.len(), "{name}: {work} for {} bytes", text.len());
    }
}

#[test]
fn work_is_linear_without_any_limit() {
    for (name, text) in shapes() {
        let (_, work) = scan_counting(&text, &unlimited(), false);
        assert!(work <= WORK_PER_BYTE * text.len(), "{name}: {work} for {} bytes", text.len());
    }
}

/// Memory is bounded by the limits, whatever the size of the document.
#[test]
fn memory_is_bounded_by_the_limits() {
    let usual = Limits { bytes: u32::MAX, ..Limits::default() };
    let mut largest = Limits::default();
    for limit in Limit::ALL {
        *(limit.of)(&mut largest) = limit.maximum;
    }
    largest.bytes = u32::MAX;
    for (name, text) in shapes() {
        for (limits, bytes) in [(usual, 64_000), (largest, 1_000_000)] {
            let measured = allocation_counter::measure(|| {
                let _ = scan(&text, &limits, false);
            });
            assert!(measured.bytes_max <= bytes, "{name}: {} bytes", measured.bytes_max);
        }
    }
}

/// A document that repeats one shape is refused for what the shape repeats, and the scan stops there.
#[test]
fn a_limit_stops_the_scan() {
    let limits = Limits { bytes: u32::MAX, tokens: u32::MAX, ..Limits::default() };
    for (text, refusal) in [
        (repeated("", "{a", ""), Refusal::Depth(10)),
        (repeated("{", "...{", ""), Refusal::SelectionSets(128)),
        (repeated("{a(b:", "[", ""), Refusal::ValueNesting(20)),
        (repeated("{a(b:", "{c:", ""), Refusal::ValueNesting(20)),
        (repeated("query($a:", "[", ""), Refusal::ValueNesting(20)),
        (repeated("{", "a:b ", "}"), Refusal::Aliases(15)),
        (repeated("{", "a ", "}"), Refusal::RootFields(20)),
        (repeated("{c{", "a ", "}}"), Refusal::Fields(1_000)),
        (repeated("{a", "@b", "}"), Refusal::DirectivesPerNode(5)),
        (repeated("{c{", "a@b ", "}}"), Refusal::Directives(50)),
        (repeated("", "{a}", ""), Refusal::Operations(5)),
        (repeated("{a}", "fragment F on T{a}", ""), Refusal::Fragments(50)),
    ] {
        let (result, work) = scan_counting(&text, &limits, false);
        assert_eq!(result, Err(refusal));
        assert!(work < 20_000, "{refusal}: {work}");
    }
    let (result, work) = scan_counting(&star(), &Limits { bytes: u32::MAX, ..Limits::default() }, false);
    assert_eq!(result, Err(Refusal::Tokens(1_000)));
    assert!(work < 20_000);
}

/// Nesting costs bits: the deepest that the scanner follows is accepted, the next level refused, whatever the limits
/// say.
#[test]
fn nesting_ends_where_its_bits_end() {
    let sets = |depth: usize| format!("{{{}a{}}}", "...{".repeat(depth - 1), "}".repeat(depth - 1));
    assert!(scan(&sets(128), &unlimited(), false).is_ok());
    assert_eq!(scan(&sets(129), &unlimited(), false), Err(Refusal::SelectionSets(128)));
    let value = |depth: usize| format!("{{a(b:{}1{})}}", "[".repeat(depth), "]".repeat(depth));
    assert!(scan(&value(64), &unlimited(), false).is_ok());
    assert_eq!(scan(&value(65), &unlimited(), false), Err(Refusal::ValueNesting(64)));
}
