//! Running a canary: from counts to evidence, from evidence to a verdict, from a verdict to one step. All of it is
//! functions of plain data; reading, writing and the clock are elsewhere.

mod decide;
mod evidence;
mod forecast;
mod freeze;
mod record;
mod run;
mod verdict;

pub use decide::{Action, Circumstances, Decision, Reason, decide};
pub use evidence::{ArmCounts, Evidence, StepEvidence, Window, fold, windows};
pub use forecast::{Forecast, requests_to_promote, requests_to_roll_back};
pub use freeze::{check as check_freeze_window, is_frozen};
pub use record::{Disagreement, Record, Step, replay};
pub use run::{Breach, Run, RunState};
pub use verdict::{Test, TestResult, Verdict};
