//! Reads variables: their places in a request, checked against the types that the operation
//! declares.

use super::{
    effects::{beside_each, beside_fields, is_read, unused_default, without_place},
    errors::{self, ErrorSource},
    graphql::Declared,
    kinds::{is_of_kind, kind, kind_name, value_hint},
    mapping::Context,
    nesting::{self, MAX_NESTING},
};
use crate::{
    adapter::{Kind, Source, Variable},
    config::reading::{Cursor, EntryCursor, Fields, Value, did_you_mean, nearest},
};

const HINT: &str = "write a place such as path.id, or { from, default, min, max, clamp, integer, split, map, \
                    const, fields, each, required, empty, invalid }";

/// The place that a variable may have, up to its name.
pub(super) const IN_BODY: &str = "the request, such as body.";

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
        declared.variable.from = Some(context.variable_source(cursor, place)?);
        return fits(cursor, &declared).then_some(declared.variable);
    }
    let mut fields = cursor.fields(HINT)?;
    if let Some(cursor) = fields.optional("type") {
        named_type(&cursor, typing, &mut declared);
    }
    let from = fields.optional("from");
    if let Some(cursor) = &from {
        declared.variable.from = cursor.string().and_then(|place| context.variable_source(cursor, &place));
    }
    constants(cursor, &mut fields, from.as_ref(), &mut declared);
    limits(&mut fields, &mut declared);
    let each = fields.optional("each");
    let has_wrong_split = match &each {
        Some(_) => beside_each(&mut fields, from.is_some()),
        None => {
            table(&mut fields, &mut declared);
            fields.optional("split").is_some_and(|cursor| !split(&cursor, &mut declared))
        }
    };
    absence(&mut fields, from.as_ref(), &mut declared);
    invalid(context, &mut fields, from.as_ref(), &mut declared);
    unused_default(&mut fields, &declared);
    let parts = fields.optional("fields");
    if let Some(parts) = &parts {
        nested(context, parts, &mut declared);
        beside_fields(&mut fields, &declared);
    }
    if let Some(each) = &each {
        items(context, each, &mut declared, typing);
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

/// Reads `each`: the variable that each item of a list is read by.
fn items<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, list: &mut Declared, typing: Typing) {
    let Declared { variable, written, is_known } = list;
    let item = match &variable.kind {
        Kind::List(item) => Some((**item).clone()),
        // The items of a custom scalar may be anything.
        Kind::Any => Some(Kind::Any),
        _ => {
            cursor.report(format!("{written} is not a list"), "remove each, and read the value with from");
            None
        }
    };
    let is_elsewhere = variable.from.as_ref().is_some_and(|from| !matches!(from, Source::Body(_)));
    if is_elsewhere && item.is_some() {
        let hint = "write from: with the list, such as body.items; elsewhere lists have strings only";
        cursor.report("each reads the items of a list in the body", hint);
    }
    let is_list = item.is_some();
    let mut item = Declared {
        variable: Variable::new("", item.unwrap_or(Kind::Any)),
        written: String::new(),
        is_known: *is_known && is_list,
    };
    item.written = item_type(written).unwrap_or_else(|| kind_name(&item.variable.kind).to_owned());
    // A list has no holes.
    item.variable.required = true;
    let typing = if is_list { typing } else { Typing::File };
    let is_in_item = std::mem::replace(&mut context.is_in_item, true);
    let item = one(context, cursor, item, typing);
    context.is_in_item = is_in_item;
    if is_list {
        // With a mistake in the item, nothing is compiled.
        variable.kind = Kind::Each(Box::new(item.unwrap_or_else(|| Variable::new("", Kind::Any))));
    }
}

/// Returns the type of the items of a list, as a schema writes it.
fn item_type(list: &str) -> Option<String> {
    let item = list.trim_end_matches('!').strip_prefix('[')?.strip_suffix(']')?;
    Some(item.to_owned())
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
    let place = if context.is_in_item { "an item, such as " } else { IN_BODY };
    report_missing(cursor, &entries, &declared, place, message);
    let operation = std::mem::replace(&mut context.operation, written.clone());
    variable.kind = Kind::Object(read(context, Some(cursor), Types::Declared(&declared)));
    context.operation = operation;
}

/// Reports variables that are declared as required and have no entry, nor one whose name was probably meant to be
/// theirs. `place` is the place that they may have, up to its name.
pub(super) fn report_missing(
    cursor: &Cursor<'_>,
    entries: &[EntryCursor<'_>],
    declared: &[Declared],
    place: &str,
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
            let hint = format!("add {name}: and where it is in {place}{name}");
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
