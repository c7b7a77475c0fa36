//! Comparison of responses: the differences that are found, the work it takes, and the data that
//! must not get into a report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use cutover_core::{
    compare::{
        Comparison, ComparisonOutcome, Difference, DifferenceKind, Findings, HiddenError, Limits, Normalise,
        PlainJson, Response, Rule, RuleCount, Tally, TooMuch, compare_answers, differences,
    },
    config::Config,
    json::Json,
};
use proptest::{collection::vec, prelude::*, sample::select};

fn rule(path: &str) -> Rule {
    Rule { path: path.to_owned(), ..Rule::default() }
}

fn found_within(
    old: &str,
    new: &str,
    rules: &[Rule],
    limits: Limits,
) -> Result<Vec<(String, DifferenceKind)>, TooMuch> {
    let (old, new) = (Json::parse(old).unwrap(), Json::parse(new).unwrap());
    let found = differences(&old, &new, rules, limits)?;
    Ok(found.into_iter().map(|difference| (difference.path, difference.kind)).collect())
}

fn found(old: &str, new: &str, rules: &[Rule]) -> Vec<(String, DifferenceKind)> {
    found_within(old, new, rules, Limits::default()).expect("it is within the default limits")
}

fn check(old: &str, new: &str, rules: &[Rule], expected: &[(&str, DifferenceKind)]) {
    let expected: Vec<_> = expected.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect();
    assert_eq!(found(old, new, rules), expected, "{old} | {new} | {rules:?}");
}

/// The findings of two responses that can be compared.
fn findings(policy: &Comparison, old: Response<'_>, new: Response<'_>) -> Findings {
    match compare_answers(policy, old, new) {
        ComparisonOutcome::Compared(findings) => findings,
        ComparisonOutcome::Skipped(reason) => panic!("skipped: {reason:?}"),
    }
}

/// A response without headers.
fn response(body: &str) -> Response<'_> {
    Response { status: 200, headers: &[], body: body.as_bytes() }
}

/// A name of letters for each number.
fn word(number: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + u8::try_from(digit % 26).unwrap());
    [letter(number / 676), letter(number / 26), letter(number)].iter().collect()
}

mod work {
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
}

mod rules {
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
        for opposite in [
            Rule { tolerance: Some(0.5), ..rule("a") },
            Rule { normalise: Some(Normalise::Number), ..rule("a") },
        ] {
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
}

mod answers {
    use super::*;

    /// The differences of two responses in their content type and in the header `link`.
    fn header_differences(policy: &Comparison, old: [&str; 2], new: [&str; 2]) -> Vec<Difference> {
        let headers = [old.map(Some), new.map(Some)];
        let of = |index: usize| Response { status: 200, headers: &headers[index], body: b"{}" };
        findings(policy, of(0), of(1)).differences
    }

    const JSON: &str = "application/json";

    fn content_types(policy: &Comparison, old: &str, new: &str) -> Vec<Difference> {
        header_differences(policy, [old, ""], [new, ""])
    }

    /// Asserts that two values of `link` are different without any rule, and by the rule equal or not.
    fn check_links(rule: Rule, old: &str, new: &str, is_equal: bool) {
        let compared = |rules: Vec<Rule>| {
            let policy = Comparison { headers: vec!["link".to_owned()], rules, ..Comparison::default() };
            let found = header_differences(&policy, [JSON, old], [JSON, new]);
            found.into_iter().map(|difference| difference.path).collect::<Vec<_>>()
        };
        assert_eq!(compared(Vec::new()), ["header link"], "{old} | {new}");
        assert_eq!(compared(vec![rule.clone()]).is_empty(), is_equal, "{rule:?}: {old} | {new}");
    }

    #[test]
    fn a_content_type_is_compared_by_its_meaning() {
        let policy = Comparison::default();
        for same in ["application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""] {
            assert_eq!(content_types(&policy, JSON, same).len(), 0, "{same}");
            assert_eq!(content_types(&policy, same, JSON).len(), 0, "{same}");
        }
        for kind in ["application/xml", "image/svg+xml", "application/x-ndjson"] {
            assert_eq!(content_types(&policy, kind, &format!("{kind}; charset=utf-8")).len(), 0, "{kind}");
            assert_eq!(content_types(&policy, kind, &format!("{kind}; charset=latin1")).len(), 1, "{kind}");
        }
        for other in ["text/html", "application/problem+json", "application/json; charset=iso-8859-1"] {
            let found = content_types(&policy, JSON, other);
            assert_eq!(found.len(), 1, "{other}");
            assert_eq!(
                (found[0].path.as_str(), found[0].kind),
                ("header content-type", DifferenceKind::Value)
            );
        }
    }

    #[test]
    fn a_media_type_is_shown_and_no_other_header_is() {
        let policy = Comparison { headers: vec!["link".to_owned()], ..Comparison::default() };
        let found = header_differences(&policy, [JSON, "</a>"], ["text/html; charset=latin1", "</b>"]);
        let examples: Vec<(&str, &str)> =
            found.iter().map(|found| (found.example.0.as_str(), found.example.1.as_str())).collect();
        let expected =
            [("\"application/json\"", "\"text/html; charset=latin1\""), ("\"</x>\"", "\"</x>\" (same form)")];
        assert_eq!(examples, expected);
        // Not a media type, so that it may be anything.
        let found = content_types(&policy, JSON, "Ann Smith");
        assert_eq!(found[0].example.1, "\"xxx xxxxx\"");
    }

    #[test]
    fn rules_for_headers_permit_differences() {
        let header = || rule("header link");
        let normalise = |normalise| Rule { normalise: Some(normalise), ..header() };
        check_links(Rule { ignore: true, ..header() }, "a", "b", true);
        check_links(Rule { ignore: true, ..rule("header Link") }, "a", "b", true);
        check_links(normalise(Normalise::Lowercase), "No-Cache", "no-cache", true);
        check_links(normalise(Normalise::Lowercase), "No-Cache", "no-store", false);
        check_links(normalise(Normalise::Whitespace), "a,  b", "a, b", true);
        check_links(normalise(Normalise::Whitespace), "a, b", "a,b", false);
        let dates =
            ["Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T09:49:37+01:00", "Sun, 06 Nov 1994 08:49:38 GMT"];
        check_links(normalise(Normalise::Date), dates[0], dates[1], true);
        check_links(normalise(Normalise::Date), dates[0], dates[2], false);
        // The rules of bodies and of other headers are not those of this one.
        for path in ["link", "**", "*", "header etag", "header content-type"] {
            check_links(Rule { ignore: true, ..rule(path) }, "a", "b", false);
        }
        // And those of headers are not those of bodies.
        let ignored = [Rule { ignore: true, ..rule("header link") }];
        let named = "{\"header link\":1}";
        check(named, "{\"header link\":2}", &ignored, &[("*", DifferenceKind::Number)]);
    }

    #[test]
    fn rules_for_the_content_type_ignore_it_or_compare_its_text() {
        let with = |rule: Rule| Comparison { rules: vec![rule], ..Comparison::default() };
        let header = || rule("header content-type");
        assert_eq!(content_types(&with(Rule { ignore: true, ..header() }), JSON, "text/html"), []);
        let exact = with(Rule { exact: true, ..header() });
        let found = content_types(&exact, JSON, "application/json; charset=utf-8");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].example.1, "\"application/json; charset=utf-8\"");
        assert_eq!(content_types(&exact, JSON, JSON), []);
    }

    #[test]
    fn the_status_and_the_body_are_no_fields() {
        let policy = Comparison::default();
        let compared = |old: (u16, &'static str), new: (u16, &'static str)| {
            let of = |(status, body): (u16, &'static str)| Response { status, ..response(body) };
            let found = findings(&policy, of(old), of(new)).differences;
            found.into_iter().map(|difference| difference.path).collect::<Vec<_>>()
        };
        let found = compared((200, "{\"status\":1}"), (404, "{\"status\":2}"));
        assert_eq!(found, ["(status)", "status"]);
        assert_eq!(compared((200, "{}"), (200, "<p>")), ["(body)"]);
        assert_eq!(compared((200, "{\"(status)\":1}"), (200, "{\"(status)\":2}")), ["*"]);
    }
}

/// Rules that match nothing.
mod unmatched {
    use super::*;

    fn count(path: &str, matched: u64) -> RuleCount {
        RuleCount { path: path.to_owned(), compared: 1, matched }
    }

    fn counted(rules: Vec<Rule>, old: &str, new: &str) -> Vec<RuleCount> {
        findings(&Comparison { rules, ..Comparison::default() }, response(old), response(new)).rules
    }

    #[test]
    fn rules_that_match_in_either_body_are_counted() {
        let rules = || ["data[].tags", "data[].tagz", "meta", "meta.version", "old"].map(rule).to_vec();
        let expected = |matched: [u64; 5]| -> Vec<RuleCount> {
            rules().iter().zip(matched).map(|(rule, matched)| count(&rule.path, matched)).collect()
        };
        let (old, new) =
            (r#"{"data":[{"tags":1}],"old":1}"#, r#"{"data":[{"tags":1}],"meta":{"version":1}}"#);
        assert_eq!(counted(rules(), old, new), expected([1, 0, 1, 1, 1]));
        // Bodies that are equal, or ignored, are searched as well.
        assert_eq!(counted(rules(), old, old), expected([1, 0, 0, 0, 1]));
        let mut ignored = rules();
        ignored.push(Rule { ignore: true, ..rule("**") });
        assert_eq!(counted(ignored, old, new)[..5], expected([1, 0, 1, 1, 1]));
    }

    #[test]
    fn rules_for_headers_are_counted_if_the_header_is_compared() {
        let rules = ["header link", "header content-type", "header etag", "a"].map(rule).to_vec();
        let policy = Comparison { headers: vec!["link".to_owned()], rules, ..Comparison::default() };
        let headers = [[None, None], [Some("text/plain"), None]];
        let of = |index: usize| Response { status: 204, headers: &headers[index], body: b"" };
        // Without bodies nothing is known about the rules for them.
        let expected = [count("header link", 0), count("header content-type", 1)];
        assert_eq!(findings(&policy, of(0), of(1)).rules, expected);
        assert_eq!(findings(&policy, of(1), of(0)).rules, expected);
    }

    #[test]
    fn the_counted_rules_are_bounded() {
        let many: Vec<Rule> = (0..100).map(|number| rule(&word(number))).collect();
        assert_eq!(counted(many, "{}", "{}").len(), 64);
        let long = rule(&"a".repeat(121));
        assert_eq!(counted(vec![rule("a"), long, rule("a")], "{}", "{}"), [count("a", 0)]);
        let mut tally = Tally::default();
        let paths: Vec<RuleCount> = (0..100).map(|number| count(&word(number), 0)).collect();
        tally.add_rules(&paths);
        tally.add_rules(&paths);
        assert_eq!(tally.rules.len(), 64);
        assert!(tally.rules.iter().all(|rule| rule.compared == 2));
    }

    #[test]
    fn a_full_list_of_rules_makes_room_for_those_of_a_new_configuration() {
        let counts = |configuration: &str| -> Vec<RuleCount> {
            (0..40).map(|number| count(&format!("{configuration}{number}"), 0)).collect()
        };
        let (old, new) = (counts("old"), counts("new"));
        let mut tally = Tally::default();
        tally.add_rules(&old);
        tally.add_rules(&[count("both", 1)]);
        let mut next = new.clone();
        next.push(count("both", 0));
        // Each of them is counted in every comparison, and none takes the place of another.
        tally.add_rules(&next);
        let mut other = Tally::default();
        other.add_rules(&next);
        tally.merge(&other);
        assert_eq!(tally.rules.len(), 41);
        for rule in &tally.rules {
            let is_both = rule.path == "both";
            assert_eq!((rule.compared, rule.matched), if is_both { (3, 1) } else { (2, 0) }, "{}", rule.path);
            assert!(is_both || new.iter().any(|held| held.path == rule.path), "{}", rule.path);
        }
        // As long as there is room, earlier ones remain.
        tally.add_rules(&old[..10]);
        assert_eq!(tally.rules.len(), 51);
    }

    #[test]
    fn a_rule_is_unmatched_after_a_hundred_comparisons_without_a_match() {
        let rules = [rule("a"), rule("b"), rule("c")];
        let (mut tally, mut other) = (Tally::default(), Tally::default());
        let unmatched = |tally: &Tally| -> Vec<(String, u64)> {
            tally.unmatched(&rules).map(|rule| (rule.path.clone(), rule.compared)).collect()
        };
        for number in 0..99 {
            tally.add_rules(&[count("a", u64::from(number == 50)), count("b", 0), count("gone", 0)]);
        }
        assert!(unmatched(&tally).is_empty());
        other.add_rules(&[count("a", 0), count("b", 0), count("c", 0), count("gone", 0)]);
        tally.merge(&other);
        assert_eq!(unmatched(&tally), [("b".to_owned(), 100)]);
        tally.add_rules(&[count("b", 1)]);
        assert!(unmatched(&tally).is_empty());
    }

    #[test]
    fn tallies_of_earlier_versions_are_read_and_later_ones_are_no_longer_than_they_need_to_be() {
        let old = r#"{"compared":3,"mismatched":1,"noise_compared":2}"#;
        let mut tally: Tally = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&tally).unwrap(), old);
        tally.add_rules(&[count("a", 0), count("b", 1)]);
        let rules = r#""rules":[{"path":"a","compared":1},{"path":"b","compared":1,"matched":1}]"#;
        let text = serde_json::to_string(&tally).unwrap();
        assert_eq!(text, format!("{},{rules}}}", old.trim_end_matches('}')));
        assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
    }

    /// Adds the paths of all values of a body.
    fn add_paths<'b>(value: &'b Json<'_>, path: &[&'b str], all: &mut Vec<Vec<&'b str>>) {
        all.push(path.to_vec());
        match value {
            Json::List(items) => {
                items.iter().for_each(|item| add_paths(item, &[path, ["[]"].as_slice()].concat(), all));
            }
            Json::Object(fields) => {
                fields
                    .iter()
                    .for_each(|(name, value)| add_paths(value, &[path, [&**name].as_slice()].concat(), all));
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
        }
    }

    fn rule_path() -> impl Strategy<Value = String> {
        let name = prop_oneof![4 => select(privacy::FIELDS.to_vec()), 1 => Just("*")];
        let step = (name, select(vec!["", "[]"])).prop_map(|(name, items)| format!("{name}{items}"));
        (vec(step, 1..4), any::<bool>()).prop_map(|(steps, is_deep)| {
            let end = if is_deep { ".**" } else { "" };
            format!("{}{end}", steps.join("."))
        })
    }

    proptest! {
        #[test]
        fn a_rule_is_found_if_it_is_for_any_path_of_a_body(body in privacy::body(), path in rule_path()) {
            let rule = rule(&path);
            let mut all = Vec::new();
            add_paths(&body, &[], &mut all);
            let is_found = all.iter().any(|path| rule.is_for(path));
            // The items of an empty list have no path, but the options of the list may name them.
            let list = Rule { path: path.trim_end_matches("[]").to_owned(), ..Rule::default() };
            prop_assume!(is_found || !path.ends_with("[]") || !all.iter().any(|path| list.is_for(path)));
            let text = body.to_string();
            prop_assert_eq!(counted(vec![rule], &text, &text), [count(&path, u64::from(is_found))]);
        }
    }
}

mod privacy {
    use super::*;

    #[test]
    fn keys_that_look_like_data_are_not_reported() {
        let old = r#"{"limits":{"ann@example.com":{"credit":1},"c0ffee00-0000-4000-8000-00805f9b34fb":{"credit":1}}}"#;
        let new = r#"{"limits":{"ann@example.com":{"credit":2},"user-1234":{"credit":1}}}"#;
        let expected = [
            ("limits.*.credit", DifferenceKind::Number),
            ("limits.*", DifferenceKind::Missing),
            ("limits.*", DifferenceKind::Extra),
        ];
        check(old, new, &[], &expected);
        // Rules still see the keys.
        check(old, new, &[Rule { ignore: true, ..rule("limits.user-1234") }], &expected[..2]);
        check(old, new, &[Rule { ignore: true, ..rule("limits.**") }], &[]);
    }

    #[test]
    fn keys_of_a_map_are_not_reported_even_if_they_look_like_names() {
        let object = |value: &dyn Fn(usize) -> String, count: usize| {
            let fields: Vec<String> =
                (0..count).map(|number| format!("\"{}\":{}", word(number), value(number))).collect();
            format!("{{{}}}", fields.join(","))
        };
        let map = |credit: usize, count: usize| object(&|_| format!("{{\"credit\":{credit}}}"), count);
        check(&map(1, 33), &map(2, 33), &[], &[("*.credit", DifferenceKind::Number)]);
        // A record has fields of several types, and keeps its names at any size.
        let record = |first: usize| {
            object(&|number| if number == 0 { first.to_string() } else { "\"x\"".to_owned() }, 60)
        };
        check(&record(1), &record(2), &[], &[("aaa", DifferenceKind::Number)]);
        check(
            &map(1, 2),
            &map(2, 2),
            &[],
            &[("aaa.credit", DifferenceKind::Number), ("aab.credit", DifferenceKind::Number)],
        );
    }

    pub(super) const FIELDS: [&str; 5] = ["id", "name", "created_at", "limits", "Items-2"];

    /// Upper case, which no word of a report has so much of: a value in a report would be found.
    fn secret() -> impl Strategy<Value = String> {
        "[A-Z]{6}[A-Za-z0-9@. '-]{0,40}"
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => select(FIELDS.to_vec()).prop_map(str::to_owned),
            1 => "[A-Z]{1,8}@[a-z]{3,8}[.]com",
            1 => "[0-9]{1,12}",
            1 => "user-[0-9]{3,9}",
            1 => "[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[a-f0-9]{12}",
            1 => "[A-Z][a-z]{2,8} [A-Z][a-z]{2,8}",
            1 => "[æøå日本]{1,6}",
        ]
    }

    pub(super) fn body() -> BoxedStrategy<Json<'static>> {
        let leaf = prop_oneof![
            1 => Just(Json::Null),
            1 => any::<bool>().prop_map(Json::Bool),
            1 => any::<i32>().prop_map(|number| Json::integer(number.into())),
            3 => secret().prop_map(Json::text),
        ];
        let nested = leaf.prop_recursive(4, 64, 6, |inner| {
            let object = |fields: Vec<(String, Json<'static>)>| {
                Json::Object(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
            };
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Json::List),
                vec((name(), inner), 0..6).prop_map(object),
            ]
        });
        nested.boxed()
    }

    /// Adds all strings of a body and all names that are not fields.
    fn secrets(value: &Json<'_>, all: &mut Vec<String>) {
        match value {
            Json::Text(text) => all.push(text.to_string()),
            Json::List(items) => items.iter().for_each(|item| secrets(item, all)),
            Json::Object(fields) => {
                for (name, value) in fields {
                    // Short keys, such as one digit, are part of anything.
                    if !FIELDS.contains(&&**name) && name.len() > 5 {
                        all.push(name.to_string());
                    }
                    secrets(value, all);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_data_of_a_body_or_header_is_in_the_tally(
            (old, new, again) in (body(), body(), body()),
            (link, other) in (secret(), secret()),
        ) {
            let policy = Comparison { headers: vec!["link".to_owned()], ..Comparison::default() };
            let bodies = [&old, &new, &again].map(ToString::to_string);
            let headers = [[Some("application/json"), Some(&*link)], [Some("text/json"), Some(&*other)]];
            let response = |index: usize| Response {
                status: 200,
                headers: &headers[index % 2],
                body: bodies[index].as_bytes(),
            };
            let compared = |other: usize| findings(&policy, response(0), response(other)).differences;
            let mut tally = Tally::default();
            tally.add(&compared(1), Some(&compared(2)));
            let mut all = vec![link.clone(), other.clone()];
            [&old, &new, &again].iter().for_each(|body| secrets(body, &mut all));
            let written = serde_json::to_string(&tally).unwrap();
            for counted in &tally.differences {
                for step in counted.path.split('.').map(|step| step.trim_end_matches("[]")) {
                    let is_known = FIELDS.contains(&step) || ["", "*", "header content-type", "header link"].contains(&step);
                    prop_assert!(is_known, "{}", counted.path);
                }
                for secret in &all {
                    prop_assert!(!counted.example.0.contains(secret) && !counted.example.1.contains(secret));
                }
            }
            for secret in &all {
                prop_assert!(!written.contains(secret), "{secret} in {written}");
            }
        }

        #[test]
        fn a_body_has_no_difference_from_itself_in_another_order(body in body()) {
            prop_assert_eq!(differences(&body, &body, &[], Limits::default()), Ok(vec![]));
            let Json::List(items) = &body else { return Ok(()) };
            let reversed = Json::List(items.iter().rev().cloned().collect());
            let unordered = [Rule { unordered: true, ..rule("[]") }];
            prop_assert_eq!(differences(&body, &reversed, &unordered, Limits::default()), Ok(vec![]));
        }
    }
}

mod configuration {
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
        for path in ["a", "data[].price", "[]", "a[][].b", "*", "a.*.b", "a.**", "**", "a.*[]", ".", "@type"]
        {
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
        for (headers, path) in
            [("Link", "header link"), ("link", "header Link"), ("a", "header Content-Type")]
        {
            let comparison =
                read(&format!("headers: [{headers}], rules: [{{ path: {path}, ignore: true }}]"));
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
        assert_eq!(
            read("rules: [{ path: \"data[]\", key_by: sku }]").rules[0].key_by.as_deref(),
            Some("sku")
        );
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
}
