//! A run: one attempt of a flag to climb its plan. A retry is a new run.

use super::verdict::Test;
use crate::{
    batch::CanaryLabel,
    names::{FlagName, RunId},
    plan::CanaryPlan,
    rate::PartsPerMillion,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It climbs.
    Running,
    /// It stays where it is until a person lets it go on. A breach still takes it back.
    Paused,
    /// It stands on its last step and is watched.
    Baking,
    /// It arrived.
    Completed,
    /// It was taken back.
    RolledBack,
}

impl RunState {
    /// Whether the run still owns its flag's share.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Baking)
    }

    /// The name in documents.
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

/// What a run was taken back for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The test that fired.
    pub test: Test,
    /// The step at which it fired.
    pub step: u32,
}

/// A run. Its plan is the one it was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The identifier.
    pub id: RunId,
    /// The flag.
    pub flag: FlagName,
    /// The plan.
    pub plan: CanaryPlan,
    /// What it is doing.
    pub state: RunState,
    /// The step, from 0; one beyond the last while it bakes and after.
    pub step: u32,
    /// When it was started.
    pub started_at: Timestamp,
    /// By whom.
    pub started_by: String,
    /// When the step began.
    pub step_started_at: Timestamp,
    /// The step that a person approved entering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<u32>,
    /// Why it is in this state, for people.
    pub reason: String,
    /// What it was taken back for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<Breach>,
}

impl Run {
    /// A run at its first step.
    pub fn start(id: RunId, flag: FlagName, plan: CanaryPlan, now: Timestamp, by: &str) -> Self {
        Self {
            id,
            flag,
            plan,
            state: RunState::Running,
            step: 0,
            started_at: now,
            started_by: by.to_owned(),
            step_started_at: now,
            approved: None,
            reason: "started".to_owned(),
            breach: None,
        }
    }

    /// The share that the flag has at this step; nobody after the run was taken back.
    pub fn share(&self) -> PartsPerMillion {
        if self.state == RunState::RolledBack {
            return PartsPerMillion::ZERO;
        }
        let steps = self.plan.steps();
        usize::try_from(self.step)
            .ok()
            .and_then(|step| steps.get(step))
            .or(steps.last())
            .copied()
            .unwrap_or_default()
    }

    /// How many steps the plan has.
    pub fn step_count(&self) -> u32 {
        u32::try_from(self.plan.steps().len()).unwrap_or(u32::MAX)
    }

    /// Whether the run has left its last step upwards.
    pub fn is_past_last_step(&self) -> bool {
        self.step >= self.step_count()
    }

    /// How the edge labels what it counts; `None` once the run is over.
    pub fn label(&self) -> Option<CanaryLabel> {
        // Limits are milliseconds of at most ten minutes. What is counted is "longer than", in whole milliseconds.
        let limit = |ms: f64| ms.max(0.0) as u32;
        self.state.is_active().then(|| CanaryLabel {
            run: self.id.clone(),
            step: self.step,
            slow_success_ms: limit(self.plan.success_criteria.max_response_time_p95),
            slow_rollback_ms: limit(self.plan.rollback_criteria.max_response_time_p95),
        })
    }

    /// The run one step further up: the next step, the watch after the last one, or its end.
    pub fn advanced(&self, now: Timestamp, reason: &str) -> Self {
        let (state, step) = if self.is_past_last_step() {
            (RunState::Completed, self.step)
        } else if self.step + 1 == self.step_count() {
            (RunState::Baking, self.step + 1)
        } else {
            (RunState::Running, self.step + 1)
        };
        Self { state, step, step_started_at: now, approved: None, reason: reason.to_owned(), ..self.clone() }
    }

    /// The run taken back.
    pub fn rolled_back(&self, breach: Option<Breach>, reason: &str) -> Self {
        Self { state: RunState::RolledBack, breach, reason: reason.to_owned(), ..self.clone() }
    }

    /// The run waiting for a person.
    pub fn paused(&self, reason: &str) -> Self {
        Self { state: RunState::Paused, reason: reason.to_owned(), ..self.clone() }
    }

    /// The run going on; its step's time begins again, because nobody watched it meanwhile.
    pub fn resumed(&self, now: Timestamp, reason: &str) -> Self {
        let state = if self.is_past_last_step() { RunState::Baking } else { RunState::Running };
        Self { state, step_started_at: now, reason: reason.to_owned(), ..self.clone() }
    }

    /// A new run under a new plan, at the highest of its steps that exposes nobody more than this run does. `None`
    /// where the new plan begins above that.
    pub fn under(&self, plan: &CanaryPlan, id: RunId, now: Timestamp) -> Option<Self> {
        let share = self.share();
        let step = plan.steps().iter().take_while(|step| **step <= share).count().checked_sub(1)?;
        Some(Self {
            step: u32::try_from(step).ok()?,
            state: if self.state == RunState::Paused { RunState::Paused } else { RunState::Running },
            reason: "the plan changed, so a new run began".to_owned(),
            ..Self::start(id, self.flag.clone(), plan.clone(), now, &self.started_by)
        })
    }
}
