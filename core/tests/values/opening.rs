//! The part `ofrep` of a configuration: read, refused with every mistake, saved and published.

use cutover_core::{
    Revision, Ruleset, Snapshot,
    config::{Action, Config, diff},
};
use serde_json::json;

/// SHA-256 of `test`.
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn file(ofrep: &str) -> String {
    let flag = "{ type: boolean, enabled: true, variants: { yes: true }, default: yes, off: yes }";
    format!("flags: {{ colour: {flag} }}\nofrep: {ofrep}\n")
}

fn read(ofrep: &str) -> Config {
    Config::from_yaml(&file(ofrep)).unwrap_or_else(|problems| panic!("{ofrep}: {problems:#?}"))
}

fn full() -> String {
    format!(
        "{{ tokens: [{{ name: shop, sha256: \"{HASH}\", flags: [colour, \"shop.*\"] }}], origins: [\"https://app.example\"], \
         requests_per_second: 20 }}"
    )
}

#[test]
fn a_part_is_read_exported_and_published() {
    let config = read(&full());
    let access = config.ofrep.clone().unwrap();
    assert_eq!(
        serde_json::to_value(&access).unwrap(),
        json!({
            "tokens": [{ "name": "shop", "sha256": HASH, "flags": ["colour", "shop.*"] }],
            "origins": ["https://app.example"],
            "requests_per_second": 20,
        })
    );
    assert_eq!(Config::from_json(&config.written().unwrap()).as_ref(), Ok(&config));
    assert_eq!(config.warnings(), ["token shop of ofrep: no flag has the name shop.*"]);
    let text = config.snapshot(Revision(3), None).encode().unwrap();
    assert!(text.starts_with(r#"{"schema":1,"#), "earlier Workers read it: {text}");
    let snapshot = Snapshot::decode(&text).unwrap();
    assert_eq!(snapshot.ofrep.as_ref(), Some(&access));
    assert_eq!(Ruleset::compile(&snapshot).unwrap().access(), Some(&access));
    // Without the part there is no endpoint, and nothing about it in the document.
    for text in ["feature_flags: {}", "ofrep:"] {
        let config = Config::from_yaml(text).unwrap();
        assert_eq!(config.ofrep, None);
        assert!(!config.snapshot(Revision(3), None).encode().unwrap().contains("ofrep"));
    }
    assert!(read("{ anonymous: true }").ofrep.unwrap().anonymous);
}

#[test]
fn a_file_without_the_part_keeps_it_and_a_prune_removes_it() {
    let (held, empty) = (read(&full()), Config::default());
    assert_eq!(empty.merged(&held, false).ofrep, held.ofrep);
    assert_eq!(held.merged(&empty, false).ofrep, held.ofrep);
    assert_eq!(held.merged(&empty, true).ofrep, None);
    let open = read("{ anonymous: true }");
    let changes = diff(&held, &held.merged(&open, false));
    assert_eq!(changes.iter().map(|change| change.object()).collect::<Vec<_>>(), ["ofrep/settings"]);
    assert_eq!(changes[0].action, Action::Update);
    assert_eq!(
        changes[0].fields.keys().collect::<Vec<_>>(),
        ["anonymous", "origins", "requests_per_second", "tokens"]
    );
    assert_eq!(held.object("ofrep", "settings").unwrap()["requests_per_second"], 20);
    assert_eq!(held.object("ofrep", "other"), None);
}

#[test]
fn each_mistake_is_told_once_with_its_place() {
    let token = |fields: &str| format!("{{ tokens: [{{ {fields} }}] }}");
    let two = |first: &str, second: &str| format!("{{ tokens: [{{ {first} }}, {{ {second} }}] }}");
    let good = format!("name: a, sha256: \"{HASH}\", flags: [\"*\"]");
    let other = "0".repeat(64);
    for (ofrep, field, message) in [
        ("{}".to_owned(), "ofrep", "nobody may evaluate flags"),
        ("{ token: [] }".to_owned(), "ofrep.token", "token is not a field"),
        (token("sha256: \"00\", flags: [\"*\"], name: a"), "ofrep.tokens[0].sha256", "64 hexadecimal digits"),
        (token("flags: [\"*\"], name: a"), "ofrep.tokens[0].sha256", "sha256 is missing"),
        (
            token(
                "name: a, flags: [a], sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            "ofrep.tokens[0].sha256",
            "the hash of an empty token",
        ),
        (token(&format!("name: a b, flags: [a], sha256: \"{HASH}\"")), "ofrep.tokens[0].name", "' ' cannot"),
        (token(&format!("name: a, flags: [], sha256: \"{HASH}\"")), "ofrep.tokens[0].flags", "no flag"),
        (
            token(&format!("name: a, flags: a, sha256: \"{HASH}\"")),
            "ofrep.tokens[0].flags",
            "expected a list",
        ),
        (token(&format!("name: a, flags: [\"a*b\"], sha256: \"{HASH}\"")), "ofrep.tokens[0].flags[0]", "'*'"),
        (
            two(&good, &format!("name: a, sha256: \"{other}\", flags: [\"*\"]")),
            "ofrep.tokens[1].name",
            "token a is already in this list",
        ),
        (
            two(&good, &format!("name: b, sha256: \"{HASH}\", flags: [\"*\"]")),
            "ofrep.tokens[1].sha256",
            "token b is another one of this list",
        ),
        ("{ anonymous: yes please }".to_owned(), "ofrep.anonymous", "expected true or false"),
        (
            "{ anonymous: true, origins: [\"https://a/\"] }".to_owned(),
            "ofrep.origins[0]",
            "an origin is a scheme and a host",
        ),
        (
            "{ anonymous: true, requests_per_second: 0 }".to_owned(),
            "ofrep.requests_per_second",
            "out of range",
        ),
    ] {
        let problems = Config::from_yaml(&file(&ofrep)).expect_err(&ofrep);
        let [problem] = problems.as_slice() else { panic!("{ofrep}: {problems:#?}") };
        assert_eq!(problem.field, field, "{ofrep}");
        assert!(problem.message.contains(message), "{ofrep}: {}", problem.message);
        assert!(!problem.hint.is_empty());
        assert!(
            !problem.message.contains(HASH),
            "a token that was written in the place of its hash is not repeated"
        );
    }
}

/// The example of docs/ofrep.md is a configuration without mistakes and warnings.
#[test]
fn the_documented_example_is_read() {
    let text = include_str!("../../../docs/ofrep.md");
    let example = text.split("```yaml").nth(1).unwrap().split("```").next().unwrap();
    let config = crate::config(example);
    assert_eq!(config.warnings(), Vec::<String>::new());
    assert_eq!(config.ofrep.unwrap().tokens.len(), 2);
}
