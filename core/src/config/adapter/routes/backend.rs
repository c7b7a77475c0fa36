//! Reads the request of a route to a REST backend.

use crate::{
    adapter::{Backend, Irreversible, Part, Shape, Template, invert, is_dot_segment},
    config::{
        adapter::{mapping::Context, nesting::MAX_NESTING},
        matcher::method,
        reading::{Cursor, did_you_mean},
    },
};

pub(super) fn read<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>) -> Option<Backend> {
    let hint = "write { method: GET, path: \"/api/v2/reviews/{path.id}\" }";
    let mut fields = cursor.fields(hint)?;
    let method = fields.require("method", hint, method);
    let path = fields.require("path", hint, |cursor| path(context, cursor));
    let (body_cursor, inverse_cursor) = (fields.optional("body"), fields.optional("body_inverse_of"));
    let lossy = fields.list("lossy", "write a list of fields, such as [created_at]");
    fields.finish();
    if let Some(second) = body_cursor.as_ref().and(inverse_cursor.as_ref()).filter(|body| !body.is_stored()) {
        second.report("a request has one body", "keep body or body_inverse_of");
    }
    let first = body_cursor.as_ref().or(inverse_cursor.as_ref()).filter(|body| !body.is_stored());
    if let (Some(first), Some("GET" | "HEAD")) = (first, method.as_deref()) {
        first.report("a request with this method has no body", "write another method, or remove the body");
    }
    let (mut body, mut is_fit) = (None, true);
    if let Some(cursor) = &body_cursor {
        body = context.mapping(cursor, None).map(|mapping| mapping.shape);
        is_fit = body.is_some();
    }
    if let Some(cursor) = &inverse_cursor {
        body = inverse(context, cursor, &lossy);
        is_fit &= body.is_some();
    }
    if let (Some(lossy), None) = (lossy.first(), &inverse_cursor)
        && !lossy.is_stored()
    {
        lossy.report("lossy has no effect without body_inverse_of", "remove it");
    }
    let (method, path) = (method?, path?);
    is_fit.then_some(Backend::Rest(method, path, body))
}

/// Reads the mapping of responses of which the request's body is the inverse. `lossy` names the fields that
/// may be lost.
fn inverse<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, lossy: &[Cursor<'n>]) -> Option<Shape> {
    let shape = context.mapping(cursor, None)?.shape;
    let (inverse, losses) = invert(&shape, context.shared.as_slice());
    let mut permitted = Vec::new();
    for item in lossy {
        let Some(name) = item.loose_string() else { continue };
        if losses.iter().all(|loss| loss.field != name) && !item.is_stored() {
            let hint = did_you_mean(&name, losses.iter().map(|loss| loss.field.as_str()), || {
                "remove it from lossy".to_owned()
            });
            item.report(format!("{name} is not lost"), hint);
        }
        permitted.push(name);
    }
    // Stored mappings may have parts that were refused only later.
    let is_refused = |loss: &&Irreversible| !permitted.contains(&loss.field) && !cursor.is_stored();
    for loss in losses.iter().filter(is_refused) {
        let message = format!("{} cannot be inverted: {}", loss.field, loss.why);
        let hint =
            format!("write body: with a mapping of its own, or accept it with lossy: [{}]", loss.field);
        cursor.report(message, hint);
    }
    // The named shapes are written out in an inverse.
    if inverse.levels(&[]).is_none_or(|levels| levels > MAX_NESTING) {
        let message = format!("the inverse has more than {MAX_NESTING} levels of objects and lists");
        cursor.report(message, "write body: with a mapping of fewer levels");
    }
    Some(inverse)
}

/// Reads the path of the request. A value of the client becomes part of one segment, which needs a path
/// that parsers of URLs leave as it is.
fn path<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>) -> Option<Template> {
    let path = context.template(cursor)?;
    // One character for each place, which no parser changes.
    let mut sample = String::new();
    for part in &path.0 {
        match part {
            Part::Text(text) => sample.push_str(text),
            Part::Request(_) => sample.push('x'),
            Part::Value(_) => {
                let name = part.name();
                let hint = "write a place in the request, such as {path.id} or {query.page}";
                return cursor.refuse(format!("{{{name}}} is not a place in a request"), hint);
            }
        }
    }
    if matches!(path.0.first(), Some(Part::Request(_))) || !sample.starts_with('/') {
        let hint = "begin with a slash, as in /api/v2/reviews/{path.id}";
        return cursor.refuse("the path does not begin with a slash", hint);
    }
    if let Some(found) = sample.chars().find(|c| c.is_control() || matches!(c, '\\' | '#')) {
        let hint = "remove it, or write it percent-encoded";
        return cursor.refuse(format!("{found:?} has another meaning in a URL"), hint);
    }
    let segments = sample.split('?').next().unwrap_or_default();
    if segments.split('/').any(is_dot_segment) {
        return cursor.refuse("the path has a segment . or ..", "write the path that is meant, without dots");
    }
    Some(path)
}
