//! Properties of arbitrary requests: routes, variables, paths, and exchanges that come to an end.

use super::*;

proptest! {
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
    fn a_place_of_a_url_stays_within_its_segment(a in hostile(), b in "\\PC{0,8}") {
        let text = |text: &str| Part::Text(text.to_owned());
        let place = |name: &str| Part::Value(vec![name.to_owned()]);
        let template = Template(vec![text("https://a.example/"), place("a"), text("/"), place("b")]);
        let shape = Shape(vec![Step::Url(template)]);
        let value = Json::Object(vec![
            ("a".into(), Json::text(a.as_str())),
            ("b".into(), Json::text(b.as_str())),
        ]);
        let made = shape.apply(&value, whole(&Request::default()), &mut Budget::default()).unwrap().unwrap();
        let url = made.as_text().unwrap();
        let places: Vec<&str> = url.strip_prefix("https://a.example/").unwrap().split('/').collect();
        let decoded: Vec<String> = places
            .iter()
            .map(|place| percent_encoding::percent_decode_str(place).decode_utf8().unwrap().into_owned())
            .collect();
        prop_assert_eq!(decoded, [a.as_str(), b.as_str()], "{}", url);
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
                // A number beyond what a float holds is one, too.
                let is_json = |body: String| serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
                prop_assert!(answer.body.is_none_or(is_json));
            }
        }
    }
}

/// Generates values that parsers of URLs read in another way than as text.
fn hostile() -> impl Strategy<Value = String> {
    let known =
        ["", ".", "..", "%2e", ".%2E", "%2e%2e", "e", "a/..", "..\\", "\t..", "..\n", "?", "#", "/", " "];
    prop_oneof![select(known.to_vec()).prop_map(str::to_owned), "[.%2eE/\\\\?#a\\t]{0,6}", "\\PC{0,8}",]
}
