//! Reads the routes of an adapter.

mod pages;

use super::{
    super::{
        node::{Node, Value},
        reader::{Fields, Reader, did_you_mean, join},
        traffic,
    },
    errors,
    graphql::{Documents, Holds, Selected},
    mapping::Context,
    variables,
};
use crate::{
    adapter::{Adapted, Backend, Kind, Shape, Source, Style, Variable, invert},
    route::Matcher,
};

const HINT: &str = "write { match: { method, path }, operation, variables, root, response }";

/// What a route says about its backend.
enum Asked {
    Operation(String, String, Vec<(Variable, String)>, Selected),
    Rest,
}

/// Reads one route.
pub(super) fn read<'n>(
    context: &mut Context<'n>,
    reader: &mut Reader,
    node: &'n Node,
    path: &str,
    documents: Option<&Documents>,
    envelope: Option<&'n Node>,
) -> Option<Adapted> {
    let before = reader.count();
    let mut fields = reader.fields(node, path, HINT)?;
    let at = |name: &str| join(path, name);
    let matched =
        fields.required(reader, "match", "write match: { method: GET, path: /api/v1/reviews/{id} }");
    let matcher = matched.and_then(|node| matcher(reader, node, &at("match")));
    context.parameters = matcher.iter().flat_map(|matcher| parameters(&matcher.path)).collect();
    let (operation, rest) = (fields.optional("operation"), fields.optional("backend"));
    let asked = match (operation, rest) {
        (Some(node), None) => asked(context, reader, node, &at("operation"), documents),
        (None, Some(_)) => {
            context.operation = "the backend".to_owned();
            Some(Asked::Rest)
        }
        _ => {
            let hint = "name an operation, or write backend: { method, path } for a REST backend";
            reader.report(node, path, "a route has an operation or a backend, and one of them only", hint);
            None
        }
    };
    let declared = match &asked {
        Some(Asked::Operation(_, _, declared, ..)) => Some(declared.as_slice()),
        _ => None,
    };
    let variable_node = fields.optional("variables");
    let variables = match (&asked, declared) {
        (None, _) => Vec::new(),
        (Some(_), declared) => variables::read(context, reader, variable_node, &at("variables"), declared),
    };
    let pagination_node = fields.optional("pagination");
    let pagination =
        pagination_node.and_then(|node| pages::pagination(context, reader, node, &at("pagination"), &asked));
    if let Some(declared) = declared {
        let entries = reader.named(variable_node, &at("variables"), HINT);
        let by_pages: Vec<&str> =
            pagination.iter().flat_map(|pagination| named_by(&pagination.style)).collect();
        let left: Vec<_> =
            declared.iter().filter(|(held, _)| !by_pages.contains(&held.name.as_str())).cloned().collect();
        let operation = context.operation.clone();
        let place = variable_node.unwrap_or(node);
        variables::missing(reader, place, &at("variables"), entries, &left, |name| {
            let written = left.iter().find(|(held, _)| held.name == name).map_or("", |(_, written)| written);
            format!("{operation} needs ${name}: {written}")
        });
    }
    let (root, selected) = root(context, reader, &mut fields, &asked);
    let when_null_node = fields.optional("when_null");
    let when_null =
        when_null_node.and_then(|node| errors::fault(context, reader, node, &at("when_null"), not_found()));
    let partial = match fields.optional("partial").map(|node| (node, reader.text(node, &at("partial")))) {
        Some((_, Some(text))) if text == "pass" => true,
        Some((_, Some(text))) if text == "fail" => false,
        Some((node, Some(text))) => {
            let hint = "write fail to answer with the error, or pass to answer with the data";
            reader.report(node, &at("partial"), format!("{text:?} is neither fail nor pass"), hint);
            false
        }
        _ => false,
    };
    let response_node = fields.optional("response");
    let silent = response_node.is_some_and(|node| node.value == Value::Text("none".to_owned()));
    if let (Some(selected), None, false) = (&selected, when_null_node, silent)
        && selected.nullable
        && !root.is_empty()
    {
        let message = format!("{} of {} may be null", root.join("."), context.operation);
        let hint =
            "say with when_null: { status: 404, code: not_found } what a null means to the old interface";
        reader.report(node, &at("root"), message, hint);
    }
    let response = match response_node {
        _ if silent => None,
        None => Some(Shape::default()),
        Some(node) => context.shape(reader, node, &at("response"), selected.as_ref()).map(|(shape, _)| shape),
    };
    let wrapped = match fields.optional("envelope") {
        Some(node) => reader.truth(node, &at("envelope")).unwrap_or(true),
        None => true,
    };
    let response = response.map(|mut shape| {
        let wrap = envelope.filter(|_| wrapped);
        if let Some((Shape(more), _)) = wrap.and_then(|node| context.shape(reader, node, "envelope", None)) {
            shape.0.extend(more);
        }
        shape
    });
    let default = if response.is_none() { 204 } else { 200 };
    let status = match fields.optional("status") {
        None => Some(default),
        Some(node) => {
            // Between the bounds, which fit.
            let status = reader.number_within(node, &at("status"), (200.0, 299.0), "a success's status");
            status.map(|status| status as u16)
        }
    };
    let mut headers = Vec::new();
    for entry in reader.named(fields.optional("headers"), &at("headers"), "write location: /reviews/{id}") {
        let path = join(&at("headers"), &entry.key);
        if let Some(template) = context.template(reader, &entry.node, &path) {
            headers.push((entry.key.to_ascii_lowercase(), template));
        }
    }
    fields.finish(reader);
    let backend = match asked? {
        Asked::Operation(name, text, ..) => Backend::GraphQl(name, text),
        Asked::Rest => rest_backend(context, reader, rest?, &at("backend"))?,
    };
    let reads_body = variables.iter().any(reads_body) || matches!(&backend, Backend::Rest(_, _, Some(_)));
    let adapted = Adapted {
        matcher: matcher?,
        backend,
        reads_body,
        variables,
        pagination,
        root,
        when_null,
        partial,
        status: status?,
        response,
        headers,
    };
    (reader.count() == before).then_some(adapted)
}

fn not_found() -> crate::adapter::Fault {
    crate::adapter::Fault {
        status: 404,
        code: "not_found".to_owned(),
        message: crate::adapter::Template::text("there is no such thing"),
    }
}

fn reads_body(variable: &Variable) -> bool {
    let nested = |kind: &Kind| matches!(kind, Kind::Object(fields) if fields.iter().any(reads_body));
    matches!(variable.from, Some(Source::Body(_))) || nested(&variable.kind)
}

fn named_by(style: &Style) -> [&str; 2] {
    match style {
        Style::Offset(a, b) | Style::Cursor(a, b, ..) => [a, b],
    }
}

/// The names of the parameters of a pattern.
fn parameters(path: &str) -> Vec<String> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    names.map(|name| name.trim_start_matches('*').to_owned()).collect()
}

fn matcher(reader: &mut Reader, node: &Node, path: &str) -> Option<Matcher> {
    let mut fields = reader.fields(node, path, "write { method: GET, path: /api/v1/reviews/{id} }")?;
    let method = fields.required(reader, "method", "write method: GET");
    let method = method.and_then(|node| traffic::method(reader, node, &join(path, "method")));
    let pattern = fields.required(reader, "path", "write path: /api/v1/reviews/{id}");
    let pattern = pattern.and_then(|node| traffic::pattern(reader, node, &join(path, "path")));
    fields.finish(reader);
    Some(Matcher { methods: vec![method?], path: pattern? })
}

fn asked(
    context: &mut Context<'_>,
    reader: &mut Reader,
    node: &Node,
    path: &str,
    documents: Option<&Documents>,
) -> Option<Asked> {
    let name = reader.text(node, path)?;
    context.operation.clone_from(&name);
    // Where the documents could not be read, that was reported.
    let documents = documents?;
    let Some(operation) = documents.operation(&name) else {
        let hint = did_you_mean(&name, documents.operation_names(), || {
            "add it to the operations, with this name".to_owned()
        });
        reader.report(node, path, format!("there is no operation {name:?}"), hint);
        return None;
    };
    let text = documents.text(operation);
    let (declared, selected) = (documents.variables(operation), documents.selected(operation));
    Some(Asked::Operation(name, text, declared, selected))
}

fn root(
    context: &Context<'_>,
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    asked: &Option<Asked>,
) -> (Vec<String>, Option<Selected>) {
    let path = fields.path("root");
    let mut held = match asked {
        Some(Asked::Operation(_, _, _, selected)) => Some(selected.clone()),
        _ => None,
    };
    let Some(node) = fields.optional("root") else { return (Vec::new(), held) };
    let names: Vec<String> = match reader.text(node, &path) {
        Some(text) if text == "." => Vec::new(),
        Some(text) => text.split('.').map(str::to_owned).collect(),
        None => return (Vec::new(), None),
    };
    if let Some(whole) = &mut held {
        // The object of an operation's fields is there; what is in it says for itself whether it may be null.
        whole.nullable = false;
    }
    for name in &names {
        let Some(Selected { holds: Holds::Object(selected), nullable, .. }) = &held else { break };
        match selected.iter().find(|(field, _)| field == name) {
            Some((_, found)) => {
                held = Some(Selected { nullable: found.nullable || *nullable, ..found.clone() });
            }
            None => {
                let hint = did_you_mean(name, selected.iter().map(|(field, _)| field.as_str()), || {
                    format!("select {name} in the operation, or name what it selects")
                });
                reader.report(node, &path, format!("{} does not select {name}", context.operation), hint);
                return (names, None);
            }
        }
    }
    (names, held)
}

fn rest_backend<'n>(
    context: &mut Context<'n>,
    reader: &mut Reader,
    node: &'n Node,
    path: &str,
) -> Option<Backend> {
    let hint = "write { method: GET, path: \"/api/v2/reviews/{path.id}\" }";
    let mut fields = reader.fields(node, path, hint)?;
    let method = fields.required(reader, "method", hint);
    let method = method.and_then(|node| traffic::method(reader, node, &join(path, "method")));
    let target = fields.required(reader, "path", hint);
    let target = target.and_then(|node| context.template(reader, node, &join(path, "path")));
    let (body_node, inverse_node) = (fields.optional("body"), fields.optional("body_inverse_of"));
    let lossy = reader.texts(fields.optional("lossy"), &join(path, "lossy"));
    fields.finish(reader);
    let mut body = None;
    if let Some(node) = body_node {
        body = Some(context.shape(reader, node, &join(path, "body"), None)?.0);
    }
    if let Some(node) = inverse_node {
        let (shape, _) = context.shape(reader, node, &join(path, "body_inverse_of"), None)?;
        let (inverse, lost) = invert(&shape);
        for lost in lost.iter().filter(|lost| !lossy.contains(&lost.field)) {
            let message = format!("{} cannot be turned back: {}", lost.field, lost.why);
            let hint =
                format!("write body: with a mapping of its own, or accept it with lossy: [{}]", lost.field);
            reader.report(node, &join(path, "body_inverse_of"), message, hint);
        }
        body = Some(inverse);
    }
    Some(Backend::Rest(method?, target?, body))
}
