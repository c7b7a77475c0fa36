//! Properties of adapters on arbitrary input: they do not panic, their work is bounded, and
//! inverted shapes restore their input.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use cutover_core::{
    Timestamp,
    adapter::{
        Adapter, Backend, Budget, ClientRequest, Conversion, DateForm, EvalContext, Field, Literal, Next,
        Program, Reply, Request, Shape, ShapeError, Source, Step, invert,
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
