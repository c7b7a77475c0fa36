//! The requests for permission that a call of DynamoDB makes, with the context keys that DynamoDB gives them.

use crate::iam::policy::Request;
use serde_json::Value;

/// Context key with the partition keys of the items that a request names.
pub const LEADING_KEYS: &str = "dynamodb:LeadingKeys";

/// Context key with the attributes that a query or a scan selects.
const SELECT: &str = "dynamodb:Select";

/// Context key with the transaction that a request is a part of.
const ENCLOSING_OPERATION: &str = "dynamodb:EnclosingOperation";

/// Account and region of every simulated deployment, which are those of the emulator of AWS.
const PLACE: &str = "us-east-1:123456789012";

/// Returns the ARN of a table.
pub fn table_arn(name: &str) -> String {
    format!("arn:aws:dynamodb:{PLACE}:table/{name}")
}

/// Returns the requests that must all be allowed for a call. Each item of a transaction is a request for the action that
/// would do the same alone ("Using IAM with DynamoDB transactions").
pub fn requests(operation: &str, body: &Value) -> Vec<Request> {
    match operation {
        "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" => {
            vec![request(operation, body, &[item_partition(body)])]
        }
        "Query" => vec![request(operation, body, &[query_partition(body)]).with(SELECT, &[selected(body)])],
        "BatchGetItem" => body["RequestItems"]
            .as_object()
            .expect("tables")
            .iter()
            .flat_map(|(table, asked)| {
                asked["Keys"].as_array().expect("keys").iter().map(move |key| (table, key))
            })
            .map(|(table, key)| {
                on(operation, &table_arn(table), &[key["pk"]["S"].as_str().expect("a partition")])
            })
            .collect(),
        // An iterator does not show its stream; there is one.
        "DescribeStream" | "GetShardIterator" | "GetRecords" => {
            let stream = format!("{}-arrivals/stream/1", table_arn(crate::dynamodb::TABLE));
            vec![on(operation, &stream, &[])]
        }
        "Scan" => vec![request(operation, body, &[]).with(SELECT, &[selected(body)])],
        "CreateTable" | "DescribeTable" | "UpdateTable" | "DeleteTable" => {
            vec![request(operation, body, &[])]
        }
        "TransactWriteItems" | "TransactGetItems" => body["TransactItems"]
            .as_array()
            .expect("items")
            .iter()
            .flat_map(|item| item.as_object().expect("an item"))
            .map(|(kind, part)| {
                let action = match kind.as_str() {
                    "Get" => "GetItem",
                    "Put" => "PutItem",
                    "Update" => "UpdateItem",
                    "Delete" => "DeleteItem",
                    "ConditionCheck" => "ConditionCheckItem",
                    other => panic!("the simulator does not know {other} in a transaction"),
                };
                request(action, part, &[item_partition(part)]).with(ENCLOSING_OPERATION, &[operation])
            })
            .collect(),
        other => panic!("the simulator does not know {other}; add the permissions that it needs"),
    }
}

/// Builds a request for an action on the table or index that a call, or a part of one, names.
fn request(action: &str, part: &Value, partitions: &[&str]) -> Request {
    let table = table_arn(part["TableName"].as_str().expect("a table"));
    let resource = match part["IndexName"].as_str() {
        Some(index) => format!("{table}/index/{index}"),
        None => table,
    };
    on(action, &resource, partitions)
}

/// Builds a request for an action on a resource.
fn on(action: &str, resource: &str, partitions: &[&str]) -> Request {
    Request::new(&format!("dynamodb:{action}"), resource)
        .with(LEADING_KEYS, partitions)
        .with(SELECT, &[])
        .with(ENCLOSING_OPERATION, &[])
}

fn item_partition(part: &Value) -> &str {
    let attributes = part.get("Item").unwrap_or(&part["Key"]);
    partition(&attributes["pk"])
}

/// Returns a partition key: text, or the base64 text of bytes.
fn partition(key: &Value) -> &str {
    key["S"].as_str().or_else(|| key["B"].as_str()).expect("a partition")
}

fn query_partition(body: &Value) -> &str {
    let condition = body["KeyConditionExpression"].as_str().expect("a key condition");
    let name = condition
        .split("pk = ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("{condition} names no partition"));
    body["ExpressionAttributeValues"][name]["S"].as_str().expect("a partition")
}

/// Returns the parameter Select of a query or scan, or its default.
fn selected(body: &Value) -> &str {
    let is_projected = body["ProjectionExpression"].is_string();
    let default = match (is_projected, body["IndexName"].is_string()) {
        (true, _) => "SPECIFIC_ATTRIBUTES",
        (false, true) => "ALL_PROJECTED_ATTRIBUTES",
        (false, false) => "ALL_ATTRIBUTES",
    };
    body["Select"].as_str().unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Returns the action, the resource and the partitions of each request of a call.
    fn asked(operation: &str, body: Value) -> Vec<(String, String, Vec<String>)> {
        requests(operation, &body)
            .into_iter()
            .map(|request| (request.action, request.resource, request.context[LEADING_KEYS].clone()))
            .collect()
    }

    fn expected(action: &str, resource: &str, partitions: &[&str]) -> (String, String, Vec<String>) {
        let partitions = partitions.iter().map(|partition| (*partition).to_owned()).collect();
        (
            format!("dynamodb:{action}"),
            format!("arn:aws:dynamodb:us-east-1:123456789012:{resource}"),
            partitions,
        )
    }

    #[test]
    fn a_call_asks_for_its_action_with_the_partition_of_its_key() {
        let key = json!({ "pk": { "S": "CONFIG" }, "sk": { "S": "HEAD" } });
        for action in ["GetItem", "UpdateItem", "DeleteItem"] {
            let found = asked(action, json!({ "TableName": "t", "Key": key }));
            assert_eq!(found, [expected(action, "table/t", &["CONFIG"])]);
        }
        let found = asked("PutItem", json!({ "TableName": "t", "Item": key }));
        assert_eq!(found, [expected("PutItem", "table/t", &["CONFIG"])]);
        let query = json!({
            "TableName": "t",
            "IndexName": "i",
            "KeyConditionExpression": "pk = :audit AND sk < :before",
            "ExpressionAttributeValues": { ":audit": { "S": "AUDIT" }, ":before": { "S": "9" } },
        });
        assert_eq!(asked("Query", query.clone()), [expected("Query", "table/t/index/i", &["AUDIT"])]);
        assert_eq!(requests("Query", &query)[0].context[SELECT], ["ALL_PROJECTED_ATTRIBUTES"]);
        assert_eq!(asked("Scan", json!({ "TableName": "t" })), [expected("Scan", "table/t", &[])]);
    }

    /// "Using IAM with DynamoDB transactions": the permissions are those of the underlying operations, and
    /// dynamodb:EnclosingOperation names the transaction.
    #[test]
    fn a_transaction_asks_for_each_of_its_items() {
        let part =
            |field: &str, partition: &str| json!({ "TableName": "t", field: { "pk": { "S": partition } } });
        let body = json!({ "TransactItems": [
            { "Put": part("Item", "A") },
            { "Update": part("Key", "B") },
            { "Delete": part("Key", "C") },
            { "ConditionCheck": part("Key", "D") },
        ]});
        let rows = [("PutItem", "A"), ("UpdateItem", "B"), ("DeleteItem", "C"), ("ConditionCheckItem", "D")];
        let rows = rows.map(|(action, partition)| expected(action, "table/t", &[partition]));
        assert_eq!(asked("TransactWriteItems", body.clone()), rows);
        for request in requests("TransactWriteItems", &body) {
            assert_eq!(request.context[ENCLOSING_OPERATION], ["TransactWriteItems"]);
        }
    }
}
