//! Properties of arbitrary documents and shapes: they come back as they were, and the work is bounded.

use super::*;

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
    fn unchanged_parts_are_copied_verbatim(value in any_json(), choices in any_choices()) {
        let part = loose(&value, choices);
        let source = format!("{{ \"n\":0, \"part\" :{part}}}");
        let tape = Tape::read_within(&source, 1_000).unwrap();
        let request = Request::default();
        let get = Shape(vec![Step::Get(vec!["part".to_owned()])]);
        let object = Shape(vec![Step::Object(vec![Field("a".to_owned(), get.clone())])]);
        let verbatim = part.trim_matches([' ', '\n', '\r', '\t']);
        let expected = [
            (Shape::default(), source.clone()),
            (get, verbatim.to_owned()),
            (object, format!("{{\"a\":{verbatim}}}")),
        ];
        for (shape, expected) in expected {
            let mut text = String::new();
            let written = shape.write(tape.root(), whole(&request), &mut Budget::default(), &mut text);
            prop_assert_eq!((written, text), (Ok(true), expected));
        }
    }

    #[test]
    fn any_shape_is_read_as_it_was_written(shape in any_shape()) {
        let text = serde_json::to_string(&shape).unwrap();
        prop_assert_eq!(serde_json::from_str::<Shape>(&text).unwrap(), shape);
    }

    #[test]
    fn any_shape_meets_any_value(
        shape in any_shape(),
        shapes in named_shapes(),
        value in any_json(),
        choices in any_choices(),
        query in "a=1&b=%41|[abc=&%41+\"]{0,12}",
        budget in 0_u32..3_000,
    ) {
        let source = loose(&value, choices);
        let tape = Tape::read_within(&source, 1_000).unwrap();
        let value = tape.json();
        let request = Request { query, ..Request::default() };
        let whole = with_shapes(&request, &shapes);
        // Any result will do, as long as the call ends.
        let _ = shape.apply(&value, whole, &mut Budget::of(budget));
        // Writing directly, and building the value before writing it, give the same value: its parts
        // that are unchanged have the text of the source.
        let made = shape.apply(&value, whole, &mut Budget::default());
        // So do named shapes, and the same ones written out.
        prop_assert_eq!(&shape.expanded(&shapes).apply(&value, whole, &mut Budget::default()), &made);
        let mut text = String::new();
        let written = shape.write(tape.root(), whole, &mut Budget::default(), &mut text);
        let reread = |text: &str| Json::parse_within(text, 1_000).unwrap().to_string();
        prop_assert_eq!(
            written.map(|is_there| is_there.then(|| reread(&text))),
            made.map(|made| made.map(|made| made.to_string()))
        );
        let _ = invert(&shape, &shapes).0.apply(&value, whole, &mut Budget::of(budget));
    }

    #[test]
    fn whatever_cannot_be_written_has_a_place(
        shape in any_shape(),
        value in any_json(),
        budget in 0_u32..3_000,
    ) {
        let request = Request { query: "a=1&b=%41".into(), ..Request::default() };
        let text = value.to_string();
        let tape = Tape::read_within(&text, 1_000).unwrap();
        let written = shape.write(tape.root(), whole(&request), &mut Budget::default(), &mut String::new());
        let misfit = shape.diagnose(&value, whole(&request), &mut Budget::default());
        prop_assert_eq!(misfit.is_none(), written == Ok(true), "{:?}", misfit);
        if let Some(Misfit { path, expected, found, .. }) = misfit {
            prop_assert!(![path, expected, found].contains(&String::new()));
        }
        // Any result will do, as long as the call ends.
        let _ = shape.diagnose(&value, whole(&request), &mut Budget::of(budget));
    }

    #[test]
    fn lists_of_objects_that_are_more_or_less_alike_are_written_as_they_are_made(
        rows in vec(vec((select(vec!["a", "b", "a\"", "\u{e9}"]), any_json()), 0..5), 0..5),
        wanted in vec(
            (select(vec!["a", "b", "a\"", "\u{e9}", "c"]), select(vec!["x", "y"]), 0..6),
            0..5
        ),
    ) {
        // Names may be repeated, missing, in a different order, or only the first of a path.
        let object = |row: Vec<(&'static str, Json<'static>)>| {
            Json::Object(row.into_iter().map(|(name, value)| (name.into(), value)).collect())
        };
        let value = Json::List(rows.into_iter().map(object).collect());
        let field = |(from, to, kind): (&str, &str, i32)| {
            let path = |length: usize| -> Vec<String> {
                [from, "a"].iter().take(length).map(|name| (*name).to_owned()).collect()
            };
            // Fields that no text can contain would make most lists unfit.
            let text = vec![Part::Text("\"".to_owned()), Part::Value(path(2)), Part::Value(path(2))];
            let steps = match kind {
                0 => vec![Step::Get(path(1))],
                1 => vec![Step::Get(path(2))],
                2 => vec![Step::Text(Template(text))],
                3 => vec![Step::Url(Template(text))],
                4 => vec![Step::Text(Template(text)), Step::Default(Literal(Json::text("-")))],
                _ => vec![Step::Url(Template(text)), Step::HideNull],
            };
            Field(to.to_owned(), Shape(steps))
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
        let (inverse, lost) = invert(&shape, &[]);
        prop_assume!(lost.is_empty());
        let request = Request::default();
        let adapted = shape.apply(&value, whole(&request), &mut Budget::default()).unwrap().unwrap();
        let back = inverse.apply(&adapted, whole(&request), &mut Budget::default()).unwrap();
        prop_assert_eq!(back, Some(value), "{:?} made {}", shape, adapted);
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
    let _ = shape.diagnose(&deep, whole(&request), &mut Budget::of(10_000));
    let wide = Json::List(vec![Json::integer(1); 5_000]);
    let each = Shape(vec![Step::Each(Shape(vec![Step::Wrap("a".into())]))]);
    let refused = each.apply(&wide, whole(&request), &mut Budget::of(1_000));
    assert_eq!(refused, Err(ShapeError::TooMuch));
    assert!(each.apply(&wide, whole(&request), &mut Budget::default()).is_ok());
}
