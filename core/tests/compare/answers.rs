//! Statuses, headers and types of two responses.

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
        assert_eq!((found[0].path.as_str(), found[0].kind), ("header content-type", DifferenceKind::Value));
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
