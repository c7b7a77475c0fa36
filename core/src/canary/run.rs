//! A run: one attempt to raise a flag through the steps of its plan. A retry is a new run.

use crate::{
    canary::{
        breach::Breach,
        plan::{CanaryPlan, Criteria},
    },
    measurement::label::{CanaryLabel, SlowLimits},
    vocabulary::{
        names::{FlagName, RunId},
        share::PartsPerMillion,
        timestamp::Timestamp,
    },
};
use serde::{Deserialize, Serialize};

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// The run advances through its steps.
    Running,
    /// The run stays at its step until an operator resumes it. A breach still rolls it back.
    Paused,
    /// The run has passed its last step and is being watched.
    Baking,
    /// The run ended after the watch.
    Completed,
    /// The run ended with all users back on legacy.
    RolledBack,
}

impl RunState {
    /// Returns true if the run still controls its flag's share.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Baking)
    }

    /// Returns the name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Baking => "baking",
            Self::Completed => "completed",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// Identity of a new run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunIdentity {
    /// Identifier of the run.
    pub id: RunId,
    /// Secret key of its user hashes, 32 hexadecimal digits.
    pub key: Option<String>,
}

/// A run of a canary, with the plan that it was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Identifier of the run.
    pub id: RunId,
    /// Secret key of the run's user hashes, 32 hexadecimal digits. `None` for a run that was started
    /// by an earlier version: no users are known, and none are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Salt that users are bucketed with during the run, instead of the flag's. A retry after a
    /// rollback has its own: else it would meet the same users on the same arm, and a false rollback
    /// would repeat itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Flag that the run controls.
    pub flag: FlagName,
    /// Plan that it was started with.
    pub plan: CanaryPlan,
    /// Current state.
    pub state: RunState,
    /// Current step, from 0; one beyond the last during and after the watch.
    pub step: u32,
    /// Time at which the run was started.
    pub started_at: Timestamp,
    /// Operator who started it.
    pub started_by: String,
    /// Time at which the current step began, or was resumed.
    pub step_started_at: Timestamp,
    /// Time of the last step up, if the run was resumed or its plan was changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stepped_up_at: Option<Timestamp>,
    /// Step that an operator has approved entering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<u32>,
    /// Reason for the current state, for operators.
    pub reason: String,
    /// Cause of the rollback, if the run was rolled back by a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<Breach>,
}

impl Run {
    /// Starts a run at its first step.
    pub fn start(identity: RunIdentity, flag: FlagName, plan: CanaryPlan, now: Timestamp, by: &str) -> Self {
        Self {
            id: identity.id,
            key: identity.key,
            salt: None,
            flag,
            plan,
            state: RunState::Running,
            step: 0,
            started_at: now,
            started_by: by.to_owned(),
            step_started_at: now,
            stepped_up_at: None,
            approved: None,
            reason: "started".to_owned(),
            breach: None,
        }
    }

    /// Returns the flag's share at the current step; zero after a rollback.
    pub fn share(&self) -> PartsPerMillion {
        if self.state == RunState::RolledBack {
            return PartsPerMillion::ZERO;
        }
        self.plan.share_at(self.step)
    }

    /// Returns the time of the last step up: that from which users have been on the new arm who were not before.
    pub(crate) fn last_step_up(&self) -> Timestamp {
        self.stepped_up_at.unwrap_or(self.step_started_at)
    }

    /// Returns the number of steps in the plan.
    pub fn step_count(&self) -> u32 {
        u32::try_from(self.plan.steps().len()).unwrap_or(u32::MAX)
    }

    /// Returns true if the run has passed its last step.
    pub fn is_past_last_step(&self) -> bool {
        self.step >= self.step_count()
    }

    /// Returns true if the run may enter its next step only after an approval that it does not have.
    pub fn lacks_approval(&self) -> bool {
        let next = self.step + 1;
        let steps = self.plan.steps();
        let share = usize::try_from(next).ok().and_then(|index| steps.get(index));
        let is_guarded = share.is_some_and(|share| self.plan.options.approval_before.contains(share));
        is_guarded && self.approved != Some(next)
    }

    /// Returns the label that the edge attaches to its counts; `None` once the run is over.
    pub fn label(&self) -> Option<CanaryLabel> {
        let CanaryPlan { success_criteria, rollback_criteria, options, .. } = &self.plan;
        let all = slow_limits(success_criteria, rollback_criteria);
        let own = options
            .route_criteria
            .iter()
            .map(|(route, own)| (route.clone(), slow_limits(&own.success_criteria, &own.rollback_criteria)));
        self.state.is_active().then(|| CanaryLabel {
            run: self.id.clone(),
            step: self.step,
            share: self.share(),
            key: self.key.clone(),
            slow_success_ms: all.slow_success_ms,
            slow_rollback_ms: all.slow_rollback_ms,
            routes: own.collect(),
        })
    }

    /// Returns the run advanced by one: to the next step, to the watch after the last one, or to
    /// its end.
    pub fn advanced(&self, now: Timestamp, reason: &str) -> Self {
        let (state, step) = if self.is_past_last_step() {
            (RunState::Completed, self.step)
        } else if self.step + 1 == self.step_count() {
            (RunState::Baking, self.step + 1)
        } else {
            (RunState::Running, self.step + 1)
        };
        let key = self.key.clone().filter(|_| state != RunState::Completed);
        let reason = reason.to_owned();
        Self {
            state,
            step,
            step_started_at: now,
            stepped_up_at: None,
            approved: None,
            key,
            reason,
            ..self.clone()
        }
    }

    /// Returns the run rolled back.
    pub fn rolled_back(&self, breach: Option<Breach>, reason: &str) -> Self {
        // The key of the users' hashes ends with the run.
        Self { state: RunState::RolledBack, breach, key: None, reason: reason.to_owned(), ..self.clone() }
    }

    /// Returns the run paused until an operator resumes it.
    pub fn paused(&self, reason: &str) -> Self {
        Self { state: RunState::Paused, reason: reason.to_owned(), ..self.clone() }
    }

    /// Returns the run resumed. The time of its step begins again, because the pause does not count
    /// as watched.
    pub fn resumed(&self, now: Timestamp, reason: &str) -> Self {
        let state = if self.is_past_last_step() { RunState::Baking } else { RunState::Running };
        let stepped_up_at = Some(self.last_step_up());
        Self { state, step_started_at: now, stepped_up_at, reason: reason.to_owned(), ..self.clone() }
    }

    /// Returns a new run under a new plan, at the highest step that exposes no more users than this
    /// run does. `None` if the first step of the new plan is above that.
    pub fn under(&self, plan: &CanaryPlan, identity: RunIdentity, now: Timestamp) -> Option<Self> {
        Some(Self {
            // Users stay where they are.
            salt: self.salt.clone(),
            stepped_up_at: Some(self.last_step_up()),
            step: self.step_under(plan)?,
            state: if self.state == RunState::Paused { RunState::Paused } else { RunState::Running },
            reason: "the plan changed, so a new run began".to_owned(),
            ..Self::start(identity, self.flag.clone(), plan.clone(), now, &self.started_by)
        })
    }

    /// Returns the highest step of a plan that exposes no more users than this run does; `None` if
    /// its first step is above that.
    pub fn step_under(&self, plan: &CanaryPlan) -> Option<u32> {
        let share = self.share();
        let step = plan.steps().iter().take_while(|step| **step <= share).count().checked_sub(1)?;
        u32::try_from(step).ok()
    }

    /// Returns the run without its secret key, as records keep it.
    pub(crate) fn redacted(&self) -> Self {
        Self { key: self.key.as_ref().map(|_| "redacted".to_owned()), ..self.clone() }
    }
}

/// Returns the limits above which a response is slow.
fn slow_limits(success: &Criteria, rollback: &Criteria) -> SlowLimits {
    // Limits are at most ten minutes. The edge compares whole milliseconds with "longer than", so truncating a
    // limit changes nothing.
    let limit = |ms: f64| ms.max(0.0) as u32;
    SlowLimits {
        slow_success_ms: limit(success.max_response_time_p95),
        slow_rollback_ms: limit(rollback.max_response_time_p95),
    }
}
