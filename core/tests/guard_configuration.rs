//! The guard of a route, from the file to the compiled rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use cutover_core::{
    Revision, Ruleset, Snapshot,
    config::Config,
    graphql::{Guard, Introspection, Limit, Limits, TrustMode},
    vocabulary::digest::Digest256,
};
use sha2::{Digest, Sha256};

/// Returns a configuration whose route has the given guard, and other fields.
fn file(guard: &str, more: &str) -> String {
    format!(
        "feature_flags: {{ f: {{}} }}
origins: {{ a: {{ url: https://a.example }}, b: {{ url: https://b.example }} }}
routes:
  - id: graphql
    match: {{ methods: [GET, POST], path: /graphql }}
    flag: f
    legacy: a
    new: b
    {more}
    guard: {guard}
"
    )
}

fn read(guard: &str) -> Config {
    Config::from_yaml(&file(guard, "")).unwrap_or_else(|problems| panic!("{guard}: {problems:?}"))
}

fn guard(text: &str) -> Guard {
    read(text).routes[0].guard.clone().unwrap()
}

fn hash(document: &str) -> Digest256 {
    Digest256(Sha256::digest(document.as_bytes()).into())
}

#[test]
fn an_empty_guard_has_the_usual_limits() {
    assert_eq!(guard("{}"), Guard::default());
    let usual = Limits {
        bytes: 15_000,
        tokens: 1_000,
        depth: 10,
        value_nesting: 20,
        aliases: 15,
        root_fields: 20,
        fields: 1_000,
        directives: 50,
        directives_per_node: 5,
        operations: 5,
        fragments: 50,
    };
    assert_eq!(Guard::default().limits, usual);
    let text = file("{}", "").replace("    guard: {}\n", "");
    assert_eq!(Config::from_yaml(&text).unwrap().routes[0].guard, None);
}

#[test]
fn every_field_is_read() {
    let read = guard(
        "{ limits: { depth: 12, aliases: 0 }, introspection: allow, batches: 5, \
         trusted_documents: { mode: log, documents: [] } }",
    );
    assert_eq!(read.limits, Limits { depth: 12, aliases: 0, ..Limits::default() });
    assert_eq!((read.introspection, read.batches), (Introspection::Allow, Some(5)));
    assert_eq!(read.trusted_documents.mode, TrustMode::Log);
    for limit in Limit::ALL {
        let mut expected = Limits::default();
        *(limit.of)(&mut expected) = limit.maximum;
        assert_eq!(guard(&format!("{{ limits: {{ {}: {} }} }}", limit.name, limit.maximum)).limits, expected);
    }
}

#[test]
fn trusted_documents_are_kept_by_their_hashes_in_order() {
    let (one, two) = ("{ one }", "query Two {\n  two\n}");
    let known = hash("elsewhere");
    let text = format!(
        "{{ trusted_documents: {{ mode: enforce, \
         documents: ['{one}', \"query Two {{\\n  two\\n}}\", {known}, '{one}'] }} }}"
    );
    let mut expected = vec![hash(one), hash(two), known];
    expected.sort();
    let config = read(&text);
    let guard = config.routes[0].guard.clone().unwrap();
    assert_eq!(guard.trusted_documents.documents, expected);
    assert!(expected.iter().all(|hash| guard.trusted_documents.contains(hash)));
    assert!(!guard.trusted_documents.contains(&hash("{ three }")));

    let stored = serde_json::to_value(&config).unwrap();
    assert_eq!(Config::from_stored(&stored).unwrap(), config);
    assert_eq!(Config::from_json(&config.written().unwrap()).unwrap(), config);
}

#[test]
fn the_guard_reaches_the_compiled_rules() {
    let config = read("{ limits: { depth: 12 }, batches: 2 }");
    let expected = config.routes[0].guard.clone();
    let document = config.snapshot(Revision(1), None).encode().unwrap();
    let rules = Ruleset::from_document(&document).unwrap();
    assert_eq!(rules.routes()[0].guard, expected);
    // Documents are found in whatever order they are.
    let (first, last) = (Digest256([0; 32]), Digest256([9; 32]));
    let mut snapshot = read("{ trusted_documents: { mode: log } }").snapshot(Revision(1), None);
    snapshot.routes[0].guard.as_mut().unwrap().trusted_documents.documents = vec![last, first];
    let rules = Ruleset::compile(&snapshot).unwrap();
    let trusted = &rules.routes()[0].guard.as_ref().unwrap().trusted_documents;
    assert!(trusted.contains(&first) && trusted.contains(&last));
}

/// A Worker that is older ignores the guard, and one that is newer reads a snapshot without one.
#[test]
fn a_snapshot_without_guards_is_the_same_as_before() {
    let with = read("{}").snapshot(Revision(1), None);
    let mut without = with.clone();
    without.routes[0].guard = None;
    let text = serde_json::to_value(&without).unwrap();
    assert!(text["routes"][0].get("guard").is_none());
    let read: Snapshot = serde_json::from_value(text).unwrap();
    assert_eq!(read.routes, without.routes);
}

#[test]
fn mistakes_say_what_to_do() {
    let hashes =
        |count: usize| (0..count).map(|index| format!("\"{index:064x}\"")).collect::<Vec<_>>().join(", ");
    let trusted = |mode: &str, documents: &str| {
        format!("{{ trusted_documents: {{ mode: {mode}, documents: [{documents}] }} }}")
    };
    for (guard, field, message, hint) in [
        ("true".to_owned(), "guard", "expected a map", "guard: {}"),
        ("{ depth: 5 }".to_owned(), "guard.depth", "not a field", "known here: limits"),
        ("{ limits: { depht: 5 } }".to_owned(), "guard.limits.depht", "not a field", "depth"),
        ("{ limits: { depth: 0 } }".to_owned(), "guard.limits.depth", "out of range", "from 1 to 100"),
        ("{ limits: { bytes: 70000 } }".to_owned(), "guard.limits.bytes", "out of range", "from 3 to 60000"),
        (
            "{ limits: { tokens: 1.5e0, aliases: 1.5 } }".to_owned(),
            "guard.limits.aliases",
            "not a whole number",
            "whole aliases",
        ),
        ("{ introspection: yes please }".to_owned(), "guard.introspection", "not a rule", "deny or allow"),
        ("{ batches: 0 }".to_owned(), "guard.batches", "out of range", "from 1 to 50"),
        (
            "{ trusted_documents: { documents: [] } }".to_owned(),
            "guard.trusted_documents.mode",
            "missing",
            "write log",
        ),
        (trusted("audit", ""), "guard.trusted_documents.mode", "not a mode", "write log"),
        (trusted("enforce", ""), "guard.trusted_documents", "no document is trusted", "begin with mode: log"),
        (
            trusted("log", "abc"),
            "guard.trusted_documents.documents[0]",
            "neither a document nor",
            "64 hexadecimal",
        ),
        (
            trusted("log", "'{ a '"),
            "guard.trusted_documents.documents[0]",
            "is not GraphQL from byte 4",
            "correct",
        ),
        (
            trusted("log", "'{ __schema { a } }'"),
            "guard.trusted_documents.documents[0]",
            "introspection",
            "limits",
        ),
        (
            trusted("log", &hashes(1_001)),
            "guard.trusted_documents.documents[1000]",
            "1001 documents are too many",
            "at most 1000",
        ),
    ] {
        let problems = Config::from_yaml(&file(&guard, "")).unwrap_err();
        let found = problems.iter().find(|problem| problem.field == format!("routes[0].{field}"));
        let found = found.unwrap_or_else(|| panic!("{guard}: {problems:?}"));
        assert!(found.message.contains(message), "{guard}: {}", found.message);
        assert!(found.hint.contains(hint), "{guard}: {}", found.hint);
    }
    assert!(Config::from_yaml(&file(&trusted("enforce", &hashes(1_000)), "")).is_ok());
}

#[test]
fn an_adapted_route_has_nothing_to_guard() {
    let problems = Config::from_yaml(&file("{}", "adapt: [reviews]")).unwrap_err();
    let found = problems.iter().find(|problem| problem.field == "routes[0].guard");
    let found = found.unwrap_or_else(|| panic!("{problems:?}"));
    assert!(found.message.contains("this route has an adapter"), "{}", found.message);
    assert!(found.hint.contains("remove guard"), "{}", found.hint);
}
