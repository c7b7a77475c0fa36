//! Writes what a shape makes of a value, without making that value.

use super::{Budget, Field, Refused, Step, Whole, at, run_row};
use crate::json::{Json, write_text};
use std::borrow::Cow;

pub(super) fn write_row(
    steps: &[Step],
    value: &Json<'_>,
    whole: Whole<'_>,
    budget: &mut Budget,
    out: &mut String,
) -> Result<bool, Refused> {
    match (steps, value) {
        ([], value) => {
            value.write(out);
            Ok(true)
        }
        ([Step::Get(path)], value) => {
            budget.pay(1)?;
            let found = at(value, path);
            if let Some(found) = found {
                found.write(out);
            }
            Ok(found.is_some())
        }
        ([Step::Each(shape)], Json::List(items)) => {
            budget.pay(items.len() + 1)?;
            out.push('[');
            for (place, item) in items.iter().enumerate() {
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
        ([Step::Object(fields)], Json::Object(_) | Json::List(_)) => {
            write_object(fields, &[], value, whole, budget, out)
        }
        // An envelope around a list or an object that is made.
        ([Step::Each(_), Step::Object(fields)], Json::List(_))
        | ([Step::Object(_), Step::Object(fields)], Json::Object(_))
            if fields.iter().all(|field| field.1.0.is_empty() || field.1.makes_its_own()) =>
        {
            write_object(fields, steps.get(..1).unwrap_or_default(), value, whole, budget, out)
        }
        _ => {
            let made = run_row(steps, Cow::Borrowed(value), whole, budget)?;
            if let Some(made) = &made {
                made.write(out);
            }
            Ok(made.is_some())
        }
    }
}

/// Writes an object of what the steps before it make of a value.
fn write_object(
    fields: &[Field],
    before: &[Step],
    value: &Json<'_>,
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
