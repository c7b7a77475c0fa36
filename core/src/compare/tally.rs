//! Counts of comparisons and their differences, and the distinction between differences and noise.

use crate::{
    compare::{
        difference::{Difference, DifferenceKind},
        policy::Rule,
    },
    json::omit::is_zero,
    vocabulary::names::{FlagName, RouteId, RunId},
};
use serde::{Deserialize, Serialize};

/// Largest number of differences that one tally counts separately.
const MAX_DIFFERENCES: usize = 64;

/// Largest number of rules that one tally counts.
pub(super) const MAX_RULES: usize = 64;

/// Fewest comparisons after which a rule that has matched nothing is reported.
const MIN_SEARCHED: u64 = 100;

/// A reason for not comparing two responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The comparisons of this minute were used up.
    Budget,
    /// The permitted number of comparisons were in progress.
    Concurrency,
    /// A body was too large, or took too much work.
    Size,
    /// A body was nested too deeply.
    Depth,
    /// The other backend did not respond in time, or the comparison was abandoned, for example
    /// because the client disconnected.
    Timeout,
    /// The other backend could not be reached, or the connection broke off.
    Unreachable,
    /// Neither body was JSON.
    NotJson,
    /// The request was unsafe and had no idempotency key, or its body could not be kept.
    Unsafe,
    /// The adapter does not serve this request.
    Unadapted,
    /// The request was conditional, or for a range: one backend may answer 304 or 206, and the other
    /// one 200, without a difference between them.
    Conditional,
}

impl SkipReason {
    /// All reasons, in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::Budget,
        Self::Concurrency,
        Self::Size,
        Self::Depth,
        Self::Timeout,
        Self::Unreachable,
        Self::NotJson,
        Self::Unsafe,
        Self::Unadapted,
        Self::Conditional,
    ];

    /// Returns the name that documents use.
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
            Self::Conditional => "conditional",
        }
    }
}

/// The counts of one difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceCount {
    /// The path, see [`Difference::path`].
    pub path: String,
    /// The kind of difference at the path.
    pub kind: DifferenceKind,
    /// Number of requests with this difference between the backends.
    #[serde(default)]
    pub count: u64,
    /// Number of requests with this difference between two responses of legacy.
    #[serde(default)]
    pub noise: u64,
    /// An example of the old and the new value, masked.
    pub example: (String, String),
}

/// The counts of the rules with one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The path, see [`Rule::path`].
    pub path: String,
    /// Number of comparisons in which the responses were searched for the path.
    pub compared: u64,
    /// Number of these in which it matched anything in either response.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub matched: u64,
}

/// The comparisons of one route in one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparisonWindow {
    /// The flag of the route.
    pub flag: FlagName,
    /// The route that was compared.
    pub route: RouteId,
    /// The run of the flag's canary and its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<(RunId, u32)>,
    /// Start of the window, in milliseconds since 1970.
    pub window: i64,
    /// The counts of the window.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Counts of comparisons.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Number of requests whose two responses were compared.
    pub compared: u64,
    /// Number of these with a difference that is not noise.
    pub mismatched: u64,
    /// Number of requests that legacy answered twice.
    pub noise_compared: u64,
    /// Number of requests that were not compared, by reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<(SkipReason, u64)>,
    /// Counts of the differences, by path and kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<DifferenceCount>,
    /// Number of differences that found no room in `differences`.
    #[serde(skip_serializing_if = "is_zero")]
    pub others: u64,
    /// Counts of the rules, by path. Those of earlier configurations remain as long as there is room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleCount>,
}

/// A difference is explained by noise if legacy differs from itself at least half as often.
const EXPLAINED: (u64, u64) = (1, 2);

impl DifferenceCount {
    /// Returns true if the difference is noise: legacy disagrees with itself at least half as often
    /// as with the new backend. `compared` and `noise_compared` are the numbers of requests behind
    /// the two counts.
    pub fn is_noise(&self, compared: u64, noise_compared: u64) -> bool {
        // noise / noise_compared >= (count / compared) / 2, without dividing.
        let own = u128::from(self.noise) * u128::from(compared) * u128::from(EXPLAINED.1);
        let between = u128::from(self.count) * u128::from(noise_compared) * u128::from(EXPLAINED.0);
        self.noise > 0 && own >= between
    }
}

/// Returns true if a rule with this path is counted.
fn has_path(rules: &[RuleCount], path: &str) -> bool {
    rules.iter().any(|rule| rule.path == path)
}

impl Tally {
    /// Returns true if nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts requests that were not compared.
    pub fn skip(&mut self, reason: SkipReason, count: u64) {
        match self.skipped.iter_mut().find(|(held, _)| *held == reason) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.skipped.push((reason, count)),
        }
    }

    /// Adds the counts of one difference, to `others` if there is no room for its path and kind.
    fn add_counts(&mut self, difference: &Difference, count: u64, noise: u64) {
        let same = |held: &DifferenceCount| held.kind == difference.kind && held.path == difference.path;
        let index = match self.differences.iter().position(same) {
            Some(index) => index,
            None if self.differences.len() >= MAX_DIFFERENCES => {
                self.others = self.others.saturating_add(count).saturating_add(noise);
                return;
            }
            None => {
                let (path, kind) = (difference.path.clone(), difference.kind);
                let example = difference.example.clone();
                self.differences.push(DifferenceCount { path, kind, count: 0, noise: 0, example });
                self.differences.len() - 1
            }
        };
        if let Some(held) = self.differences.get_mut(index) {
            held.count = held.count.saturating_add(count);
            held.noise = held.noise.saturating_add(noise);
        }
    }

    /// Counts a comparison. `noise` has the differences between two responses of legacy to the same
    /// request, if it was sent twice.
    pub fn add(&mut self, found: &[Difference], noise: Option<&[Difference]>) {
        self.compared += 1;
        found.iter().for_each(|difference| self.add_counts(difference, 1, 0));
        if let Some(noise) = noise {
            self.noise_compared += 1;
            noise.iter().for_each(|difference| self.add_counts(difference, 0, 1));
        }
    }

    /// Adds counts of rules. If there is no room for a new path, the counts of all rules that are not
    /// among these, as those of an earlier configuration, are dropped first.
    pub fn add_rules(&mut self, rules: &[RuleCount]) {
        let added = rules.iter().filter(|more| !has_path(&self.rules, &more.path)).count();
        if self.rules.len() + added > MAX_RULES {
            self.rules.retain(|held| has_path(rules, &held.path));
        }
        for more in rules {
            if let Some(held) = self.rules.iter_mut().find(|held| held.path == more.path) {
                held.compared = held.compared.saturating_add(more.compared);
                held.matched = held.matched.saturating_add(more.matched);
            } else if self.rules.len() < MAX_RULES {
                self.rules.push(more.clone());
            }
        }
    }

    /// Returns the counts of those rules that have matched nothing in at least 100 comparisons.
    pub fn unmatched(&self, rules: &[Rule]) -> impl Iterator<Item = &RuleCount> {
        self.rules.iter().filter(move |held| {
            let is_unmatched = held.matched == 0 && held.compared >= MIN_SEARCHED;
            is_unmatched && rules.iter().any(|rule| rule.path == held.path)
        })
    }

    /// Returns true if any of a request's differences is not noise. `noise` has the differences
    /// between two responses of legacy to the same request. As long as the tally has measured little
    /// noise, only requests with `noise` can be judged.
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

    /// Counts the rarest difference without its path and kind, to make the tally smaller; without differences, forgets a
    /// rule. Returns false if there is neither.
    pub fn drop_rarest(&mut self) -> bool {
        let seen = |held: &DifferenceCount| held.count.saturating_add(held.noise);
        let rarest = self.differences.iter().enumerate().min_by_key(|(_, held)| seen(held));
        let Some((index, others)) = rarest.map(|(index, held)| (index, seen(held))) else {
            return self.rules.pop().is_some();
        };
        self.differences.remove(index);
        self.others = self.others.saturating_add(others);
        true
    }

    /// Adds the counts of another tally.
    pub fn merge(&mut self, other: &Self) {
        self.compared = self.compared.saturating_add(other.compared);
        self.mismatched = self.mismatched.saturating_add(other.mismatched);
        self.noise_compared = self.noise_compared.saturating_add(other.noise_compared);
        self.others = self.others.saturating_add(other.others);
        self.add_rules(&other.rules);
        for (reason, count) in &other.skipped {
            self.skip(*reason, *count);
        }
        for more in &other.differences {
            let (path, kind, example) = (more.path.clone(), more.kind, more.example.clone());
            self.add_counts(&Difference { path, kind, example }, more.count, more.noise);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(number: usize) -> Difference {
        let example = ("1".to_owned(), "2".to_owned());
        Difference { path: format!("field_{number}"), kind: DifferenceKind::Value, example }
    }

    /// The sum of all counts is that of the requests, however few kinds have room.
    #[test]
    fn counts_without_room_are_added_to_the_others_in_full() {
        let mut part = Tally::default();
        let all: Vec<Difference> = (0..MAX_DIFFERENCES).map(difference).collect();
        part.add(&all, None);
        let (more, again) = ([difference(MAX_DIFFERENCES)], [difference(MAX_DIFFERENCES + 1)]);
        part.add(&more, Some(&again));
        assert_eq!(part.others, 2, "one between the backends, and one of legacy with itself");
        let mut other = Tally::default();
        (0..5).for_each(|_| other.add(&more, None));
        (0..3).for_each(|_| other.add(&more, Some(&more)));
        let before = part.differences.clone();
        part.merge(&other);
        assert_eq!((part.compared, part.others), (10, 2 + 5 + 3 + 3));
        assert_eq!(part.differences, before);
    }
}
