//! The comparisons of an isolate: which requests are compared, and the counts of the differences
//! until they are sent. Plain state without I/O.

use cutover_core::{
    RouteId, Ruleset,
    compare::{
        Comparison, ComparisonOutcome, ComparisonWindow, Response, SkipReason, Tally, compare_answers,
    },
    decision::route::CompiledRoute,
    measurement::batch::WINDOW_MS,
};

/// Most entries waiting to be sent, one per route, step and window. Beyond it, a comparison is
/// counted in the newest entry of its route and step, or not at all if there is none.
const MAX_WAITING: usize = 64;

/// Most kinds of differences in one batch, about 80 KB.
const MAX_BATCH_DIFFERENCES: usize = 256;

/// Number of a route's first comparisons for which legacy is queried twice regardless of the
/// configured share, because its noise is not known yet.
const FIRST_NOISE: u64 = 8;

/// Comparisons that are under way, and those counted but not yet sent.
#[derive(Debug, Default)]
pub struct ComparisonQueue {
    routes: Vec<(RouteId, RouteState)>,
    waiting: Vec<ComparisonWindow>,
}

/// State of a route between its comparisons.
#[derive(Debug, Default)]
struct RouteState {
    /// All comparisons of this isolate, from which noise is recognised.
    learned: Tally,
    minute: i64,
    used: u32,
    running: u32,
    noise_begun: u64,
}

/// Permission to make a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// The request is not compared.
    Refused(SkipReason),
    /// The other backend is queried.
    Compare,
    /// The other backend is queried, and legacy a second time.
    WithNoise,
}

/// Both backends' responses to one request, as JavaScript passes them: each is a head, which is the
/// status and the header values, one per line, and a body.
#[derive(Debug, Clone, Copy)]
pub struct ResponsePair<'a> {
    /// Legacy's response.
    pub old: (&'a str, &'a [u8]),
    /// The new backend's response.
    pub new: (&'a str, &'a [u8]),
    /// Legacy's second response, if it was queried twice.
    pub again: Option<(&'a str, &'a [u8])>,
}

/// Returns true if a uniformly distributed 64-bit number falls into a share.
pub fn is_drawn(draw: u64, share: cutover_core::PartsPerMillion) -> bool {
    (u128::from(draw) * 1_000_000) >> 64 < u128::from(share.get())
}

impl ComparisonQueue {
    fn held(&mut self, route: &RouteId) -> Option<&mut RouteState> {
        let index = match self.routes.iter().position(|(held, _)| held == route) {
            Some(index) => index,
            None => {
                self.routes.push((route.clone(), RouteState::default()));
                self.routes.len() - 1
            }
        };
        self.routes.get_mut(index).map(|(_, held)| held)
    }

    /// Decides if a request of a route is compared, and charges the comparison to the route's
    /// budget.
    pub fn begin(&mut self, route: &CompiledRoute, is_safe: bool, draw: u64, now: i64) -> Ticket {
        let Some(policy) = &route.compare else { return Ticket::Refused(SkipReason::Budget) };
        let Some(held) = self.held(&route.id) else { return Ticket::Refused(SkipReason::Budget) };
        if !is_safe {
            return Ticket::Refused(SkipReason::Unsafe);
        }
        let minute = now.div_euclid(60_000);
        if held.minute != minute {
            (held.minute, held.used) = (minute, 0);
        }
        if held.used >= policy.per_minute {
            return Ticket::Refused(SkipReason::Budget);
        }
        if held.running >= policy.concurrency {
            return Ticket::Refused(SkipReason::Concurrency);
        }
        held.used += 1;
        held.running += 1;
        let noise =
            policy.noise.get() > 0 && (held.noise_begun < FIRST_NOISE || is_drawn(draw, policy.noise));
        held.noise_begun += u64::from(noise);
        if noise { Ticket::WithNoise } else { Ticket::Compare }
    }

    fn end(&mut self, route: &RouteId) {
        if let Some(held) = self.held(route) {
            held.running = held.running.saturating_sub(1);
        }
    }

    /// Returns the entry in which a comparison at this time is counted.
    fn entry(&mut self, rules: &Ruleset, route: &CompiledRoute, now: i64) -> Option<&mut Tally> {
        let position = route.flag?;
        let flag = rules.flags().get(position)?.name.clone();
        let canary = rules.canary(position).map(|label| (label.run.clone(), label.step));
        let window = now - now.rem_euclid(WINDOW_MS);
        let full = self.waiting.len() >= MAX_WAITING;
        let found = self.waiting.iter().rposition(|held| {
            held.route == route.id && held.canary == canary && (held.window == window || full)
        });
        let index = match found {
            Some(index) => index,
            None if full => return None,
            None => {
                let route = route.id.clone();
                self.waiting.push(ComparisonWindow { flag, route, canary, window, tally: Tally::default() });
                self.waiting.len() - 1
            }
        };
        self.waiting.get_mut(index).map(|held| &mut held.tally)
    }

    /// Counts a request that was not compared. `begun` is true if [`ComparisonQueue::begin`] had
    /// permitted the comparison.
    pub fn skip(
        &mut self,
        rules: &Ruleset,
        route: &CompiledRoute,
        reason: SkipReason,
        now: i64,
        begun: bool,
    ) {
        if begun {
            self.end(&route.id);
        }
        if let Some(tally) = self.entry(rules, route, now) {
            tally.skip(reason, 1);
        }
    }

    /// Compares the responses to a request and counts the differences.
    pub fn finish(&mut self, rules: &Ruleset, route: &CompiledRoute, answers: ResponsePair<'_>, now: i64) {
        let Some(policy) = &route.compare else { return };
        let found = match findings(policy, answers.old, answers.new) {
            ComparisonOutcome::Compared(found) => found,
            ComparisonOutcome::Skipped(reason) => return self.skip(rules, route, reason, now, true),
        };
        self.end(&route.id);
        let again = answers.again.map(|again| findings(policy, answers.old, again));
        let noise = match &again {
            Some(ComparisonOutcome::Compared(noise)) => Some(noise.as_slice()),
            _ => None,
        };
        let Some(held) = self.held(&route.id) else { return };
        held.learned.add(&found, noise);
        let mismatch = u64::from(held.learned.is_mismatch(&found, noise));
        if let Some(tally) = self.entry(rules, route, now) {
            tally.add(&found, noise);
            tally.mismatched += mismatch;
        }
    }

    /// Returns true if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Removes and returns the oldest entries, as many as a batch has room for.
    pub fn take(&mut self) -> Vec<ComparisonWindow> {
        let mut room = MAX_BATCH_DIFFERENCES;
        let fits = self.waiting.iter().take_while(|held| {
            let is_first = room == MAX_BATCH_DIFFERENCES;
            let left = room.checked_sub(held.tally.differences.len() + 1);
            room = left.unwrap_or_default();
            is_first || left.is_some()
        });
        let taken = fits.count();
        self.waiting.drain(..taken).collect()
    }
}

fn findings(policy: &Comparison, old: (&str, &[u8]), new: (&str, &[u8])) -> ComparisonOutcome {
    let (old_head, new_head) = (Head::new(old.0), Head::new(new.0));
    compare_answers(
        policy,
        Response { status: old_head.status, headers: &old_head.headers, body: old.1 },
        Response { status: new_head.status, headers: &new_head.headers, body: new.1 },
    )
}

/// The status and the headers of a response. An absent header is a NUL in the string and `None`
/// here.
struct Head<'a> {
    status: u16,
    headers: Vec<Option<&'a str>>,
}

impl<'a> Head<'a> {
    fn new(text: &'a str) -> Self {
        let mut lines = text.split('\n');
        let status = lines.next().and_then(|status| status.parse().ok()).unwrap_or_default();
        Self {
            status,
            headers: lines.map(|line| Some(line).filter(|line| *line != crate::wire::ABSENT)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::compare::DifferenceCount;

    #[test]
    fn a_batch_takes_what_it_has_room_for_and_leaves_the_rest() {
        let entry = |window: i64, kinds: usize| {
            let counted = |index: usize| DifferenceCount {
                path: format!("field{index}"),
                kind: cutover_core::compare::DifferenceKind::Value,
                count: 1,
                noise: 0,
                example: Default::default(),
            };
            let tally =
                Tally { compared: 1, differences: (0..kinds).map(counted).collect(), ..Tally::default() };
            let (flag, route) = ("f".parse().unwrap(), "r".parse().unwrap());
            ComparisonWindow { flag, route, canary: None, window, tally }
        };
        let waiting = (0..10).map(|window| entry(window, 60)).collect();
        let mut comparing = ComparisonQueue { waiting, ..ComparisonQueue::default() };
        let mut batches = Vec::new();
        while !comparing.is_empty() {
            batches.push(comparing.take().iter().map(|held| held.window).collect::<Vec<_>>());
        }
        assert_eq!(batches, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        let mut one = ComparisonQueue { waiting: vec![entry(0, 1_000)], ..ComparisonQueue::default() };
        assert_eq!(one.take().len(), 1, "an entry larger than a batch is sent alone");
    }
}
