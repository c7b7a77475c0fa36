//! A proxy between a function and DynamoDB that evaluates each call against the function's policy. It records the actions
//! and the partitions of the table, and can refuse a call without permission, as AWS does. It watches the conditions of puts
//! into the audit log too, which no policy can demand.

use crate::{
    dynamodb::TABLE,
    fault_proxy::{answer, returned},
    iam::{
        dynamodb::{LEADING_KEYS, requests, table_arn},
        policy::{Decision, Policy, Request},
        role::{Partitions, table_policy},
    },
    server::Server,
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::post,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

/// Partition to which items are only added.
const APPENDED: &str = "AUDIT";

/// Condition of a put that writes over nothing.
const IS_NEW: &str = "attribute_not_exists(pk)";

/// Treatment of a call that the policy does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The call is noted and passed on.
    Record,
    /// The call is noted and refused.
    Enforce,
}

/// A running proxy.
pub struct Recorder {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    target: String,
    client: reqwest::Client,
    function: String,
    policy: Policy,
    mode: Mode,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: Partitions,
    on_arrivals: BTreeSet<String>,
    denied: Vec<String>,
    appended: Appended,
}

/// Puts into the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// Number of puts on condition that there is no such item.
    pub new: usize,
    /// Keys of items that were put without that condition.
    pub unconditional: Vec<String>,
}

impl Appended {
    /// Notes the puts of a call, alone or in a transaction.
    fn note(&mut self, operation: &str, call: &Value) {
        let parts: Vec<&Value> = match operation {
            "PutItem" => vec![call],
            "TransactWriteItems" => {
                let items = call["TransactItems"].as_array().into_iter().flatten();
                items.filter_map(|item| item.get("Put")).collect()
            }
            _ => Vec::new(),
        };
        for put in parts.into_iter().filter(|put| put["Item"]["pk"]["S"] == APPENDED) {
            if put["ConditionExpression"] == IS_NEW {
                self.new += 1;
            } else {
                self.unconditional.push(put["Item"]["sk"]["S"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
}

impl Recorder {
    /// Starts a recorder of a function's calls in front of an endpoint.
    pub async fn start(target: String, function: &str, mode: Mode) -> Self {
        let shared = Arc::new(Shared {
            target,
            client: reqwest::Client::new(),
            function: function.to_owned(),
            policy: table_policy(function, &table_arn(TABLE)),
            mode,
            seen: Mutex::default(),
        });
        let app = Router::new().route("/", post(pass_on)).with_state(Arc::clone(&shared));
        Self { shared, server: Server::start(app).await }
    }

    /// Returns the endpoint.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the calls so far.
    pub fn calls(&self) -> Partitions {
        self.shared.seen.lock().expect("no handler panics").calls.clone()
    }

    /// Returns the actions on the table of batches and its stream so far.
    pub fn on_arrivals(&self) -> BTreeSet<String> {
        self.shared.seen.lock().expect("no handler panics").on_arrivals.clone()
    }

    /// Returns a description of each call so far that the policy does not allow.
    pub fn denied(&self) -> Vec<String> {
        self.shared.seen.lock().expect("no handler panics").denied.clone()
    }

    /// Returns the puts into the audit log so far.
    pub fn appended(&self) -> Appended {
        self.shared.seen.lock().expect("no handler panics").appended.clone()
    }
}

impl Shared {
    /// Notes the requests for permission of one call, and returns the first that the policy does not allow.
    fn note<'r>(&self, requests: &'r [Request]) -> Option<&'r Request> {
        let refused = requests.iter().find(|request| self.policy.decide(request) != Decision::Allowed);
        let mut seen = self.seen.lock().expect("no handler panics");
        let arrivals = format!("{}-arrivals", table_arn(TABLE));
        for request in requests {
            if request.resource.starts_with(&arrivals) {
                seen.on_arrivals.insert(request.action.clone());
                continue;
            }
            seen.calls.entry(request.action.clone()).or_default().extend(partitions(request));
        }
        if let Some(request) = refused {
            let partitions = request.context[LEADING_KEYS].join(", ");
            seen.denied.push(format!(
                "{}: {} of [{partitions}] in {}",
                self.function, request.action, request.resource
            ));
        }
        refused
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let call: Value = serde_json::from_slice(&body).expect("the SDK sends JSON");
    let needed = requests(operation, &call);
    shared.seen.lock().expect("no handler panics").appended.note(operation, &call);
    if let Some(request) = shared.note(&needed)
        && shared.mode == Mode::Enforce
    {
        return refusal(&shared.function, request);
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

/// Builds the response of DynamoDB to a call without permission. A transaction is refused as a whole, with the action of
/// the item that is not allowed.
fn refusal(function: &str, request: &Request) -> Response {
    let Request { action, resource, .. } = request;
    let body = json!({
        "__type": "com.amazon.coral.service#AccessDeniedException",
        "Message": format!(
            "User: arn:aws:sts::123456789012:assumed-role/cutover-{function}/{function} is not authorized to perform: \
             {action} on resource: {resource} because no identity-based policy allows the {action} action"
        ),
    });
    answer(StatusCode::BAD_REQUEST, "application/x-amz-json-1.0", body.to_string())
}

/// Returns the partitions of a request, without names.
fn partitions(request: &Request) -> Vec<String> {
    let keys = &request.context[LEADING_KEYS];
    if keys.is_empty() {
        return vec!["(no partition)".to_owned()];
    }
    keys.iter().map(|key| generalised(key)).collect()
}

fn generalised(partition: &str) -> String {
    match partition.split_once('#') {
        Some((kind, _)) => format!("{kind}#*"),
        None => partition.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_into_the_audit_log_without_its_condition_is_noticed() {
        let put = |partition: &str, condition: Value| {
            let item = json!({ "pk": { "S": partition }, "sk": { "S": "000000000007" } });
            json!({ "TableName": TABLE, "Item": item, "ConditionExpression": condition })
        };
        let noted = |operation: &str, call: Value| {
            let mut appended = Appended::default();
            appended.note(operation, &call);
            (appended.new, appended.unconditional.len())
        };
        assert_eq!(noted("PutItem", put("AUDIT", json!(IS_NEW))), (1, 0));
        assert_eq!(noted("PutItem", put("AUDIT", Value::Null)), (0, 1));
        assert_eq!(noted("PutItem", put("AUDIT", json!("attribute_exists(pk)"))), (0, 1));
        assert_eq!(noted("PutItem", put("CONFIG", Value::Null)), (0, 0));
        let parts = [put("AUDIT", json!(IS_NEW)), put("AUDIT", Value::Null), put("FOLD", Value::Null)];
        let parts = parts.map(|part| json!({ "Put": part }));
        assert_eq!(noted("TransactWriteItems", json!({ "TransactItems": parts })), (1, 1));
        assert_eq!(noted("GetItem", json!({})), (0, 0));
    }
}
