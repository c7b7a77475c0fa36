//! Generators of arbitrary documents, shapes, templates and variables.

use super::*;

fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "c", "id", "data"]).prop_map(str::to_owned)
}

/// Generates names of fields, some of which are indexes too.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![3 => name(), 1 => select(vec!["0", "1", "01"]).prop_map(str::to_owned)]
}

pub(super) fn any_json() -> impl Strategy<Value = Json<'static>> {
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
            vec((part(), inner), 0..5).prop_map(|fields| {
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

/// Generates the choices of [`loose`].
pub(super) fn any_choices() -> impl Strategy<Value = Vec<u8>> {
    vec(0_u8..8, 0..80)
}

/// Writes a value as other writers do: with whitespace between tokens, with escapes that need not be,
/// with halves of surrogate pairs, and with names that are repeated. Each possibility takes a choice;
/// without any, the text is that of `to_string`.
pub(super) fn loose(value: &Json<'_>, choices: Vec<u8>) -> String {
    let mut text = String::new();
    write_loosely(value, &mut choices.into_iter(), &mut text);
    text
}

fn write_loosely(value: &Json<'_>, choices: &mut std::vec::IntoIter<u8>, out: &mut String) {
    write_space(choices, out);
    match value {
        Json::Text(text) => write_text_loosely(text, choices, out),
        Json::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_loosely(item, choices, out);
            }
            write_space(choices, out);
            out.push(']');
        }
        Json::Object(fields) => {
            let last = fields.last().map(|(_, value)| value);
            let names = fields.iter().map(|(name, value)| (name, value));
            let repeated = names.clone().next().filter(|_| choices.next() == Some(1));
            let repeated = repeated.zip(last).map(|((name, _), value)| (name, value));
            out.push('{');
            for (index, (name, value)) in names.chain(repeated).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_space(choices, out);
                write_text_loosely(name, choices, out);
                write_space(choices, out);
                out.push(':');
                write_loosely(value, choices, out);
            }
            write_space(choices, out);
            out.push('}');
        }
        scalar => scalar.write(out),
    }
    write_space(choices, out);
}

fn write_space(choices: &mut std::vec::IntoIter<u8>, out: &mut String) {
    out.push_str(match choices.next() {
        Some(1) => " ",
        Some(2) => "\n\t",
        Some(3) => "\r\n  ",
        _ => "",
    });
}

fn write_text_loosely(text: &str, choices: &mut std::vec::IntoIter<u8>, out: &mut String) {
    let half = match choices.next() {
        Some(1) => "\\ud83d",
        Some(2) => "\\uDE00",
        _ => "",
    };
    out.push('"');
    for character in text.chars() {
        match choices.next() {
            Some(1) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            Some(2 | 3) if character == '/' => out.push_str("\\/"),
            _ => {
                let quoted = Json::text(character.to_string()).to_string();
                out.push_str(quoted.get(1..quoted.len() - 1).unwrap());
            }
        }
    }
    out.push_str(half);
    out.push('"');
}

fn date_form() -> impl Strategy<Value = DateForm> {
    select(vec![DateForm::Rfc3339, DateForm::Epoch, DateForm::EpochMs])
}

fn any_template() -> impl Strategy<Value = Template> {
    let place = prop_oneof![
        "[/?a\"\\\\\n\u{e9}]{0,3}".prop_map(Part::Text),
        name().prop_map(|name| Part::Request(Source::Query(name))),
        vec(part(), 0..3).prop_map(Part::Value),
    ];
    vec(place, 0..4).prop_map(Template)
}

fn any_page_url() -> impl Strategy<Value = PageUrl> {
    let keep = prop_oneof![Just(Kept::All), vec(name(), 0..3).prop_map(Kept::Named)];
    let position = select(vec![PagePosition::First, PagePosition::Last, PagePosition::Same]);
    (any_template(), vec(part(), 0..3), name(), keep, position)
        .prop_map(|(base, page, parameter, keep, position)| PageUrl { base, page, parameter, keep, position })
}

/// Generates shapes that may refer to named ones, of which the last is missing.
pub(super) fn any_shape() -> impl Strategy<Value = Shape> {
    shape_with(NAMED_SHAPES + 1)
}

const NAMED_SHAPES: u32 = 3;

/// Generates named shapes of which each refers only to those before it.
pub(super) fn named_shapes() -> impl Strategy<Value = Vec<Shape>> {
    let named = |known: u32| {
        shape_with(known).prop_map(|Shape(mut steps)| {
            if steps.is_empty() {
                steps.push(Step::HideNull);
            }
            Shape(steps)
        })
    };
    (0..NAMED_SHAPES).map(|known| named(known).boxed()).collect::<Vec<_>>()
}

/// Generates shapes that may refer to so many named ones.
fn shape_with(named: u32) -> impl Strategy<Value = Shape> {
    let literal = || any_json().prop_map(Literal);
    let reference = match named {
        0 => Just(Step::HideNull).boxed(),
        _ => (0..named).prop_map(Step::Shape).boxed(),
    };
    let leaf = prop_oneof![
        reference,
        vec(part(), 0..3).prop_map(Step::Get),
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
        any_template().prop_map(Step::Text),
        any_template().prop_map(Step::Url),
        any_page_url().prop_map(|url| Step::PageUrl(Box::new(url))),
        Just(Step::Length),
        Just(Step::Required),
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
pub(super) fn fitting() -> impl Strategy<Value = (Vec<Step>, Json<'static>)> {
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
pub(super) fn any_variable() -> impl Strategy<Value = Variable> {
    let list = |kind| Kind::List(Box::new(kind));
    let item = |from: &[&str], kind| {
        let from = from.iter().map(|name| (*name).to_owned()).collect();
        Variable { required: true, from: Some(Source::Body(from)), ..Variable::new("", kind) }
    };
    let each = |item: Variable| Kind::Each(Box::new(item));
    let fields = Kind::Object(vec![item(&["a"], Kind::Int), item(&["b", "0"], each(item(&[], Kind::Any)))]);
    let object = Variable { required: true, ..Variable::new("", fields) };
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
        each(item(&["a"], Kind::Id)),
        each(object),
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
