//! Reads the request of a route to a REST backend.

use crate::{
    adapter::{Backend, Irreversible, Part, Template, invert, is_dot_segment},
    config::{
        adapter::{mapping::Context, nesting::MAX_NESTING},
        matcher::method,
        reading::Cursor,
    },
};

pub(super) fn read<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>) -> Option<Backend> {
    let hint = "write { method: GET, path: \"/api/v2/reviews/{path.id}\" }";
    let mut fields = cursor.fields(hint)?;
    let method = fields.require("method", hint, method);
    let path = fields.require("path", hint, |cursor| path(context, cursor));
    let (body_cursor, inverse_cursor) = (fields.optional("body"), fields.optional("body_inverse_of"));
    let lossy = fields.strings("lossy");
    fields.finish();
    let mut body = None;
    if let Some(cursor) = body_cursor {
        body = Some(context.mapping(&cursor, None)?.shape);
    }
    if let Some(cursor) = inverse_cursor {
        let shape = context.mapping(&cursor, None)?.shape;
        let (inverse, losses) = invert(&shape, context.shared.as_slice());
        // Stored mappings may have parts that were refused only later.
        let is_refused = |loss: &&Irreversible| !lossy.contains(&loss.field) && !cursor.is_stored();
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
        body = Some(inverse);
    }
    Some(Backend::Rest(method?, path?, body))
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
