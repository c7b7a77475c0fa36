//! Pages of a list, from a backend with cursors.

use super::*;

/// Builds an adapter for a GraphQL backend with cursors, from further fields of its route.
fn graphql_pages(fields: &str) -> Arc<Adapter> {
    let schema = "type Query { list(first: Int!, after: String): L } type L { nodes: [N!]! pageInfo: P! } \
                  type N { id: ID! } type P { hasNextPage: Boolean! endCursor: String }";
    let operations = "query P($first: Int!, $after: String) { list(first: $first, after: $after) { nodes { id } \
                      pageInfo { hasNextPage endCursor } } }";
    let pagination = "page: query.page, limit: { from: query.limit, default: 2 }, cursor: { first: first, \
                      after: after, page_info: list.pageInfo, max_pages: 20 }";
    adapter(&format!(
        "schema: \"{schema}\"\noperations: \"{operations}\"\nroutes:\n  - {{ match: {{ method: GET, path: /r }}, \
         operation: P, pagination: {{ {pagination} }}, {fields} }}"
    ))
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

/// The page past the last one is judged like any other one, and the pages before the client's are not.
#[test]
fn parts_that_are_null_count_on_the_clients_page() {
    let adapter = graphql_pages("when_null: [{ at: nodes.0, status: 404 }], root: list");
    let page = |nodes: &str, more: bool| {
        format!(
            r#"{{"data":{{"list":{{"nodes":[{nodes}],"pageInfo":{{"hasNextPage":{more},"endCursor":"c"}}}}}}}}"#
        )
    };
    let ask = |query: &str, pages: &[String]| {
        let sent = ClientRequest { method: "GET", path: "/r", query, ..ClientRequest::default() };
        let (mut exchange, mut next) = begin(&adapter, sent);
        for page in pages {
            assert!(matches!(next, Next::Ask(_)));
            next = exchange.next(Reply::Answered(200, page.as_bytes()), Timestamp::from_millis(0));
        }
        let Next::Answer(answer) = next else { panic!("another page is asked for") };
        answer.status
    };
    assert_eq!(ask("page=1", &[page("", false)]), 404);
    assert_eq!(ask("page=9", &[page("{\"id\":\"1\"}", false)]), 404, "past the last page");
    assert_eq!(ask("page=2", &[page("", true), page("{\"id\":\"1\"}", false)]), 200);
}
