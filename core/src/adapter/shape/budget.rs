//! The inputs and the limits of a shape's evaluation.

use crate::{
    adapter::{
        request::Request,
        shape::step::{Shape, Step},
    },
    vocabulary::timestamp::Timestamp,
};

/// An error that keeps a shape from being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The value does not have the form that the shape expects.
    #[error("the value does not have the form that the shape expects")]
    Unfit,
    /// The work or the result would exceed the [`Budget`].
    #[error("the value is too large for the budget of the shape")]
    TooMuch,
}

/// Bytes that are searched or copied in the time of one step, about.
pub(super) const BYTES_PER_STEP: usize = 32;

/// The number of steps that a shape may still take.
#[derive(Debug, Clone, Copy)]
pub struct Budget(u32);

impl Default for Budget {
    /// A budget of two million steps, enough for a response of a few megabytes.
    fn default() -> Self {
        Self(2_000_000)
    }
}

impl Budget {
    /// Returns a budget of the given number of steps.
    pub fn of(steps: u32) -> Self {
        Self(steps)
    }

    pub(crate) fn pay(&mut self, steps: usize) -> Result<(), ShapeError> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.checked_sub(steps));
        self.0 = left.ok_or(ShapeError::TooMuch)?;
        Ok(())
    }

    /// Pays for bytes of a string that are searched or copied.
    pub(crate) fn pay_bytes(&mut self, bytes: usize) -> Result<(), ShapeError> {
        self.pay(bytes / BYTES_PER_STEP)
    }
}

/// The inputs of a shape in addition to the current value.
#[derive(Debug, Clone, Copy)]
pub struct EvalContext<'p> {
    /// The client's request.
    pub request: &'p Request,
    /// The current time.
    pub now: Timestamp,
    /// The named shapes that steps refer to. Each refers only to those before it.
    pub shapes: &'p [Shape],
}

impl<'p> EvalContext<'p> {
    /// Returns the steps of a named shape, or `None` if there is no such shape.
    pub(crate) fn named(self, index: u32) -> Option<&'p [Step]> {
        let shape = self.shapes.get(usize::try_from(index).ok()?)?;
        Some(shape.0.as_slice())
    }

    /// Returns the steps of the named shape that a row consists of, or the row itself if it has other
    /// steps.
    pub(crate) fn resolved(self, row: &'p [Step]) -> &'p [Step] {
        let mut steps = row;
        while let [Step::Shape(index)] = steps
            && let Some(named) = self.named(*index)
        {
            steps = named;
        }
        steps
    }

    /// Returns the first step of a row; for a named shape, the step that it begins with.
    pub(crate) fn first(self, row: &'p [Step]) -> Option<&'p Step> {
        let mut first = row.first()?;
        while let Step::Shape(index) = first
            && let Some(step) = self.named(*index).and_then(|named| named.first())
        {
            first = step;
        }
        Some(first)
    }
}
