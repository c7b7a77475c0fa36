//! `GET /openapi.json`: the description of this API. A test joins it from the descriptions beside the handlers, and compares
//! it with the routes.

use crate::access::auth::Caller;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};

pub(super) async fn handle(_: Caller) -> Response {
    let document = include_str!("../../../docs/openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

#[cfg(test)]
mod tests {
    use crate::change::{approval::NEVER_WAITS, operation::Operation};
    use serde_json::Value;
    use std::{collections::BTreeSet, fs, path::Path};

    /// Every endpoint that changes something, by its operation.
    const ENDPOINTS: [(Operation, &str); 35] = [
        (Operation::FlagPut, "PUT /flags/{name}"),
        (Operation::FlagPut, "PATCH /flags/{name}"),
        (Operation::FlagRollout, "PUT /flags/{name}/rollout"),
        (Operation::FlagEnable, "POST /flags/{name}/enable"),
        (Operation::FlagDisable, "POST /flags/{name}/disable"),
        (Operation::FlagDelete, "DELETE /flags/{name}"),
        (Operation::ValueFlagPut, "PUT /value-flags/{name}"),
        (Operation::ValueFlagPut, "PATCH /value-flags/{name}"),
        (Operation::ValueFlagEnable, "POST /value-flags/{name}/enable"),
        (Operation::ValueFlagDisable, "POST /value-flags/{name}/disable"),
        (Operation::ValueFlagDelete, "DELETE /value-flags/{name}"),
        (Operation::SegmentPut, "PUT /segments/{name}"),
        (Operation::SegmentPut, "PATCH /segments/{name}"),
        (Operation::SegmentDelete, "DELETE /segments/{name}"),
        (Operation::RouteDelete, "DELETE /routes/{id}"),
        (Operation::ExperimentPut, "PUT /experiments/{name}"),
        (Operation::ExperimentStart, "POST /experiments/{name}/start"),
        (Operation::ExperimentPause, "POST /experiments/{name}/pause"),
        (Operation::ExperimentStop, "POST /experiments/{name}/stop"),
        (Operation::ExperimentDelete, "DELETE /experiments/{name}"),
        (Operation::ConfigApply, "PUT /config"),
        (Operation::CanaryStart, "POST /canary/{name}/start"),
        (Operation::CanaryRetry, "POST /canary/{name}/retry"),
        (Operation::CanaryPromote, "POST /canary/{name}/promote"),
        (Operation::CanaryApprove, "POST /canary/{name}/approve"),
        (Operation::CanaryPause, "POST /canary/{name}/pause"),
        (Operation::CanaryResume, "POST /canary/{name}/resume"),
        (Operation::CanaryRollback, "POST /canary/{name}/rollback"),
        (Operation::CanaryDelete, "DELETE /canary/{name}"),
        (Operation::EmergencyRollback, "POST /emergency/rollback"),
        (Operation::EmergencyClear, "POST /emergency/clear"),
        (Operation::TokenCreate, "POST /tokens"),
        (Operation::TokenRevoke, "DELETE /tokens/{id}"),
        (Operation::TokenRotate, "POST /tokens/{id}/rotate"),
        (Operation::Restore, "POST /restore"),
    ];

    /// Returns the endpoints of all descriptions, with their responses.
    fn described() -> Vec<(String, Value)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let fragments = files.filter(|path| path.to_string_lossy().ends_with(".openapi.json"));
        let endpoints = fragments.flat_map(|path| {
            let fragment: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            fragment.as_object().unwrap().clone()
        });
        endpoints.map(|(endpoint, operation)| (endpoint, operation["responses"].clone())).collect()
    }

    #[test]
    fn what_never_waits_for_a_second_person_is_not_described_as_waiting() {
        let described = described();
        let waiting: BTreeSet<&str> = described
            .iter()
            .filter(|(_, responses)| responses.get("202").is_some())
            .map(|(endpoint, _)| endpoint.as_str())
            .collect();
        let may_wait: BTreeSet<&str> = ENDPOINTS
            .iter()
            .filter(|(operation, _)| !NEVER_WAITS.contains(operation))
            .map(|(_, endpoint)| *endpoint)
            .collect();
        assert_eq!(waiting, may_wait);
        for (_, endpoint) in ENDPOINTS {
            assert!(described.iter().any(|(known, _)| known == endpoint), "{endpoint}");
        }
    }
}
