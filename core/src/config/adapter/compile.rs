//! Reads a whole adapter and compiles it.

use super::{
    errors,
    files::{Files, SourceText, content, graphql},
    graphql::{Documents, documents},
    headers::{self, Use},
    mapping::Context,
    prune::prune,
    routes,
    source::{Adapter, COMPILED},
};
use crate::{
    adapter::{AdaptedRoute, Program, SelectedVersion},
    config::reading::{Cursor, Fields, Node, Problem, Value},
    routing::table::RouteTable,
};
use serde_json::Map;

/// The largest stored adapter, in bytes. An audit record of a change contains it twice, in an item
/// of at most 400 KB.
const MAX_BYTES: usize = 150_000;

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
    let forward = headers::names(fields.optional("forward_headers"), Use::Forward);
    let keep = headers::names(fields.optional("keep_headers"), Use::Keep);
    let shapes = fields.entries("shapes", "write name: mapping");
    let envelope = fields.optional("envelope");
    let errors = fields.optional("errors");
    let route_list = fields.required("routes", "write a list of routes");
    fields.finish();
    let mut context = Context::new(shapes);
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
    fields.clean()?;
    let mut reads = [&context.reads[..], &forward[..]].concat();
    reads.extend(version.iter().map(|version| version.header.clone()));
    for names in [&mut reads, &mut context.claims] {
        names.sort();
        names.dedup();
    }
    let program = Program {
        endpoint: endpoint?,
        version,
        reads,
        claims: context.claims,
        forward,
        keep,
        errors: errors?,
        routes,
    };
    let adapter = Adapter::new(source(cursor, interface), program);
    let bytes = serde_json::to_string(&adapter).map(|text| text.len()).unwrap_or(usize::MAX);
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
    let [schema, operations] =
        ["schema", "operations"].map(|name| fields.read(name, |cursor| graphql(cursor, folder, files)));
    let parsed = match (&schema, &operations) {
        (Some(schema), Some(operations)) => documents(cursor, schema, operations),
        (None, None) => None,
        // One of them may have been written, but not be readable.
        _ if fields.clean().is_none() => None,
        _ => cursor.refuse("operations need a schema, and a schema needs operations", HINT),
    };
    Interface { operations, documents: parsed }
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
    let mut absent = true;
    fields.set("absent", &mut absent, Cursor::bool)?;
    fields.finish();
    Some(SelectedVersion { header: header?, values, absent })
}

fn routes<'n>(
    context: &mut Context<'n>,
    items: &[Cursor<'n>],
    documents: Option<&Documents>,
    envelope: Option<&Cursor<'n>>,
) -> Vec<AdaptedRoute> {
    let mut routes = Vec::new();
    let mut cursors = Vec::new();
    for item in items {
        if let Some(route) = routes::read(context, item, documents, envelope) {
            routes.push(route);
            cursors.push(item);
        }
    }
    let matchers: Vec<_> = routes.iter().map(|route| &route.matcher).collect();
    if let Err((index, error)) = RouteTable::new(&matchers)
        && let Some(cursor) = cursors.get(index)
    {
        cursor.report(error.to_string(), "give each route a path or method of its own");
    }
    routes
}

/// Returns the source that is stored: as written, with the contents of files, and with only those
/// parts of the schema that the operations use.
fn source(cursor: &Cursor<'_>, interface: Interface) -> Map<String, serde_json::Value> {
    let mut source = match cursor.value().to_json() {
        serde_json::Value::Object(source) => source,
        _ => Map::new(),
    };
    source.remove(COMPILED);
    if let (Some(documents), Some(operations)) = (&interface.documents, interface.operations) {
        source.insert("schema".to_owned(), prune(documents).into());
        source.insert("operations".to_owned(), operations.text.into());
    }
    source
}
