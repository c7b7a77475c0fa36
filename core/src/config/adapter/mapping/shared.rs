//! Named shapes in compiled programs: one that several mappings use is stored once.

use crate::adapter::{Backend, Program, Shape, Step};

/// Largest shape that is written out at each use, in bytes of JSON: a reference is hardly smaller.
const SMALL: usize = 40;

/// The named shapes that mappings use. Each refers only to those before it.
#[derive(Default)]
pub(crate) struct SharedShapes(Vec<Shape>);

impl SharedShapes {
    /// Returns the shapes that steps refer to until [`Self::share`] is called.
    pub(crate) fn as_slice(&self) -> &[Shape] {
        &self.0
    }

    /// Returns a shape that refers to the given one. The paths that a shape begins with are repeated at
    /// each use: the steps after them need only that part of the value.
    pub(super) fn reference(&mut self, shape: Shape) -> Shape {
        let Shape(mut steps) = shape;
        let paths = steps.iter().take_while(|step| matches!(step, Step::Get(_))).count();
        let rest = Shape(steps.split_off(paths));
        if matches!(rest.0.as_slice(), [] | [Step::Shape(_)]) {
            steps.extend(rest.0);
            return Shape(steps);
        }
        // The steps of a shape do not depend on its use; if they ever did, these would be two shapes.
        let position = self.0.iter().position(|held| *held == rest).unwrap_or(self.0.len());
        if position == self.0.len() {
            self.0.push(rest);
        }
        // There are fewer shapes than steps, whose number is limited.
        steps.push(Step::Shape(u32::try_from(position).unwrap_or(u32::MAX)));
        Shape(steps)
    }

    /// Stores the shapes in a program whose mappings refer to them. Small ones, and those that are used
    /// once, are written out instead.
    pub(crate) fn share(self, program: &mut Program) {
        let Self(shapes) = self;
        let mut uses = vec![0; shapes.len()];
        for shape in program.mappings() {
            count(shape, 1, &mut uses);
        }
        let mut is_stored = vec![false; shapes.len()];
        // The uses of a shape are known when all later ones have been counted.
        for (index, (shape, is_stored)) in shapes.iter().zip(&mut is_stored).enumerate().rev() {
            let times = uses.get(index).copied().unwrap_or_default();
            *is_stored = times > 1 && !is_small(shape);
            count(shape, if *is_stored { 1 } else { times }, &mut uses);
        }
        // For each shape, the steps that take the place of a reference to it.
        let mut written: Vec<Vec<Step>> = Vec::with_capacity(shapes.len());
        for (shape, is_stored) in shapes.iter().zip(is_stored) {
            let shape = shape.replaced(&|index| steps_of(&written, index));
            if is_stored {
                written.push(vec![Step::Shape(u32::try_from(program.shapes.len()).unwrap_or(u32::MAX))]);
                program.shapes.push(shape);
            } else {
                written.push(shape.0);
            }
        }
        for shape in mappings_mut(program) {
            *shape = shape.replaced(&|index| steps_of(&written, index));
        }
    }
}

/// Returns the [mappings](Program::mappings) of a program, to be changed.
fn mappings_mut(program: &mut Program) -> Vec<&mut Shape> {
    let mut mappings = vec![&mut program.errors.envelope];
    mappings.extend(program.errors.read.as_mut());
    for route in &mut program.routes {
        mappings.extend(route.response.as_mut());
        if let Backend::Rest(_, _, body) = &mut route.backend {
            mappings.extend(body.as_mut());
        }
    }
    mappings
}

/// Counts the references of a shape that is written out a number of times.
fn count(shape: &Shape, times: usize, uses: &mut [usize]) {
    for step in &shape.0 {
        if let Step::Shape(index) = step
            && let Some(uses) = usize::try_from(*index).ok().and_then(|index| uses.get_mut(index))
        {
            *uses = uses.saturating_add(times);
        }
        for shape in step.shapes() {
            count(shape, times, uses);
        }
    }
}

fn is_small(shape: &Shape) -> bool {
    serde_json::to_string(shape).is_ok_and(|text| text.len() <= SMALL)
}

fn steps_of(written: &[Vec<Step>], index: u32) -> Vec<Step> {
    let steps = usize::try_from(index).ok().and_then(|index| written.get(index));
    steps.cloned().unwrap_or_else(|| vec![Step::Shape(index)])
}
