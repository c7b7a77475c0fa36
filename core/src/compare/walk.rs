//! Comparison of two JSON values. The first value, from the old backend, is the reference.

use crate::{
    compare::{
        budget::{Limits, TooMuch},
        canonical::item_forms,
        difference::{Difference, DifferenceKind},
        naming::is_map,
        pairing::{Pairing, pair},
        path::ITEMS,
        place::Place,
        policy::Rule,
        redaction::examples,
    },
    json::value::Json,
};
use std::borrow::Cow;

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
    let mut walk = Walk { place: Place::root(rules, limits), found: Vec::new(), most: limits.differences };
    walk.values(old, new)?;
    Ok(walk.found)
}

struct Walk<'r, 'v> {
    place: Place<'r, 'v>,
    found: Vec<Difference>,
    /// Largest number of differences to list.
    most: usize,
}

type Field<'j> = (Cow<'j, str>, Json<'j>);

impl<'v> Walk<'_, 'v> {
    fn note(&mut self, kind: DifferenceKind, old: Option<&Json<'_>>, new: Option<&Json<'_>>) {
        self.note_example(kind, || examples(old, new));
    }

    /// Notes a difference with an example that holds no user data.
    fn note_example(&mut self, kind: DifferenceKind, example: impl FnOnce() -> (String, String)) {
        let path = self.place.path.reported();
        let is_known = self.found.iter().any(|held| held.kind == kind && held.path == path);
        if !is_known && self.found.len() < self.most {
            self.found.push(Difference { path, kind, example: example() });
        }
    }

    /// Notes a value that only one side has.
    fn note_lone(&mut self, kind: DifferenceKind, value: &Json<'_>) {
        if !self.place.rule().ignore {
            let is_old = kind == DifferenceKind::Missing;
            let (old, new) = if is_old { (Some(value), None) } else { (None, Some(value)) };
            self.note(kind, old, new);
        }
    }

    /// Takes one step down, calls `step`, and comes back.
    fn below<T>(&mut self, name: &'v str, is_map: bool, step: impl FnOnce(&mut Self) -> T) -> T {
        self.place.path.push(name, is_map);
        let result = step(self);
        self.place.path.pop();
        result
    }

    fn values(&mut self, old: &'v Json<'_>, new: &'v Json<'_>) -> Result<(), TooMuch> {
        self.place.budget.pay(1)?;
        let rule = self.place.rule();
        if rule.ignore || (rule.normalise.is_some() && rule.makes_equal(old, new)) {
            return Ok(());
        }
        match (old, new) {
            (Json::Object(old), Json::Object(new)) => self.objects(old, new)?,
            (Json::List(old), Json::List(new)) => self.lists(old, new, &rule)?,
            (Json::Number(a), Json::Number(b)) if rule.makes_equal_numbers(a, b) => {}
            (Json::Number(_), Json::Number(_)) => self.note(DifferenceKind::Number, Some(old), Some(new)),
            _ if old.kind() != new.kind() => self.note(DifferenceKind::Type, Some(old), Some(new)),
            _ if old != new => self.note(DifferenceKind::Value, Some(old), Some(new)),
            _ => {}
        }
        Ok(())
    }

    fn objects<'j: 'v>(&mut self, old: &'v [Field<'j>], new: &'v [Field<'j>]) -> Result<(), TooMuch> {
        self.place.budget.pay(old.len() + new.len())?;
        let pairing = pair(&names(old), &names(new));
        let is_map = is_map(old, new, pairing.pairs());
        for ((name, value), partner) in old.iter().zip(&pairing.partners) {
            match partner.and_then(|index| new.get(index)) {
                Some((_, other)) => self.below(name, is_map, |walk| walk.values(value, other))?,
                None => self.below(name, is_map, |walk| walk.note_lone(DifferenceKind::Missing, value)),
            }
        }
        for (name, value) in pairing.extra.iter().filter_map(|index| new.get(*index)) {
            self.below(name, is_map, |walk| walk.note_lone(DifferenceKind::Extra, value));
        }
        Ok(())
    }

    fn lists<'j: 'v>(&mut self, old: &'v [Json<'j>], new: &'v [Json<'j>], own: &Rule) -> Result<(), TooMuch> {
        if old.len() != new.len() {
            // Lengths hold no user data, so they are not redacted.
            let length = |items: &[Json<'_>]| format!("\"{} items\"", items.len());
            self.note_example(DifferenceKind::Length, || (length(old), length(new)));
        }
        self.place.budget.pay(old.len() + new.len())?;
        if old == new {
            return Ok(());
        }
        let rule = self.place.list_rule(own);
        let key = rule.key_by.as_deref().unwrap_or("id");
        if let (Some(old_keys), Some(new_keys)) = (keys(old, key), keys(new, key)) {
            return self.by_key(old, new, &pair(&old_keys, &new_keys), rule.unordered);
        }
        if rule.unordered {
            return self.unordered(old, new);
        }
        if old.len() == new.len() {
            let pairing = self.by_form(old, new)?;
            if pairing.extra.is_empty() {
                if pairing.is_moved() {
                    self.note(DifferenceKind::Order, None, None);
                }
                return Ok(());
            }
        }
        for (old, new) in old.iter().zip(new) {
            self.below(ITEMS, false, |walk| walk.values(old, new))?;
        }
        Ok(())
    }

    /// Pairs the items of two lists that are equal by the rules.
    fn by_form(&mut self, old: &'v [Json<'_>], new: &'v [Json<'_>]) -> Result<Pairing, TooMuch> {
        let old_forms = item_forms(&mut self.place, old)?;
        let new_forms = item_forms(&mut self.place, new)?;
        Ok(pair(&old_forms, &new_forms))
    }

    /// Compares the items of two lists that are paired by their keys.
    fn by_key(
        &mut self,
        old: &'v [Json<'_>],
        new: &'v [Json<'_>],
        pairing: &Pairing,
        is_unordered: bool,
    ) -> Result<(), TooMuch> {
        for (item, partner) in old.iter().zip(&pairing.partners) {
            match partner.and_then(|index| new.get(index)) {
                Some(other) => self.below(ITEMS, false, |walk| walk.values(item, other))?,
                None => self.below(ITEMS, false, |walk| walk.note_lone(DifferenceKind::Missing, item)),
            }
        }
        for item in pairing.extra.iter().filter_map(|index| new.get(*index)) {
            self.below(ITEMS, false, |walk| walk.note_lone(DifferenceKind::Extra, item));
        }
        if pairing.is_moved() && !is_unordered {
            self.note(DifferenceKind::Order, None, None);
        }
        Ok(())
    }

    /// Compares lists in any order: equal items are paired, and the rest are compared one by one.
    fn unordered<'j: 'v>(&mut self, old: &'v [Json<'j>], new: &'v [Json<'j>]) -> Result<(), TooMuch> {
        let pairing = self.by_form(old, new)?;
        let lone = old.iter().zip(&pairing.partners).filter(|(_, partner)| partner.is_none());
        let mut lone: Vec<&'v Json<'j>> = lone.map(|(item, _)| item).collect();
        let mut left: Vec<&'v Json<'j>> = pairing.extra.iter().filter_map(|index| new.get(*index)).collect();
        if self.place.has_tolerances() {
            lone = self.without_near(lone, &mut left)?;
        }
        for (old, new) in lone.into_iter().zip(left) {
            self.below(ITEMS, false, |walk| walk.values(old, new))?;
        }
        Ok(())
    }

    /// Removes the items that are equal by a tolerance, from `left` too. Compares each with each,
    /// within the budget.
    fn without_near<'j: 'v>(
        &mut self,
        lone: Vec<&'v Json<'j>>,
        left: &mut Vec<&'v Json<'j>>,
    ) -> Result<Vec<&'v Json<'j>>, TooMuch> {
        let mut rest = Vec::new();
        for item in lone {
            let mut near = None;
            for (index, other) in left.iter().copied().enumerate() {
                if self.is_equal(item, other)? {
                    near = Some(index);
                    break;
                }
            }
            match near {
                Some(index) => {
                    left.remove(index);
                }
                None => rest.push(item),
            }
        }
        Ok(rest)
    }

    /// Returns true if two items of the list at this place have no difference. Notes nothing.
    fn is_equal(&mut self, old: &'v Json<'_>, new: &'v Json<'_>) -> Result<bool, TooMuch> {
        let noted = (std::mem::take(&mut self.found), std::mem::replace(&mut self.most, 1));
        let compared = self.below(ITEMS, false, |walk| walk.values(old, new));
        let is_equal = self.found.is_empty();
        (self.found, self.most) = noted;
        compared.map(|()| is_equal)
    }
}

fn names<'n>(fields: &'n [Field<'_>]) -> Vec<&'n str> {
    fields.iter().map(|(name, _)| &**name).collect()
}

/// Returns the keys of all items, or `None` unless every item has a unique one.
fn keys<'i>(items: &'i [Json<'_>], key: &str) -> Option<Vec<Cow<'i, str>>> {
    let of = |item: &'i Json<'_>| match item.get(key)? {
        Json::Text(text) => Some(Cow::Borrowed(&**text)),
        // The space sets a number apart from the same digits in a string.
        Json::Number(digits) => Some(Cow::Owned(format!("{digits} "))),
        _ => None,
    };
    let keys: Vec<_> = items.iter().map(of).collect::<Option<_>>()?;
    let mut sorted: Vec<&str> = keys.iter().map(|key| &**key).collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair.first() != pair.last()).then_some(keys)
}
