//! Errors of a backend, with the status and the message that were read.

use super::*;

#[test]
fn errors_of_graphql_have_the_status_and_the_message_that_were_read() {
    let adapter = graphql(
        r#"errors:
  envelope: { object: { code: code, message: message, field: field } }
  read:
    object:
      status: extensions.response.status
      code: extensions.kind
      message: extensions.response.body.error
      field: extensions.field
  paths: { user.name: { status: 410, code: gone, message: "{message}" } }
  codes: { missing: { status: read, code: "", message: "{message}" } }
  statuses: { 409: { status: 423, code: "", message: "{code}: {message}" } }
  otherwise: { status: read, code: "", message: "{message}" }
routes:
  - match: { method: GET, path: /u }
    operation: P
    root: user
    when_null: { status: 404 }
    response: name
"#,
    );
    let told = |errors: &str| {
        let answer = answer(&adapter, ("/u", ""), 200, &format!(r#"{{"data":null,"errors":[{errors}]}}"#));
        (answer.status, answer.body.unwrap())
    };
    let body = |code: &str, message: &str, field: &str| {
        format!(r#"{{"code":"{code}","message":"{message}","field":"{field}"}}"#)
    };
    let bare =
        |status: &str| format!(r#"{{"message":"M","extensions":{{"response":{{"status":{status}}}}}}}"#);
    let cases = [
        // Read, and without a mapping of its own.
        (
            r#"{"message":"M","extensions":{"response":{"status":404,"body":{"error":"no user"}}}}"#.to_owned(),
            (404, body("", "no user", "")),
        ),
        (
            r#"{"message":"M","path":["user",0,"name"],"extensions":{"response":{"status":404}}}"#.to_owned(),
            (410, body("gone", "M", "user.name")),
        ),
        // The code that was read comes before that of GraphQL.
        (
            r#"{"message":"M","extensions":{"code":"X","kind":"missing","field":"f","response":{"status":"403"}}}"#
                .to_owned(),
            (403, body("missing", "M", "f")),
        ),
        (
            r#"{"message":"M","extensions":{"code":"missing","response":{"status":451}}}"#.to_owned(),
            (451, body("missing", "M", "")),
        ),
        (
            r#"{"message":"M","extensions":{"code":"X","response":{"status":409}}}"#.to_owned(),
            (423, body("X", "X: M", "")),
        ),
        // No status, or none of an error.
        (r#"{"message":"M"}"#.to_owned(), (500, body("", "M", ""))),
        (bare("200"), (500, body("", "M", ""))),
        (bare("600"), (500, body("", "M", ""))),
        (bare("\"gone\""), (500, body("", "M", ""))),
        (bare("{}"), (500, body("", "M", ""))),
        (bare("4.04e2"), (404, body("", "M", ""))),
        // The first error that has a mapping decides, or else the first one.
        (format!("{},{}", bare("404"), bare("409")), (423, body("", ": M", ""))),
        (format!("{},{}", bare("404"), bare("403")), (404, body("", "M", ""))),
        ("7".to_owned(), (500, body("", "", ""))),
    ];
    for (errors, expected) in cases {
        assert_eq!(told(&errors), expected, "{errors}");
    }
    assert_eq!(answer(&adapter, ("/u", ""), 200, r#"{"data":{"user":null}}"#).status, 404);
}

#[test]
fn errors_of_graphql_are_read_within_one_budget() {
    let fields: Vec<String> = (0..40).map(|index| format!("f{index}: a")).collect();
    let adapter = graphql(&format!(
        "errors:\n  read: {{ object: {{ code: kind, field: {{ from: list, each: {{ object: {{ {} }} }} }} }} }}\n  \
         codes: {{ last: {{ status: 418 }} }}\n  otherwise: {{ message: \"{{message}}\" }}\nroutes:\n  \
         - {{ match: {{ method: GET, path: /u }}, operation: P, root: user, when_null: {{}}, response: name }}\n",
        fields.join(", ")
    ));
    let told = |errors: &[&str]| {
        let text = format!(r#"{{"errors":[{}]}}"#, errors.join(","));
        let answer = answer(&adapter, ("/u", ""), 200, &text);
        (answer.status, answer.body.unwrap())
    };
    let last = r#"{"message":"L","kind":"last"}"#;
    assert_eq!(told(&[last]).0, 418);
    // Each takes about twenty thousand of two million steps.
    let large = format!(r#"{{"message":"M","list":[{}]}}"#, vec!["1"; 500].join(","));
    let mut errors = vec![large.as_str(); 50];
    errors.push(last);
    assert_eq!(told(&errors).0, 418);
    errors.splice(0..0, vec![large.as_str(); 60]);
    assert_eq!(told(&errors), (500, r#"{"code":"internal","message":"M"}"#.to_owned()));
}

#[test]
fn errors_of_rest_backends_have_the_status_that_was_read() {
    let adapter = adapter(
        r#"errors:
  read: { object: { status: problem.status, code: problem.name, message: problem.text } }
  statuses: { 422: { status: read, code: "", message: "{message}" } }
  otherwise: { status: read, code: internal, message: "{message}" }
routes:
  - { match: { method: GET, path: /r }, backend: { method: GET, path: /v2 }, response: . }
"#,
    );
    let told = |status: u16, body: &str| {
        let answer = answer(&adapter, ("/r", ""), status, body);
        (answer.status, answer.body.unwrap())
    };
    let problem = |status: &str| format!(r#"{{"problem":{{"status":{status},"name":"n","text":"T"}}}}"#);
    let body = |code: &str, message: &str| format!(r#"{{"code":"{code}","message":"{message}"}}"#);
    assert_eq!(told(422, &problem("409")), (409, body("n", "T")));
    assert_eq!(told(422, &problem("204")), (500, body("n", "T")));
    assert_eq!(told(503, &problem("503")), (503, body("internal", "T")));
    assert_eq!(told(503, "busy"), (500, body("internal", "")));
}
