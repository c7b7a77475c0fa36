//! Reads places in requests, and texts with places.

use super::{checks, context::Context, paths};
use crate::{
    adapter::{Part, Source, Template},
    config::{
        adapter::graphql::{Content, Selected},
        reading::{Cursor, nearest},
    },
    request::token::is_token,
};

/// The parts of a request that have places.
const PARTS: [&str; 6] = ["path", "query", "header", "cookie", "body", "jwt"];

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

    /// Reads the place of a variable: one in the request or, inside `each`, the path to a part of an item.
    pub(crate) fn variable_source(&mut self, cursor: &Cursor<'_>, place: &str) -> Option<Source> {
        if !self.is_in_item {
            return self.source(cursor, place);
        }
        let (kind, name) = place.split_once('.').unwrap_or((place, ""));
        if PARTS.contains(&kind) && !name.is_empty() {
            let message = format!("{place} is a place in the request, and each reads the items of a list");
            let part = name.rsplit('.').next().unwrap_or(name);
            return cursor.refuse(message, format!("write the path inside the item, such as {part}"));
        }
        paths::names(cursor, place).map(Source::Body)
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
        let mut is_fit = self.check_places(cursor, template, value);
        for part in &template.0 {
            match part {
                Part::Text(_) | Part::Request(Source::Path(_)) => {}
                Part::Request(_) => nullable = true,
                Part::Value(path) => {
                    let found = match meant(value, path) {
                        Some(place) => {
                            let message = format!("{{{}}} is not a place", path.join("."));
                            cursor.refuse(message, format!("did you mean {place}?"))
                        }
                        None => self.scalar(cursor, value, path),
                    };
                    match found {
                        Some(may_be_null) => nullable |= may_be_null,
                        None => is_fit = false,
                    }
                }
            }
        }
        is_fit.then_some(nullable)
    }

    /// Reports places in the request that could as well be meant for a field of the value at hand, such
    /// as `{header.title}` where an object `header` is selected. Returns true if there are none.
    pub(crate) fn check_places(
        &self,
        cursor: &Cursor<'_>,
        template: &Template,
        value: Option<&Selected>,
    ) -> bool {
        // Stored texts may have places that were refused only later.
        let Some(value) = value.filter(|_| !cursor.is_stored()) else { return true };
        let mut is_unambiguous = true;
        for part in &template.0 {
            let Part::Request(source) = part else { continue };
            let place = source.to_string();
            let kind = place.split('.').next().unwrap_or_default();
            // A scalar has no fields that a place could name.
            let has_parts = |field: &Selected| matches!(field.content, Content::Object(_) | Content::List(_));
            if value.get(kind).is_some_and(has_parts) {
                let message = format!(
                    "{{{place}}} is read from the client's request, but {} selects {kind} of {} too",
                    self.operation, value.written
                );
                let hint = format!(
                    "give the field another name in the operation, such as its_{kind}: {kind} {{ ... }}; to read \
                     the field, write from: {kind}, and a text with the places below it"
                );
                cursor.report(message, hint);
                is_unambiguous = false;
            }
        }
        is_unambiguous
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
            let part = if place.contains('.') && PARTS.contains(&kind) {
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

/// Returns the place in a request that a path was probably meant to be. The value at hand has no part of
/// that name, nor one of a name like it.
fn meant(value: Option<&Selected>, path: &[String]) -> Option<String> {
    let (part, rest) = path.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let Content::Object(fields) = &value?.content else { return None };
    if nearest(part, fields.iter().map(|(name, _)| name.as_str())).is_some() {
        return None;
    }
    let near = nearest(part, PARTS.into_iter())?;
    Some(format!("{near}.{}", rest.join(".")))
}
