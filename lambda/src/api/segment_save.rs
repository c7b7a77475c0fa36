//! `PUT /segments/{name}`: creates or replaces a segment. `PATCH` changes some of its fields, and `DELETE` removes it unless a
//! flag names it.

use crate::{
    api::{
        extract::SegmentPath,
        object_body::{NamedObject, merge},
        segments::{COMPUTED, SECTION, find, segment_json, users},
    },
    change::{
        commit::change,
        demand::ChangeRequest,
        operation::Operation,
        proposal::{ChangeResponse, Proposal},
    },
    platform::Platform,
    problem::Problem,
    store::{EmergencyChange, Role, State as Truth},
};
use axum::{extract::State, http::StatusCode};
use cutover_core::{
    FlagName, config::segment_from_json, values::document::Segment, vocabulary::names::SegmentName,
};
use serde_json::{Value, json};

pub(super) async fn put(
    State(platform): State<Platform>,
    SegmentPath(name): SegmentPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let segment = read(&body_of(&name, demand.json()?)?)?;
    change(&platform, &demand, Operation::SegmentPut, |truth| {
        demand.must_be_as_seen(truth, "segment", SECTION, name.as_str())?;
        Ok(saved(truth, &name, segment.clone()))
    })
    .await
}

/// Changes the fields of a segment that a merge patch names. Lists of users are replaced.
pub(super) async fn patch(
    State(platform): State<Platform>,
    SegmentPath(name): SegmentPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Operator)?;
    let patch = body_of(&name, demand.json()?)?;
    change(&platform, &demand, Operation::SegmentPut, |truth| {
        find(truth, &name)?;
        demand.must_be_as_seen(truth, "segment", SECTION, name.as_str())?;
        let mut body = truth.config.object(SECTION, name.as_str()).unwrap_or_default();
        merge(&mut body, patch.clone());
        Ok(saved(truth, &name, read(&body)?))
    })
    .await
}

pub(super) async fn delete(
    State(platform): State<Platform>,
    SegmentPath(name): SegmentPath,
    demand: ChangeRequest,
) -> Result<ChangeResponse, Problem> {
    demand.caller.must_be(Role::Admin)?;
    demand.must_have_no_body()?;
    change(&platform, &demand, Operation::SegmentDelete, |truth| {
        find(truth, &name)?;
        demand.must_be_as_seen(truth, "segment", SECTION, name.as_str())?;
        let flags: Vec<&str> = users(&truth.config, &name).map(FlagName::as_str).collect();
        if !flags.is_empty() {
            let detail = format!("rules name the segment {name}: those of {}", flags.join(", "));
            let hint = "remove these rules first, or have the segment include other users";
            return Err(Problem::new(StatusCode::CONFLICT, "segment_in_use", detail, hint));
        }
        let mut config = truth.config.clone();
        config.segments.remove(&name);
        Ok(Proposal::of_deletion(config, json!({ "deleted": name })))
    })
    .await
}

/// Returns a body without the fields that the server maintains: a response may be sent back, and its name must match the path.
fn body_of(name: &SegmentName, body: Value) -> Result<Value, Problem> {
    NamedObject { kind: "segment", field: "name", name: name.as_str() }.without_kept(&COMPUTED, body)
}

fn read(body: &Value) -> Result<Segment, Problem> {
    segment_from_json(body).map_err(Problem::invalid_document)
}

/// Proposes the state with a segment saved, with that segment as the response.
fn saved(truth: &Truth, name: &SegmentName, segment: Segment) -> Proposal {
    let mut config = truth.config.clone();
    let is_created = config.segments.insert(name.clone(), segment.clone()).is_none();
    let name = name.clone();
    Proposal {
        config,
        emergency: EmergencyChange::Keep,
        others: Vec::new(),
        answer: Box::new(move |outcome| {
            let status = if is_created { StatusCode::CREATED } else { StatusCode::OK };
            let meta = outcome.meta(SECTION, name.as_str());
            (status, segment_json(&name, &segment, meta.as_ref()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_was_shown_is_read_back_as_the_same_one() {
        let name: SegmentName = "staff".parse().unwrap();
        let written = json!({
            "description": "Us", "include": ["ann"], "exclude": ["eve"],
            "conditions": [{ "type": "attribute", "name": "country", "op": "in", "values": ["NO"] }],
        });
        let segment = read(&written).unwrap();
        let mut shown = segment_json(&name, &segment, None);
        shown["flags"] = json!(["f"]);
        assert_eq!(read(&body_of(&name, shown).unwrap()).unwrap(), segment);
        assert_eq!(read(&json!({ "users": [] })).unwrap_err().code, "invalid");
    }
}
