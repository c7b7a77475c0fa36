//! Writes strings with places: texts, URLs, and the URLs of pages.

use crate::{
    adapter::{
        request::{Request, at},
        shape::{
            budget::{Budget, EvalContext, ShapeError},
            step::{PagePosition, PageUrl, Step},
        },
        template::{Part, Template, encode_segment},
    },
    json::{Value, value::Json, write::write_content},
    request::facts::decode_form,
};
use std::borrow::Cow;

/// The value that the places of a text are read from.
pub(super) enum Places<'v> {
    /// A built value, `None` if it is absent. The text is written as it is.
    Built(Option<&'v Json<'v>>),
    /// A value of a tape. The text is written as the content of a string of JSON.
    Tape {
        /// The value.
        value: Value<'v>,
        /// The field that the first path begins with, if it was found already.
        first: Option<Value<'v>>,
    },
}

/// The result of writing a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it is written.
    Whole,
    /// A place is null, and so is the text.
    Null,
    /// A place is absent, and so is the text.
    Absent,
}

/// The value at a place.
enum Found<'v> {
    Null,
    /// A string, number or bool, as it appears in a text.
    Scalar(Cow<'v, str>),
    /// An object or a list, which no text can contain.
    Compound,
}

/// The form in which the values at places are written.
#[derive(Clone, Copy)]
enum Encoding {
    Plain,
    Percent,
}

/// Appends the string that a step makes. Unless the result is [`Written::Whole`], `out` ends in an
/// incomplete one.
///
/// # Errors
///
/// Fails if a place is an object or a list, or if the budget is used up.
pub(super) fn write(
    step: &Step,
    places: Places<'_>,
    whole: EvalContext<'_>,
    budget: &mut Budget,
    out: &mut String,
) -> Result<Written, ShapeError> {
    let mut writer = Writer { places, request: whole.request, budget, out };
    match step {
        Step::Text(template) => writer.template(template, Encoding::Plain),
        Step::Url(template) => writer.template(template, Encoding::Percent),
        Step::PageUrl(url) => writer.page_url(url),
        _ => Err(ShapeError::Unfit),
    }
}

impl<'v> Places<'v> {
    fn read(&mut self, path: &[String]) -> Option<Found<'v>> {
        match self {
            Self::Built(value) => {
                let value: &'v Json<'v> = (*value)?;
                // Null has no parts; each of them is null too.
                let found = if value.is_null() { Some(value) } else { at(value, path) };
                found.map(Found::from)
            }
            Self::Tape { value, first } => {
                let found = match first.take() {
                    Some(first) => first.at_path(path.get(1..).unwrap_or_default()),
                    None if value.is_null() => Some(*value),
                    None => value.at_path(path),
                };
                found.map(Found::from)
            }
        }
    }
}

impl<'v> From<&'v Json<'_>> for Found<'v> {
    fn from(value: &'v Json<'_>) -> Self {
        match value.scalar() {
            _ if value.is_null() => Self::Null,
            Some(text) => Self::Scalar(text.into()),
            None => Self::Compound,
        }
    }
}

impl<'v> From<Value<'v>> for Found<'v> {
    fn from(value: Value<'v>) -> Self {
        if value.is_null() {
            Self::Null
        } else if value.is_list() || value.is_object() {
            Self::Compound
        } else {
            Self::Scalar(value.plain())
        }
    }
}

struct Writer<'w> {
    places: Places<'w>,
    request: &'w Request,
    budget: &'w mut Budget,
    out: &'w mut String,
}

impl Writer<'_> {
    fn template(&mut self, template: &Template, encoding: Encoding) -> Result<Written, ShapeError> {
        let mut result = Written::Whole;
        for part in &template.0 {
            self.budget.pay(1)?;
            let written = match part {
                Part::Text(fixed) => {
                    self.budget.pay_bytes(fixed.len())?;
                    self.push(fixed);
                    continue;
                }
                Part::Request(source) => {
                    self.budget.pay_bytes(self.request.searched(source))?;
                    let found = self.request.read(source);
                    self.place(found.as_ref().map(Found::from), encoding)?
                }
                Part::Value(path) => {
                    let found = self.places.read(path);
                    self.place(found, encoding)?
                }
            };
            match written {
                Written::Whole => {}
                Written::Null => result = Written::Null,
                Written::Absent => return Ok(Written::Absent),
            }
        }
        Ok(result)
    }

    /// Writes the value at a place.
    fn place(&mut self, found: Option<Found<'_>>, encoding: Encoding) -> Result<Written, ShapeError> {
        let text = match found {
            None => return Ok(Written::Absent),
            Some(Found::Null) => return Ok(Written::Null),
            Some(Found::Compound) => return Err(ShapeError::Unfit),
            Some(Found::Scalar(text)) => text,
        };
        match encoding {
            Encoding::Plain => {
                self.budget.pay_bytes(text.len())?;
                self.push(&text);
            }
            Encoding::Percent => {
                // Each byte may become three, whose characters have no escapes in JSON.
                self.budget.pay_bytes(3 * text.len())?;
                encode_segment(&text, self.out);
            }
        }
        Ok(Written::Whole)
    }

    /// Writes text as it is.
    fn push(&mut self, text: &str) {
        match self.places {
            Places::Built(_) => self.out.push_str(text),
            Places::Tape { .. } => write_content(text, self.out),
        }
    }

    fn page_url(&mut self, url: &PageUrl) -> Result<Written, ShapeError> {
        let page = match self.places.read(&url.page) {
            None => return Ok(Written::Absent),
            Some(Found::Compound) => return Err(ShapeError::Unfit),
            Some(Found::Null) => None,
            Some(Found::Scalar(page)) => Some(page),
        };
        let written = self.template(&url.base, Encoding::Percent)?;
        match page {
            Some(page) if written == Written::Whole => self.query(url, &page)?,
            None if written == Written::Whole => return Ok(Written::Null),
            _ => {}
        }
        Ok(written)
    }

    /// Writes the query of a page: its number, and the parameters that are kept.
    fn query(&mut self, url: &PageUrl, page: &str) -> Result<(), ShapeError> {
        let has_query = |part: &Part| matches!(part, Part::Text(fixed) if fixed.contains('?'));
        let mut separator = if url.base.0.iter().any(has_query) { '&' } else { '?' };
        let query = if url.keep.is_none() { "" } else { self.request.query.as_str() };
        // The parameters are searched and copied.
        self.budget.pay_bytes(page.len() + 2 * query.len())?;
        let mut is_page_due = true;
        if url.position == PagePosition::First {
            self.page(url, page, &mut separator);
            is_page_due = false;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = decode_form(pair.split_once('=').map_or(pair, |(name, _)| name));
            if name == url.parameter {
                if is_page_due && url.position == PagePosition::Same {
                    self.page(url, page, &mut separator);
                    is_page_due = false;
                }
            } else if url.keep.keeps(&name) {
                self.separate(&mut separator);
                self.push(pair);
            }
        }
        if is_page_due {
            self.page(url, page, &mut separator);
        }
        Ok(())
    }

    /// Writes the parameter with the number of the page.
    fn page(&mut self, url: &PageUrl, page: &str, separator: &mut char) {
        self.separate(separator);
        encode_segment(&url.parameter, self.out);
        self.out.push('=');
        encode_segment(page, self.out);
    }

    /// Writes the character before a parameter: the given one, and an ampersand after that.
    fn separate(&mut self, separator: &mut char) {
        self.out.push(*separator);
        *separator = '&';
    }
}
