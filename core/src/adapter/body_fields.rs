//! The fields of a client's body that a route reads: an exchange takes these out of the body, and
//! drops the rest.

use crate::{
    adapter::{
        fault::{Fault, WhenNull},
        program::{AdaptedRoute, Backend, Errors, Program, Style},
        request::Source,
        shape::step::{Field, Shape, Step},
        template::{Part, Template},
        variable::{Kind, Variable},
    },
    json::{Value, value::Json},
};

/// Paths of fields in a body, none of them inside another. The empty path is the whole body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BodyFields(Vec<Vec<String>>);

impl BodyFields {
    /// Returns the fields that a route reads until its first request to the backend. `shapes` are the
    /// named ones of its program.
    pub(crate) fn of_question(route: &AdaptedRoute, shapes: &[Shape]) -> Self {
        let mut paths = Paths::new(shapes);
        route.variables.iter().for_each(|variable| paths.variable(variable));
        if let Some(pagination) = &route.pagination {
            [&pagination.page, &pagination.limit].into_iter().for_each(|number| paths.variable(number));
        }
        paths.backend(&route.backend);
        paths.finish()
    }

    /// Returns the fields that a route reads after its first request to the backend.
    pub(crate) fn of_answer(route: &AdaptedRoute, program: &Program) -> Self {
        let mut paths = Paths::new(&program.shapes);
        paths.answer(route);
        paths.errors(&program.errors);
        program.headers.iter().for_each(|(_, template)| paths.template(template));
        // A walk over pages builds each of its requests anew.
        if route.pagination.as_ref().is_some_and(|held| matches!(held.style, Style::Cursor(..))) {
            paths.backend(&route.backend);
        }
        paths.finish()
    }

    /// Returns true if the route itself reads the body. The errors and headers of the program do not
    /// count: they can only mention a body that was read for something else.
    #[cfg(feature = "config")]
    pub(crate) fn are_read_by(route: &AdaptedRoute, shapes: &[Shape]) -> bool {
        let mut answer = Paths::new(shapes);
        answer.answer(route);
        !(Self::of_question(route, shapes).0.is_empty() && answer.found.is_empty())
    }

    /// Returns these fields together with others.
    pub(crate) fn with(&self, others: &Self) -> Self {
        Paths { found: [&self.0[..], &others.0[..]].concat(), unread: Vec::new() }.finish()
    }

    /// Copies the fields out of a body, in objects as they are there.
    pub(crate) fn pick(&self, body: Value<'_>) -> Json<'static> {
        let mut picked = Json::Null;
        for path in &self.0 {
            if let Some(value) = body.at_path(path) {
                put(&mut picked, path, value.json().into_owned());
            }
        }
        picked
    }
}

/// Puts a value at a path of fields. The recursion is as deep as the path, which the configuration
/// limits.
fn put(target: &mut Json<'static>, path: &[String], value: Json<'static>) {
    let Some((name, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    if target.is_null() {
        *target = Json::Object(Vec::new());
    }
    let Json::Object(fields) = target else { return };
    if let Some((_, field)) = fields.iter_mut().find(|(held, _)| *held == *name) {
        return put(field, rest, value);
    }
    let mut field = Json::Null;
    put(&mut field, rest, value);
    fields.push((name.clone().into(), field));
}

/// Collects the paths that the parts of a route read.
struct Paths<'p> {
    found: Vec<Vec<String>>,
    /// The named shapes that have not been read yet.
    unread: Vec<Option<&'p Shape>>,
}

impl<'p> Paths<'p> {
    fn new(shapes: &'p [Shape]) -> Self {
        Self { found: Vec::new(), unread: shapes.iter().map(Some).collect() }
    }

    /// Drops repeated paths and those inside another one.
    fn finish(self) -> BodyFields {
        let mut paths = self.found;
        // A path comes right before those inside it.
        paths.sort();
        paths.dedup_by(|later, held| later.starts_with(held));
        BodyFields(paths)
    }

    fn source(&mut self, source: &Source) {
        if let Source::Body(path) = source {
            self.found.push(path.clone());
        }
    }

    fn template(&mut self, template: &Template) {
        for part in &template.0 {
            if let Part::Request(source) = part {
                self.source(source);
            }
        }
    }

    fn fault(&mut self, fault: &Fault) {
        self.template(&fault.message);
    }

    fn shape(&mut self, shape: &Shape) {
        for step in &shape.0 {
            match step {
                Step::Request(source) => self.source(source),
                Step::Object(fields) | Step::Add(fields) => {
                    fields.iter().for_each(|Field(_, shape)| self.shape(shape));
                }
                Step::Each(shape) => self.shape(shape),
                Step::Coalesce(shapes) => shapes.iter().for_each(|shape| self.shape(shape)),
                Step::Text(template) | Step::Url(template) => self.template(template),
                Step::PageUrl(url) => self.template(&url.base),
                Step::Shape(index) => self.named(*index),
                _ => {}
            }
        }
    }

    /// Reads a named shape, once for all its uses.
    fn named(&mut self, index: u32) {
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(shape) = self.unread.get_mut(position).and_then(Option::take) {
            self.shape(shape);
        }
    }

    fn variable(&mut self, variable: &Variable) {
        variable.invalid.iter().for_each(|fault| self.fault(fault));
        if let Kind::Each(item) = &variable.kind {
            self.item(item);
        }
        match (&variable.from, &variable.kind) {
            (Some(source), _) => self.source(source),
            // Without a place of its own, the object has the places of its fields.
            (None, Kind::Object(fields)) => fields.iter().for_each(|field| self.variable(field)),
            (None, _) => {}
        }
    }

    /// Reads the variable of an item of a list. Its places are in the list, which is read as a whole, but
    /// its messages have places in the request.
    fn item(&mut self, item: &Variable) {
        item.invalid.iter().for_each(|fault| self.fault(fault));
        match &item.kind {
            Kind::Object(fields) => fields.iter().for_each(|field| self.item(field)),
            Kind::Each(item) => self.item(item),
            _ => {}
        }
    }

    fn backend(&mut self, backend: &Backend) {
        let Backend::Rest(_, target, body) = backend else { return };
        self.template(target);
        if body.is_some() {
            // The shape of the body is applied to the client's.
            self.found.push(Vec::new());
        }
    }

    fn answer(&mut self, route: &AdaptedRoute) {
        route.when_null.iter().flat_map(WhenNull::faults).for_each(|fault| self.fault(fault));
        route.response.iter().for_each(|shape| self.shape(shape));
        route.headers.iter().for_each(|(_, template)| self.template(template));
    }

    fn errors(&mut self, errors: &Errors) {
        self.shape(&errors.envelope);
        errors.headers.iter().for_each(|(_, template)| self.template(template));
        errors.read.iter().for_each(|shape| self.shape(shape));
        errors.paths.iter().for_each(|(_, fault)| self.fault(fault));
        errors.codes.iter().for_each(|(_, fault)| self.fault(fault));
        errors.statuses.iter().for_each(|(_, fault)| self.fault(fault));
        let Errors { otherwise, invalid, too_large, unauthenticated, unreachable, timeout, unfit, .. } =
            errors;
        for fault in [otherwise, invalid, too_large, unauthenticated, unreachable, timeout, unfit] {
            self.fault(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn path(text: &str) -> Vec<String> {
        text.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn fields_are_picked_once_and_in_their_objects() {
        let body = r#"{"a":{"b":1,"c":[2],"d":3},"e":{"f":4},"ab":5,"z":6}"#;
        let cases = [
            (vec!["a.b"], r#"{"a":{"b":1}}"#),
            (vec!["a.c", "ab", "a.b", "a.b"], r#"{"a":{"b":1,"c":[2]},"ab":5}"#),
            // A field inside another one is there already.
            (vec!["e.f", "e"], r#"{"e":{"f":4}}"#),
            // An item of a list is picked as a field, and found again at the same path.
            (vec!["a.c.0", "a.c.1"], r#"{"a":{"c":{"0":2}}}"#),
            (vec!["a.b", ""], body),
            (vec!["x", "a.x", "ab.x"], "null"),
            (vec![], "null"),
        ];
        let tape = Tape::read(body).unwrap();
        for (paths, expected) in cases {
            let found = paths.iter().map(|text| path(text)).collect();
            let fields = Paths { found, unread: Vec::new() }.finish();
            assert_eq!(fields.pick(tape.root()).to_string(), expected, "{paths:?}");
        }
    }
}
