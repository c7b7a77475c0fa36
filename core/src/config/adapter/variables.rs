//! Reads variables: their places in a request, checked against the types that the operation
//! declares.

use super::{
    errors::{self, ErrorSource},
    graphql::Declared,
    mapping::Context,
    nesting::{self, MAX_NESTING},
};
use crate::{
    adapter::{Kind, Source, Variable},
    config::reading::{Cursor, EntryCursor, Fields, Value, did_you_mean},
    json::value::Json,
};

const HINT: &str = "write a place such as path.id, or { from, default, min, max, clamp, integer, split, map, \
                    const, fields, required, empty, invalid }";

/// Reads the variables of a route. `declared` are those of the operation; without an operation, the
/// file itself names their types.
pub(super) fn read<'n>(
    context: &mut Context<'n>,
    cursor: Option<&Cursor<'n>>,
    declared: Option<&[Declared]>,
) -> Vec<Variable> {
    let hint = "write one line per variable: name: path.id";
    let entries = cursor.map(|cursor| cursor.entries(hint)).unwrap_or_default();
    let mut variables = Vec::new();
    for entry in entries {
        let variable = match declared {
            None => {
                let variable = Variable::new(entry.key.to_owned(), Kind::Text);
                let declared = Declared { variable, written: "String".to_owned() };
                one(context, &entry.value, declared, Typing::File)
            }
            Some(declared) => match declared.iter().find(|declared| declared.variable.name == entry.key) {
                Some(declared) => one(context, &entry.value, declared.clone(), Typing::Operation),
                None => undeclared(&context.operation, &entry, declared),
            },
        };
        variables.extend(variable);
    }
    variables
}

/// Reports a variable that the operation does not declare.
fn undeclared<T>(operation: &str, entry: &EntryCursor<'_>, declared: &[Declared]) -> Option<T> {
    let names = declared.iter().map(|declared| declared.variable.name.as_str());
    let hint = did_you_mean(entry.key, names, || "declare it in the operation, or remove it here".to_owned());
    entry.key_cursor.refuse(format!("{operation} declares no variable ${}", entry.key), hint)
}

/// The place that determines the type of a variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Typing {
    /// The operation declares it.
    Operation,
    /// The file may name it with `type`.
    File,
}

/// Reads one variable.
pub(super) fn one<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    mut declared: Declared,
    typing: Typing,
) -> Option<Variable> {
    // The fields of an input object have a default place, which is used only if the object is not
    // mapped.
    declared.variable.from = None;
    if let Value::String(place) = cursor.value() {
        declared.variable.from = Some(context.source(cursor, place)?);
        return fits(cursor, &declared).then_some(declared.variable);
    }
    let mut fields = cursor.fields(HINT)?;
    if let Some(cursor) = fields.optional("type").filter(|_| typing == Typing::File) {
        declared.variable.kind = kind(&cursor)?;
    }
    let from = fields.optional("from");
    if let Some(cursor) = &from {
        let place = cursor.string()?;
        declared.variable.from = context.source(cursor, &place);
    }
    constants(cursor, &mut fields, &mut declared);
    limits(&mut fields, &mut declared)?;
    split(&mut fields, &mut declared)?;
    table(&mut fields, &mut declared);
    absence(&mut fields, from.as_ref(), &mut declared);
    invalid(context, &mut fields, from.as_ref(), &mut declared);
    if let Some(cursor) = fields.optional("fields") {
        nested(context, &cursor, &mut declared);
    }
    fields.finish()?;
    let variable = &declared.variable;
    let has_source =
        variable.from.is_some() || variable.default.is_some() || matches!(variable.kind, Kind::Object(_));
    if !has_source {
        return cursor.refuse("the variable has no source", "write from, const or fields");
    }
    fits(cursor, &declared).then_some(declared.variable)
}

/// Reads `default` and `const`.
fn constants<'n>(cursor: &Cursor<'n>, fields: &mut Fields<'n>, declared: &mut Declared) {
    let Declared { variable, written } = declared;
    let (default, constant) = (fields.optional("default"), fields.optional("const"));
    for value_cursor in [&default, &constant].into_iter().flatten() {
        let value = value_cursor.literal();
        let may_be_null = value.0.is_null() && !variable.required;
        if !(may_be_null || is_of_kind(&variable.kind, &value.0)) {
            let message = format!("{} does not fit {written}", value.0);
            let hint = value_hint(&variable.kind, written);
            value_cursor.at_path_of(cursor).report(message, hint);
        }
        variable.default = Some(value);
    }
    if let Some(constant) = constant.filter(|_| variable.from.is_some()) {
        let message = "a constant cannot be read from a request";
        constant.at_path_of(cursor).report(message, "keep const or from");
    }
}

/// Reads `required`, `min`, `max`, `integer` and `clamp`.
fn limits(fields: &mut Fields<'_>, declared: &mut Declared) -> Option<()> {
    let Declared { variable, written } = declared;
    if let Some(cursor) = fields.optional("required") {
        // The operation may need less than the old interface requires.
        variable.required |= cursor.bool()?;
    }
    for (name, bound) in [("min", &mut variable.min), ("max", &mut variable.max)] {
        if let Some(cursor) = fields.optional(name) {
            *bound = cursor.number("write a number");
            if !matches!(variable.kind, Kind::Int | Kind::Float | Kind::Text | Kind::List(_) | Kind::Any) {
                let hint = "only numbers, strings and lists have bounds; remove it";
                cursor.report(format!("{written} has no {name}"), hint);
            }
        }
    }
    fields.set("integer", &mut variable.integer, Cursor::bool)?;
    fields.set("clamp", &mut variable.clamp, Cursor::bool)
}

/// Reads `empty`, which makes an empty string absent.
fn absence(fields: &mut Fields<'_>, from: Option<&Cursor<'_>>, declared: &mut Declared) {
    let Some(cursor) = fields.optional("empty") else { return };
    let choices = [("absent", true)];
    let is_absent = cursor.choice(&choices, "is not a meaning of an empty value", "write empty: absent");
    declared.variable.empty_is_absent = is_absent.is_some() && is_read(&cursor, from, declared);
}

/// Reads `invalid`: the response to a value that does not fit, or the word that makes it absent.
fn invalid<'n>(
    context: &mut Context<'n>,
    fields: &mut Fields<'n>,
    from: Option<&Cursor<'n>>,
    declared: &mut Declared,
) {
    let Some(cursor) = fields.optional("invalid") else { return };
    let Value::String(_) = cursor.value() else {
        declared.variable.invalid = errors::fault(context, &cursor, ErrorSource::Adapter, errors::invalid());
        return;
    };
    let hint = "write invalid: default, or { status: 422, code: invalid, message: \"...\" }";
    let is_absent = cursor.choice(&[("default", true)], "is no response to an invalid value", hint);
    if is_absent.is_none() || !is_read(&cursor, from, declared) {
        return;
    }
    declared.variable.invalid_is_absent = true;
    if declared.variable.required && declared.variable.default.is_none() {
        let message =
            format!("a value of the type {} is required, and there is no default", declared.written);
        cursor.report(message, "add default: with the value that takes its place");
    }
}

/// Returns true if the variable itself is read from the request, and reports it otherwise.
fn is_read(cursor: &Cursor<'_>, from: Option<&Cursor<'_>>, declared: &Declared) -> bool {
    if from.is_none() {
        let hint = match declared.variable.kind {
            Kind::Object(_) => "write it at the fields that need it",
            _ => "remove it, or write from: with the place of the value",
        };
        cursor.report("the variable itself is not read from the request", hint);
    }
    from.is_some()
}

/// Reads the separator of the items of a list.
fn split(fields: &mut Fields<'_>, declared: &mut Declared) -> Option<()> {
    let Declared { variable, written } = declared;
    let Some(cursor) = fields.optional("split") else { return Some(()) };
    let text = cursor.string()?;
    let mut characters = text.chars();
    match (characters.next(), characters.next(), &variable.kind) {
        (Some(separator), None, Kind::List(_)) => variable.split = Some(separator),
        (_, _, Kind::List(_)) => cursor.report("this is not one character", "write one, such as \",\""),
        _ => cursor.report(format!("{written} is not a list"), "remove split"),
    }
    Some(())
}

/// Reads the table from values of the request to values of the variable.
fn table(fields: &mut Fields<'_>, declared: &mut Declared) {
    let Declared { variable, written } = declared;
    let Some(cursor) = fields.optional("map") else { return };
    for entry in cursor.entries("write old: NEW, one line per value") {
        let value = entry.value.literal();
        if !is_of_kind(&variable.kind, &value.0) {
            let hint = value_hint(&variable.kind, written);
            entry.value.report(format!("{} does not fit {written}", value.0), hint);
        }
        variable.map.push((entry.key.to_owned(), value));
    }
}

/// Returns the remedy for a constant that does not fit its type.
fn value_hint(kind: &Kind, written: &str) -> String {
    match kind {
        Kind::Enum(names) => format!("write one of {}", names.join(", ")),
        Kind::List(item) => value_hint(item, written),
        _ => format!("write a value of the type {written}"),
    }
}

/// Reads the fields of an input object, each with its own place.
fn nested<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, object: &mut Declared) {
    let Declared { variable, written } = object;
    let Kind::Object(fields) = &variable.kind else {
        cursor.report(format!("{written} has no fields"), "write from instead of fields");
        return;
    };
    let declared: Vec<Declared> = fields
        .iter()
        .map(|field| Declared { variable: field.clone(), written: kind_name(&field.kind).to_owned() })
        .collect();
    let entries = cursor.entries("write one line per field: rating: body.rating");
    report_missing(cursor, &entries, declared.iter(), |field| {
        format!("{written} needs the field {}", field.variable.name)
    });
    let operation = std::mem::replace(&mut context.operation, written.clone());
    variable.kind = Kind::Object(read(context, Some(cursor), Some(&declared)));
    context.operation = operation;
}

/// Reports variables that are declared as required and have no entry.
pub(super) fn report_missing<'d>(
    cursor: &Cursor<'_>,
    entries: &[EntryCursor<'_>],
    declared: impl Iterator<Item = &'d Declared>,
    message: impl Fn(&Declared) -> String,
) {
    for declared in declared.filter(|declared| declared.variable.required) {
        let name = &declared.variable.name;
        if entries.iter().all(|entry| entry.key != name) {
            let hint = format!("add {name}: and where it is in the request, such as body.{name}");
            cursor.report(message(declared), hint);
        }
    }
}

/// Returns true if the edge can read the variable's type, and values of its source can have it; reports
/// it otherwise.
fn fits(cursor: &Cursor<'_>, declared: &Declared) -> bool {
    let Declared { variable, written } = declared;
    if nesting::of_kind(&variable.kind) > MAX_NESTING {
        let hint = "send it as a custom scalar, or declare a flatter type in the schema";
        cursor.report(format!("{written} has more than {MAX_NESTING} types inside each other"), hint);
        return false;
    }
    let Some(source) = &variable.from else { return true };
    let is_string = !matches!(source, Source::Body(_) | Source::Jwt(_));
    let (problem, hint) = match &variable.kind {
        Kind::Object(_) if is_string => {
            ("is an object, and a string cannot become one", "map each of its fields with fields")
        }
        Kind::List(_) if is_string && variable.split.is_none() && !matches!(source, Source::Query(_)) => {
            ("is a list, and one string cannot become it", "name the separator of its items with split")
        }
        _ => return true,
    };
    cursor.report(format!("{written} {problem}"), hint);
    false
}

/// Returns true if the value is of the kind.
fn is_of_kind(kind: &Kind, value: &Json<'_>) -> bool {
    match (kind, value) {
        (Kind::Int, Json::Number(digits)) => digits.parse::<i32>().is_ok(),
        (Kind::Float, Json::Number(_)) | (Kind::Text, Json::Text(_)) | (Kind::Boolean, Json::Bool(_)) => true,
        (Kind::Id, Json::Text(_) | Json::Number(_)) | (Kind::Any, _) => true,
        (Kind::Enum(names), Json::Text(text)) => names.iter().any(|name| name == text),
        (Kind::List(kind), Json::List(items)) => items.iter().all(|item| is_of_kind(kind, item)),
        (Kind::Object(fields), Json::Object(given)) => {
            let known = |name: &str| fields.iter().find(|field| field.name == name);
            given.iter().all(|(name, value)| known(name).is_some_and(|field| is_of_kind(&field.kind, value)))
                && fields.iter().filter(|field| field.required).all(|field| value.get(&field.name).is_some())
        }
        _ => false,
    }
}

/// Returns the word for a kind, for messages.
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

fn kind(cursor: &Cursor<'_>) -> Option<Kind> {
    let kinds = [
        ("int", Kind::Int),
        ("float", Kind::Float),
        ("string", Kind::Text),
        ("id", Kind::Id),
        ("boolean", Kind::Boolean),
        ("list", Kind::List(Box::new(Kind::Text))),
    ];
    cursor.choice(&kinds, "is not a type", "write int, float, string, id, boolean or list")
}
