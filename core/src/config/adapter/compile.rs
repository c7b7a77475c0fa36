//! Reads a whole adapter and compiles it.

use super::{
    documents::{self, Documents},
    errors,
    files::{Files, SourceText, content, graphql},
    headers::{self, Use},
    include::{self, INCLUDE},
    mapping::Context,
    routes::{self, Claim, report_conflicts},
    source::{Adapter, COMPILED, MAX_BYTES},
};
use crate::{
    adapter::{AdaptedRoute, IF_NONE_MATCH, Program, SelectedVersion},
    config::reading::{Cursor, Fields, Node, Problem, Value},
};
use serde_json::Map;

const HINT: &str =
    "write operations, schema, shapes, errors and routes below the adapter, or the name of a file with them";

/// Reads an adapter, or the file that is named instead of one.
pub(crate) fn read(cursor: &Cursor<'_>, files: Files<'_>) -> Option<Adapter> {
    let Value::String(name) = cursor.value() else { return compile(cursor, "", files) };
    let text = content(cursor, name, files)?;
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    match Node::from_yaml(&text) {
        Ok(node) => compile(&cursor.in_file(name, &node), folder, files),
        Err(problem) => {
            cursor.add(Problem { file: name.clone(), ..problem });
            None
        }
    }
}

fn compile(cursor: &Cursor<'_>, folder: &str, files: Files<'_>) -> Option<Adapter> {
    let mut fields = cursor.fields(HINT)?;
    fields.optional(COMPILED);
    let interface = interface(cursor, &mut fields, folder, files);
    let endpoint = endpoint(&mut fields);
    let version = fields.read("version", version);
    let etag = fields.read("etag", Cursor::bool).unwrap_or_default();
    let forwarding = if etag { Use::ForwardBesideTags } else { Use::Forward };
    let forward = headers::names(fields.optional("forward_headers"), forwarding);
    let mut keep = headers::names(fields.optional("keep_headers"), Use::Keep);
    let content_type = fields.read("content_type", headers::media_type).unwrap_or_default();
    let added = fields.entries("headers", "write access-control-allow-origin: \"*\"");
    let included = include::read(&mut fields, folder, files);
    let own_shapes = fields.optional("shapes");
    let envelope = fields.optional("envelope");
    let errors = fields.optional("errors");
    let route_list = fields.required("routes", "write a list of routes");
    fields.finish();
    let shapes = include::shapes(cursor, &included, own_shapes.as_ref());
    let mut context = Context::new(shapes.entries);
    context.lacks_shapes = !shapes.is_complete;
    let added = headers::of_requests(&mut context, &added, Use::AddToAll);
    // They replace the backend's, also if a request leaves them empty and they are not sent.
    keep.retain(|kept| added.iter().all(|(name, _)| name != kept));
    let errors = errors::read(&mut context, errors.as_ref());
    if let Some(cursor) = &envelope {
        // Each route applies it to its own response; if no route can be read, its mistakes are
        // reported here.
        context.mapping(cursor, None);
    }
    // Its steps become part of each route, where its path begins at the adapter.
    let envelope = envelope.map(|cursor| cursor.at_path("envelope".to_owned()));
    let route_list = route_list.map(|cursor| cursor.list("write a list of routes")).unwrap_or_default();
    let routes = routes(&mut context, &route_list, interface.documents.as_ref(), envelope.as_ref());
    // Mappings with mistakes may name more shapes than were read.
    let mentioned = fields.clean().is_none().then(|| context.mentioned_shapes(cursor.value()));
    context.report_unused_shapes(cursor.file(), mentioned.as_ref());
    fields.clean()?;
    let mut reads = [&context.reads[..], &forward[..]].concat();
    reads.extend(version.iter().map(|version| version.header.clone()));
    reads.extend(etag.then(|| IF_NONE_MATCH.to_owned()));
    for names in [&mut reads, &mut context.claims] {
        names.sort();
        names.dedup();
    }
    let source = source(cursor, interface, &context);
    let mut program = Program {
        endpoint: endpoint?,
        version,
        reads,
        claims: context.claims,
        forward,
        keep,
        content_type,
        headers: added,
        etag,
        shapes: Vec::new(),
        errors: errors?,
        routes,
    };
    context.shared.share(&mut program);
    let adapter = Adapter::new(source, program, context.warnings);
    let bytes = adapter.bytes();
    if bytes > MAX_BYTES {
        let message = format!("compiled, the adapter has {bytes} bytes, more than {MAX_BYTES}");
        return cursor.refuse(message, "split its routes into two adapters, and name both in adapt");
    }
    Some(adapter)
}

/// The schema and the operations of an adapter for a GraphQL backend.
struct Interface {
    operations: Option<SourceText>,
    documents: Option<Documents>,
}

fn interface(cursor: &Cursor<'_>, fields: &mut Fields<'_>, folder: &str, files: Files<'_>) -> Interface {
    let cursors = ["schema", "operations"].map(|name| fields.optional(name));
    let are_written = cursors.each_ref().map(Option::is_some);
    let missing = match are_written {
        [true, false] => Some("operations"),
        [false, true] => Some("schema"),
        _ => None,
    };
    if let Some(name) = missing {
        let hint = format!("write {name}: with the name of its file");
        cursor.report("operations need a schema, and a schema needs operations", hint);
    }
    let [schema, operations] =
        cursors.map(|cursor| cursor.and_then(|cursor| graphql(&cursor, folder, files)));
    let documents =
        are_written.contains(&true).then(|| documents::read(cursor, schema.as_ref(), operations.as_ref()));
    Interface { operations, documents }
}

fn endpoint(fields: &mut Fields<'_>) -> Option<String> {
    let Some(cursor) = fields.optional("endpoint") else { return Some("/graphql".to_owned()) };
    let endpoint = cursor.string()?;
    if !endpoint.starts_with('/') {
        let hint = "write the path below the origin's URL, such as /graphql";
        return cursor.refuse(format!("{endpoint:?} does not begin with a slash"), hint);
    }
    Some(endpoint)
}

fn version(cursor: &Cursor<'_>) -> Option<SelectedVersion> {
    let mut fields = cursor.fields("write { header: X-API-Version, values: [\"1\"], absent: true }")?;
    let header = fields.require("header", "name the header that carries the version", |cursor| {
        headers::name(cursor, &cursor.string()?, Use::Select)
    });
    let values = fields.strings("values");
    let absent = fields.read("absent", Cursor::bool).unwrap_or(true);
    fields.finish();
    if values.is_empty() && !absent && fields.clean().is_some() && !cursor.is_stored() {
        return cursor.refuse("no request is of this version", "write its values, such as values: [\"1\"]");
    }
    Some(SelectedVersion { header: header?, values, absent })
}

fn routes<'n>(
    context: &mut Context<'n>,
    items: &[Cursor<'n>],
    documents: Option<&Documents>,
    envelope: Option<&Cursor<'n>>,
) -> Vec<AdaptedRoute> {
    let mut claims: Vec<Claim<'_>> = Vec::new();
    let read = |item| routes::read(context, item, documents, envelope, &mut claims);
    let routes = items.iter().filter_map(read).collect();
    report_conflicts(&claims);
    routes
}

/// Returns the source that is stored: as written, with the contents of files, and with only those
/// parts of the schema that the operations use, and only those included shapes that mappings use.
fn source(
    cursor: &Cursor<'_>,
    interface: Interface,
    context: &Context<'_>,
) -> Map<String, serde_json::Value> {
    let mut source = match cursor.value().to_json() {
        serde_json::Value::Object(source) => source,
        _ => Map::new(),
    };
    source.remove(COMPILED);
    let schema = interface.documents.as_ref().and_then(Documents::reduced_schema);
    if let (Some(schema), Some(operations)) = (schema, interface.operations) {
        source.insert("schema".to_owned(), schema.into());
        source.insert("operations".to_owned(), operations.text.into());
    }
    if source.remove(INCLUDE).is_some() {
        let mut shapes = match source.remove("shapes") {
            Some(serde_json::Value::Object(own)) => own,
            _ => Map::new(),
        };
        let included = context.used_shapes().filter(|shape| shape.value.file() != cursor.file());
        shapes.extend(included.map(|shape| (shape.key.to_owned(), shape.value.value().to_json())));
        source.insert("shapes".to_owned(), shapes.into());
    }
    source
}
