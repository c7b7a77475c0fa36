//! The keys that an isolate holds something for, as many as fit.

use super::state::Trust;
use cutover_core::limit::Held;
use std::collections::BTreeMap;

/// Keys in one half of the map: 16,384 in all, at most 4 MB. With a further one the older half is forgotten.
const MAX_KEYS: usize = 8_192;

/// The state of a key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry {
    /// Tokens, refusals and the own count.
    pub held: Held,
    /// The last question about the key, while its answer is awaited.
    pub shared: Option<SharedQuestion>,
    /// The limiter of this key. A slow one is left alone by itself.
    pub trust: Trust<1>,
}

/// A question that was asked for more tokens than one.
#[derive(Debug, Clone, Copy)]
pub struct SharedQuestion {
    /// Its number.
    pub number: u32,
    /// Requests that may still wait for it: one for each further token, so that none waits in vain.
    pub places: u32,
}

impl Entry {
    /// Returns the number of a question that has a token for one more request.
    pub fn shared(&self) -> Option<u32> {
        self.shared.filter(|shared| shared.places > 0).map(|shared| shared.number)
    }
}

/// Keys by their hashes. Those that were used of late are kept: forgotten is the half that was not used since the
/// other one filled up.
#[derive(Debug, Default)]
pub struct Keys {
    young: BTreeMap<u128, Entry>,
    old: BTreeMap<u128, Entry>,
}

impl Keys {
    /// Returns the state of a key, which is empty if it is not known.
    pub fn entry(&mut self, hash: u128) -> &mut Entry {
        if !self.young.contains_key(&hash) {
            let known = self.old.remove(&hash).unwrap_or_default();
            if self.young.len() >= MAX_KEYS {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(hash, known);
        }
        self.young.entry(hash).or_default()
    }

    /// Returns the number of keys.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
