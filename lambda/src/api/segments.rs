//! `GET /segments` and `GET /segments/{name}`, and the JSON form of a segment in every response.

use crate::{
    access::auth::Caller,
    api::{
        extract::{Page, Parameters, SegmentPath},
        object_list::object_list,
        respond::{json_response, with_meta},
    },
    platform::Platform,
    problem::Problem,
    store::{Meta, State as Truth},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    FlagName,
    config::{Config, nearest},
    values::document::Segment,
    vocabulary::names::SegmentName,
};
use serde_json::{Value, json};

/// Section of the configuration that holds the segments.
pub(super) const SECTION: &str = "segments";

/// Fields of a segment that responses to GET compute.
pub(super) const COMPUTED: [&str; 1] = ["flags"];

pub(super) fn segment_json(name: &SegmentName, segment: &Segment, meta: Option<&Meta>) -> Value {
    let body = json!({
        "name": name,
        "description": segment.description,
        "conditions": segment.conditions,
        "include": segment.include,
        "exclude": segment.exclude,
    });
    with_meta(body, meta)
}

/// Returns a segment as JSON, with the flags whose rules name it.
fn shown(state: &Truth, name: &SegmentName, segment: &Segment) -> Value {
    let mut body = segment_json(name, segment, state.meta(SECTION, name.as_str()));
    if let Some(fields) = body.as_object_mut() {
        let flags: Vec<&FlagName> = users(&state.config, name).collect();
        fields.insert("flags".to_owned(), json!(flags));
    }
    body
}

pub(super) async fn list(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let segments = state.config.segments.iter().map(|entry| (entry.0.as_str(), entry));
    object_list(&page, &state, "segments", segments, |(name, segment)| shown(&state, name, segment))
}

/// Returns one segment, always as a whole: the flags that name it change without a new version of it.
pub(super) async fn one(
    _: Caller,
    State(platform): State<Platform>,
    SegmentPath(name): SegmentPath,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let segment = find(&state, &name)?;
    Ok(json_response(StatusCode::OK, &shown(&state, &name, segment)))
}

/// Finds a segment by its name.
///
/// # Errors
///
/// Returns the problem `not_found` if there is none, with the segment that was most likely meant.
pub(super) fn find<'t>(state: &'t Truth, name: &SegmentName) -> Result<&'t Segment, Problem> {
    let segments = &state.config.segments;
    segments.get(name).ok_or_else(|| {
        let missing = Problem::not_found("segment", name.as_str());
        match nearest(name.as_str(), segments.keys().map(SegmentName::as_str)) {
            Some(near) => Problem { hint: format!("did you mean {near}?"), ..missing },
            None => missing,
        }
    })
}

/// Iterates over the flags with values whose rules name a segment.
pub(super) fn users<'c>(config: &'c Config, name: &SegmentName) -> impl Iterator<Item = &'c FlagName> {
    let flags = config.flags.iter();
    let users =
        flags.filter(move |(_, flag)| flag.rules.iter().any(|rule| rule.segment.as_ref() == Some(name)));
    users.map(|(flag, _)| flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_shown_with_the_flags_that_name_it() {
        let text = "
segments: { staff: { include: [ann] }, beta: { include: [bob] } }
flags:
  a: { type: string, variants: { x: X }, default: x, off: x, rules: [{ segment: staff, variant: x }] }
  b: { type: string, variants: { x: X }, default: x, off: x }
";
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(text).unwrap();
        let shown_of = |name: &str| {
            let name = name.parse().unwrap();
            find(&truth, &name).map(|segment| shown(&truth, &name, segment))
        };
        assert_eq!(shown_of("staff").unwrap()["flags"], json!(["a"]));
        assert_eq!(shown_of("beta").unwrap()["flags"], json!([]));
        assert_eq!(shown_of("staf").unwrap_err().hint, "did you mean staff?");
        assert_eq!(shown_of("zzzzzz").unwrap_err().hint, "list the segments, and check the spelling");
    }
}
