//! The decisions of IAM on every function, action and partition of the table, on calls that no function makes, and on
//! calls that name other tables.

use cutover_tests::{
    dynamodb::TABLE,
    iam::{
        dynamodb::{LEADING_KEYS, requests, table_arn},
        policy::{Decision, Policy, Request},
        role::{Partitions, functions, permissions, table_policy},
    },
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Calls that must be denied whatever `infra/policies` lists: the function, the action and the partition.
const FORBIDDEN: [(&str, &str, &str); 30] = [
    // The audit log is appended to. A record that is put over another one cannot be denied: append_only.rs shows that the code
    // puts none, and audit.rs that it would be noticed.
    ("management", "UpdateItem", "AUDIT"),
    ("management", "DeleteItem", "AUDIT"),
    ("promote", "UpdateItem", "AUDIT"),
    ("promote", "DeleteItem", "AUDIT"),
    ("evaluate", "UpdateItem", "AUDIT"),
    ("evaluate", "DeleteItem", "AUDIT"),
    // Whoever can reach ingest from outside changes nothing but batches, and reads no token.
    ("ingest", "PutItem", "CONFIG"),
    ("ingest", "UpdateItem", "CONFIG"),
    ("ingest", "DeleteItem", "CONFIG"),
    ("ingest", "GetItem", "TOKENS"),
    ("ingest", "Query", "TOKENS"),
    ("ingest", "PutItem", "TOKENS"),
    ("ingest", "PutItem", "LEDGER#f"),
    ("ingest", "DeleteItem", "LEDGER#f"),
    ("ingest", "PutItem", "METRICS"),
    ("ingest", "UpdateItem", "METRICS"),
    ("ingest", "DeleteItem", "METRICS"),
    ("ingest", "Query", "METRICS"),
    ("ingest", "PutItem", "RUN#r"),
    ("ingest", "UpdateItem", "FOLD"),
    // Evidence comes from evaluation alone.
    ("management", "PutItem", "LEDGER#f"),
    ("management", "DeleteItem", "LEDGER#f"),
    ("management", "PutItem", "METRICS"),
    ("management", "UpdateItem", "METRICS"),
    ("management", "PutItem", "FOLD"),
    ("management", "PutItem", "RUN#r"),
    // Tokens are read by the function that checks them.
    ("promote", "GetItem", "TOKENS"),
    ("promote", "PutItem", "TOKENS"),
    ("evaluate", "Query", "TOKENS"),
    ("evaluate", "PutItem", "TOKENS"),
];

/// Returns the requests for permission of a call that applies an action to a partition.
fn asked(action: &str, partition: &str, table: &str) -> Vec<Request> {
    let item = json!({ "pk": { "S": partition }, "sk": { "S": "x" } });
    let key = json!({ "TableName": table, "Key": item });
    let (operation, body) = match action {
        "PutItem" => (action, json!({ "TableName": table, "Item": item })),
        "Query" => (action, query(partition, table)),
        "BatchGetItem" => (action, json!({ "RequestItems": { table: { "Keys": [item] } } })),
        "ConditionCheckItem" => {
            ("TransactWriteItems", json!({ "TransactItems": [{ "ConditionCheck": key }] }))
        }
        _ => (action, key),
    };
    requests(operation, &body)
}

fn query(partition: &str, table: &str) -> Value {
    json!({
        "TableName": table,
        "KeyConditionExpression": "pk = :partition AND sk BETWEEN :from AND :to",
        "ExpressionAttributeValues": { ":partition": { "S": partition } },
    })
}

/// Returns true if every request is allowed.
fn are_allowed(policy: &Policy, requests: &[Request]) -> bool {
    requests.iter().all(|request| policy.decide(request) == Decision::Allowed)
}

/// Returns the partitions of a list as keys: the name behind `#` is made up.
fn key(partition: &str) -> String {
    partition.replace('*', "7f")
}

/// Returns all actions and all partitions that the policies of any function list.
fn listed() -> (BTreeSet<String>, BTreeSet<String>) {
    let all: Vec<Partitions> = functions().iter().map(|function| permissions(function)).collect();
    let actions = all.iter().flat_map(|listed| listed.keys().cloned()).collect();
    let partitions = all.iter().flat_map(|listed| listed.values().flatten().cloned()).collect();
    (actions, partitions)
}

/// Returns each disagreement of a function's policy with `infra/policies`, and each call that is allowed though no
/// function may make it.
pub fn faults(function: &str, policy: &Policy, table: &str) -> Vec<String> {
    let own = permissions(function);
    let (actions, partitions) = listed();
    let mut faults = Vec::new();
    let mut expect = |what: &str, requests: &[Request], expected: bool| {
        if are_allowed(policy, requests) != expected {
            let decided = if expected { "denied" } else { "allowed" };
            faults.push(format!("{function}: {what} is {decided}"));
        }
    };
    for action in &actions {
        let action = action.strip_prefix("dynamodb:").expect("an action of DynamoDB");
        for partition in &partitions {
            let is_listed =
                own.get(&format!("dynamodb:{action}")).is_some_and(|listed| listed.contains(partition));
            let what = format!("{action} on {partition}");
            expect(&what, &asked(action, &key(partition), table), is_listed);
            // A partition whose name only begins like one that is listed.
            let longer = format!("{}x", partition.trim_end_matches("#*"));
            expect(&format!("{action} on {longer}"), &asked(action, &longer, table), false);
            expect(&format!("{what} of another table"), &asked(action, &key(partition), "another"), false);
        }
    }
    for (_, action, partition) in FORBIDDEN.into_iter().filter(|(whose, ..)| *whose == function) {
        expect(&format!("{action} on {partition}"), &asked(action, partition, table), false);
    }
    for operation in ["Scan", "CreateTable", "DescribeTable", "UpdateTable", "DeleteTable"] {
        expect(operation, &requests(operation, &json!({ "TableName": table })), false);
    }
    // Puts without conditions, and statements whose text says what they do: no function has any of these.
    for action in ["BatchWriteItem", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"] {
        let request = Request::new(&format!("dynamodb:{action}"), &table_arn(table));
        expect(&format!("{action} on AUDIT"), &[request.with(LEADING_KEYS, &["AUDIT"])], false);
    }
    let mut index = query("CONFIG", table);
    index["IndexName"] = json!("by_sort");
    expect("a query of an index", &requests("Query", &index), false);
    // Each listed action without a key: the condition on all keys would hold, and the condition on their presence does not.
    for action in own.keys() {
        let mut without = Request::new(action, &table_arn(table));
        for name in asked("GetItem", "CONFIG", table)[0].context.keys().copied() {
            without = without.with(name, &[]);
        }
        expect(&format!("{action} without a key"), std::slice::from_ref(&without), false);
        // Several keys, one of which is another function's.
        let mut keys: Vec<String> = own[action].iter().map(|partition| key(partition)).collect();
        let all = keys.iter().map(String::as_str).collect::<Vec<_>>();
        expect(&format!("{action} on all its keys"), &[without.clone().with(LEADING_KEYS, &all)], true);
        keys.push("ELSEWHERE".to_owned());
        let all = keys.iter().map(String::as_str).collect::<Vec<_>>();
        expect(&format!("{action} on one key too many"), &[without.with(LEADING_KEYS, &all)], false);
    }
    faults
}

#[test]
fn every_function_is_denied_the_keys_of_the_others() {
    let functions = functions();
    assert!(functions.len() >= 4, "the policies were not found: {functions:?}");
    let faults: Vec<String> = functions
        .iter()
        .flat_map(|function| faults(function, &table_policy(function, &table_arn(TABLE)), TABLE))
        .collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn the_table_of_decisions_notices_a_policy_without_its_conditions() {
    let policy = |condition: Value| {
        Policy::parse(json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Action": "dynamodb:*",
            "Resource": table_arn(TABLE),
            "Condition": condition,
        }]}))
    };
    let has = |faults: &[String], fault: &str| faults.iter().any(|found| found == fault);
    let open = faults("ingest", &policy(json!({})), TABLE);
    assert!(has(&open, "ingest: PutItem on METRICS is allowed"), "{open:#?}");
    assert!(has(&open, "ingest: DeleteTable is allowed"), "{open:#?}");
    assert!(has(&open, "ingest: BatchWriteItem on AUDIT is allowed"), "{open:#?}");
    // The condition of the keys alone: it holds for a request without keys.
    let own = permissions("ingest");
    let keys: BTreeSet<&String> = own.values().flatten().collect();
    let unguarded = json!({ "ForAllValues:StringLike": { LEADING_KEYS: keys } });
    let open = faults("ingest", &policy(unguarded), TABLE);
    assert!(has(&open, "ingest: Scan is allowed"), "{open:#?}");
    assert!(has(&open, "ingest: dynamodb:GetItem without a key is allowed"), "{open:#?}");
    assert!(!has(&open, "ingest: GetItem on TOKENS is allowed"), "{open:#?}");
    let inverted = faults("ingest", &policy(json!({ "Null": { LEADING_KEYS: "true" } })), TABLE);
    assert!(has(&inverted, "ingest: GetItem on CONFIG is denied"), "{inverted:#?}");
}
