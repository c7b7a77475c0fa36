//! Reads places in requests, and texts with places.

use super::{checks, context::Context, paths};
use crate::{
    adapter::{Part, Source, Template},
    config::{
        adapter::graphql::Selected,
        reading::{Cursor, nearest},
    },
    request::token::is_token,
};

/// A text with places, as it was read.
pub(super) struct Text {
    pub(super) template: Template,
    /// True if a place may be null or absent.
    pub(super) nullable: bool,
}

/// A string with places, without those that have a mistake.
struct ReadTemplate {
    template: Template,
    is_fit: bool,
}

impl Context<'_> {
    /// Reads a place in a request, such as `path.id`.
    pub(crate) fn source(&mut self, cursor: &Cursor<'_>, place: &str) -> Option<Source> {
        let (kind, name) = place.split_once('.').unwrap_or((place, ""));
        let source = match kind {
            "path" if !name.is_empty() && self.has_parameter(name) => Source::Path(name.to_owned()),
            "path" if !name.is_empty() => {
                let hint = match nearest(name, self.parameters.iter().flatten().map(String::as_str)) {
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

    /// Returns true if the path of the route has this parameter, or is unknown.
    fn has_parameter(&self, name: &str) -> bool {
        self.parameters.as_ref().is_none_or(|parameters| parameters.iter().any(|held| held == name))
    }

    /// Reads the text of an error message, whose places are those of the error and of the request.
    pub(crate) fn message(&mut self, cursor: &Cursor<'_>) -> Option<Template> {
        self.template_of(cursor, Some(&checks::error()))
    }

    /// Reads a text with places, and checks those in the value at hand.
    pub(super) fn text(&mut self, cursor: &Cursor<'_>, value: Option<&Selected>) -> Option<Text> {
        let ReadTemplate { template, is_fit } = self.read_template(cursor)?;
        let nullable = self.is_nullable(cursor, &template, value)?;
        is_fit.then_some(Text { template, nullable })
    }

    /// Reads a string with places that are filled in from the value, also if they are null or absent.
    pub(crate) fn template_of(&mut self, cursor: &Cursor<'_>, value: Option<&Selected>) -> Option<Template> {
        let ReadTemplate { template, is_fit } = self.read_template(cursor)?;
        // The places of stored templates were not checked.
        if !cursor.is_stored() {
            self.is_nullable(cursor, &template, value)?;
        }
        is_fit.then_some(template)
    }

    /// Returns true if a place of a template may be null or absent. Returns `None` if a place in the value has a
    /// mistake, which is reported.
    fn is_nullable(
        &self,
        cursor: &Cursor<'_>,
        template: &Template,
        value: Option<&Selected>,
    ) -> Option<bool> {
        let mut nullable = false;
        let mut is_fit = true;
        for part in &template.0 {
            match part {
                Part::Text(_) | Part::Request(Source::Path(_)) => {}
                Part::Request(_) => nullable = true,
                Part::Value(path) => match self.scalar(cursor, value, path) {
                    Some(may_be_null) => nullable |= may_be_null,
                    None => is_fit = false,
                },
            }
        }
        is_fit.then_some(nullable)
    }

    /// Reads a string with places in braces. `{path.id}` is a place in the request; a name of any other
    /// form is a path in the value at hand.
    pub(crate) fn template(&mut self, cursor: &Cursor<'_>) -> Option<Template> {
        let ReadTemplate { template, is_fit } = self.read_template(cursor)?;
        is_fit.then_some(template)
    }

    fn read_template(&mut self, cursor: &Cursor<'_>) -> Option<ReadTemplate> {
        let text = cursor.loose_string()?;
        let mut parts = Vec::new();
        let mut is_fit = true;
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, after)) = after.split_once('}') else {
                let hint = "close the place, as in /reviews/{id}";
                return cursor.refuse(format!("{text:?} has a {{ without its }}"), hint);
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let kind = place.split('.').next().unwrap_or_default();
            let is_request = matches!(kind, "path" | "query" | "header" | "cookie" | "body" | "jwt");
            let part = if is_request && place.contains('.') {
                self.source(cursor, place).map(Part::Request)
            } else {
                paths::names(cursor, place).map(Part::Value)
            };
            is_fit &= part.is_some();
            parts.extend(part);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Some(ReadTemplate { template: Template(parts), is_fit })
    }
}
