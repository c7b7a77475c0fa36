//! The values of an old request, and the names by which the new interface may know them.

use super::{
    old_schema::{Form, Property, Schema},
    openapi::{Content, OldRoute, Place},
    path::{Resource, resource},
    words::key,
};

/// Names of path parameters that say nothing without the resource that they identify.
const GENERIC: [&str; 8] = ["id", "ids", "uuid", "key", "slug", "name", "code", "number"];

/// A value of the old request.
#[derive(Debug, Clone)]
pub struct Input<'d> {
    /// The name in the old interface.
    pub name: String,
    /// The place in the request, such as `path.id`.
    pub place: String,
    /// The place of a parameter; `None` for a field of the body.
    pub parameter: Option<Place>,
    /// The schema of the value.
    pub schema: Schema<'d>,
    /// True if requests must have it.
    pub is_required: bool,
    /// True if a list is one string with commas.
    pub is_joined: bool,
    /// The names that it may have, as keys.
    keys: Vec<String>,
    /// The names that it may also have where its resource is known from elsewhere, as keys.
    short_keys: Vec<String>,
    resource: Option<Resource>,
}

impl Input<'_> {
    /// Returns true if an argument with this key is the input by its name. `field` has the words of the
    /// query or mutation in the singular.
    pub fn is_named(&self, argument: &str, field: &[String]) -> bool {
        let is_known =
            |resource: &Resource| resource.is_last || resource.words.iter().all(|word| field.contains(word));
        let has = |keys: &[String]| keys.iter().any(|key| key == argument);
        has(&self.keys) || (has(&self.short_keys) && self.resource.as_ref().is_none_or(is_known))
    }

    /// Returns true for a parameter of the path.
    pub fn is_path(&self) -> bool {
        self.parameter == Some(Place::Path)
    }
}

/// Returns the inputs of a route: its parameters, and the fields of its body.
pub fn inputs<'d>(route: &OldRoute<'d>) -> Vec<Input<'d>> {
    let mut inputs = Vec::new();
    for parameter in &route.parameters {
        let mut input = Input {
            name: parameter.name.to_owned(),
            place: format!("{}.{}", parameter.place.as_str(), parameter.name),
            parameter: Some(parameter.place),
            schema: parameter.schema,
            is_required: parameter.is_required,
            is_joined: parameter.is_joined,
            keys: Vec::new(),
            short_keys: Vec::new(),
            resource: None,
        };
        let own = key(parameter.name);
        if parameter.place == Place::Path {
            let resource = resource(&route.path, parameter.name);
            let prefix = resource.words.join("_");
            if GENERIC.contains(&own.as_str()) {
                input.keys.push(format!("{prefix}_{own}"));
                input.short_keys.push(own);
            } else if own == prefix {
                input.keys.push(format!("{prefix}_id"));
                input.short_keys.extend([own, "id".to_owned()]);
            } else {
                let short = own.strip_prefix(&format!("{prefix}_")).map(str::to_owned);
                input.short_keys.extend(short);
                input.keys.push(own);
            }
            input.resource = Some(resource);
        } else {
            input.keys.push(own);
        }
        inputs.push(input);
    }
    if let Content::Json(schema) = route.body
        && let Form::Object(properties) = schema.form()
    {
        inputs.extend(fields("body", &properties));
    }
    inputs
}

/// Parts of a request. Inside an item of a list, a path does not begin with one.
const PARTS: [&str; 6] = ["path", "query", "header", "cookie", "body", "jwt"];

/// Returns the properties of an object in the body as inputs, or those of an item of a list if the place of the
/// object is empty. A name with a dot cannot be a part of a place.
pub fn fields<'d>(place: &str, properties: &[Property<'d>]) -> Vec<Input<'d>> {
    let input = |property: &Property<'d>| Input {
        name: property.name.to_owned(),
        place: if place.is_empty() { property.name.to_owned() } else { format!("{place}.{}", property.name) },
        parameter: None,
        schema: property.schema,
        is_required: property.is_required,
        is_joined: false,
        keys: vec![key(property.name)],
        short_keys: Vec::new(),
        resource: None,
    };
    let is_place = |property: &&Property<'d>| {
        let is_ambiguous = place.is_empty() && PARTS.contains(&property.name);
        !(property.name.contains('.') || is_ambiguous && matches!(property.schema.form(), Form::Object(_)))
    };
    properties.iter().filter(is_place).map(input).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::init::openapi::Document;
    use serde_json::json;

    #[test]
    fn path_parameters_are_known_by_their_resource() {
        let parameter = |name: &str| json!({ "name": name, "in": "path", "schema": { "type": "string" } });
        let document = json!({ "openapi": "3.0.0", "paths": {
            "/users/{id}/reviews/{review_id}": {
                "get": { "parameters": [parameter("id"), parameter("review_id")] },
            },
            "/users/{user}/pages/{no}": { "get": { "parameters": [parameter("user"), parameter("no")] } },
        } });
        let routes = Document::new(&document).unwrap().routes();
        let [id, review_id] = &inputs(&routes[0])[..] else { panic!() };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(id.is_named("user_id", &words("review")));
        // The plain id is that of the last segment, or of the resource that the field names.
        assert!(!id.is_named("id", &words("review")) && id.is_named("id", &words("user review")));
        assert!(review_id.is_named("id", &words("review")) && review_id.is_named("review_id", &[]));
        let [user, no] = &inputs(&routes[1])[..] else { panic!() };
        assert!(user.is_named("user_id", &[]) && user.is_named("user", &words("user page")));
        assert!(no.is_named("no", &[]) && !no.is_named("page_no", &[]));
    }

    #[test]
    fn fields_of_the_body_are_inputs() {
        let document = json!({ "openapi": "3.0.0", "paths": { "/a": { "post": { "requestBody": { "content": {
            "application/json": { "schema": {
                "required": ["offerId"],
                "properties": { "offerId": { "type": "integer" }, "a.b": { "type": "string" } },
            } },
        } } } } } });
        let routes = Document::new(&document).unwrap().routes();
        let [offer] = &inputs(&routes[0])[..] else { panic!() };
        assert_eq!((offer.place.as_str(), offer.is_required, offer.is_path()), ("body.offerId", true, false));
        assert!(offer.is_named("offer_id", &[]));
    }
}
