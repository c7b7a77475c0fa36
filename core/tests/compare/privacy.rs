//! Data of bodies that is in no report.

use super::*;

#[test]
fn keys_that_look_like_data_are_not_reported() {
    let old =
        r#"{"limits":{"ann@example.com":{"credit":1},"c0ffee00-0000-4000-8000-00805f9b34fb":{"credit":1}}}"#;
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
    let record =
        |first: usize| object(&|number| if number == 0 { first.to_string() } else { "\"x\"".to_owned() }, 60);
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
