//! The shapes inside a shape: those that its steps consist of, and the named ones that they refer to.

use crate::adapter::shape::step::{Field, Shape, Step};

impl Step {
    /// Returns the shapes that the step consists of.
    pub(crate) fn shapes(&self) -> Vec<&Shape> {
        match self {
            Self::Object(fields) | Self::Add(fields) => fields.iter().map(|Field(_, shape)| shape).collect(),
            Self::Each(shape) => vec![shape],
            Self::Coalesce(shapes) => shapes.iter().collect(),
            _ => Vec::new(),
        }
    }

    #[cfg(feature = "config")]
    fn shapes_mut(&mut self) -> Vec<&mut Shape> {
        match self {
            Self::Object(fields) | Self::Add(fields) => {
                fields.iter_mut().map(|Field(_, shape)| shape).collect()
            }
            Self::Each(shape) => vec![shape],
            Self::Coalesce(shapes) => shapes.iter_mut().collect(),
            _ => Vec::new(),
        }
    }
}

impl Shape {
    /// Returns the number of shapes inside each other, this one included; `named` has the numbers of
    /// the named shapes. Returns `None` if a step refers to a shape that is not among them.
    pub(crate) fn levels(&self, named: &[usize]) -> Option<usize> {
        let mut most = 0;
        for step in &self.0 {
            let levels = match step {
                Step::Shape(index) => *named.get(usize::try_from(*index).ok()?)?,
                step => step
                    .shapes()
                    .into_iter()
                    .try_fold(0_usize, |most, shape| Some(most.max(shape.levels(named)?)))?,
            };
            most = most.max(levels);
        }
        Some(most + 1)
    }

    /// Returns the shape with each reference to a named shape replaced by the steps that `steps_of`
    /// returns for it.
    #[cfg(feature = "config")]
    pub(crate) fn replaced(&self, steps_of: &dyn Fn(u32) -> Vec<Step>) -> Self {
        let mut steps = Vec::with_capacity(self.0.len());
        for step in &self.0 {
            if let Step::Shape(index) = step {
                steps.extend(steps_of(*index));
                continue;
            }
            let mut step = step.clone();
            for shape in step.shapes_mut() {
                *shape = shape.replaced(steps_of);
            }
            steps.push(step);
        }
        Self(steps)
    }

    /// Returns the shape with the named shapes written out. A reference to a shape that is missing,
    /// or that is not before the one that refers to it, stays as it is.
    #[cfg(feature = "config")]
    pub fn expanded(&self, named: &[Self]) -> Self {
        self.replaced(&|index: u32| {
            let position = usize::try_from(index).unwrap_or(usize::MAX);
            match named.get(..position).zip(named.get(position)) {
                Some((before, shape)) => shape.expanded(before).0,
                None => vec![Step::Shape(index)],
            }
        })
    }
}
