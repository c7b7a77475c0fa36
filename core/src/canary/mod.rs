//! Running a canary: from counts to evidence, from evidence to a verdict, from a verdict to one
//! step. These are functions over plain data; storage and the clock are elsewhere.

mod decide;
mod evidence;
mod fold;
mod forecast;
mod freeze;
pub mod plan;
mod record;
mod run;
mod test;
mod verdict;
mod window;

pub use self::{
    decide::{Action, Decision, Reason, TickContext, decide},
    evidence::{Evidence, StepEvidence},
    fold::fold,
    forecast::{Forecast, requests_to_promote, requests_to_roll_back},
    freeze::{check as check_freeze_window, is_frozen},
    record::{Disagreement, Record, Step, replay},
    run::{Run, RunState},
    test::{Breach, Test},
    verdict::{TestResult, Verdict},
    window::{ArmCounts, Window, windows},
};
