//! A map as a sorted list: what a snapshot holds. It is built once, in order, and then only looked at; a tree for each type
//! of value would be 20 KB of the Worker.

use crate::json::{FromJson, Json};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Borrow, collections::BTreeMap};

/// Pairs, sorted by their keys; no key is there twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> Sorted<K, V> {
    /// Puts a value under a key; the one that was there before is replaced.
    pub fn insert(&mut self, key: K, value: V) {
        // Documents are written in order, so the end is nearly always the place.
        let at = match self.0.last() {
            Some((last, _)) if *last >= key => self.0.binary_search_by(|(held, _)| held.cmp(&key)),
            _ => Err(self.0.len()),
        };
        match at {
            Ok(at) => {
                if let Some((_, held)) = self.0.get_mut(at) {
                    *held = value;
                }
            }
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// The value under a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.position(key).and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    /// The place of a key in the order of all.
    pub fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(held, _)| held.borrow().cmp(key)).ok()
    }
}

impl<K, V> Sorted<K, V> {
    /// The pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The values, in the order of their keys.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Sorted<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut sorted = Self::default();
        pairs.into_iter().for_each(|(key, value)| sorted.insert(key, value));
        sorted
    }
}

impl<K: Serialize, V: Serialize> Serialize for Sorted<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for Sorted<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|map| map.into_iter().collect())
    }
}

impl<K: FromJson + Ord, V: FromJson> FromJson for Sorted<K, V> {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let Json::Object(fields) = json else { return None };
        let mut read = Self::default();
        for (name, value) in fields {
            read.insert(K::from_json(&Json::text(&**name))?, V::from_json(value)?);
        }
        Some(read)
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}
