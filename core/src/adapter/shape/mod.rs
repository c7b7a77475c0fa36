//! Shapes: a small language that maps one JSON value to another. A shape is a list of steps, each
//! of which takes the result of the step before.

pub(crate) mod budget;
mod convert;
pub(crate) mod diagnose;
mod nested;
mod prepared;
mod run;
pub(crate) mod step;
#[cfg(test)]
mod tests;
mod text;
mod write;
