//! Shapes: how one JSON value becomes another. A shape is a row of steps; each takes the value that the one before it
//! made.

mod convert;
mod read;
mod write;

use super::{
    literal::Literal,
    request::{Request, Source, at},
};
use crate::{
    json::{Json, Value},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A row of steps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(pub Vec<Step>);

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The value at a path of fields; nothing where there is none.
    Get(Vec<String>),
    /// What stands at a place of the request.
    Request(Source),
    /// A constant.
    Const(Literal),
    /// The current time.
    Now(DateForm),
    /// An object of these fields, each made of the value at hand.
    Object(Vec<Field>),
    /// A list of what the shape makes of each item.
    Each(Shape),
    /// The object with these fields only.
    Pick(Vec<String>),
    /// The object without these fields.
    Hide(Vec<String>),
    /// The object with fields under other names: from, to.
    Rename(Vec<(String, String)>),
    /// The object with more fields.
    Add(Vec<Field>),
    /// What the first of these makes that is not null.
    Coalesce(Vec<Shape>),
    /// The value in another form.
    Convert(Conversion),
    /// The value that stands beside it in a table, or the other one.
    Map(Vec<(Literal, Literal)>, Option<Literal>),
    /// This, where there is nothing or null.
    Default(Literal),
    /// Nothing, where there is null.
    HideNull,
    /// An object with the value as its only field.
    Wrap(String),
}

/// A field of an object that is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field(pub String, pub Shape);

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateForm {
    /// RFC 3339, in UTC.
    Rfc3339,
    /// Seconds since 1970.
    Epoch,
    /// Milliseconds since 1970.
    EpochMs,
}

/// A change of form. Null stays null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conversion {
    /// A text of digits becomes a number.
    Number,
    /// A number becomes a text of its digits.
    Text,
    /// A time in one form becomes a time in another.
    Date(DateForm, DateForm),
}

/// Why a shape could not be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The value is not of the form that the shape expects.
    #[error("the value does not have the form that the shape expects")]
    Unfit,
    /// The work or the result would be larger than is allowed.
    #[error("the value is too large for the shape")]
    TooMuch,
}

/// Steps that may still be made.
#[derive(Debug, Clone, Copy)]
pub struct Budget(u32);

impl Default for Budget {
    /// Enough for an answer of some megabytes.
    fn default() -> Self {
        Self(2_000_000)
    }
}

impl Budget {
    /// So many steps.
    pub fn of(steps: u32) -> Self {
        Self(steps)
    }

    fn pay(&mut self, steps: usize) -> Result<(), Refused> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.checked_sub(steps));
        self.0 = left.ok_or(Refused::TooMuch)?;
        Ok(())
    }
}

/// What shapes may look at besides the value at hand.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'p> {
    /// The request.
    pub request: &'p Request,
    /// The current time.
    pub now: Timestamp,
}

/// A value, or nothing: a field that is not there.
type Made<'a> = Result<Option<Cow<'a, Json<'a>>>, Refused>;

impl Shape {
    /// What becomes of a value. `None` where it has nothing to show.
    pub fn apply(
        &self,
        value: &Json<'_>,
        whole: Whole<'_>,
        budget: &mut Budget,
    ) -> Result<Option<Json<'static>>, Refused> {
        let made = self.run(Cow::Borrowed(value), whole, budget)?;
        Ok(made.map(|made| made.into_owned().into_owned()))
    }

    /// Writes what becomes of a value, and whether there was anything: what [`Self::apply`] gives as a value, without that
    /// value. Lists and objects, which answers are made of, go from the backend's text to the client's one by one.
    pub fn write(
        &self,
        value: Value<'_>,
        whole: Whole<'_>,
        budget: &mut Budget,
        out: &mut String,
    ) -> Result<bool, Refused> {
        write::write_row(&self.0, value, whole, budget, out)
    }

    /// What becomes of a value, borrowing of it what stays as it is.
    fn run<'a>(&'a self, value: Cow<'a, Json<'a>>, whole: Whole<'a>, budget: &mut Budget) -> Made<'a> {
        run_row(&self.0, Some(value), whole, budget)
    }
}

impl Step {
    /// Whether it does not look at its value.
    fn makes_its_own(&self) -> bool {
        matches!(self, Self::Request(_) | Self::Const(_) | Self::Now(_))
    }

    fn run<'a>(&'a self, held: Option<Cow<'a, Json<'a>>>, whole: Whole<'a>, budget: &mut Budget) -> Made<'a> {
        // Steps that make a value of their own, or look at absence.
        match self {
            Self::Request(source) => return Ok(whole.request.read(source).map(Cow::Owned)),
            Self::Const(literal) => return Ok(Some(Cow::Borrowed(&literal.0))),
            Self::Now(form) => return Ok(Some(Cow::Owned(form.made(whole.now)))),
            Self::Default(literal) => {
                return Ok(held.filter(|value| !value.is_null()).or(Some(Cow::Borrowed(&literal.0))));
            }
            _ => {}
        }
        let Some(value) = held else { return Ok(None) };
        // Null has no fields and no items; it is passed on as it is.
        if value.is_null()
            && !matches!(self, Self::HideNull | Self::Coalesce(_) | Self::Wrap(_) | Self::Map(..))
        {
            return self.of_null(value, whole, budget);
        }
        let made = match self {
            Self::Get(path) => return Ok(get(value, path)),
            Self::Object(fields) => Json::Object(object(fields, &value, whole, budget)?),
            Self::Each(shape) => {
                // A list has no holes.
                let mut run = |item| {
                    let made: Made<'a> = shape.run(item, whole, budget);
                    Ok(made?.map(Cow::into_owned).unwrap_or_default())
                };
                let list: Result<Vec<_>, Refused> = match value {
                    Cow::Borrowed(Json::List(items)) => {
                        items.iter().map(Cow::Borrowed).map(&mut run).collect()
                    }
                    Cow::Owned(Json::List(items)) => {
                        items.into_iter().map(Cow::Owned).map(&mut run).collect()
                    }
                    _ => Err(Refused::Unfit),
                };
                Json::List(list?)
            }
            Self::Pick(names) => fields_of(value, budget, |name| names.iter().any(|n| n == name))?,
            Self::Hide(names) => fields_of(value, budget, |name| !names.iter().any(|n| n == name))?,
            Self::Rename(names) => {
                let mut fields = into_fields(value, budget)?;
                for (name, _) in &mut fields {
                    if let Some((_, to)) = names.iter().find(|(from, _)| from == name) {
                        *name = Cow::Borrowed(to);
                    }
                }
                Json::Object(fields)
            }
            Self::Add(more) => {
                let more = object(more, &value, whole, budget)?;
                let mut fields = into_fields(value, budget)?;
                fields.retain(|(name, _)| more.iter().all(|(added, _)| added != name));
                fields.extend(more);
                Json::Object(fields)
            }
            Self::Coalesce(shapes) => {
                let mut last = None;
                for shape in shapes {
                    last = shape.run(value.clone(), whole, budget)?;
                    if last.as_ref().is_some_and(|made| !made.is_null()) {
                        break;
                    }
                }
                return Ok(last);
            }
            Self::Convert(conversion) => conversion.apply(&value)?,
            Self::Map(table, otherwise) => {
                budget.pay(table.len())?;
                let found = table.iter().find(|(from, _)| from.0 == *value).map(|(_, to)| to);
                match found.or(otherwise.as_ref()) {
                    Some(literal) => return Ok(Some(Cow::Borrowed(&literal.0))),
                    // Null is no value that a table would have to name.
                    None if value.is_null() => return Ok(Some(value)),
                    None => return Err(Refused::Unfit),
                }
            }
            Self::HideNull => return Ok(Some(value).filter(|value| !value.is_null())),
            Self::Wrap(name) => Json::Object(vec![(Cow::Borrowed(name), value.into_owned())]),
            Self::Request(_) | Self::Const(_) | Self::Now(_) | Self::Default(_) => return Ok(Some(value)),
        };
        Ok(Some(Cow::Owned(made)))
    }

    /// An object that is made wholly of other things than the value can be made of null too.
    fn of_null<'a>(&'a self, null: Cow<'a, Json<'a>>, whole: Whole<'a>, budget: &mut Budget) -> Made<'a> {
        match self {
            Self::Object(fields) if fields.iter().all(|field| field.1.is_free()) => {
                Ok(Some(Cow::Owned(Json::Object(object(fields, &null, whole, budget)?))))
            }
            _ => Ok(Some(null)),
        }
    }
}

impl Shape {
    /// Whether it wraps its value, or makes one without it, so that a null inside stays inside.
    fn is_free(&self) -> bool {
        match self.0.first() {
            None => true,
            Some(step) if step.makes_its_own() => true,
            Some(Step::Get(path)) => path.is_empty(),
            Some(_) => false,
        }
    }
}

fn run_row<'a>(
    steps: &'a [Step],
    mut held: Option<Cow<'a, Json<'a>>>,
    whole: Whole<'a>,
    budget: &mut Budget,
) -> Made<'a> {
    for step in steps {
        budget.pay(1)?;
        held = step.run(held, whole, budget)?;
    }
    Ok(held)
}

fn get<'a>(value: Cow<'a, Json<'a>>, path: &[String]) -> Option<Cow<'a, Json<'a>>> {
    if path.is_empty() {
        return Some(value);
    }
    match value {
        Cow::Borrowed(value) => at(value, path).map(Cow::Borrowed),
        Cow::Owned(value) => at(&value, path).cloned().map(Cow::Owned),
    }
}

fn object<'a>(
    fields: &'a [Field],
    value: &Cow<'a, Json<'a>>,
    whole: Whole<'a>,
    budget: &mut Budget,
) -> Result<Vec<(Cow<'a, str>, Json<'a>)>, Refused> {
    let mut made = Vec::with_capacity(fields.len());
    if matches!(value, Cow::Owned(_)) {
        // Each field begins with a copy of its own.
        budget.pay(weight(value).saturating_mul(fields.len()))?;
    }
    for Field(name, shape) in fields {
        if let Some(field) = shape.run(value.clone(), whole, budget)? {
            made.push((Cow::Borrowed(name.as_str()), field.into_owned()));
        }
    }
    Ok(made)
}

/// How many values a value is made of.
fn weight(value: &Json<'_>) -> usize {
    match value {
        Json::List(items) => items.iter().map(weight).sum::<usize>() + 1,
        Json::Object(fields) => fields.iter().map(|(_, field)| weight(field)).sum::<usize>() + 1,
        _ => 1,
    }
}

fn into_fields<'a>(
    value: Cow<'a, Json<'a>>,
    budget: &mut Budget,
) -> Result<Vec<(Cow<'a, str>, Json<'a>)>, Refused> {
    match value.into_owned() {
        Json::Object(fields) => budget.pay(fields.len()).map(|()| fields),
        _ => Err(Refused::Unfit),
    }
}

fn fields_of<'a>(
    value: Cow<'a, Json<'a>>,
    budget: &mut Budget,
    keep: impl Fn(&str) -> bool,
) -> Result<Json<'a>, Refused> {
    let mut fields = into_fields(value, budget)?;
    fields.retain(|(name, _)| keep(name));
    Ok(Json::Object(fields))
}
