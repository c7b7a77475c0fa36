//! Places in requests, texts with places, and constants.

use super::Context;
use crate::{
    adapter::{DateForm, Literal, Part, Source, Template},
    config::{
        node::{Node, Value},
        reader::{Reader, nearest},
    },
    identity::is_token,
    json::Json,
};

impl Context<'_> {
    /// A place in a request, such as `path.id`.
    pub(in crate::config::adapter) fn source(
        &mut self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        text: &str,
    ) -> Option<Source> {
        let (kind, name) = text.split_once('.').unwrap_or((text, ""));
        let source = match kind {
            "path" if self.parameters.iter().any(|held| held == name) => Source::Path(name.to_owned()),
            "path" => {
                let hint = match nearest(name, self.parameters.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean path.{near}?"),
                    None => format!("write {{{name}}} in the path of the route"),
                };
                reader.report(node, path, format!("the path of the route has no parameter {name:?}"), hint);
                return None;
            }
            "query" if !name.is_empty() => Source::Query(name.to_owned()),
            "header" if is_token(name) => {
                self.reads.push(name.to_ascii_lowercase());
                Source::Header(name.to_ascii_lowercase())
            }
            "cookie" if is_token(name) => {
                self.reads.push("cookie".to_owned());
                Source::Cookie(name.to_owned())
            }
            "body" if name.is_empty() => Source::Body(Vec::new()),
            "body" => Source::Body(name.split('.').map(str::to_owned).collect()),
            "jwt" if !name.is_empty() => {
                self.claims.push(name.to_owned());
                Source::Jwt(name.to_owned())
            }
            _ => {
                let hint = "write path.NAME, query.NAME, header.NAME, cookie.NAME, body.FIELD or jwt.CLAIM";
                reader.report(node, path, format!("{text:?} is no place in a request"), hint);
                return None;
            }
        };
        Some(source)
    }

    /// A text with places such as `{path.id}`; other names are paths of the value at hand.
    pub(in crate::config::adapter) fn template(
        &mut self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
    ) -> Option<Template> {
        let text = reader.loose_text(node, path)?;
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, after)) = after.split_once('}') else {
                let hint = "close the place, as in /reviews/{id}";
                reader.report(node, path, format!("{text:?} has a {{ without its }}"), hint);
                return None;
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let kind = place.split('.').next().unwrap_or_default();
            if place.contains('.') && matches!(kind, "path" | "query" | "header" | "cookie" | "body" | "jwt")
            {
                parts.push(Part::Request(self.source(reader, node, path, place)?));
            } else {
                parts.push(Part::Value(place.split('.').map(str::to_owned).collect()));
            }
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Some(Template(parts))
    }
}

pub(super) fn date_form(reader: &mut Reader, node: &Node, path: &str) -> Option<DateForm> {
    let hint = "write rfc3339, epoch (seconds) or epoch_ms";
    match reader.text(node, path)?.as_str() {
        "rfc3339" => Some(DateForm::Rfc3339),
        "epoch" => Some(DateForm::Epoch),
        "epoch_ms" => Some(DateForm::EpochMs),
        other => {
            reader.report(node, path, format!("{other:?} is no form of a time"), hint);
            None
        }
    }
}

/// A key of a table of values: `true`, `false`, `null` and numbers mean what they say.
pub(super) fn scalar_key(key: &str) -> Json<'static> {
    match Json::parse(key) {
        Ok(value @ (Json::Null | Json::Bool(_) | Json::Number(_))) => value.into_owned(),
        _ => Json::text(key.to_owned()),
    }
}

/// A constant as it stands in a file.
pub(in crate::config) fn literal(node: &Node) -> Literal {
    Literal(json(node))
}

fn json(node: &Node) -> Json<'static> {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Number(number) => Json::Number(number.to_string().into()),
        Value::Text(text) => Json::text(text.clone()),
        Value::List(items) => Json::List(items.iter().map(json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone().into(), json(&entry.node))).collect())
        }
    }
}
