//! Texts with places that are written for each item of a list.

use crate::{
    adapter::{
        shape::{
            budget::{BYTES_PER_STEP, Budget, ShapeError},
            step::Step,
            text::Written,
        },
        template::{Part, encode_segment},
    },
    json::{Value, write::write_content},
};
use std::borrow::Cow;

/// A text whose places are all in the value at hand. What does not depend on the value is done once: its fixed
/// parts are escaped, and its steps are counted.
pub(super) struct PreparedText<'s> {
    segments: Vec<Segment<'s>>,
    /// The text after the last place, as JSON, with the quote at its end.
    end: String,
    /// The steps that it takes, without those for the bytes of its values.
    steps: usize,
    is_url: bool,
}

/// A place, and the text before it.
struct Segment<'s> {
    /// The text as JSON; that of the first segment begins with a quote.
    before: String,
    path: &'s [String],
}

impl<'s> PreparedText<'s> {
    /// Prepares the text of a step. Returns `None` for other steps, and for texts with places in the request.
    pub(super) fn new(step: &'s Step) -> Option<Self> {
        let (template, is_url) = match step {
            Step::Text(template) => (template, false),
            Step::Url(template) => (template, true),
            _ => return None,
        };
        let mut segments = Vec::new();
        let mut fixed = "\"".to_owned();
        let mut steps = 1;
        for part in &template.0 {
            steps += 1;
            match part {
                Part::Text(text) => {
                    steps += text.len() / BYTES_PER_STEP;
                    write_content(text, &mut fixed);
                }
                Part::Value(path) => segments.push(Segment { before: std::mem::take(&mut fixed), path }),
                Part::Request(_) => return None,
            }
        }
        fixed.push('"');
        Some(Self { segments, end: fixed, steps, is_url })
    }

    /// Appends the text as JSON. `first` is the field that the first path begins with, if it was found already.
    /// Unless the result is [`Written::Whole`], `out` ends in an incomplete text.
    ///
    /// # Errors
    ///
    /// Fails if a place is an object or a list, or if the budget is used up.
    pub(super) fn write(
        &self,
        value: Value<'_>,
        mut first: Option<Value<'_>>,
        budget: &mut Budget,
        out: &mut String,
    ) -> Result<Written, ShapeError> {
        budget.pay(self.steps)?;
        let mut result = Written::Whole;
        for Segment { before, path } in &self.segments {
            let found = match first.take() {
                Some(first) => first.at_path(path.get(1..).unwrap_or_default()),
                None if value.is_null() => Some(value),
                None => value.at_path(path),
            };
            let Some(found) = found else { return Ok(Written::Absent) };
            if found.is_null() {
                result = Written::Null;
                continue;
            }
            if found.is_list() || found.is_object() {
                return Err(ShapeError::Unfit);
            }
            out.push_str(before);
            let text = found.plain();
            if self.is_url {
                // Each byte may become three, whose characters have no escapes in JSON.
                budget.pay_bytes(3 * text.len())?;
                encode_segment(&text, out);
            } else {
                budget.pay_bytes(text.len())?;
                match text {
                    // It has no escapes in the source, and needs none.
                    Cow::Borrowed(text) => out.push_str(text),
                    Cow::Owned(text) => write_content(&text, out),
                }
            }
        }
        out.push_str(&self.end);
        Ok(result)
    }
}
