//! Experiments that tests count without isolates: batches of users whose variants and events are known.

use crate::client::Management;
use cutover_core::{
    ExperimentName,
    measurement::{
        batch::Batch,
        experiments::{ExperimentPart, Exposure, GuardrailEvent, UserOutcome},
    },
};
use cutover_lambda::clock;
use serde_json::{Value, json};

/// Position of the guardrail of [`document`], an error of a user.
pub const ERROR: u8 = 0;

/// Position of the primary metric of [`document`], an order of a user.
pub const ORDER: u8 = 1;

/// Users whose errors are harm beyond any doubt, if all of them are of one variant.
const HARMED: u64 = 40;

/// Returns an experiment that runs, with the variants control and treatment, whose arms decide a flag if one is given.
pub fn document(flag: Option<&str>) -> Value {
    let variant = |key: &str, arm: &str| {
        let mut variant = json!({ "key": key, "name": key, "traffic_percentage": 50 });
        if flag.is_some() {
            variant["arm"] = json!(arm);
        }
        variant
    };
    json!({
        "name": "Counted",
        "state": "running",
        "flag": flag,
        "success_metrics": ["error_rate", "order"],
        "variants": [variant("control", "legacy"), variant("treatment", "new")],
    })
}

/// A user of a batch: hash, variant, and positions of the metrics of the user's events.
#[derive(Debug, Clone)]
pub struct CountedUser {
    /// Keyed hash of the user.
    pub hash: u64,
    /// Position of the variant.
    pub variant: u8,
    /// Metrics of which the user has an event.
    pub events: Vec<u8>,
}

/// A phase of an experiment that is counted.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Name of the experiment.
    pub name: ExperimentName,
    /// Number of the phase.
    pub phase: u32,
}

impl Counted {
    /// Creates an experiment without a flag, which runs.
    pub async fn begin(root: &Management, name: &str) -> Self {
        Self::begin_with(root, name, &document(None)).await
    }

    /// Creates an experiment.
    pub async fn begin_with(root: &Management, name: &str, document: &Value) -> Self {
        let saved = root.put(&format!("/experiments/{name}"), document).await.expect(201).body;
        let phase = saved["phase"].as_u64().and_then(|phase| u32::try_from(phase).ok()).expect("a phase");
        Self { name: name.parse().expect("a name"), phase }
    }

    /// Returns a batch in which users were exposed, and had their events a second later.
    pub fn batch(&self, isolate: String, sequence: u64, users: &[CountedUser]) -> Batch {
        let since = clock::now().millis() / 1_000 - 60;
        let mut part = ExperimentPart::empty(self.name.clone(), self.phase, since);
        for CountedUser { hash, variant, events } in users {
            part.exposures.push(Exposure { user: *hash, variant: *variant, after_s: 0 });
            part.outcomes.extend(events.iter().map(|metric| UserOutcome {
                user: *hash,
                metric: *metric,
                after_s: 1,
                value: None,
                id: None,
            }));
        }
        Batch { experiments: vec![part], ..Batch::empty(isolate, sequence) }
    }

    /// Returns a batch in which users of treatment have errors.
    pub fn harmed(&self, isolate: String, sequence: u64) -> Batch {
        let user = |hash: u64| CountedUser { hash, variant: 1, events: vec![ERROR] };
        let users: Vec<CountedUser> = (1..=HARMED).map(user).collect();
        self.batch(isolate, sequence, &users)
    }

    /// Returns a batch that has errors of users of treatment as events of a guardrail alone: an isolate leaves the
    /// users out of all else.
    pub fn guarded(&self, isolate: String, sequence: u64) -> Batch {
        let event = |user: u64| GuardrailEvent { user, variant: 1, metrics: 1 << ERROR, after_s: 0 };
        let part = ExperimentPart {
            guardrails: (1..=HARMED).map(event).collect(),
            ..ExperimentPart::empty(self.name.clone(), self.phase, clock::now().millis() / 1_000)
        };
        Batch { experiments: vec![part], ..Batch::empty(isolate, sequence) }
    }
}
