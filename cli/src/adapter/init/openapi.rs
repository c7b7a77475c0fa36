//! The OpenAPI document of the old interface, versions 3.0 and 3.1, as a list of routes.

use super::old_schema::{NOTHING, Schema, list, text};
use serde_json::Value;

/// Methods that are looked for in a path.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

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
            let item = self.resolved(item).value();
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
            let scheme = self.resolved(scheme).value();
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
            Some(body) => self.content(self.resolved(body).value()),
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
        let value = self.resolved(value).value();
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
                (if status == 299 { 200 } else { status }, self.resolved(response).value())
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
        Schema::new(self.root, value)
    }
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
