//! Applies shapes to JSON values; `write.rs` does the same straight from a tape to a string.

use crate::{
    adapter::{
        request::at,
        shape::{
            budget::{Budget, EvalContext, ShapeError},
            step::{Field, Shape, Step},
            text::{self, Places, Written},
        },
    },
    json::value::Json,
};
use std::borrow::Cow;

/// The result of a step; `None` is an absent value, which leaves its field out.
type StepResult<'a> = Result<Option<Cow<'a, Json<'a>>>, ShapeError>;

impl Shape {
    /// Applies the shape to a value. Returns `None` if the result is absent.
    ///
    /// # Errors
    ///
    /// Fails if the value does not have the form that the shape expects, or if the budget is used
    /// up.
    pub fn apply(
        &self,
        value: &Json<'_>,
        whole: EvalContext<'_>,
        budget: &mut Budget,
    ) -> Result<Option<Json<'static>>, ShapeError> {
        let made = self.run(Cow::Borrowed(value), whole, budget)?;
        Ok(made.map(|made| made.into_owned().into_owned()))
    }

    /// Applies the shape to a value, borrowing the parts that stay unchanged.
    pub(crate) fn run<'a>(
        &'a self,
        value: Cow<'a, Json<'a>>,
        whole: EvalContext<'a>,
        budget: &mut Budget,
    ) -> StepResult<'a> {
        run_row(&self.0, Some(value), whole, budget)
    }
}

impl Step {
    /// Returns true if the step ignores its value.
    pub(crate) fn makes_its_own(&self) -> bool {
        match self {
            Self::Request(_) | Self::Const(_) | Self::Now(_) => true,
            Self::Text(template) | Self::Url(template) => template.first_path().is_none(),
            _ => false,
        }
    }

    pub(crate) fn run<'a>(
        &'a self,
        held: Option<Cow<'a, Json<'a>>>,
        whole: EvalContext<'a>,
        budget: &mut Budget,
    ) -> StepResult<'a> {
        // Steps that ignore their value, or that handle its absence.
        match self {
            Self::Request(source) => {
                budget.pay_bytes(whole.request.searched(source))?;
                return Ok(whole.request.read(source).map(Cow::Owned));
            }
            Self::Const(literal) => return Ok(Some(Cow::Borrowed(&literal.0))),
            Self::Now(form) => return Ok(Some(Cow::Owned(form.made(whole.now)))),
            Self::Default(literal) => {
                return Ok(held.filter(|value| !value.is_null()).or(Some(Cow::Borrowed(&literal.0))));
            }
            Self::Shape(index) => {
                let steps = whole.named(*index).ok_or(ShapeError::Unfit)?;
                return run_row(steps, held, whole, budget);
            }
            Self::Required => {
                return match held {
                    Some(value) if !value.is_null() => Ok(Some(value)),
                    _ => Err(ShapeError::Unfit),
                };
            }
            Self::Text(_) | Self::Url(_) | Self::PageUrl(_) => {
                let mut made = String::new();
                let places = Places::Built(held.as_deref());
                return Ok(match text::write(self, places, whole, budget, &mut made)? {
                    Written::Whole => Some(Cow::Owned(Json::text(made))),
                    Written::Null => Some(Cow::Owned(Json::Null)),
                    Written::Absent => None,
                });
            }
            _ => {}
        }
        let Some(value) = held else { return Ok(None) };
        // Null has no fields and no items; it passes through unchanged.
        if value.is_null()
            && !matches!(self, Self::HideNull | Self::Coalesce(_) | Self::Wrap(_) | Self::Map(..))
        {
            return self.of_null(value, whole, budget);
        }
        let made = match self {
            Self::Get(path) => return Ok(get(value, path)),
            Self::Object(fields) => Json::Object(object(fields, &value, whole, budget)?),
            Self::Each(shape) => {
                // A list cannot have holes, so an absent item becomes null.
                let mut run = |item| {
                    let made: StepResult<'a> = shape.run(item, whole, budget);
                    Ok(made?.map(Cow::into_owned).unwrap_or_default())
                };
                let list: Result<Vec<_>, ShapeError> = match value {
                    Cow::Borrowed(Json::List(items)) => {
                        items.iter().map(Cow::Borrowed).map(&mut run).collect()
                    }
                    Cow::Owned(Json::List(items)) => {
                        items.into_iter().map(Cow::Owned).map(&mut run).collect()
                    }
                    _ => Err(ShapeError::Unfit),
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
                let found = table.iter().find(|(from, _)| from.is_alike(&value)).map(|(_, to)| to);
                match found.or(otherwise.as_ref()) {
                    Some(literal) => return Ok(Some(Cow::Borrowed(&literal.0))),
                    // A table need not list null, which passes through.
                    None if value.is_null() => return Ok(Some(value)),
                    None => return Err(ShapeError::Unfit),
                }
            }
            Self::HideNull => return Ok(Some(value).filter(|value| !value.is_null())),
            Self::Wrap(name) => Json::Object(vec![(Cow::Borrowed(name), value.into_owned())]),
            Self::Length => match &*value {
                Json::List(items) => Json::Number(items.len().to_string().into()),
                _ => return Err(ShapeError::Unfit),
            },
            Self::Request(_)
            | Self::Const(_)
            | Self::Now(_)
            | Self::Default(_)
            | Self::Shape(_)
            | Self::Required
            | Self::Text(_)
            | Self::Url(_)
            | Self::PageUrl(_) => return Ok(Some(value)),
        };
        Ok(Some(Cow::Owned(made)))
    }

    /// Handles a null value, which passes through. Only an object none of whose fields looks into
    /// the value is built.
    fn of_null<'a>(
        &'a self,
        null: Cow<'a, Json<'a>>,
        whole: EvalContext<'a>,
        budget: &mut Budget,
    ) -> StepResult<'a> {
        match self {
            Self::Object(fields) if fields.iter().all(|field| field.1.is_free(whole)) => {
                Ok(Some(Cow::Owned(Json::Object(object(fields, &null, whole, budget)?))))
            }
            _ => Ok(Some(null)),
        }
    }
}

impl Shape {
    /// Returns true if the shape embeds its value unchanged or ignores it, so that null is as good
    /// as any other value.
    fn is_free(&self, whole: EvalContext<'_>) -> bool {
        match whole.first(&self.0) {
            None => true,
            Some(step) if step.makes_its_own() => true,
            Some(Step::Get(path)) => path.is_empty(),
            Some(_) => false,
        }
    }
}

pub(crate) fn run_row<'a>(
    steps: &'a [Step],
    mut held: Option<Cow<'a, Json<'a>>>,
    whole: EvalContext<'a>,
    budget: &mut Budget,
) -> StepResult<'a> {
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
    whole: EvalContext<'a>,
    budget: &mut Budget,
) -> Result<Vec<(Cow<'a, str>, Json<'a>)>, ShapeError> {
    let mut made = Vec::with_capacity(fields.len());
    if matches!(value, Cow::Owned(_)) {
        // Each field begins with its own copy of the value.
        budget.pay(weight(value).saturating_mul(fields.len()))?;
    }
    for Field(name, shape) in fields {
        if let Some(field) = shape.run(value.clone(), whole, budget)? {
            made.push((Cow::Borrowed(name.as_str()), field.into_owned()));
        }
    }
    Ok(made)
}

/// Returns the number of values that a value consists of, itself included.
pub(super) fn weight(value: &Json<'_>) -> usize {
    match value {
        Json::List(items) => items.iter().map(weight).sum::<usize>() + 1,
        Json::Object(fields) => fields.iter().map(|(_, field)| weight(field)).sum::<usize>() + 1,
        _ => 1,
    }
}

fn into_fields<'a>(
    value: Cow<'a, Json<'a>>,
    budget: &mut Budget,
) -> Result<Vec<(Cow<'a, str>, Json<'a>)>, ShapeError> {
    match value.into_owned() {
        Json::Object(fields) => budget.pay(fields.len()).map(|()| fields),
        _ => Err(ShapeError::Unfit),
    }
}

fn fields_of<'a>(
    value: Cow<'a, Json<'a>>,
    budget: &mut Budget,
    keep: impl Fn(&str) -> bool,
) -> Result<Json<'a>, ShapeError> {
    let mut fields = into_fields(value, budget)?;
    fields.retain(|(name, _)| keep(name));
    Ok(Json::Object(fields))
}
