//! Reads one flag with values or one segment from a document of its own.

use super::{
    document::Config,
    reading::{Cursor, Names, Node, Problem, Problems},
    values,
};
use crate::{
    values::document::{Segment, ValueFlag},
    vocabulary::names::FlagName,
};

/// Reads one flag with values from a request body. The segments and the prerequisites that it names must be in `live`, or be
/// the flag itself, which [`Config::check`] then reports as a circle.
///
/// # Errors
///
/// Returns all mistakes in the flag.
pub fn value_flag_from_json(
    name: &FlagName,
    value: &serde_json::Value,
    live: &Config,
) -> Result<ValueFlag, Vec<Problem>> {
    let node = Node::from_json(value);
    let problems = Problems::default();
    let flags = live.feature_flags.keys().map(|name| name.as_str()).collect();
    let value_flags = live.flags.keys().chain([name]).map(|name| name.as_str()).collect();
    let segments = live.segments.keys().map(|name| name.as_str()).collect();
    let names = Names::of_value_flag(flags, value_flags, segments);
    let flag = values::read(&Cursor::root(&node, &problems), &names);
    problems.finish(flag)
}

/// Reads one segment from a request body.
///
/// # Errors
///
/// Returns all mistakes in the segment.
pub fn segment_from_json(value: &serde_json::Value) -> Result<Segment, Vec<Problem>> {
    let node = Node::from_json(value);
    let problems = Problems::default();
    let segment = values::segment(&Cursor::root(&node, &problems));
    problems.finish(segment)
}
