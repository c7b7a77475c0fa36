//! The circumstances, besides revision, user and request, that evaluations depend on.

use crate::{decision::ruleset::Ruleset, vocabulary::timestamp::Timestamp};
use xxhash_rust::xxh3::Xxh3;

impl Ruleset {
    /// Returns a hash of all that evaluations depend on besides the revision, the user and the facts: which times have
    /// passed, which windows are open, and which flags an emergency or a brake has lowered. It is equal in all isolates that
    /// hold the same rules and have heard the same.
    pub fn circumstances(&self, now: Timestamp) -> u64 {
        let mut hasher = Xxh3::new();
        hasher.update(&self.turns.passed(now).to_le_bytes());
        for is_open in self.turns.open(now) {
            hasher.update(&[u8::from(is_open)]);
        }
        for flag in &self.flags {
            let limit = flag.limit();
            if !flag.emergency() && limit.is_none() {
                continue;
            }
            hasher.update(flag.name.as_str().as_bytes());
            hasher.update(&[0x1F, u8::from(flag.emergency())]);
            if let Some(limit) = limit {
                hasher.update(&[u8::from(limit.enabled)]);
                hasher.update(&limit.rollout.get().to_le_bytes());
            }
        }
        hasher.digest()
    }
}
