//! A breach: the test that fired, with the counts that made it fire. It outlives the evidence, so
//! that a rollback can be explained afterwards.

use crate::{
    canary::{
        test::Test,
        users::{Failures, UserCount},
        window::ArmCounts,
    },
    vocabulary::{names::RouteId, share::PartsPerMillion, timestamp::Timestamp},
};
use serde::{Deserialize, Serialize};

/// Cause of a rollback. In breaches of an earlier version only the test and the step are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// The test that fired.
    pub test: Test,
    /// The step at which it fired.
    pub step: u32,
    /// The route whose own criteria were exceeded. The counts are those of its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// Counts and evidence when it fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// Counts and evidence of a test when it fired.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Share of users on the new arm at the step.
    pub share: PartsPerMillion,
    /// Time since which the counts below were taken, if not since the step began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Requests of the new arm.
    pub new: ArmCounts,
    /// Requests of the legacy arm.
    pub legacy: ArmCounts,
    /// Users with the event on the new arm and on both. For a mismatch: the users whose responses
    /// differed, of all that were compared.
    pub users: UserCount,
    /// Distinct users of the step, if all of them were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<UserCount>,
    /// The limit that was exceeded: a share of requests or users, or the tolerated risk.
    pub limit: f64,
    /// Evidence, log E.
    pub evidence: f64,
    /// Evidence at which the test fires.
    pub fires_at: f64,
    /// The busiest failing user on the new arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busiest: Option<Failures>,
}

impl Breach {
    /// Returns one sentence for operators, such as "Rolled back from 50 %: 9 of 640 users on new had
    /// errors (1.4 %), 0 of 655 on legacy."
    pub fn sentence(&self) -> String {
        match &self.figures {
            None => format!("Rolled back: {}.", self.test.says()),
            Some(figures) => format!("Rolled back from {} %: {}.", figures.share.percent(), self.finding()),
        }
    }

    /// Returns the finding as a clause, such as "9 of 640 users on new had errors (1.4 %), 0 of 655
    /// on legacy".
    pub fn finding(&self) -> String {
        let Some(figures) = &self.figures else { return self.test.says().to_owned() };
        let found = match self.test {
            Test::ErrorsAbove | Test::ErrorsDetector => {
                figures.requests("requests on new failed", |counts| counts.errors)
            }
            Test::SlowAbove | Test::SlowDetector => figures
                .requests("requests on new were slower than the rollback limit", |counts| {
                    counts.slow_rollback
                }),
            Test::MismatchAbove => figures.mismatches(),
            Test::ErrorsRelative => figures.users("had errors"),
            Test::SlowRelative => figures.users("had slow responses"),
            Test::UnauthorizedRelative => figures.users("got 401 or 403"),
            Test::NotFoundRelative => figures.users("got 404, 405 or 410"),
            Test::ClientErrorsRelative => figures.users("got other 4xx statuses"),
            _ => self.test.says().to_owned(),
        };
        let mut text = match &self.route {
            Some(route) => format!("on route {route} {found}"),
            None => found,
        };
        if let Some(busiest) = figures.busiest.filter(|busiest| busiest.errors > 1) {
            text.push_str(&format!("; the busiest failing user had {} of the errors", busiest.errors));
        }
        if let Some(since) = figures.since {
            text.push_str(&format!("; counted since {since}"));
        }
        text
    }
}

impl Figures {
    fn users(&self, had: &str) -> String {
        let (new, legacy) = (self.users.new, self.users.legacy());
        match self.seen.filter(|seen| seen.new >= new && seen.legacy() >= legacy) {
            Some(seen) => format!(
                "{new} of {} users on new {had} ({}), {legacy} of {} on legacy",
                seen.new,
                percent(new, seen.new),
                seen.legacy()
            ),
            // Only a part of the users was counted, so a share of them would mean nothing.
            None => format!("{new} users on new {had}, {legacy} on legacy"),
        }
    }

    fn requests(&self, did: &str, events: impl Fn(&ArmCounts) -> u64) -> String {
        let (new, legacy) = (events(&self.new), events(&self.legacy));
        format!(
            "{new} of {} {did} ({}, the limit is {}), {legacy} of {} on legacy",
            self.new.requests,
            percent(new, self.new.requests),
            shown(self.limit),
            self.legacy.requests
        )
    }

    fn mismatches(&self) -> String {
        format!(
            "{} of {} users got a different response from new ({}, the limit is {})",
            self.users.new,
            self.users.all,
            percent(self.users.new, self.users.all),
            shown(self.limit)
        )
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "unknown".to_owned();
    }
    shown(part as f64 / whole as f64)
}

/// Formats a share as a percentage, with as many decimals as small ones need.
fn shown(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 0.1 { format!("{percent:.1} %") } else { format!("{percent:.4} %") }
}
