//! Finds the place at which a value does not have the form that a shape expects. It runs after
//! writing has failed, so that writing itself need not know its place.

use crate::{
    adapter::{
        request::Source,
        shape::{
            budget::{Budget, EvalContext, ShapeError},
            run::weight,
            step::{Conversion, DateForm, Field, Shape, Step},
        },
        template::{Part, Template},
    },
    compare::redacted,
    json::value::Json,
};
use std::borrow::Cow;

/// Longest path of a [`Misfit`], in characters. Reports of comparisons store paths.
const MAX_PATH: usize = 120;

/// A place at which a response does not have the form that a mapping expects, without any data of
/// the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The path of the value below the root of the route: `results[].id`, with `[]` for any item of
    /// a list, and `.` for the root itself. A place in the request is in braces: `{query.page}`.
    pub path: String,
    /// The form that the mapping expects.
    pub expected: String,
    /// The value that was found, masked like the examples of comparisons.
    pub found: String,
    /// The name of the place in the client's request, if it is the request that does not fit.
    pub field: Option<String>,
}

impl Misfit {
    /// Builds the misfit of the value at the root.
    pub(crate) fn of_root(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { path: ".".to_owned(), expected: expected.into(), found: found.into(), field: None }
    }

    /// Builds the misfit of a request whose values take more work than the budget of a shape permits.
    pub(crate) fn too_large_request() -> Self {
        Self { path: "{request}".to_owned(), field: Some("request".to_owned()), ..Self::too_much() }
    }

    /// Builds the misfit of a value that takes more work than the budget of a shape permits.
    pub(crate) fn too_much() -> Self {
        Self::of_root("a response that takes at most two million steps", "a larger one")
    }
}

impl Shape {
    /// Returns the first place at which a value does not have the form that the shape expects, or
    /// `None` if the shape can be applied and its result is not absent. A budget that is used up is a
    /// misfit too.
    pub fn diagnose(&self, value: &Json<'_>, whole: EvalContext<'_>, budget: &mut Budget) -> Option<Misfit> {
        let mut walk = Walk { whole, budget, path: String::new(), place: None };
        match walk.steps(&self.0, Some(Cow::Borrowed(value))) {
            Ok(Some(_)) => None,
            Ok(None) => Some(walk.misfit("a value", None)),
            Err(Stop::Misfit(misfit)) => Some(misfit),
            Err(Stop::TooMuch) => Some(Misfit::too_much()),
        }
    }
}

/// The reason for not going on.
enum Stop {
    Misfit(Misfit),
    TooMuch,
}

/// A walk through the steps of a shape, at the path of the current value.
struct Walk<'a, 'b> {
    whole: EvalContext<'a>,
    budget: &'b mut Budget,
    path: String,
    /// The place in the request that the current value comes from, if it does.
    place: Option<Place<'a>>,
}

/// A place in the request, in the path of a value.
#[derive(Clone, Copy)]
struct Place<'a> {
    source: &'a Source,
    /// The offset in the path at which it begins.
    begin: usize,
}

impl Place<'_> {
    /// Returns the name by which clients know the place.
    fn name(self) -> String {
        match self.source {
            Source::Body(path) if path.is_empty() => "body".to_owned(),
            Source::Jwt(claim) => claim.clone(),
            source => source.name(),
        }
    }
}

type Held<'a> = Cow<'a, Json<'a>>;

impl<'a> Walk<'a, '_> {
    /// Runs steps one after the other. Afterwards the path is that of the last value, or of the one
    /// that does not fit.
    fn steps(&mut self, steps: &'a [Step], mut held: Option<Held<'a>>) -> Result<Option<Held<'a>>, Stop> {
        for step in steps {
            self.pay(1)?;
            let before = match &held {
                Some(value) => Some(self.copy(value)?),
                None => None,
            };
            held = match step.run(held, self.whole, self.budget) {
                Ok(result) => result,
                Err(ShapeError::TooMuch) => return Err(Stop::TooMuch),
                Err(ShapeError::Unfit) => return Err(self.reason(step, before)),
            };
            self.enter(step);
        }
        Ok(held)
    }

    /// Returns the reason for which a step fails: a value inside the current one, or the current one
    /// itself.
    fn reason(&mut self, step: &'a Step, held: Option<Held<'a>>) -> Stop {
        if let Step::Shape(index) = step
            && let Some(Err(stop)) = self.whole.named(*index).map(|steps| self.steps(steps, held.clone()))
        {
            return stop;
        }
        let Some(value) = held else { return Stop::Misfit(self.misfit(expected(step), None)) };
        let inside = match step {
            Step::Object(fields) | Step::Add(fields) => {
                fields.iter().try_for_each(|Field(_, shape)| self.part(shape, &value))
            }
            Step::Coalesce(shapes) => shapes.iter().try_for_each(|shape| self.part(shape, &value)),
            Step::Each(shape) => self.items(shape, &value),
            Step::Text(template) | Step::Url(template) => self.places(template),
            Step::PageUrl(url) => self.places(&url.base),
            _ => Ok(()),
        };
        match inside {
            Err(stop) => stop,
            Ok(()) => Stop::Misfit(self.misfit(expected(step), Some(&value))),
        }
    }

    /// Fails at the first place of the request that no text can contain.
    fn places(&mut self, template: &'a Template) -> Result<(), Stop> {
        for part in &template.0 {
            let Part::Request(source) = part else { continue };
            self.pay(1)?;
            let found = self.whole.request.read(source);
            if found.as_ref().is_some_and(|found| matches!(found, Json::List(_) | Json::Object(_))) {
                self.path = format!("{{{source}}}");
                self.place = Some(Place { source, begin: 0 });
                return Err(Stop::Misfit(self.misfit("a string, a number or a bool", found.as_ref())));
            }
        }
        Ok(())
    }

    /// Applies a shape to a copy of the current value, and comes back to its path.
    fn part(&mut self, shape: &'a Shape, value: &Held<'a>) -> Result<(), Stop> {
        let value = self.copy(value)?;
        let (length, place) = (self.path.len(), self.place);
        self.steps(&shape.0, Some(value))?;
        self.path.truncate(length);
        self.place = place;
        Ok(())
    }

    /// Applies a shape to each item of a list, and comes back to its path. Other values have no items.
    fn items(&mut self, shape: &'a Shape, list: &Held<'a>) -> Result<(), Stop> {
        let length = self.path.len();
        self.path.push_str("[]");
        match list {
            Cow::Borrowed(list) => {
                for item in list.items() {
                    self.part(shape, &Cow::Borrowed(item))?;
                }
            }
            Cow::Owned(list) => {
                for item in list.items() {
                    self.pay(weight(item))?;
                    self.part(shape, &Cow::Owned(item.clone()))?;
                }
            }
        }
        self.path.truncate(length);
        Ok(())
    }

    /// Copies a value, and pays for that unless it is borrowed.
    fn copy(&mut self, value: &Held<'a>) -> Result<Held<'a>, Stop> {
        if let Cow::Owned(value) = value {
            self.pay(weight(value))?;
        }
        Ok(value.clone())
    }

    fn pay(&mut self, steps: usize) -> Result<(), Stop> {
        self.budget.pay(steps).map_err(|_| Stop::TooMuch)
    }

    /// Takes the path to the result of a step. Results that a step builds stay at the path of their
    /// source.
    fn enter(&mut self, step: &'a Step) {
        match step {
            Step::Get(names) => names.iter().for_each(|name| {
                if !self.path.is_empty() {
                    self.path.push('.');
                }
                self.path.push_str(name);
            }),
            Step::Request(source) => {
                self.place = Some(Place { source, begin: self.path.len() });
                self.path.push_str(&format!("{{{source}}}"));
            }
            _ => {}
        }
    }

    fn misfit(&self, expected: &str, found: Option<&Json<'_>>) -> Misfit {
        // The path inside a place of the request begins at that place.
        let begin = self.place.map_or(0, |place| place.begin);
        let own = self.path.get(begin..).filter(|own| !own.is_empty()).unwrap_or(".");
        let path = own.chars().take(MAX_PATH).collect();
        let field = self.place.map(Place::name);
        Misfit { path, expected: expected.to_owned(), found: redacted(found), field }
    }
}

/// Returns the form of the values that a step itself accepts.
fn expected(step: &Step) -> &'static str {
    match step {
        Step::Each(_) => "a list",
        Step::Pick(_) | Step::Hide(_) | Step::Rename(_) | Step::Add(_) => "an object",
        Step::Convert(Conversion::Number) => "a number, or a string that holds one",
        Step::Convert(Conversion::Text) => "a string or a number",
        Step::Convert(Conversion::Date(DateForm::Rfc3339, _)) => "an RFC 3339 timestamp",
        Step::Convert(Conversion::Date(DateForm::Epoch, _)) => "a whole number of seconds",
        Step::Convert(Conversion::Date(DateForm::EpochMs, _)) => "a whole number of milliseconds",
        Step::Map(..) => "one of the values of the map",
        Step::Text(_) | Step::Url(_) => "strings, numbers or bools at the places of the text",
        Step::PageUrl(_) => "the number of a page",
        Step::Length => "a list",
        Step::Required => "a value that is not null",
        Step::Shape(_) => "a value of a shape that is missing",
        // These fail only by the shapes inside them, or not at all.
        Step::Get(_)
        | Step::Request(_)
        | Step::Const(_)
        | Step::Now(_)
        | Step::Object(_)
        | Step::Coalesce(_)
        | Step::Default(_)
        | Step::HideNull
        | Step::Wrap(_) => "a value",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapter::request::Request, vocabulary::timestamp::Timestamp};

    fn misfit(shape: &str, value: &str, budget: u32) -> Option<[String; 3]> {
        let shape: Shape = serde_json::from_str(shape).unwrap();
        let request = Request { query: "page=first".to_owned(), ..Request::default() };
        let whole = EvalContext { request: &request, now: Timestamp::from_millis(0), shapes: &[] };
        let found = shape.diagnose(&Json::parse(value).unwrap(), whole, &mut Budget::of(budget));
        found.map(|Misfit { path, expected, found, .. }| [path, expected, found])
    }

    const PAGE: &str = r#"[{"object":[
        ["total",[{"get":["info","count"]},{"convert":"text"}]],
        ["results",[{"get":["results"]},{"each":[{"object":[
            ["id",[{"get":["id"]},{"convert":"number"}]],
            ["tags",[{"get":["tags"]},{"each":[{"map":[[["\"a\"","1"]],null]}]}]]
        ]}]}]]
    ]}]"#;

    #[test]
    fn the_place_of_a_misfit_is_named_by_its_path_and_by_masked_values() {
        let number = "a number, or a string that holds one";
        let mapped = "one of the values of the map";
        let cases = [
            (
                PAGE,
                r#"{"info":{"count":2},"results":[{"id":"7"},{"id":true}]}"#,
                "results[].id",
                number,
                "true",
            ),
            (PAGE, r#"{"results":[{"id":"Ann 1"}]}"#, "results[].id", number, "\"xxx 9\""),
            (PAGE, r#"{"results":[{"id":"7","tags":["a","b"]}]}"#, "results[].tags[]", mapped, "\"x\""),
            (PAGE, r#"{"results":{"id":"7"}}"#, "results", "a list", "an object of 1 fields"),
            (PAGE, r#"{"info":{"count":true}}"#, "info.count", "a string or a number", "true"),
            (r#"[{"pick":["a"]}]"#, "[1]", ".", "an object", "a list of 1"),
            (
                r#"[{"add":[["b",[{"get":["a"]},{"convert":"number"}]]]}]"#,
                "[]",
                ".",
                "an object",
                "a list of 0",
            ),
            (
                r#"[{"add":[["b",[{"get":["a"]},{"convert":"number"}]]]}]"#,
                r#"{"a":true}"#,
                "a",
                number,
                "true",
            ),
            (
                r#"[{"get":["at"]},{"convert":{"date":["rfc3339","epoch"]}}]"#,
                r#"{"at":"soon"}"#,
                "at",
                "an RFC 3339 timestamp",
                "\"xxxx\"",
            ),
            (
                r#"[{"coalesce":[[{"get":["a"]}],[{"get":["b"]},{"convert":{"date":["epoch","rfc3339"]}}]]}]"#,
                r#"{"a":null,"b":1.5}"#,
                "b",
                "a whole number of seconds",
                "9.9",
            ),
            (
                r#"[{"object":[["page",[{"request":{"query":"page"}},{"convert":"number"}]]]}]"#,
                "{}",
                "{query.page}",
                number,
                "\"xxxxx\"",
            ),
            // An absent result is one too.
            (
                r#"[{"get":["reviews","nodes"]}]"#,
                r#"{"reviews":{}}"#,
                "reviews.nodes",
                "a value",
                "(nothing)",
            ),
            (r#"["hide_null"]"#, "null", ".", "a value", "(nothing)"),
            // A value that was built on the way.
            (
                r#"[{"object":[["a",[{"get":["b"]}]]]},{"object":[["c",[{"get":["a"]},{"convert":"text"}]]]}]"#,
                r#"{"b":false}"#,
                "a",
                "a string or a number",
                "false",
            ),
        ];
        for (shape, value, path, expected, found) in cases {
            let named = misfit(shape, value, 10_000);
            assert_eq!(named, Some([path, expected, found].map(str::to_owned)), "{shape} {value}");
        }
        assert_eq!(misfit(PAGE, r#"{"info":{"count":2},"results":[{"id":"7"}]}"#, 10_000), None);
        assert_eq!(misfit("[]", "null", 10_000), None);
    }

    #[test]
    fn the_field_of_a_misfit_is_a_place_in_the_request_and_no_name_that_looks_like_one() {
        let field = |shape: &str, value: &str| {
            let shape: Shape = serde_json::from_str(shape).unwrap();
            let body = Json::parse(r#"{"a":{"b":[]}}"#).unwrap();
            let request = Request { query: "page=first".to_owned(), body, ..Request::default() };
            let whole = EvalContext { request: &request, now: Timestamp::from_millis(0), shapes: &[] };
            let found = shape.diagnose(&Json::parse(value).unwrap(), whole, &mut Budget::default()).unwrap();
            (found.path, found.field)
        };
        let number = r#"{"convert":"number"}"#;
        let cases = [
            (format!(r#"[{{"request":{{"query":"page"}}}},{number}]"#), "{}", "{query.page}", Some("page")),
            (
                format!(r#"[{{"request":{{"body":["a"]}}}},{{"get":["b"]}},{number}]"#),
                "{}",
                "{body.a}.b",
                Some("a"),
            ),
            (format!(r#"[{{"request":{{"body":[]}}}},{number}]"#), "{}", "{body}", Some("body")),
            (r#"[{"text":[{"request":{"body":["a","b"]}}]}]"#.to_owned(), "{}", "{body.a.b}", Some("a.b")),
            // The place is left behind with the field that it is for.
            (
                format!(
                    r#"[{{"object":[["a",[{{"request":{{"query":"page"}}}}]],["b",[{{"get":["b"]}},{number}]]]}}]"#
                ),
                r#"{"b":true}"#,
                "b",
                None,
            ),
            // A backend may give its fields any names.
            (
                format!(r#"[{{"get":["{{query.page}}"]}},{number}]"#),
                r#"{"{query.page}":true}"#,
                "{query.page}",
                None,
            ),
        ];
        for (shape, value, path, expected) in cases {
            let (found, field) = field(&shape, value);
            assert_eq!((found.as_str(), field.as_deref()), (path, expected), "{shape}");
        }
    }

    #[test]
    fn work_and_paths_are_bounded() {
        let list = format!("[{}]", vec!["true"; 5_000].join(","));
        let named = misfit(r#"[{"each":[{"wrap":"a"}]},{"each":[{"convert":"number"}]}]"#, &list, 1_000);
        assert_eq!(named.map(|[path, ..]| path).as_deref(), Some("."));
        assert!(misfit(r#"[{"each":[{"convert":"number"}]}]"#, &list, 0).is_some());
        let name = "é".repeat(400);
        let shape = format!(r#"[{{"get":["{name}"]}},{{"convert":"number"}}]"#);
        let value = format!(r#"{{"{name}":true}}"#);
        let path = misfit(&shape, &value, 1_000).map(|[path, ..]| path).unwrap();
        assert_eq!(path.chars().count(), MAX_PATH);
    }
}
