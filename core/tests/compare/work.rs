//! The work of a comparison, and its budget.

use super::*;

const KEYS: usize = 16_000;

fn object(keys: impl Iterator<Item = usize>) -> String {
    let fields: Vec<String> = keys.map(|key| format!("\"key{key}\":{key}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn items(ids: impl Iterator<Item = usize>, name: &str) -> String {
    let items: Vec<String> = ids.map(|id| format!("{{\"{name}\":{id},\"a\":[1],\"b\":\"x\"}}")).collect();
    format!("[{}]", items.join(","))
}

/// Sorting is tested where it happens, in `core/src/compare/pairing.rs`; this is the budget.
#[test]
fn objects_with_many_keys_take_as_many_steps_as_they_have_names_and_pairs() {
    let old = object(0..KEYS);
    let limits = |work: usize| Limits { work: u32::try_from(work).unwrap(), ..Limits::default() };
    let none: &[(String, DifferenceKind)] = &[];
    let disjoint = [("*".to_owned(), DifferenceKind::Missing), ("*".to_owned(), DifferenceKind::Extra)];
    let cases = [
        (object(0..KEYS), 3 * KEYS + 1, none),
        (object((0..KEYS).rev()), 3 * KEYS + 1, none),
        (object(KEYS..2 * KEYS), 2 * KEYS + 1, disjoint.as_slice()),
    ];
    for (new, work, expected) in cases {
        assert_eq!(found_within(&old, &new, &[], limits(work)).unwrap(), expected);
        assert_eq!(found_within(&old, &new, &[], limits(work - 1)), Err(TooMuch), "a step was not paid");
    }
}

#[test]
fn thousands_of_moved_items_are_within_the_budget() {
    let count = 5_000;
    for name in ["id", "sku"] {
        let (old, new) = (items(0..count, name), items((0..count).rev(), name));
        let keys = [Rule { key_by: Some("sku".to_owned()), ..rule("[]") }];
        check(&old, &new, &keys[..usize::from(name == "sku")], &[(".", DifferenceKind::Order)]);
        let unordered = [Rule { unordered: true, ..rule("[]") }];
        check(&old, &new, &unordered, &[]);
    }
    // One item is another one.
    let (old, new) = (items(0..count, "x"), items((1..=count).rev(), "x"));
    let unordered = [Rule { unordered: true, ..rule(".") }];
    check(&old, &new, &unordered, &[("[].x", DifferenceKind::Number)]);
}

#[test]
fn a_tolerance_in_any_order_compares_each_with_each_until_the_budget_is_used_up() {
    let rules = [Rule { unordered: true, ..rule("[]") }, Rule { tolerance: Some(0.5), ..rule("[].x") }];
    let list = |count: usize, plus: &str| {
        let items: Vec<String> = (0..count).map(|x| format!("{{\"x\":{x}{plus}}}")).collect();
        format!("[{}]", items.join(","))
    };
    assert_eq!(found_within(&list(100, ".1"), &list(100, ".3"), &rules, Limits::default()), Ok(vec![]));
    let reversed: Vec<String> = (0..2_000).rev().map(|x| format!("{{\"x\":{x}.3}}")).collect();
    let reversed = format!("[{}]", reversed.join(","));
    assert_eq!(found_within(&list(2_000, ".1"), &reversed, &rules, Limits::default()), Err(TooMuch));
}

#[test]
fn the_limit_of_differences_holds_for_lists_too() {
    let old = r#"{"a":[1],"b":[1],"c":[1],"d":[1],"e":1,"f":1}"#;
    let new = r#"{"a":[],"b":[],"c":[],"d":[],"e":2,"f":2}"#;
    let limits = Limits { differences: 3, ..Limits::default() };
    let expected = ["a", "b", "c"].map(|path| (path.to_owned(), DifferenceKind::Length));
    assert_eq!(found_within(old, new, &[], limits).unwrap(), expected);
}
