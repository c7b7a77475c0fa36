//! Reads what errors become.

use super::{
    super::{
        node::Node,
        reader::{Reader, join},
    },
    mapping::Context,
};
use crate::adapter::{Errors, Fault, Field, Part, Shape, Step, Template};

fn default(status: u16, code: &str, message: &str) -> Fault {
    Fault { status, code: code.to_owned(), message: Template::text(message) }
}

/// What a request that does not fit becomes, unless something else is said.
pub(super) fn invalid() -> Fault {
    let message = Template(vec![
        Part::Value(vec!["field".to_owned()]),
        Part::Text(" is missing or not valid".to_owned()),
    ]);
    Fault { status: 400, code: "invalid".to_owned(), message }
}

/// Reads `{ status, code, message }`; what is left out is as in the fault that is given.
pub(super) fn fault<'n>(
    context: &mut Context<'n>,
    reader: &mut Reader,
    node: &'n Node,
    path: &str,
    otherwise: Fault,
) -> Option<Fault> {
    let hint = "write { status: 404, code: not_found, message: \"no such review\" }";
    let mut fields = reader.fields(node, path, hint)?;
    let mut made = otherwise;
    if let Some(node) = fields.optional("status") {
        let path = fields.path("status");
        let status = reader.number_within(node, &path, (400.0, 599.0), "an error's status")?;
        // Between the bounds, which fit.
        made.status = status as u16;
    }
    if let Some(node) = fields.optional("code") {
        made.code = reader.loose_text(node, &fields.path("code"))?;
    }
    if let Some(node) = fields.optional("message") {
        made.message = context.template(reader, node, &fields.path("message"))?;
    }
    fields.finish(reader);
    Some(made)
}

/// Reads the section `errors`.
pub(super) fn read<'n>(
    context: &mut Context<'n>,
    reader: &mut Reader,
    node: Option<&'n Node>,
    path: &str,
) -> Option<Errors> {
    let otherwise = default(500, "internal", "the request could not be answered");
    let plain =
        ["code", "message"].map(|name| Field(name.to_owned(), Shape(vec![Step::Get(vec![name.to_owned()])])));
    let mut errors = Errors {
        envelope: Shape(vec![Step::Object(plain.into())]),
        read: None,
        paths: Vec::new(),
        codes: Vec::new(),
        statuses: Vec::new(),
        otherwise,
        invalid: invalid(),
        too_large: default(413, "too_large", "the body is too large"),
        unauthenticated: default(401, "unauthenticated", "a valid token is needed"),
        unreachable: default(502, "unreachable", "the service could not be reached"),
        timeout: default(504, "timeout", "the service did not answer in time"),
        unfit: default(502, "bad_answer", "the service gave an answer that cannot be used"),
    };
    let Some(node) = node else { return Some(errors) };
    let mut fields = reader.fields(node, path, "write envelope, codes, paths, statuses and otherwise")?;
    for (name, shape) in [("envelope", true), ("read", false)] {
        if let Some(node) = fields.optional(name) {
            let (read, _) = context.shape(reader, node, &join(path, name), None)?;
            if shape { errors.envelope = read } else { errors.read = Some(read) }
        }
    }
    for (name, fault) in [
        ("otherwise", &mut errors.otherwise),
        ("invalid", &mut errors.invalid),
        ("too_large", &mut errors.too_large),
        ("unauthenticated", &mut errors.unauthenticated),
        ("unreachable", &mut errors.unreachable),
        ("timeout", &mut errors.timeout),
        ("unfit", &mut errors.unfit),
    ] {
        if let Some(node) = fields.optional(name) {
            *fault = self::fault(context, reader, node, &join(path, name), fault.clone())?;
        }
    }
    let hint = "write one line per error, such as NOT_FOUND: { status: 404, code: not_found }";
    for name in ["codes", "paths", "statuses"] {
        let section = join(path, name);
        for entry in reader.named(fields.optional(name), &section, hint) {
            let path = join(&section, &entry.key);
            let Some(fault) = self::fault(context, reader, &entry.node, &path, errors.otherwise.clone())
            else {
                continue;
            };
            match (name, entry.key.parse::<u16>()) {
                ("codes", _) => errors.codes.push((entry.key.clone(), fault)),
                ("paths", _) => errors.paths.push((entry.key.split('.').map(str::to_owned).collect(), fault)),
                (_, Ok(status)) => errors.statuses.push((status, fault)),
                (_, Err(_)) => {
                    let at = (entry.line, entry.column);
                    reader.report_at(
                        at,
                        &path,
                        format!("{} is not a status", entry.key),
                        "write one, such as 401",
                    );
                }
            }
        }
    }
    fields.finish(reader);
    Some(errors)
}
