//! Reads variables: where they are in a request, held against the types that the operation declares.

use super::{
    super::{
        node::{Entry, Node, Value},
        reader::{Reader, did_you_mean, join},
    },
    errors,
    mapping::{Context, literal},
};
use crate::{
    adapter::{Kind, Source, Variable},
    json::Json,
};

const HINT: &str = "write a place such as path.id, or { from, default, min, max, clamp, split, map, const, fields, invalid }";

/// Reads the variables of a route. `declared` are those of the operation, with their types as written; where there is no
/// operation, each says its own type.
pub(super) fn read<'n>(
    context: &mut Context<'n>,
    reader: &mut Reader,
    node: Option<&'n Node>,
    path: &str,
    declared: Option<&[(Variable, String)]>,
) -> Vec<Variable> {
    let mut made = Vec::new();
    for entry in reader.named(node, path, "write one line per variable: name: path.id") {
        let path = join(path, &entry.key);
        let known = declared.map(|declared| declared.iter().find(|(variable, _)| variable.name == entry.key));
        let (variable, written) = match known {
            Some(Some((variable, written))) => (variable.clone(), written.clone()),
            None => (Variable::new(entry.key.clone(), Kind::Text), "String".to_owned()),
            Some(None) => {
                let names = declared.unwrap_or_default().iter().map(|(variable, _)| variable.name.as_str());
                let hint = did_you_mean(&entry.key, names, || {
                    "declare it in the operation, or take it out here".to_owned()
                });
                let message = format!("{} declares no variable ${}", context.operation, entry.key);
                reader.report_at((entry.line, entry.column), &path, message, hint);
                continue;
            }
        };
        let typed = declared.is_some();
        made.extend(one(context, reader, &entry.node, &path, variable, (&written, typed)));
    }
    made
}

/// Reads one variable of a known type. A type that only the file says is said with `type`.
pub(super) fn one<'n>(
    context: &mut Context<'n>,
    reader: &mut Reader,
    node: &'n Node,
    path: &str,
    mut variable: Variable,
    (written, typed): (&str, bool),
) -> Option<Variable> {
    // Fields of input objects are read by their own names where nothing else is said.
    variable.from = None;
    if let Value::Text(text) = &node.value {
        variable.from = Some(context.source(reader, node, path, text)?);
        return fits(reader, node, path, &variable, written).then_some(variable);
    }
    let before = reader.count();
    let mut fields = reader.fields(node, path, HINT)?;
    let at = |name: &str| join(path, name);
    if let Some(node) = fields.optional("type").filter(|_| !typed) {
        variable.kind = kind(reader, node, &at("type"))?;
    }
    if let Some(node) = fields.optional("from") {
        let text = reader.text(node, &at("from"))?;
        variable.from = context.source(reader, node, &at("from"), &text);
    }
    let (default, constant) = (fields.optional("default"), fields.optional("const"));
    for node in [default, constant].into_iter().flatten() {
        let value = literal(node);
        let may_be_null = value.0.is_null() && !variable.required;
        if !(may_be_null || holds(&variable.kind, &value.0)) {
            let message = format!("{} does not fit {written}", value.0);
            reader.report(node, path, message, format!("write a value of the type {written}"));
        }
        variable.default = Some(value);
    }
    if let Some(node) = constant.filter(|_| variable.from.is_some()) {
        reader.report(node, path, "a constant is not read from anywhere", "keep const or from");
    }
    if let Some(node) = fields.optional("required") {
        // The operation may need less than the old interface asks for.
        variable.required |= reader.truth(node, &at("required"))?;
    }
    for (name, bound) in [("min", &mut variable.min), ("max", &mut variable.max)] {
        if let Some(node) = fields.optional(name) {
            *bound = reader.number(node, &at(name), "write a number");
            if !matches!(variable.kind, Kind::Int | Kind::Float | Kind::Text | Kind::List(_) | Kind::Any) {
                let hint = "numbers, texts and lists have bounds; take it out";
                reader.report(node, &at(name), format!("{written} has no {name}"), hint);
            }
        }
    }
    if let Some(node) = fields.optional("integer") {
        variable.integer = reader.truth(node, &at("integer"))?;
    }
    if let Some(node) = fields.optional("clamp") {
        variable.clamp = reader.truth(node, &at("clamp"))?;
    }
    if let Some(node) = fields.optional("split") {
        let text = reader.text(node, &at("split"))?;
        let mut characters = text.chars();
        match (characters.next(), characters.next(), &variable.kind) {
            (Some(separator), None, Kind::List(_)) => variable.split = Some(separator),
            (_, _, Kind::List(_)) => {
                reader.report(node, &at("split"), "this is not one character", "write one, such as \",\"");
            }
            _ => reader.report(node, &at("split"), format!("{written} is not a list"), "take split out"),
        }
    }
    for entry in reader.named(fields.optional("map"), &at("map"), "write old: NEW, one line per value") {
        let value = literal(&entry.node);
        if !holds(&variable.kind, &value.0) {
            let hint = format!("write a value of the type {written}");
            reader.report(&entry.node, &at("map"), format!("{} does not fit {written}", value.0), hint);
        }
        variable.map.push((entry.key.clone(), value));
    }
    if let Some(node) = fields.optional("invalid") {
        variable.invalid = errors::fault(context, reader, node, &at("invalid"), errors::invalid());
    }
    if let Some(node) = fields.optional("fields") {
        nested(context, reader, node, &at("fields"), &mut variable, written);
    }
    fields.finish(reader);
    let reads =
        variable.from.is_some() || variable.default.is_some() || matches!(variable.kind, Kind::Object(_));
    if !reads && reader.count() == before {
        reader.report(node, path, "it is not said where the value comes from", "write from, const or fields");
    }
    if reader.count() == before && !fits(reader, node, path, &variable, written) {
        return None;
    }
    (reader.count() == before).then_some(variable)
}

/// The fields of an input object, each with its own place.
fn nested<'n>(
    context: &mut Context<'n>,
    reader: &mut Reader,
    node: &'n Node,
    path: &str,
    variable: &mut Variable,
    written: &str,
) {
    let Kind::Object(declared) = &variable.kind else {
        reader.report(node, path, format!("{written} has no fields"), "write from instead of fields");
        return;
    };
    let declared: Vec<(Variable, String)> =
        declared.iter().map(|field| (field.clone(), kind_name(&field.kind).to_owned())).collect();
    let entries = reader.named(Some(node), path, "write one line per field: rating: body.rating");
    missing(reader, node, path, entries, &declared, |name| format!("{written} needs the field {name}"));
    let operation = std::mem::replace(&mut context.operation, written.to_owned());
    variable.kind = Kind::Object(read(context, reader, Some(node), path, Some(&declared)));
    context.operation = operation;
}

/// Reports what is declared, needed and not written.
pub(super) fn missing(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    entries: &[Entry],
    declared: &[(Variable, String)],
    message: impl Fn(&str) -> String,
) {
    for (variable, _) in declared.iter().filter(|(variable, _)| variable.required) {
        if entries.iter().all(|entry| entry.key != variable.name) {
            let name = &variable.name;
            let hint = format!("add {name}: and where it is in the request, such as body.{name}");
            reader.report(node, path, message(name), hint);
        }
    }
}

/// Whether what stands at the place can have the type.
fn fits(reader: &mut Reader, node: &Node, path: &str, variable: &Variable, written: &str) -> bool {
    let Some(source) = &variable.from else { return true };
    let is_text = !matches!(source, Source::Body(_) | Source::Jwt(_));
    let (problem, hint) = match &variable.kind {
        Kind::Object(_) if is_text => {
            ("is an object, and a text cannot become one", "give its fields with fields")
        }
        Kind::List(_) if is_text && variable.split.is_none() && !matches!(source, Source::Query(_)) => {
            ("is a list, and one text cannot become it", "say with split what separates its items")
        }
        _ => return true,
    };
    reader.report(node, path, format!("{written} {problem}"), hint);
    false
}

fn holds(kind: &Kind, value: &Json<'_>) -> bool {
    match (kind, value) {
        (Kind::Int, Json::Number(digits)) => digits.parse::<i32>().is_ok(),
        (Kind::Float, Json::Number(_)) | (Kind::Text, Json::Text(_)) | (Kind::Boolean, Json::Bool(_)) => true,
        (Kind::Id, Json::Text(_) | Json::Number(_)) | (Kind::Any, _) => true,
        (Kind::Enum(names), Json::Text(text)) => names.iter().any(|name| name == text),
        (Kind::List(kind), Json::List(items)) => items.iter().all(|item| holds(kind, item)),
        (Kind::Object(fields), Json::Object(given)) => {
            let known = |name: &str| fields.iter().find(|field| field.name == name);
            given.iter().all(|(name, value)| known(name).is_some_and(|field| holds(&field.kind, value)))
                && fields.iter().filter(|field| field.required).all(|field| value.get(&field.name).is_some())
        }
        _ => false,
    }
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Int => "Int",
        Kind::Float => "Float",
        Kind::Text => "String",
        Kind::Id => "ID",
        Kind::Boolean => "Boolean",
        Kind::Enum(_) => "the enum",
        Kind::Any => "the scalar",
        Kind::List(_) => "the list",
        Kind::Object(_) => "the input object",
    }
}

fn kind(reader: &mut Reader, node: &Node, path: &str) -> Option<Kind> {
    match reader.text(node, path)?.as_str() {
        "int" => Some(Kind::Int),
        "float" => Some(Kind::Float),
        "string" => Some(Kind::Text),
        "id" => Some(Kind::Id),
        "boolean" => Some(Kind::Boolean),
        "list" => Some(Kind::List(Box::new(Kind::Text))),
        other => {
            let hint = "write int, float, string, id, boolean or list";
            reader.report(node, path, format!("{other:?} is no type"), hint);
            None
        }
    }
}
