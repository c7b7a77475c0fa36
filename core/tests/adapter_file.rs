//! Adapters in a file: what is right compiles, and every mistake is named with its place and what to do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use cutover_core::{
    adapter::{FaultStatus, ParameterForm, Program, Request, WhenNull},
    config::{Config, Problem},
    snapshot::{Snapshot, SnapshotError},
    vocabulary::revision::Revision,
};

const SCHEMA: &str = include_str!("../../tests/reviews/schema.graphql");
const OPERATIONS: &str = include_str!("../../tests/reviews/operations.graphql");
const ADAPTER: &str = include_str!("../../tests/reviews/adapter.yaml");
const CONFIG: &str = "adapters: { reviews: reviews/adapter.yaml }";

fn read(config: &str, adapter: &str, operations: &str, schema: &str) -> Result<Config, Vec<Problem>> {
    Config::from_yaml_with(config, &|name| match name {
        "reviews/adapter.yaml" => Ok(adapter.to_owned()),
        "reviews/operations.graphql" => Ok(operations.to_owned()),
        "reviews/schema.graphql" => Ok(schema.to_owned()),
        _ => Err("there is no such file".to_owned()),
    })
}

#[test]
fn the_example_compiles_and_comes_back_as_it_was_stored() {
    let config = read(CONFIG, ADAPTER, OPERATIONS, SCHEMA).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let stored = serde_json::to_value(&config).unwrap();
    assert!(serde_json::from_value::<Config>(stored.clone()).unwrap() == config);
    // What was stored is a configuration of its own, without the files.
    assert!(Config::from_json(&stored).unwrap() == config);
    let text = serde_json::to_string(&stored).unwrap();
    assert!(!text.contains("isModeratedBy"));
}

/// What is changed in one of the files, and what must be said: the file with the line, a part of the message, and a part of
/// the remedy.
struct Mistake {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    at: &'static str,
    says: &'static str,
    remedy: &'static str,
}

const ADAPTER_FILE: &str = "reviews/adapter.yaml";
const OPERATIONS_FILE: &str = "reviews/operations.graphql";

const MISTAKES: [Mistake; 20] = [
    Mistake {
        file: ADAPTER_FILE,
        from: "author_id: authorId",
        to: "author_id: autorId",
        at: "reviews/adapter.yaml:13:",
        says: "Reviews does not select autorId of Review!",
        remedy: "did you mean authorId?",
    },
    Mistake {
        file: OPERATIONS_FILE,
        from: "  rating\n  text",
        to: "  stars\n  text",
        at: "reviews/operations.graphql:6:",
        says: "type `Review` does not have a field `stars`",
        remedy: "so that it fits the schema",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "      text: body.text\n    root: createReview",
        to: "    root: createReview",
        at: "reviews/adapter.yaml:",
        says: "CreateReview needs $text: String!",
        remedy: "add text:",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "variables: { authorId: path.id }",
        to: "variables: { authorId: path.id, autor: path.id }",
        at: "reviews/adapter.yaml:64:",
        says: "AuthorReviews declares no variable $autor",
        remedy: "did you mean authorId?",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "    root: review\n    when_null: { status: 404, code: not_found, message: \"no such review\" }",
        to: "    root: review",
        at: "reviews/adapter.yaml:",
        says: "review of Review may be null",
        remedy: "when_null",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "rating: rating",
        to: "rating: { from: rating, as: number }",
        at: "reviews/adapter.yaml:14:",
        says: "Int! cannot be converted like this",
        remedy: "as: string",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "    root: reviews\n    response: { each: { shape: review } }",
        to: "    root: reviews\n    response: { shape: review }",
        at: "reviews/adapter.yaml:12:",
        says: "[Review!]! is a list",
        remedy: "each",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "operation: Reviews",
        to: "operation: Revievs",
        at: "reviews/adapter.yaml:42:",
        says: "there is no operation \"Revievs\"",
        remedy: "did you mean Reviews?",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "variables: { offerId: { from: path.id, integer: true } }",
        to: "variables: { offerId: { from: path.offer, integer: true } }",
        at: "reviews/adapter.yaml:",
        says: "the path of the route has no parameter \"offer\"",
        remedy: "{offer}",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "          text: body.text\n    root: updateReview",
        to: "          txt: body.text\n    root: updateReview",
        at: "reviews/adapter.yaml:",
        says: "ReviewChanges! declares no variable $txt",
        remedy: "did you mean text?",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "offset: { skip: offset, take: limit }",
        to: "offset: { skip: offset, take: count }",
        at: "reviews/adapter.yaml:",
        says: "declares no variable $count",
        remedy: "declare $count",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "page_info: author.reviews.pageInfo",
        to: "page_info: author.reviews.nodes",
        at: "reviews/adapter.yaml:",
        says: "does not select hasNextPage and endCursor at author.reviews.nodes",
        remedy: "pageInfo { hasNextPage endCursor }",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "NOT_FOUND: { status: 404,",
        to: "NOT_FOUND: { status: 200,",
        at: "reviews/adapter.yaml:33:",
        says: "200 is out of range",
        remedy: "from 400 to 599",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "data: .\n",
        to: "data: { shape: envelop }\n",
        at: "reviews/adapter.yaml:",
        says: "there is no shape \"envelop\"",
        remedy: "define it under shapes",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "      rating: rating\n",
        to: "      rating: rating\n      review: { shape: review }\n",
        at: "reviews/adapter.yaml:15:",
        says: "the shape review contains itself",
        remedy: "break the cycle",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "schema: schema.graphql",
        to: "schema: schema.grapql",
        at: "reviews/adapter.yaml:2:",
        says: "reviews/schema.grapql: there is no such file",
        remedy: "correct the name",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "forward_headers: [authorization]",
        to: "forward_headers: [authorization, \"x trace\"]",
        at: "reviews/adapter.yaml:5:",
        says: "\"x trace\" is not the name of a header",
        remedy: "such as x-trace",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "keep_headers: [x-backend]",
        to: "keep_headers: [x-backend, Set-Cookie]",
        at: "reviews/adapter.yaml:6:",
        says: "several cookies cannot be joined in one header",
        remedy: "remove it",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "endpoint: /graphql\n",
        to: "endpoint: /graphql\nversion: { header: \"X API Version\" }\n",
        at: "reviews/adapter.yaml:5:",
        says: "\"X API Version\" is not the name of a header",
        remedy: "such as X-API-Version",
    },
    Mistake {
        file: ADAPTER_FILE,
        from: "headers: { location: \"/api/v1/reviews/{id}\" }",
        to: "headers: { content-length: \"{id}\" }",
        at: "reviews/adapter.yaml:",
        says: "content-length describes a body that the adapter replaces",
        remedy: "the runtime sets it",
    },
];

#[test]
fn every_mistake_is_named_with_its_line_and_what_to_do() {
    for mistake in &MISTAKES {
        let changed = |file: &str, text: &str| {
            if mistake.file != file {
                return text.to_owned();
            }
            assert!(text.contains(mistake.from), "{}", mistake.from);
            text.replacen(mistake.from, mistake.to, 1)
        };
        let adapter = changed(ADAPTER_FILE, ADAPTER);
        let operations = changed(OPERATIONS_FILE, OPERATIONS);
        let problems = read(CONFIG, &adapter, &operations, SCHEMA).expect_err(mistake.says);
        let told: Vec<String> =
            problems.iter().map(|problem| format!("{problem} | {}", problem.hint)).collect();
        let fits = |line: &String| {
            line.starts_with(mistake.at) && line.contains(mistake.says) && line.contains(mistake.remedy)
        };
        assert!(told.iter().any(fits), "{}: {told:#?}", mistake.says);
    }
}

#[test]
fn all_mistakes_are_named_at_once() {
    let mut adapter = ADAPTER.to_owned();
    let mut planted = 0;
    // Those that leave the documents readable and the others findable.
    for mistake in MISTAKES.iter().filter(|mistake| {
        mistake.file == ADAPTER_FILE && !["grapql", "Revievs"].iter().any(|word| mistake.to.contains(word))
    }) {
        if adapter.contains(mistake.from) {
            adapter = adapter.replacen(mistake.from, mistake.to, 1);
            planted += 1;
        }
    }
    assert!(planted >= 12, "{planted}");
    let problems = read(CONFIG, &adapter, OPERATIONS, SCHEMA).expect_err("mistakes");
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let missing: Vec<&str> = MISTAKES
        .iter()
        .filter(|mistake| {
            adapter.contains(mistake.to) && !told.iter().any(|line| line.contains(mistake.says))
        })
        .map(|mistake| mistake.says)
        .collect();
    println!("{planted} mistakes planted, {} problems told", told.len());
    assert_eq!(missing, Vec::<&str>::new(), "{told:#?}");
}

#[test]
fn a_snapshot_with_everything_is_read_as_it_was_written() {
    let more = r#"
feature_flags: { graphql: { enabled: true, rollout_percentage: 12.5, user_whitelist: ["a"], salt: other } }
origins: { rest: { url: "http://a", timeout_ms: 1000 }, graphql: { url: "http://b" } }
ab_tests: { t: { name: T, variants: { a: { name: A, traffic_percentage: 40 }, b: { name: B, traffic_percentage: 60 } } } }
routes:
  - id: reviews
    match: { path: "/api/v1/{*rest}" }
    flag: graphql
    legacy: rest
    new: graphql
    adapt: [reviews]
    compare:
      sample: 2.5
      noise: 50
      per_minute: 7
      concurrency: 3
      timeout_ms: 900
      max_bytes: 1000
      max_depth: 9
      headers: [Link]
      mirror: { methods: [PUT], key_header: Idempotency-Key }
      rules:
        - { path: timestamp, ignore: true }
        - { path: "data[].tags", unordered: true }
        - { path: "data[]", key_by: sku }
        - { path: "data[].price", tolerance: 0.01 }
        - { path: "data[].at", normalise: date }
        - { path: "data[].a", normalise: lowercase }
        - { path: "data[].b", normalise: whitespace }
        - { path: "data[].c", normalise: number }
    error_when: { path: result.ok, equals: false }
"#;
    let config = read(&format!("{CONFIG}{more}"), ADAPTER, OPERATIONS, SCHEMA).unwrap();
    assert!(Config::from_json(&serde_json::to_value(&config).unwrap()).unwrap() == config);
    let snapshot = config.clone().snapshot(Revision(7), None);
    let text = snapshot.encode().unwrap();
    assert!(Snapshot::decode(&text).unwrap() == snapshot);
    assert!(
        text.starts_with("{\"schema\":2,"),
        "a Worker of before must not send requests past their adapter"
    );

    let mut plain = snapshot;
    plain.routes.iter_mut().for_each(|route| route.adapt.clear());
    let text = plain.encode().unwrap();
    assert!(text.starts_with("{\"schema\":1,") && Snapshot::decode(&text).unwrap() == plain);
    let later = text.replacen("\"schema\":1", "\"schema\":4", 1);
    assert!(matches!(Snapshot::decode(&later), Err(SnapshotError::Schema(4))));
}

/// A Worker of before ignores fields that it does not know. What it would do without them must not happen.
#[test]
fn a_snapshot_that_an_earlier_worker_would_misread_has_a_later_schema() {
    let schema = |adapter: &str| {
        let text = format!(
            "feature_flags: {{ f: {{ enabled: true }} }}\norigins: {{ o: {{ url: \"http://o\" }} }}\n\
             adapters: {{ a: {{ {adapter} }} }}\n\
             routes: [{{ id: r, match: {{ path: /r }}, flag: f, legacy: o, new: o, adapt: [a] }}]\n"
        );
        let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let text = config.snapshot(Revision(1), None).encode().unwrap();
        assert!(Snapshot::decode(&text).is_ok());
        text.get(10..11).map(str::to_owned).unwrap()
    };
    let route = |more: &str| {
        format!(
            "routes: [{{ match: {{ method: GET, path: /r }}, backend: {{ method: GET, path: /r }}{more} }}]"
        )
    };
    assert_eq!(schema(&route("")), "2");
    for more in [
        ", root: a.0",
        ", response: { object: { b: { from: c.1 } } }",
        ", variables: { v: { from: query.v, empty: absent } }",
    ] {
        assert_eq!(schema(&route(more)), "3", "{more}");
    }
    for field in
        ["etag: true", "content_type: text/json", "headers: { a: b }", "errors: { headers: { a: b } }"]
    {
        assert_eq!(schema(&format!("{field}, {}", route(""))), "3", "{field}");
    }
    let conditional = "routes: [{ match: { method: GET, path: \"/r/{id}\", where: { id: digits } }, \
                       backend: { method: GET, path: /r } }]";
    assert_eq!(schema(conditional), "3");
}

/// Returns the problems of a file that must have some, with their remedies.
fn problems(text: &str) -> Vec<String> {
    let told = |problem: &Problem| format!("{problem} | {}", problem.hint);
    Config::from_yaml(text).err().unwrap_or_default().iter().map(told).collect()
}

#[test]
fn names_that_no_header_has_or_that_make_no_sense_are_refused() {
    let cases = [
        ("forward_headers: [Transfer-Encoding]", "transfer-encoding concerns a single connection"),
        ("forward_headers: [content-length]", "content-length describes a body"),
        ("forward_headers: [\"\"]", "\"\" is not the name of a header"),
        ("keep_headers: [connection]", "connection concerns a single connection"),
        ("keep_headers: [Content-Encoding]", "content-encoding describes a body"),
        ("keep_headers: [content-type]", "write headers: { content-type: ... }"),
        ("keep_headers: [\"x:y\"]", "\"x:y\" is not the name of a header"),
        ("headers: { content-type: text/plain }", "write content_type: beside headers"),
        ("headers: { Content-Length: \"1\" }", "content-length describes a body"),
        ("headers: { x-a: \"{id}\" }", "{id} is not a place in the request"),
        ("headers: { x-a: \"a\\nb\" }", "characters that no header can carry"),
        ("errors: { headers: { x-a: \"{message}\" } }", "{message} is not a place in the request"),
        ("errors: { headers: { \"x a\": b } }", "such as x-a"),
        ("content_type: json", "\"json\" is not a media type"),
        ("content_type: \"text/plain; a=\u{20ac}\"", "is not a media type"),
        ("version: { header: \"\" }", "\"\" is not the name of a header"),
        ("version: { header: x-v, absent: false }", "no request is of this version"),
        ("forward_headers: [x-a, X-A]", "x-a is in this list twice"),
        ("keep_headers: [etag, etag]", "etag is in this list twice"),
        ("headers: { x-a: b, X-A: c }", "the header X-A is here twice"),
        ("errors: { headers: { X-A: b, x-a: c } }", "the header x-a is here twice"),
    ];
    for (line, expected) in cases {
        let told = problems(&format!("adapters:\n  a:\n    {line}\n    routes: []\n"));
        let fits = |problem: &String| problem.starts_with("3:") && problem.contains(expected);
        assert!(told.len() == 1 && told.iter().any(fits), "{line}: {told:#?}");
    }
    let told =
        problems("adapters:\n  a:\n    forward_headers: [If-None-Match]\n    etag: true\n    routes: []\n");
    assert!(
        told.len() == 1 && told[0].starts_with("3:") && told[0].contains("the edge answers 304"),
        "{told:#?}"
    );
    let program = |fields: &str| {
        let config = Config::from_yaml(&format!("adapters: {{ a: {{ {fields}, routes: [] }} }}")).unwrap();
        let program = config.adapters.values().next().unwrap().program();
        (program.etag, program.reads.clone())
    };
    let reads = vec!["if-none-match".to_owned()];
    assert_eq!(program("forward_headers: [if-none-match]"), (false, reads.clone()));
    assert_eq!(program("etag: true"), (true, reads));
    assert_eq!(program("etag: false"), (false, Vec::new()));
    let allowed = "forward_headers: [Authorization, accept-language], keep_headers: [etag, Cache-Control]";
    let config = Config::from_yaml(&format!("adapters: {{ a: {{ {allowed}, routes: [] }} }}")).unwrap();
    let program = config.adapters.values().next().unwrap().program();
    assert_eq!(program.keep, ["etag", "cache-control"]);
}

/// Returns the problems of a mapping of a user, which is written in line 9.
fn problems_of_mapping(mapping: &str) -> Vec<String> {
    let schema = "type Query { user: User! } type User { id: ID! name: String born: Int! tags: [String!]! \
                  level: Level! friends: [User!]! address: Address } type Address { city: String! } \
                  enum Level { LOW HIGH }";
    let operations = "query Q { user { id name born tags level friends { id } address { city } } }";
    problems(&format!(
        "adapters:\n  a:\n    schema: \"{schema}\"\n    operations: \"{operations}\"\n    routes:\n      \
         - match: {{ method: GET, path: '/u/{{id}}' }}\n        operation: Q\n        root: user\n        \
         response: {mapping}\n"
    ))
}

#[test]
fn texts_and_paths_are_checked_against_the_selection() {
    let cases = [
        // Texts with places.
        ("'https://api.example/users/{nam}'", "Q does not select nam of User!", "did you mean name?"),
        ("{ url: '/u/{friends}' }", "[User!]! is a list, which a text cannot contain", "such as friends.0"),
        ("{ text: '{address}' }", "Address is an object, which a text cannot", "such as address.city"),
        ("'{.}'", "User! is an object, which a text cannot contain", "one of its fields, such as id"),
        ("{ from: friends, each: '{name}' }", "Q does not select name of User!", "select name in"),
        ("'{path.x}'", "the path of the route has no parameter \"x\"", "write {x} in the path"),
        ("{ request: path }", "\"path\" is not a place in a request", "write path.NAME"),
        ("'{friends[0].id}'", "\"friends[0].id\" is not a path", "write friends.0.id"),
        ("'{}'", "\"\" is not a path", "write names with a dot between"),
        ("'/u/{id'", "has a { without its }", "close the place"),
        // Paths.
        ("friends[0].id", "\"friends[0].id\" is not a path", "write friends.0.id"),
        ("{ from: '[0]' }", "\"[0]\" is not a path", "write 0"),
        ("https://api.example/users", "is not a path", "write const: \"https://api.example/users\""),
        ("{ from: '/u/{id}' }", "\"/u/{id}\" is not a path", "as text: or url:"),
        ("friends.01", "[User!]! is a list and has no field 01", "by its number"),
        ("{ from: friends, pick: ['0'] }", "[User!]! is a list and has no field 0", "each"),
        ("friends.0.name", "Q does not select name of User!", "select name in"),
        // URLs of pages.
        ("{ page_url: { base: /u, page: tags } }", "[String!]! is a list", "such as tags.0"),
        ("{ page_url: { base: '/u/{x}', page: born } }", "Q does not select x of User!", "select x"),
        ("{ page_url: { base: '/u#top', page: born } }", "would be behind the #", "remove the #"),
        ("{ page_url: { base: /u, page: born, keep: [page] } }", "page is the number of the page", "remove"),
        ("{ page_url: { base: /u, page: born, keep: some } }", "expected a list, found a string", "or all"),
        ("{ page_url: { base: /u, page: born, position: top } }", "\"top\" is not a position", "same"),
        ("{ page_url: { page: born } }", "base is missing", "write { base:"),
        // What a mapping makes of them.
        ("{ length: true }", "User! is not a list", "{ from: users, length: true }"),
        ("{ from: name, otherwise: x }", "otherwise has no effect without map", "add map"),
        ("{ text: '{id}', as: string }", "String! cannot be converted like this", "as: number"),
        ("{ text: '{name}', as: string }", "String cannot be converted like this", "as: number"),
        ("{ from: tags, length: true, as: number }", "Int! cannot be converted like this", "as: string"),
        ("{ coalesce: [born, born], as: number }", "Int! cannot be converted like this", "as: string"),
        ("{ coalesce: [nam, born], as: number }", "Q does not select nam of User!", "did you mean name?"),
        ("{ from: level, map: { LOW: 1, HGIH: 2 } }", "Level! is never HGIH", "did you mean HIGH?"),
        ("{ from: level, map: { LOW: 1, HIGH: 2, MID: 3 } }", "Level! is never MID", "remove it"),
        ("{ from: born, default: 0 }", "Int! is never null or absent", "remove it"),
        ("{ from: address, pick: [city, zip] }", "Q does not select zip of Address", "select zip"),
        (
            "{ from: address, rename: { ctiy: town } }",
            "Q does not select ctiy of Address",
            "did you mean city?",
        ),
        ("{ from: friends, each: '/u/{id}', pick: [x] }", "is a list and has no field x", "each"),
    ];
    for (mapping, expected, remedy) in cases {
        let told = problems_of_mapping(mapping);
        let fits = |line: &String| line.starts_with("9:") && line.contains(expected) && line.contains(remedy);
        assert!(told.len() == 1 && told.iter().all(fits), "{mapping}: {told:#?}");
    }
    let allowed = [
        "'/u/{id}/{path.id}/{query.page}/{header.host}'",
        "'{friends.0.id} {tags.1} {address.city} {level}'",
        "{ from: friends, each: { url: '/u/{id}' } }",
        "{ from: tags, each: '#{.}' }",
        "{ from: friends.0.id, default: '' }",
        "{ from: born, text: '{.}', as: number, required: true }",
        "{ from: friends, length: true, as: string }",
        "{ page_url: { base: '/u/{id}', page: born, parameter: p, keep: all, position: same } }",
        "{ coalesce: [born, name], as: number }",
        "{ coalesce: [{ from: friends.0 }, { const: { id: x } }], pick: [other] }",
        "{ from: level, map: { LOW: 1, HIGH: 2 } }",
        "{ from: level, map: { LOW: 1, HIGH: 2, 'null': 3 } }",
        "{ from: name, default: '' }",
        "{ const: 'https://api.example/users' }",
    ];
    for mapping in allowed {
        assert_eq!(problems_of_mapping(mapping), Vec::<String>::new(), "{mapping}");
    }
}

#[test]
fn a_place_in_the_request_is_not_mistaken_for_a_field_of_the_same_name() {
    let schema = "type Query { post: Post! } type Post { id: ID! header: Header! body: [Header!]! path: String! } \
                  type Header { title: String! }";
    let adapter = |fields: &str, route: &str| {
        format!(
            "adapters:\n  a:\n    schema: \"{schema}\"\n    operations: \"query Q {{ post {{ {fields} }} }}\"\n    \
             routes:\n      - match: {{ method: GET, path: '/p/{{id}}' }}\n        operation: Q\n        \
             root: post\n        {route}\n"
        )
    };
    let fields = "id header { title } body { title } path";
    let route = |mapping: &str| format!("response: {mapping}");
    for (route, place, field) in [
        (route("'{header.title}'"), "header.title", "header"),
        (route("{ object: { text: { url: '/{header.x-client}' } } }"), "header.x-client", "header"),
        (route("'{body.0.title}'"), "body.0.title", "body"),
        (route("{ page_url: { base: '/{header.title}', page: id } }"), "header.title", "header"),
        ("headers: { x-title: '{header.title}' }".to_owned(), "header.title", "header"),
    ] {
        let told = problems(&adapter(fields, &route));
        let expected =
            format!("{{{place}}} is read from the client's request, but Q selects {field} of Post!");
        let remedy = format!("its_{field}: {field} {{ ... }}; to read the field, write from: {field}");
        let fits =
            |line: &String| line.starts_with("9:") && line.contains(&expected) && line.contains(&remedy);
        assert!(told.len() == 1 && told.iter().all(fits), "{route}: {told:#?}");
    }
    for (fields, mapping) in [
        // A scalar has no fields, and neither has a value with another structure.
        (fields, "'{path.id}'"),
        (fields, "{ from: header, text: '{title}, {header.host}' }"),
        (fields, "{ object: { client: { request: header.title }, ours: header.title } }"),
        ("its_header: header { title }", "'{header.title}: {its_header.title}'"),
    ] {
        assert_eq!(problems(&adapter(fields, &route(mapping))), Vec::<String>::new(), "{mapping}");
    }
    // An adapter that was stored earlier is read as before.
    let text = adapter("its_header: header { title }", &route("'{header.title}'"));
    let stored = serde_json::to_string(&Config::from_yaml(&text).unwrap()).unwrap();
    let stored = stored.replace("its_header: header", "header");
    assert!(Config::from_stored(&serde_json::from_str(&stored).unwrap()).is_ok(), "{stored}");
}

/// Returns the compiled program of the only adapter of a file without mistakes.
fn program(text: &str) -> Program {
    let config = Config::from_yaml(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let stored = serde_json::to_value(&config).unwrap();
    assert!(serde_json::from_value::<Config>(stored.clone()).unwrap() == config);
    assert!(Config::from_stored(&stored).unwrap() == config);
    (**config.adapters.values().next().unwrap().program()).clone()
}

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
fn the_root_of_a_route_is_checked_like_a_path() {
    let told = |root: &str| {
        problems(&format!(
            "adapters:\n  a:\n    schema: \"type Query {{ users: [User!]! }} type User {{ id: ID! }}\"\n    \
             operations: \"query Q {{ users {{ id }} }}\"\n    routes:\n      \
             - match: {{ method: GET, path: /u }}\n        operation: Q\n        root: {root}\n"
        ))
    };
    let cases = [
        ("user", "Q does not select user of Query", "did you mean users?"),
        ("users[0]", "\"users[0]\" is not a path", "write users.0"),
        ("users.id", "[User!]! is a list and has no field id", "by its number"),
        ("users.0.name", "Q does not select name of User!", "select name"),
        ("'{users}'", "\"{users}\" is not a path", "in place of the whole mapping"),
        ("users.0", "users.0 of Q may be null", "set when_null"),
    ];
    for (root, expected, remedy) in cases {
        let told = told(root);
        let fits = |line: &String| line.contains(expected) && line.contains(remedy);
        assert!(told.len() == 1 && told.iter().all(fits), "{root}: {told:#?}");
    }
    for root in ["users", "users.0\n        when_null: { status: 404 }", "."] {
        assert_eq!(told(root), Vec::<String>::new(), "{root}");
    }
}

#[test]
fn an_error_has_four_fields() {
    let told = |errors: &str, when_null: &str| {
        problems(&format!(
            "adapters:\n  a:\n    errors: {errors}\n    routes:\n      \
             - match: {{ method: GET, path: '/u/{{id}}' }}\n        backend: {{ method: GET, path: /u }}\n        \
             when_null: {when_null}\n"
        ))
    };
    let error = "{ status: 404 }";
    let cases = [
        (
            "{ envelope: { object: { error: mesage } } }",
            error,
            "3:",
            "has no mesage",
            "did you mean message?",
        ),
        (
            "{ envelope: { object: { error: msg } } }",
            error,
            "3:",
            "an error has no msg",
            "an error has status",
        ),
        ("{ envelope: 'Sorry: {msg}' }", error, "3:", "an error has no msg", "an error has status"),
        ("{ otherwise: { message: 'no {id}' } }", error, "3:", "an error has no id", "write {path.id}"),
        ("{}", "{ status: 404, message: 'no {id}' }", "7:", "an error has no id", "write {path.id} for the"),
        ("{}", "{ status: 404, message: '{.}' }", "7:", "an error is an object", "such as status"),
    ];
    for (errors, when_null, line, expected, remedy) in cases {
        let told = told(errors, when_null);
        let fits = |told: &String| told.starts_with(line) && told.contains(expected) && told.contains(remedy);
        assert!(told.len() == 1 && told.iter().all(fits), "{errors} {when_null}: {told:#?}");
    }
    let allowed = "{ envelope: { object: { text: 'Sorry: {message}', status: { from: status, as: string } } }, \
                   otherwise: { message: '{code}: {message} {field} {status} {query.x}' } }";
    let problems = told(allowed, "{ status: 404, message: 'no {path.id}' }");
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn shapes_that_nothing_uses_are_named() {
    let told = problems(
        "adapters:\n  a:\n    shapes:\n      used: id\n      inner: name\n      outer: { shape: inner }\n      \
         other: { object: { a: { shape: last } } }\n      last: b\n    routes:\n      \
         - match: { method: GET, path: /u }\n        backend: { method: GET, path: /u }\n        \
         response: { coalesce: [{ shape: used }, { shape: outer }] }\n",
    );
    let expected = [("7:", "other"), ("8:", "last")];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (line, name)) in told.iter().zip(expected) {
        assert!(told.starts_with(line), "{told}");
        assert!(
            told.contains(&format!("nothing uses the shape {name} | use it with shape: {name}")),
            "{told}"
        );
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

/// Writes an adapter for a GraphQL backend with one route, whose `match` and operation are given.
fn of_pages(route: &str) -> String {
    format!(
        "adapters:\n  a:\n    schema: \"type Query {{ page: Page must: Page! }} type Page {{ info: Info items: [Item!]! }} \
         type Info {{ count: Int pages: Int! }} type Item {{ id: ID! }}\"\n    \
         operations: \"query P {{ page {{ ...F }} must {{ ...F }} }} \
         fragment F on Page {{ info {{ count pages }} items {{ id }} }}\"\n    routes:\n      \
         - match: {{ method: GET, path: /r }}\n        operation: P\n{route}"
    )
}

#[test]
fn parts_that_may_be_null_are_paths_that_the_operation_selects() {
    let told = |entries: &str, root: &str| {
        problems(&of_pages(&format!(
            "        root: {root}\n        when_null: {entries}\n        response: {{ object: {{ i: items }} }}\n"
        )))
    };
    let none = Vec::<String>::new();
    assert_eq!(told("[{ status: 410 }, { at: info.count, status: 404 }]", "page"), none);
    assert_eq!(told("[{ at: info, status: 404 }, { at: info.pages, code: gone }]", "must"), none);
    assert_eq!(told("{ status: 404 }", "must"), none, "as before there were parts");
    let cases = [
        ("[{ at: info.cuont }]", "page", "P does not select cuont of Info | did you mean count?"),
        ("[{ at: items }]", "must", "items of P can never be null | remove it"),
        ("[{ at: . }]", "must", ". of P can never be null | remove it"),
        ("[{ at: items.id }]", "page", "is a list and has no field id"),
        ("[{ at: \"info..count\" }]", "page", "is not a path"),
        ("[{ at: { from: info } }]", "page", "expected a string, found a map"),
        ("[]", "page", "when_null has no entry | write a list such as [{ at: info.count"),
        ("[{ at: info, status: 302 }]", "page", "302 is out of range"),
        ("[{ at: info, status: read }]", "page", "from which a status could be read | write a number"),
        ("[{ at: info, mesage: gone }]", "page", "did you mean message?"),
    ];
    for (entries, root, expected) in cases {
        let told = told(entries, root);
        let is_there = told.len() == 1 && told[0].contains(expected) && told[0].starts_with("9:");
        assert!(is_there, "{entries}: {told:#?}");
    }
    // Several mistakes of an entry are told at once.
    assert_eq!(told("[{ at: info.cuont, status: 302, mesage: gone }]", "page").len(), 3);
    let stored = program(&of_pages(
        "        root: page\n        when_null: [{ at: info.count }]\n        response: items\n",
    ));
    let Some(WhenNull::Parts(parts)) = &stored.routes[0].when_null else { panic!("{stored:#?}") };
    assert_eq!(
        (parts[0].at.join("."), parts[0].fault.status),
        ("info.count".to_owned(), FaultStatus::Fixed(404))
    );
}

#[test]
fn a_mapping_that_was_meant_for_a_root_asks_for_it() {
    let told = problems(&of_pages("        response: { object: { all: items } }\n"));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("P does not select items of Query | write root: page in the route"),
        "{told:#?}"
    );
    // With a root, and for a name that is nowhere, the remedy is as before.
    for response in
        ["        root: page\n        when_null: {}\n        response: count\n", "        response: x\n"]
    {
        let told = problems(&of_pages(response));
        assert!(told.len() == 1 && told[0].contains("in the operation, or remove it"), "{told:#?}");
    }
}

#[test]
fn a_stored_adapter_may_have_what_is_refused_now() {
    let stored = serde_json::json!({ "adapters": { "a": {
        "version": { "header": "x-version", "absent": false },
        "forward_headers": ["x-a", "X-A"],
        "shapes": { "unused": "x" },
        "errors": {
            "envelope": { "object": { "error": "msg" } },
            "otherwise": { "message": "no {id} {}" },
        },
        "routes": [{
            "match": { "method": "PUT", "path": "/r" },
            "backend": {
                "method": "PUT",
                "path": "/r",
                "body_inverse_of": { "object": { "id": "ids.0" } },
                "lossy": ["nothing"],
            },
            "variables": { "v": { "from": "query.v", "clamp": true, "min": 2, "max": 1 } },
            "status": 204,
            "root": "a[0]",
            "response": { "from": "b[0]", "otherwise": 1 },
        }],
    } } });
    let problems = Config::from_json(&stored).unwrap_err();
    assert!(problems.len() >= 11, "{problems:#?}");
    let config = Config::from_stored(&stored).unwrap();
    let program = config.adapters.values().next().unwrap().program();
    assert_eq!(program.routes[0].root, ["a[0]"]);
}

#[test]
fn a_status_is_read_only_from_errors_that_something_reads() {
    let told =
        |errors: &str| problems(&format!("adapters:\n  a:\n    errors: {{ {errors} }}\n    routes: []\n"));
    let read = "read: { object: { status: extensions.status } }";
    let none = Vec::<String>::new();
    assert_eq!(
        told(&format!("{read}, otherwise: {{ status: read }}, codes: {{ A: {{ status: read }} }}")),
        none
    );
    let nothing = "nothing reads a status from the errors of the backend | write read:";
    for (errors, expected) in [
        ("otherwise: { status: read }".to_owned(), nothing),
        ("statuses: { 404: { status: read } }".to_owned(), nothing),
        (
            format!("{read}, invalid: {{ status: read }}"),
            "from which a status could be read | write a number",
        ),
        (format!("{read}, otherwise: {{ status: reed }}"), "expected a number, found a string"),
    ] {
        let told = told(&errors);
        assert!(told.len() == 1 && told[0].contains(expected), "{errors}: {told:#?}");
    }
}

#[test]
fn headers_and_content_type_of_an_adapter_are_compiled() {
    let program = program(
        "adapters:\n  a:\n    content_type: application/json; charset=utf-8\n    \
         headers: { Access-Control-Allow-Origin: \"*\", x-client: \"{header.X-Client}\" }\n    \
         errors: { headers: { cache-control: no-store, content-type: application/problem+json } }\n    \
         routes: []\n",
    );
    assert_eq!(program.content_type, "application/json; charset=utf-8");
    assert_eq!(program.reads, ["x-client"]);
    let origin = ("access-control-allow-origin", "*");
    assert_eq!(program.constant_headers(false), [origin]);
    let own = [("cache-control", "no-store"), ("content-type", "application/problem+json")];
    assert_eq!(program.constant_headers(true), [[origin].as_slice(), &own].concat());
}

#[test]
fn a_header_of_an_adapter_is_never_kept_from_the_backend() {
    let program = program(
        "adapters:\n  a:\n    keep_headers: [x-constant, X-Empty, x-place, x-error, x-kept]\n    \
         headers: { x-constant: a, x-empty: \"\", X-Place: \"{header.x-client}\" }\n    \
         errors: { headers: { x-error: b } }\n    routes: []\n",
    );
    assert_eq!(program.keep, ["x-error", "x-kept"]);
    assert_eq!(program.constant_headers(false), [("x-constant", "a")]);
}

#[test]
fn absent_values_of_variables_are_checked() {
    let told = |variable: &str| {
        problems(&format!(
            "adapters:\n  a:\n    routes:\n      - match: {{ method: GET, path: /r }}\n        \
             backend: {{ method: GET, path: /v2 }}\n        variables:\n          v: {variable}\n"
        ))
    };
    for allowed in [
        "{ from: query.v, type: int, invalid: default }",
        "{ from: query.v, type: int, required: true, default: 1, invalid: default, empty: absent }",
        "{ from: \"query.v[]\", type: list, split: \",\" }",
        "query.v[]",
    ] {
        assert_eq!(told(allowed), Vec::<String>::new(), "{allowed}");
    }
    let cases = [
        ("{ from: query.v, required: true, invalid: default }", "and there is no default | add default:"),
        ("{ from: query.v, invalid: absent }", "is no response to an invalid value | write invalid: default"),
        ("{ from: query.v, empty: default }", "is not a meaning of an empty value | write empty: absent"),
        ("{ const: 1, type: int, empty: absent }", "is not read from the request | remove it"),
        ("{ const: 1, type: int, invalid: default }", "is not read from the request | remove it"),
        ("{ from: query.v, type: boolean, min: 1 }", "Boolean has no min | only numbers"),
        ("{ from: query.v, type: boolean, integer: true }", "Boolean is never an integer | remove it"),
        ("{ from: query.v, clamp: true, min: 1 }", "String is not a number | remove clamp"),
        ("{ from: query.v, type: int, clamp: true }", "clamp has no effect without bounds | add min or max"),
        ("{ from: query.v, type: int, min: 3, max: 2 }", "2, is below the smallest, 3 | correct min or max"),
        ("{ const: a, default: b }", "a constant needs no default | keep const or default"),
        ("{ from: query.v, const: a }", "cannot be read from a request | keep const or from"),
        ("{ from: header.v, type: list }", "the list cannot be made from one string | name the separator"),
        ("{ from: header.v, type: list, split: ab }", "this is not one character | write one"),
        ("{ from: query.v, type: itn, default: 1, min: 2 }", "\"itn\" is not a type | write int"),
        ("{ form: query.v }", "form is not a field of this object | did you mean from?"),
        ("{ type: int }", "the variable has no source | write from, const or fields"),
    ];
    for (variable, expected) in cases {
        let told = told(variable);
        let is_there = told.len() == 1 && told[0].contains(expected) && told[0].starts_with("7:");
        assert!(is_there, "{variable}: {told:#?}");
    }
}

#[test]
fn the_path_of_a_backend_is_one_that_parsers_of_urls_leave_as_it_is() {
    let told = |path: &str| {
        problems(&format!(
            "adapters:\n  a:\n    routes:\n      - match: {{ method: GET, path: '/r/{{id}}' }}\n        \
             backend: {{ method: GET, path: '{path}' }}\n"
        ))
    };
    let cases = [
        ("api/{path.id}", "does not begin with a slash"),
        ("{path.id}.example/api", "does not begin with a slash"),
        ("/api/{id}", "{id} is not a place in a request"),
        ("/api/../{path.id}", "has a segment . or .."),
        ("/api/%2E/{path.id}", "has a segment . or .."),
        ("/api\\{path.id}", "has another meaning in a URL"),
        ("/api#{path.id}", "has another meaning in a URL"),
    ];
    for (path, expected) in cases {
        let told = told(path);
        assert!(
            told.len() == 1 && told[0].starts_with("5:") && told[0].contains(expected),
            "{path}: {told:#?}"
        );
    }
    for allowed in ["/api/{path.id}/", "/api/.{path.id}", "/api//x?q=../{path.id}"] {
        assert_eq!(told(allowed), Vec::<String>::new(), "{allowed}");
    }
}

/// Writes a configuration with this many objects inside each other, each in a shape of its own.
fn nested(levels: usize) -> String {
    let shape =
        |level: usize| format!("      s{level}: {{ object: {{ a: {{ shape: s{} }} }} }}\n", level - 1);
    let shapes: String = (1..=levels).map(shape).collect();
    format!(
        "feature_flags: {{ f: {{ enabled: true, rollout_percentage: 1 }} }}\norigins: {{ o: {{ url: \"http://o\" }} }}\n\
         adapters:\n  deep:\n    shapes:\n      s0: {{ page_url: {{ base: \"/{{body.a.b}}\", page: a }} }}\n{shapes}    routes:\n      \
         - match: {{ method: GET, path: /r }}\n        backend: {{ method: GET, path: /r }}\n        \
         response: {{ shape: s{levels} }}\nroutes:\n  \
         - {{ id: r, match: {{ path: /r }}, flag: f, legacy: o, new: o, adapt: [deep] }}\n"
    )
}

#[test]
fn mappings_are_as_deep_as_the_edge_reads_them() {
    let mut deepest = 0;
    for levels in 1..60 {
        match Config::from_yaml(&nested(levels)) {
            Ok(config) => {
                deepest = levels;
                let text = config.clone().snapshot(Revision(1), None).encode().unwrap();
                assert!(Snapshot::decode(&text).is_ok(), "{levels} levels");
                let stored = serde_json::to_string(&config).unwrap();
                assert!(serde_json::from_str::<Config>(&stored).is_ok(), "{levels} levels");
            }
            Err(problems) => {
                let problem = &problems[0];
                assert!(problem.message.contains("more than 24 mappings are inside each other"), "{problem}");
                assert!(problem.line > 0 && problem.field.contains("shapes.s"), "{problem}");
            }
        }
    }
    assert_eq!(deepest, 23);
    // A chain of names without any level has an end too.
    let chain: String = (1..=5_000).map(|at| format!("      c{at}: {{ shape: c{} }}\n", at - 1)).collect();
    let text = nested(1)
        .replace("    routes:\n      - match", &format!("      c0: a\n{chain}    routes:\n      - match"));
    let told = problems(&text.replace("response: { shape: s1 }", "response: { shape: c5000 }"));
    assert!(told.iter().any(|problem| problem.contains("inside each other")), "{told:#?}");
}

#[test]
fn inverses_and_types_are_as_deep_as_the_edge_reads_them() {
    let path = vec!["a"; 40].join(".");
    let told = problems(&format!(
        "adapters:\n  a:\n    routes:\n      - match: {{ method: PUT, path: /r }}\n        \
         backend: {{ method: PUT, path: /r, body_inverse_of: {{ object: {{ b: {path} }} }} }}\n"
    ));
    assert!(told.iter().any(|told| told.contains("the inverse has more than 24 levels")), "{told:#?}");

    let deep = format!("{}Int{}", "[".repeat(30), "]".repeat(30));
    let told = problems(&format!(
        "adapters:\n  a:\n    schema: \"type Query {{ a(x: {deep}): Int! }}\"\n    \
         operations: \"query A($x: {deep}) {{ a(x: $x) }}\"\n    routes:\n      \
         - match: {{ method: POST, path: /r }}\n        operation: A\n        variables: {{ x: body.x }}\n"
    ));
    assert!(told.iter().any(|told| told.contains("more than 24 types inside each other")), "{told:#?}");
}

/// Writes an adapter for a REST backend with a shape of so many fields, which all routes use.
fn sharing(routes: usize, fields: usize) -> String {
    let field = |at: usize| format!("          field_{at}: {{ from: value_{at}, as: string }}\n");
    let route = |at: usize| {
        format!(
            "      - match: {{ method: GET, path: /r{at} }}\n        backend: {{ method: GET, path: /r{at} }}\n        \
             response: {{ shape: user }}\n"
        )
    };
    let (fields, routes): (String, String) =
        ((0..fields).map(field).collect(), (0..routes).map(route).collect());
    format!("adapters:\n  a:\n    shapes:\n      user:\n        object:\n{fields}    routes:\n{routes}")
}

#[test]
fn a_named_shape_is_stored_once_however_many_mappings_use_it() {
    let compiled = |routes: usize| {
        let config = Config::from_yaml(&sharing(routes, 40)).unwrap();
        serde_json::to_string(&**config.adapters.values().next().unwrap().program()).unwrap()
    };
    let (one, two, twelve) = (compiled(1), compiled(2), compiled(12));
    assert!(!one.contains("\"shape\""), "a shape that is used once is written out: {one}");
    for text in [&one, &two, &twelve] {
        assert_eq!(text.matches("\"value_7\"").count(), 1, "{text}");
    }
    let of_one_route = (twelve.len() - two.len()) / 10;
    assert!(of_one_route < 200, "each use takes {of_one_route} bytes, and the shape {}", one.len());
}

#[test]
fn a_large_adapter_is_told_before_it_is_too_large() {
    let warnings = |fields| Config::from_yaml(&sharing(1, fields)).unwrap().warnings();
    assert_eq!(warnings(40), Vec::<String>::new());
    let told = warnings(1_000);
    assert!(told.len() == 1 && told[0].starts_with("adapter a: compiled, it has "), "{told:?}");
    assert!(told[0].contains(" of at most 150000 bytes") && told[0].contains("split its routes"), "{told:?}");
}

#[test]
fn a_table_that_does_not_name_all_values_of_a_scalar_is_warned_of() {
    let schema = "type Query { user: User! } type User { level: String! kind: Kind! active: Boolean! age: Int }\n\
                  enum Kind { OWN ALL }";
    let config = |mapping: &str| {
        let text = format!(
            "adapters:\n  a:\n    schema: {schema:?}\n    operations: \"query Q {{ user {{ level kind active age }} }}\"\n    \
             errors: {{ envelope: {{ object: {{ error: {{ from: code, map: {{ A: a }} }} }} }} }}\n    shapes: {{ s: {{ map: {{ \
             low: 1 }} }} }}\n    routes:\n      - match: {{ method: GET, path: /u }}\n        operation: Q\n        root: user\n        \
             response: {{ object: {{ x: {mapping}, s: {{ from: kind, map: {{ OWN: 1, ALL: 2 }} }}, t: {{ from: level, shape: s, \
             default: 0 }} }} }}\n"
        );
        Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:#?}"))
    };
    let shape = "adapter a: shapes.s.map: String! may have values that map does not name, and a response with one is \
                 unfit (502); add otherwise: with the value for all others";
    for complete in [
        "level",
        "{ from: kind, map: { OWN: o, ALL: a } }",
        "{ from: level, map: { low: 1 }, otherwise: 0 }",
        "{ from: active, map: { true: 1, false: 0 } }",
    ] {
        assert_eq!(config(complete).warnings(), [shape], "{complete}");
    }
    for (open, written) in [
        ("{ from: level, map: { low: 1 } }", "String!"),
        ("{ from: active, map: { true: 1 } }", "Boolean!"),
        ("{ from: age, map: { 1: one } }", "Int"),
    ] {
        let config = config(open);
        let told = config.warnings();
        let expected = format!("x.map: {written} may have values that map does not name");
        assert!(told.len() == 2 && told.iter().any(|told| told.contains(&expected)), "{open}: {told:#?}");
        // Of what is stored nothing is told, and it is the same.
        let stored: Config = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert!(stored.warnings().is_empty() && stored == config);
    }
}

const INCLUDED: &str = "shapes:
  user: { object: { id: { from: id, as: string }, home: { shape: place } } }
  place: { object: { name: name } }
  unused: { nothing: here }
";

const INCLUDING: &str = "include: [shared/common.yaml]
routes:
  - match: { method: GET, path: /u }
    backend: { method: GET, path: /u }
    response: { shape: user }
";

fn including(adapter: &str, included: &str) -> Result<Config, Vec<Problem>> {
    Config::from_yaml_with("adapters: { a: api/a.yaml }", &|name| match name {
        "api/a.yaml" => Ok(adapter.to_owned()),
        "api/shared/common.yaml" => Ok(included.to_owned()),
        "api/other.yaml" => Ok("shapes:\n  place: name\n".to_owned()),
        _ => Err("there is no such file".to_owned()),
    })
}

#[test]
fn an_included_shape_is_one_of_the_adapter() {
    let config = including(INCLUDING, INCLUDED).unwrap();
    let stored = serde_json::to_value(&config).unwrap();
    let source = &stored["adapters"]["a"];
    let mut names: Vec<&String> = source["shapes"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["place", "user"], "those that a route uses");
    assert!(source.get("include").is_none(), "{source}");
    assert!(Config::from_json(&stored).unwrap() == config, "it is read again without the file");
    let used = INCLUDED.replace("  unused: { nothing: here }\n", "");
    let in_one_file = including(&INCLUDING.replace("include: [shared/common.yaml]\n", &used), "").unwrap();
    let programs = [&config, &in_one_file].map(|config| config.adapters.values().next().unwrap().program());
    assert!(programs[0] == programs[1]);
}

#[test]
fn a_mistake_in_an_included_file_is_named_with_that_file() {
    let own = INCLUDING.replace("routes:", "shapes:\n  place: name\nroutes:");
    let with = |list: &str| INCLUDING.replace("[shared/common.yaml]", list);
    let cases = [
        (
            INCLUDING.to_owned(),
            INCLUDED.replace("home: {", "home: { form: x,"),
            "api/shared/common.yaml:2:",
            "form is not",
        ),
        (
            INCLUDING.to_owned(),
            INCLUDED.replace("{ name: name }", "name"),
            "api/shared/common.yaml:3:",
            "expected a map",
        ),
        (
            INCLUDING.to_owned(),
            format!("{INCLUDED}routes: []\n"),
            "api/shared/common.yaml:5:",
            "routes is not a field",
        ),
        (INCLUDING.to_owned(), "shapes: [".to_owned(), "api/shared/common.yaml:", "this is not YAML"),
        (
            own,
            INCLUDED.to_owned(),
            "api/a.yaml:3:3: ",
            "the shape place is already defined in api/shared/common.yaml",
        ),
        (
            with("[shared/common.yaml, other.yaml]"),
            INCLUDED.to_owned(),
            "api/other.yaml:2:3: ",
            "the shape place is already defined in api/shared/common.yaml",
        ),
        (
            with("[shared/common.yaml, shared/common.yaml]"),
            INCLUDED.to_owned(),
            "api/a.yaml:1:",
            "api/shared/common.yaml is included twice",
        ),
        (
            with("[shared/common.yaml, common.yaml]"),
            INCLUDED.to_owned(),
            "api/a.yaml:1:",
            "api/common.yaml: there is no such file",
        ),
    ];
    for (adapter, included, at, says) in cases {
        let told: Vec<String> =
            including(&adapter, &included).expect_err(says).iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.starts_with(at) && told.contains(says)), "{says}: {told:#?}");
    }
}

#[test]
fn a_url_without_a_schema_has_one_message_and_the_hint_for_urls() {
    let adapter = ADAPTER.replace("schema: schema.graphql", "schema: http://api.example/graphq");
    let problems = Config::from_yaml_with(CONFIG, &|name| match name {
        "reviews/adapter.yaml" => Ok(adapter.clone()),
        "reviews/operations.graphql" => Ok(OPERATIONS.to_owned()),
        _ => Err("404 Not Found, and no schema".to_owned()),
    });
    let told: Vec<String> = problems
        .expect_err("there is no schema")
        .iter()
        .map(|problem| format!("{problem} | {}", problem.hint))
        .collect();
    let message =
        "reviews/adapter.yaml:2:9: schema: http://api.example/graphq: 404 Not Found, and no schema | ";
    assert!(told.len() == 1 && told[0].starts_with(message), "{told:#?}");
    assert!(told[0].contains("cutover adapter schema URL") && !told[0].contains("folder"), "{told:#?}");
}

#[test]
fn a_brace_that_is_missing_in_a_document_is_told_once() {
    let problems = |operations: &str, schema: &str| {
        let problems = read(CONFIG, ADAPTER, operations, schema).expect_err("a brace is missing");
        let told = |problem: &Problem| format!("{problem} | {}", problem.hint);
        problems.iter().map(told).collect::<Vec<_>>()
    };
    let cases = [
        (problems(&OPERATIONS.replacen("  isModerated\n}", "  isModerated\n", 1), SCHEMA), OPERATIONS_FILE),
        (problems(OPERATIONS, &SCHEMA.replacen(" {", "", 1)), "reviews/schema.graphql"),
    ];
    for (told, file) in cases {
        assert!(told.len() == 1 && told[0].starts_with(file), "{told:#?}");
        assert!(told[0].contains("syntax error") && told[0].contains("may be missing above"), "{told:#?}");
    }
    // The schema refuses each of these by itself.
    let unknown = OPERATIONS.replacen("  rating\n  text\n", "  stars\n  words\n", 1);
    let told = problems(&unknown, SCHEMA);
    for name in ["`stars`", "`words`"] {
        assert!(told.iter().any(|told| told.contains(name)), "{name}: {told:#?}");
    }
}

/// Returns the problems of an adapter whose documents are in files, and whose route has these fields from line 5
/// on.
fn of_documents(schema: &str, operations: &str, route: &str) -> Vec<String> {
    let adapter = format!(
        "schema: s.graphql\noperations: o.graphql\nroutes:\n  \
         - match: {{ method: GET, path: '/p/{{id}}' }}\n{route}"
    );
    let problems = Config::from_yaml_with("adapters: { a: a.yaml }", &|name| match name {
        "a.yaml" => Ok(adapter.clone()),
        "s.graphql" if !schema.is_empty() => Ok(schema.to_owned()),
        "o.graphql" if !operations.is_empty() => Ok(operations.to_owned()),
        _ => Err("there is no such file".to_owned()),
    });
    let told = |problem: &Problem| format!("{problem} | {}", problem.hint);
    problems.err().unwrap_or_default().iter().map(told).collect()
}

const PERSONS: &str = "type Query { person(id: ID!): Person persons: [Person!]! }
type Person { id: ID! name: String home: Place }
type Place { id: ID! }
";

/// Asserts that these problems are told and no other ones. Each is the beginning of a line, and a part of it.
fn assert_told(told: &[String], expected: &[(&str, &str)]) {
    let fits = |told: &String, (at, part): &(&str, &str)| told.starts_with(at) && told.contains(part);
    let is_told = |expected: &(&str, &str)| told.iter().any(|told| fits(told, expected));
    assert!(told.len() == expected.len() && expected.iter().all(is_told), "{expected:?}: {told:#?}");
}

#[test]
fn a_mistake_in_an_operation_hides_none_of_the_adapter() {
    let by_id = "    operation: A\n    variables: { id: path.id }\n    root: person\n";
    type Told<'t> = &'t [(&'t str, &'t str)];
    let cases: [(&str, &str, Told<'_>); 7] = [
        // The variables are checked, and nothing is told of the response.
        (
            "query A($id: ID!) { persn(id: $id) { ...F } }\nfragment F on Person { id }",
            "    operation: A\n    variables: { id: path.x, idd: path.id }\n    root: persn\n    response: nothing\n",
            &[
                ("o.graphql:1:21: ", "type `Query` does not have a field `persn` | did you mean person?"),
                ("a.yaml:6:", "the path of the route has no parameter \"x\""),
                ("a.yaml:6:", "A declares no variable $idd | did you mean id?"),
            ],
        ),
        // An object without the wrong field has no fields, and a wrong fragment is none.
        (
            "query A($id: ID!) { person(id: $id) { home { nam } } }",
            by_id,
            &[("o.graphql:1:46: ", "type `Place` does not have a field `nam`")],
        ),
        (
            "query A($id: ID!) { person(id: $id) { ...F } }\n\
             fragment F on Persn { home { ...G } }\nfragment G on Place { id }",
            by_id,
            &[(
                "o.graphql:2:",
                "type condition `Persn` of fragment `F` is not a type defined in the schema | did you mean Person?",
            )],
        ),
        // A variable of an unknown type takes any value.
        (
            "query A($id: IDD!) {\n person(id: $id) { id } }",
            "    operation: A\n    variables: { id: { from: path.id, split: \",\", default: 1, invalid: default } }\n",
            &[("o.graphql:1:9: ", "cannot find type `IDD` in this document")],
        ),
        // The adapter may name a variable that the operation uses.
        (
            "query A { person(id: $id) { id } }",
            by_id,
            &[("o.graphql:1:", "variable `$id` is not defined | declare it")],
        ),
        // Other operations are checked to the last field.
        (
            "query A { persons { id } }\nquery B { person(id: 1) { nme } }",
            "    operation: A\n    root: persons\n    response: { each: { object: { name: nme } } }\n",
            &[
                ("o.graphql:2:27: ", "does not have a field `nme` | did you mean name?"),
                ("a.yaml:7:", "A does not select nme of Person! | select nme"),
            ],
        ),
        // Of two operations with one name, neither is meant.
        (
            "query A { persons { id } }\nquery A { person(id: 1) { id } }",
            "    operation: A\n    root: person\n    response: name\n",
            &[(
                "o.graphql:2:7: ",
                "is defined multiple times in the document | give one of the two another name",
            )],
        ),
    ];
    for (operations, route, expected) in cases {
        assert_told(&of_documents(PERSONS, operations, route), expected);
    }
}

#[test]
fn documents_that_cannot_be_read_hide_no_mistake_of_the_adapter() {
    let operations = "query A($id: ID!, $place: Place) { person(id: $id, place: $place) { id } }";
    let of = |name: &str| {
        format!(
            "    operation: {name}\n    variables: {{ id: path.x, place: {{ fields: {{ id: query. }} }} }}\n    \
             root: person\n    response: {{ object: {{ id: {{ from: some.thing, as: nmber }} }} }}\n"
        )
    };
    let own = [
        ("a.yaml:6:", "the path of the route has no parameter \"x\""),
        ("a.yaml:6:", "\"query.\" is not a place in a request"),
        ("a.yaml:8:", "\"nmber\" is not a conversion"),
    ];
    let cases: [(&str, &str, &str, (&str, &str)); 4] = [
        (
            &PERSONS.replace("name: String", "name: Text"),
            operations,
            "A",
            ("s.graphql:2:", "cannot find type `Text`"),
        ),
        (&PERSONS.replace("type Place {", "type Place"), operations, "A", ("s.graphql:3:", "syntax error: ")),
        ("", operations, "A", ("a.yaml:1:", "s.graphql: there is no such file")),
        (PERSONS, "query A($id ID!) { persons { id } }", "Missing", ("o.graphql:1:", "syntax error: ")),
    ];
    for (schema, operations, name, documents) in cases {
        assert_told(&of_documents(schema, operations, &of(name)), &[&[documents][..], &own[..]].concat());
    }
    // Names are known without a schema.
    let told = of_documents("", operations, "    operation: B\n");
    assert_told(
        &told,
        &[("a.yaml:1:", "no such file"), ("a.yaml:5:", "there is no operation \"B\" | add it")],
    );
    let told = of_documents("", operations, "    operation: A\n    variables: { di: query.id }\n");
    let needed = ("a.yaml:6:", "A needs $id: ID! | add id:");
    assert_told(&told, &[("a.yaml:1:", "no such file"), ("a.yaml:6:", "A declares no variable $di"), needed]);
}

#[test]
fn a_route_with_an_operation_needs_documents() {
    let route = "    routes:\n      - match: { method: GET, path: /a }\n        operation: A\n";
    let told = problems(&format!("adapters:\n  a:\n{route}"));
    assert_told(&told, &[("5:", "the adapter has no operations | write schema: and operations:")]);
    let told = problems(&format!("adapters:\n  a:\n    schema: \"type Query {{ a: Int }}\"\n{route}"));
    assert_told(&told, &[("3:", "a schema needs operations | write operations: with")]);
    // It was left out of stored adapters.
    let stored = serde_json::json!({ "adapters": { "a": { "routes": [
        { "match": { "method": "GET", "path": "/a" }, "operation": "A" },
    ] } } });
    let config = Config::from_stored(&stored).unwrap();
    assert!(config.adapters.values().next().unwrap().program().routes.is_empty());
}

/// Returns the problems of a route for an operation with variables of several types. Its path has the parameter
/// `id`, and its fields begin in line 8.
fn of_variables(route: &str) -> Vec<String> {
    problems(&format!(
        "adapters:\n  a:\n    schema: \"input F {{ s: String i: Int }} type Query {{ list(skip: Int!, take: Int!, after: String, \
         f: F): [Int!]! }}\"\n    operations: \"query L($skip: Int!, $take: Int!, $after: String, $f: F) \
         {{ list(skip: $skip, take: $take, after: $after, f: $f) }}\"\n    routes:\n      \
         - match: {{ method: GET, path: '/l/{{id}}' }}\n        operation: L\n{route}"
    ))
}

#[test]
fn a_wrong_pagination_is_followed_by_no_false_mistake() {
    let of = |more: &str| {
        of_variables(&format!("        pagination: {{ page: query.page, limit: query.limit, {more} }}\n"))
    };
    let cases = [
        ("offset: { skip: skipp, take: take }", "L declares no variable $skipp | did you mean skip?"),
        (
            "offset: { skip: after, take: take }",
            "$after of L is String, and the pagination sends a number | name",
        ),
        (
            "cursor: { first: take, after: skip, page_info: a.b, max_pages: 1.5 }",
            "L does not select hasNextPage",
        ),
        ("offset: { skip: skip }", "take is missing"),
        ("link: true", "exactly one of offset and cursor"),
        ("offset: { skip: skip, take: take }, link: 1", "expected true or false, found a number"),
    ];
    for (more, expected) in cases {
        let told = of(more);
        assert!(told.iter().any(|told| told.contains(expected)), "{more}: {told:#?}");
        let count = if more.starts_with("cursor") { 3 } else { 1 };
        assert!(told.len() == count, "{more}: {told:#?}");
    }
    let told = of_variables(
        "        variables: { take: query.n }\n        \
         pagination: { page: query.page, limit: query.limit, offset: { skip: skip, take: take } }\n",
    );
    assert_told(&told, &[("8:", "the pagination sends $take too | remove it here")]);
}

#[test]
fn keys_of_variables_without_effect_are_named() {
    let of = |variable: &str| {
        of_variables(&format!(
            "        variables:\n          skip: {{ const: 0 }}\n          take: {{ const: 1 }}\n          {variable}\n"
        ))
    };
    let cases = [
        ("f: { from: body, fields: { s: query.s } }", "from has no effect on an object that fields make"),
        (
            "f: { default: { s: a }, fields: { s: query.s } }",
            "default has no effect on an object that fields make",
        ),
        ("f: { default: { s: a } }", "made from the fields of the body, not of default | write const"),
        ("f: { fields: { s: query.s }, integer: true }", "F is never an integer | remove it"),
        (
            "f: { fields: { i: { from: query.i, map: { one: x } } } }",
            "\"x\" does not fit Int | write a value of the type Int",
        ),
        ("after: { from: path.id, default: x }", "so that default is never used | remove default"),
        (
            "after: { from: query.after, type: string }",
            "type has no effect: the operation declares it | remove it",
        ),
    ];
    for (variable, expected) in cases {
        assert_told(&of(variable), &[("11:", expected)]);
    }
    for allowed in [
        "f: { from: body }",
        "f: { fields: { s: query.s } }",
        "after: { from: path.id, default: x, invalid: default }",
    ] {
        assert_told(&of(allowed), &[]);
    }
    // A name that was probably meant is not missing too.
    let told = of_variables("        variables: { skip: query.s, tak: query.t }\n");
    assert_told(&told, &[("8:", "L declares no variable $tak | did you mean take?")]);
    let told = of_variables("        varables: { skip: query.s, take: query.t }\n");
    assert_told(&told, &[("8:", "varables is not a field of this object | did you mean variables?")]);
}

#[test]
fn a_constant_object_is_not_made_from_the_body() {
    let program = program(
        "adapters:\n  a:\n    schema: \"input F { s: String } type Query { a(f: F): Int }\"\n    \
         operations: \"query A($f: F) { a(f: $f) }\"\n    routes:\n      \
         - match: { method: POST, path: /a }\n        operation: A\n        variables: { f: { const: { s: x } } }\n",
    );
    let route = &program.routes[0];
    let value = route.variables[0].value(&Request::default()).unwrap();
    assert_eq!(value.map(|value| value.to_string()).as_deref(), Some("{\"s\":\"x\"}"));
    assert!(!route.reads_body);
}

#[test]
fn parts_of_a_request_to_a_backend_without_effect_are_named() {
    let cases = [
        ("GET", "body: .", "a request with this method has no body | write another method"),
        ("PUT", "body: ., body_inverse_of: .", "a request has one body | keep body or body_inverse_of"),
        ("PUT", "body: ., lossy: [a]", "lossy has no effect without body_inverse_of | remove it"),
        (
            "PUT",
            "body_inverse_of: { object: { a: { from: a, default: 1 } } }, lossy: [a, b]",
            "b is not lost | remove it from lossy",
        ),
    ];
    for (method, more, expected) in cases {
        let told = problems(&format!(
            "adapters:\n  a:\n    routes:\n      - match: {{ method: {method}, path: /r }}\n        \
             backend: {{ method: {method}, path: /r, {more} }}\n"
        ));
        assert_told(&told, &[("5:", expected)]);
    }
}

#[test]
fn a_response_is_checked_beside_other_mistakes() {
    let told = |route: &str| problems(&of_pages(&format!("        root: must\n{route}")));
    let told_at = |route: &str, expected: &[(&str, &str)]| assert_told(&told(route), expected);
    told_at(
        "        status: 204\n",
        &[("9:", "a response with status 204 has no body | write response: none")],
    );
    told_at("        status: 204\n        response: none\n", &[]);
    told_at("        status: 200.5\n", &[("9:", "200.5 is out of range | write a status from 200 to 299")]);
    told_at(
        "        headers: { x-a: \"{inof.count}\" }\n",
        &[("9:", "P does not select inof of Page! | did you mean info?")],
    );
    told_at("        headers: { x-a: \"{info.count} {query.a}\" }\n", &[]);
    // Each key of a mapping is read, and each place of a text.
    told_at(
        "        response: { object: { a: { from: itms, as: nmber, hide_null: 1 }, b: \"{path.x} {itms}\" } }\n",
        &[
            ("9:", "P does not select itms of Page! | did you mean items?"),
            ("9:", "\"nmber\" is not a conversion"),
            ("9:", "expected true or false, found a number"),
            ("9:", "the path of the route has no parameter \"x\""),
            ("9:", "b: P does not select itms of Page!"),
        ],
    );
    // Without a root nothing of the mapping would fit.
    let told = problems(&of_pages("        rot: must\n        response: items\n"));
    assert_told(&told, &[("8:", "rot is not a field of this object | did you mean root?")]);
}

#[test]
fn a_place_in_the_path_is_not_missing_if_the_path_is() {
    let told = problems(
        "adapters:\n  a:\n    routes:\n      - match: { method: GET }\n        \
         backend: { method: GET, path: '/v2/{path.id}' }\n",
    );
    assert_told(&told, &[("4:", "path is missing")]);
}

#[test]
fn all_mistakes_of_errors_are_named() {
    let told = problems(
        "adapters:\n  a:\n    errors:\n      envelope: { object: { e: mesage } }\n      read: { from: a, as: nmber }\n      \
         otherwise: { status: read, code: [] }\n      invalid: { status: 200 }\n      statuses: { 42: { status: 9 } }\n    \
         routes: []\n",
    );
    let expected = [
        ("4:", "an error has no mesage"),
        ("5:", "\"nmber\" is not a conversion"),
        ("6:", "expected a string, found a list"),
        ("7:", "200 is out of range"),
        ("8:", "42 is not a status"),
        ("8:", "9 is out of range"),
    ];
    assert_told(&told, &expected);
}

#[test]
fn mistakes_of_a_shape_are_told_once_however_many_mappings_use_it() {
    let route = "      - match: { method: GET, path: /NAME }\n        backend: { method: GET, path: /r }\n        response: { shape: s }\n";
    let told = problems(&format!(
        "adapters:\n  a:\n    shapes:\n      s: {{ page_url: {{}} }}\n    routes:\n{}{}",
        route.replace("NAME", "a"),
        route.replace("NAME", "b")
    ));
    assert_told(&told, &[("4:", "base is missing"), ("4:", "page is missing")]);
}

#[test]
fn a_mistake_in_a_shape_is_told_once_however_many_operations_use_it() {
    let schema = "type Query { user: User! users: [User!]! friend: User } type User { id: ID! name: String }";
    let operations =
        "query One { user { id name } } query Many { users { id name } } query Friend { friend { id name } }";
    let route = |name: &str, root: &str, response: &str| {
        format!(
            "      - match: {{ method: GET, path: /{name} }}\n        operation: {name}\n        root: {root}\n        \
             when_null: {{ status: 404 }}\n        response: {response}\n"
        )
    };
    let text = |shapes: &str| {
        let routes = [
            route("One", "user", "{ shape: user }").replace("        when_null: { status: 404 }\n", ""),
            route("Many", "users", "{ each: { shape: user } }")
                .replace("        when_null: { status: 404 }\n", ""),
            route("Friend", "friend", "{ shape: user }"),
        ];
        format!(
            "adapters:\n  a:\n    schema: \"{schema}\"\n    operations: \"{operations}\"\n    shapes:\n      \
             {shapes}\n    routes:\n{}",
            routes.concat()
        )
    };
    let told = problems(&text("user: { object: { id: id, a: nmae, b: \"{nmae} {idd}\" } }"));
    let expected = [
        (
            "6:",
            "One does not select nmae of User! | did you mean name? Otherwise select nmae in every operation \
                that uses the shape user",
        ),
        ("6:", "One does not select nmae of User!"),
        ("6:", "One does not select idd of User!"),
    ];
    assert_told(&told, &expected);
    assert_told(&problems(&text("user: { object: { id: id, name: name } }")), &[]);
}

#[test]
fn shapes_that_nothing_uses_are_named_beside_other_mistakes() {
    let told = problems(
        "adapters:\n  a:\n    shapes:\n      person: { object: { home: { shape: place } } }\n      place: name\n      \
         lost: { shape: loser }\n      loser: name\n    routes:\n      - match: { method: GET, path: /a }\n        \
         backend: { method: GET, path: /a }\n        response: { shape: persn }\n",
    );
    let expected = [
        ("6:", "nothing uses the shape lost"),
        ("7:", "nothing uses the shape loser"),
        ("11:", "there is no shape \"persn\" | did you mean person?"),
    ];
    assert_told(&told, &expected);
    // A file that cannot be read may have the shape.
    let adapter =
        INCLUDING.replace("[shared/common.yaml]", "[shared/common.yaml, gone.yaml]").replace("user", "usr");
    let told: Vec<String> = including(&adapter, INCLUDED)
        .expect_err("a file is missing")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_told(&told, &[("api/a.yaml:1:", "api/gone.yaml: there is no such file")]);
}
