//! Differences between two JSON values. The first value, from the old backend, is the reference.

use crate::{
    compare::{
        normalise::{digits, moment, same_number},
        policy::{Normalise, Rule},
        redaction::redacted,
    },
    json::value::Json,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The kind of difference between two values at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Only the old response has the value.
    Missing,
    /// Only the new response has the value.
    Extra,
    /// The values have different types.
    Type,
    /// The values are different strings or bools.
    Value,
    /// The lists have the same items in a different order.
    Order,
    /// The lists have different lengths.
    Length,
    /// The values are different numbers.
    Number,
}

impl DifferenceKind {
    /// Returns the name that documents use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Type => "type",
            Self::Value => "value",
            Self::Order => "order",
            Self::Length => "length",
            Self::Number => "number",
        }
    }
}

/// A difference between two responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path in the body, with `[]` for any item of a list; or `status`, `header NAME` or `body`
    /// if the responses differ outside of their JSON.
    pub path: String,
    /// The kind of difference at the path.
    pub kind: DifferenceKind,
    /// The old and the new value, with every letter and digit masked.
    pub example: (String, String),
}

/// Limits on the comparison of two values.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest number of pairs of values to compare.
    pub work: u32,
    /// Largest number of differences to list; a longer list would help no reader.
    pub differences: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { work: 200_000, differences: 64 }
    }
}

/// The error of a comparison that takes more work than [`Limits::work`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

/// Lists the differences, each path and kind once.
///
/// # Errors
///
/// Fails if the comparison takes more work than the limits permit.
pub fn differences(
    old: &Json<'_>,
    new: &Json<'_>,
    rules: &[Rule],
    limits: Limits,
) -> Result<Vec<Difference>, TooMuch> {
    let mut comparing = Comparer { rules, path: Vec::new(), found: Vec::new(), work: limits.work, limits };
    comparing.values(old, new)?;
    Ok(comparing.found)
}

struct Comparer<'r, 'v> {
    rules: &'r [Rule],
    path: Vec<&'v str>,
    found: Vec<Difference>,
    work: u32,
    limits: Limits,
}

impl<'v> Comparer<'_, 'v> {
    fn pay(&mut self, steps: usize) -> Result<(), TooMuch> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.work.checked_sub(steps));
        self.work = left.ok_or(TooMuch)?;
        Ok(())
    }

    fn rule(&self) -> Rule {
        let mut all = Rule::default();
        for rule in self.rules.iter().filter(|rule| rule.is_for(&self.path)) {
            all.ignore |= rule.ignore;
            all.unordered |= rule.unordered;
            all.key_by = all.key_by.or_else(|| rule.key_by.clone());
            all.tolerance = all.tolerance.or(rule.tolerance);
            all.normalise = all.normalise.or(rule.normalise);
        }
        all
    }

    fn note(&mut self, kind: DifferenceKind, old: Option<&Json<'_>>, new: Option<&Json<'_>>) {
        let path = written(&self.path);
        let known = self.found.iter().any(|held| held.kind == kind && held.path == path);
        if !known && self.found.len() < self.limits.differences {
            self.found.push(Difference { path, kind, example: (redacted(old), redacted(new)) });
        }
    }

    fn at(
        &mut self,
        step: &'v str,
        compare: impl FnOnce(&mut Self) -> Result<(), TooMuch>,
    ) -> Result<(), TooMuch> {
        self.path.push(step);
        let compared = compare(self);
        self.path.pop();
        compared
    }

    fn values(&mut self, old: &'v Json<'_>, new: &'v Json<'_>) -> Result<(), TooMuch> {
        self.pay(1)?;
        let rule = if self.rules.is_empty() { Rule::default() } else { self.rule() };
        if rule.ignore || (rule.normalise.is_some() && rule.makes_equal(old, new)) {
            return Ok(());
        }
        match (old, new) {
            (Json::Object(old), Json::Object(_)) => {
                for (name, value) in old {
                    match new.get(name) {
                        Some(other) => self.at(name, |all| all.values(value, other))?,
                        None => self.lone(name, DifferenceKind::Missing, value)?,
                    }
                }
                if let Json::Object(fields) = new {
                    self.pay(fields.len())?;
                    for (name, value) in fields.iter().filter(|(name, _)| old.iter().all(|(n, _)| n != name))
                    {
                        self.lone(name, DifferenceKind::Extra, value)?;
                    }
                }
            }
            (Json::List(old), Json::List(new)) => self.lists(old, new, &rule)?,
            (Json::Number(a), Json::Number(b)) if a == b || same_number(a, b, rule.tolerance) => {}
            (Json::Number(_), Json::Number(_)) => self.note(DifferenceKind::Number, Some(old), Some(new)),
            _ if old.kind() != new.kind() => self.note(DifferenceKind::Type, Some(old), Some(new)),
            _ if old != new => self.note(DifferenceKind::Value, Some(old), Some(new)),
            _ => {}
        }
        Ok(())
    }

    /// Notes a value that only one side has.
    fn lone(&mut self, name: &'v str, kind: DifferenceKind, value: &Json<'_>) -> Result<(), TooMuch> {
        self.at(name, |all| {
            if !all.rule().ignore {
                let (old, new) =
                    if kind == DifferenceKind::Missing { (Some(value), None) } else { (None, Some(value)) };
                all.note(kind, old, new);
            }
            Ok(())
        })
    }

    fn lists(&mut self, old: &'v [Json<'_>], new: &'v [Json<'_>], rule: &Rule) -> Result<(), TooMuch> {
        if old.len() != new.len() {
            let length = |items: &[Json<'_>]| Json::text(format!("{} items", items.len()));
            // Lengths hold no user data, so they are not redacted.
            let (path, example) = (written(&self.path), (length(old), length(new)));
            let example = (example.0.to_string(), example.1.to_string());
            let kind = DifferenceKind::Length;
            if !self.found.iter().any(|held| held.kind == kind && held.path == path) {
                self.found.push(Difference { path, kind, example });
            }
        }
        self.pay(old.len() + new.len())?;
        let key = rule.key_by.as_deref().unwrap_or("id");
        if let (Some(old_keys), Some(new_keys)) = (keys(old, key), keys(new, key)) {
            return self.by_key(old, new, &old_keys, &new_keys, rule.unordered);
        }
        if old.len() == new.len() {
            let texts =
                |items: &[Json<'_>]| -> Vec<String> { items.iter().map(ToString::to_string).collect() };
            let (before, after) = (texts(old), texts(new));
            let same = |items: &[String]| -> Vec<String> {
                in_order(items.iter().map(String::as_str)).into_iter().map(str::to_owned).collect()
            };
            if before != after && same(&before) == same(&after) {
                if !rule.unordered {
                    self.note(DifferenceKind::Order, None, None);
                }
                return Ok(());
            }
        }
        if rule.unordered {
            return self.unordered(old, new);
        }
        for (old, new) in old.iter().zip(new) {
            self.at("[]", |all| all.values(old, new))?;
        }
        Ok(())
    }

    /// Compares the items of two lists in pairs with the same key.
    fn by_key(
        &mut self,
        old: &'v [Json<'_>],
        new: &'v [Json<'_>],
        old_keys: &[Cow<'_, str>],
        new_keys: &[Cow<'_, str>],
        unordered: bool,
    ) -> Result<(), TooMuch> {
        let mut matched = vec![false; new.len()];
        let mut last = None;
        let mut moved = false;
        for (key, item) in old_keys.iter().zip(old) {
            // The match is nearly always the item after the last match.
            let next = last.map_or(0, |last: usize| last + 1);
            let found = match new_keys.get(next) {
                Some(held) if held == key => Some(next),
                _ => {
                    self.pay(new_keys.len())?;
                    new_keys.iter().position(|held| held == key)
                }
            };
            match found.and_then(|place| Some((place, new.get(place)?))) {
                Some((place, other)) => {
                    moved |= last.is_some_and(|last| place < last);
                    last = Some(place);
                    if let Some(matched) = matched.get_mut(place) {
                        *matched = true;
                    }
                    self.at("[]", |all| all.values(item, other))?;
                }
                None => self.lone("[]", DifferenceKind::Missing, item)?,
            }
        }
        for (item, _) in new.iter().zip(&matched).filter(|(_, matched)| !**matched) {
            self.lone("[]", DifferenceKind::Extra, item)?;
        }
        if moved && !unordered {
            self.note(DifferenceKind::Order, None, None);
        }
        Ok(())
    }

    /// Compares lists in any order: equal items are removed in pairs, and the rest are compared one
    /// by one.
    fn unordered(&mut self, old: &'v [Json<'_>], new: &'v [Json<'_>]) -> Result<(), TooMuch> {
        let mut left: Vec<&'v Json<'_>> = new.iter().collect();
        let mut lone: Vec<&'v Json<'_>> = Vec::new();
        for item in old {
            let mut found = None;
            for (index, other) in left.iter().enumerate() {
                let limits = Limits { work: self.work, differences: 1 };
                let mut path = self.path.clone();
                path.push("[]");
                let mut inner =
                    Comparer { rules: self.rules, path, found: Vec::new(), work: self.work, limits };
                inner.values(item, other)?;
                self.work = inner.work;
                if inner.found.is_empty() {
                    found = Some(index);
                    break;
                }
            }
            match found {
                Some(index) => {
                    left.remove(index);
                }
                None => lone.push(item),
            }
        }
        for (old, new) in lone.into_iter().zip(left) {
            self.at("[]", |all| all.values(old, new))?;
        }
        Ok(())
    }
}

/// Returns the keys of all items, or `None` unless every item has a unique one.
fn keys<'i>(items: &'i [Json<'_>], key: &str) -> Option<Vec<Cow<'i, str>>> {
    let of = |item: &'i Json<'_>| match item.get(key)? {
        Json::Text(text) => Some(Cow::Borrowed(&**text)),
        Json::Number(digits) => Some(Cow::Owned(format!("{digits} "))),
        _ => None,
    };
    let keys: Vec<_> = items.iter().map(of).collect::<Option<_>>()?;
    let sorted = in_order(keys.iter().map(|key| &**key));
    sorted.windows(2).all(|pair| pair.first() != pair.last()).then_some(keys)
}

fn in_order<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut sorted: Vec<_> = texts.collect();
    sorted.sort_unstable();
    sorted
}

impl Rule {
    fn makes_equal(&self, old: &Json<'_>, new: &Json<'_>) -> bool {
        let texts = old.as_text().zip(new.as_text());
        match self.normalise {
            Some(Normalise::Lowercase) => texts.is_some_and(|(a, b)| a.eq_ignore_ascii_case(b)),
            Some(Normalise::Whitespace) => {
                texts.is_some_and(|(a, b)| a.split_ascii_whitespace().eq(b.split_ascii_whitespace()))
            }
            Some(Normalise::Date) => match (moment(old), moment(new)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
            Some(Normalise::Number) => match (digits(old), digits(new)) {
                (Some(a), Some(b)) => same_number(a, b, self.tolerance),
                _ => false,
            },
            None => false,
        }
    }
}

fn written(path: &[&str]) -> String {
    let mut text = String::new();
    for step in path {
        if !text.is_empty() && *step != "[]" {
            text.push('.');
        }
        text.push_str(step);
    }
    if text.is_empty() {
        return ".".to_owned();
    }
    if text.len() > MAX_PATH {
        let end = (0..=MAX_PATH).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Longest reported path, in bytes. Differences below it are merged into one, because batches and
/// ledgers store many paths.
const MAX_PATH: usize = 120;
