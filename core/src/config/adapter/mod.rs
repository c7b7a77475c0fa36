//! Adapters in a file: read, held against the schema, and compiled to what the edge runs.

mod errors;
mod graphql;
mod mapping;
mod prune;
mod routes;
mod variables;

use super::{
    node::{Node, Value},
    reader::{Reader, join},
};
use crate::adapter::{Program, SelectedVersion};
use mapping::Context;
pub(super) use mapping::literal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;
use std::sync::Arc;

/// Where a compiled program stands beside its source, in what is stored. It is made again whenever the source is read.
pub const COMPILED: &str = "compiled";

/// An adapter as it is configured: its source, with all texts in it, and what it was compiled to.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    source: Map<String, serde_json::Value>,
    program: Arc<Program>,
}

impl Adapter {
    /// What the edge runs.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What people wrote, with the texts of the files that it named in their places.
    pub fn source(&self) -> &Map<String, serde_json::Value> {
        &self.source
    }
}

impl Serialize for Adapter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = self.source.clone();
        let program = serde_json::to_value(&*self.program).map_err(serde::ser::Error::custom)?;
        written.insert(COMPILED.to_owned(), program);
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Adapter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut source = Map::deserialize(deserializer)?;
        let program = source.remove(COMPILED).unwrap_or_default();
        let program: Program = serde_json::from_value(program).map_err(serde::de::Error::custom)?;
        Ok(Self { source, program: Arc::new(program) })
    }
}

/// What is stored of an adapter, at most. An audit record holds it twice where it changes, in an item of 400 KB.
const MAX_BYTES: usize = 150_000;

/// Finds the text of a file that a configuration names.
pub type Files<'f> = &'f dyn Fn(&str) -> Result<String, String>;

/// A text of a file, or one that stands in the configuration itself.
struct Text {
    file: String,
    text: String,
    /// Lines before its first one.
    before: usize,
}

const HINT: &str =
    "write operations, schema, shapes, errors and routes below the adapter, or the name of a file with them";

/// Reads an adapter, or the file that stands in its place.
pub(super) fn read(reader: &mut Reader, node: &Node, path: &str, files: Files<'_>) -> Option<Adapter> {
    let Value::Text(name) = &node.value else { return whole(reader, node, path, "", files) };
    let text = found(reader, node, path, name, files)?;
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    reader.in_file(name, |reader| match Node::from_yaml(&text) {
        Ok(node) => whole(reader, &node, "", folder, files),
        Err(problem) => {
            reader.add(problem);
            None
        }
    })
}

/// The text of a file that is named at a place.
fn found(reader: &mut Reader, node: &Node, path: &str, name: &str, files: Files<'_>) -> Option<String> {
    let hint = "correct the name; it begins at this file's folder";
    files(name).map_err(|error| reader.report(node, path, format!("{name}: {error}"), hint)).ok()
}

/// A text with a brace is GraphQL, anything else names a file: no operation does without one.
fn text(reader: &mut Reader, node: &Node, path: &str, folder: &str, files: Files<'_>) -> Option<Text> {
    let text = reader.text(node, path)?;
    if text.contains('{') {
        return Some(Text { file: String::new(), text, before: node.line });
    }
    let name = if folder.is_empty() || text.contains("://") { text } else { format!("{folder}/{text}") };
    found(reader, node, path, &name, files).map(|text| Text { file: name, text, before: 0 })
}

fn whole(reader: &mut Reader, node: &Node, path: &str, folder: &str, files: Files<'_>) -> Option<Adapter> {
    let before = reader.count();
    let mut fields = reader.fields(node, path, HINT)?;
    fields.optional(COMPILED);
    let at = |name: &str| join(path, name);
    let texts = ["schema", "operations"]
        .map(|name| fields.optional(name).and_then(|node| text(reader, node, &at(name), folder, files)));
    let [schema, operations] = &texts;
    let mut documents = None;
    match (schema, operations) {
        (Some(schema), Some(operations)) => {
            documents = graphql::documents(
                reader,
                (&schema.file, &schema.text, schema.before),
                (&operations.file, &operations.text, operations.before),
            );
        }
        (None, None) => {}
        _ if reader.count() > before => {}
        _ => reader.report(node, path, "operations need a schema, and a schema operations", HINT),
    }
    let endpoint = match fields.optional("endpoint") {
        Some(node) => reader.text(node, &at("endpoint")).filter(|text| {
            let fine = text.starts_with('/');
            if !fine {
                let hint = "write the path below the origin's URL, such as /graphql";
                reader.report(node, &at("endpoint"), format!("{text:?} does not begin with a slash"), hint);
            }
            fine
        }),
        None => Some("/graphql".to_owned()),
    };
    let version = fields.optional("version").map(|node| version(reader, node, &at("version")));
    let forward = lower(reader.texts(fields.optional("forward_headers"), &at("forward_headers")));
    let keep = lower(reader.texts(fields.optional("keep_headers"), &at("keep_headers")));
    let shapes = reader.named(fields.optional("shapes"), &at("shapes"), "write name: mapping");
    let envelope = fields.optional("envelope");
    let error_node = fields.optional("errors");
    let route_node = fields.required(reader, "routes", "write a list of routes");
    fields.finish(reader);
    let mut context = Context::new(shapes);
    let errors = errors::read(&mut context, reader, error_node, &at("errors"));
    if let Some(node) = envelope {
        // Each route puts it around its own response; where none can be read, its mistakes shall show all the same.
        context.shape(reader, node, &at("envelope"), None);
    }
    let mut routes = Vec::new();
    for (index, node) in reader.list(route_node, &at("routes"), "write a list of routes").iter().enumerate() {
        let path = format!("{}[{index}]", at("routes"));
        let route = routes::read(&mut context, reader, node, &path, documents.as_ref(), envelope);
        routes.extend(route.map(|route| (route, node, path)));
    }
    let matchers: Vec<_> = routes.iter().map(|(route, _, _)| &route.matcher).collect();
    if let Err((at, error)) = crate::route::RouteTable::new(&matchers)
        && let Some((_, node, path)) = routes.get(at)
    {
        reader.report(node, path, error.to_string(), "give each route a path or method of its own");
    }
    if reader.count() > before {
        return None;
    }
    let mut reads = [&context.reads[..], &forward[..]].concat();
    reads.extend(version.iter().flatten().map(|version: &SelectedVersion| version.header.clone()));
    for names in [&mut reads, &mut context.claims] {
        names.sort();
        names.dedup();
    }
    let mut source = match value(node) {
        serde_json::Value::Object(source) => source,
        _ => Map::new(),
    };
    source.remove(COMPILED);
    if let (Some(documents), Some(operations)) = (&documents, operations) {
        source.insert("schema".to_owned(), prune::prune(documents).into());
        source.insert("operations".to_owned(), operations.text.clone().into());
    }
    let program = Program {
        endpoint: endpoint?,
        version: version.flatten(),
        reads,
        claims: context.claims,
        forward,
        keep,
        errors: errors?,
        routes: routes.into_iter().map(|(route, _, _)| route).collect(),
    };
    let adapter = Adapter { source, program: Arc::new(program) };
    let bytes = serde_json::to_string(&adapter).map(|text| text.len()).unwrap_or(usize::MAX);
    if bytes > MAX_BYTES {
        let message = format!("compiled, the adapter has {bytes} bytes, more than {MAX_BYTES}");
        reader.report(node, path, message, "divide its routes over two adapters, and name both in adapt");
        return None;
    }
    Some(adapter)
}

fn lower(names: Vec<String>) -> Vec<String> {
    names.into_iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn version(reader: &mut Reader, node: &Node, path: &str) -> Option<SelectedVersion> {
    let mut fields =
        reader.fields(node, path, "write { header: X-API-Version, values: [\"1\"], absent: true }")?;
    let header = fields.required(reader, "header", "name the header that says the version");
    let header = header.and_then(|node| reader.text(node, &join(path, "header")));
    let values = reader.texts(fields.optional("values"), &join(path, "values"));
    let absent = match fields.optional("absent") {
        Some(node) => reader.truth(node, &join(path, "absent"))?,
        None => true,
    };
    fields.finish(reader);
    Some(SelectedVersion { header: header?.to_ascii_lowercase(), values, absent })
}

/// A node as JSON, which is how sources are kept.
fn value(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        // Whole numbers stay whole.
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => (*number as i64).into(),
        Value::Number(number) => (*number).into(),
        Value::Text(text) => text.clone().into(),
        Value::List(items) => items.iter().map(value).collect(),
        Value::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), value(&entry.node))).collect::<Map<_, _>>().into()
        }
    }
}
