//! A proxy in front of DynamoDB that requests the consumed capacity of each call, and sums it up by table and operation.

use crate::{cost::units::Units, server::Server};
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
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// Operations that read items. Their units are read units.
const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "TransactGetItems"];

/// Operations that write items. Their units are write units.
const WRITES: [&str; 4] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];

/// Units by table and operation; calls without units of capacity by operation, under an empty name of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Consumed(BTreeMap<(String, String), f64>);

impl Consumed {
    fn add(&mut self, table: &str, operation: &str, units: f64) {
        *self.0.entry((table.to_owned(), operation.to_owned())).or_default() += units;
    }

    /// Returns the sums over all tables.
    pub(super) fn units(&self) -> Units {
        let sum = |operations: &[&str]| {
            let counted =
                self.0.iter().filter(|((_, operation), _)| operations.contains(&operation.as_str()));
            counted.map(|(_, units)| *units).sum::<f64>()
        };
        Units { reads: sum(&READS), writes: sum(&WRITES), stream_reads: sum(&["GetRecords"]) }
    }

    /// Prints the units of each table and operation.
    pub(super) fn print(&self, title: &str) {
        for ((table, operation), units) in &self.0 {
            let unit = if table.is_empty() { "calls" } else { "units" };
            println!("  {title:<24} {table:<20} {operation:<20} {units:>12.1} {unit}");
        }
    }
}

/// A running proxy.
pub(super) struct CapacityProxy {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    target: String,
    client: reqwest::Client,
    consumed: Mutex<Consumed>,
}

impl CapacityProxy {
    /// Starts a proxy in front of an endpoint.
    pub(super) async fn start(target: String) -> Self {
        let shared = Arc::new(Shared { target, client: reqwest::Client::new(), consumed: Mutex::default() });
        let app = Router::new().route("/", post(pass_on)).with_state(Arc::clone(&shared));
        Self { shared, server: Server::start(app).await }
    }

    /// Returns the endpoint.
    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the consumption since the last call.
    pub(super) fn take(&self) -> Consumed {
        std::mem::take(&mut *self.shared.consumed.lock().expect("no handler panics"))
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let is_counted = READS.contains(&operation.as_str()) || WRITES.contains(&operation.as_str());
    let body = if is_counted { Bytes::from(with_capacity(&body)) } else { body };
    let mut passed = headers;
    passed.remove("host");
    passed.remove("content-length");
    let sent = shared.client.post(&shared.target).headers(passed).body(body).send().await;
    let Ok(received) = sent else {
        let mut response = Response::new(Body::from("{}"));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        return response;
    };
    let (status, headers) = (received.status(), received.headers().clone());
    let bytes = received.bytes().await.unwrap_or_default();
    {
        let mut consumed = shared.consumed.lock().expect("no handler panics");
        if is_counted {
            for (table, units) in consumption(&bytes) {
                consumed.add(&table, &operation, units);
            }
        } else {
            consumed.add("", &operation, 1.0);
        }
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    for (name, value) in headers.iter().filter(|(name, _)| *name != "transfer-encoding") {
        response.headers_mut().append(name, value.clone());
    }
    response
}

/// Returns a call that requests its consumed capacity.
fn with_capacity(body: &[u8]) -> Vec<u8> {
    let mut call: Value = serde_json::from_slice(body).expect("the SDK sends JSON");
    call["ReturnConsumedCapacity"] = Value::from("TOTAL");
    serde_json::to_vec(&call).expect("a value is JSON")
}

/// Returns the units in a response, by table: of one call, or of each table of a transaction.
fn consumption(response: &[u8]) -> Vec<(String, f64)> {
    let mut response: Value = serde_json::from_slice(response).unwrap_or_default();
    let consumed = match response["ConsumedCapacity"].take() {
        Value::Array(consumed) => consumed,
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let of = |one: &Value| {
        let table = one["TableName"].as_str().unwrap_or_default().to_owned();
        (table, one["CapacityUnits"].as_f64().unwrap_or_default())
    };
    consumed.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn capacity_is_requested_and_summed_by_kind() {
        let call: Value = serde_json::from_slice(&with_capacity(b"{\"TableName\":\"t\"}")).unwrap();
        assert_eq!(call, json!({ "TableName": "t", "ReturnConsumedCapacity": "TOTAL" }));
        let mut consumed = Consumed::default();
        let one = json!({ "ConsumedCapacity": { "TableName": "t", "CapacityUnits": 1.5 } });
        let two = json!({ "ConsumedCapacity": [
            { "TableName": "t", "CapacityUnits": 4.0 }, { "TableName": "u", "CapacityUnits": 2.0 },
        ] });
        for (operation, response) in [("GetItem", &one), ("GetItem", &one), ("TransactWriteItems", &two)] {
            for (table, units) in consumption(response.to_string().as_bytes()) {
                consumed.add(&table, operation, units);
            }
        }
        consumed.add("", "GetRecords", 1.0);
        assert_eq!(consumption(b"{}"), Vec::new());
        assert_eq!(consumed.units(), Units { reads: 3.0, writes: 6.0, stream_reads: 1.0 });
    }
}
