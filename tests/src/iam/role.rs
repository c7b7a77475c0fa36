//! The policies of the functions' roles, made of `infra/policies` as `infra/roles.tf` makes them. The walk of a deployment
//! compares them with those of Terraform.

use crate::{
    iam::{dynamodb::LEADING_KEYS, policy::Policy},
    paths,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Actions with the partitions of the table to which they are applied. The part of a partition key after `#` is a name,
/// and written as `*`.
pub type Partitions = BTreeMap<String, BTreeSet<String>>;

/// Returns the names of the functions that have a list in `infra/policies`.
pub fn functions() -> Vec<String> {
    let folder = paths::root().join("infra/policies");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// Returns the permissions that `infra/policies` lists for a function.
pub fn permissions(function: &str) -> Partitions {
    let path = paths::root().join("infra/policies").join(format!("{function}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the actions on the table of batches and its stream that `infra/arrivals.json` lists for a function.
pub fn arrivals_permissions(function: &str) -> BTreeSet<String> {
    let path = paths::root().join("infra/arrivals.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut all: Partitions =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    all.remove(function).unwrap_or_default()
}

/// Returns the part of a function's policy that concerns the tables.
pub fn table_policy(function: &str, table_arn: &str) -> Policy {
    let statement = |(action, partitions): (String, BTreeSet<String>)| {
        json!({
            "Effect": "Allow",
            "Action": action,
            "Resource": table_arn,
            "Condition": {
                "ForAllValues:StringLike": { LEADING_KEYS: partitions },
                "Null": { LEADING_KEYS: "false" },
            },
        })
    };
    let mut statements: Vec<Value> = permissions(function).into_iter().map(statement).collect();
    let actions = arrivals_permissions(function);
    if !actions.is_empty() {
        let arrivals = format!("{table_arn}-arrivals");
        let resources = [arrivals.clone(), format!("{arrivals}/stream/*")];
        statements.push(json!({ "Effect": "Allow", "Action": actions, "Resource": resources }));
    }
    Policy::parse(json!({ "Version": "2012-10-17", "Statement": statements }))
}
