//! Routes that share a path, and their conditions.

use super::*;

/// Returns the lines at which problems are.
fn lines(told: &[String]) -> Vec<&str> {
    told.iter().map(|problem| problem.split(':').next().unwrap()).collect()
}

/// Writes an adapter for a REST backend with a route for each `match`. The first is in line 4, and each
/// takes two lines.
fn matching(matches: &[&str]) -> String {
    let route =
        |text: &&str| format!("      - match: {{ {text} }}\n        backend: {{ method: GET, path: /v2 }}\n");
    let routes: String = matches.iter().map(route).collect();
    format!("adapters:\n  a:\n    routes:\n{routes}")
}

#[test]
fn every_route_that_claims_the_requests_of_another_is_named_at_its_line_beside_other_mistakes() {
    let told = problems(&matching(&[
        r#"method: GET, path: "/x/{id}""#,
        r#"method: GET, path: /y"#,
        // A mistake of its own does not hide the conflict, nor another one the conflicts after it.
        r#"method: GET, path: "/x/{ids}", note: 1"#,
        r#"method: GET, path: /z, wheer: 1"#,
        r#"method: POST, path: "/x/{id}""#,
        r#"method: GET, path: "/x/{name}""#,
        r#"method: GET, path: /y"#,
        r#"method: GET, path: "/x/{*rest}""#,
    ]));
    assert_eq!(lines(&told), ["8", "8", "10", "14", "16", "18"], "{told:#?}");
    let expected = [
        r#""/x/{ids}" claims the same requests as "/x/{id}" | add where: { ids: digits } to one of them"#,
        "note is not a field of this object",
        "wheer is not a field of this object | did you mean where?",
        r#""/x/{name}" claims the same requests as "/x/{id}" | add where: { name: digits }"#,
        r#""/y" claims the same requests as "/y" | give each route a path or method of its own"#,
        r#""/x/{*rest}" claims the same requests as "/x/{id}" | make the two patterns differ"#,
    ];
    for part in expected {
        assert_eq!(told.iter().filter(|problem| problem.contains(part)).count(), 1, "{part}: {told:#?}");
    }
}

#[test]
fn routes_share_a_path_if_all_but_one_have_conditions() {
    let program = program(&matching(&[
        r#"method: GET, path: "/x/{id}", where: { id: digits }"#,
        r#"method: GET, path: "/x/{ids}", where: { ids: list }"#,
        r#"method: GET, path: "/x/{mail}", where: { mail: { contains: "@" } }"#,
        r#"method: GET, path: "/x/{any}""#,
    ]));
    let forms = program.routes.iter().map(|route| route.conditions.first().map(|held| held.form.clone()));
    let contains = ParameterForm::Contains("@".to_owned());
    let expected = [Some(ParameterForm::Digits), Some(ParameterForm::List), Some(contains), None];
    assert_eq!(forms.collect::<Vec<_>>(), expected);

    let twice = problems(&matching(&[
        r#"method: GET, path: "/{a}/{b}", where: { a: digits, b: list }"#,
        r#"method: GET, path: "/{b}/{a}", where: { a: list, b: digits }"#,
        r#"method: GET, path: "/{a}/{b}", where: { a: list, b: digits }"#,
    ]));
    assert_eq!(lines(&twice), ["6"], "{twice:#?}");
    assert!(twice[0].contains("give one of them another condition"), "{twice:#?}");
}

#[test]
fn a_mistake_in_a_condition_is_named_and_is_no_conflict() {
    let cases = [
        ("where: { ids: digits }", r#"the path has no parameter "ids" | did you mean id?"#),
        ("where: { name: digits }", r#"the path has no parameter "name" | write {name} in the path"#),
        ("where: { id: number }", r#""number" is not a form of a parameter | write where: { id: digits }"#),
        ("where: { id: 7 }", "expected digits, list or a map, found a number"),
        (r#"where: { id: { contains: "" } }"#, "every parameter contains the empty string"),
        ("where: { id: { contain: x } }", "contains is missing"),
        ("where: {}", "where has no condition | write where: { id: digits }"),
        ("where: digits", "expected a map, found a string"),
    ];
    for (text, expected) in cases {
        let first = format!(r#"method: GET, path: "/x/{{id}}", {text}"#);
        let told = problems(&matching(&[&first, r#"method: GET, path: "/x/{id}""#]));
        assert!(told.iter().any(|problem| problem.contains(expected)), "{text}: {told:#?}");
        assert!(told.iter().all(|problem| problem.starts_with("4:")), "{text}: {told:#?}");
    }
}

#[test]
fn a_wrong_match_is_followed_by_no_false_mistake() {
    let cases = [
        (r#"method: get, path: "/x/{id}""#, r#""get" is not a method | write methods in upper case"#),
        (r#"methods: [GET], path: "/x/{id}""#, "a route of an adapter has one method | write method: GET"),
        (r#"method: GET, path: "x/{id}""#, "does not begin with a slash"),
        (r#"method: GET, path: "/x/{id}?a=1""#, "or contains a query"),
        (r#"path: "/x/{id}""#, "method is missing"),
    ];
    for (text, expected) in cases {
        let told = problems(&matching(&[text]).replace("path: /v2", r#"path: "/v2/{path.id}""#));
        assert!(told.len() == 1 && told[0].contains(expected), "{text}: {told:#?}");
    }
    // The library that finds routes would panic.
    let path = (0..30).map(|index| format!("/{{p{index}}}")).collect::<String>();
    let told = problems(&matching(&[&format!("method: GET, path: \"{path}\"")]));
    assert!(told.len() == 1 && told[0].contains("more than 25 parameters"), "{told:#?}");
}
