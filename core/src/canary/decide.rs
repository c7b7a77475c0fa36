//! The decision of one tick, at most one step of a run. The order of the checks is the contract:
//! breaches are checked before every hold, timer and approval.

use crate::{
    canary::{
        evidence::Evidence,
        freeze::is_frozen,
        plan::{CanaryPlan, OnNoData},
        run::{Run, RunState},
        verdict::Verdict,
    },
    measurement::batch::WINDOW_MS,
    vocabulary::timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Action of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The run stays as it is.
    Hold,
    /// The run enters its next step, or the watch after the last one.
    Advance,
    /// The run is complete.
    Complete,
    /// The run ends and all users return to legacy.
    RollBack,
    /// The run waits until an operator resumes it.
    Pause,
    /// A new run begins, because the plan has changed.
    Restart,
}

/// Reason for the action of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`says` is the documentation")]
pub enum Reason {
    Ended,
    Emergency,
    Breach,
    PlanChanged,
    FlagDisabled,
    Paused,
    Alarm,
    SharedIncident,
    SampleRatioMismatch,
    NoData,
    CanaryStarved,
    WorseThanLegacy,
    Freeze,
    StepTime,
    EvidenceBehind,
    NotProven,
    Doubt,
    FewUsers,
    Diverted,
    EvidenceLost,
    Approval,
    Proven,
    Baking,
    Baked,
}

impl Reason {
    /// Returns the message for operators.
    pub fn says(self) -> &'static str {
        match self {
            Self::Ended => "the run is over",
            Self::Emergency => "an emergency holds the flag on legacy",
            Self::Breach => "a rollback criterion is exceeded",
            Self::PlanChanged => "the plan was changed",
            Self::FlagDisabled => "the flag is disabled; enable it to go on",
            Self::Paused => "the run is paused; resume it to go on",
            Self::Alarm => {
                "the new backend is above a rollback limit; the users behind it are being looked at"
            }
            Self::SharedIncident => {
                "the old backend may have the same problem as the new one; look for a common cause, then resume or roll \
                 back"
            }
            Self::SampleRatioMismatch => "users are not split between the backends as configured",
            Self::NoData => "neither backend receives requests",
            Self::CanaryStarved => "the old backend receives requests and the new one receives none",
            Self::WorseThanLegacy => {
                "the new backend keeps its limits but is worse than the old one; promote it or roll it back"
            }
            Self::Freeze => "a freeze window is open",
            Self::StepTime => "the step has not lasted long enough",
            Self::EvidenceBehind => "the newest counts were not evaluated yet",
            Self::NotProven => "the success criteria are not proven yet",
            Self::Doubt => "the new backend may have become worse lately",
            Self::FewUsers => "the new backend has served too few users so far",
            Self::Diverted => "a breaker kept requests from the new backend in the last ten minutes",
            Self::EvidenceLost => "counts or users of the step were lost in the last ten minutes",
            Self::Approval => "the next step needs an operator's approval",
            Self::Proven => "the success criteria are proven",
            Self::Baking => "the last step is being watched",
            Self::Baked => "the watch after the last step is over",
        }
    }
}

/// State outside the run that a tick depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TickContext {
    /// True if an emergency covers the flag.
    pub emergency: bool,
    /// True if the flag is enabled.
    pub enabled: bool,
    /// Plan in the current configuration; `None` if it was removed.
    pub plan: Option<CanaryPlan>,
    /// Arrival time up to which all counts were evaluated; `None` in simulations, and in records of an earlier version. The run
    /// does not climb on old evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Timestamp>,
    /// Time of the last change of the flag, which may have enabled it; `None` if unknown. Requests are missed, and the
    /// time of the step counts, since then at the earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag_changed: Option<Timestamp>,
}

/// Decision of a tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The action to take.
    pub action: Action,
    /// The reason for the action.
    pub reason: Reason,
    /// The verdict on the evidence at this tick.
    pub verdict: Verdict,
    /// Time at which the reason for waiting ends, if that depends on time alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

impl Decision {
    /// Returns the message for operators: that of the reason, with the groups of requests that are not proven.
    pub fn says(&self) -> String {
        let unproven = self.verdict.unproven.iter().filter(|_| self.reason == Reason::NotProven);
        let unproven: Vec<String> = unproven.map(ToString::to_string).collect();
        match unproven.as_slice() {
            [] => self.reason.says().to_owned(),
            groups => format!("{} ({})", self.reason.says(), groups.join(", ")),
        }
    }
}

/// Age of the evidence beyond which the run does not climb, in milliseconds. A pass comes every 2 s, and says that it has read
/// up to 2 s before its begin: so every shard was read to its end within 30 s.
const OLD_MS: i64 = 32_000;

/// Share of the deadline after which a step without requests is reported as such.
const QUIET_SHARE: f64 = 0.25;

/// Decides one tick of a run at time `now`.
pub fn decide(run: &Run, evidence: &Evidence, around: &TickContext, now: Timestamp) -> Decision {
    let verdict = Verdict::of(run, evidence);
    let (action, reason, not_before) = choose(run, evidence, around, &verdict, now);
    Decision { action, reason, verdict, not_before }
}

fn choose(
    run: &Run,
    evidence: &Evidence,
    around: &TickContext,
    verdict: &Verdict,
    now: Timestamp,
) -> (Action, Reason, Option<Timestamp>) {
    let hold = |reason| (Action::Hold, reason, None);
    let paused = run.state == RunState::Paused;
    if !run.state.is_active() {
        return hold(Reason::Ended);
    }
    if around.emergency {
        // All users are on legacy already. Afterwards, an operator decides if the canary goes on.
        return if paused { hold(Reason::Emergency) } else { (Action::Pause, Reason::Emergency, None) };
    }
    if verdict.breach.is_some() {
        return (Action::RollBack, Reason::Breach, None);
    }
    if around.plan.as_ref() != Some(&run.plan) {
        let restarts = around.plan.as_ref().and_then(|plan| run.step_under(plan)).is_some();
        return match (restarts, paused) {
            (true, _) => (Action::Restart, Reason::PlanChanged, None),
            (false, false) => (Action::Pause, Reason::PlanChanged, None),
            (false, true) => hold(Reason::PlanChanged),
        };
    }
    if !around.enabled {
        return hold(Reason::FlagDisabled);
    }
    if paused {
        return hold(Reason::Paused);
    }
    if let Some(since) = verdict.shared_incident {
        return shared_incident(run, since, now);
    }
    if verdict.alarm.is_some() {
        return hold(Reason::Alarm);
    }
    if verdict.ratio_mismatch {
        return hold(Reason::SampleRatioMismatch);
    }
    // What was not evaluated yet may hold requests.
    let known = around.through.map_or(now, |through| through.min(now));
    let since = around.flag_changed.map_or(run.step_started_at, |changed| changed.max(run.step_started_at));
    if let Some(quiet) = without_data(run, evidence, since, known) {
        return quiet;
    }
    if verdict.worse.is_some() {
        return hold(Reason::WorseThanLegacy);
    }
    match choose_time(run, verdict, since, now) {
        (Action::Advance | Action::Complete, ..) if is_behind(around, now) => hold(Reason::EvidenceBehind),
        (Action::Advance | Action::Complete, ..) if !has_requests_since_change(evidence, around) => {
            hold(missing(evidence, since))
        }
        chosen => chosen,
    }
}

/// Returns true if the new arm has had requests since the flag was changed. Otherwise the proof is from before: a flag
/// that was disabled overnight and enabled has shown nothing yet.
fn has_requests_since_change(evidence: &Evidence, around: &TickContext) -> bool {
    let ends_after = |changed: Timestamp| {
        evidence.last_new.is_some_and(|last| last.saturating_add(WINDOW_MS) > changed.millis())
    };
    around.flag_changed.is_none_or(ends_after)
}

/// Holds a shared incident; after the deadline an operator has to look at it.
fn shared_incident(run: &Run, since: i64, now: Timestamp) -> (Action, Reason, Option<Timestamp>) {
    let since = since.max(run.step_started_at.millis());
    let is_over = now.millis().saturating_sub(since) >= minutes(run.plan.options.deadline_minutes);
    let action = if is_over { Action::Pause } else { Action::Hold };
    (action, Reason::SharedIncident, None)
}

fn is_behind(around: &TickContext, now: Timestamp) -> bool {
    around.through.is_some_and(|through| now.millis().saturating_sub(through.millis()) > OLD_MS)
}

fn minutes(count: f64) -> i64 {
    (count * 60_000.0) as i64
}

/// Reports requests that are missing at `now`, if they are for long. `since` is the time from which they were to
/// come: a step that began, a run that was resumed or a flag that was enabled has the whole deadline.
fn without_data(
    run: &Run,
    evidence: &Evidence,
    since: Timestamp,
    now: Timestamp,
) -> Option<(Action, Reason, Option<Timestamp>)> {
    let last_new = evidence.last_new.unwrap_or(i64::MIN).max(since.millis());
    let quiet = now.millis().saturating_sub(last_new);
    let deadline = minutes(run.plan.options.deadline_minutes);
    if quiet < minutes(run.plan.options.deadline_minutes * QUIET_SHARE) {
        return None;
    }
    let reason = missing(evidence, since);
    if quiet < deadline {
        return Some((Action::Hold, reason, None));
    }
    let action = match run.plan.options.on_no_data {
        OnNoData::Pause => Action::Pause,
        OnNoData::Rollback => Action::RollBack,
    };
    Some((action, reason, None))
}

/// Returns the reason for missing requests on the new arm: legacy has had some lately, or neither has.
fn missing(evidence: &Evidence, since: Timestamp) -> Reason {
    let last = |seen: Option<i64>| seen.unwrap_or(i64::MIN).max(since.millis());
    let legacy_has_requests = last(evidence.last_legacy) > last(evidence.last_new);
    if legacy_has_requests { Reason::CanaryStarved } else { Reason::NoData }
}

/// Chooses by the time of the step, or of the watch after the last one, and by what is proven. Both times count from `since`,
/// the start of the step or a later change of the flag.
fn choose_time(
    run: &Run,
    verdict: &Verdict,
    since: Timestamp,
    now: Timestamp,
) -> (Action, Reason, Option<Timestamp>) {
    let options = &run.plan.options;
    let after = |count: f64| Timestamp::from_millis(since.millis().saturating_add(minutes(count)));
    if run.is_past_last_step() {
        let until = after(options.bake_minutes);
        return if now < until {
            (Action::Hold, Reason::Baking, Some(until))
        } else {
            (Action::Complete, Reason::Baked, None)
        };
    }
    if is_frozen(&options.freeze_windows, now) {
        return (Action::Hold, Reason::Freeze, None);
    }
    let until = after(run.plan.step_duration_minutes);
    if now < until {
        return (Action::Hold, Reason::StepTime, Some(until));
    }
    for (holds, reason) in [
        (!verdict.proven, Reason::NotProven),
        (verdict.doubt, Reason::Doubt),
        (verdict.few_users, Reason::FewUsers),
        (verdict.diverted, Reason::Diverted),
        (verdict.evidence_lost, Reason::EvidenceLost),
    ] {
        if holds {
            return (Action::Hold, reason, None);
        }
    }
    if run.lacks_approval() {
        return (Action::Hold, Reason::Approval, None);
    }
    (Action::Advance, Reason::Proven, None)
}
