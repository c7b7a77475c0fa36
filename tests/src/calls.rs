//! A proxy in front of DynamoDB that notes the calls with what they name and cost, and can refuse those of a kind.

use crate::{
    fault_proxy::{answer, returned},
    server::Server,
};
use axum::{
    Router,
    body::{Bytes, HttpBody},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

/// Bytes of a write unit.
const UNIT: usize = 1_024;

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Operation, such as `GetItem`.
    pub operation: String,
    /// The request, as JSON.
    pub request: Value,
    /// Size of the response, in bytes.
    pub response_bytes: usize,
    /// Time at which it came.
    pub began: Instant,
    /// Time at which it was answered.
    pub ended: Instant,
}

impl Call {
    /// Returns the items of the call that a single key names, each as its partition and its sort key with a slash between.
    /// A query names its partition alone. Keys that are not strings, as those of batches, are left out.
    pub fn names(&self) -> Vec<String> {
        let request = &self.request;
        match self.operation.as_str() {
            "TransactWriteItems" => parts(request).filter_map(|part| named(key_of(part))).collect(),
            "BatchGetItem" => {
                let tables =
                    request["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values());
                tables
                    .flat_map(|asked| asked["Keys"].as_array().into_iter().flatten())
                    .filter_map(named)
                    .collect()
            }
            "Query" => {
                let partition = request["ExpressionAttributeValues"][":partition"]["S"].as_str();
                partition.map(|partition| format!("{partition}/")).into_iter().collect()
            }
            _ => named(key_of(request)).into_iter().collect(),
        }
    }

    /// Returns the write units of the items that the call puts, by partition: one for each KB, and two in a transaction.
    pub fn put_units(&self) -> BTreeMap<String, usize> {
        let mut units = BTreeMap::new();
        let mut add = |part: &Value, times: usize| {
            if let (Some(item), Some(partition)) =
                (part["Item"].as_object(), part["Item"]["pk"]["S"].as_str())
            {
                let bytes: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
                *units.entry(partition.to_owned()).or_default() += times * bytes.div_ceil(UNIT);
            }
        };
        match self.operation.as_str() {
            "TransactWriteItems" => parts(&self.request).for_each(|part| add(part, 2)),
            "PutItem" => add(&self.request, 1),
            _ => {}
        }
        units
    }
}

/// Returns the parts of a transaction.
fn parts(request: &Value) -> impl Iterator<Item = &Value> {
    let items = request["TransactItems"].as_array().into_iter().flatten();
    items.filter_map(|item| item.as_object()?.values().next())
}

fn key_of(part: &Value) -> &Value {
    part.get("Item").unwrap_or(&part["Key"])
}

/// Returns the name of a key with strings.
fn named(key: &Value) -> Option<String> {
    Some(format!("{}/{}", key["pk"]["S"].as_str()?, key["sk"]["S"].as_str()?))
}

/// Returns the size of an attribute's value as it is stored, in bytes.
fn size(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return 0 };
    let bytes = |text: &Value| match kind.as_str() {
        "B" => STANDARD.decode(text.as_str().unwrap_or_default()).map_or(0, |bytes| bytes.len()),
        _ => text.as_str().map_or(0, str::len),
    };
    match value.as_array() {
        Some(values) => values.iter().map(bytes).sum(),
        None => bytes(value),
    }
}

/// Calls that are refused, and the response to them.
struct Refusals {
    condition: Box<dyn Fn(&Call) -> bool + Send>,
    response: Value,
}

/// A running proxy.
pub struct CallProxy {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    target: String,
    client: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    refused: Mutex<Option<Refusals>>,
}

impl CallProxy {
    /// Starts a proxy in front of an endpoint.
    pub async fn start(target: String) -> Self {
        let client = reqwest::Client::new();
        let shared = Arc::new(Shared { target, client, calls: Mutex::default(), refused: Mutex::default() });
        let app = Router::new().route("/", post(pass_on)).layer(DefaultBodyLimit::disable());
        let app = app.with_state(Arc::clone(&shared));
        Self { shared, server: Server::start(app).await }
    }

    /// Returns the endpoint.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the calls since the last time, in the order of their answers.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.shared.calls.lock().expect("no handler panics"))
    }

    /// Refuses from now on the calls for which a condition holds, as invalid. It is asked before the call has a response.
    pub fn refuse(&self, condition: impl Fn(&Call) -> bool + Send + 'static) {
        let invalid =
            json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "no" });
        self.refuse_with(invalid, condition);
    }

    /// Refuses from now on the calls for which a condition holds, with this body and the status 400.
    pub fn refuse_with(&self, response: Value, condition: impl Fn(&Call) -> bool + Send + 'static) {
        let refusals = Refusals { condition: Box::new(condition), response };
        *self.shared.refused.lock().expect("no handler panics") = Some(refusals);
    }

    /// Refuses no call any more.
    pub fn refuse_none(&self) {
        *self.shared.refused.lock().expect("no handler panics") = None;
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let request = serde_json::from_slice(&body).expect("the SDK sends JSON");
    let began = Instant::now();
    let mut call = Call { operation, request, response_bytes: 0, began, ended: began };
    let refusal = {
        let refused = shared.refused.lock().expect("no handler panics");
        let refusals = refused.as_ref().filter(|refusals| (refusals.condition)(&call));
        refusals.map(|refusals| refusals.response.to_string())
    };
    let response = if let Some(refusal) = refusal {
        answer(StatusCode::BAD_REQUEST, "application/x-amz-json-1.0", refusal)
    } else {
        let mut passed = headers;
        passed.remove("host");
        let sent = shared.client.post(&shared.target).headers(passed).body(body).send().await;
        match sent {
            Ok(received) => returned(received).await,
            Err(_) => answer(StatusCode::BAD_GATEWAY, "application/x-amz-json-1.0", "{}"),
        }
    };
    call.ended = Instant::now();
    let bytes = response.body().size_hint().exact();
    call.response_bytes =
        bytes.and_then(|bytes| usize::try_from(bytes).ok()).expect("a body of a known size");
    shared.calls.lock().expect("no handler panics").push(call);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str, request: Value) -> Call {
        let now = Instant::now();
        Call { operation: operation.to_owned(), request, response_bytes: 0, began: now, ended: now }
    }

    #[test]
    fn a_call_names_its_items() {
        let key = json!({ "pk": { "S": "A" }, "sk": { "S": "1" } });
        assert_eq!(call("GetItem", json!({ "Key": key })).names(), ["A/1"]);
        let batch = json!({ "RequestItems": { "t": { "Keys": [key, key] } } });
        assert_eq!(call("BatchGetItem", batch).names(), ["A/1", "A/1"]);
        let query = json!({ "ExpressionAttributeValues": { ":partition": { "S": "B" } } });
        assert_eq!(call("Query", query).names(), ["B/"]);
        let parts = json!({ "TransactItems": [{ "Put": { "Item": key } }, { "Delete": { "Key": key } }] });
        assert_eq!(call("TransactWriteItems", parts).names(), ["A/1", "A/1"]);
    }

    #[test]
    fn units_are_those_of_whole_items_and_twice_in_a_transaction() {
        let text = "x".repeat(1_000);
        let bytes = STANDARD.encode([0; 2_000]);
        // 3 + 3 + 1 001 bytes, and 3 + 3 + 2 001 bytes.
        let small = json!({ "pk": { "S": "A" }, "sk": { "N": "1" }, "t": { "S": text } });
        let large = json!({ "pk": { "S": "B" }, "sk": { "N": "1" }, "b": { "B": bytes } });
        let put = |item: &Value| json!({ "Put": { "Item": item } });
        let parts = json!({ "TransactItems": [put(&small), put(&large), put(&large)] });
        let units = |operation: &str, request: Value| Vec::from_iter(call(operation, request).put_units());
        assert_eq!(units("TransactWriteItems", parts), [("A".to_owned(), 2), ("B".to_owned(), 8)]);
        assert_eq!(units("PutItem", json!({ "Item": large })), [("B".to_owned(), 2)]);
        assert_eq!(units("GetItem", json!({})), Vec::new());
    }
}
