//! Mistakes in any of the files, each with its line and its remedy.

use super::*;

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
