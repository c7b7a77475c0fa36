//! Rules of a comparison, and differences that they permit.

use super::*;
use DifferenceKind::*;

#[test]
fn every_kind_of_difference_is_found() {
    check("{\"a\":1}", "{\"a\":1.0}", &[], &[]);
    check("{\"a\":1,\"b\":null}", "{\"b\":null,\"a\":1}", &[], &[]);
    check("{\"a\":1}", "{\"b\":\"1\"}", &[], &[("a", Missing), ("b", Extra)]);
    check("{\"a\":1}", "{\"a\":\"1\"}", &[], &[("a", Type)]);
    check("{\"a\":1}", "{\"a\":2}", &[], &[("a", Number)]);
    check("[true]", "[false]", &[], &[("[]", Value)]);
    check("[[1,2],[3]]", "[[2,1],[4]]", &[], &[("[]", Order), ("[][]", Number)]);
    check("[1,2,2]", "[2,1,2]", &[], &[(".", Order)]);
    check("[1,2,2]", "[2,1,1]", &[], &[("[]", Number)]);
    check("[1]", "[1,2]", &[], &[(".", Length)]);
    check("[{\"id\":1},{\"id\":2}]", "[{\"id\":2},{\"id\":3}]", &[], &[("[]", Missing), ("[]", Extra)]);
    // The same digits in a string are another key.
    check("[{\"id\":1}]", "[{\"id\":\"1\"}]", &[], &[("[]", Missing), ("[]", Extra)]);
    // A name that is repeated is compared occurrence by occurrence.
    check("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":3}", &[], &[("a", Number)]);
}

#[test]
fn a_list_is_named_by_itself_or_by_its_items() {
    let old = r#"{"data":[{"sku":"a","n":1},{"sku":"b","n":2}]}"#;
    let new = r#"{"data":[{"sku":"b","n":2},{"sku":"a","n":3}]}"#;
    check(old, new, &[], &[("data[].sku", Value), ("data[].n", Number)]);
    for path in ["data", "data[]"] {
        let by_key = Rule { key_by: Some("sku".to_owned()), ..rule(path) };
        check(old, new, std::slice::from_ref(&by_key), &[("data[].n", Number), ("data", Order)]);
        let unordered = Rule { unordered: true, ..by_key };
        check(old, new, &[unordered], &[("data[].n", Number)]);
        let unordered = Rule { unordered: true, ..rule(path) };
        check("{\"data\":[1,2,2]}", "{\"data\":[2,1,2]}", &[unordered], &[]);
    }
    // The rule is for this list, not for those inside.
    let outer = [Rule { unordered: true, ..rule("a") }];
    check("{\"a\":[{\"b\":[1,2]}]}", "{\"a\":[{\"b\":[2,1]}]}", &outer, &[("a[].b", Order)]);
}

#[test]
fn items_in_any_order_are_equal_by_the_rules() {
    let unordered = Rule { unordered: true, ..rule("[]") };
    let with = |more: Rule| [unordered.clone(), more];
    let (old, new) = (r#"[{"a":1,"t":5},{"a":2,"t":6}]"#, r#"[{"t":8,"a":2.0},{"t":7,"a":1}]"#);
    check(old, new, &with(Rule { ignore: true, ..rule("[].t") }), &[]);
    let normalise = |normalise| with(Rule { normalise: Some(normalise), ..rule("[]") });
    check(r#"["A","b"]"#, r#"["B","a"]"#, &normalise(Normalise::Lowercase), &[]);
    check(r#"[" a  b","c"]"#, r#"["c ","a b"]"#, &normalise(Normalise::Whitespace), &[]);
    check(r#"["1","2"]"#, r#"[2.0,1]"#, &normalise(Normalise::Number), &[]);
    let dates = r#"["1970-01-01T00:00:01Z",2]"#;
    check(dates, r#"[2,"1970-01-01T01:00:01+01:00"]"#, &normalise(Normalise::Date), &[]);
    check(r#"["a","b"]"#, r#"["c","a"]"#, &normalise(Normalise::Lowercase), &[("[]", Value)]);
    // Nested lists keep their order unless a rule says otherwise.
    let (old, new) = ("[[1,2],[3]]", "[[3],[2,1]]");
    check(old, new, &[Rule { unordered: true, ..rule(".") }], &[("[]", Order)]);
    check(old, new, &[unordered], &[]);
}

#[test]
fn an_ignored_field_does_not_hide_a_moved_item() {
    let (old, new) = (r#"[{"a":1,"t":1},{"a":2,"t":2}]"#, r#"[{"a":2,"t":3},{"a":1,"t":4}]"#);
    check(old, new, &[Rule { ignore: true, ..rule("[].t") }], &[(".", Order)]);
}

#[test]
fn exact_numbers_are_compared_by_their_digits() {
    let exact = [Rule { exact: true, ..rule("**") }];
    check("{\"a\":1.0}", "{\"a\":1}", &[], &[]);
    check("{\"a\":1.0}", "{\"a\":1}", &exact, &[("a", Number)]);
    check("{\"a\":1e2,\"b\":\"A\"}", "{\"a\":1e2,\"b\":\"A\"}", &exact, &[]);
    // In lists that are paired by the forms of their items too.
    let unordered = Rule { unordered: true, ..rule(".") };
    check("[1,2]", "[2.0,1]", std::slice::from_ref(&unordered), &[]);
    check("[1,2]", "[2.0,1]", &[unordered.clone(), exact[0].clone()], &[("[]", Number)]);
    check("[1,2]", "[2,1]", &[unordered, exact[0].clone()], &[]);
}

#[test]
fn of_exact_and_its_opposites_the_first_rule_counts() {
    let exact = Rule { exact: true, ..rule("**") };
    for opposite in
        [Rule { tolerance: Some(0.5), ..rule("a") }, Rule { normalise: Some(Normalise::Number), ..rule("a") }]
    {
        let (old, new) = ("{\"a\":1,\"b\":1}", "{\"a\":1.0,\"b\":1.0}");
        check(old, new, &[opposite.clone(), exact.clone()], &[("b", Number)]);
        check(old, new, &[exact.clone(), opposite], &[("a", Number), ("b", Number)]);
    }
}

#[test]
fn a_date_may_be_an_http_date() {
    let (old, new) = (r#"["Sun, 06 Nov 1994 08:49:37 GMT"]"#, r#"["1994-11-06T08:49:37Z"]"#);
    check(old, new, &[], &[("[]", Value)]);
    check(old, new, &[Rule { normalise: Some(Normalise::Date), ..rule("[]") }], &[]);
}

fn hidden(path: &str, equals: Option<&str>) -> HiddenError {
    let equals = equals.map(|text| PlainJson(Json::parse(text).unwrap().into_owned()));
    HiddenError { path: path.to_owned(), equals }
}

#[test]
fn an_empty_field_is_no_error() {
    let errors = hidden("errors", None);
    let is_error = |errors: &HiddenError, value: &str| {
        errors.is_in(&Json::parse(&format!("{{\"errors\":{value}}}")).unwrap())
    };
    for value in ["null", "false", "\"\"", "[]", "{}"] {
        assert!(!is_error(&errors, value), "{value}");
        assert!(is_error(&hidden("errors", Some(value)), value), "{value} is named");
    }
    for value in ["true", "\"no such review\"", "[null]", "{\"a\":null}", "42", "\" \""] {
        assert!(is_error(&errors, value), "{value}");
    }
    assert!(!errors.is_in(&Json::parse("{}").unwrap()));
}
