//! The description of the management API. Each handler's file in `lambda/src/api` has the description of its operations beside
//! it, as `HANDLER.openapi.json`; the rest is in `lambda/src/api/openapi`: the frame, the schemas in groups, and an example of
//! each operation. [`joined`] makes docs/openapi.json of them.

use crate::paths;
use serde::Serialize;
use serde_json::{Map, Value, json, ser::PrettyFormatter};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// End of the names of files with the operations of a handler's file.
const FRAGMENT: &str = ".openapi.json";

/// Name of the only example of a request body or a response.
const EXAMPLE: &str = "scenario";

/// A route of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRoute {
    /// Method, in capitals.
    pub method: String,
    /// Path below `/api/migration`.
    pub path: String,
    /// Module of `lambda/src/api` that has the handler.
    pub module: String,
}

impl ApiRoute {
    /// Returns method and path, such as `GET /flags/{name}`.
    pub fn operation(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Reads the routes of the API, in the order of the router. Those of the emergency function are among them.
pub fn routes() -> Vec<ApiRoute> {
    let source = text(&folder().join("router.rs"));
    let mut routes = Vec::new();
    for line in source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let (path, handlers) = line.split_once("\", ").expect("a path and its handlers");
        for handler in handlers.split(')').map(|handler| handler.trim_start_matches('.')) {
            let Some((method, function)) = handler.split_once('(') else { continue };
            let (module, _) = function.split_once("::").expect("a function of a module");
            let (method, path, module) = (method.to_uppercase(), path.to_owned(), module.to_owned());
            let route = ApiRoute { method, path, module };
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
    }
    assert!(routes.len() > 40, "{routes:?}");
    routes
}

/// Returns method and path of every route of the API.
pub fn routed() -> BTreeSet<String> {
    routes().iter().map(ApiRoute::operation).collect()
}

/// Reads the descriptions of operations beside the handlers, by module and by method and path.
pub fn described() -> BTreeMap<(String, String), Value> {
    let mut described = BTreeMap::new();
    for file in file_names(&folder()) {
        let Some(module) = file.strip_suffix(FRAGMENT) else { continue };
        for (operation, description) in object(&folder().join(&file)) {
            described.insert((module.to_owned(), operation), description);
        }
    }
    described
}

/// Returns the names of operations in the description, by method and path.
pub fn operation_ids() -> BTreeMap<String, String> {
    let id = |description: &Value| description["operationId"].as_str().expect("an operationId").to_owned();
    described().iter().map(|((_, operation), description)| (operation.clone(), id(description))).collect()
}

/// Returns the file with the example of an operation. An example has the body of a `request` by its media type, if there is
/// one, and the body of a `response` by its status.
pub fn example_file(operation_id: &str) -> PathBuf {
    folder().join(format!("openapi/examples/{operation_id}.json"))
}

/// Returns the names of operations that have an example.
pub fn examples() -> BTreeSet<String> {
    stems(&folder().join("openapi/examples"))
}

/// Returns the names of the groups of schemas: those that the frame lists, in their order, and those that have a file.
pub fn groups() -> (Vec<String>, BTreeSet<String>) {
    let frame = frame();
    let listed = frame["components"]["schemas"].as_array().expect("the groups of schemas");
    let listed = listed.iter().map(|name| name.as_str().expect("the name of a group").to_owned()).collect();
    (listed, stems(&folder().join("openapi/schemas")))
}

/// Returns the path of the joined document.
pub fn document_file() -> PathBuf {
    paths::root().join("docs/openapi.json")
}

/// Joins the fragments: paths in the order of the router, schemas in the order of their groups.
pub fn joined() -> String {
    let mut document = frame();
    let mut described = described();
    for route in routes() {
        let ApiRoute { method, path, module } = &route;
        let operation = route.operation();
        let mut description = described
            .remove(&(module.clone(), operation.clone()))
            .unwrap_or_else(|| panic!("{operation} is not described in {module}{FRAGMENT}"));
        let example = example_file(description["operationId"].as_str().expect("an operationId"));
        if example.exists() {
            add_example(&operation, &mut description, &json_of(&example));
        }
        document["paths"][path.as_str()][method.to_lowercase()] = description;
    }
    assert!(described.is_empty(), "descriptions without a route: {:?}", described.keys());
    let mut schemas = Map::new();
    for group in groups().0 {
        for (name, schema) in object(&folder().join(format!("openapi/schemas/{group}.json"))) {
            assert!(schemas.insert(name.clone(), schema).is_none(), "the schema {name} is there twice");
        }
    }
    document["components"]["schemas"] = Value::Object(schemas);
    written(&document)
}

/// Writes JSON as the document and its fragments have it.
pub fn written(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b" "));
    value.serialize(&mut serializer).expect("JSON is written");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Adds the bodies of an example to the description of its operation.
fn add_example(operation: &str, description: &mut Value, example: &Value) {
    let bodies = |part: &str| example[part].as_object().cloned().unwrap_or_default();
    for (media_type, body) in bodies("request") {
        let pointer = format!("/requestBody/content/{}", escaped(&media_type));
        add_body(operation, description.pointer_mut(&pointer), &body);
    }
    for (status, body) in bodies("response") {
        let pointer = format!("/responses/{status}/content/{}", escaped("application/json"));
        add_body(operation, description.pointer_mut(&pointer), &body);
    }
}

/// Adds the body of an example to the description of its media type.
fn add_body(operation: &str, media_type: Option<&mut Value>, body: &Value) {
    let media_type = media_type.and_then(Value::as_object_mut);
    let media_type = media_type.unwrap_or_else(|| panic!("{operation}: its example is of no described body"));
    media_type.insert("examples".to_owned(), json!({ EXAMPLE: { "value": body } }));
}

/// Returns a key as a part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn folder() -> PathBuf {
    paths::root().join("lambda/src/api")
}

/// Reads the frame of the document. Its schemas are the names of their groups.
fn frame() -> Value {
    json_of(&folder().join("openapi/document.json"))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn object(path: &Path) -> Map<String, Value> {
    match json_of(path) {
        Value::Object(fields) => fields,
        _ => panic!("{} is no object", path.display()),
    }
}

/// Returns the names of the files of a folder, in order.
fn file_names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Returns the names of the JSON files of a folder, without their ends.
fn stems(folder: &Path) -> BTreeSet<String> {
    file_names(folder).iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect()
}
