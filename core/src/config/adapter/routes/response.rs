//! Reads the response of a route, and its place in the response of the backend.

use super::target::Operation;
use crate::{
    adapter::{NullPart, Shape, Step, Template, WhenNull},
    config::{
        adapter::{
            errors::{self, ErrorSource},
            graphql::Selected,
            headers,
            mapping::Context,
        },
        reading::{Cursor, Fields, Value},
    },
};

const NULL_HINT: &str =
    "write a list such as [{ at: info.count, status: 404, code: not_found, message: \"no such page\" }]";

/// The fields of a route that determine its response.
pub(super) struct Response {
    pub(super) root: Vec<String>,
    pub(super) when_null: Option<WhenNull>,
    pub(super) partial: bool,
    /// The mapping of the body, or `None` for a response without one.
    pub(super) shape: Option<Shape>,
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(String, Template)>,
}

/// The part of the backend's response that a route maps.
struct Root<'n> {
    /// Reports at `root`; `None` if the route has none, or there is a mistake in it.
    cursor: Option<Cursor<'n>>,
    path: Vec<String>,
    /// The structure of that part, if it is known.
    value: Option<Selected>,
}

pub(super) fn read<'n>(
    context: &mut Context<'n>,
    fields: &mut Fields<'n>,
    operation: Option<&Operation>,
    envelope: Option<&Cursor<'n>>,
) -> Response {
    let root = root(context, fields, operation);
    context.data = root.value.as_ref().filter(|_| root.path.is_empty()).map(|data| data.written.clone());
    let when_null_cursor = fields.optional("when_null");
    let when_null =
        when_null_cursor.as_ref().and_then(|cursor| when_null(context, cursor, root.value.as_ref()));
    let partial = partial(fields);
    let body = fields.optional("response");
    let without_body =
        body.as_ref().is_some_and(|cursor| *cursor.value() == Value::String("none".to_owned()));
    if let (Some(cursor), Some(value)) = (&root.cursor, &root.value)
        && when_null_cursor.is_none()
        && !fields.is_misspelt("when_null")
        && !without_body
        && value.nullable
        && !root.path.is_empty()
    {
        let message = format!("{} of {} may be null", root.path.join("."), context.operation);
        let hint = "set when_null to the response for a null, such as { status: 404, code: not_found }";
        cursor.report(message, hint);
    }
    let mut shape = match body {
        _ if without_body => None,
        None => Some(Shape::default()),
        Some(cursor) => context.mapping(&cursor, root.value.as_ref()).map(|mapping| mapping.shape),
    };
    let wrapped = fields.optional("envelope").is_none_or(|cursor| cursor.bool().unwrap_or(true));
    if let (Some(shape), Some(envelope)) = (&mut shape, envelope.filter(|_| wrapped))
        && let Some(mapping) = context.mapping(envelope, None)
    {
        shape.0.extend(mapping.shape.0);
    }
    let status = status(fields, !without_body);
    let headers = fields.entries("headers", "write location: /reviews/{id}");
    let headers = headers::added(context, &headers, root.value.as_ref());
    Response { root: root.path, when_null, partial, shape, status, headers }
}

/// Reads `root`, and checks it against the selection of the operation.
fn root<'n>(context: &Context<'n>, fields: &mut Fields<'n>, operation: Option<&Operation>) -> Root<'n> {
    let mut value = operation.and_then(|operation| operation.selected.clone());
    let Some(cursor) = fields.optional("root") else {
        let value = value.filter(|_| !fields.is_misspelt("root"));
        return Root { cursor: None, path: Vec::new(), value };
    };
    if let Some(data) = &mut value {
        // With a root, only the nullability of the fields below `data` counts.
        data.nullable = false;
    }
    let path = cursor.string().and_then(|path| context.root(&cursor, &path, value));
    match path {
        Some(path) => Root { cursor: Some(cursor), path: path.names, value: path.value },
        None => Root { cursor: None, path: Vec::new(), value: None },
    }
}

/// Reads the responses to nulls: that to a null at the root, or a list of those to nulls in its parts.
fn when_null<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    root: Option<&Selected>,
) -> Option<WhenNull> {
    if !matches!(cursor.value(), Value::List(_)) {
        let fault = errors::fault(context, cursor, ErrorSource::Adapter, errors::not_found());
        return fault.map(WhenNull::Root);
    }
    let items = cursor.list(NULL_HINT);
    if items.is_empty() {
        return cursor.refuse("when_null has no entry", NULL_HINT);
    }
    // All of them are read before the first mistake counts.
    let parts: Vec<_> = items.iter().map(|item| null_part(context, item, root)).collect();
    let parts: Vec<NullPart> = parts.into_iter().collect::<Option<_>>()?;
    report_unreachable(&items, &parts);
    Some(WhenNull::Parts(parts))
}

/// Reports the entries behind one for the same part or for a part of theirs, which is absent too if theirs
/// is null.
fn report_unreachable(items: &[Cursor<'_>], parts: &[NullPart]) {
    for (index, (item, part)) in items.iter().zip(parts).enumerate() {
        let mut earlier = parts.iter().take(index);
        let Some(held) = earlier.find(|held| held.at.starts_with(&part.at)) else { continue };
        if !item.is_stored() {
            let name = if held.at.is_empty() { ".".to_owned() } else { held.at.join(".") };
            let message = format!("the entry for {name} comes first whenever this one applies");
            item.report(message, "write this one before it, or remove it");
        }
    }
}

fn null_part<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    root: Option<&Selected>,
) -> Option<NullPart> {
    let mut fields = cursor.fields(NULL_HINT)?;
    let at = match fields.optional("at") {
        Some(cursor) => null_path(context, &cursor, root),
        None => Some(Vec::new()),
    };
    let fault = errors::fault_of(context, &mut fields, ErrorSource::Adapter, errors::not_found());
    fields.finish();
    Some(NullPart { at: at?, fault: fault? })
}

/// Reads the path of a part of the root's value that may be null.
fn null_path<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    root: Option<&Selected>,
) -> Option<Vec<String>> {
    let written = cursor.string()?;
    let mapping = context.mapping(cursor, root)?;
    let path = match mapping.shape.0.into_iter().next() {
        None => Vec::new(),
        Some(Step::Get(path)) => path,
        Some(_) => {
            return cursor.refuse(format!("{written:?} is not a path"), "write a path such as info.count");
        }
    };
    if mapping.value.is_some_and(|value| !value.nullable) {
        let message = format!("{written} of {} can never be null", context.operation);
        return cursor.refuse(message, "remove it, or name a part that the schema allows to be null");
    }
    Some(path)
}

fn partial(fields: &mut Fields<'_>) -> bool {
    let hint = "write fail to respond with the error, or pass to respond with the data";
    let choices = [("pass", true), ("fail", false)];
    fields
        .read("partial", |cursor| cursor.choice(&choices, "is neither fail nor pass", hint))
        .unwrap_or(false)
}

fn status(fields: &mut Fields<'_>, has_body: bool) -> Option<u16> {
    let Some(cursor) = fields.optional("status") else { return Some(if has_body { 200 } else { 204 }) };
    let status = cursor.status_within((200, 299))?;
    // The runtime refuses to build such a response (Fetch Standard, null body status).
    if has_body && matches!(status, 204 | 205) && !cursor.is_stored() {
        let hint = "write response: none, or another status";
        return cursor.refuse(format!("a response with status {status} has no body"), hint);
    }
    Some(status)
}
