//! Rate limits of requests: the state of this isolate for each key, its questions to the limiter, and its word to clients.
//!
//! The limiter is a Durable Object for each key, which JavaScript asks (`js/limits.js`). Most requests spend a token that an
//! earlier answer has brought, or are refused by an earlier refusal. A limiter that is slow makes requests wait and then
//! refuses them; one that fails, or does not answer at all, is left alone for a while, and the isolate counts by itself.

mod keys;
mod response;
mod state;
#[cfg(test)]
mod tests;

use self::{
    keys::{Keys, SharedQuestion},
    response::Told,
    state::{LOST_MS, Limiter, Question},
};
use crate::wire::LimiterAnswers;
use cutover_core::{
    Facts, Ruleset,
    limit::{Answer, CompiledLimit, Key, LimitScope, OnLimiterFailure, Standing},
    request::identity::User,
};
use std::collections::BTreeMap;

pub use self::state::LimitCounts;

/// Most questions whose answers are awaited, also those that come late.
const MAX_ASKED: usize = 1_024;

/// A request of a route with rate limits.
#[derive(Debug, Clone, Copy)]
pub struct LimitedRequest<'r> {
    /// The rules in force.
    pub rules: &'r Ruleset,
    /// Positions of the route's limits in the rules.
    pub limits: &'r [usize],
    /// The user; `None` if the request brings no id.
    pub user: Option<User<'r>>,
    /// The request.
    pub facts: &'r Facts<'r>,
    /// Answers of limiters about this request.
    pub answers: LimiterAnswers,
}

/// The result of checking a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// All limits admit it, and their tokens are spent.
    Admitted,
    /// Some limit refuses it. No token is spent.
    Refused,
    /// The limiter must be asked first, see [`Limits::questions`].
    Lacking,
}

/// The state of all rate limits in an isolate.
#[derive(Debug, Default)]
pub struct Limits {
    seed: u64,
    keys: Keys,
    /// By the positions of the limits in the rules in force.
    limiters: Vec<Limiter>,
    asked: BTreeMap<u32, Asked>,
    last_number: u32,
    questions: Vec<Question>,
    told: Told,
}

/// A question to the limiter.
#[derive(Debug)]
struct Asked {
    limiter: usize,
    key: u128,
    asked_at: i64,
    /// The request that asked has given up.
    is_late: bool,
}

/// Knowledge of one limit for a request.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// The limiter has granted a token to this request.
    Granted,
    /// The isolate holds a token.
    Held,
    /// The isolate counts by itself.
    Own,
    /// Refused for some milliseconds.
    Refused(i64),
    /// Refused because the limiter is too slow. To admit the request would be to admit more than the limit.
    Late,
    /// Refused because the limiter does not answer.
    Unavailable,
    /// Another request has asked.
    Awaited(u32),
    /// The limiter must be asked.
    Unknown,
}

/// A limit of a request.
struct Applied<'r> {
    limit: &'r CompiledLimit,
    /// Position on the route.
    position: usize,
    /// Position in the rules.
    index: usize,
    key: Key,
    hash: u128,
    found: Found,
}

impl Limits {
    /// Sets the seed of the hashes of keys.
    pub fn seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Sets the number after which questions are numbered. The answers to those of a core that this one replaces come here.
    pub fn number_from(&mut self, first: u32) {
        self.last_number = first;
    }

    /// Begins a generation with these limits. Those with the name of an earlier one keep its counts, and are trusted anew.
    pub fn begin_generation(&mut self, limits: &[CompiledLimit]) {
        let before = std::mem::take(&mut self.limiters);
        let limiter = |limit: &CompiledLimit| {
            let counts = before.iter().find(|held| held.name == limit.name).map(|held| held.counts);
            Limiter::new(limit.name.clone(), counts.unwrap_or_default())
        };
        self.limiters = limits.iter().map(limiter).collect();
        // They name positions. What their answers bring is lost.
        self.asked.clear();
    }

    /// Checks a request that waits for limiters no longer than `patience_ms`.
    pub fn check(&mut self, request: &LimitedRequest<'_>, now: i64, patience_ms: i64) -> Checked {
        self.give_up_lost(now, patience_ms);
        let mut applied = Vec::with_capacity(request.limits.len());
        for (position, index) in request.limits.iter().enumerate() {
            let Some(limit) = request.rules.limits().get(*index) else { continue };
            if !limit.counts(request.facts.method) {
                continue;
            }
            let key = Key::of(&limit.policy.key, request.user, request.facts);
            let hash = key.hash(self.seed ^ limit.seed);
            let found = self.find(limit, (position, *index), hash, request.answers, now);
            applied.push(Applied { limit, position, index: *index, key, hash, found });
        }
        let is_refused =
            |one: &Applied<'_>| matches!(one.found, Found::Refused(_) | Found::Late | Found::Unavailable);
        let is_open = |one: &Applied<'_>| matches!(one.found, Found::Unknown | Found::Awaited(_));
        if applied.iter().any(is_refused) {
            self.refuse(&applied, now);
            Checked::Refused
        } else if applied.iter().any(is_open) {
            self.prepare_questions(applied, now);
            Checked::Lacking
        } else {
            self.admit(&applied, now);
            Checked::Admitted
        }
    }

    fn find(
        &mut self,
        limit: &CompiledLimit,
        (position, index): (usize, usize),
        hash: u128,
        answers: LimiterAnswers,
        now: i64,
    ) -> Found {
        let entry = self.keys.entry(hash);
        if answers.is_first() {
            entry.held.note(now);
        }
        if answers.granted(position) {
            return Found::Granted;
        }
        // Also after a refusal: another request may have brought a token meanwhile.
        match entry.held.standing(now) {
            Standing::Token => return Found::Held,
            Standing::Refused(ms) => return Found::Refused(ms),
            Standing::Unknown if answers.refused(position) => return Found::Refused(1),
            Standing::Unknown => {}
        }
        let Some(limiter) = self.limiters.get(index) else { return Found::Unavailable };
        let may_be_asked = limiter.may_be_asked(now) && entry.trust.may_be_asked(now);
        let is_lost = limiter.is_lost() || entry.trust.is_lost();
        if answers.failed(position) || !may_be_asked || (answers.gave_up() && is_lost) {
            if limit.policy.on_failure == OnLimiterFailure::Closed && !limiter.is_absent {
                return Found::Unavailable;
            }
            let own = entry.held.own(limit, now, 1);
            let ms = i64::try_from(own.retry_us.div_ceil(1_000)).unwrap_or(i64::MAX);
            return if own.granted == 0 { Found::Refused(ms) } else { Found::Own };
        }
        if answers.gave_up() {
            return Found::Late;
        }
        let shared = entry.shared();
        shared.filter(|number| self.is_awaited(*number)).map_or(Found::Unknown, Found::Awaited)
    }

    fn admit(&mut self, applied: &[Applied<'_>], now: i64) {
        self.told = Told::default();
        for one in applied {
            let held = &mut self.keys.entry(one.hash).held;
            let own = held.take_own(one.limit, now);
            let is_own = matches!(one.found, Found::Own);
            let left = match one.found {
                Found::Own => Some(own.into()),
                Found::Held => {
                    held.spend();
                    held.left(now)
                }
                _ => held.left(now),
            };
            self.told.admitted(one.limit, left);
            if let Some(limiter) = self.limiters.get_mut(one.index) {
                let counts = &mut limiter.counts;
                let count = if is_own { &mut counts.fallback } else { &mut counts.allowed };
                *count += 1;
            }
        }
    }

    fn refuse(&mut self, applied: &[Applied<'_>], now: i64) {
        self.told = Told::default();
        for one in applied {
            let ms = match one.found {
                Found::Refused(_) if one.limit.policy.scope == LimitScope::Location => {
                    // The platform does not tell when. Its windows are as long as the period at most.
                    i64::from(one.limit.policy.period_seconds) * 1_000
                }
                Found::Refused(ms) => ms,
                Found::Late => 1_000,
                Found::Unavailable => {
                    self.told.unavailable(one.limit);
                    1_000
                }
                Found::Granted => {
                    // Others may spend what this request may not.
                    self.keys.entry(one.hash).held.put_back(now);
                    continue;
                }
                _ => continue,
            };
            if matches!(one.found, Found::Refused(_) | Found::Late) {
                self.told.refused(one.limit, ms);
            }
            if let Some(limiter) = self.limiters.get_mut(one.index) {
                limiter.counts.limited += 1;
            }
        }
    }

    fn prepare_questions(&mut self, applied: Vec<Applied<'_>>, now: i64) {
        self.questions.clear();
        for one in applied {
            let entry = self.keys.entry(one.hash);
            match one.found {
                Found::Awaited(number) => {
                    if let Some(shared) = &mut entry.shared {
                        shared.places = shared.places.saturating_sub(1);
                    }
                    self.questions.push(Question::wait(one.position, number));
                }
                Found::Unknown => {
                    self.last_number = self.last_number.wrapping_add(1);
                    let number = self.last_number;
                    let wanted = entry.held.wanted(one.limit, now);
                    entry.shared = Some(SharedQuestion { number, places: wanted.saturating_sub(1) });
                    entry.trust.note_question(now);
                    if let Some(limiter) = self.limiters.get_mut(one.index) {
                        limiter.note_question(now);
                    }
                    if self.asked.len() >= MAX_ASKED {
                        self.asked.pop_first();
                    }
                    let asked = Asked { limiter: one.index, key: one.hash, asked_at: now, is_late: false };
                    self.asked.insert(number, asked);
                    self.questions.push(Question::ask(one.position, number, one.limit, &one.key, wanted));
                }
                _ => {}
            }
        }
    }

    /// Returns the questions of the request that was checked last, as JSON.
    pub fn questions(&mut self, patience_ms: i64) -> String {
        Question::json(&std::mem::take(&mut self.questions), patience_ms)
    }

    /// Returns true while the request that asked a question waits for its answer.
    pub fn is_awaited(&self, number: u32) -> bool {
        self.asked.get(&number).is_some_and(|asked| !asked.is_late)
    }

    /// Takes in the answer to a question. One that comes late is good for later requests.
    pub fn answered(&mut self, number: u32, answer: Answer, now: i64) {
        let Some(Asked { limiter, key, asked_at, is_late }) = self.asked.remove(&number) else { return };
        if let Some(limiter) = self.limiters.get_mut(limiter) {
            limiter.answered();
        }
        let entry = self.keys.entry(key);
        entry.trust.answered();
        entry.held.answered(answer, asked_at, !is_late, now);
        entry.shared.take_if(|shared| shared.number == number);
    }

    /// Notes that the request that asked a question waits no longer. Its answer may still come.
    pub fn gave_up(&mut self, number: u32) {
        if let Some(asked) = self.asked.get_mut(&number) {
            asked.is_late = true;
        }
    }

    /// Notes that a question has failed.
    pub fn failed(&mut self, number: u32, now: i64) {
        let Some(Asked { limiter, key, .. }) = self.asked.remove(&number) else { return };
        let entry = self.keys.entry(key);
        // All questions about one key that are under way fail together, and say nothing about other keys.
        if !entry.trust.may_be_asked(now) {
            return;
        }
        entry.trust.failed(now);
        if let Some(limiter) = self.limiters.get_mut(limiter) {
            limiter.failed(now);
        }
    }

    /// Counts questions without an answer as failures, after a second or the patience of requests if that is longer. What
    /// they would bring has expired.
    fn give_up_lost(&mut self, now: i64, patience_ms: i64) {
        // The oldest has the least number.
        while let Some(oldest) = self.asked.first_entry() {
            if now - oldest.get().asked_at < patience_ms.max(LOST_MS) {
                return;
            }
            let number = *oldest.key();
            self.failed(number, now);
        }
    }

    /// Notes that the Worker has no binding for the limiter of a question, and never will have in this isolate.
    pub fn absent(&mut self, number: u32) {
        let Some(asked) = self.asked.remove(&number) else { return };
        if let Some(limiter) = self.limiters.get_mut(asked.limiter) {
            limiter.is_absent = true;
        }
    }

    /// Returns the lines for JavaScript about the request that was checked last: the values of `RateLimit-Policy` and
    /// `RateLimit`, and if it was refused also the status, the value of `Retry-After` and the body.
    pub fn lines(&mut self) -> String {
        std::mem::take(&mut self.told).lines()
    }

    /// Iterates over the limits of the rules in force: name, counts, and true if the Worker has no binding for it.
    pub fn counts(&self) -> impl Iterator<Item = (&str, LimitCounts, bool)> {
        self.limiters.iter().map(|limiter| (limiter.name.as_str(), limiter.counts, limiter.is_absent))
    }
}
