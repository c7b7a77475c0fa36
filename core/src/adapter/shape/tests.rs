//! Steps applied to values, and written from a tape: both give the same.

use crate::{
    adapter::{
        request::Request,
        shape::{
            budget::{Budget, EvalContext, ShapeError},
            step::Shape,
        },
    },
    json::{Tape, value::Json},
    vocabulary::timestamp::Timestamp,
};

const UNFIT: Result<Option<&str>, ShapeError> = Err(ShapeError::Unfit);

/// Applies a shape in both ways, and compares the results as JSON.
fn check(request: &Request, shape: &str, cases: &[(&str, Result<Option<&str>, ShapeError>)]) {
    let shape: Shape = serde_json::from_str(shape).unwrap();
    let whole = EvalContext { request, now: Timestamp::from_millis(0), shapes: &[] };
    for (value, expected) in cases {
        let expected = expected.map(|expected| expected.map(str::to_owned));
        let json = Json::parse(value).unwrap();
        let applied = shape.apply(&json, whole, &mut Budget::default());
        let applied = applied.map(|result| result.map(|result| result.to_string()));
        assert_eq!(applied, expected, "{shape:?} applied to {value}");
        let (tape, mut text) = (Tape::read(value).unwrap(), String::new());
        let written = shape.write(tape.root(), whole, &mut Budget::default(), &mut text);
        assert_eq!(written.map(|is_there| is_there.then_some(text)), expected, "{shape:?} of {value}");
    }
}

fn request(query: &str) -> Request {
    let parameters = vec![("id".to_owned(), "a%2Fb".to_owned())];
    Request { query: query.to_owned(), parameters, ..Request::default() }
}

#[test]
fn a_text_has_the_values_of_its_places() {
    let shape = r#"[{"text":[{"text":"/users/"},{"value":["author","id"]},{"text":"\"?"}]}]"#;
    check(
        &request(""),
        shape,
        &[
            (r#"{"author":{"id":7}}"#, Ok(Some(r#""/users/7\"?""#))),
            (r#"{"author":{"id":-1.50e+7}}"#, Ok(Some(r#""/users/-1.50e+7\"?""#))),
            (r#"{"author":{"id":"a/b é"}}"#, Ok(Some(r#""/users/a/b é\"?""#))),
            (r#"{"author":{"id":"\"\\\n\u0041\u0001"}}"#, Ok(Some(r#""/users/\"\\\nA\u0001\"?""#))),
            // Half of a surrogate pair stays one, whatever comes after it.
            (r#"{"author":{"id":"\ud83d"}}"#, Ok(Some("\"/users/\u{fffd}\\\"?\""))),
            (r#"{"author":{"id":true}}"#, Ok(Some(r#""/users/true\"?""#))),
            (r#"{"author":{"id":false}}"#, Ok(Some(r#""/users/false\"?""#))),
            (r#"{"author":{"id":""}}"#, Ok(Some(r#""/users/\"?""#))),
            (r#"{"author":{"id":null}}"#, Ok(Some("null"))),
            (r#"{"author":{}}"#, Ok(None)),
            (r#"{"author":null}"#, Ok(None)),
            ("null", Ok(Some("null"))),
            ("7", Ok(None)),
            (r#"{"author":{"id":[]}}"#, UNFIT),
            (r#"{"author":{"id":{"x":1}}}"#, UNFIT),
        ],
    );
}

#[test]
fn the_places_of_a_url_are_encoded() {
    let shape = r#"[{"each":[{"url":[{"text":"/users?name="},{"value":[]}]}]}]"#;
    check(
        &request(""),
        shape,
        &[
            (
                r#"["a/b?", "-._~", "\u00e9\"", 1e+2, true, null]"#,
                Ok(Some(
                    r#"["/users?name=a%2Fb%3F","/users?name=-._~","/users?name=%C3%A9%22","/users?name=1e%2B2","/users?name=true",null]"#,
                )),
            ),
            ("[[1]]", UNFIT),
        ],
    );
}

#[test]
fn an_absent_place_makes_a_text_absent_and_else_a_null_one_makes_it_null() {
    let both = r#"[{"text":[{"value":["a"]},{"text":"-"},{"value":["b"]}]}]"#;
    let cases = [
        (r#"{"a":1,"b":2}"#, Ok(Some(r#""1-2""#))),
        (r#"{"a":null,"b":2}"#, Ok(Some("null"))),
        (r#"{"a":1,"b":null}"#, Ok(Some("null"))),
        (r#"{"a":null}"#, Ok(None)),
        (r#"{"b":null}"#, Ok(None)),
        (r#"{"a":null,"b":[]}"#, UNFIT),
    ];
    check(&request(""), both, &cases);
    let default = both.replace("}]}]", r#"}]},{"default":"\"\""}]"#);
    let cases = [
        (r#"{"a":1,"b":2}"#, Ok(Some(r#""1-2""#))),
        (r#"{"a":null,"b":2}"#, Ok(Some(r#""""#))),
        (r#"{"a":1}"#, Ok(Some(r#""""#))),
    ];
    check(&request(""), &default, &cases);
    let hidden = both.replace("}]}]", r#"}]},"hide_null"]"#);
    check(
        &request(""),
        &hidden,
        &[(r#"{"a":1,"b":null}"#, Ok(None)), (r#"{"a":1,"b":""}"#, Ok(Some(r#""1-""#)))],
    );
}

#[test]
fn a_text_of_the_request_alone_ignores_the_value() {
    let shape = r#"[{"object":[["self",[{"url":[{"text":"/u/"},{"request":{"path":"id"}}]}]],["data",[]]]}]"#;
    let cases = [
        (r#"{"x":1}"#, Ok(Some(r#"{"self":"/u/a%2Fb","data":{"x":1}}"#))),
        ("null", Ok(Some(r#"{"self":"/u/a%2Fb","data":null}"#))),
    ];
    check(&request(""), shape, &cases);
    let shape = r#"[{"get":["x"]},{"text":[{"request":{"query":"q"}},{"text":"!"}]}]"#;
    check(&request("q=%22+%C3%A9"), shape, &[("{}", Ok(Some(r#""\" é!""#)))]);
    check(&request("p=1"), shape, &[(r#"{"x":1}"#, Ok(None))]);
}

#[test]
fn texts_in_lists_of_objects_are_those_of_each_object() {
    let shape = r#"[{"each":[{"object":[
        ["id",[{"get":["id"]}]],
        ["link",[{"url":[{"text":"/u/"},{"value":["author","id"]},{"text":"/"},{"value":["id"]}]}]],
        ["name",[{"text":[{"value":["name"]}]},{"default":"\"-\""}]]
    ]}]}]"#;
    let cases = [(
        r#"[{"id":1,"author":{"id":"a b"},"name":"x"},
            {"id":2,"author":{"id":"c"},"name":null},
            {"author":{"id":"d"},"id":3},
            {"id":4,"author":null},
            {"id":5,"id":6,"author":{"id":"e"}},
            null]"#,
        Ok(Some(
            r#"[{"id":1,"link":"/u/a%20b/1","name":"x"},{"id":2,"link":"/u/c/2","name":"-"},{"id":3,"link":"/u/d/3","name":"-"},{"id":4,"name":"-"},{"id":6,"link":"/u/e/6","name":"-"},null]"#,
        )),
    )];
    check(&request(""), shape, &cases);
}

#[test]
fn texts_in_lists_copy_what_needs_no_escape_and_escape_the_rest() {
    let shape = r#"[{"each":[{"object":[
        ["text",[{"text":[{"text":"\"a\" "},{"value":["a"]},{"text":"/"},{"value":["b","c"]},{"text":"\n"}]}]],
        ["url",[{"url":[{"value":["a"]},{"text":"?"},{"value":["b","c"]}]},{"default":"\"none\""}]],
        ["hidden",[{"text":[{"text":"-"},{"value":["a"]}]},"hide_null"]],
        ["fixed",[{"text":[{"text":"x"}]}]],
        ["asked",[{"text":[{"request":{"query":"q"}},{"value":["a"]}]}]]
    ]}]}]"#;
    let cases = [
        (
            r#"[{"a":1.50,"b":{"c":"é ~"}},{"a":"\"\\\u0041/","b":{"c":true}},{"b":{"c":-1e+2},"a":"x y"}]"#,
            Ok(Some(
                r#"[{"text":"\"a\" 1.50/é ~\n","url":"1.50?%C3%A9%20~","hidden":"-1.50","fixed":"x","asked":"\"1.50"},{"text":"\"a\" \"\\A//true\n","url":"%22%5CA%2F?true","hidden":"-\"\\A/","fixed":"x","asked":"\"\"\\A/"},{"text":"\"a\" x y/-1e+2\n","url":"x%20y?-1e%2B2","hidden":"-x y","fixed":"x","asked":"\"x y"}]"#,
            )),
        ),
        (
            r#"[{"a":null,"b":{"c":1}},{"a":1},{"a":2,"b":{"c":null}},{"b":null,"a":3}]"#,
            Ok(Some(
                r#"[{"text":null,"url":"none","fixed":"x","asked":null},{"url":"none","hidden":"-1","fixed":"x","asked":"\"1"},{"text":null,"url":"none","hidden":"-2","fixed":"x","asked":"\"2"},{"url":"none","hidden":"-3","fixed":"x","asked":"\"3"}]"#,
            )),
        ),
        (r#"[{"a":null,"b":{"c":[]}}]"#, UNFIT),
        (r#"[{"a":1,"b":{"c":2}},{"a":{},"b":{"c":2}}]"#, UNFIT),
    ];
    check(&request("q=%22"), shape, &cases);
    let each = r#"[{"each":[{"text":[{"text":"/u/\""},{"value":[]}]}]}]"#;
    let cases = [
        (r#"["a","\n",7,true,null]"#, Ok(Some(r#"["/u/\"a","/u/\"\n","/u/\"7","/u/\"true",null]"#))),
        ("[[]]", UNFIT),
    ];
    check(&request(""), each, &cases);
}

#[test]
fn the_url_of_a_page_keeps_parameters_as_the_client_wrote_them() {
    let query = "n%61me=a%20b&page=2&&name=c+d&flag&q=\"&page=9";
    let rows = [
        (r#""position":"first""#, "page=3"),
        (r#""keep":{"named":["name"]}"#, "page=3&n%61me=a%20b&name=c+d"),
        (r#""keep":{"named":["flag","name"]}"#, "page=3&n%61me=a%20b&name=c+d&flag"),
        (r#""keep":{"named":["page","none"]}"#, "page=3"),
        (r#""keep":"all""#, r#"page=3&n%61me=a%20b&name=c+d&flag&q=\""#),
        (r#""keep":{"named":["name"]},"position":"last""#, "n%61me=a%20b&name=c+d&page=3"),
        (r#""keep":{"named":["name"]},"position":"same""#, "n%61me=a%20b&page=3&name=c+d"),
        (r#""keep":{"named":["flag"]},"position":"same""#, "page=3&flag"),
    ];
    for (options, expected) in rows {
        let shape = format!(
            r#"[{{"page_url":{{"base":[{{"text":"/u/"}},{{"value":["id"]}}],"page":["info","next"],
                "parameter":"page",{options}}}}}]"#
        );
        let url = format!("\"/u/a%2Fb?{expected}\"");
        let cases = [
            (r#"{"id":"a/b","info":{"next":3}}"#, Ok(Some(url.as_str()))),
            (r#"{"id":"a/b","info":{"next":null}}"#, Ok(Some("null"))),
            (r#"{"id":null,"info":{"next":3}}"#, Ok(Some("null"))),
            (r#"{"id":"a/b","info":{}}"#, Ok(None)),
            (r#"{"info":{"next":null}}"#, Ok(None)),
            (r#"{"id":"a/b","info":{"next":[3]}}"#, UNFIT),
            ("null", Ok(Some("null"))),
        ];
        check(&request(query), &shape, &cases);
    }
    // Behind a query in the base, and behind parameters if the client sent no page.
    let shape = r#"[{"page_url":{"base":[{"text":"/u?v=1"}],"page":["n"],"parameter":"p[n]","keep":"all",
        "position":"same"}}]"#;
    let cases = [(r#"{"n":"2&x"}"#, Ok(Some(r#""/u?v=1&a=1&p%5Bn%5D=2%26x""#)))];
    check(&request("a=1"), shape, &cases);
}

#[test]
fn a_required_value_is_there_and_not_null() {
    let cases = [
        (r#"{"id":7}"#, Ok(Some("7"))),
        (r#"{"id":"null"}"#, Ok(Some(r#""null""#))),
        (r#"{"id":null}"#, UNFIT),
        ("{}", UNFIT),
        ("null", UNFIT),
    ];
    check(&request(""), r#"[{"get":["id"]},"required"]"#, &cases);
    let shape = r#"[{"object":[["id",[{"get":["id"]},{"each":[]},"required"]]]},"required"]"#;
    let cases =
        [(r#"{"id":[null]}"#, Ok(Some(r#"{"id":[null]}"#))), (r#"{"id":null}"#, UNFIT), ("{}", UNFIT)];
    check(&request(""), shape, &cases);
}

#[test]
fn the_length_of_a_list_is_its_number_of_items() {
    let cases = [
        ("[]", Ok(Some("0"))),
        ("[[1,2],{\"a\":[3]},null]", Ok(Some("3"))),
        ("null", Ok(Some("null"))),
        ("{}", UNFIT),
        ("\"abc\"", UNFIT),
    ];
    check(&request(""), r#"["length"]"#, &cases);
    let shape = r#"[{"get":["list"]},"length",{"default":"0"}]"#;
    check(&request(""), shape, &[("{}", Ok(Some("0"))), (r#"{"list":[1]}"#, Ok(Some("1")))]);
}

#[test]
fn a_number_in_a_path_is_an_item_of_a_list() {
    let shape = r#"[{"object":[["a",[{"get":["list","0","id"]}]],["b",[{"get":["list","1"]}]]]}]"#;
    let cases = [
        (r#"{"list":[{"id":1},[2]]}"#, Ok(Some(r#"{"a":1,"b":[2]}"#))),
        (r#"{"list":[]}"#, Ok(Some("{}"))),
        (r#"{"list":{"0":{"id":1},"1":null}}"#, Ok(Some(r#"{"a":1,"b":null}"#))),
    ];
    check(&request(""), shape, &cases);
    check(&request(""), r#"[{"each":[{"get":["0"]}]}]"#, &[("[[1,2],[],{\"0\":3}]", Ok(Some("[1,null,3]")))]);
}

#[test]
fn a_table_compares_by_what_is_written() {
    let shape =
        r#"[{"map":[[["1","\"one\""],["true","\"yes\""],["null","\"none\""],["\"LOW\"","1"]],null]}]"#;
    let cases = [
        ("1", Ok(Some(r#""one""#))),
        (r#""1""#, Ok(Some(r#""one""#))),
        ("1.0", UNFIT),
        (r#""01""#, UNFIT),
        ("true", Ok(Some(r#""yes""#))),
        (r#""true""#, Ok(Some(r#""yes""#))),
        ("null", Ok(Some(r#""none""#))),
        (r#""null""#, Ok(Some(r#""none""#))),
        (r#""LOW""#, Ok(Some("1"))),
        ("[1]", UNFIT),
    ];
    check(&request(""), shape, &cases);
}

#[test]
fn a_conversion_leaves_alone_the_form_that_it_makes() {
    let cases = [(r#""7.0""#, Ok(Some("7.0"))), ("7.0", Ok(Some("7.0"))), (r#""x""#, UNFIT), ("true", UNFIT)];
    check(&request(""), r#"[{"convert":"number"}]"#, &cases);
    let cases = [("7.0", Ok(Some(r#""7.0""#))), (r#""x\n""#, Ok(Some(r#""x\n""#))), ("[]", UNFIT)];
    check(&request(""), r#"[{"convert":"text"}]"#, &cases);
}

#[test]
fn long_texts_are_paid_for() {
    let request = request(&format!("name={}", "x".repeat(3_200)));
    let whole = EvalContext { request: &request, now: Timestamp::from_millis(0), shapes: &[] };
    let list = format!("[{}]", vec!["1"; 1_000].join(","));
    let (json, tape) = (Json::parse(&list).unwrap(), Tape::read(&list).unwrap());
    for step in [
        r#"{"text":[{"request":{"query":"name"}}]}"#,
        r#"{"url":[{"request":{"query":"none"}}]}"#,
        r#"{"page_url":{"base":[],"page":[],"parameter":"page","keep":"all"}}"#,
        r#"{"page_url":{"base":[],"page":[],"parameter":"page","keep":{"named":["none"]}}}"#,
    ] {
        let shape: Shape = serde_json::from_str(&format!(r#"[{{"each":[{step}]}}]"#)).unwrap();
        let applied = shape.apply(&json, whole, &mut Budget::of(50_000));
        assert_eq!(applied, Err(ShapeError::TooMuch), "{step}");
        let written = shape.write(tape.root(), whole, &mut Budget::of(50_000), &mut String::new());
        assert_eq!(written, Err(ShapeError::TooMuch), "{step}");
        assert!(shape.apply(&json, whole, &mut Budget::default()).is_ok(), "{step}");
    }
}
