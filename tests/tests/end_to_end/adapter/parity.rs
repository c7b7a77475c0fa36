//! The old interface through the adapter, request by request beside the old backend.

use super::*;

/// One request, what it is an example of, and the status that it must have.
type Case = (&'static str, &'static str, &'static str, Option<&'static str>, u16);

/// In this order: what is written by one is read by the next.
const CASES: &[(&str, &[Case])] = &[
    (
        "GET /api/v1/reviews",
        &[
            ("success", "GET", "/api/v1/reviews", None, 200),
            ("second page", "GET", "/api/v1/reviews?page=2&limit=7", None, 200),
            ("last page", "GET", "/api/v1/reviews?limit=7&page=6", None, 200),
            ("largest page", "GET", "/api/v1/reviews?limit=1000", None, 200),
            ("empty", "GET", "/api/v1/reviews?page=99", None, 200),
            ("invalid", "GET", "/api/v1/reviews?page=0", None, 400),
            ("invalid", "GET", "/api/v1/reviews?page=first", None, 400),
            ("invalid", "GET", "/api/v1/reviews?limit=%F0%9F%98%80", None, 400),
        ],
    ),
    (
        "GET /api/v1/offers/{id}/reviews",
        &[
            ("success", "GET", "/api/v1/offers/3/reviews", None, 200),
            ("second page", "GET", "/api/v1/offers/3/reviews?page=2&limit=2", None, 200),
            ("empty", "GET", "/api/v1/offers/999/reviews", None, 200),
            ("not found", "GET", "/api/v1/offers/1000000/reviews", None, 404),
            ("invalid", "GET", "/api/v1/offers/three/reviews", None, 400),
        ],
    ),
    (
        "GET /api/v1/users/{id}/reviews",
        &[
            ("success", "GET", "/api/v1/users/user-3/reviews", None, 200),
            ("second page", "GET", "/api/v1/users/user-3/reviews?page=2&limit=1", None, 200),
            ("fourth page", "GET", "/api/v1/users/user-3/reviews?page=4&limit=1", None, 200),
            ("empty", "GET", "/api/v1/users/user-3/reviews?page=9", None, 200),
            ("empty", "GET", "/api/v1/users/user-99/reviews", None, 200),
            ("not found", "GET", "/api/v1/users/nobody%20here/reviews", None, 404),
            ("invalid", "GET", "/api/v1/users/user-3/reviews?limit=x", None, 400),
        ],
    ),
    (
        "POST /api/v1/reviews",
        &[
            ("success", "POST", "/api/v1/reviews", Some(NEW_REVIEW), 201),
            ("conflict", "POST", "/api/v1/reviews", Some(NEW_REVIEW), 409),
            ("empty", "POST", "/api/v1/reviews", Some("{}"), 400),
            ("invalid", "POST", "/api/v1/reviews", Some("{"), 400),
            ("invalid", "POST", "/api/v1/reviews", Some(r#"{"offer_id":"x","author_id":"a"}"#), 400),
            (
                "invalid",
                "POST",
                "/api/v1/reviews",
                Some(r#"{"offer_id":8,"author_id":"user-78","rating":6,"text":""}"#),
                422,
            ),
            (
                "invalid",
                "POST",
                "/api/v1/reviews",
                Some(r#"{"offer_id":8,"author_id":"user-78","rating":2}"#),
                400,
            ),
        ],
    ),
    (
        "GET /api/v1/reviews/{id}",
        &[
            ("success", "GET", "/api/v1/reviews/7", None, 200),
            ("success", "GET", "/api/v1/reviews/41", None, 200),
            ("not found", "GET", "/api/v1/reviews/4711", None, 404),
            ("invalid", "GET", "/api/v1/reviews/seven", None, 400),
        ],
    ),
    (
        "PUT /api/v1/reviews/{id}",
        &[
            ("success", "PUT", "/api/v1/reviews/7", Some(r#"{"rating":2,"text":"Changed my mind."}"#), 200),
            ("empty", "PUT", "/api/v1/reviews/7", Some("{}"), 200),
            ("not found", "PUT", "/api/v1/reviews/4711", Some(r#"{"rating":2}"#), 404),
            ("conflict", "PUT", "/api/v1/reviews/9", Some(r#"{"rating":2}"#), 409),
            ("invalid", "PUT", "/api/v1/reviews/7", Some(r#"{"rating":0}"#), 422),
            ("invalid", "PUT", "/api/v1/reviews/7", Some(r#"{"text":1}"#), 400),
            ("invalid", "PUT", "/api/v1/reviews/x", Some("{}"), 400),
            ("invalid", "PUT", "/api/v1/reviews/7", Some("not json"), 400),
        ],
    ),
    (
        "DELETE /api/v1/reviews/{id}",
        &[
            ("success", "DELETE", "/api/v1/reviews/8", None, 204),
            ("not found", "DELETE", "/api/v1/reviews/8", None, 404),
            ("conflict", "DELETE", "/api/v1/reviews/9", None, 409),
            ("invalid", "DELETE", "/api/v1/reviews/x", None, 400),
        ],
    ),
];

/// Requests that any endpoint refuses, or that no backend answers; the body of a write goes along.
const SAMPLES: &[(&str, &str, Option<&str>)] = &[
    ("GET", "/api/v1/reviews", None),
    ("GET", "/api/v1/offers/3/reviews", None),
    ("GET", "/api/v1/users/user-3/reviews", None),
    ("POST", "/api/v1/reviews", Some(NEW_REVIEW)),
    ("GET", "/api/v1/reviews/7", None),
    ("PUT", "/api/v1/reviews/7", Some("{}")),
    ("DELETE", "/api/v1/reviews/7", None),
];

/// The body without the moments that differ because the two were asked one after the other.
fn body(answer: &Answer) -> Value {
    fn forget(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in ["timestamp", "updated_at", "created_at"] {
                    if let Some(Value::String(text)) = fields.get_mut(name) {
                        // Those of this year are of this test; the others were there before.
                        if !text.starts_with("2024-") {
                            *text = "now".to_owned();
                        }
                    }
                }
                fields.values_mut().for_each(forget);
            }
            Value::Array(items) => items.iter_mut().for_each(forget),
            _ => {}
        }
    }
    if answer.body.is_empty() {
        return Value::Null;
    }
    let mut body = answer.json();
    forget(&mut body);
    body
}

async fn parity(
    edge: u16,
    legacy: u16,
    case: &str,
    request: (&str, &str, Option<&str>),
    token: Option<&str>,
) -> u16 {
    let (method, target, content) = request;
    let mut headers = vec![("x-user-id", "u1"), ("accept", "application/json")];
    headers.extend(content.map(|_| ("content-type", "application/json")));
    headers.extend(token.map(|token| ("authorization", token)));
    let content = content.unwrap_or_default().as_bytes();
    let wanted = send(legacy, method, target, &headers, content).await;
    let got = send(edge, method, target, &headers, content).await;
    let label = format!("{case}: {method} {target}");
    assert_eq!(got.header("x-cutover-arm").as_deref(), Some("new"), "{label}");
    assert_eq!(got.status, wanted.status, "{label}: {}", String::from_utf8_lossy(&got.body));
    assert_eq!(compared(&got), compared(&wanted), "{label}");
    assert_eq!(body(&got), body(&wanted), "{label}");
    got.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_client_gets_from_the_graphql_backend_what_the_old_one_gives() {
    let new = Origin::start(Backend::New, Arc::new(Data::default())).await;
    let old = Origin::start(Backend::Legacy, Arc::new(Data::default())).await;
    let stack = started(&new, "").await;
    let (edge, legacy) = (stack.edge.port(), old.port());
    let mut checked = 0;
    for (endpoint, cases) in CASES {
        for (case, method, target, content, status) in *cases {
            let seen = parity(edge, legacy, case, (method, target, *content), None).await;
            assert_eq!(seen, *status, "{endpoint}, {case}");
            checked += 1;
        }
    }
    for sample in SAMPLES {
        let expired = Some("Bearer expired");
        assert_eq!(parity(edge, legacy, "unauthorised", *sample, expired).await, 401);
        checked += 1;
    }
    let failing = cutover_origins::Faults { error_rate: 1.0, ..Default::default() };
    old.control().set(failing);
    new.control().set(failing);
    for sample in SAMPLES {
        assert_eq!(parity(edge, legacy, "backend failure", *sample, None).await, 500);
        checked += 1;
    }
    println!("{checked} requests answered alike by the old backend and through the adapter");
}
