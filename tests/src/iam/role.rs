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

/// Returns the part of a function's policy that concerns the table.
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
    let statements: Vec<Value> = permissions(function).into_iter().map(statement).collect();
    Policy::parse(json!({ "Version": "2012-10-17", "Statement": statements }))
}
