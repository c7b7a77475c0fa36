//! Reads places in requests, and templates that refer to them.

use super::context::Context;
use crate::{
    adapter::{Part, Source, Template},
    config::reading::{Cursor, nearest},
    request::token::is_token,
};

impl Context<'_> {
    /// Reads a place in a request, such as `path.id`.
    pub(crate) fn source(&mut self, cursor: &Cursor<'_>, place: &str) -> Option<Source> {
        let (kind, name) = place.split_once('.').unwrap_or((place, ""));
        let source = match kind {
            "path" if self.parameters.iter().any(|parameter| parameter == name) => {
                Source::Path(name.to_owned())
            }
            "path" => {
                let hint = match nearest(name, self.parameters.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean path.{near}?"),
                    None => format!("write {{{name}}} in the path of the route"),
                };
                return cursor.refuse(format!("the path of the route has no parameter {name:?}"), hint);
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
                return cursor.refuse(format!("{place:?} is not a place in a request"), hint);
            }
        };
        Some(source)
    }

    /// Reads a string with placeholders. `{path.id}` is a place in the request; a name of any other
    /// form is a path in the value at hand.
    pub(crate) fn template(&mut self, cursor: &Cursor<'_>) -> Option<Template> {
        let text = cursor.loose_string()?;
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, after)) = after.split_once('}') else {
                let hint = "close the placeholder, as in /reviews/{id}";
                return cursor.refuse(format!("{text:?} has a {{ without its }}"), hint);
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let kind = place.split('.').next().unwrap_or_default();
            if place.contains('.') && matches!(kind, "path" | "query" | "header" | "cookie" | "body" | "jwt")
            {
                parts.push(Part::Request(self.source(cursor, place)?));
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
