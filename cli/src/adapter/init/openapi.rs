//! The OpenAPI document of the old interface, versions 3.0 and 3.1: its routes, and its schemas with
//! local references resolved.

use serde_json::{Number, Value};

/// Methods that are looked for in a path.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Most references that are followed one after the other.
const MAX_REFERENCES: usize = 16;

/// Most levels of `allOf` whose properties are collected.
const MAX_PARTS: usize = 8;

static NOTHING: Value = Value::Null;

/// A document.
#[derive(Debug, Clone, Copy)]
pub struct Document<'d> {
    root: &'d Value,
}

/// A method of a path.
#[derive(Debug)]
pub struct OldRoute<'d> {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with that of the first server before it.
    pub path: String,
    /// The parameters.
    pub parameters: Vec<Parameter<'d>>,
    /// The body of requests.
    pub body: Content<'d>,
    /// HTTP status of a successful response.
    pub status: u16,
    /// The body of a successful response.
    pub response: Content<'d>,
    /// True if successful responses have a `Link` header.
    pub has_link: bool,
}

/// A body.
#[derive(Debug, Clone, Copy)]
pub enum Content<'d> {
    /// There is none.
    Nothing,
    /// A body in JSON.
    Json(Schema<'d>),
    /// A body in another format, or an undescribed one.
    Other,
}

/// The place of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A segment of the path.
    Path,
    /// The query.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
}

/// A parameter of a request.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'d> {
    /// The name.
    pub name: &'d str,
    /// The place.
    pub place: Place,
    /// The schema.
    pub schema: Schema<'d>,
    /// True if requests must have it.
    pub is_required: bool,
    /// True if a list is one string with commas.
    pub is_joined: bool,
}

/// A schema, and the name that the document has for it.
#[derive(Debug, Clone, Copy)]
pub struct Schema<'d> {
    root: &'d Value,
    value: &'d Value,
    /// The name of the component; empty for a schema that is written in place.
    pub name: &'d str,
}

/// The form of a value.
#[derive(Debug, Clone)]
pub enum Form<'d> {
    /// An object with these properties.
    Object(Vec<Property<'d>>),
    /// A list of such items.
    List(Schema<'d>),
    /// A scalar.
    Scalar(Scalar),
    /// Not described.
    Unknown,
}

/// The type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// A string.
    Text,
    /// A bool.
    Boolean,
}

/// A property of an object.
#[derive(Debug, Clone, Copy)]
pub struct Property<'d> {
    /// The name.
    pub name: &'d str,
    /// The schema.
    pub schema: Schema<'d>,
    /// True if the object must have it.
    pub is_required: bool,
}

impl Place {
    /// Returns the word for the place in an adapter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

impl<'d> Document<'d> {
    /// Wraps a document.
    ///
    /// # Errors
    ///
    /// Returns a sentence about a document of another kind.
    pub fn new(root: &'d Value) -> Result<Self, String> {
        let version = text(root, "openapi");
        if version.starts_with("3.") && root.get("paths").is_some_and(Value::is_object) {
            return Ok(Self { root });
        }
        Err(if root.get("swagger").is_some() {
            "this is Swagger 2.0\n  hint: convert it to OpenAPI 3, which many tools do".to_owned()
        } else if version.is_empty() {
            "this is no OpenAPI document\n  hint: it begins with openapi: 3.0.3 and has paths".to_owned()
        } else {
            format!("OpenAPI {version} cannot be read like this\n  hint: use OpenAPI 3.0 or 3.1, with paths")
        })
    }

    /// Returns the routes in the order of the document.
    pub fn routes(self) -> Vec<OldRoute<'d>> {
        let base = self.base_path();
        let mut routes = Vec::new();
        for (path, item) in self.root.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let item = self.resolved(item).value;
            for method in METHODS {
                if let Some(operation) = item.get(method.to_ascii_lowercase()) {
                    routes.push(self.route(method, format!("{base}{path}"), item, operation));
                }
            }
        }
        routes
    }

    /// Returns the headers that carry credentials, in lower case.
    pub fn credential_headers(self) -> Vec<String> {
        let schemes = self.root.pointer("/components/securitySchemes").and_then(Value::as_object);
        let header = |scheme: &'d Value| {
            let scheme = self.resolved(scheme).value;
            match text(scheme, "type") {
                "http" | "oauth2" | "openIdConnect" => Some("authorization".to_owned()),
                "apiKey" if text(scheme, "in") == "header" => Some(text(scheme, "name").to_ascii_lowercase()),
                _ => None,
            }
        };
        let mut headers: Vec<String> =
            schemes.into_iter().flat_map(serde_json::Map::values).filter_map(header).collect();
        headers.sort();
        headers.dedup();
        headers
    }

    /// Returns the path of the first server's URL, without a slash at its end.
    fn base_path(self) -> String {
        let url = self.root.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default(),
            None => url,
        };
        // A URL with variables has no fixed path.
        let is_path = path.starts_with('/') && !path.contains(['{', '?', '#']);
        if is_path { path.trim_end_matches('/').to_owned() } else { String::new() }
    }

    fn route(
        self,
        method: &'static str,
        path: String,
        item: &'d Value,
        operation: &'d Value,
    ) -> OldRoute<'d> {
        let mut parameters: Vec<Parameter<'d>> = Vec::new();
        for owner in [operation, item] {
            for parameter in list(owner, "parameters").filter_map(|value| self.parameter(value)) {
                // Those of the operation win over those of its path.
                if !parameters.iter().any(|held| held.name == parameter.name && held.place == parameter.place)
                {
                    parameters.push(parameter);
                }
            }
        }
        let body = match operation.get("requestBody") {
            Some(body) => self.content(self.resolved(body).value),
            None => Content::Nothing,
        };
        let (status, response) = self.success(operation);
        let headers = response.get("headers").and_then(Value::as_object);
        let has_link =
            headers.is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case("link")));
        let response = if status == 204 { Content::Nothing } else { self.content(response) };
        OldRoute { method, path, parameters, body, status, response, has_link }
    }

    fn parameter(self, value: &'d Value) -> Option<Parameter<'d>> {
        let value = self.resolved(value).value;
        let place = match text(value, "in") {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "cookie" => Place::Cookie,
            _ => return None,
        };
        let is = |name: &str| value.get(name).and_then(Value::as_bool);
        Some(Parameter {
            name: text(value, "name"),
            place,
            schema: self.resolved(value.get("schema").unwrap_or(&NOTHING)),
            is_required: place == Place::Path || is("required").unwrap_or_default(),
            is_joined: place != Place::Query || is("explode") == Some(false),
        })
    }

    /// Returns the lowest status of a success, and its response.
    fn success(self, operation: &'d Value) -> (u16, &'d Value) {
        let responses = operation.get("responses").and_then(Value::as_object);
        let status = |name: &str| match name {
            "2XX" | "2xx" => Some(200),
            "default" => Some(299),
            digits => digits.parse::<u16>().ok().filter(|status| (200..300).contains(status)),
        };
        let found = responses.into_iter().flatten().filter_map(|(name, value)| Some((status(name)?, value)));
        match found.min_by_key(|(status, _)| *status) {
            Some((status, response)) => {
                (if status == 299 { 200 } else { status }, self.resolved(response).value)
            }
            None => (200, &NOTHING),
        }
    }

    /// Returns the content of a request or response body.
    fn content(self, owner: &'d Value) -> Content<'d> {
        let Some(content) = owner.get("content").and_then(Value::as_object).filter(|held| !held.is_empty())
        else {
            // A response that is described without content has none.
            return if owner.is_null() { Content::Other } else { Content::Nothing };
        };
        let json = content.iter().find(|(media_type, _)| media_type.to_ascii_lowercase().contains("json"));
        match json.and_then(|(_, value)| value.get("schema")) {
            Some(schema) => Content::Json(self.resolved(schema)),
            None => Content::Other,
        }
    }

    fn resolved(self, value: &'d Value) -> Schema<'d> {
        Schema { root: self.root, value, name: "" }.resolved()
    }
}

impl<'d> Schema<'d> {
    /// Returns the form of the values.
    pub fn form(self) -> Form<'d> {
        let schema = self.chosen();
        let properties = schema.properties(0);
        if !properties.is_empty() {
            return Form::Object(properties);
        }
        match schema.type_name() {
            "array" => Form::List(schema.below("items")),
            "integer" => Form::Scalar(Scalar::Integer),
            "number" => Form::Scalar(Scalar::Number),
            "string" => Form::Scalar(Scalar::Text),
            "boolean" => Form::Scalar(Scalar::Boolean),
            "" if schema.value.get("items").is_some() => Form::List(schema.below("items")),
            "" if !schema.enum_values().is_empty() => Form::Scalar(Scalar::Text),
            _ => Form::Unknown,
        }
    }

    /// Returns the words for the form, for messages.
    pub fn written(self) -> &'static str {
        match self.form() {
            Form::Object(_) => "an object",
            Form::List(_) => "a list",
            Form::Scalar(Scalar::Integer) => "an integer",
            Form::Scalar(Scalar::Number) => "a number",
            Form::Scalar(Scalar::Text) => "a string",
            Form::Scalar(Scalar::Boolean) => "a boolean",
            Form::Unknown => "not described",
        }
    }

    /// Returns the strings that the values are limited to; none if they are not.
    pub fn enum_values(self) -> Vec<&'d str> {
        list(self.chosen().value, "enum").filter_map(Value::as_str).collect()
    }

    /// Returns a limit of the values, such as `minimum`.
    pub fn limit(self, name: &str) -> Option<&'d Number> {
        self.chosen().value.get(name).and_then(Value::as_number)
    }

    /// Returns the default.
    pub fn default_value(self) -> Option<&'d Value> {
        self.chosen().value.get("default")
    }

    /// Returns true for a timestamp.
    pub fn is_time(self) -> bool {
        text(self.chosen().value, "format") == "date-time"
    }

    /// Returns true for a URL.
    pub fn is_link(self) -> bool {
        matches!(text(self.chosen().value, "format"), "uri" | "url" | "uri-reference")
    }

    /// Returns the schema that is meant, with the name of its component: the first alternative that is
    /// not null, or the only part.
    pub fn chosen(self) -> Self {
        let mut schema = self;
        for _ in 0..MAX_REFERENCES {
            if schema.value.get("properties").is_some() {
                break;
            }
            let parts = ["allOf", "anyOf", "oneOf"].map(|name| list(schema.value, name));
            let [all, any, one] = parts.map(|parts| parts.map(|part| schema.part(part)).collect::<Vec<_>>());
            let mut alternatives = any.into_iter().chain(one).filter(|part| part.type_name() != "null");
            let next = match all.as_slice() {
                [only] => Some(*only),
                _ => alternatives.next(),
            };
            match next {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn properties(self, depth: usize) -> Vec<Property<'d>> {
        let required: Vec<&str> = list(self.value, "required").filter_map(Value::as_str).collect();
        let own = self.value.get("properties").and_then(Value::as_object).into_iter().flatten();
        let mut properties: Vec<Property<'d>> = own
            .map(|(name, value)| Property {
                name,
                schema: self.part(value),
                is_required: required.contains(&name.as_str()),
            })
            .collect();
        if depth < MAX_PARTS {
            for part in list(self.value, "allOf") {
                for property in self.part(part).properties(depth + 1) {
                    if properties.iter().all(|held| held.name != property.name) {
                        properties.push(property);
                    }
                }
            }
        }
        properties
    }

    /// Returns the type, without null beside it.
    fn type_name(self) -> &'d str {
        match self.value.get("type") {
            Some(Value::Array(types)) => {
                types.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null")
            }
            Some(Value::String(name)) => name.as_str(),
            _ => "",
        }
    }

    fn below(self, name: &str) -> Self {
        self.part(self.value.get(name).unwrap_or(&NOTHING))
    }

    fn part(self, value: &'d Value) -> Self {
        Self { value, name: "", ..self }.resolved()
    }

    /// Follows references within the document. One that leads nowhere is not described.
    fn resolved(self) -> Self {
        let mut schema = self;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = schema.value.get("$ref").and_then(Value::as_str) else { return schema };
            let target = reference.strip_prefix('#').and_then(|pointer| schema.root.pointer(pointer));
            let name = reference.rsplit('/').next().unwrap_or_default();
            schema = Self { value: target.unwrap_or(&NOTHING), name, ..schema };
        }
        Self { value: &NOTHING, ..schema }
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Node;

    fn yaml(text: &str) -> Value {
        Node::from_yaml(text).unwrap().to_json()
    }

    #[test]
    fn routes_have_parameters_bodies_and_responses() {
        let root = yaml(
            r##"
openapi: 3.1.0
servers: [{ url: "https://api.example/api/v1/" }]
paths:
  /items/{id}:
    parameters:
      - { name: id, in: path, required: true, schema: { type: integer } }
      - { name: full, in: query, schema: { type: boolean } }
    get:
      parameters: [{ $ref: "#/components/parameters/full" }]
      responses:
        "404": { description: none }
        "200":
          headers: { Link: { schema: { type: string } } }
          content: { application/json: { schema: { $ref: "#/components/schemas/Item" } } }
    delete: { responses: { "204": { description: gone } } }
    put:
      requestBody: { content: { text/csv: { schema: { type: string } } } }
      responses: { default: { content: { application/problem+json: { schema: { type: string } } } } }
components:
  parameters:
    full: { name: full, in: query, required: true, explode: false, schema: { type: array, items: { type: string } } }
  schemas:
    Item: { type: object, properties: { id: { type: integer } } }
  securitySchemes:
    a: { type: http, scheme: bearer }
    b: { type: apiKey, in: header, name: X-Key }
    c: { type: apiKey, in: query, name: key }
"##,
        );
        let document = Document::new(&root).unwrap();
        assert_eq!(document.credential_headers(), ["authorization", "x-key"]);
        let routes = document.routes();
        let [get, put, delete] = &routes[..] else { panic!("{routes:#?}") };
        assert_eq!(
            (get.method, get.path.as_str(), get.status, get.has_link),
            ("GET", "/api/v1/items/{id}", 200, true)
        );
        assert!(matches!(get.response, Content::Json(schema) if schema.name == "Item"));
        let parameters: Vec<_> =
            get.parameters.iter().map(|p| (p.name, p.place, p.is_required, p.is_joined)).collect();
        assert_eq!(parameters, [("full", Place::Query, true, true), ("id", Place::Path, true, true)]);
        assert!(matches!((put.body, put.response, put.status), (Content::Other, Content::Json(_), 200)));
        assert!(matches!(
            (delete.body, delete.response, delete.status),
            (Content::Nothing, Content::Nothing, 204)
        ));
        assert_eq!(delete.parameters.len(), 2);
    }

    #[test]
    fn schemas_are_resolved_and_joined() {
        let root = yaml(
            r##"
openapi: 3.0.3
paths: {}
components:
  schemas:
    Base: { type: object, required: [id], properties: { id: { type: integer } } }
    Whole:
      allOf:
        - { $ref: "#/components/schemas/Base" }
        - { properties: { name: { type: [string, "null"] }, kind: { enum: [a, b] } } }
    Maybe: { anyOf: [{ type: "null" }, { $ref: "#/components/schemas/Base" }] }
    Only: { allOf: [{ $ref: "#/components/schemas/Base" }], nullable: true }
    Circle: { $ref: "#/components/schemas/Circle" }
    Lost: { $ref: "#/components/schemas/Nothing" }
    List: { type: array, items: { $ref: "#/components/schemas/Base" } }
"##,
        );
        let schema = |name: &str| {
            let value = root.pointer(&format!("/components/schemas/{name}")).unwrap();
            Schema { root: &root, value, name: "" }.resolved()
        };
        let Form::Object(properties) = schema("Whole").form() else { panic!() };
        let found: Vec<_> = properties.iter().map(|p| (p.name, p.schema.written(), p.is_required)).collect();
        assert_eq!(
            found,
            [("id", "an integer", true), ("name", "a string", false), ("kind", "a string", false)]
        );
        for name in ["Maybe", "Only"] {
            assert_eq!((schema(name).written(), schema(name).chosen().name), ("an object", "Base"), "{name}");
        }
        for name in ["Circle", "Lost"] {
            assert_eq!(schema(name).written(), "not described", "{name}");
        }
        let Form::List(item) = schema("List").form() else { panic!() };
        assert_eq!(item.name, "Base");
    }

    #[test]
    fn other_documents_are_refused() {
        for (text, says) in [
            ("swagger: '2.0'\npaths: {}", "Swagger 2.0"),
            ("a: 1", "no OpenAPI document"),
            ("openapi: 4.0.0\npaths: {}", "OpenAPI 4.0.0"),
            ("openapi: 3.1.0\nwebhooks: {}", "OpenAPI 3.1.0"),
        ] {
            let error = Document::new(&yaml(text)).map(|_| ()).unwrap_err();
            assert!(error.contains(says) && error.contains("hint: "), "{error}");
        }
    }
}
