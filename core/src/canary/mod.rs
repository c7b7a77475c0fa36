//! Running a canary: from counts to evidence, from evidence to a verdict, from a verdict to one
//! step. These are functions over plain data; storage and the clock are elsewhere.

mod alarm;
mod breach;
mod comparison;
mod decide;
mod evidence;
mod fold;
mod forecast;
mod freeze;
mod gather;
mod group;
mod levels;
mod measure;
mod mismatch;
pub mod plan;
mod record;
mod run;
pub mod simulation;
mod test;
mod users;
mod verdict;
mod watch;
mod window;

pub use self::{
    breach::{Breach, Figures},
    decide::{Action, Decision, Reason, TickContext, decide},
    evidence::{Evidence, RouteEvidence, StepEvidence},
    fold::fold,
    forecast::{Assumed, Forecast, Outlook, requests_to_promote, requests_to_roll_back},
    freeze::{check as check_freeze_window, is_frozen},
    gather::{Gathered, windows},
    record::{Disagreement, Record, Step, Summary, replay},
    run::{Run, RunIdentity, RunState},
    test::Test,
    users::{ComparedUsers, EventEvidence, EventSums, Failures, Period, SeenUsers, UserCount},
    verdict::{TestResult, Unproven, Verdict},
    watch::{Alarm, AlarmState, Beginning, Incident, Pending, Span, Suspect, Watch, Watches},
    window::{ArmCounts, BothArms, StepCounts, Window, halve_users},
};
