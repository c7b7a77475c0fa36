//! Shapes that mappings share, that are too deep, and that cannot be turned back.

use super::*;

/// A configuration with shapes that several mappings use, inside each other too.
const SHARING: &str = r#"
adapters:
  rest:
    shapes:
      person: { from: person, object: { id: { from: id, as: string }, name: { from: name, default: "" } } }
      review: { object: { id: id, author: { shape: person }, editor: { from: edited, shape: person } } }
      reviews: { from: items, each: { shape: review } }
      answer: { object: { success: { const: true }, data: . } }
    envelope: { shape: answer }
    routes:
      - match: { method: GET, path: /one }
        backend: { method: GET, path: /one }
        response: { shape: review }
      - match: { method: GET, path: /many }
        backend: { method: GET, path: /many }
        response: { shape: reviews }
      - match: { method: PUT, path: /one }
        backend: { method: PUT, path: /one, body_inverse_of: { shape: person }, lossy: [name] }
        response: { each: { shape: review } }
"#;

#[test]
fn routes_that_share_shapes_answer_as_if_these_were_written_out() {
    let config = Config::from_yaml(SHARING).unwrap();
    let program = Arc::clone(config.adapters.values().next().unwrap().program());
    assert_eq!(program.shapes.len(), 3, "person, review and answer: {:#?}", program.shapes);
    let text = serde_json::to_string(&*program).unwrap();
    assert_eq!(text.matches("\"success\"").count(), 1, "{text}");
    assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), *program);
    let adapter = Arc::new(Adapter::new(program).unwrap());
    let answer = |method: &str, path: &str, body: &str, reply: &str| {
        let sent = ClientRequest { method, path, body: body.as_bytes(), ..ClientRequest::default() };
        let (mut exchange, next) = begin(&adapter, sent);
        let Next::Ask(upstream) = next else { panic!("{next:?}") };
        match exchange.next(Reply::Answered(200, reply.as_bytes()), Timestamp::from_millis(0)) {
            Next::Answer(answer) => (upstream.body, answer.body.unwrap()),
            next => panic!("{next:?}"),
        }
    };
    let one = r#"{"id":1,"person":{"id":2},"edited":{"person":{"id":3,"name":"ann"}}}"#;
    let expected = r#"{"id":1,"author":{"id":"2","name":""},"editor":{"id":"3","name":"ann"}}"#;
    let wrapped = |data: &str| format!(r#"{{"success":true,"data":{data}}}"#);
    assert_eq!(answer("GET", "/one", "", one), (None, wrapped(expected)));
    let many = format!(r#"{{"items":[{one},{one}]}}"#);
    assert_eq!(answer("GET", "/many", "", &many).1, wrapped(&format!("[{expected},{expected}]")));
    let sent = r#"{"id":"7","name":"bob"}"#;
    let body = r#"{"person":{"id":7,"name":"bob"}}"#.to_owned();
    assert_eq!(answer("PUT", "/one", sent, "[]"), (Some(body), wrapped("[]")));
}

#[test]
fn a_shape_that_refers_to_itself_or_to_a_later_one_is_refused() {
    let adapter = |shapes: &str| {
        let mut program = serde_json::to_value(&*example()).unwrap();
        program["shapes"] = serde_json::from_str(shapes).unwrap();
        Adapter::new(Arc::new(serde_json::from_value(program).unwrap())).map(|_| ())
    };
    let chain = |length: u32| {
        let shapes = (0..length).map(|at| match at {
            0 => r#"[{"now":"epoch"}]"#.to_owned(),
            _ => format!(r#"[{{"shape":{}}},"hide_null"]"#, at - 1),
        });
        format!("[{}]", shapes.collect::<Vec<_>>().join(","))
    };
    let long = chain(200);
    let refused = [
        (r#"[[{"shape":0}]]"#, 0),
        (r#"[[{"now":"epoch"}],[{"shape":2}],[{"shape":0}]]"#, 1),
        (r#"[[{"each":[{"coalesce":[[{"object":[["a",[{"shape":0}]]]}]]}]}]]"#, 0),
        (long.as_str(), 128),
    ];
    for (shapes, index) in refused {
        assert_eq!(adapter(shapes), Err(InvalidProgram::Shape(index)), "{shapes}");
    }
    assert_eq!(adapter(&chain(100)), Ok(()));
}

#[test]
fn a_mapping_that_refers_to_a_missing_shape_or_is_too_deep_is_refused() {
    let plain =
        rest("{ match: { method: POST, path: /r }, backend: { method: POST, path: /v2/r, body: a } }");
    let program = |place: &str, mapping: &serde_json::Value| {
        let mut program = serde_json::to_value(&*plain.program).unwrap();
        program["shapes"] = serde_json::json!([[{ "now": "epoch" }]]);
        let held = program.pointer_mut(place).unwrap();
        assert!(held.is_array(), "{place} is a mapping: {held}");
        *held = mapping.clone();
        serde_json::from_value::<Program>(program).unwrap()
    };
    let refused =
        |place: &str, mapping: &serde_json::Value| Adapter::new(Arc::new(program(place, mapping))).err();
    let missing = serde_json::json!([{ "each": [{ "shape": 1 }] }]);
    let there = serde_json::json!([{ "each": [{ "shape": 0 }] }]);
    for place in ["/routes/0/response", "/routes/0/backend/rest/2", "/errors/envelope"] {
        assert_eq!(refused(place, &there), None, "{place}");
        assert_eq!(refused(place, &missing), Some(InvalidProgram::Mapping), "{place}");
    }
    let refused_at = |levels: usize| {
        let around = |inner: Shape, _| Shape(vec![Step::Coalesce(vec![inner])]);
        let mut program = Program::clone(&plain.program);
        program.errors.read = Some((1..levels).fold(Shape::default(), around));
        Adapter::new(Arc::new(program)).err()
    };
    assert_eq!(refused_at(128), None);
    assert_eq!(refused_at(129), Some(InvalidProgram::Mapping));
}

#[test]
fn a_named_shape_is_written_as_directly_as_one_in_its_place() {
    let get = |name: &str| Step::Get(vec![name.to_owned()]);
    let field = |name: &str, steps: Vec<Step>| Field(name.to_owned(), Shape(steps));
    let item = Step::Object(vec![
        field("id", vec![get("id"), Step::Convert(Conversion::Number)]),
        field("n", vec![get("n")]),
    ]);
    let content = vec![field("ok", vec![Step::Const(Literal(Json::Bool(true)))]), field("data", Vec::new())];
    let shapes = [Shape(vec![item]), Shape(vec![Step::Object(content)])];
    let (item, envelope) = (Step::Shape(0), Step::Shape(1));
    let each = Step::Each(Shape(vec![item.clone()]));
    let rows = [
        vec![get("items"), each.clone()],
        vec![get("items"), each, envelope.clone()],
        vec![get("one"), item.clone()],
        vec![get("one"), item, envelope],
    ];
    let one = r#"{"id":"7","n":"seven"}"#;
    let source = format!(r#"{{"one":{one},"items":[{}]}}"#, vec![one; 200].join(","));
    let tape = Tape::read(&source).unwrap();
    let request = Request::default();
    let written = |shape: &Shape| {
        let mut text = String::with_capacity(100_000);
        let info = allocation_counter::measure(|| {
            let whole = with_shapes(&request, &shapes);
            assert_eq!(shape.write(tape.root(), whole, &mut Budget::default(), &mut text), Ok(true));
        });
        (text, info.count_total)
    };
    for row in rows {
        let named = Shape(row);
        let ((text, allocations), (expected, in_place)) =
            (written(&named), written(&named.expanded(&shapes)));
        assert_eq!(text, expected);
        assert!(allocations <= in_place, "{named:?}: {allocations} instead of {in_place} allocations");
    }
}

#[test]
fn the_program_of_the_example_is_read_at_the_edge_as_it_was_written() {
    let program = example();
    let text = serde_json::to_string(&*program).unwrap();
    assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), *program);
}

#[test]
fn what_cannot_be_turned_back_is_named() {
    let fields = [
        ("kept", vec![Step::Get(vec!["a".into()])]),
        ("default", vec![Step::Get(vec!["b".into()]), Step::Default(Literal(Json::integer(0)))]),
        ("either", vec![Step::Coalesce(Vec::new())]),
        (
            "cut",
            vec![
                Step::Get(vec!["c".into()]),
                Step::Convert(Conversion::Date(DateForm::EpochMs, DateForm::Epoch)),
            ],
        ),
        ("twice", vec![Step::Get(vec!["a".into()])]),
    ];
    let fields = fields.into_iter().map(|(name, steps)| Field(name.to_owned(), Shape(steps))).collect();
    let (_, lost) = invert(&Shape(vec![Step::Object(fields)]), &[]);
    let named: Vec<&str> = lost.iter().map(|lost| lost.field.as_str()).collect();
    assert_eq!(named, ["default", "either", "either", "cut", "twice"]);
}

#[test]
fn texts_lengths_and_items_of_lists_are_not_turned_back() {
    let shape: Shape = serde_json::from_str(
        r#"[{"object":[
            ["id",[{"get":["id"]},"required"]],
            ["url",[{"url":[{"text":"/u/"},{"value":["id"]}]}]],
            ["links",[{"get":["friends"]},{"each":[{"url":[{"value":[]}]}]}]],
            ["self",[{"text":[{"text":"/"},{"request":{"path":"id"}}]}]],
            ["next",[{"page_url":{"base":[],"page":["n"],"parameter":"page"}}]],
            ["count",[{"get":["friends"]},"length"]],
            ["first",[{"get":["items","0"]}]],
            ["level",[{"get":["level"]},{"map":[[["\"A\"","\"1\""],["\"B\"","1"]],null]}]]
        ]}]"#,
    )
    .unwrap();
    let (inverse, lost) = invert(&shape, &[]);
    let named: Vec<&str> = lost.iter().map(|lost| lost.field.as_str()).collect();
    assert_eq!(named, ["url", "links[]", "next", "count", "first", "level"]);
    // A text is never sent in place of the values that it was made from.
    let sent = Json::parse(r#"{"id":7,"url":"/u/7","links":["/u/8"],"next":"?page=2","count":1}"#).unwrap();
    let back = inverse.apply(&sent, whole(&Request::default()), &mut Budget::default()).unwrap().unwrap();
    assert_eq!(back.get("id"), Some(&Json::integer(7)));
    assert!(back.get("friends").is_none() && back.get("n").is_none(), "{back}");
}
