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
    config::reading::{Cursor, EntryCursor, Fields, Value, did_you_mean, nearest},
    json::value::Json,
};

const HINT: &str = "write a place such as path.id, or { from, default, min, max, clamp, integer, split, map, \
                    const, fields, required, empty, invalid }";

/// The types of the variables that a route may have.
#[derive(Clone, Copy)]
pub(super) enum Types<'d> {
    /// Those that the operation declares.
    Declared(&'d [Declared]),
    /// Those that the file itself names.
    File,
    /// Nothing is known of them, because of another mistake.
    Unknown,
}

/// Reads the variables of a route.
pub(super) fn read<'n>(
    context: &mut Context<'n>,
    cursor: Option<&Cursor<'n>>,
    types: Types<'_>,
) -> Vec<Variable> {
    let hint = "write one line per variable: name: path.id";
    let entries = cursor.map(|cursor| cursor.entries(hint)).unwrap_or_default();
    let mut variables = Vec::new();
    for entry in entries {
        let without_operation = |kind: Kind, is_known: bool| {
            let written = kind_name(&kind).to_owned();
            Declared { variable: Variable::new(entry.key.to_owned(), kind), written, is_known }
        };
        let variable = match types {
            Types::File => one(context, &entry.value, without_operation(Kind::Text, true), Typing::File),
            Types::Unknown => one(context, &entry.value, without_operation(Kind::Any, false), Typing::File),
            Types::Declared(declared) => {
                match declared.iter().find(|declared| declared.variable.name == entry.key) {
                    Some(declared) => one(context, &entry.value, declared.clone(), Typing::Operation),
                    None => undeclared(&context.operation, &entry, declared),
                }
            }
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
    if let Some(cursor) = fields.optional("type") {
        named_type(&cursor, typing, &mut declared);
    }
    let from = fields.optional("from");
    if let Some(cursor) = &from {
        declared.variable.from = cursor.string().and_then(|place| context.source(cursor, &place));
    }
    constants(cursor, &mut fields, from.as_ref(), &mut declared);
    limits(&mut fields, &mut declared);
    let has_wrong_split = fields.optional("split").is_some_and(|cursor| !split(&cursor, &mut declared));
    table(&mut fields, &mut declared);
    absence(&mut fields, from.as_ref(), &mut declared);
    invalid(context, &mut fields, from.as_ref(), &mut declared);
    unused_default(&mut fields, &declared);
    let parts = fields.optional("fields");
    if let Some(parts) = &parts {
        nested(context, parts, &mut declared);
        beside_fields(&mut fields, &declared);
    }
    fields.finish();
    if from.is_none() && parts.is_none() {
        without_place(cursor, &mut fields, &mut declared.variable);
    }
    if !has_wrong_split && parts.is_none() {
        fits(cursor, &declared);
    }
    fields.clean()?;
    Some(declared.variable)
}

/// Checks a variable that has neither a place in the request nor fields with places.
fn without_place(cursor: &Cursor<'_>, fields: &mut Fields<'_>, variable: &mut Variable) {
    if !matches!(variable.kind, Kind::Object(_)) {
        // A key that was reported may have been meant to be one.
        if variable.default.is_none() && fields.clean().is_some() {
            cursor.report("the variable has no source", "write from, const or fields");
        }
    } else if fields.optional("const").is_some() {
        // It was checked against the type. A variable that is an object would be made from its fields.
        variable.kind = Kind::Any;
    } else if let Some(default) = fields.optional("default").filter(|cursor| !cursor.is_stored()) {
        let hint = "write const instead, or from: body for an object that the request may have";
        default.report("an object without from is made from the fields of the body, not of default", hint);
    }
}

/// Reads `type`, which only variables without an operation have.
fn named_type(cursor: &Cursor<'_>, typing: Typing, declared: &mut Declared) {
    if typing == Typing::Operation {
        if !cursor.is_stored() {
            let hint = "remove it; only the variables of REST backends have one here";
            cursor.report("type has no effect: the operation declares it", hint);
        }
        return;
    }
    let kind = kind(cursor);
    declared.is_known = kind.is_some();
    declared.variable.kind = kind.unwrap_or(Kind::Any);
    declared.written = kind_name(&declared.variable.kind).to_owned();
}

/// Reads `default` and `const`.
fn constants<'n>(
    cursor: &Cursor<'n>,
    fields: &mut Fields<'n>,
    from: Option<&Cursor<'n>>,
    declared: &mut Declared,
) {
    let Declared { variable, written, .. } = declared;
    let (default, constant) = (fields.optional("default"), fields.optional("const"));
    for value_cursor in [&default, &constant].into_iter().flatten() {
        let value = value_cursor.literal();
        let may_be_null = value.0.is_null() && !variable.required;
        if !(may_be_null || is_of_kind(&variable.kind, &value.0)) {
            let message = format!("{} does not fit {written}", value.0);
            value_cursor.at_path_of(cursor).report(message, value_hint(&variable.kind, written));
        }
        variable.default = Some(value);
    }
    let Some(constant) = constant.map(|constant| constant.at_path_of(cursor)) else { return };
    if from.is_some() {
        constant.report("a constant cannot be read from a request", "keep const or from");
    } else if default.is_some() && !constant.is_stored() {
        constant.report("a constant needs no default", "keep const or default");
    }
}

/// Reads `required`, `min`, `max`, `integer` and `clamp`.
fn limits(fields: &mut Fields<'_>, declared: &mut Declared) {
    let Declared { variable, written, .. } = declared;
    // The operation may need less than the old interface requires.
    variable.required |= fields.read("required", Cursor::bool).unwrap_or_default();
    let cursors = ["min", "max"].map(|name| fields.optional(name));
    for (name, cursor) in ["min", "max"].into_iter().zip(&cursors) {
        let Some(cursor) = cursor else { continue };
        let bound = cursor.number("write a number");
        if name == "min" {
            variable.min = bound
        } else {
            variable.max = bound
        }
        if !matches!(variable.kind, Kind::Int | Kind::Float | Kind::Text | Kind::List(_) | Kind::Any) {
            let hint = "only numbers, strings and lists have bounds; remove it";
            cursor.report(format!("{written} has no {name}"), hint);
        }
    }
    let [min, max] = cursors;
    // One of a pagination has a bound of its own.
    let has_bounds = min.is_some() || max.is_some() || variable.min.is_some();
    if let (Some(low), Some(high)) = (variable.min, variable.max)
        && low > high
        && let Some(cursor) = max.or(min).filter(|cursor| !cursor.is_stored())
    {
        let message = format!("the largest value, {high}, is below the smallest, {low}");
        cursor.report(message, "correct min or max; no value fits both");
    }
    if let Some(cursor) = fields.optional("integer") {
        variable.integer = cursor.bool().unwrap_or_default();
        let is_never = matches!(variable.kind, Kind::Boolean | Kind::Enum(_) | Kind::Object(_));
        if variable.integer && is_never && !cursor.is_stored() {
            cursor.report(format!("{written} is never an integer"), "remove it");
        }
    }
    if let Some(cursor) = fields.optional("clamp") {
        variable.clamp = cursor.bool().unwrap_or_default();
        if variable.clamp && !cursor.is_stored() {
            if !matches!(variable.kind, Kind::Int | Kind::Float | Kind::Any) {
                cursor.report(format!("{written} is not a number"), "remove clamp; it moves only numbers");
            } else if !has_bounds {
                cursor.report("clamp has no effect without bounds", "add min or max, or remove clamp");
            }
        }
    }
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

/// Reads the separator of the items of a list. Returns false if it was reported.
fn split(cursor: &Cursor<'_>, declared: &mut Declared) -> bool {
    let Some(text) = cursor.string() else { return false };
    let Declared { variable, written, is_known } = declared;
    let mut characters = text.chars();
    match (characters.next(), characters.next(), &variable.kind) {
        (Some(separator), None, Kind::List(_)) => variable.split = Some(separator),
        (Some(_), None, _) if !*is_known => {}
        (_, _, kind) if matches!(kind, Kind::List(_)) || !*is_known => {
            cursor.report("this is not one character", "write one, such as \",\"");
            return false;
        }
        _ => {
            cursor.report(format!("{written} is not a list"), "remove split");
            return false;
        }
    }
    true
}

/// Reports a default that is never used, because the value is always there and fits or is refused.
fn unused_default(fields: &mut Fields<'_>, declared: &Declared) {
    if let Some(Source::Path(_)) = &declared.variable.from
        && fields.optional("invalid").is_none_or(|cursor| !matches!(cursor.value(), Value::String(_)))
        && let Some(cursor) = fields.optional("default").filter(|cursor| !cursor.is_stored())
    {
        let hint = "remove default, or add invalid: default for a value that does not fit";
        cursor.report("a parameter of the path is always there, so that default is never used", hint);
    }
}

/// Reports the keys that have no effect beside `fields`, of which the object is made.
fn beside_fields(fields: &mut Fields<'_>, declared: &Declared) {
    if declared.is_known && !matches!(declared.variable.kind, Kind::Object(_)) {
        // It has no fields, which has been reported.
        return;
    }
    for name in ["from", "default", "const", "map"] {
        if let Some(cursor) = fields.optional(name).filter(|cursor| !cursor.is_stored()) {
            let hint = format!("keep {name} or fields; each of the fields may have its own {name}");
            cursor.report(format!("{name} has no effect on an object that fields make"), hint);
        }
    }
}

/// Reads the table from values of the request to values of the variable.
fn table(fields: &mut Fields<'_>, declared: &mut Declared) {
    let Declared { variable, written, .. } = declared;
    let Some(cursor) = fields.optional("map") else { return };
    for entry in cursor.entries("write old: NEW, one line per value") {
        let value = entry.value.literal();
        if !is_of_kind(&variable.kind, &value.0) {
            let message = format!("{} does not fit {written}", value.0);
            entry.value.at_path_of(&cursor).report(message, value_hint(&variable.kind, written));
        }
        variable.map.push((entry.key.to_owned(), value));
    }
}

/// Reads the fields of an input object, each with its own place.
fn nested<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, object: &mut Declared) {
    let Declared { variable, written, is_known } = object;
    if !*is_known {
        read(context, Some(cursor), Types::Unknown);
        return;
    }
    let Kind::Object(fields) = &variable.kind else {
        cursor.report(format!("{written} has no fields"), "write from instead of fields");
        return;
    };
    let declared = |field: &Variable| {
        let written = kind_name(&field.kind).to_owned();
        Declared { variable: field.clone(), written, is_known: true }
    };
    let declared: Vec<Declared> = fields.iter().map(declared).collect();
    let entries = cursor.entries("write one line per field: rating: body.rating");
    let message = |field: &Declared| format!("{written} needs the field {}", field.variable.name);
    report_missing(cursor, &entries, &declared, message);
    let operation = std::mem::replace(&mut context.operation, written.clone());
    variable.kind = Kind::Object(read(context, Some(cursor), Types::Declared(&declared)));
    context.operation = operation;
}

/// Reports variables that are declared as required and have no entry, nor one whose name was probably meant to be
/// theirs.
pub(super) fn report_missing(
    cursor: &Cursor<'_>,
    entries: &[EntryCursor<'_>],
    declared: &[Declared],
    message: impl Fn(&Declared) -> String,
) {
    let names = || declared.iter().map(|declared| declared.variable.name.as_str());
    let meant = |entry: &EntryCursor<'_>| match names().find(|name| *name == entry.key) {
        None => nearest(entry.key, names()),
        found => found,
    };
    let provided: Vec<&str> = entries.iter().filter_map(meant).collect();
    for declared in declared.iter().filter(|declared| declared.variable.required) {
        let name = &declared.variable.name;
        if !provided.contains(&name.as_str()) {
            let hint = format!("add {name}: and where it is in the request, such as body.{name}");
            cursor.report(message(declared), hint);
        }
    }
}

/// Returns true if the edge can read the variable's type, and values of its source can have it; reports
/// it otherwise.
fn fits(cursor: &Cursor<'_>, declared: &Declared) -> bool {
    let Declared { variable, written, .. } = declared;
    if nesting::of_kind(&variable.kind) > MAX_NESTING {
        let hint = "send it as a custom scalar, or declare a flatter type in the schema";
        cursor.report(format!("{written} has more than {MAX_NESTING} types inside each other"), hint);
        return false;
    }
    let Some(source) = &variable.from else { return true };
    let is_string = !matches!(source, Source::Body(_) | Source::Jwt(_));
    let (problem, hint) = match &variable.kind {
        Kind::Object(_) if is_string => {
            ("cannot be made from a string", "map each of its fields with fields")
        }
        Kind::List(_) if is_string && variable.split.is_none() && !matches!(source, Source::Query(_)) => {
            ("cannot be made from one string", "name the separator of its items with split")
        }
        _ => return true,
    };
    cursor.report(format!("{written} {problem}"), hint);
    false
}

/// Returns the remedy for a value that is not of the kind.
fn value_hint(kind: &Kind, written: &str) -> String {
    match kind {
        Kind::Enum(names) => format!("write one of {}", names.join(", ")),
        _ => format!("write a value of the type {written}"),
    }
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
