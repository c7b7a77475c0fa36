//! Comparison of the arms by users: one test for each kind of event.

use crate::{
    canary::{
        breach::{Breach, Figures},
        evidence::StepEvidence,
        levels::Levels,
        measure::Measure,
        plan::{CanaryPlan, RelativePolicy},
        test::Test,
        users::{PERIOD_MS, UserCount},
    },
    measurement::event_kinds::EventKinds,
    statistics::{MIN_EVENT_USERS, event_evidence, firing},
    vocabulary::timestamp::Timestamp,
};

/// A comparison: of the counts of a kind, the one with the strongest evidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    pub(crate) kind: EventKinds,
    pub(crate) test: Test,
    pub(crate) evidence: f64,
    pub(crate) fires_at: f64,
    users: UserCount,
    /// Start of the period that was counted; `None` for the whole step.
    since: Option<i64>,
}

/// Consequence of the comparisons of a step.
pub(crate) enum Compared {
    /// The canary is rolled back.
    Breach(Breach),
    /// The new arm is worse, but keeps its success limits.
    Worse(Breach),
    /// No comparison has a consequence.
    Nothing,
}

impl Comparison {
    pub(crate) fn fires(&self) -> bool {
        self.evidence >= self.fires_at
    }

    fn breach(&self, plan: &CanaryPlan, step: &StepEvidence) -> Breach {
        // The count that fired is of one stratum and perhaps of one period; the whole step is easier
        // to understand, and contains it.
        let users = if self.since.is_some() { self.users } else { step.events.step.total(self.kind) };
        let is_total = self.since.is_none() && step.events.is_complete() && step.seen.is_complete();
        let figures = Figures {
            share: step.share,
            since: self.since.map(Timestamp::from_millis),
            new: step.counts.new,
            legacy: step.counts.legacy,
            users,
            seen: is_total.then_some(step.seen.count),
            limit: plan.options.tolerated_risk.of(self.kind),
            evidence: self.evidence,
            fires_at: self.fires_at,
            busiest: None,
        };
        Breach { test: self.test, step: step.step, route: None, figures: Some(figures) }
    }
}

/// Compares the arms; empty if only one of them serves.
pub(crate) fn comparisons(plan: &CanaryPlan, step: &StepEvidence) -> Vec<Comparison> {
    if !step.has_both_arms() {
        return Vec::new();
    }
    EventKinds::ALL.into_iter().filter_map(|kind| comparison(plan, step, kind)).collect()
}

fn comparison(plan: &CanaryPlan, step: &StepEvidence, kind: EventKinds) -> Option<Comparison> {
    let levels = Levels::of(plan);
    let share = step.share.percent() / 100.0;
    let tolerated = plan.options.tolerated_risk.of(kind);
    let whole = step.events.step.of(kind).map(|users| (users, levels.of_step(kind), None::<i64>));
    let periods = step.events.periods.iter().flat_map(|period| {
        let since = step.began.saturating_add(i64::from(period.number).saturating_mul(PERIOD_MS));
        let level = levels.of_period(kind, period.number);
        period.sums.of(kind).map(|users| (users, level, Some(since)))
    });
    let counts = whole.into_iter().chain(periods).map(|(users, level, since)| {
        let is_enough = users.new >= MIN_EVENT_USERS;
        let evidence = if is_enough { event_evidence(share, tolerated, users.new, users.all) } else { 0.0 };
        Comparison { kind, test: test(kind), evidence, fires_at: firing(level), users, since }
    });
    // The first of equals: the whole step before its periods.
    counts.reduce(
        |best, next| {
            if next.evidence / next.fires_at > best.evidence / best.fires_at { next } else { best }
        },
    )
}

fn test(kind: EventKinds) -> Test {
    match kind {
        EventKinds::ERROR => Test::ErrorsRelative,
        EventKinds::SLOW => Test::SlowRelative,
        EventKinds::UNAUTHORIZED => Test::UnauthorizedRelative,
        EventKinds::NOT_FOUND => Test::NotFoundRelative,
        _ => Test::ClientErrorsRelative,
    }
}

/// Judges the comparisons of a step by the plan's policy.
pub(crate) fn judge(plan: &CanaryPlan, step: &StepEvidence) -> Compared {
    let policy = plan.options.relative;
    if policy == RelativePolicy::Ignore {
        return Compared::Nothing;
    }
    let mut worse = step.worse.clone();
    for compared in comparisons(plan, step).iter().filter(|compared| compared.fires()) {
        let breach = compared.breach(plan, step);
        if policy == RelativePolicy::Rollback || !keeps_limit(plan, step, compared.kind) {
            return Compared::Breach(breach);
        }
        worse = worse.or(Some(breach));
    }
    match worse {
        // It was held before, and is judged again with what is known now.
        Some(found) if !keeps_limit(plan, step, kind(found.test)) => Compared::Breach(found),
        Some(found) => Compared::Worse(found),
        None => Compared::Nothing,
    }
}

fn kind(test: Test) -> EventKinds {
    EventKinds::ALL.into_iter().find(|kind| self::test(*kind) == test).unwrap_or_default()
}

/// Returns true if every group keeps the success limit of a kind on the new arm over the whole step, or since its last
/// shared incident was over, without a doubt that it still does. Client errors have no limit.
fn keeps_limit(plan: &CanaryPlan, step: &StepEvidence, kind: EventKinds) -> bool {
    Measure::of(kind).is_some_and(|kind| {
        plan.groups().map(|group| group.measure(kind)).all(|measure| {
            let new = step.total(measure).counts.new;
            let events = kind.against_success(&new) as f64;
            events <= measure.success_limit() * new.requests as f64 && !step.watch(measure).doubt.exists()
        })
    })
}
