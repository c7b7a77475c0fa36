//! What an isolate compares, and when it does not. Plain state without I/O.

use cutover_core::{
    RouteId, Ruleset,
    batch::WINDOW_MS,
    compare::{Compared, Comparison, Finding, Response, Skipped, Tally, compare_answers},
    ruleset::CompiledRoute,
};

/// Entries that wait to be sent, one for each route, step and window. What comes beyond joins the last one.
const MAX_WAITING: usize = 64;

/// Kinds of differences in one batch: some 80 KB.
const MAX_BATCH_DIFFERENCES: usize = 256;

/// Requests of a route that legacy is asked twice at first, whatever the share: what differs by itself is not known yet.
const FIRST_NOISE: u64 = 8;

/// What is counted, and what is under way.
#[derive(Debug, Default)]
pub struct Comparing {
    routes: Vec<(RouteId, Held)>,
    waiting: Vec<Compared>,
}

/// What is kept of a route between its comparisons.
#[derive(Debug, Default)]
struct Held {
    /// All that was compared by this isolate: what of it is noise.
    learned: Tally,
    minute: i64,
    used: u32,
    running: u32,
    noise_begun: u64,
}

/// Whether to compare, and with how many answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// Not now.
    Refused(Skipped),
    /// The other backend is asked.
    Compare,
    /// And legacy a second time.
    WithNoise,
}

/// The answers to one request, as JavaScript hands them over: the status and the headers, one per line, and the body.
#[derive(Debug, Clone, Copy)]
pub struct Answers<'a> {
    /// Legacy's.
    pub old: (&'a str, &'a [u8]),
    /// The new backend's.
    pub new: (&'a str, &'a [u8]),
    /// Legacy's second one.
    pub again: Option<(&'a str, &'a [u8])>,
}

/// A part in a million of all 64-bit numbers.
pub fn is_drawn(draw: u64, share: cutover_core::PartsPerMillion) -> bool {
    (u128::from(draw) * 1_000_000) >> 64 < u128::from(share.get())
}

impl Comparing {
    fn held(&mut self, route: &RouteId) -> Option<&mut Held> {
        let at = match self.routes.iter().position(|(held, _)| held == route) {
            Some(at) => at,
            None => {
                self.routes.push((route.clone(), Held::default()));
                self.routes.len() - 1
            }
        };
        self.routes.get_mut(at).map(|(_, held)| held)
    }

    /// Claims a comparison of a route.
    pub fn begin(&mut self, route: &CompiledRoute, is_safe: bool, draw: u64, now: i64) -> Ticket {
        let Some(policy) = &route.compare else { return Ticket::Refused(Skipped::Budget) };
        let Some(held) = self.held(&route.id) else { return Ticket::Refused(Skipped::Budget) };
        if !is_safe {
            return Ticket::Refused(Skipped::Unsafe);
        }
        let minute = now.div_euclid(60_000);
        if held.minute != minute {
            (held.minute, held.used) = (minute, 0);
        }
        if held.used >= policy.per_minute {
            return Ticket::Refused(Skipped::Budget);
        }
        if held.running >= policy.concurrency {
            return Ticket::Refused(Skipped::Concurrency);
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

    /// The entry that a comparison at this moment belongs to.
    fn entry(&mut self, rules: &Ruleset, route: &CompiledRoute, at: i64) -> Option<&mut Tally> {
        let position = route.flag?;
        let flag = rules.flags().get(position)?.name.clone();
        let canary = rules.canary(position).map(|label| (label.run.clone(), label.step));
        let window = at - at.rem_euclid(WINDOW_MS);
        let full = self.waiting.len() >= MAX_WAITING;
        let found = self.waiting.iter().rposition(|held| {
            held.route == route.id && held.canary == canary && (held.window == window || full)
        });
        let at = match found {
            Some(at) => at,
            None if full => return None,
            None => {
                let route = route.id.clone();
                self.waiting.push(Compared { flag, route, canary, window, tally: Tally::default() });
                self.waiting.len() - 1
            }
        };
        self.waiting.get_mut(at).map(|held| &mut held.tally)
    }

    /// A request was not compared after all. `begun` says that it was claimed.
    pub fn skip(&mut self, rules: &Ruleset, route: &CompiledRoute, reason: Skipped, at: i64, begun: bool) {
        if begun {
            self.end(&route.id);
        }
        if let Some(tally) = self.entry(rules, route, at) {
            tally.skip(reason, 1);
        }
    }

    /// Takes in the answers to a request.
    pub fn finish(&mut self, rules: &Ruleset, route: &CompiledRoute, answers: Answers<'_>, at: i64) {
        let Some(policy) = &route.compare else { return };
        let found = match findings(policy, answers.old, answers.new) {
            Finding::Compared(found) => found,
            Finding::Skipped(reason) => return self.skip(rules, route, reason, at, true),
        };
        self.end(&route.id);
        let again = answers.again.map(|again| findings(policy, answers.old, again));
        let noise = match &again {
            Some(Finding::Compared(noise)) => Some(noise.as_slice()),
            _ => None,
        };
        let Some(held) = self.held(&route.id) else { return };
        held.learned.add(&found, noise);
        let mismatch = u64::from(held.learned.is_mismatch(&found, noise));
        if let Some(tally) = self.entry(rules, route, at) {
            tally.add(&found, noise);
            tally.mismatched += mismatch;
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the oldest entries out, as many as a batch has room for.
    pub fn take(&mut self) -> Vec<Compared> {
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

fn findings(policy: &Comparison, old: (&str, &[u8]), new: (&str, &[u8])) -> Finding {
    let (old_head, new_head) = (Head::new(old.0), Head::new(new.0));
    compare_answers(
        policy,
        Response { status: old_head.status, headers: &old_head.headers, body: old.1 },
        Response { status: new_head.status, headers: &new_head.headers, body: new.1 },
    )
}

/// The status and the headers of an answer; a header that is not there is a NUL.
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
    use cutover_core::compare::Counted;

    #[test]
    fn a_batch_takes_what_it_has_room_for_and_leaves_the_rest() {
        let entry = |window: i64, kinds: usize| {
            let counted = |at: usize| Counted {
                path: format!("field{at}"),
                kind: cutover_core::compare::DifferenceKind::Value,
                count: 1,
                noise: 0,
                example: Default::default(),
            };
            let tally =
                Tally { compared: 1, differences: (0..kinds).map(counted).collect(), ..Tally::default() };
            let (flag, route) = ("f".parse().unwrap(), "r".parse().unwrap());
            Compared { flag, route, canary: None, window, tally }
        };
        let waiting = (0..10).map(|window| entry(window, 60)).collect();
        let mut comparing = Comparing { waiting, ..Comparing::default() };
        let mut batches = Vec::new();
        while !comparing.is_empty() {
            batches.push(comparing.take().iter().map(|held| held.window).collect::<Vec<_>>());
        }
        assert_eq!(batches, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        let mut one = Comparing { waiting: vec![entry(0, 1_000)], ..Comparing::default() };
        assert_eq!(one.take().len(), 1, "an entry larger than all room still goes out");
    }
}
