//! Counts of what was different, and which of it differs by itself.

use super::difference::{Difference, DifferenceKind};
use crate::{
    batch::is_zero,
    names::{FlagName, RouteId, RunId},
};
use serde::{Deserialize, Serialize};

/// Kinds of differences that one tally keeps apart.
const MAX_DIFFERENCES: usize = 64;

/// Why two answers were not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// The minute's comparisons were used up.
    Budget,
    /// As many as are allowed were under way.
    Concurrency,
    /// A body is too large, or too much work.
    Size,
    /// A body is nested too deeply.
    Depth,
    /// The other backend did not answer in time.
    Timeout,
    /// The other backend could not be reached, or broke off.
    Unreachable,
    /// Neither body is JSON.
    NotJson,
    /// The request changes something and has no key, or its body could not be kept.
    Unsafe,
    /// The adapter is not for this request.
    Unadapted,
}

impl Skipped {
    /// All reasons, in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::Budget,
        Self::Concurrency,
        Self::Size,
        Self::Depth,
        Self::Timeout,
        Self::Unreachable,
        Self::NotJson,
        Self::Unsafe,
        Self::Unadapted,
    ];

    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Concurrency => "concurrency",
            Self::Size => "size",
            Self::Depth => "depth",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::NotJson => "not_json",
            Self::Unsafe => "unsafe",
            Self::Unadapted => "unadapted",
        }
    }
}

/// How often something was different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Where.
    pub path: String,
    /// How.
    pub kind: DifferenceKind,
    /// Between the backends.
    #[serde(default)]
    pub count: u64,
    /// Between two answers of legacy.
    #[serde(default)]
    pub noise: u64,
    /// What it looked like: old, new.
    pub example: (String, String),
}

/// What was compared, of one route in one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The flag.
    pub flag: FlagName,
    /// The route.
    pub route: RouteId,
    /// The run of the flag's canary and its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<(RunId, u32)>,
    /// When the window began, in milliseconds since 1970.
    pub window: i64,
    /// The counts.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Counts of comparisons.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Requests whose two answers were compared.
    pub compared: u64,
    /// Of these, different in something that does not differ by itself.
    pub mismatched: u64,
    /// Requests that legacy answered twice.
    pub noise_compared: u64,
    /// What was not compared, by reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<(Skipped, u64)>,
    /// What was different.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Counted>,
    /// Differences of kinds that there was no room for.
    #[serde(skip_serializing_if = "is_zero")]
    pub others: u64,
}

/// A difference is explained where legacy differs from itself at least half as often.
const EXPLAINED: (u64, u64) = (1, 2);

impl Counted {
    /// Whether it differs by itself, as far as `compared` and `noise_compared` requests tell.
    pub fn is_noise(&self, compared: u64, noise_compared: u64) -> bool {
        // noise / noise_compared >= (count / compared) / 2, without dividing.
        let own = u128::from(self.noise) * u128::from(compared) * u128::from(EXPLAINED.1);
        let between = u128::from(self.count) * u128::from(noise_compared) * u128::from(EXPLAINED.0);
        self.noise > 0 && own >= between
    }
}

impl Tally {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts what was not compared.
    pub fn skip(&mut self, reason: Skipped, count: u64) {
        match self.skipped.iter_mut().find(|(held, _)| *held == reason) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.skipped.push((reason, count)),
        }
    }

    fn counted(&mut self, difference: &Difference) -> Option<&mut Counted> {
        let same = |held: &Counted| held.kind == difference.kind && held.path == difference.path;
        let at = match self.differences.iter().position(same) {
            Some(at) => at,
            None if self.differences.len() >= MAX_DIFFERENCES => {
                self.others += 1;
                return None;
            }
            None => {
                let (path, kind) = (difference.path.clone(), difference.kind);
                let example = difference.example.clone();
                self.differences.push(Counted { path, kind, count: 0, noise: 0, example });
                self.differences.len() - 1
            }
        };
        self.differences.get_mut(at)
    }

    /// Counts a comparison. `noise` is what differed between two answers of legacy to the same request, where it was asked
    /// twice.
    pub fn add(&mut self, found: &[Difference], noise: Option<&[Difference]>) {
        self.compared += 1;
        for difference in found {
            if let Some(counted) = self.counted(difference) {
                counted.count += 1;
            }
        }
        if let Some(noise) = noise {
            self.noise_compared += 1;
            for difference in noise {
                if let Some(counted) = self.counted(difference) {
                    counted.noise += 1;
                }
            }
        }
    }

    /// Whether a request's differences are more than what differs by itself. `noise` is of the same request.
    pub fn is_mismatch(&self, found: &[Difference], noise: Option<&[Difference]>) -> bool {
        let same = |a: &Difference, b: &Difference| a.kind == b.kind && a.path == b.path;
        found.iter().any(|difference| {
            let by_itself = noise.is_some_and(|noise| noise.iter().any(|other| same(difference, other)));
            let known = self
                .differences
                .iter()
                .find(|held| held.kind == difference.kind && held.path == difference.path)
                .is_some_and(|held| held.is_noise(self.compared, self.noise_compared));
            !by_itself && !known
        })
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        self.compared = self.compared.saturating_add(other.compared);
        self.mismatched = self.mismatched.saturating_add(other.mismatched);
        self.noise_compared = self.noise_compared.saturating_add(other.noise_compared);
        self.others = self.others.saturating_add(other.others);
        for (reason, count) in &other.skipped {
            self.skip(*reason, *count);
        }
        for more in &other.differences {
            let (path, kind, example) = (more.path.clone(), more.kind, more.example.clone());
            if let Some(counted) = self.counted(&Difference { path, kind, example }) {
                counted.count = counted.count.saturating_add(more.count);
                counted.noise = counted.noise.saturating_add(more.noise);
            }
        }
    }
}
