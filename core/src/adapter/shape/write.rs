//! Writes the result of a shape directly as JSON text. Unchanged parts are copied verbatim from the
//! backend's response.

use crate::{
    adapter::shape::{
        budget::{Budget, EvalContext, ShapeError},
        prepared::PreparedText,
        run::run_row,
        step::{Field, Shape, Step},
        text::{self, Places, Written},
    },
    json::{Value, write::write_text},
};
use std::borrow::Cow;

/// Largest list that is written, in bytes: constants of a mapping are repeated for each item, and an isolate has
/// 128 MB for all of its requests.
const MAX_OUTPUT: usize = 16_777_216;

impl Shape {
    /// Applies the shape to a value and appends the result to `out` as JSON. Returns false if the
    /// result is absent. The result is that of [`Self::apply`], but it is not built as a value: the
    /// items of lists and the fields of objects are written one by one, and unchanged ones are
    /// copied from the source.
    ///
    /// # Errors
    ///
    /// Fails if the value does not have the form that the shape expects, or if the budget is used
    /// up. `out` may then end in an incomplete result.
    pub fn write(
        &self,
        value: Value<'_>,
        whole: EvalContext<'_>,
        budget: &mut Budget,
        out: &mut String,
    ) -> Result<bool, ShapeError> {
        Writer { whole, budget, out }.row(&self.0, value)
    }
}

/// Writes results with a budget. `out` is only ever appended to, and cut back if a field is absent.
struct Writer<'w> {
    whole: EvalContext<'w>,
    budget: &'w mut Budget,
    out: &'w mut String,
}

impl Writer<'_> {
    fn row(&mut self, steps: &[Step], value: Value<'_>) -> Result<bool, ShapeError> {
        let steps = self.whole.resolved(steps);
        match steps {
            [] => {
                self.out.push_str(value.raw());
                Ok(true)
            }
            // The remaining steps need only that part of the value.
            [Step::Get(path), rest @ ..] => {
                self.budget.pay(1)?;
                // Null has no fields; it passes through unchanged.
                let found = if value.is_null() { Some(value) } else { value.at_path(path) };
                self.found(rest, found)
            }
            [Step::Convert(conversion)] if conversion.copies(value, self.out) => {
                self.budget.pay(1).map(|()| true)
            }
            [step @ (Step::Text(_) | Step::Url(_) | Step::PageUrl(_))] => self.text(step, value, None),
            [Step::Const(literal)] => {
                self.budget.pay(1)?;
                literal.0.write(self.out);
                Ok(true)
            }
            [Step::Now(form)] => {
                self.budget.pay(1)?;
                form.write(self.whole.now, self.out);
                Ok(true)
            }
            [Step::Each(shape)] if value.is_list() => self.list(shape, value),
            [Step::Object(fields)] if value.is_object() || value.is_list() => {
                self.object(fields, &[], value, None)
            }
            [Step::Length] if value.is_list() => self.length(value),
            [before @ .., last @ (Step::Default(_) | Step::HideNull | Step::Required)] => {
                let mark = self.out.len();
                let is_there = self.row(before, value)?;
                self.settled(last, mark, is_there)
            }
            _ => match envelope(self.whole, steps, value) {
                Some(Envelope { content, fields }) => self.object(fields, content, value, None),
                None if self.whole.first(steps).is_some_and(Step::makes_its_own) => self.built(steps, None),
                None => self.built(steps, Some(value)),
            },
        }
    }

    fn list(&mut self, shape: &Shape, value: Value<'_>) -> Result<bool, ShapeError> {
        self.budget.pay(1)?;
        let steps = self.whole.resolved(&shape.0);
        let mut layout = Layout::default();
        let text = match steps {
            [step] => PreparedText::new(step),
            _ => None,
        };
        self.out.push('[');
        for (place, item) in value.items().enumerate() {
            self.budget.pay(1)?;
            if self.out.len() > MAX_OUTPUT {
                return Err(ShapeError::TooMuch);
            }
            if place > 0 {
                self.out.push(',');
            }
            let written = match (steps, &text) {
                ([Step::Object(fields)], _) if item.is_object() => {
                    layout.take(fields, item);
                    self.object(fields, &[], item, Some(&layout))?
                }
                (_, Some(text)) => self.prepared(text, item, None)?,
                _ => self.row(steps, item)?,
            };
            if !written {
                self.out.push_str("null");
            }
        }
        self.out.push(']');
        Ok(true)
    }

    /// Writes the string that a step makes. `first` is the field that its first path begins with, if
    /// it was found already.
    fn text(&mut self, step: &Step, value: Value<'_>, first: Option<Value<'_>>) -> Result<bool, ShapeError> {
        self.budget.pay(1)?;
        let mark = self.out.len();
        self.out.push('"');
        let places = Places::Tape { value, first };
        let written = text::write(step, places, self.whole, self.budget, self.out)?;
        if written == Written::Whole {
            self.out.push('"');
        }
        Ok(self.ended(mark, written))
    }

    /// Writes a text that was prepared for the items of a list.
    fn prepared(
        &mut self,
        text: &PreparedText<'_>,
        value: Value<'_>,
        first: Option<Value<'_>>,
    ) -> Result<bool, ShapeError> {
        let mark = self.out.len();
        let written = text.write(value, first, self.budget, self.out)?;
        Ok(self.ended(mark, written))
    }

    /// Puts null in the place of a text that is null, and removes one that is absent. It begins at `mark`. Returns
    /// false if it is absent.
    fn ended(&mut self, mark: usize, written: Written) -> bool {
        if written == Written::Whole {
            return true;
        }
        self.out.truncate(mark);
        if written == Written::Null {
            self.out.push_str("null");
        }
        written == Written::Null
    }

    fn length(&mut self, list: Value<'_>) -> Result<bool, ShapeError> {
        let length = list.items().count();
        self.budget.pay(length)?;
        self.out.push_str(&length.to_string());
        Ok(true)
    }

    /// Applies a step that leaves a value as it is unless it is null or absent. The value is written
    /// from `mark` on, if it is there.
    fn settled(&mut self, step: &Step, mark: usize, is_there: bool) -> Result<bool, ShapeError> {
        self.budget.pay(1)?;
        if is_there && self.out.get(mark..) != Some("null") {
            return Ok(true);
        }
        self.out.truncate(mark);
        match step {
            Step::Default(literal) => {
                literal.0.write(self.out);
                Ok(true)
            }
            Step::HideNull => Ok(false),
            _ => Err(ShapeError::Unfit),
        }
    }

    /// Runs the remaining steps on the value that was found, or on an absent one.
    fn found(&mut self, steps: &[Step], found: Option<Value<'_>>) -> Result<bool, ShapeError> {
        match found {
            Some(found) => self.row(steps, found),
            None => self.built(steps, None),
        }
    }

    /// Builds the result as a value and writes that, for steps that cannot write directly.
    fn built(&mut self, steps: &[Step], value: Option<Value<'_>>) -> Result<bool, ShapeError> {
        self.budget.pay(value.map_or(0, Value::weight))?;
        let value = value.map(Value::json);
        let result = run_row(steps, value.as_ref().map(Cow::Borrowed), self.whole, self.budget)?;
        if let Some(result) = &result {
            result.write(self.out);
        }
        Ok(result.is_some())
    }

    /// Writes an object. A field without steps holds the result of the steps in `before`. `layout`
    /// has the values that the fields begin with, if `value` is its current object.
    fn object(
        &mut self,
        fields: &[Field],
        before: &[Step],
        value: Value<'_>,
        layout: Option<&Layout<'_, '_>>,
    ) -> Result<bool, ShapeError> {
        self.budget.pay(1)?;
        self.out.push('{');
        let mut is_first = true;
        for (index, Field(name, shape)) in fields.iter().enumerate() {
            let mark = self.out.len();
            match layout.and_then(|layout| layout.keys.get(index)) {
                Some(key) => self.out.push_str(if is_first { key.get(1..).unwrap_or_default() } else { key }),
                None => {
                    if !is_first {
                        self.out.push(',');
                    }
                    write_text(name, self.out);
                    self.out.push(':');
                }
            }
            let steps = if shape.0.is_empty() { before } else { &shape.0 };
            let text = layout.and_then(|layout| layout.texts.get(index)?.as_ref());
            let is_there = match (steps, text, layout.and_then(|layout| layout.first(index))) {
                ([_], Some(text), first) => self.prepared(text, value, first)?,
                ([_, last @ (Step::Default(_) | Step::HideNull | Step::Required)], Some(text), first) => {
                    let mark = self.out.len();
                    let is_there = self.prepared(text, value, first)?;
                    self.settled(last, mark, is_there)?
                }
                ([Step::Get(path), rest @ ..], _, Some(found)) => {
                    self.budget.pay(1)?;
                    self.found(rest, found.at_path(path.get(1..).unwrap_or_default()))?
                }
                ([step @ (Step::Text(_) | Step::Url(_))], None, first @ Some(_)) => {
                    self.text(step, value, first)?
                }
                _ => self.row(steps, value)?,
            };
            if is_there {
                is_first = false;
            } else {
                // The field is absent, so its name is removed again.
                self.out.truncate(mark);
            }
        }
        self.out.push('}');
        Ok(true)
    }
}

/// An object around the list or object that the step before it builds.
struct Envelope<'s> {
    /// The step that builds the content.
    content: &'s [Step],
    fields: &'s [Field],
}

/// Returns the envelope that a row of two steps builds, if it is one.
fn envelope<'s>(whole: EvalContext<'s>, row: &'s [Step], value: Value<'_>) -> Option<Envelope<'s>> {
    let (content, last) = row.split_at_checked(1)?;
    let [Step::Object(fields)] = whole.resolved(last) else { return None };
    let goes_through = match whole.resolved(content) {
        [Step::Each(_)] => value.is_list(),
        [Step::Object(_)] => value.is_object(),
        _ => false,
    };
    (goes_through && is_envelope(whole, fields)).then_some(Envelope { content, fields })
}

/// Returns true if the fields embed the value unchanged, and none of them looks into it.
fn is_envelope(whole: EvalContext<'_>, fields: &[Field]) -> bool {
    let takes_it = |field: &Field| field.1.0.is_empty();
    fields.iter().any(takes_it)
        && fields.iter().all(|field| whole.first(&field.1.0).is_none_or(Step::makes_its_own))
}

/// The common layout of objects with the same names in the same order, as the items of a list
/// mostly are: a field has the same index in all of them, so its name is looked up once.
#[derive(Default)]
struct Layout<'s, 't> {
    names: Vec<Value<'t>>,
    /// Values of the current object.
    values: Vec<Value<'t>>,
    /// For each field of the result, the index of the value that its steps begin with.
    chosen: Vec<Option<usize>>,
    /// For each field of the result, its encoded name, with the comma before and the colon after
    /// it.
    keys: Vec<String>,
    /// For each field of the result, the text that its steps begin with.
    texts: Vec<Option<PreparedText<'s>>>,
}

impl<'s, 't> Layout<'s, 't> {
    fn take(&mut self, fields: &'s [Field], object: Value<'t>) {
        if self.keys.is_empty() {
            self.keys = fields.iter().map(|field| key(&field.0)).collect();
            self.texts = fields.iter().map(|field| field.1.0.first().and_then(PreparedText::new)).collect();
        }
        self.values.clear();
        let mut is_alike = true;
        for (name, value) in object.members() {
            if self.names.get(self.values.len()).is_none_or(|held| held.raw() != name.raw()) {
                is_alike = false;
                self.names.truncate(self.values.len());
                self.names.push(name);
            }
            self.values.push(value);
        }
        if !is_alike || self.values.len() != self.names.len() {
            self.names.truncate(self.values.len());
            let names = &self.names;
            // If a name is repeated, the last one counts.
            let place = |name: &String| names.iter().rposition(|held| held.is_text(name));
            let first = |field: &Field| match field.1.0.first() {
                Some(Step::Get(path)) => path.first().and_then(place),
                Some(Step::Text(text) | Step::Url(text)) => text.first_path()?.first().and_then(place),
                _ => None,
            };
            self.chosen = fields.iter().map(first).collect();
        }
    }

    /// Returns the value that the steps of a field begin with.
    fn first(&self, field: usize) -> Option<Value<'t>> {
        self.values.get((*self.chosen.get(field)?)?).copied()
    }
}

fn key(name: &str) -> String {
    let mut key = ",".to_owned();
    write_text(name, &mut key);
    key.push(':');
    key
}
