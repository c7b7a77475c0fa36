//! An object of the configuration as YAML in an editor.

use crate::{
    client::{Body, Client},
    confirm::Confirmation,
    etag,
    failure::Failure,
    flag::Draft,
    output::{self, Format},
};
use cutover_core::config::Node;
use reqwest::Method;
use serde_json::{Map, Value};

/// Field of computed divisions of buckets, which nobody edits: the server follows those that are in force.
const SLICES: &str = "slices";

/// Field of the weights that the slices are computed from.
const WEIGHTS: &str = "weights";

/// An object that is edited.
#[derive(Debug, Clone, Copy)]
pub struct Edit<'e> {
    /// Kind of the object, such as `segment`.
    pub kind: &'static str,
    /// Name of the object.
    pub name: &'e str,
    /// Path of the object.
    pub path: &'e str,
    /// Fields that are edited, in their order in the text.
    pub fields: &'static [&'static str],
    /// Users whom a change may concern, as the second half of a sentence.
    pub concerned: &'static str,
    /// Command that opens the object again.
    pub command: &'static str,
    /// Prints the response to the change.
    pub shown: fn(&Value, Format),
}

impl Edit<'_> {
    /// Opens the object in the editor, and replaces it if it is still the one that was opened. Shows and returns the response.
    ///
    /// # Errors
    ///
    /// Fails if the text is not edited or is no YAML, if the change is not confirmed, if another caller changes the object
    /// meanwhile, or if the management API refuses the change or cannot be reached. The text is kept then.
    pub fn run(&self, confirmation: Confirmation, client: &Client, format: Format) -> Result<Value, Failure> {
        let before = client.get(self.path)?;
        let draft = Draft::new(self.text(&before)?)?;
        let edited = draft.edited()?;
        let changed = self.parse(&edited).and_then(|object| {
            let change = format!("change the {} {}", self.kind, self.name);
            confirmation.confirm(client.environment(), &change, self.concerned)?;
            self.replace(&before, &object, client)
        });
        let response =
            changed.inspect_err(|_| eprintln!("your text is kept in {}", draft.keep().display()))?;
        (self.shown)(&response, format);
        Ok(response)
    }

    /// Returns the object as the text to edit.
    fn text(&self, object: &Value) -> Result<String, Failure> {
        let Self { kind, name, .. } = self;
        let is_default = |field: &str, value: &Value| value.is_null() || field == "salt" && value == name;
        let fields: Map<String, Value> = self
            .fields
            .iter()
            .filter_map(|field| Some(((*field).to_owned(), without_slices(object.get(field)?))))
            .filter(|(field, value)| !is_default(field, value))
            .collect();
        let yaml = serde_saphyr::to_string(&Value::Object(fields))
            .map_err(|error| Failure::Io(format!("{name} cannot be written as YAML: {error}")))?;
        let version = output::field(object, "version");
        Ok(format!(
            "# The {kind} {name} at version {version}. Save and close the file to change the {kind};\n\
             # leave the file as it is to change nothing.\n{yaml}"
        ))
    }

    /// Reads the edited text.
    fn parse(&self, text: &str) -> Result<Value, Failure> {
        let node = Node::from_yaml(text).map_err(|problem| Failure::File {
            name: format!("the {} {}", self.kind, self.name),
            problems: vec![problem],
        })?;
        Ok(node.to_json())
    }

    /// Replaces the object, on condition that it is as it was.
    fn replace(&self, before: &Value, object: &Value, client: &Client) -> Result<Value, Failure> {
        let tag = etag::as_read(before, "version");
        let body = Body { media_type: "application/json", content: object.to_string() };
        let replaced = client.on_condition("if-match", &tag).send(Method::PUT, self.path, Some(body));
        let hint = || format!("look at the {} again: {} {}", self.kind, self.command, self.name);
        replaced.map_err(|failure| failure.or_overtaken(hint))
    }
}

/// Returns a part of an object without the slices beside its weights.
fn without_slices(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_slices).collect(),
        // The values of a flag are the application's own.
        Value::Object(fields) if fields.contains_key("value") => value.clone(),
        // The keys of weights are those of variants, any of which may have the name of a field.
        Value::Object(fields) if fields.contains_key(WEIGHTS) => {
            let kept = fields.iter().filter(|(name, _)| *name != SLICES);
            Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), without_slices(value))).collect())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EDIT: Edit<'static> = Edit {
        kind: "flag",
        name: "f",
        path: "/value-flags/f",
        fields: &["type", "variants", "default", "rules", "salt"],
        concerned: "its users may get other values",
        command: "cutover value edit",
        shown: |_, _| {},
    };

    fn flag() -> Value {
        let slices = json!([{ "from": 0.0, "to": 100.0, "variant": "a" }]);
        json!({
            "name": "f", "type": "object", "variants": [{ "key": "a", "value": { "slices": [1] } }],
            "default": { "weights": { "a": 100.0 }, "slices": slices },
            "rules": [{ "segment": "s", "weights": { "a": 100.0 }, "slices": slices }],
            "salt": "f", "version": 7, "in_force": { "enabled": true },
        })
    }

    #[test]
    fn what_is_opened_is_read_back_without_what_is_computed() {
        let text = EDIT.text(&flag()).unwrap();
        assert!(text.starts_with("# The flag f at version 7."), "{text}");
        let expected = json!({
            "type": "object", "variants": [{ "key": "a", "value": { "slices": [1] } }],
            "default": { "weights": { "a": 100 } },
            "rules": [{ "segment": "s", "weights": { "a": 100 } }],
        });
        assert_eq!(EDIT.parse(&text).unwrap(), expected, "{text}");
    }

    #[test]
    fn variants_may_have_the_names_of_fields() {
        let weights = json!({ "slices": 60.0, "weights": 30.0, "value": 10.0 });
        let kept = json!({ "weights": weights });
        let shown =
            json!({ "weights": weights, "slices": [{ "from": 0.0, "to": 100.0, "variant": "slices" }] });
        let scheduled =
            |served: &Value| json!([{ "at": "2027-01-31T08:00:00Z", "set": { "default": served } }]);
        assert_eq!(without_slices(&shown), kept);
        assert_eq!(without_slices(&scheduled(&shown)), scheduled(&kept));
    }

    #[test]
    fn a_text_that_is_no_yaml_is_told_with_its_line() {
        let refused = EDIT.parse("type: string\nvariants: [\n").unwrap_err();
        assert_eq!(refused.json()["exit_code"], 3, "{refused}");
        assert!(refused.to_string().contains("the flag f:"), "{refused}");
    }

    #[test]
    fn an_object_is_replaced_as_it_was_read() {
        let (url, tags) = crate::fake_server::answering_tags(200, r#"{"name":"f","version":7,"revision":8}"#);
        let client = Client::new(&url, "t", None).unwrap();
        EDIT.replace(&flag(), &json!({}), &client).unwrap();
        assert_eq!(*tags.lock().unwrap(), ["\"7\""]);
    }
}
