//! Canonical forms of values: two values have the same form if the rules let nothing differ between
//! them. Sorting forms compares lists in any order without comparing each item with each.
//!
//! Tolerances have no canonical form, so values that are equal by a tolerance alone have two.

use crate::{
    compare::{
        budget::TooMuch,
        normalise::{normalised, number_form},
        path::ITEMS,
        place::Place,
        policy::Rule,
    },
    json::{value::Json, write_text},
};
use std::borrow::Cow;

/// Returns the forms of the items of the list at a place.
pub(super) fn item_forms<'v>(
    place: &mut Place<'_, 'v>,
    items: &'v [Json<'_>],
) -> Result<Vec<String>, TooMuch> {
    let mut forms = Vec::with_capacity(items.len());
    for item in items {
        let mut form = String::new();
        write_below(place, ITEMS, item, &mut form)?;
        forms.push(form);
    }
    Ok(forms)
}

/// Appends the form of the value one step below a place. Returns false, and appends nothing, if a
/// rule ignores the value.
fn write_below<'v>(
    place: &mut Place<'_, 'v>,
    step: &'v str,
    value: &'v Json<'_>,
    out: &mut String,
) -> Result<bool, TooMuch> {
    // Nothing is reported from here, so no name needs a look.
    place.path.push(step, true);
    let is_written = write(place, value, out);
    place.path.pop();
    is_written
}

fn write<'v>(place: &mut Place<'_, 'v>, value: &'v Json<'_>, out: &mut String) -> Result<bool, TooMuch> {
    place.budget.pay(1)?;
    let rule = place.rule();
    if rule.ignore {
        return Ok(false);
    }
    if let Some(form) = rule.normalise.and_then(|normalise| normalised(normalise, value)) {
        out.push_str(&form);
        return Ok(true);
    }
    match value {
        Json::Object(fields) => object(place, fields, out)?,
        Json::List(items) => list(place, items, &rule, out)?,
        Json::Number(digits) if rule.exact => out.push_str(digits),
        Json::Number(digits) => out.push_str(&number_form(digits)),
        Json::Null | Json::Bool(_) | Json::Text(_) => value.write(out),
    }
    Ok(true)
}

fn object<'v>(
    place: &mut Place<'_, 'v>,
    fields: &'v [(Cow<'_, str>, Json<'_>)],
    out: &mut String,
) -> Result<(), TooMuch> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    out.push('{');
    for (name, value) in sorted {
        let start = out.len();
        write_text(name, out);
        out.push(':');
        if write_below(place, name, value, out)? {
            out.push(',');
        } else {
            out.truncate(start);
        }
    }
    out.push('}');
    Ok(())
}

fn list<'v>(
    place: &mut Place<'_, 'v>,
    items: &'v [Json<'_>],
    rule: &Rule,
    out: &mut String,
) -> Result<(), TooMuch> {
    let mut forms = item_forms(place, items)?;
    if place.list_rule(rule).unordered {
        forms.sort_unstable();
    }
    out.push('[');
    for form in &forms {
        out.push_str(form);
        out.push(',');
    }
    out.push(']');
    Ok(())
}
