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
            match if value.is_null() { Some(value) } else { value.at_path(path) } {
                Some(found) => write_row(rest, found, whole, budget, out),
                None => otherwise(rest, None, whole, budget, out),
            }
        }
        [Step::Convert(conversion)] if conversion.copies(value, out) => budget.pay(1).map(|()| true),
        [Step::Each(shape)] if value.is_list() => {
            budget.pay(1)?;
            out.push('[');
            for (place, item) in value.items().enumerate() {
                budget.pay(1)?;
                if place > 0 {
                    out.push(',');
                }
                if !write_row(&shape.0, item, whole, budget, out)? {
                    out.push_str("null");
                }
            }
            out.push(']');
            Ok(true)
        }
        [Step::Object(fields)] if value.is_object() || value.is_list() => {
            write_object(fields, &[], value, whole, budget, out)
        }
        // An envelope around a list or an object that is made.
        [Step::Each(_), Step::Object(fields)] if value.is_list() && is_envelope(fields) => {
            write_object(fields, steps.get(..1).unwrap_or_default(), value, whole, budget, out)
        }
        [Step::Object(_), Step::Object(fields)] if value.is_object() && is_envelope(fields) => {
            write_object(fields, steps.get(..1).unwrap_or_default(), value, whole, budget, out)
        }
        [step, ..] if step.makes_its_own() => otherwise(steps, None, whole, budget, out),
        _ => otherwise(steps, Some(value), whole, budget, out),
    }
}

/// Whether nothing looks into the value.
fn is_envelope(fields: &[Field]) -> bool {
    fields.iter().all(|field| field.1.0.first().is_none_or(Step::makes_its_own))
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

/// Writes an object of what the steps before it make of a value.
fn write_object(
    fields: &[Field],
    before: &[Step],
    value: Value<'_>,
    whole: Whole<'_>,
    budget: &mut Budget,
    out: &mut String,
) -> Result<bool, Refused> {
    budget.pay(1)?;
    out.push('{');
    let mut is_first = true;
    for Field(name, shape) in fields {
        let mark = out.len();
        if !is_first {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        let steps = if shape.0.is_empty() { before } else { &shape.0 };
        if write_row(steps, value, whole, budget, out)? {
            is_first = false;
        } else {
            // The field is not there, and neither is its name.
            out.truncate(mark);
        }
    }
    out.push('}');
    Ok(true)
}
