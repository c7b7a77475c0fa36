//! Writes what a shape makes of a value, without making that value: what goes on as it is is copied as it stands in the
//! backend's answer.

use super::{Budget, Field, Refused, Step, Whole, run_row};
use crate::json::{Value, write_text};
use std::borrow::Cow;

pub(super) fn write_row(
    steps: &[Step],
    value: Value<'_>,
    whole: Whole<'_>,
    budget: &mut Budget,
    out: &mut String,
) -> Result<bool, Refused> {
    match steps {
        [] => {
            out.push_str(value.raw());
            Ok(true)
        }
        // What else is made of a part of the value needs that part only.
        [Step::Get(path), rest @ ..] => {
            budget.pay(1)?;
            // Null has no fields; it is passed on as it is.
            let found = if value.is_null() { Some(value) } else { value.at_path(path) };
            write_found(rest, found, whole, budget, out)
        }
        [Step::Convert(conversion)] if conversion.copies(value, out) => budget.pay(1).map(|()| true),
        [Step::Const(literal)] => {
            budget.pay(1)?;
            literal.0.write(out);
            Ok(true)
        }
        [Step::Now(form)] => {
            budget.pay(1)?;
            form.write(whole.now, out);
            Ok(true)
        }
        [Step::Each(shape)] if value.is_list() => {
            budget.pay(1)?;
            let mut alike = Alike::default();
            out.push('[');
            for (place, item) in value.items().enumerate() {
                budget.pay(1)?;
                if place > 0 {
                    out.push(',');
                }
                let written = match &shape.0[..] {
                    [Step::Object(fields)] if item.is_object() => {
                        alike.take(fields, item);
                        write_object(fields, &[], item, Some(&alike), (whole, budget, out))?
                    }
                    steps => write_row(steps, item, whole, budget, out)?,
                };
                if !written {
                    out.push_str("null");
                }
            }
            out.push(']');
            Ok(true)
        }
        [Step::Object(fields)] if value.is_object() || value.is_list() => {
            write_object(fields, &[], value, None, (whole, budget, out))
        }
        // An envelope around a list or an object that is made.
        [first, Step::Object(fields)] if first.goes_through(value) && is_envelope(fields) => {
            write_object(fields, std::slice::from_ref(first), value, None, (whole, budget, out))
        }
        [step, ..] if step.makes_its_own() => otherwise(steps, None, whole, budget, out),
        _ => otherwise(steps, Some(value), whole, budget, out),
    }
}

impl Step {
    /// Whether it makes a list of a list or an object of an object.
    fn goes_through(&self, value: Value<'_>) -> bool {
        match self {
            Self::Each(_) => value.is_list(),
            Self::Object(_) => value.is_object(),
            _ => false,
        }
    }
}

/// Goes on with what was found, or with nothing.
fn write_found(
    steps: &[Step],
    found: Option<Value<'_>>,
    whole: Whole<'_>,
    budget: &mut Budget,
    out: &mut String,
) -> Result<bool, Refused> {
    match found {
        Some(found) => write_row(steps, found, whole, budget, out),
        None => otherwise(steps, None, whole, budget, out),
    }
}

/// Whether the value is put into it as it is, and nothing looks into it.
fn is_envelope(fields: &[Field]) -> bool {
    let takes_it = |field: &Field| field.1.0.is_empty();
    fields.iter().any(takes_it)
        && fields.iter().all(|field| field.1.0.first().is_none_or(Step::makes_its_own))
}

/// Objects that have the same names in the same order, as the items of a list mostly do: where a field stands in one, it
/// stands in the others.
#[derive(Default)]
struct Alike<'t> {
    names: Vec<Value<'t>>,
    /// The values of the object that was taken last.
    values: Vec<Value<'t>>,
    /// Of each field that is made, which of them it begins with.
    chosen: Vec<Option<usize>>,
    /// Of each field that is made, its name as it is written, with the comma before it and the colon behind.
    keys: Vec<String>,
}

impl<'t> Alike<'t> {
    fn take(&mut self, fields: &[Field], object: Value<'t>) {
        if self.keys.is_empty() {
            self.keys = fields.iter().map(|field| key(&field.0)).collect();
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
            // The last one, where a writer repeated a name.
            let place = |name: &String| names.iter().rposition(|held| held.is_text(name));
            let first = |field: &Field| match field.1.0.first() {
                Some(Step::Get(path)) => path.first().and_then(place),
                _ => None,
            };
            self.chosen = fields.iter().map(first).collect();
        }
    }

    /// The value that a field begins with.
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

/// Makes the value, and writes it.
fn otherwise(
    steps: &[Step],
    value: Option<Value<'_>>,
    whole: Whole<'_>,
    budget: &mut Budget,
    out: &mut String,
) -> Result<bool, Refused> {
    budget.pay(value.map_or(0, Value::weight))?;
    let value = value.map(Value::json);
    let made = run_row(steps, value.as_ref().map(Cow::Borrowed), whole, budget)?;
    if let Some(made) = &made {
        made.write(out);
    }
    Ok(made.is_some())
}

/// Writes an object of what the steps before it make of a value. `alike` knows what its fields begin with, where it
/// was taken in.
fn write_object(
    fields: &[Field],
    before: &[Step],
    value: Value<'_>,
    alike: Option<&Alike<'_>>,
    (whole, budget, out): (Whole<'_>, &mut Budget, &mut String),
) -> Result<bool, Refused> {
    budget.pay(1)?;
    out.push('{');
    let mut is_first = true;
    for (at, Field(name, shape)) in fields.iter().enumerate() {
        let mark = out.len();
        match alike.and_then(|alike| alike.keys.get(at)) {
            Some(key) => out.push_str(if is_first { key.get(1..).unwrap_or_default() } else { key }),
            None => {
                if !is_first {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
            }
        }
        let steps = if shape.0.is_empty() { before } else { &shape.0 };
        let is_there = match (steps, alike.and_then(|alike| alike.first(at))) {
            ([Step::Get(path), rest @ ..], Some(found)) => {
                budget.pay(1)?;
                let found = found.at_path(path.get(1..).unwrap_or_default());
                write_found(rest, found, whole, budget, out)?
            }
            _ => write_row(steps, value, whole, budget, out)?,
        };
        if is_there {
            is_first = false;
        } else {
            // The field is not there, and neither is its name.
            out.truncate(mark);
        }
    }
    out.push('}');
    Ok(true)
}
