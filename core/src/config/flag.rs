//! Reads a flag and its conditions.

use super::{
    node::{Node, Value},
    reader::{Fields, Reader, did_you_mean, join},
};
use crate::{
    condition::{CompiledCondition, Condition, Operator},
    flag::Flag,
    names::FlagName,
    rate::PartsPerMillion,
};

/// DynamoDB holds 400 KB in an item; lists of this size stay below it.
const MAX_LIST: usize = 5_000;

pub(super) fn read(reader: &mut Reader, name: &FlagName, node: &Node, path: &str) -> Option<Flag> {
    let mut fields = reader.fields(
        node,
        path,
        "write enabled, rollout_percentage and the other fields of a flag below it",
    )?;
    let enabled = fields.optional("enabled").and_then(|node| reader.truth(node, &join(path, "enabled")));
    let rollout = fields
        .optional("rollout_percentage")
        .and_then(|node| reader.percentage(node, &join(path, "rollout_percentage")));
    let description = present(fields.optional("description"))
        .and_then(|node| reader.text(node, &join(path, "description")));
    let user_whitelist = users(reader, &mut fields, "user_whitelist");
    let user_blacklist = users(reader, &mut fields, "user_blacklist");
    let conditions_path = fields.path("conditions");
    let conditions = reader
        .list(fields.optional("conditions"), &conditions_path, "write a list of conditions, each with a type")
        .iter()
        .enumerate()
        .filter_map(|(at, node)| condition(reader, node, &format!("{conditions_path}[{at}]")))
        .collect();
    let salt = present(fields.optional("salt"))
        .and_then(|node| reader.text(node, &join(path, "salt")))
        // The salt that a flag has without naming one is not worth keeping: export and apply agree.
        .filter(|salt| salt != name.as_str());
    fields.finish(reader);
    Some(Flag {
        enabled: enabled.unwrap_or(false),
        rollout_percentage: rollout.unwrap_or(PartsPerMillion::ZERO),
        description: description.unwrap_or_default(),
        user_whitelist,
        user_blacklist,
        conditions,
        salt,
    })
}

fn present(node: Option<&Node>) -> Option<&Node> {
    node.filter(|node| node.value != Value::Null)
}

fn users(reader: &mut Reader, fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    let path = fields.path(name);
    let node = fields.optional(name);
    let users = reader.texts(node, &path);
    if let Some(node) = node.filter(|_| users.len() > MAX_LIST) {
        let message = format!("{} users are too many for a list", users.len());
        let hint = format!("list at most {MAX_LIST} users; use a condition on a header or cookie for more");
        reader.report(node, &path, message, hint);
    }
    users
}

fn condition(reader: &mut Reader, node: &Node, path: &str) -> Option<Condition> {
    let hint = "write type: time_window or type: attribute";
    let mut fields = reader.fields(node, path, hint)?;
    let kind_node = fields.required(reader, "type", hint)?;
    let kind = reader.text(kind_node, &join(path, "type"))?;
    let condition = match kind.as_str() {
        "time_window" => {
            let hint = "write an RFC 3339 time such as \"2026-01-31T00:00:00Z\"";
            let mut moment = |name| match present(fields.optional(name)) {
                None => Some(None),
                Some(node) => reader.parsed(node, &join(path, name), hint).map(Some),
            };
            let (start, end) = (moment("start"), moment("end"));
            fields.finish(reader);
            Condition::TimeWindow { start: start?, end: end? }
        }
        "attribute" => {
            let name = fields
                .required(reader, "name", "write which attribute, such as header:x-beta")
                .and_then(|node| reader.parsed(node, &join(path, "name"), "name one of these attributes"));
            let op = fields
                .required(reader, "op", "write how to compare, such as equals")
                .and_then(|node| operator(reader, node, &join(path, "op")));
            let values_node = fields.required(reader, "values", "write what to compare with, as a list");
            let values = values_node.map(|node| reader.texts(Some(node), &join(path, "values")));
            fields.finish(reader);
            Condition::Attribute { name: name?, op: op?, values: values? }
        }
        other => {
            reader.report(
                kind_node,
                &join(path, "type"),
                format!("{other:?} is not a type of condition"),
                hint,
            );
            return None;
        }
    };
    match CompiledCondition::new(&condition) {
        Ok(_) => Some(condition),
        Err(error) => {
            reader.report(node, path, error.to_string(), "correct the condition, or remove it");
            None
        }
    }
}

fn operator(reader: &mut Reader, node: &Node, path: &str) -> Option<Operator> {
    let written = reader.text(node, path)?;
    let names = || Operator::ALL.iter().map(|(name, _)| *name);
    let found = Operator::ALL.iter().find(|(name, _)| *name == written).map(|(_, op)| *op);
    if found.is_none() {
        let hint = did_you_mean(&written, names(), || {
            format!("write one of {}", names().collect::<Vec<_>>().join(", "))
        });
        reader.report(node, path, format!("{written:?} is not an operator"), hint);
    }
    found
}
