//! `GET /value-flags/{name}/explain`: the value that applications would get and the part of the flag that decides, computed by
//! the code of the edge. It is no exposure: nothing is counted.

use crate::{
    access::auth::Caller,
    api::{
        explain_flag::ExplainQuery,
        extract::{FlagPath, Parameters},
        respond::json_response,
        value_flags::find,
    },
    clock,
    platform::Platform,
    problem::Problem,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    FlagName, Ruleset, Timestamp,
    values::{
        document::ValueFlag,
        evaluation::{Decider, EvaluationError},
        explanation::Explanation,
    },
};
use serde_json::{Value, json};

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let question = ExplainQuery::of_context(parameters)?;
    let now = question.at.unwrap_or_else(clock::now);
    let state = platform.store.state().await?;
    let flag = find(&state, &name)?;
    let snapshot = state.snapshot();
    let rules = Ruleset::compile(&snapshot).map_err(|error| {
        tracing::error!(%error, "the stored configuration does not compile");
        Problem::unavailable("configuration_broken", "the stored configuration cannot be evaluated")
    })?;
    let headers = question.headers();
    let facts = question.facts(&headers);
    let explanation = rules
        .explain_value(name.as_str(), question.user.as_deref(), &facts, now)
        .ok_or_else(|| Problem::not_found("flag", name.as_str()))?;
    let mut body = explained(&name, flag, &explanation, now);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("user".to_owned(), json!(question.user));
        fields.insert("revision".to_owned(), json!(state.head.revision));
    }
    Ok(json_response(StatusCode::OK, &body))
}

fn explained(name: &FlagName, flag: &ValueFlag, explanation: &Explanation<'_>, now: Timestamp) -> Value {
    let found = explanation.evaluation.ok();
    let value = found.and_then(|found| serde_json::from_str::<Value>(found.value).ok());
    let (rule, needed) = match explanation.decider {
        Some(Decider::Rule(index)) => (Some(index), None),
        Some(Decider::Prerequisite(index)) => (None, flag.prerequisites.get(index)),
        _ => (None, None),
    };
    let segment = rule.and_then(|index| flag.rules.get(index)).and_then(|rule| rule.segment.as_ref());
    json!({
        "flag": name,
        "at": now,
        "value": value,
        "variant": found.map(|found| found.variant),
        "reason": found.map(|found| found.reason.as_str()),
        "error": explanation.evaluation.err().map(error_code),
        "decided_by": explanation.decider.map(decided_by),
        "rule": rule,
        "segment": segment,
        "prerequisite": needed,
        "schedule": flag.in_force(now).since,
        "bucket": explanation.bucket.map(|bucket| bucket.get()),
        "explanation": explanation.in_words(flag, now),
    })
}

/// Returns the code that applications get in the place of a value, by OFREP.
fn error_code(error: EvaluationError) -> &'static str {
    match error {
        EvaluationError::FlagNotFound => "FLAG_NOT_FOUND",
        EvaluationError::TargetingKeyMissing => "TARGETING_KEY_MISSING",
        EvaluationError::General => "GENERAL",
    }
}

fn decided_by(decider: Decider) -> &'static str {
    match decider {
        Decider::Disabled => "disabled",
        Decider::Prerequisite(_) => "prerequisite",
        Decider::Rule(_) => "rule",
        Decider::Default => "default",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{Facts, Revision, config::Config};

    #[test]
    fn each_decision_names_the_part_of_the_flag_behind_it() {
        let text = "
segments: { staff: { include: [ann] } }
flags:
  colour:
    type: object
    enabled: true
    variants: { a: { n: 1 }, b: { n: 2 } }
    default: { weights: { a: 50, b: 50 } }
    off: a
    rules: [{ segment: staff, variant: b }]
  behind:
    type: boolean
    enabled: true
    variants: { x: true, y: false }
    default: x
    off: y
    prerequisites: [{ flag: colour, variant: a }]
    schedule: [{ at: \"2026-01-01T00:00:00Z\", set: { enabled: true } }]
";
        let config = Config::from_yaml(text).unwrap();
        let rules = Ruleset::compile(&config.clone().snapshot(Revision(1), None)).unwrap();
        let now = "2026-07-03T12:00:00Z".parse().unwrap();
        let asked = |name: &str, user: Option<&str>| {
            let name: FlagName = name.parse().unwrap();
            let explanation = rules.explain_value(name.as_str(), user, &Facts::default(), now).unwrap();
            explained(&name, &config.flags[&name], &explanation, now)
        };
        let staff = asked("colour", Some("ann"));
        assert_eq!((&staff["value"], &staff["variant"]), (&json!({ "n": 2 }), &json!("b")));
        assert_eq!(
            (&staff["decided_by"], &staff["rule"], &staff["segment"]),
            (&json!("rule"), &json!(0), &json!("staff"))
        );
        assert_eq!((&staff["reason"], &staff["schedule"]), (&json!("TARGETING_MATCH"), &Value::Null));
        let behind = asked("behind", Some("ann"));
        assert_eq!(behind["prerequisite"], json!({ "flag": "colour", "variant": "a" }));
        assert_eq!((&behind["decided_by"], &behind["value"]), (&json!("prerequisite"), &json!(false)));
        assert_eq!(behind["schedule"], "2026-01-01T00:00:00Z");
        let nobody = asked("colour", None);
        assert_eq!((&nobody["error"], &nobody["value"]), (&json!("TARGETING_KEY_MISSING"), &Value::Null));
        assert_eq!((&nobody["decided_by"], &nobody["bucket"]), (&json!("default"), &Value::Null));
    }
}
