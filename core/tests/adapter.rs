//! Properties of adapters on arbitrary input: they do not panic, their work is bounded, and
//! inverted shapes restore their input.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use cutover_core::{
    Timestamp,
    adapter::{
        Adapter, Answer, Backend, Budget, ClientRequest, Conversion, DateForm, EvalContext, Exchange, Field,
        Kind, Literal, Next, Part, Pending, Program, Reply, Request, Shape, ShapeError, Source, Step,
        Template, Upstream, Variable, invert,
    },
    config::Config,
    json::{Json, Tape},
};
use proptest::{collection::vec, prelude::*, sample::select};
use std::sync::Arc;

fn example() -> Arc<Program> {
    let config = Config::from_yaml_with("adapters: { reviews: reviews/adapter.yaml }", &|name| {
        Ok(match name {
            "reviews/adapter.yaml" => include_str!("../../tests/reviews/adapter.yaml"),
            "reviews/operations.graphql" => include_str!("../../tests/reviews/operations.graphql"),
            _ => include_str!("../../tests/reviews/schema.graphql"),
        }
        .to_owned())
    });
    Arc::clone(config.unwrap().adapters.values().next().unwrap().program())
}

/// Builds an adapter from the lines of its file.
fn adapter(lines: &str) -> Arc<Adapter> {
    let lines = lines.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let config = Config::from_yaml(&format!("adapters:\n  a:\n{lines}"));
    let program = Arc::clone(config.unwrap().adapters.values().next().unwrap().program());
    Arc::new(Adapter::new(program).unwrap())
}

/// Builds an adapter for a REST backend with one route, which is written as a YAML flow mapping.
fn rest(route: &str) -> Arc<Adapter> {
    adapter(&format!("routes:\n  - {}", route.replace('\n', " ")))
}

/// Builds an adapter for a GraphQL backend with the operation P from further lines of its file.
fn graphql(lines: &str) -> Arc<Adapter> {
    let schema = "type Query { user: User } type User { name: String info: Info } type Info { count: Int }";
    let operations = "query P { user { name info { count } } }";
    adapter(&format!("schema: \"{schema}\"\noperations: \"{operations}\"\n{lines}"))
}

/// Returns the answer to a GET request, whose backend gives this response.
fn answer(adapter: &Arc<Adapter>, (path, query): (&str, &str), status: u16, response: &str) -> Answer {
    let sent = ClientRequest { method: "GET", path, query, ..ClientRequest::default() };
    let (mut exchange, mut next) = begin(adapter, sent);
    if let Next::Ask(_) = next {
        next = exchange.next(Reply::Answered(status, response.as_bytes()), Timestamp::from_millis(0));
    }
    let answered = match next {
        Next::Answer(answer) => Some(answer),
        Next::Ask(_) => None,
    };
    answered.unwrap()
}

fn begin(adapter: &Arc<Adapter>, sent: ClientRequest<'_>) -> (Exchange, Next) {
    adapter.begin(sent, Timestamp::from_millis(0)).unwrap()
}

/// Returns the target of a request to a REST backend, or the answer to the client.
fn target((_, next): (Exchange, Next)) -> Result<String, Answer> {
    match next {
        Next::Ask(Upstream { to, .. }) => Ok(to.unwrap().1),
        Next::Answer(answer) => Err(answer),
    }
}

/// Generates values that parsers of URLs read in another way than as text.
fn hostile() -> impl Strategy<Value = String> {
    let known =
        ["", ".", "..", "%2e", ".%2E", "%2e%2e", "e", "a/..", "..\\", "\t..", "..\n", "?", "#", "/", " "];
    prop_oneof![select(known.to_vec()).prop_map(str::to_owned), "[.%2eE/\\\\?#a\\t]{0,6}", "\\PC{0,8}",]
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn whole(request: &Request) -> EvalContext<'_> {
    EvalContext { request, now: Timestamp::from_millis(1_700_000_000_000) }
}

fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "c", "id", "data"]).prop_map(str::to_owned)
}

fn any_json() -> impl Strategy<Value = Json<'static>> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?"
            .prop_map(|text| Json::Number(text.into())),
        ".{0,8}".prop_map(Json::text),
        (0_i64..4_000_000_000_000).prop_map(|ms| Json::text(Timestamp::from_millis(ms).to_string())),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Json::List),
            vec((name(), inner), 0..5).prop_map(|fields| {
                let mut made: Vec<(std::borrow::Cow<'static, str>, Json<'static>)> = Vec::new();
                for (name, value) in fields {
                    if made.iter().all(|(held, _)| *held != name) {
                        made.push((name.into(), value));
                    }
                }
                Json::Object(made)
            }),
        ]
    })
}

fn date_form() -> impl Strategy<Value = DateForm> {
    select(vec![DateForm::Rfc3339, DateForm::Epoch, DateForm::EpochMs])
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let literal = || any_json().prop_map(Literal);
    let leaf = prop_oneof![
        vec(name(), 0..3).prop_map(Step::Get),
        name().prop_map(|name| Step::Request(Source::Query(name))),
        literal().prop_map(Step::Const),
        date_form().prop_map(Step::Now),
        vec(name(), 0..3).prop_map(Step::Pick),
        vec(name(), 0..3).prop_map(Step::Hide),
        vec((name(), name()), 0..3).prop_map(Step::Rename),
        Just(Step::Convert(Conversion::Number)),
        Just(Step::Convert(Conversion::Text)),
        (date_form(), date_form()).prop_map(|(from, to)| Step::Convert(Conversion::Date(from, to))),
        (vec((literal(), literal()), 0..3), proptest::option::of(literal()))
            .prop_map(|(table, otherwise)| Step::Map(table, otherwise)),
        literal().prop_map(Step::Default),
        Just(Step::HideNull),
        name().prop_map(Step::Wrap),
    ];
    let step = leaf.prop_recursive(4, 30, 4, |inner| {
        let shape = || vec(inner.clone(), 0..3).prop_map(Shape);
        let fields = || vec((name(), shape()).prop_map(|(name, shape)| Field(name, shape)), 0..4);
        prop_oneof![
            shape().prop_map(Step::Each),
            fields().prop_map(Step::Object),
            fields().prop_map(Step::Add),
            vec(shape(), 0..3).prop_map(Step::Coalesce),
        ]
    });
    vec(step, 0..5).prop_map(Shape)
}

/// Generates a shape together with a value of the form that it expects.
fn fitting() -> impl Strategy<Value = (Vec<Step>, Json<'static>)> {
    let digits = || "(0|[1-9][0-9]{0,18})(\\.[0-9]{1,4})?";
    let leaf = prop_oneof![
        any_json().prop_map(|value| (Vec::new(), value)),
        digits().prop_map(|text| (vec![Step::Convert(Conversion::Number)], Json::text(text))),
        digits().prop_map(|text| (vec![Step::Convert(Conversion::Text)], Json::Number(text.into()))),
        (0_i64..4_000_000_000_000, select(vec![DateForm::Rfc3339, DateForm::Epoch])).prop_map(|(ms, to)| {
            (vec![Step::Convert(Conversion::Date(DateForm::EpochMs, to))], Json::integer(ms))
        }),
        (0_i64..4_000_000_000).prop_map(|seconds| {
            (
                vec![Step::Convert(Conversion::Date(DateForm::Epoch, DateForm::Rfc3339))],
                Json::integer(seconds),
            )
        }),
        (0_usize..3).prop_map(|at| {
            let table = ["LOW", "MIDDLE", "HIGH"].iter().enumerate();
            let pair = |(at, name): (usize, &&'static str)| {
                (Literal(Json::text(*name)), Literal(Json::integer(i64::try_from(at).unwrap())))
            };
            (vec![Step::Map(table.map(pair).collect(), None)], Json::text(["LOW", "MIDDLE", "HIGH"][at]))
        }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), name()).prop_map(|((mut steps, value), name)| {
                steps.push(Step::Wrap(name));
                (steps, value)
            }),
            (inner.clone(), vec(name(), 1..3)).prop_map(|((steps, value), path)| {
                let wrapped = path
                    .iter()
                    .rev()
                    .fold(value, |value, name| Json::Object(vec![(name.clone().into(), value)]));
                ([vec![Step::Get(path)], steps].concat(), wrapped)
            }),
            (inner.clone(), 0_usize..4).prop_map(|((steps, value), count)| {
                (vec![Step::Each(Shape(steps))], Json::List(vec![value; count]))
            }),
            vec(inner, 1..4).prop_map(|parts| {
                let mut fields =
                    vec![Field("version".into(), Shape(vec![Step::Const(Literal(Json::integer(1)))]))];
                let mut value = Vec::new();
                for (at, (steps, part)) in parts.into_iter().enumerate() {
                    let from = format!("new{at}");
                    let shape = [vec![Step::Get(vec!["at".into(), from.clone()])], steps].concat();
                    fields.push(Field(format!("old{at}"), Shape(shape)));
                    value.push((from.into(), part));
                }
                (vec![Step::Object(fields)], Json::Object(vec![("at".into(), Json::Object(value))]))
            }),
        ]
    })
}

/// Generates variables that are read from a query or a body.
fn any_variable() -> impl Strategy<Value = Variable> {
    let list = |kind| Kind::List(Box::new(kind));
    let names = ["a", "b"].map(str::to_owned).to_vec();
    let kinds = vec![
        Kind::Int,
        Kind::Float,
        Kind::Text,
        Kind::Id,
        Kind::Boolean,
        Kind::Enum(names),
        Kind::Any,
        list(Kind::Text),
        list(Kind::Int),
    ];
    let sources = vec![Source::Query("a".to_owned()), Source::Body(vec!["a".to_owned()])];
    let bound = || proptest::option::of(select(vec![0.0, 1.0, 3.0]));
    let values = (
        proptest::option::of(any_json().prop_map(Literal)),
        proptest::option::of(select(vec![',', '|'])),
        (bound(), bound()),
    );
    (select(kinds), select(sources), any::<[bool; 5]>(), values).prop_map(
        |(kind, from, [required, integer, clamp, empty, invalid], (default, split, (min, max)))| Variable {
            required,
            from: Some(from),
            default,
            empty_is_absent: empty,
            split,
            min,
            max,
            integer,
            clamp,
            invalid_is_absent: invalid,
            ..Variable::new("v", kind)
        },
    )
}

proptest! {
    #[test]
    fn json_is_read_as_a_library_reads_it(text in "[\\[\\]{}\":,\\\\tfn0-9eE+. a\u{e9}-]{0,24}|\\PC{0,16}") {
        let ours = Json::parse(&text).is_ok();
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        // Half of a surrogate pair is replaced by our parser, and refused by the library.
        prop_assert!(ours == theirs || text.contains("\\u"), "{text:?}: {ours} {theirs}");
    }

    #[test]
    fn json_comes_back_as_it_was_written(value in any_json()) {
        let text = value.to_string();
        prop_assert_eq!(&Json::parse(&text).unwrap(), &value);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() || text.contains(['e', 'E']));
    }

    #[test]
    fn any_shape_is_read_as_it_was_written(shape in any_shape()) {
        let text = serde_json::to_string(&shape).unwrap();
        prop_assert_eq!(serde_json::from_str::<Shape>(&text).unwrap(), shape);
    }

    #[test]
    fn any_shape_meets_any_value(shape in any_shape(), value in any_json(), budget in 0_u32..3_000) {
        let request = Request { query: "a=1&b=%41".into(), ..Request::default() };
        // Any result will do, as long as the call ends.
        let _ = shape.apply(&value, whole(&request), &mut Budget::of(budget));
        // Writing directly, and building the value before writing it, give the same text.
        let made = shape.apply(&value, whole(&request), &mut Budget::default());
        let mut text = String::new();
        let written_value = value.to_string();
        let tape = Tape::read_within(&written_value, 1_000).unwrap();
        let written = shape.write(tape.root(), whole(&request), &mut Budget::default(), &mut text);
        prop_assert_eq!(
            written.map(|is_there| is_there.then_some(text)),
            made.map(|made| made.map(|made| made.to_string()))
        );
        let _ = invert(&shape).0.apply(&value, whole(&request), &mut Budget::of(budget));
    }

    #[test]
    fn lists_of_objects_that_are_more_or_less_alike_are_written_as_they_are_made(
        rows in vec(vec((select(vec!["a", "b", "a\"", "\u{e9}"]), any_json()), 0..5), 0..5),
        wanted in vec(
            (select(vec!["a", "b", "a\"", "\u{e9}", "c"]), select(vec!["x", "y"]), any::<bool>()),
            0..5
        ),
    ) {
        // Names may be repeated, missing, in a different order, or only the first of a path.
        let object = |row: Vec<(&'static str, Json<'static>)>| {
            Json::Object(row.into_iter().map(|(name, value)| (name.into(), value)).collect())
        };
        let value = Json::List(rows.into_iter().map(object).collect());
        let field = |(from, to, deep): (&str, &str, bool)| {
            let path = if deep { vec![from.to_owned(), "a".to_owned()] } else { vec![from.to_owned()] };
            Field(to.to_owned(), Shape(vec![Step::Get(path)]))
        };
        let row = Step::Object(wanted.into_iter().map(field).collect());
        let shape = Shape(vec![Step::Each(Shape(vec![row]))]);
        let request = Request::default();
        let made = shape.apply(&value, whole(&request), &mut Budget::default());
        let (written, mut text) = (value.to_string(), String::new());
        let tape = Tape::read_within(&written, 1_000).unwrap();
        let there = shape.write(tape.root(), whole(&request), &mut Budget::default(), &mut text);
        prop_assert_eq!(
            there.map(|is_there| is_there.then_some(text)),
            made.map(|made| made.map(|made| made.to_string()))
        );
    }

    #[test]
    fn what_is_adapted_and_turned_back_is_what_it_was((steps, value) in fitting()) {
        let shape = Shape(steps);
        let (inverse, lost) = invert(&shape);
        prop_assume!(lost.is_empty());
        let request = Request::default();
        let adapted = shape.apply(&value, whole(&request), &mut Budget::default()).unwrap().unwrap();
        let back = inverse.apply(&adapted, whole(&request), &mut Budget::default()).unwrap();
        prop_assert_eq!(back, Some(value), "{:?} made {}", shape, adapted);
    }

    #[test]
    fn the_first_route_whose_condition_holds_serves_a_request(
        value in "[0-9]{1,3}|[a-z0-9,@%C]{1,6}",
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let conditions = ["digits", "list", "{ contains: \"@\" }", ""];
        let route = |form: &usize| {
            let condition = match conditions[*form] {
                "" => String::new(),
                condition => format!(", where: {{ p{form}: {condition} }}"),
            };
            format!(
                "  - match: {{ method: GET, path: \"/x/{{p{form}}}\"{condition} }}\n    \
                 backend: {{ method: GET, path: /v2/{form} }}\n"
            )
        };
        let adapter = adapter(&format!("routes:\n{}", order.iter().map(route).collect::<String>()));
        let decoded = percent_encoding::percent_decode_str(&value).decode_utf8_lossy();
        let holds = |form: &usize| match *form {
            0 => decoded.bytes().all(|byte| byte.is_ascii_digit()),
            1 => decoded.contains(','),
            2 => decoded.contains('@'),
            _ => false,
        };
        let expected = order.iter().copied().find(holds).unwrap_or(3);
        let path = format!("/x/{value}");
        prop_assert!(adapter.has_route("GET", &path) && !adapter.has_route("POST", &path));
        let sent = ClientRequest { method: "GET", path: &path, ..ClientRequest::default() };
        prop_assert_eq!(target(begin(&adapter, sent)), Ok(format!("/v2/{expected}")));
    }

    #[test]
    fn any_variable_meets_any_request(
        variable in any_variable(),
        value in "[0-9]{1,3}|[a-c,|]{0,3}|\\PC{0,3}",
        twice in any::<bool>(),
        sent in any_json(),
    ) {
        let pair = format!("a={}", encoded(&value));
        let query = if twice { format!("{pair}&{pair}") } else { pair };
        let body = Json::Object(vec![("a".into(), sent)]);
        let request = Request { query, body, ..Request::default() };
        let nothing = Request::default();
        let stored = serde_json::to_string(&variable).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Variable>(&stored).unwrap(), &variable);

        // A value that does not fit is refused, or counts as absent.
        let strict = Variable { invalid_is_absent: false, ..variable.clone() };
        let lenient = Variable { invalid_is_absent: true, ..variable.clone() };
        let expected = strict.value(&request).or_else(|_| strict.value(&nothing));
        prop_assert_eq!(lenient.value(&request), expected);
        if lenient.default.is_some() {
            prop_assert!(lenient.value(&request).is_ok_and(|value| value.is_some()));
        }

        // So may an empty string.
        let from = Some(Source::Query("a".to_owned()));
        let variable = Variable { empty_is_absent: true, from, ..variable };
        for query in ["a=", "a", "b=1&a=&a="] {
            let request = Request { query: query.to_owned(), ..Request::default() };
            prop_assert_eq!(variable.value(&request), variable.value(&nothing));
        }
    }

    #[test]
    fn a_filled_path_has_the_segments_of_its_template(a in hostile(), b in hostile()) {
        let request =
            Request { query: format!("a={}&b={}", encoded(&a), encoded(&b)), ..Request::default() };
        let text = |text: &str| Part::Text(text.to_owned());
        let place = |name: &str| Part::Request(Source::Query(name.to_owned()));
        let template = Template(vec![
            text("/v2/users/"),
            place("a"),
            text("/reviews/"),
            place("a"),
            place("b"),
            text("/%2"),
            place("b"),
            text("?q="),
            place("a"),
        ]);
        let Ok(path) = template.fill_path(&request) else {
            let is_dots = |text: &str| ["", ".", ".."].contains(&text);
            let ends_escape = ["e", "e."].contains(&&*b.to_ascii_lowercase());
            prop_assert!(is_dots(&a) || is_dots(&format!("{a}{b}")) || ends_escape, "{a:?} {b:?}");
            return Ok(());
        };
        let url = url::Url::parse(&format!("https://backend.example/base{path}")).unwrap();
        let segments: Vec<&str> = url.path_segments().unwrap().collect();
        prop_assert_eq!(segments.len(), 7, "{}", path);
        let fixed = (segments[0], segments[1], segments[2], segments[4]);
        prop_assert_eq!(fixed, ("base", "v2", "users", "reviews"));
        prop_assert_eq!(url.fragment(), None);
    }

    #[test]
    fn any_request_and_any_answers_come_to_an_end(
        method in select(vec!["GET", "POST", "PUT", "DELETE"]),
        path in select(vec![
            "/api/v1/reviews",
            "/api/v1/reviews/7",
            "/api/v1/users/u%2F/reviews",
            "/api/v1/offers/%/reviews",
        ]),
        query in "[a-z=&%0-9]{0,12}|page=[0-9]{1,3}&limit=[0-9]{1,3}",
        body in vec(any::<u8>(), 0..40),
        sent in any_json(),
        answer in any_json(),
        raw in vec(any::<u8>(), 0..60),
        status in 100_u16..600,
        more in any::<bool>(),
    ) {
        let adapter = Arc::new(Adapter::new(example()).unwrap());
        let now = Timestamp::from_millis(0);
        for body in [body, sent.to_string().into_bytes()] {
            let sent = ClientRequest { method, path, query: &query, body: &body, ..ClientRequest::default() };
            let Some((mut exchange, mut next)) = adapter.begin(sent, now) else { continue };
            let page = format!(
                "{{\"data\":{{\"author\":{{\"reviews\":{{\"nodes\":{answer},\
                 \"pageInfo\":{{\"hasNextPage\":{more},\"endCursor\":\"x\"}}}}}},\
                 \"review\":{answer},\"reviews\":{answer}}}}}"
            );
            let answers = [page.clone().into_bytes(), raw.clone(), answer.to_string().into_bytes()];
            let mut asked = 0;
            while let Next::Ask(upstream) = next {
                asked += 1;
                prop_assert!(asked <= 20, "more than the pages that may be walked");
                let sent: serde_json::Value = serde_json::from_str(&upstream.body.unwrap()).unwrap();
                let is_declared = adapter.program.routes.iter().any(|route| {
                    matches!(&route.backend, Backend::GraphQl(_, document) if sent["query"] == **document)
                });
                prop_assert!(is_declared, "no client text becomes GraphQL");
                let reply = if asked % 7 == 6 { raw.as_slice() } else { &answers[0] };
                next = exchange.next(Reply::Answered(status, reply), now);
            }
            for answer in &answers {
                exchange.next(Reply::Answered(status, answer), now);
            }
            if let Next::Answer(answer) = next {
                prop_assert!((200..600).contains(&answer.status));
                let is_json = |body: String| serde_json::from_str::<serde_json::Value>(&body).is_ok();
                prop_assert!(answer.body.is_none_or(is_json));
            }
        }
    }
}

#[test]
fn work_is_bounded_also_where_a_shape_asks_for_more_than_anybody_has() {
    // Each level doubles the work; sixty levels would never end.
    let mut shape = Shape(vec![Step::Get(Vec::new())]);
    for _ in 0..60 {
        shape = Shape(vec![Step::Coalesce(vec![
            Shape([shape.0.clone(), vec![Step::Const(Literal(Json::Null))]].concat()),
            Shape(vec![Step::Get(vec!["a".into()])]),
        ])]);
    }
    let deep = (0..40).fold(Json::integer(1), |value, _| Json::Object(vec![("a".into(), value)]));
    let request = Request::default();
    let _ = shape.apply(&deep, whole(&request), &mut Budget::of(10_000));
    let wide = Json::List(vec![Json::integer(1); 5_000]);
    let each = Shape(vec![Step::Each(Shape(vec![Step::Wrap("a".into())]))]);
    let refused = each.apply(&wide, whole(&request), &mut Budget::of(1_000));
    assert_eq!(refused, Err(ShapeError::TooMuch));
    assert!(each.apply(&wide, whole(&request), &mut Budget::default()).is_ok());
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
    let (_, lost) = invert(&Shape(vec![Step::Object(fields)]));
    let named: Vec<&str> = lost.iter().map(|lost| lost.field.as_str()).collect();
    assert_eq!(named, ["default", "either", "either", "cut", "twice"]);
}

#[test]
fn a_value_that_is_no_segment_of_a_path_is_refused() {
    let adapter = rest(
        r#"{ match: { method: DELETE, path: "/q/{name}" }, response: none,
             backend: { method: DELETE, path: "/users/{query.id}/reviews/{path.name}" } }"#,
    );
    let cases = [
        ("/q/a", "id=7", Some("/users/7/reviews/a")),
        ("/q/...", "id=a/..", Some("/users/a%2F../reviews/...")),
        ("/q/a", "id=%252e", Some("/users/%252e/reviews/a")),
        ("/q/a", "id=..", None),
        ("/q/a", "id=.", None),
        ("/q/a", "id=%2e%2E", None),
        ("/q/a", "id=", None),
        ("/q/a", "", None),
        ("/q/%2e%2E", "id=7", None),
        ("/q/.", "id=7", None),
    ];
    for (path, query, expected) in cases {
        let sent = ClientRequest { method: "DELETE", path, query, ..ClientRequest::default() };
        match (target(begin(&adapter, sent)), expected) {
            (Ok(target), Some(expected)) => {
                assert_eq!(target.split('?').next().unwrap(), expected, "{path} {query}");
            }
            (Err(answer), None) => {
                let name = if query == "id=7" { "name" } else { "id" };
                let body = format!(r#"{{"code":"invalid","message":"{name} is missing or not valid"}}"#);
                assert_eq!((answer.status, answer.body), (400, Some(body)), "{path} {query}");
            }
            (found, _) => panic!("{path} {query}: {found:?}"),
        }
    }
}

const MINE: &str = r#"{ match: { method: GET, path: /mine }, response: none,
    backend: { method: GET, path: "/users/{jwt.uid}" } }"#;

#[test]
fn claims_are_picked_from_the_payload_with_their_digits() {
    let adapter = rest(MINE);
    let ask = |claims: &str| {
        begin(&adapter, ClientRequest { method: "GET", path: "/mine", claims, ..ClientRequest::default() })
    };
    let payload = r#"{"sub": "ann", "uid": 1, "note": "not for the adapter", "uid": 9007199254740993}"#;
    let begun = ask(payload);
    assert!(!format!("{:?}", begun.0).contains("not for the adapter"), "{:?}", begun.0);
    assert_eq!(target(begun), Ok("/users/9007199254740993".to_owned()));
    let long = format!(r#"{{"uid": 1, "note": "{}"}}"#, "x".repeat(10_000));
    for refused in ["", "{}", "[1]", "nonsense", r#"{"uid": ".."}"#, r#"{"uid": null}"#, long.as_str()] {
        assert_eq!(target(ask(refused)).unwrap_err().status, 401, "{refused}");
    }
}

/// Sends a request for a page to an adapter of a backend with these responses. Returns the answer and
/// the number of requests to the backend.
fn page(root: &str, response: &str, query: &str, pages: &[&str]) -> (Answer, usize) {
    let adapter = rest(&format!(
        r#"{{ match: {{ method: GET, path: /r }}, backend: {{ method: GET, path: /v2/r }},
             root: {root}, response: {response},
             pagination: {{ page: query.page, limit: {{ from: query.limit, default: 2 }}, link: true,
               cursor: {{ first: first, after: after, page_info: reviews.pageInfo, max_pages: 5 }} }} }}"#
    ));
    let sent = ClientRequest { method: "GET", path: "/r", query, ..ClientRequest::default() };
    let (mut exchange, mut next) = begin(&adapter, sent);
    let mut asked = 0;
    loop {
        match next {
            Next::Answer(answer) => return (answer, asked),
            Next::Ask(_) => {
                let reply = Reply::Answered(200, pages[asked].as_bytes());
                asked += 1;
                next = exchange.next(reply, Timestamp::from_millis(0));
            }
        }
    }
}

const CONNECTION: &str =
    "{ object: { items: { from: nodes, each: id }, total: totalCount, more: pageInfo.hasNextPage } }";
const FIRST: &str = r#"{"reviews":{"nodes":[{"id":1},{"id":2}],"totalCount":3,
    "pageInfo":{"hasNextPage":true,"endCursor":"a"}}}"#;
const LAST: &str = r#"{"reviews":{"nodes":[{"id":3}],"totalCount":3,
    "pageInfo":{"hasNextPage":false,"endCursor":"b"}}}"#;
const WITHOUT_CURSOR: &str = r#"{"reviews":{"nodes":[{"id":1},{"id":2}],"totalCount":3,
    "pageInfo":{"hasNextPage":true,"endCursor":null}}}"#;

#[test]
fn a_page_past_the_last_one_is_empty_in_the_form_of_the_others() {
    let body = |query: &str, pages: &[&str]| {
        let (answer, asked) = page("reviews", CONNECTION, query, pages);
        (answer.status, answer.body.unwrap_or_default(), asked)
    };
    let full = |items: &str, more: bool| format!(r#"{{"items":{items},"total":3,"more":{more}}}"#);
    assert_eq!(body("page=1", &[FIRST]), (200, full("[1,2]", true), 1));
    assert_eq!(body("page=2", &[FIRST, LAST]), (200, full("[3]", false), 2));
    assert_eq!(body("page=3", &[FIRST, LAST]), (200, full("[]", false), 2));
    // Also where the root is above the connection, or the list itself.
    let above = page(".", "reviews.nodes", "page=3", &[FIRST, LAST]).0;
    assert_eq!((above.status, above.body.as_deref()), (200, Some("[]")));
    let list = page("reviews.nodes", "{ each: id }", "page=3", &[FIRST, LAST]).0;
    assert_eq!((list.status, list.body.as_deref()), (200, Some("[]")));
}

#[test]
fn a_next_page_without_a_cursor_is_the_end() {
    let (answer, asked) = page("reviews", CONNECTION, "page=2", &[WITHOUT_CURSOR, FIRST]);
    assert_eq!((answer.status, asked), (200, 1), "the first page is never asked for again");
    assert_eq!(answer.body.unwrap(), r#"{"items":[],"total":3,"more":false}"#);
    let (answer, _) = page("reviews", CONNECTION, "page=1", &[WITHOUT_CURSOR]);
    assert!(answer.headers.is_empty(), "no link to a page that is empty");
}

#[test]
fn an_integer_has_one_notation() {
    let mut variable = Variable::new("id", Kind::Id);
    (variable.integer, variable.from) = (true, Some(Source::Query("id".to_owned())));
    let mut read = |kind: Kind, text: &str| {
        variable.kind = kind;
        let request = Request { query: format!("id={}", encoded(text)), ..Request::default() };
        variable.value(&request).is_ok_and(|value| value.is_some())
    };
    for accepted in ["7", "-7", "0", "10", "9223372036854775807", "-9223372036854775808"] {
        assert!(read(Kind::Id, accepted), "{accepted}");
    }
    for refused in ["", "-", "007", "00", "-0", "+7", " 7", "7 ", "7.0", "5.", "1e3", "0x7", "\u{667}"] {
        assert!(!read(Kind::Id, refused), "{refused}");
    }
    assert!(!read(Kind::Id, "9223372036854775808"), "beyond i64");
    assert!(read(Kind::Int, "7") && read(Kind::Float, "7") && !read(Kind::Float, "7.0"));
}

/// A body with a list that no route reads.
fn body_of(values: usize) -> String {
    format!(r#"{{"list":[{}],"name":"ann"}}"#, vec!["1"; values].join(","))
}

const POSTED: &str = r#"{ match: { method: POST, path: /r }, backend: { method: POST, path: /v2/r },
    variables: { name: body.name }, headers: { x-name: "{body.name}" } }"#;

#[test]
fn a_waiting_exchange_holds_only_what_it_reads_later() {
    let adapter = rest(POSTED);
    let body = body_of(90_000);
    let sent =
        ClientRequest { method: "POST", path: "/r", body: body.as_bytes(), ..ClientRequest::default() };
    let mut begun = None;
    let info = allocation_counter::measure(|| begun = Some(begin(&adapter, sent)));
    assert!(info.bytes_current < 4_096, "{info:?}");
    let (mut exchange, next) = begun.unwrap();
    assert!(exchange.heap_bytes() < 1_024);
    assert!(matches!(next, Next::Ask(Upstream { to: Some((_, target)), .. }) if target == "/v2/r?name=ann"));
    let Next::Answer(answer) = exchange.next(Reply::Answered(200, b"{}"), Timestamp::from_millis(0)) else {
        panic!("one request is enough");
    };
    assert_eq!(answer.headers, [("x-name".to_owned(), "ann".to_owned())]);
}

#[test]
fn a_body_with_too_many_values_is_refused_before_it_is_parsed() {
    let adapter = rest(POSTED);
    let body = body_of(400_000);
    let sent =
        ClientRequest { method: "POST", path: "/r", body: body.as_bytes(), ..ClientRequest::default() };
    let mut begun = None;
    let info = allocation_counter::measure(|| begun = Some(begin(&adapter, sent)));
    assert_eq!(target(begun.unwrap()).unwrap_err().status, 413);
    assert!(info.bytes_max < 16_384, "{info:?}");
}

#[test]
fn exchanges_that_nobody_finishes_are_bounded_together() {
    let adapter = rest(r#"{ match: { method: GET, path: /r }, backend: { method: GET, path: /v2/r } }"#);
    let exchange = |query: &str| {
        begin(&adapter, ClientRequest { method: "GET", path: "/r", query, ..ClientRequest::default() }).0
    };
    let mut pending = Pending::new(0x1fff);
    let query = "q".repeat(65_536);
    let mut last = 0;
    let info = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            last = pending.put(exchange(&query));
        }
    });
    assert!(info.bytes_current < 20_000_000, "{info:?}");
    assert!(pending.take(0).is_none(), "the oldest was given up");
    assert!(pending.take(last).is_some() && pending.take(last).is_none());
    for number in 0..1_000 {
        pending.take(number);
    }
    assert_eq!(pending.heap_bytes(), 0, "an exchange is freed as soon as it goes on");

    // Numbers begin again after the last one.
    let numbers: Vec<u32> = (0..10_000).map(|_| pending.put(exchange(""))).collect();
    let held = numbers.iter().rev().take_while(|number| pending.take(**number).is_some()).count();
    assert_eq!((held, pending.heap_bytes()), (4_096, 0));
}

#[test]
fn the_content_type_of_an_adapter_is_part_of_its_answer() {
    let adapter = rest(
        r#"{ match: { method: GET, path: /r }, backend: { method: GET, path: /v2/r },
             headers: { Content-Type: "application/json; charset=utf-8" } }"#,
    );
    let sent = ClientRequest { method: "GET", path: "/r", ..ClientRequest::default() };
    let (mut exchange, _) = begin(&adapter, sent);
    let Next::Answer(answer) = exchange.next(Reply::Answered(200, b"[]"), Timestamp::from_millis(0)) else {
        panic!("one request is enough");
    };
    let expected = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
    assert_eq!(answer.headers, [expected]);
}

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
        "errors:\n  read: {{ object: {{ code: kind, list: {{ from: list, each: {{ object: {{ {} }} }} }} }} }}\n  \
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

#[test]
fn a_part_of_the_root_that_is_null_has_a_response_of_its_own() {
    let route = |target: &str, root: &str| {
        format!(
            "routes:\n  - match: {{ method: GET, path: /u }}\n    {target}\n    root: {root}\n    \
             partial: pass\n    response: {{ object: {{ n: name }} }}\n    \
             when_null: [{{ at: info.count, status: 404, code: no_page }}, {{ at: ., status: 410, code: gone }}]\n"
        )
    };
    let over_graphql = graphql(&route("operation: P", "user"));
    let over_rest = adapter(
        &route("backend: { method: GET, path: /v2 }", "data.user").replace("    partial: pass\n", ""),
    );
    let cases = [
        (r#"{"name":"ann","info":{"count":0}}"#, 200, r#"{"n":"ann"}"#),
        (r#"{"name":null,"info":{"count":0}}"#, 200, r#"{"n":null}"#),
        (r#"{"name":"ann","info":{"count":null}}"#, 404, "no_page"),
        (r#"{"name":"ann","info":null}"#, 404, "no_page"),
        (r#"{"name":"ann"}"#, 404, "no_page"),
        // The parts of a null are absent.
        ("null", 404, "no_page"),
    ];
    for (user, status, part) in cases {
        for adapter in [&over_graphql, &over_rest] {
            let found = answer(adapter, ("/u", ""), 200, &format!(r#"{{"data":{{"user":{user}}}}}"#));
            let body = found.body.unwrap();
            assert!(found.status == status && body.contains(part), "{user}: {} {body}", found.status);
        }
    }
    // An error of the backend comes before a null that it caused, unless the route passes the data.
    let failed = |user: &str| {
        let text = format!(r#"{{"errors":[{{"message":"M"}}],"data":{{"user":{user}}}}}"#);
        answer(&over_graphql, ("/u", ""), 200, &text).status
    };
    assert_eq!((failed("null"), failed(r#"{"info":null}"#)), (500, 404));
}

#[test]
fn headers_of_an_adapter_are_on_all_its_answers() {
    let adapter = adapter(
        r#"content_type: application/json; charset=utf-8
headers: { access-control-allow-origin: "*", x-client: "{header.x-client}", x-both: "a {query.a}", x-all: "{query.a}" }
errors:
  headers: { cache-control: no-store, x-both: "e {query.a}" }
routes:
  - match: { method: GET, path: "/r/{id}" }
    backend: { method: GET, path: /v2 }
    variables: { n: { from: query.n, type: int } }
    headers: { X-All: "{path.id}" }
  - match: { method: POST, path: /r }
    backend: { method: POST, path: /v2, body: . }
"#,
    );
    let headers = |answer: Answer| {
        let pairs = answer.headers.into_iter().map(|(name, value)| format!("{name}: {value}"));
        pairs.collect::<Vec<_>>()
    };
    let found = |query: &str, status: u16| headers(answer(&adapter, ("/r/7", query), status, "{}"));
    // Constant ones are not among them: the runtime adds those.
    assert_eq!(found("a=1", 200), ["x-both: a 1", "x-all: 7"]);
    assert_eq!(found("a=1", 500), ["x-all: 1", "x-both: e 1"]);
    assert_eq!(found("a=1&n=x", 200), ["x-all: 1", "x-both: e 1"], "without a backend");
    // A header without a value is not sent, and no character that a header cannot carry.
    assert_eq!(found("", 200), ["x-both: a ", "x-all: 7"]);
    assert_eq!(found("a=%0A%E2%82%AC", 500), ["x-all: %0A%E2%82%AC", "x-both: e %0A%E2%82%AC"]);

    let sent = |path| ClientRequest {
        method: "POST",
        path,
        query: "a=1",
        headers: &[("x-client", "https://a.example")],
        ..ClientRequest::default()
    };
    let large = adapter.too_large(sent("/r"), Timestamp::from_millis(0)).unwrap();
    assert_eq!(large.status, 413);
    assert_eq!(headers(large), ["x-client: https://a.example", "x-all: 1", "x-both: e 1"]);
    assert!(adapter.too_large(sent("/s"), Timestamp::from_millis(0)).is_none());

    let program = &adapter.program;
    assert_eq!(program.constant_headers(false), [("access-control-allow-origin", "*")]);
    let of_errors = [("access-control-allow-origin", "*"), ("cache-control", "no-store")];
    assert_eq!(program.constant_headers(true), of_errors);
    let plain = rest(POSTED);
    assert!(plain.program.constant_headers(true).is_empty());
    assert!(!serde_json::to_string(&*plain.program).unwrap().contains("content_type"));
}
