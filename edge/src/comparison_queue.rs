//! The comparisons of an isolate: which requests are compared, and the counts of the differences
//! until they are sent. Plain state without I/O.

#[cfg(test)]
mod tests;

use crate::wire::ticket;
use cutover_core::{
    RouteId, Ruleset,
    compare::{
        Comparison, ComparisonOutcome, ComparisonWindow, Difference, Findings, Response, SkipReason, Tally,
        compare_answers, compare_unfit,
    },
    decision::route::CompiledRoute,
    measurement::batch::WINDOW_MS,
};

/// Most entries waiting to be sent, one per route, step and window. Beyond it, a comparison is
/// counted in the newest entry of its route and step, or not at all if there is none.
const MAX_WAITING: usize = 64;

/// Most kinds of differences and rules in one batch, 80 KB as a rule and 180 KB at most.
const MAX_BATCH_COUNTS: usize = 256;

/// Number of second responses of legacy that must be compared before a comparison may do without
/// its own: until then the noise of a route is not known.
const FIRST_NOISE: u64 = 8;

/// Milliseconds that a comparison may take beyond its requests. The runtime ends all work behind a
/// response 30 s after the response.
const PATIENCE_MS: i64 = 30_000;

/// Most requests of one comparison, one after the other: an adapter's two, or the other backend and
/// legacy again, and the rest of the client's own response.
const MAX_REQUESTS: i64 = 3;

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
    claims: Claims,
    /// Number of claims that ran out and are not yet counted.
    abandoned: u64,
}

/// The comparisons of a route that are under way. A runtime that ends a request's context, for
/// example because the client disconnected, calls neither [`ComparisonQueue::finish`] nor
/// [`ComparisonQueue::skip`], so a claim runs out.
#[derive(Debug, Default)]
struct Claims {
    held: Vec<Claim>,
    /// Number of the newest claim.
    newest: u32,
}

#[derive(Debug)]
struct Claim {
    number: u32,
    /// Time at which the comparison counts as abandoned, in milliseconds since 1970.
    expires_at: i64,
}

impl Claims {
    /// Claims a slot, and returns the number of the claim. The caller has compared [`Claims::len`] with the limit.
    fn begin(&mut self, policy: &Comparison, now: i64) -> u32 {
        // Numbers repeat after a billion claims, when the first ones have long run out.
        self.newest = (self.newest + 1) & ticket::NUMBERS;
        let expires_at = now + i64::from(policy.timeout_ms) * MAX_REQUESTS + PATIENCE_MS;
        self.held.push(Claim { number: self.newest, expires_at });
        self.newest
    }

    /// Removes the claims that ran out, and returns their number.
    fn expire(&mut self, now: i64) -> u64 {
        let before = self.held.len();
        self.held.retain(|claim| now < claim.expires_at);
        u64::try_from(before - self.held.len()).unwrap_or_default()
    }

    /// Gives a claim back. Returns false if it is not held any more: it ran out, and its slot may be
    /// that of a newer comparison.
    fn end(&mut self, number: u32) -> bool {
        let index = self.held.iter().position(|claim| claim.number == number);
        if let Some(index) = index {
            self.held.swap_remove(index);
        }
        index.is_some()
    }

    fn len(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap_or(u32::MAX)
    }
}

impl RouteState {
    fn expire(&mut self, now: i64) {
        self.abandoned += self.claims.expire(now);
    }

    /// Gives a claim back. Returns false if it ran out before.
    fn end(&mut self, claim: u32, now: i64) -> bool {
        self.expire(now);
        self.claims.end(claim)
    }
}

/// Permission to make a comparison, with the number of its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticket {
    /// The request is not compared.
    Refused(SkipReason),
    /// The other backend is queried.
    Compare(u32),
    /// The other backend is queried, and legacy a second time.
    WithNoise(u32),
}

/// Both backends' responses to one request, as JavaScript passes them: each is a head, which is the
/// status and the header values, one per line, and a body.
#[derive(Debug, Clone)]
pub struct ResponsePair<'a> {
    /// Legacy's response.
    pub old: (&'a str, &'a [u8]),
    /// The new backend's response.
    pub new: (&'a str, &'a [u8]),
    /// The place at which the new backend's own response does not fit its adapter, if it does not;
    /// `new` is then the adapter's error.
    pub misfit: Option<Difference>,
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
    /// budget. A permitted comparison that is neither finished nor skipped counts as abandoned
    /// after three times its timeout and 30 s; if it ends later, that is ignored.
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
        held.expire(now);
        if held.claims.len() >= policy.concurrency {
            return Ticket::Refused(SkipReason::Concurrency);
        }
        held.used += 1;
        let claim = held.claims.begin(policy, now);
        let is_unknown = held.learned.noise_compared < FIRST_NOISE;
        let noise = policy.noise.get() > 0 && (is_unknown || is_drawn(draw, policy.noise));
        if noise { Ticket::WithNoise(claim) } else { Ticket::Compare(claim) }
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

    /// Counts something in the entry of a route, and the route's abandoned comparisons with it.
    fn count(&mut self, rules: &Ruleset, route: &CompiledRoute, now: i64, add: impl FnOnce(&mut Tally)) {
        let held = self.held(&route.id);
        let abandoned = held.map(|held| std::mem::take(&mut held.abandoned)).unwrap_or_default();
        if let Some(tally) = self.entry(rules, route, now) {
            if abandoned > 0 {
                tally.skip(SkipReason::Timeout, abandoned);
            }
            add(tally);
        }
    }

    /// Counts a request that is not compared, without a claim.
    pub fn refuse(&mut self, rules: &Ruleset, route: &CompiledRoute, reason: SkipReason, now: i64) {
        self.count(rules, route, now, |tally| tally.skip(reason, 1));
    }

    /// Ends a permitted comparison that could not be made. A claim that ran out has been counted as abandoned.
    pub fn skip(&mut self, rules: &Ruleset, route: &CompiledRoute, claim: u32, reason: SkipReason, now: i64) {
        if self.held(&route.id).is_some_and(|held| held.end(claim, now)) {
            self.refuse(rules, route, reason, now);
        }
    }

    /// Compares the responses to a request and counts the differences. Returns true if they differ in more than noise;
    /// `None` if they could not be compared, or the claim ran out and has been counted as abandoned.
    pub fn finish(
        &mut self,
        rules: &Ruleset,
        route: &CompiledRoute,
        claim: u32,
        answers: ResponsePair<'_>,
        now: i64,
    ) -> Option<bool> {
        let policy = route.compare.as_ref()?;
        if !self.held(&route.id)?.end(claim, now) {
            return None;
        }
        let (found, noise) = match compared(policy, answers) {
            Ok(both) => both,
            Err(reason) => {
                self.refuse(rules, route, reason, now);
                return None;
            }
        };
        let noise = noise.as_deref();
        let held = self.held(&route.id)?;
        held.learned.add(&found.differences, noise);
        let is_mismatch = held.learned.is_mismatch(&found.differences, noise);
        self.count(rules, route, now, |tally| {
            tally.add(&found.differences, noise);
            tally.add_rules(&found.rules);
            tally.mismatched += u64::from(is_mismatch);
        });
        Some(is_mismatch)
    }

    /// Returns true if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Removes and returns the oldest entries, as many as a batch has room for.
    pub fn take(&mut self) -> Vec<ComparisonWindow> {
        let mut room = MAX_BATCH_COUNTS;
        let fits = self.waiting.iter().take_while(|held| {
            let is_first = room == MAX_BATCH_COUNTS;
            let left = room.checked_sub(held.tally.differences.len() + held.tally.rules.len() + 1);
            room = left.unwrap_or_default();
            is_first || left.is_some()
        });
        let taken = fits.count();
        self.waiting.drain(..taken).collect()
    }
}

/// The findings of a request between the backends, and the differences of legacy with itself if it
/// was queried twice.
type WithNoise = (Findings, Option<Vec<Difference>>);

/// Compares the responses to a request. Fails if they cannot be compared, or legacy's second one
/// cannot: a difference that may be noise must not be counted without the response that would tell.
fn compared(policy: &Comparison, answers: ResponsePair<'_>) -> Result<WithNoise, SkipReason> {
    let found = findings(policy, answers.old, answers.new, answers.misfit)?;
    let noise = match answers.again.map(|again| findings(policy, answers.old, again, None)) {
        // Legacy has no JSON at all, and so no noise in it; only the new backend does.
        Some(Err(SkipReason::NotJson)) => Some(Vec::new()),
        other => other.transpose()?.map(|again| again.differences),
    };
    Ok((found, noise))
}

fn findings(
    policy: &Comparison,
    old: (&str, &[u8]),
    new: (&str, &[u8]),
    misfit: Option<Difference>,
) -> Result<Findings, SkipReason> {
    let (old_head, new_head) = (Head::new(old.0), Head::new(new.0));
    let old = Response { status: old_head.status, headers: &old_head.headers, body: old.1 };
    let new = Response { status: new_head.status, headers: &new_head.headers, body: new.1 };
    let outcome = match misfit {
        None => compare_answers(policy, old, new),
        Some(misfit) => compare_unfit(policy, old, new, misfit),
    };
    match outcome {
        ComparisonOutcome::Compared(found) => Ok(found),
        ComparisonOutcome::Skipped(reason) => Err(reason),
    }
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
