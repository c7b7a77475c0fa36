//! A proxy in front of DynamoDB that records a function's calls: the action and the partition of
//! the table. Parts of a transaction are recorded as the actions for which they need permission.

use crate::fault_proxy::returned;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::post,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};
use tokio::task::JoinHandle;

/// Actions with the partitions they were applied to. The part of a key after `#` is a name, and
/// recorded as `*`.
pub type Calls = BTreeMap<String, BTreeSet<String>>;

/// A running proxy.
pub struct Recorder {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    target: String,
    client: reqwest::Client,
    calls: Mutex<Calls>,
}

impl Recorder {
    /// Starts a recorder in front of an endpoint.
    pub async fn start(target: String) -> Self {
        let shared =
            Arc::new(Shared { target, client: reqwest::Client::new(), calls: Mutex::new(Calls::new()) });
        let app = Router::new().route("/", post(pass_on)).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the recorder serves");
        });
        Self { url, shared, server }
    }

    /// Returns the endpoint.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the calls so far.
    pub fn calls(&self) -> Calls {
        self.shared.calls.lock().expect("no handler panics").clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let action = target.rsplit('.').next().unwrap_or_default();
    let request: Value = serde_json::from_slice(&body).expect("the SDK sends JSON");
    {
        let mut calls = shared.calls.lock().expect("no handler panics");
        for (action, partition) in needed(action, &request) {
            calls.entry(format!("dynamodb:{action}")).or_default().insert(partition);
        }
    }
    let mut passed = headers.clone();
    passed.remove("host");
    let sent = shared.client.post(&shared.target).headers(passed).body(body).send().await;
    let Ok(received) = sent else {
        let mut response = Response::new(Body::from("{}"));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        return response;
    };
    returned(received).await
}

/// Returns the permissions that a call needs.
fn needed(action: &str, request: &Value) -> Vec<(String, String)> {
    match action {
        "GetItem" | "UpdateItem" | "DeleteItem" => vec![(action.to_owned(), partition(&request["Key"]))],
        "BatchGetItem" => request["RequestItems"]
            .as_object()
            .expect("tables")
            .values()
            .flat_map(|table| table["Keys"].as_array().expect("keys"))
            .map(|key| (action.to_owned(), partition(key)))
            .collect(),
        "PutItem" => vec![(action.to_owned(), partition(&request["Item"]))],
        "Query" => {
            let condition = request["KeyConditionExpression"].as_str().expect("a key condition");
            let name = condition
                .split("pk = ")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next())
                .unwrap_or_else(|| panic!("{condition} names no partition"));
            vec![(action.to_owned(), generalised(&request["ExpressionAttributeValues"][name]["S"]))]
        }
        "TransactWriteItems" => request["TransactItems"]
            .as_array()
            .expect("items")
            .iter()
            .flat_map(|item| item.as_object().expect("an item"))
            .map(|(kind, part)| match kind.as_str() {
                "Put" => ("PutItem".to_owned(), partition(&part["Item"])),
                "Update" => ("UpdateItem".to_owned(), partition(&part["Key"])),
                "Delete" => ("DeleteItem".to_owned(), partition(&part["Key"])),
                "ConditionCheck" => ("ConditionCheckItem".to_owned(), partition(&part["Key"])),
                other => panic!("the recorder does not know {other} in a transaction"),
            })
            .collect(),
        other => panic!("the recorder does not know {other}; add the permission that it needs"),
    }
}

fn partition(key: &Value) -> String {
    generalised(&key["pk"]["S"])
}

fn generalised(partition: &Value) -> String {
    let text = partition.as_str().expect("a partition");
    match text.split_once('#') {
        Some((kind, _)) => format!("{kind}#*"),
        None => text.to_owned(),
    }
}
