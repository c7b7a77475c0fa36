//! Reads the request of a route to a REST backend.

use crate::{
    adapter::{Backend, invert},
    config::{adapter::mapping::Context, matcher::method, reading::Cursor},
};

pub(super) fn read<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>) -> Option<Backend> {
    let hint = "write { method: GET, path: \"/api/v2/reviews/{path.id}\" }";
    let mut fields = cursor.fields(hint)?;
    let method = fields.require("method", hint, method);
    let path = fields.require("path", hint, |cursor| context.template(cursor));
    let (body_cursor, inverse_cursor) = (fields.optional("body"), fields.optional("body_inverse_of"));
    let lossy = fields.strings("lossy");
    fields.finish();
    let mut body = None;
    if let Some(cursor) = body_cursor {
        body = Some(context.mapping(&cursor, None)?.shape);
    }
    if let Some(cursor) = inverse_cursor {
        let (inverse, losses) = invert(&context.mapping(&cursor, None)?.shape);
        for loss in losses.iter().filter(|loss| !lossy.contains(&loss.field)) {
            let message = format!("{} cannot be inverted: {}", loss.field, loss.why);
            let hint =
                format!("write body: with a mapping of its own, or accept it with lossy: [{}]", loss.field);
            cursor.report(message, hint);
        }
        body = Some(inverse);
    }
    Some(Backend::Rest(method?, path?, body))
}
