//! Comparisons in the configuration file.

use super::*;

fn text(compare: &str) -> String {
    format!(
        "feature_flags: {{ f: {{ enabled: true }} }}\norigins: {{ a: {{ url: \"http://a\" }} }}\nroutes:\n  \
         - id: r\n    match: {{ path: /x }}\n    flag: f\n    legacy: a\n    new: a\n    \
         compare: {{ sample: 1, {compare} }}\n"
    )
}

fn read(compare: &str) -> Comparison {
    Config::from_yaml(&text(compare)).unwrap().routes[0].compare.clone().unwrap()
}

/// One mistake, in this field, with its line and a remedy.
fn refused(compare: &str, field: &str) {
    let problems = Config::from_yaml(&text(compare)).expect_err(compare);
    assert_eq!(problems.len(), 1, "{compare}: {problems:#?}");
    assert_eq!(problems[0].field, format!("routes[0].compare.{field}"), "{compare}");
    assert!(problems[0].line == 9 && !problems[0].hint.is_empty(), "{problems:#?}");
}

#[test]
fn paths_that_can_match_nothing_are_refused() {
    for path in ["a", "data[].price", "[]", "a[][].b", "*", "a.*.b", "a.**", "**", "a.*[]", ".", "@type"] {
        let comparison = read(&format!("rules: [{{ path: \"{path}\", ignore: true }}]"));
        assert_eq!(comparison.rules, [Rule { ignore: true, ..rule(path) }]);
    }
    let wrong = [
        "",
        "a..b",
        ".a",
        "a.",
        "data[0]",
        "data[*]",
        "a[]b",
        "a.**.b",
        "**[]",
        "a*",
        "$.a",
        "header link",
        "header ",
        "header a b",
    ];
    for path in wrong {
        refused(&format!("rules: [{{ path: \"{path}\", ignore: true }}]"), "rules[0].path");
    }
}

#[test]
fn a_rule_for_a_header_names_one_that_is_compared() {
    for (headers, path) in [("Link", "header link"), ("link", "header Link"), ("a", "header Content-Type")] {
        let comparison = read(&format!("headers: [{headers}], rules: [{{ path: {path}, ignore: true }}]"));
        assert_eq!(comparison.rules, [Rule { ignore: true, ..rule(path) }]);
    }
    let other = text("headers: [link], rules: [{ path: header etag, ignore: true }]");
    let problems = Config::from_yaml(&other).unwrap_err();
    assert_eq!(problems[0].hint, "add etag to headers, beside the rules");
}

#[test]
fn options_without_effect_on_a_header_are_refused() {
    let exact = read("rules: [{ path: header content-type, exact: true }]");
    assert_eq!(exact.rules, [Rule { exact: true, ..rule("header content-type") }]);
    for (option, value) in [
        ("unordered", "true"),
        ("key_by", "id"),
        ("tolerance", "1"),
        ("normalise", "number"),
        ("exact", "true"),
    ] {
        let rule = format!("{{ path: header link, ignore: true, {option}: {value} }}");
        refused(&format!("headers: [link], rules: [{rule}]"), &format!("rules[0].{option}"));
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    assert!(read("rules: [{ path: a, exact: true, unordered: true }]").rules[0].exact);
    for option in ["tolerance: 0.5", "normalise: number", "normalise: date"] {
        refused(&format!("rules: [{{ path: a, exact: true, {option} }}]"), "rules[0].exact");
        read(&format!("rules: [{{ path: a, exact: false, {option} }}]"));
    }
    refused("rules: [{ path: a, exact: false }]", "rules[0]");
}

#[test]
fn the_key_of_items_is_one_field() {
    assert_eq!(read("rules: [{ path: \"data[]\", key_by: sku }]").rules[0].key_by.as_deref(), Some("sku"));
    for key in ["", "a.b", "items[]", "*"] {
        refused(&format!("rules: [{{ path: data, key_by: \"{key}\" }}]"), "rules[0].key_by");
    }
}

#[test]
fn a_mirror_has_unsafe_methods_and_a_header() {
    let mirror = read("mirror: { methods: [PUT, PATCH], key_header: Idempotency-Key }").mirror.unwrap();
    assert_eq!((mirror.methods.len(), mirror.key_header.as_str()), (2, "idempotency-key"));
    for method in ["put", "GET", "HEAD", "OPTIONS", "PURGE", "P UT"] {
        refused(&format!("mirror: {{ methods: [\"{method}\"], key_header: k }}"), "mirror.methods");
    }
    for header in ["", "Idempotency Key", "key:", "ключ"] {
        refused(&format!("mirror: {{ methods: [PUT], key_header: \"{header}\" }}"), "mirror.key_header");
    }
    refused("headers: [\"a b\"]", "headers");
}

#[test]
fn all_mistakes_of_a_comparison_are_told_at_once() {
    let compare = "noise: many, per_minute: 0.5, headers: [link, Link, content-type], \
                   mirror: { methods: [], key_header: k }, rules: [{ path: a, tolerance: 1 }, \
                   { path: a, tolerance: 2 }, { path: b, ignore: 1, tolerance: x }]";
    let problems = Config::from_yaml(&text(compare)).unwrap_err();
    let told: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    let expected = [
        "expected a number, found a string",
        "0.5 is not a whole number",
        "link is in this list twice",
        "content-type is always compared",
        "no method is mirrored",
        "a rule above has tolerance for a too, and the first counts",
        "expected true or false, found a number",
        "expected a number, found a string",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_mark_of_an_error_is_a_path_of_fields() {
    let with = |path: &str| {
        let text = text("noise: 1")
            .replace("    compare:", &format!("    error_when: {{ path: \"{path}\" }}\n    compare:"));
        Config::from_yaml(&text).map_err(|problems| problems[0].to_string())
    };
    for path in ["errors", "result.ok"] {
        assert!(with(path).is_ok(), "{path}");
    }
    for path in ["errors[]", "errors[0].code", "$.errors", "a..b", "*.error", ""] {
        let told = with(path).unwrap_err();
        assert!(told.starts_with("9:") && told.contains("matches nothing"), "{path}: {told}");
    }
}

#[test]
fn stored_objects_stay_readable() {
    let stored = |method: &str, header: &str, path: &str| {
        let valid = Config::from_yaml(&text("per_minute: 60")).unwrap();
        let mut document = serde_json::to_value(&valid).unwrap();
        document["routes"][0]["compare"] = serde_json::json!({
            "sample": 1,
            "mirror": { "methods": [method], "key_header": header },
            "rules": [{ "path": path, "ignore": true }],
        });
        Config::from_stored(&document).unwrap().routes[0].compare.clone().unwrap()
    };
    let lower = stored("put", "Key", "data[0]");
    assert_eq!(lower.mirror.unwrap().methods, ["PUT"], "a method in lower case would match no request");
    assert_eq!(lower.rules[0].path, "data[0]");
    assert_eq!(stored("PUT", "Key", "header link").rules[0].path, "header link");
    let broken = stored("PUT", "a key", "a");
    assert_eq!(broken.mirror, None, "no request can have the header, and reading it would throw");
}
