//! `GET /experiments/{name}/records?after=&limit=`: the judgements of an experiment whose conclusion was another one than before,
//! and the last ones of each phase, oldest first, with all of their inputs, so that `cutover experiment replay` can repeat them. What
//! was found while results were hidden is left out of them, unless the query has `hidden=include`.

use crate::{
    access::auth::Caller,
    api::{
        experiments::find,
        extract::{ExperimentPath, Parameters},
        measured::{is_hidden, shown_tests},
        pages::{PageLimit, must_be_a_position},
        respond::json_response,
    },
    platform::Platform,
    problem::Problem,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::experiment::Record;
use serde::Deserialize;
use serde_json::{Value, json};

const LIMIT: PageLimit = PageLimit { default: 100, max: 500, next: "after" };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    after: String,
    limit: Option<usize>,
    hidden: Option<Hidden>,
}

/// Records of judgements that were made while results were hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hidden {
    /// They are whole, to be judged again.
    Include,
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    ExperimentPath(name): ExperimentPath,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Problem> {
    let limit = LIMIT.check(query.limit)?;
    must_be_a_position(&query.after)?;
    find(&platform.store.state().await?, &name)?;
    let (records, next) = platform.store.experiment_records(&name, &query.after, limit).await?;
    let is_whole = query.hidden == Some(Hidden::Include);
    let records: Vec<Value> =
        records.iter().map(|record| if is_whole { json!(record) } else { shown(record) }).collect();
    Ok(json_response(StatusCode::OK, &json!({ "records": records, "next_after": next })))
}

/// Returns a record as JSON. If results were hidden when it was made, it has what they showed then: the users of each variant, the
/// tests of the split, and guardrails that fire.
fn shown(record: &Record) -> Value {
    if !is_hidden(&record.judgement) {
        return json!(record);
    }
    let mut shown = record.clone();
    shown.judgement.tests = shown_tests(&record.judgement).cloned().collect();
    for sums in shown.figures.running.iter_mut().chain(&mut shown.figures.matured) {
        sums.metrics.clear();
    }
    shown.figures.guardrails = None;
    let mut shown = json!(shown);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("is_withheld".to_owned(), json!(true));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        Timestamp,
        config::Config,
        experiment::{
            Arrivals, Conclusion, DEFAULT_CAPACITY, Design, Phase, PhaseIdentity, TestKind, replay,
        },
        measurement::{
            batch::Batch,
            experiments::{ExperimentPart, Exposure, UserOutcome},
        },
    };

    /// Returns a record of this many users of control and treatment, all of whom converted.
    fn record(users: [u64; 2]) -> Record {
        let text = "experiments: { e: { name: E, success_metrics: [order, error_rate], variants: { control: C, treatment: T } } }";
        let (name, experiment) = Config::from_yaml(text).unwrap().ab_tests.pop_first().unwrap();
        let identity = PhaseIdentity { experiment: name.clone(), phase: 1, began: Timestamp::from_millis(0) };
        let mut phase = Phase::begin(identity, Design::of(&experiment), DEFAULT_CAPACITY);
        let mut part = ExperimentPart::empty(name.clone(), 1, 10);
        for (variant, users) in [(0, users[0]), (1, users[1])] {
            for user in (1..=users).map(|number| number + 100_000 * u64::from(variant)) {
                part.exposures.push(Exposure { user, variant, after_s: 0 });
                part.outcomes.push(UserOutcome { user, metric: 0, after_s: 1, value: None, id: None });
            }
        }
        let mut arrivals = Arrivals::new(name, 1);
        arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) });
        phase.fold(&arrivals, Timestamp::from_millis(60_000));
        phase.judged(Timestamp::from_millis(60_000), "test")
    }

    #[test]
    fn figures_of_hidden_results_are_withheld_and_a_replay_gets_them() {
        let hidden = record([1_000, 10]);
        assert_eq!(hidden.judgement.conclusion, Conclusion::Hidden { variant: 1 });
        let shown = shown(&hidden);
        assert_eq!(shown["is_withheld"], true);
        assert_eq!(shown["figures"]["running"][0], json!({ "users": 1_000, "metrics": [] }));
        assert_eq!(shown["figures"]["matured"][0]["metrics"], json!([]));
        let kinds: Vec<&Value> =
            shown["judgement"]["tests"].as_array().unwrap().iter().map(|test| &test["kind"]).collect();
        assert_eq!(kinds, ["sample_ratio"]);
        // Whole records can be judged again, those without figures cannot.
        let whole: Record = serde_json::from_value(json!(hidden)).unwrap();
        assert!(replay(&[whole]).is_empty());
        let withheld: Record = serde_json::from_value(shown).unwrap();
        assert!(!replay(&[withheld]).is_empty());
    }

    #[test]
    fn other_records_are_whole() {
        let held = record([100, 90]);
        assert_eq!(shown(&held), json!(held));
        assert!(held.judgement.tests.iter().any(|test| test.kind == TestKind::Primary));
    }

    #[test]
    fn hidden_records_are_asked_for_by_name() {
        let hidden = |text: &str| serde_json::from_value::<Hidden>(json!(text)).ok();
        assert_eq!((hidden("include"), hidden("true")), (Some(Hidden::Include), None));
    }
}
