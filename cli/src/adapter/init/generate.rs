//! The whole adapter: a route for each one of the old interface that a query or mutation serves.

use super::{
    candidate::{Chosen, choose},
    graphql::NewSchema,
    openapi::{Document, OldRoute},
    operations::{self, NamedOperation},
    outputs::{Carrier, Outputs, Sibling},
    path::nouns,
    shapes::Shapes,
    words::{pascal, words},
    yaml::{self, Line, Yaml},
};
use cutover_core::routing::{matcher::Matcher, table::RouteTable};

/// A written adapter.
#[derive(Debug)]
pub struct Generated {
    /// The adapter file.
    pub adapter: String,
    /// The operations file.
    pub operations: String,
    /// The number of routes.
    pub routes: usize,
    /// The routes that are left to legacy.
    pub left: Vec<LeftRoute>,
    /// The number of decisions in the adapter file.
    pub decisions: usize,
}

/// A route that is left to legacy.
#[derive(Debug)]
pub struct LeftRoute {
    /// The method and the path.
    pub route: String,
    /// The reason.
    pub reason: String,
}

/// The names of the files that an adapter is made from.
#[derive(Debug, Clone, Copy)]
pub struct FileNames<'n> {
    /// The OpenAPI document.
    pub openapi: &'n str,
    /// The schema, below the folder of the adapter.
    pub schema: &'n str,
    /// The operations file, below the folder of the adapter.
    pub operations: &'n str,
}

/// An old route and the operation that serves it.
struct Served<'d> {
    route: OldRoute<'d>,
    name: String,
    chosen: Chosen,
}

/// An entry of the list of routes.
enum Entry<'d> {
    Served(Box<Served<'d>>),
    Left(LeftRoute),
}

/// Writes an adapter.
///
/// # Errors
///
/// Returns a sentence if no route of the old interface can be served.
pub fn generate(
    document: Document<'_>,
    schema: NewSchema<'_>,
    names: FileNames<'_>,
) -> Result<Generated, String> {
    let entries = entries(document, schema);
    let served: Vec<&Served<'_>> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Served(served) => Some(served.as_ref()),
            Entry::Left(_) => None,
        })
        .collect();
    if served.is_empty() {
        let hint = "check that both documents are of the same service, or write the adapter by hand (docs/adapters.md)";
        return Err(format!(
            "no route of {} fits a query or mutation of the schema\n  hint: {hint}",
            names.openapi
        ));
    }
    let shapes = Shapes::of(served.iter().filter_map(|served| served.chosen.outputs.mapping.as_ref()));
    let envelope = envelope(&served);
    let mut lines = head(document, names);
    lines.extend(shapes.section());
    lines.extend(envelope_section(envelope, &served));
    lines.push(Line::decide(
        "errors are answered as { code, message }, see errors: in docs/adapters.md for those of the old interface",
    ));
    let mut routes = Vec::new();
    for entry in &entries {
        if !routes.is_empty() {
            routes.push(Line::Blank);
        }
        routes.push(match entry {
            Entry::Served(served) => Line::Item(route(served, &shapes, envelope)),
            Entry::Left(LeftRoute { route, reason }) => {
                Line::decide(format!("{route} is left to legacy: {reason}"))
            }
        });
    }
    lines.push(Line::field("routes", Yaml::Block(routes)));
    let operations: Vec<NamedOperation<'_>> =
        served.iter().map(|served| NamedOperation { name: &served.name, chosen: &served.chosen }).collect();
    let operations = operations::document(&operations, &shapes);
    let (adapter, decisions, routes) = (yaml::document(&lines), yaml::decisions(&lines), served.len());
    let left = entries
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Served(_) => None,
            Entry::Left(left) => Some(left),
        })
        .collect();
    Ok(Generated { adapter, operations, routes, left, decisions })
}

/// Chooses an operation for each route, and gives it a name of its own.
fn entries<'d>(document: Document<'d>, schema: NewSchema<'_>) -> Vec<Entry<'d>> {
    let mut matchers: Vec<Matcher> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut entries = Vec::new();
    for route in document.routes() {
        let matcher = Matcher { methods: vec![route.method.to_owned()], path: route.path.clone() };
        let left = |reason| {
            Entry::Left(LeftRoute {
                route: format!("{} {}", matcher.methods.join(" "), matcher.path),
                reason,
            })
        };
        let chosen =
            match choose(schema, &route).and_then(|chosen| accept(&matchers, &matcher).map(|()| chosen)) {
                Ok(chosen) => chosen,
                Err(reason) => {
                    entries.push(left(reason));
                    continue;
                }
            };
        let name = operation_name(&names, &route, &chosen.field);
        names.push(name.clone());
        matchers.push(matcher);
        entries.push(Entry::Served(Box::new(Served { route, name, chosen })));
    }
    entries
}

/// Checks that an adapter with these routes can have another one.
fn accept(matchers: &[Matcher], matcher: &Matcher) -> Result<(), String> {
    if !matcher.path.starts_with('/') || matcher.path.contains(['?', '#']) {
        return Err("the path does not begin with a slash, or has a query".to_owned());
    }
    let all: Vec<&Matcher> = matchers.iter().chain([matcher]).collect();
    RouteTable::new(&all).map(|_| ()).map_err(|(_, error)| error.to_string())
}

/// Returns a name for an operation that no other one has: by its field, its owner, or a number.
fn operation_name(taken: &[String], route: &OldRoute<'_>, field: &str) -> String {
    let base = pascal(&words(field));
    let owned = format!("{}{base}", pascal(&nouns(&route.path).owners));
    let numbered = (2..).map(|number| format!("{base}{number}"));
    let mut names = [base.clone(), owned].into_iter().chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

/// Returns the property that holds the value in most responses, if there are several.
fn envelope<'s>(served: &[&'s Served<'_>]) -> Option<&'s str> {
    let names: Vec<&str> =
        served.iter().filter_map(|served| carrier(&served.chosen.outputs)).map(|c| c.name.as_str()).collect();
    let count = |name: &str| names.iter().filter(|held| **held == name).count();
    names.iter().copied().max_by_key(|name| count(name)).filter(|name| count(name) > 1)
}

fn carrier(outputs: &Outputs) -> Option<&Carrier> {
    outputs.carrier.as_ref().filter(|_| outputs.mapping.is_some())
}

/// Writes everything before the shapes.
fn head(document: Document<'_>, names: FileNames<'_>) -> Vec<Line> {
    let mut lines = vec![
        Line::Comment(format!("A first adapter, made from {} and {}.", names.openapi, names.schema)),
        Line::Comment(
            "Each comment with DECIDE is a question to you; remove it when it is answered.".to_owned(),
        ),
        Line::text("schema", names.schema),
        Line::text("operations", names.operations),
    ];
    let credentials = document.credential_headers();
    if !credentials.is_empty() {
        lines.push(Line::decide(
            "these headers carry credentials; remove those that the new backend does not read",
        ));
        let names = Yaml::texts(credentials.iter().map(String::as_str));
        lines.push(Line::field("forward_headers", names));
    }
    lines.push(Line::Blank);
    lines
}

/// Writes the object around all responses.
fn envelope_section(envelope: Option<&str>, served: &[&Served<'_>]) -> Vec<Line> {
    let Some(name) = envelope else { return Vec::new() };
    let carriers = served.iter().filter_map(|served| carrier(&served.chosen.outputs));
    let mut siblings: Vec<&Sibling> = Vec::new();
    for sibling in carriers.filter(|carrier| carrier.name == name).flat_map(|carrier| &carrier.siblings) {
        if !siblings.iter().any(|held| held.name == sibling.name) {
            siblings.push(sibling);
        }
    }
    let mut lines: Vec<Line> = siblings.into_iter().map(|sibling| beside(name, sibling)).collect();
    lines.push(Line::text(name, "."));
    let object = Line::field("object", Yaml::Block(lines));
    vec![Line::field("envelope", Yaml::Block(vec![object])), Line::Blank]
}

/// Writes the decision about a property beside the value.
fn beside(carrier: &str, sibling: &Sibling) -> Line {
    let Sibling { name, written, is_time } = sibling;
    let example = match *written {
        _ if *is_time => format!("{name}: {{ now: rfc3339 }}"),
        "a boolean" => format!("{name}: {{ const: true }}"),
        _ => format!("{name}: {{ const: ... }}"),
    };
    Line::decide(format!(
        "{name} ({written}) is beside {carrier} in the old responses; for example {example}"
    ))
}

fn route(served: &Served<'_>, shapes: &Shapes, envelope: Option<&str>) -> Yaml {
    let Served { route, name, chosen } = served;
    let outputs = &chosen.outputs;
    let matcher = vec![Line::text("method", route.method), Line::text("path", &route.path)];
    let mut lines = vec![Line::field("match", Yaml::Block(matcher))];
    lines.extend(chosen.notes.iter().map(Line::decide));
    lines.push(Line::text("operation", name));
    for (key, value) in [("variables", &chosen.variables), ("pagination", &chosen.pagination)] {
        if !value.is_empty() {
            lines.push(Line::field(key, Yaml::Block(value.clone())));
        }
    }
    lines.push(Line::text("root", &outputs.root.join(".")));
    if outputs.mapping.is_some() && outputs.is_nullable {
        let noun = nouns(&route.path).noun.join(" ");
        let fault = vec![
            Line::field("status", Yaml::Scalar("404".to_owned())),
            Line::text("code", "not_found"),
            Line::text("message", &format!("there is no such {noun}")),
        ];
        lines.push(Line::field("when_null", Yaml::Block(fault)));
    }
    let usual_status = if outputs.mapping.is_some() { 200 } else { 204 };
    if route.status != usual_status {
        lines.push(Line::field("status", Yaml::Scalar(route.status.to_string())));
    }
    lines.extend(response(outputs, shapes, envelope));
    Yaml::Block(lines)
}

fn response(outputs: &Outputs, shapes: &Shapes, envelope: Option<&str>) -> Vec<Line> {
    let Some(mapping) = &outputs.mapping else { return vec![Line::text("response", "none")] };
    let mut lines: Vec<Line> = outputs.notes.iter().map(Line::decide).collect();
    let own = outputs.carrier.as_ref().filter(|carrier| envelope != Some(carrier.name.as_str()));
    match own {
        None => lines.push(Line::field("response", shapes.mapping(mapping, &[]))),
        Some(carrier) => {
            lines.extend(carrier.siblings.iter().map(|sibling| beside(&carrier.name, sibling)));
            let mut steps = shapes.steps(mapping);
            if steps.is_empty() {
                steps.push(Line::text("from", "."));
            }
            steps.push(Line::text("wrap", &carrier.name));
            lines.push(Line::field("response", Yaml::Block(steps)));
        }
    }
    if envelope.is_some() && (own.is_some() || outputs.carrier.is_none()) {
        lines.push(Line::field("envelope", Yaml::Scalar("false".to_owned())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use apollo_compiler::Schema as Parsed;
    use cutover_core::config::{Config, Node};
    use serde_json::Value;

    const REVIEWS: &str = include_str!("../../../../tests/reviews/openapi.yaml");
    const SCHEMA: &str = include_str!("../../../../tests/reviews/schema.graphql");

    const NAMES: FileNames<'static> =
        FileNames { openapi: "openapi.yaml", schema: "schema.graphql", operations: "operations.graphql" };

    fn generated(openapi: &str, schema: &str) -> Result<Generated, String> {
        let root: Value = Node::from_yaml(openapi).unwrap().to_json();
        let parsed = Parsed::parse_and_validate(schema, "schema.graphql").unwrap();
        let generated = generate(Document::new(&root).unwrap(), NewSchema::new(&parsed), NAMES)?;
        let files = |name: &str| match name {
            "adapter.yaml" => Ok(generated.adapter.clone()),
            "operations.graphql" => Ok(generated.operations.clone()),
            "schema.graphql" => Ok(schema.to_owned()),
            _ => Err("there is no such file".to_owned()),
        };
        if let Err(problems) = Config::from_yaml_with("adapters: { a: adapter.yaml }", &files) {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}\n{}\n{}", problems.join("\n"), generated.adapter, generated.operations);
        }
        Ok(generated)
    }

    #[test]
    fn the_reviews_become_an_adapter_that_compiles() {
        let Generated { adapter, operations, routes, left, decisions } = generated(REVIEWS, SCHEMA).unwrap();
        assert_eq!(routes, 6, "{adapter}");
        let left: Vec<_> = left.iter().map(|left| left.route.as_str()).collect();
        assert_eq!(left, ["GET /api/v1/users/{id}/reviews"], "{adapter}");
        assert_eq!(decisions, adapter.matches("# DECIDE: ").count(), "{adapter}");
        for part in [
            "shapes:\n  review:\n    object:\n      id: { from: id, as: number }\n      offer_id: { from: offerId, as: number }\n",
            "envelope:\n  object:\n    # DECIDE: success (a boolean) is beside data in the old responses; for example success: { const: true }\n",
            "    data: .\n",
            "  - match: { method: GET, path: \"/api/v1/reviews/{id}\" }\n    operation: Review\n    \
             variables: { id: { from: path.id, integer: true } }\n    root: review\n    \
             when_null: { status: 404, code: not_found, message: \"there is no such review\" }\n    \
             response: { shape: review }\n",
            "    root: createReview\n    status: 201\n    response: { shape: review }\n",
            "    root: deleteReview\n    response: none\n",
            "    response: { each: { shape: review } }\n",
            "      offset: { skip: offset, take: limit }\n      link: true\n",
        ] {
            assert!(adapter.contains(part), "{part}\n{adapter}");
        }
        for part in [
            "fragment ReviewFields on Review {\n  id\n  offerId\n",
            "query Review($id: ID!) {\n  review(id: $id) {\n    ...ReviewFields\n  }\n}\n",
            "query OfferReviews($offerId: ID, $offset: Int, $limit: Int) {\n",
            "mutation DeleteReview($id: ID!) {\n  deleteReview(id: $id)\n}\n",
        ] {
            assert!(operations.contains(part), "{part}\n{operations}");
        }
    }

    /// The document that docs/adapter-tutorial.md begins with.
    #[test]
    fn the_catalogue_becomes_the_adapter_that_the_tutorial_begins_with() {
        let openapi = include_str!("../../../../tests/catalogue/openapi.yaml");
        let schema = include_str!("../../../../tests/catalogue/schema.graphql");
        let Generated { adapter, operations, routes, left, .. } = generated(openapi, schema).unwrap();
        assert_eq!(routes, 5, "{adapter}");
        assert!(left.len() == 1 && left[0].route == "GET /api/work/{id}", "{left:?}");
        for part in [
            "      status: { from: status, map: { ACTIVE: active, RETIRED: retired, UNKNOWN: unknown } }\n",
            "      birthplace: { from: birthplace, shape: linked_place }\n",
            "      # DECIDE: portrait (a string) has no counterpart in Person; it is left out. url:\n      \
             # \"https://host/path/{id}\" builds a link, and page_url: that of a page\n",
            "      page: { from: query.page, min: 1, default: 1 }\n",
            "          status: { from: query.status, map: { active: ACTIVE, retired: RETIRED, unknown: UNKNOWN } }\n",
            "          roles: \"query.role[]\"\n",
            "    variables: { id: path.id }\n    root: person\n",
            "        info: { from: info, shape: info }\n        results: { from: results, each: { shape: person } }\n",
            "  # DECIDE: GET /api/work/{id} is left to legacy: works fits by its name, but path.id has no argument there\n",
        ] {
            assert!(adapter.contains(part), "{part}\n{adapter}");
        }
        assert!(operations.contains("  persons(page: $page, filter: $filter) {\n"), "{operations}");
    }

    /// Two interfaces that differ in every way that is known.
    const SHOP: &str = r##"
openapi: 3.1.0
servers: [{ url: "https://shop.example/v2" }]
paths:
  /products:
    get:
      parameters: [{ name: page, in: query, schema: { type: integer } }, { name: state, in: query, schema: { enum: [on-sale, sold] } }]
      responses: { "200": { content: { application/json: { schema: { properties: { count: { type: integer }, items: { type: array, items: { $ref: "#/components/schemas/Product" } } } } } } } }
    post:
      requestBody: { content: { application/json: { schema: { $ref: "#/components/schemas/NewProduct" } } } }
      responses: { "201": { content: { application/json: { schema: { $ref: "#/components/schemas/Product" } } } } }
  /products/{product_id}:
    get:
      parameters: [{ name: product_id, in: path, required: true, schema: { type: string } }]
      responses: { "200": { content: { application/json: { schema: { $ref: "#/components/schemas/Product" } } } } }
    delete:
      parameters: [{ name: product_id, in: path, required: true, schema: { type: string } }]
      responses: { "200": { description: gone } }
  "/products/{a}-{b}":
    get: { responses: { "200": { content: { application/json: { schema: {} } } } } }
  /status:
    get: { responses: { "200": { content: { application/json: { schema: {} } } } } }
  /vendors/{id}:
    get:
      parameters: [{ name: id, in: path, required: true, schema: { type: string } }]
      responses: { "200": { content: { application/json: { schema: { $ref: "#/components/schemas/Vendor" } } } } }
components:
  schemas:
    Product:
      properties:
        id: { type: integer }
        title: { type: string }
        state: { enum: [on-sale, sold] }
        vendor: { $ref: "#/components/schemas/Vendor" }
        vendor_id: { type: string }
        weight: { type: number }
    Vendor: { properties: { id: { type: string }, name: { type: string }, products: { type: array, items: { $ref: "#/components/schemas/Product" } } } }
    NewProduct: { required: [title], properties: { title: { type: string, minLength: 1 }, vendor_id: { type: string } } }
"##;

    const NEW_SHOP: &str = "\
type Query {
  products(skip: Int, take: Int, state: State): ProductPage!
  product(id: ID!): Product
  status: Status
  vendor(id: ID!): Vendor
}
type Mutation { createProduct(input: ProductInput!): ProductPayload deleteProduct(id: ID!): Product }
type ProductPage { count: Int! nodes: [Product!]! }
type ProductPayload { product: Product problems: [String!] }
type Product { id: ID! title: String! state: State! vendor: Vendor! price: Int }
type Vendor { id: ID! name: String products: [Product!]! }
type Status { healthy: Boolean! }
input ProductInput { title: String! vendorId: ID }
enum State { ON_SALE SOLD }
";

    #[test]
    fn interfaces_that_differ_in_everything_compile_too() {
        let Generated { adapter, operations, routes, left, .. } = generated(SHOP, NEW_SHOP).unwrap();
        assert_eq!(routes, 6, "{adapter}");
        assert!(left.len() == 1 && left[0].route == "GET /v2/products/{a}-{b}", "{left:?}");
        for part in [
            "path: /v2/products }",
            "root: products.nodes\n",
            "wrap: items",
            "state: { from: query.state, map: { on-sale: ON_SALE, sold: SOLD } }",
            "map: { ON_SALE: on-sale, SOLD: sold }",
            "# DECIDE: weight (a number) has no counterpart in Product; it is left out",
            "Product contains itself here",
            "vendor_id: vendor.id",
            "title: { from: body.title, min: 1 }",
            "root: createProduct.product\n",
            "root: deleteProduct\n    status: 200\n    response: none\n",
            "message: \"there is no such vendor\"",
            "the old document does not describe the response",
        ] {
            assert!(adapter.contains(part), "{part}\n{adapter}");
        }
        assert!(!adapter.contains("envelope"), "{adapter}");
        assert!(operations.contains("deleteProduct(id: $id) {\n    id\n  }\n"), "{operations}");
    }

    #[test]
    fn documents_of_different_services_are_refused() {
        let error = generated(SHOP, "type Query { weather: String }").unwrap_err();
        assert!(error.contains("no route of openapi.yaml fits") && error.contains("hint: "), "{error}");
    }
}
