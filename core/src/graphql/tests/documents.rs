//! Documents that are GraphQL, and texts that are not.

use super::{check_limit, counts, scanned};
use crate::graphql::{Counts, Limits, Refusal, scan};

/// Everything that the grammar of executable documents has.
const EVERYTHING: &str = r#"
# A comment, with "quotes" and { braces
"Described" query Catalogue(
  """ The id
  of a thing """ $id: ID!, $sizes: [[Int!]!] = [[1, -2], []] @since(version: 1),
  $box: Box = {width: 1.5e3, tags: ["a\u0041\n" """b \ c"""], empty: {}} $enum: Colour = RED
  $absent: Int = null
) @live @cost(of: [$id]) {
  on
  fragment: query(mutation: $id, subscription: true, null: [$sizes, {a: {b: -0.1E-7}}]) {
    id, type
    ... on Thing @include(if: $enum) { ... { name } }
    ...Parts @skip(if: false)
    ... @defer(label: "x") { true: false }
  }
}

mutation { do(input: "") { done } }
subscription Watch { changed { ...on } }
fragment Parts on Thing @cached { parts { __typename } }
"#;

#[test]
fn the_whole_grammar_is_accepted() {
    // `...on }` would be an inline fragment without a type.
    assert!(matches!(scanned(EVERYTHING), Err(Refusal::Syntax(_))));
    let text = EVERYTHING.replace("...on }", "... on Change { at } }");
    let scanned = scanned(&text).unwrap();
    assert_eq!((scanned.operations.len(), scanned.fragments, scanned.has_only_queries), (3, 1, false));
    let expected = Counts { depth: 3, aliases: 2, root_fields: 2, fields: 8, directives: 7 };
    assert_eq!(scanned.operations[0], expected);
}

#[test]
fn tokens_are_counted_without_comments_and_commas() {
    for (text, tokens) in [
        ("{a}", 3),
        ("\u{feff}{ a, b,,, # c d e\r\n c }", 5),
        ("{ a(b: \"c d\", e: \"\"\"f \\g \n#\"\"\") ...F }fragment F on T{x}", 20),
        ("query Q($a: [Int!]! = -1) { a @b }", 19),
        ("{ a(b: \"\u{2028}\", c: \"\"\"\u{2029}\"\"\") } # \u{2027} \u{202a}", 11),
    ] {
        assert_eq!(scanned(text).unwrap().tokens, tokens, "{text}");
    }
}

#[test]
fn depth_counts_fields_and_not_fragments() {
    for (text, depth) in [
        ("{ a }", 1),
        ("{ a { b { c } } d }", 3),
        ("{ ... { ... on T { a } } }", 1),
        ("{ a { ... { b { ... { c } } } } }", 3),
        ("{ a { ...F } } fragment F on T { b { ...G } } fragment G on T { c }", 3),
    ] {
        assert_eq!(counts(text).depth, depth, "{text}");
    }
}

#[test]
fn each_limit_refuses_one_more() {
    check_limit("{ a { b { c } } }", |limits| &mut limits.depth, 3, Refusal::Depth);
    check_limit("{ a { ...F } } fragment F on T { b }", |limits| &mut limits.depth, 2, Refusal::Depth);
    check_limit("{ a(b: [[{c: [1]}]]) }", |limits| &mut limits.value_nesting, 4, Refusal::ValueNesting);
    check_limit("query($a: [[I]]) { a }", |limits| &mut limits.value_nesting, 2, Refusal::ValueNesting);
    check_limit("{ x: a y: a { z: b } }", |limits| &mut limits.aliases, 3, Refusal::Aliases);
    check_limit(
        "{ a ...F ...F } fragment F on T { x: b }",
        |limits| &mut limits.aliases,
        2,
        Refusal::Aliases,
    );
    check_limit("{ a ... { b } c { d } }", |limits| &mut limits.root_fields, 3, Refusal::RootFields);
    check_limit(
        "{ a ...F } fragment F on T { b c }",
        |limits| &mut limits.root_fields,
        3,
        Refusal::RootFields,
    );
    check_limit("{ a { b c } }", |limits| &mut limits.fields, 3, Refusal::Fields);
    check_limit("{ a ...F ...F } fragment F on T { b c }", |limits| &mut limits.fields, 5, Refusal::Fields);
    check_limit("query @a { b @c ... @d { e } }", |limits| &mut limits.directives, 3, Refusal::Directives);
    check_limit(
        "{ a { ...F @x } b { ...F } } fragment F on T @y { c }",
        |limits| &mut limits.directives,
        3,
        Refusal::Directives,
    );
    check_limit(
        "query($v: I @a @b) { x @c }",
        |limits| &mut limits.directives_per_node,
        2,
        Refusal::DirectivesPerNode,
    );
    check_limit("query A { a } query B { b }", |limits| &mut limits.operations, 2, Refusal::Operations);
    check_limit("{ ...F } fragment F on T { a }", |limits| &mut limits.fragments, 1, Refusal::Fragments);
    check_limit("{ a # comment\n}", |limits| &mut limits.bytes, 15, Refusal::Bytes);
    check_limit("{ a # comment\n}", |limits| &mut limits.tokens, 3, Refusal::Tokens);
}

#[test]
fn a_fragment_below_a_field_has_no_root_fields() {
    let limits = Limits { root_fields: 1, ..Limits::default() };
    assert!(scan("{ a { ...F } } fragment F on T { b c d }", &limits, false).is_ok());
    assert_eq!(scan("{ ...F } fragment F on T { b c d }", &limits, false), Err(Refusal::RootFields(1)),);
}

#[test]
fn introspection_is_refused_wherever_it_is() {
    for text in [
        "{ __schema { types { name } } }",
        "{ a: __type(name: \"A\") { name } }",
        "{ ... { ... on Query { __schema { description } } } }",
        "{ a ...F } fragment F on Query { ...G } fragment G on Query { __schema { description } }",
        "mutation { do { query { __type(name: \"A\") { name } } } }",
    ] {
        assert_eq!(scan(text, &Limits::default(), false), Err(Refusal::Introspection), "{text}");
        assert!(scan(text, &Limits::default(), true).is_ok(), "{text}");
    }
    for text in
        ["{ __typename }", "{ a(b: __schema) }", "{ __schema: a }", "{ a @__type }", "{ a # __schema\n }"]
    {
        assert!(scan(text, &Limits::default(), false).is_ok(), "{text}");
    }
}

#[test]
fn what_executes_is_known() {
    for (text, has_only_queries) in [
        ("{ a }", true),
        ("query { a } query B { b }", true),
        ("mutation { a }", false),
        ("{ a } subscription S { b }", false),
        ("{ mutation }", true),
    ] {
        assert_eq!(scanned(text).unwrap().has_only_queries, has_only_queries, "{text}");
    }
    for text in ["type A { b: C }", "{ a } extend schema @b { query: Q }", "\"A\" scalar B"] {
        assert_eq!(scanned(text), Err(Refusal::NotExecutable), "{text}");
    }
    for text in ["", " # only a comment", "\u{feff}", "fragment F on T { a }"] {
        assert_eq!(scanned(text), Err(Refusal::NoOperation), "{text}");
    }
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "{",
        "}",
        "{}",
        "{ a",
        "{ a } }",
        "{ a { } }",
        "{ a: }",
        "{ a() }",
        "{ a(b) }",
        "{ a(b:) }",
        "{ a(b: $) }",
        "{ a(b: [) }",
        "{ a(b: [}) }",
        "{ a(b: {c}) }",
        "{ a(b: {c: 1]) }",
        "{ a(b: ...) }",
        "{ : a }",
        "{ a @ }",
        "query { a } {",
        "query() { a }",
        "query($a) { a }",
        "query($a: ) { a }",
        "query($a: [I) { a }",
        "query($a: I = $b) { a }",
        "query($a: I @d(e: $f)) { a }",
        "query($a: I]) { a }",
        "query($a: I!!) { a }",
        "fragment on on T { a } { b }",
        "fragment F { a } { b }",
        "fragment F on { a } { b }",
        "{ ... }",
        "{ ...@d }",
        "{ .. F }",
        "{ a } b",
        "\"x\" { a }",
        "{ a(b: 01) }",
        "{ a(b: 1.) }",
        "{ a(b: 1a) }",
        "{ a(b: 1.2.3) }",
        "{ a(b: -) }",
        "{ a(b: 1e) }",
        "{ a(b: \"c) }",
        "{ a(b: \"c\n\") }",
        "{ a(b: \"\\q\") }",
        "{ a(b: \"\\u12\") }",
        "{ a(b: \"\\u{}\") }",
        "{ a(b: \"\\u{41\") }",
        "{ a(b: \"\"\"c) }",
        "{ a(b: \"\"\"c\\\"\"\") }",
        // Older backends do not know block strings: what is a list of one string here would end before its last.
        "{ a(b: [\"\"\" \"] c: [\" \"\"\"]) }",
        "{ a(b: \"\"\"c \"d\" e\"\"\") }",
        "{ a(b: \"\"\"c\\\"\"\" d\"\"\") }",
        "{ a(b: \"\"\"c\\\\\"\"\" d\"\"\") }",
        // For some backends these end a comment.
        "{ a # b \u{2028} c\n }",
        "{ a # b \u{2029} c\n }",
        "{ a } #\u{2028}",
        "{ a\0 }",
        "{ ä }",
        "{ a ; b }",
        "{ a(b: 'c') }",
        "{ a & b }",
        "{ a | b }",
        "{ a ! }",
        "{ \u{a0} a }",
        "\u{fffe}{ a }",
    ] {
        assert!(matches!(scanned(text), Err(Refusal::Syntax(_))), "{text}: {:?}", scanned(text));
    }
}

#[test]
fn the_place_of_a_mistake_is_given() {
    assert_eq!(scanned("{ a ; }"), Err(Refusal::Syntax(4)));
    assert_eq!(Refusal::Syntax(4).to_string(), "the document is not GraphQL from byte 4 on");
}

#[test]
fn the_longest_tokens_are_one_token() {
    let name = "n".repeat(10_000);
    let text = format!("{{ {name}(a: \"{name}\", b: \"\"\"{name}\"\"\", c: {}) }}", "1".repeat(10_000));
    assert_eq!(scanned(&text).unwrap().tokens, 14);
}
