//! The query or mutation that serves a route of the old interface.

use super::{
    graphql::NewSchema,
    inputs::{Input, inputs},
    old_schema::Form,
    openapi::{Content, OldRoute, Place},
    outputs::{Outputs, outputs},
    pagination::pages,
    path::{Nouns, nouns},
    slot::Planner,
    words::{key, similarity, singular_words},
    yaml::Line,
};
use apollo_compiler::ast::{FieldDefinition, InputValueDefinition};

/// Names below this score do not fit, on a scale from 0 to 1.
const MIN_NAME: f64 = 0.5;

/// Weight of the response beside the name.
const RESPONSE: f64 = 0.6;

/// Difference in score below which two candidates are alike.
const ALIKE: f64 = 0.1;

/// Words in the names of fields that say nothing about their results.
const FILLERS: [&str; 16] = [
    "get", "fetch", "find", "list", "all", "by", "id", "one", "single", "many", "the", "of", "for", "with",
    "query", "my",
];

const CREATE: &[&str] = &["create", "add", "new", "insert", "make", "post", "register", "send"];
const UPDATE: &[&str] =
    &["update", "replace", "edit", "set", "put", "patch", "change", "save", "upsert", "modify"];
const DELETE: &[&str] = &["delete", "remove", "destroy", "drop"];

/// A query or mutation with everything that an adapter needs of it.
#[derive(Debug)]
pub struct Chosen {
    /// The name of the field of the query or mutation type.
    pub field: String,
    /// True for a query.
    pub is_query: bool,
    /// The variables that the operation declares.
    pub declared: Vec<DeclaredVariable>,
    /// The variables as an adapter writes them, with their decisions.
    pub variables: Vec<Line>,
    /// The pagination as an adapter writes it; empty if there is none.
    pub pagination: Vec<Line>,
    /// The response.
    pub outputs: Outputs,
    /// The decisions about the route.
    pub notes: Vec<String>,
}

/// A variable of an operation.
#[derive(Debug)]
pub struct DeclaredVariable {
    /// The name, which is that of the argument.
    pub name: String,
    /// The type.
    pub ty: String,
}

/// Returns the query or mutation that fits a route best.
///
/// # Errors
///
/// Returns a sentence about the reason if none fits.
pub fn choose(schema: NewSchema<'_>, route: &OldRoute<'_>) -> Result<Chosen, String> {
    let is_query = route.method == "GET";
    let (nouns, inputs) = (nouns(&route.path), inputs(route));
    let mut found: Vec<(f64, Chosen)> = Vec::new();
    let mut nearest: Option<(f64, String)> = None;
    for field in schema.operations(is_query) {
        let name = name_score(route.method, &nouns, field.name.as_str());
        if name < MIN_NAME {
            continue;
        }
        match candidate(schema, route, field, &inputs) {
            Ok(chosen) => found.push((name + RESPONSE * chosen.outputs.fit, chosen)),
            Err(reason) if nearest.as_ref().is_none_or(|(held, _)| name > *held) => {
                nearest = Some((name, format!("{} fits by its name, but {reason}", field.name)));
            }
            Err(_) => {}
        }
    }
    // The sort is stable, so the first of the schema wins among equals.
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut found = found.into_iter();
    let Some((score, mut chosen)) = found.next() else {
        let kind = if is_query { "query" } else { "mutation" };
        return Err(nearest.map_or_else(|| format!("no {kind} has a similar name"), |(_, reason)| reason));
    };
    let others: Vec<String> =
        found.take_while(|(other, _)| score - other < ALIKE).map(|(_, other)| other.field).collect();
    if !others.is_empty() {
        chosen
            .notes
            .insert(0, format!("{} was taken, but {} would fit too", chosen.field, others.join(", ")));
    }
    Ok(chosen)
}

/// Returns how well the name of a field fits, from 0 to 1.
fn name_score(method: &str, nouns: &Nouns, field: &str) -> f64 {
    let Nouns { noun, owners } = nouns;
    let verbs: &[&str] = match method {
        "POST" => CREATE,
        "PUT" | "PATCH" => UPDATE,
        "DELETE" => DELETE,
        _ => &[],
    };
    let words = singular_words(field);
    let all = [noun.as_slice(), owners.as_slice()].concat();
    if noun.is_empty() {
        return 0.0;
    }
    if method != "GET" {
        // The last segment may be the verb itself, as in /orders/{id}/cancel.
        if !owners.is_empty() && have_same_words(&words, &all) {
            return 0.95;
        }
        if !words.iter().any(|word| verbs.contains(&word.as_str())) {
            return 0.0;
        }
    }
    let says_something = |word: &&String| {
        let word = word.as_str();
        let is_filler = FILLERS.contains(&word) || verbs.contains(&word);
        !is_filler || noun.iter().any(|noun| noun == word)
    };
    let rest: Vec<String> = words.iter().filter(says_something).cloned().collect();
    if rest == *noun {
        1.0
    } else if have_same_words(&rest, &all) {
        0.95
    } else if noun.iter().all(|word| rest.contains(word)) {
        0.8 - 0.1 * rest.len().saturating_sub(noun.len()) as f64
    } else if similarity(&rest.join("_"), &noun.join("_")).is_some() {
        0.55
    } else {
        0.0
    }
}

fn have_same_words(a: &[String], b: &[String]) -> bool {
    let sorted = |words: &[String]| {
        let mut words = words.to_vec();
        words.sort();
        words
    };
    sorted(a) == sorted(b)
}

fn candidate(
    schema: NewSchema<'_>,
    route: &OldRoute<'_>,
    field: &FieldDefinition,
    inputs: &[Input<'_>],
) -> Result<Chosen, String> {
    let field_words = singular_words(field.name.as_str());
    let planner = Planner { schema, inputs, field_words: &field_words };
    let pages = pages(route, field, inputs);
    let mut used: Vec<usize> = pages.iter().flat_map(|pages| pages.used.clone()).collect();
    let siblings: Vec<String> = field.arguments.iter().map(|argument| key(argument.name.as_str())).collect();
    let (mut declared, mut variables) = (Vec::new(), Vec::new());
    for argument in &field.arguments {
        let name = argument.name.as_str();
        let is_of_page = |pages: &super::pagination::Pages| pages.arguments.iter().any(|held| held == name);
        if pages.as_ref().is_some_and(is_of_page) {
            declared.push(declaration(argument));
            continue;
        }
        match planner.slot(argument, &siblings, 0)? {
            Some(slot) => {
                declared.push(declaration(argument));
                variables.extend(slot.notes.iter().map(Line::decide));
                variables.push(Line::field(name, slot.value));
                used.extend(slot.used);
            }
            None if argument.is_required() => {
                return Err(format!("the old request has nothing for its argument {name}: {}", argument.ty));
            }
            None => {}
        }
    }
    let mut notes = Vec::new();
    for (_, input) in inputs.iter().enumerate().filter(|(index, _)| !used.contains(index)) {
        notes.push(unused(input, field)?);
    }
    match route.body {
        Content::Other => notes.push("the old body is not JSON, and is not read".to_owned()),
        Content::Json(body) if !matches!(body.form(), Form::Object(_)) => {
            notes.push(format!("the old body is {}, and is not read", body.written()));
        }
        Content::Json(_) | Content::Nothing => {}
    }
    let outputs = outputs(schema, field, route.response)?;
    Ok(Chosen {
        field: field.name.to_string(),
        is_query: route.method == "GET",
        declared,
        variables,
        pagination: pages.map(|pages| pages.lines).unwrap_or_default(),
        outputs,
        notes,
    })
}

/// Returns the decision about an input that no argument takes.
///
/// # Errors
///
/// Fails for a parameter of the path, without which the response would be another one.
fn unused(input: &Input<'_>, field: &FieldDefinition) -> Result<String, String> {
    let (place, name) = (&input.place, &field.name);
    match input.parameter {
        Some(Place::Path) => Err(format!("{place} has no argument there")),
        Some(Place::Header | Place::Cookie) => {
            Ok(format!("{place} has no argument in {name}; add the header to forward_headers if it is read"))
        }
        Some(Place::Query) | None => Ok(format!("{place} has no argument in {name}, and is ignored")),
    }
}

/// Declares the variable for an argument. With a default of the schema it may be absent.
fn declaration(argument: &InputValueDefinition) -> DeclaredVariable {
    let ty = (*argument.ty).clone();
    let ty = if argument.default_value.is_some() { ty.nullable() } else { ty };
    DeclaredVariable { name: argument.name.to_string(), ty: ty.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::init::{openapi::Document, yaml};
    use apollo_compiler::Schema as Parsed;
    use serde_json::{Value, json};

    #[test]
    fn names_are_scored_by_their_words() {
        let cases = [
            ("GET", "/reviews/{id}", "review", 1.0),
            ("GET", "/reviews/{id}", "getReviewById", 1.0),
            ("GET", "/reviews", "allReviews", 1.0),
            ("GET", "/users/{id}/reviews", "userReviews", 0.95),
            ("GET", "/reviews", "latestReviews", 0.7),
            ("GET", "/reviews", "users", 0.0),
            ("POST", "/reviews", "createReview", 1.0),
            ("POST", "/reviews", "updateReview", 0.0),
            ("POST", "/orders/{id}/cancel", "cancelOrder", 0.95),
            ("PATCH", "/order-items/{id}", "updateOrderItem", 1.0),
            ("DELETE", "/reviews/{id}", "removeReview", 1.0),
            ("GET", "/{id}", "node", 0.0),
        ];
        for (method, path, field, expected) in cases {
            let score = name_score(method, &nouns(path), field);
            assert!((score - expected).abs() < 1e-9, "{method} {path} {field}: {score}");
        }
    }

    const NEW: &str = "\
type Query {
  review(id: ID!): Review
  reviews(offerId: ID, sort: Sort, offset: Int! = 0, limit: Int! = 20): [Review!]!
  item(id: ID!): Item
  items(first: Int!, key: String!): [Item!]!
}
type Mutation {
  createReview(input: NewReview!): Payload!
  updateReview(id: ID!, rating: Int!, note: String): Review!
  cancelOrder(id: ID!): Boolean!
  createBasket(input: NewBasket!): Payload!
}
input NewBasket { owner: ID! lines: [NewLine!]! }
input NewLine { productId: ID! quantity: Int! sort: Sort options: [NewOption!] }
input NewOption { key: String! }
type Review { id: ID! rating: Int! }
type Item { id: ID! }
type Payload { review: Review! }
input NewReview { offerId: ID! rating: Int! text: String }
enum Sort { NEWEST OLDEST }
";

    /// Chooses for one route of a document. Returns the choice with its variables as YAML.
    fn chosen(method: &str, path: &str, operation: &Value) -> Result<(Chosen, String), String> {
        let method = method.to_ascii_lowercase();
        let document = json!({ "openapi": "3.0.0", "paths": { path: { method: operation } } });
        let routes = Document::new(&document).unwrap().routes();
        let parsed = Parsed::parse_and_validate(NEW, "schema.graphql").unwrap();
        let chosen = choose(NewSchema::new(&parsed), &routes[0])?;
        let variables = yaml::document(&chosen.variables);
        Ok((chosen, variables))
    }

    fn parameter(place: &str, name: &str, schema: Value) -> Value {
        json!({ "in": place, "name": name, "schema": schema })
    }

    fn response(schema: Value) -> Value {
        json!({ "200": { "content": { "application/json": { "schema": schema } } } })
    }

    fn review() -> Value {
        json!({ "properties": { "id": { "type": "integer" }, "rating": { "type": "integer" } } })
    }

    #[test]
    fn a_path_parameter_becomes_an_argument() {
        let id = parameter("path", "id", json!({ "type": "integer" }));
        let operation = json!({ "parameters": [id], "responses": response(review()) });
        let (chosen, variables) = chosen("GET", "/reviews/{id}", &operation).unwrap();
        assert_eq!((chosen.field.as_str(), chosen.is_query), ("review", true));
        assert_eq!(variables, "id: { from: path.id, integer: true }\n");
        assert_eq!((chosen.declared[0].name.as_str(), chosen.declared[0].ty.as_str()), ("id", "ID!"));
    }

    #[test]
    fn pages_and_query_parameters_become_arguments() {
        let integer = |limits: Value| {
            let mut schema = json!({ "type": "integer" });
            schema.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
            schema
        };
        let operation = json!({ "parameters": [
            parameter("path", "id", integer(json!({}))),
            parameter("query", "page", integer(json!({ "default": 1, "minimum": 1 }))),
            parameter("query", "limit", integer(json!({ "default": 20, "maximum": 100 }))),
            parameter("query", "sort", json!({ "type": "string", "enum": ["newest", "oldest"] })),
            parameter("query", "fields", json!({ "type": "string" })),
        ], "responses": response(json!({ "type": "array", "items": review() })) });
        let (chosen, variables) = chosen("GET", "/offers/{id}/reviews", &operation).unwrap();
        assert_eq!(chosen.field, "reviews");
        assert_eq!(
            variables,
            "offerId: { from: path.id, integer: true }\nsort: { from: query.sort, map: { newest: NEWEST, oldest: OLDEST } }\n"
        );
        assert_eq!(
            yaml::document(&chosen.pagination),
            "page: { from: query.page, default: 1, min: 1 }\n\
             # DECIDE: a limit that is too large is answered 400; with clamp: true it is lowered\n\
             limit: { from: query.limit, default: 20, max: 100 }\n\
             offset: { skip: offset, take: limit }\n"
        );
        let types: Vec<_> = chosen.declared.iter().map(|declared| declared.ty.as_str()).collect();
        assert_eq!(types, ["ID", "Sort", "Int", "Int"]);
        assert_eq!(chosen.notes, ["query.fields has no argument in reviews, and is ignored"]);
    }

    #[test]
    fn a_body_fills_arguments_and_input_objects() {
        let body = |properties: Value| {
            json!({ "content": { "application/json": { "schema": {
            "required": ["rating"], "properties": properties } } } })
        };
        let fields = json!({
            "offer_id": { "type": "integer" },
            "rating": { "type": "integer", "minimum": 1, "maximum": 5 },
            "text": { "type": "string" },
        });
        let operation = json!({ "requestBody": body(fields), "responses": response(review()) });
        let (created, variables) = chosen("POST", "/reviews", &operation).unwrap();
        assert_eq!(
            (created.field.as_str(), created.outputs.root.join(".").as_str()),
            ("createReview", "createReview.review")
        );
        assert_eq!(
            variables,
            "input:\n  fields:\n    # DECIDE: body.offer_id was optional, but offerId is not: give a default, or requests without it are\n    \
             # answered 400\n    offerId: { from: body.offer_id, integer: true }\n    \
             rating: { from: body.rating, min: 1, max: 5 }\n    text: body.text\n"
        );
        // Without a source for a required field, the mutation does not fit.
        let operation = json!({ "requestBody": body(json!({ "rating": { "type": "integer" } })) });
        let error = chosen("POST", "/reviews", &operation).unwrap_err();
        assert!(error.contains("createReview fits by its name, but the field offerId"), "{error}");

        let id = parameter("path", "id", json!({ "type": "string" }));
        let fields = json!({ "rating": { "type": "string" }, "notes": { "type": "string" } });
        let operation =
            json!({ "parameters": [id], "requestBody": body(fields), "responses": response(review()) });
        let (updated, variables) = chosen("PUT", "/reviews/{id}", &operation).unwrap();
        assert_eq!(updated.field, "updateReview");
        assert!(variables.starts_with("id: path.id\n"), "{variables}");
        assert!(variables.contains("body.rating is a string, and rating is Int!"), "{variables}");
        assert!(variables.contains("body.notes was taken for note, by a similar name"), "{variables}");
    }

    #[test]
    fn a_list_of_objects_in_the_body_fills_a_list_of_input_objects() {
        let list = |properties: Value| {
            let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
            json!({ "type": "array", "items": { "required": required, "properties": properties } })
        };
        let lines = |item: Value| {
            let body = json!({ "required": ["owner", "lines"],
                "properties": { "owner": { "type": "string" }, "lines": list(item) } });
            let body = json!({ "content": { "application/json": { "schema": body } } });
            json!({ "requestBody": body, "responses": response(review()) })
        };
        let operation = lines(json!({
            "product_id": { "type": "integer" },
            "quantity": { "type": "integer", "minimum": 1 },
            "sort": { "type": "string", "enum": ["newest", "oldest"] },
            "options": list(json!({ "key": { "type": "string" } })),
        }));
        let (created, variables) = chosen("POST", "/baskets", &operation).unwrap();
        assert_eq!(created.field, "createBasket");
        let expected = "\
input:
  fields:
    owner: body.owner
    lines:
      from: body.lines
      each:
        fields:
          productId: { from: product_id, integer: true }
          quantity: { from: quantity, min: 1 }
          sort:
            from: sort
            map: { newest: NEWEST, oldest: OLDEST }
            required: true
          options:
            from: options
            required: true
            each: { fields: { key: key } }
";
        let read = |text: &str| cutover_core::config::Node::from_yaml(text).unwrap().to_json();
        assert_eq!(read(&variables), read(expected), "{variables}");
        // An item without a field that the new one needs has no counterpart.
        let operation = lines(json!({ "quantity": { "type": "integer" } }));
        let error = chosen("POST", "/baskets", &operation).unwrap_err();
        assert!(error.contains("the field productId of the input has no counterpart"), "{error}");
    }

    #[test]
    fn routes_without_a_counterpart_say_why() {
        let id = || parameter("path", "id", json!({ "type": "string" }));
        let of_user = json!({ "parameters": [id()], "responses": response(json!({ "type": "array", "items": review() })) });
        let error = chosen("GET", "/users/{id}/reviews", &of_user).unwrap_err();
        assert!(error.starts_with("review fits by its name, but "), "{error}");
        let error = chosen("GET", "/invoices", &json!({ "responses": {} })).unwrap_err();
        assert_eq!(error, "no query has a similar name");
        let items = json!({ "responses": response(json!({ "type": "array", "items": {} })) });
        let error = chosen("GET", "/items", &items).unwrap_err();
        assert!(error.contains("has nothing for its argument id: ID!"), "{error}");
        let cancel = json!({ "parameters": [id()], "responses": { "204": {} } });
        let (cancel, _) = chosen("POST", "/orders/{id}/cancel", &cancel).unwrap();
        assert_eq!(cancel.field, "cancelOrder");
    }
}
