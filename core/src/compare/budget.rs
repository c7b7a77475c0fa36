//! Limits on the work of a comparison, which runs in the same thread as the requests of its isolate.

/// Limits on the comparison of two values.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest number of steps. A pair of values is one step, and so is each name of a field and
    /// each item of a list on either side, before they are paired. Lists without keys that differ
    /// take one more step for each value inside, on both sides. Pairing sorts, so a step may stand
    /// for as many comparisons of strings as the logarithm of the number of names or items.
    pub work: u32,
    /// Largest number of differences to list; a longer list would help no reader.
    pub differences: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { work: 400_000, differences: 64 }
    }
}

/// The error of a comparison that takes more work than [`Limits::work`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

/// The steps that a comparison has left.
#[derive(Debug)]
pub(super) struct Budget(u32);

impl Budget {
    /// A budget of the given number of steps.
    pub(super) fn of(work: u32) -> Self {
        Self(work)
    }

    /// Pays for steps before they are taken. Fails if fewer are left.
    pub(super) fn pay(&mut self, steps: usize) -> Result<(), TooMuch> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.checked_sub(steps));
        self.0 = left.ok_or(TooMuch)?;
        Ok(())
    }
}
