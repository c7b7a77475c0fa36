//! The target of `POST /canary/{name}/promote`. A request that states it can be repeated: it is one step however often it
//! is sent.

use crate::{change::demand::ChangeRequest, problem::Problem};
use axum::http::StatusCode;
use cutover_core::{
    PartsPerMillion,
    canary::{Run, RunState},
};
use serde::Deserialize;

/// Body of the request. All fields are optional, and so is the body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    to_step: Option<u32>,
    to_percentage: Option<f64>,
}

/// Position that a run is to have after a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// One step above wherever the run is.
    Next,
    /// The step of this index; the number of steps stands for the watch after the last one, and the number after that for
    /// the end of the run.
    Step(u32),
    /// The step of this share.
    Share(PartsPerMillion),
}

impl Target {
    /// Reads the target from the body of a request.
    pub(super) fn of(demand: &ChangeRequest) -> Result<Self, Problem> {
        let body: Body = if demand.body.is_empty() { Body::default() } else { demand.shape()? };
        match (body.to_step, body.to_percentage) {
            (None, None) => Ok(Self::Next),
            (Some(step), None) => Ok(Self::Step(step)),
            (None, Some(percentage)) => {
                let share = PartsPerMillion::from_percent(percentage);
                share.map(Self::Share).map_err(|error| {
                    Problem::invalid(
                        "to_percentage",
                        error.to_string(),
                        "use the percentage of a step of the plan",
                    )
                })
            }
            (Some(_), Some(_)) => Err(Problem::invalid(
                "to_step",
                "to_step and to_percentage are both given",
                "send one of them",
            )),
        }
    }

    /// Returns the run if it is at the target already, or beyond it.
    pub(super) fn reached_by(self, run: Option<&Run>) -> Result<Option<&Run>, Problem> {
        let Some(run) = run.filter(|run| run.state != RunState::RolledBack) else { return Ok(None) };
        Ok(self.position_in(run)?.filter(|wanted| position(run) >= *wanted).map(|_| run))
    }

    /// Checks that the target is one step above the run.
    pub(super) fn must_be_next_of(self, run: &Run) -> Result<(), Problem> {
        let wanted = self.position_in(run)?;
        if wanted.is_none_or(|wanted| wanted == position(run) + 1) {
            return Ok(());
        }
        let detail = format!(
            "the run {} of {} is at step {}, not one step below the target",
            run.id, run.flag, run.step
        );
        let hint = "a promotion is one step up; see GET /canary/{name} for the step and its percentage";
        Err(Problem::new(StatusCode::CONFLICT, "canary_moved", detail, hint))
    }

    /// Returns the position of the target in the plan of a run; `None` for [`Self::Next`], which has none.
    fn position_in(self, run: &Run) -> Result<Option<u32>, Problem> {
        let share = match self {
            Self::Next => return Ok(None),
            Self::Step(step) => return Ok(Some(step)),
            Self::Share(share) => share,
        };
        let steps = run.plan.steps();
        let index = steps.iter().position(|step| *step == share).and_then(|index| u32::try_from(index).ok());
        if index.is_some() {
            return Ok(index);
        }
        let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
        let detail = format!("{share} is not a step of the run {} of {}", run.id, run.flag);
        Err(Problem::invalid("to_percentage", detail, format!("its steps are {}", steps.join(", "))))
    }
}

/// Returns the position of a run: its step, or beyond all steps once it is complete.
fn position(run: &Run) -> u32 {
    run.step + u32::from(run.state == RunState::Completed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{Timestamp, canary::RunIdentity, config::Config};

    /// A run of the steps 1, 5, 10, 25, 50, 75 and 100 %.
    fn run() -> Run {
        let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let (flag, plan) = config.canary_deployments.into_iter().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        Run::start(identity, flag, plan, Timestamp::from_millis(0), "operator")
    }

    fn share(percent: u32) -> Target {
        Target::Share(PartsPerMillion::of_percent(percent))
    }

    #[test]
    fn a_promotion_with_a_target_is_one_step_and_no_more() {
        let (first, now) = (run(), Timestamp::from_millis(0));
        let second = first.advanced(now, "");
        for target in [Target::Step(1), share(5)] {
            assert_eq!(target.reached_by(Some(&first)).unwrap(), None);
            assert_eq!(target.must_be_next_of(&first), Ok(()));
            assert_eq!(
                target.reached_by(Some(&second)).unwrap(),
                Some(&second),
                "repeated, it changes nothing"
            );
        }
        for target in [Target::Step(2), share(50)] {
            assert_eq!(target.reached_by(Some(&first)).unwrap(), None);
            assert_eq!(target.must_be_next_of(&first).unwrap_err().code, "canary_moved");
        }
        assert_eq!(Target::Next.reached_by(Some(&second)).unwrap(), None);
        assert_eq!(Target::Next.must_be_next_of(&second), Ok(()));
        assert_eq!(share(7).reached_by(Some(&first)).unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn the_watch_and_the_end_have_positions_too_and_a_rollback_has_none() {
        let now = Timestamp::from_millis(0);
        let last = (0..6).fold(run(), |run, _| run.advanced(now, ""));
        assert_eq!(last.share(), PartsPerMillion::of_percent(100));
        let baking = last.advanced(now, "");
        assert_eq!((baking.state, Target::Step(7).must_be_next_of(&last)), (RunState::Baking, Ok(())));
        assert_eq!(Target::Step(8).must_be_next_of(&baking), Ok(()));
        let completed = baking.advanced(now, "");
        assert_eq!(Target::Step(8).reached_by(Some(&completed)).unwrap(), Some(&completed));
        let back = last.rolled_back(None, "");
        assert_eq!(Target::Step(1).reached_by(Some(&back)).unwrap(), None);
        assert_eq!(Target::Step(1).reached_by(None).unwrap(), None);
    }
}
