//! Fragments that bypass limits, and those that cannot be counted.

use super::{counts, scanned};
use crate::graphql::{Counts, Limits, Refusal, scan};

#[test]
fn fragments_count_where_they_are_spread() {
    let text = "{ x: a { ...F } ...F } fragment F on T { y: b { ...G @d } } fragment G on T { z: c e }";
    let expected = Counts { depth: 3, aliases: 5, root_fields: 2, fields: 7, directives: 2 };
    assert_eq!(counts(text), expected);
}

#[test]
fn doubling_fragments_are_refused_and_not_expanded() {
    // Without limits there would be 2^49 fields.
    let mut text = "{ ...F0 }".to_owned();
    for index in 0..49 {
        let next = index + 1;
        text.push_str(&format!(" fragment F{index} on T {{ ...F{next} ...F{next} }}"));
    }
    text.push_str(" fragment F49 on T { a }");
    assert_eq!(scan(&text, &Limits::default(), false), Err(Refusal::Fields(1_000)));
    assert_eq!(counts(&text).fields, u32::MAX);
    let below = text.replacen("{ ...F0 }", "{ a { ...F0 } }", 1);
    assert_eq!(scan(&below, &Limits::default(), false), Err(Refusal::Fields(1_000)));
}

#[test]
fn a_chain_of_fragments_is_as_deep_as_its_fields() {
    let mut text = "{ ...F0 }".to_owned();
    for index in 0..10 {
        text.push_str(&format!(" fragment F{index} on T {{ a {{ ...F{} }} }}", index + 1));
    }
    text.push_str(" fragment F10 on T { ...F11 } fragment F11 on T { __typename }");
    assert_eq!(scan(&text, &Limits::default(), false), Err(Refusal::Depth(10)));
    assert_eq!(counts(&text).depth, 11);
}

#[test]
fn cycles_are_refused_whoever_spreads_them() {
    for text in [
        "{ ...F } fragment F on T { a ...F }",
        "{ ...F } fragment F on T { ...G } fragment G on T { a { ...H } } fragment H on T { ...F }",
        "{ a } fragment F on T { ...F }",
        "{ ...A ...C } fragment A on T { ...B } fragment B on T { b } fragment C on T { ...B ...C }",
    ] {
        assert_eq!(scanned(text), Err(Refusal::FragmentCycle), "{text}");
    }
    let diamond = "{ ...A ...B } fragment A on T { ...C } fragment B on T { ...C } fragment C on T { c }";
    assert_eq!(counts(diamond).fields, 2);
}

#[test]
fn fragments_have_one_definition() {
    assert_eq!(scanned("{ ...F }"), Err(Refusal::UnknownFragment));
    assert_eq!(scanned("{ a } fragment F on T { ...G }"), Err(Refusal::UnknownFragment));
    let two = "{ ...F } fragment F on T { a } fragment F on T { b { c } }";
    assert_eq!(scanned(two), Err(Refusal::RepeatedFragment));
}
