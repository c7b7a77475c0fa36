//! Flags with values that a change enables: by their switch, or by that of a flag which is one of their prerequisites.

use crate::access::digest;
use cutover_core::{
    Arm, Emergency, FlagName, PartsPerMillion, Timestamp,
    config::Config,
    values::document::{Prerequisite, Served, ValueFlag},
    vocabulary::names::VariantKey,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Longest list of flags that are enabled through others, in bytes. A longer one is told by its count, its first names
/// and its digest: a second person reads no more, and a change that waits has 200 KB in all.
const MAX_LISTED: usize = 100_000;

/// Number of names in a list that is too long.
const FIRST_NAMES: usize = 50;

/// A configuration with the emergency in force.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'s> {
    /// The configuration.
    pub config: &'s Config,
    /// The emergency in force.
    pub emergency: Option<&'s Emergency>,
}

impl<'s> Rules<'s> {
    /// Returns the flags with values whose rules and default may decide for a user at `now`: those that are enabled,
    /// and of which every prerequisite can be met.
    fn deciding(&self, now: Timestamp) -> BTreeSet<&'s FlagName> {
        let flags = &self.config.flags;
        let enabled = flags.iter().filter(|(_, flag)| flag.in_force(now).enabled);
        let mut deciding: BTreeSet<&FlagName> = enabled.map(|(name, _)| name).collect();
        loop {
            let can_be_met = |needed: &Prerequisite| self.can_be_met(needed, &deciding, now);
            let is_kept = |name: &FlagName| {
                flags.get(name).is_some_and(|flag| flag.prerequisites.iter().all(can_be_met))
            };
            let kept: BTreeSet<&FlagName> = deciding.iter().copied().filter(|name| is_kept(name)).collect();
            if kept.len() == deciding.len() {
                return kept;
            }
            deciding = kept;
        }
    }

    /// Returns true if a user may meet a prerequisite at `now`. `deciding` are the flags with values that may be one.
    fn can_be_met(&self, needed: &Prerequisite, deciding: &BTreeSet<&FlagName>, now: Timestamp) -> bool {
        let Prerequisite { flag: name, variant } = needed;
        if let Some(flag) = self.config.flags.get(name) {
            return deciding.contains(name) && gives_out(flag, variant, now);
        }
        let is_on = self.config.feature_flags.get(name).is_some_and(|flag| flag.enabled)
            && !self.emergency.is_some_and(|emergency| emergency.covers(name));
        variant.as_str() == Arm::Legacy.as_str() || is_on
    }
}

/// Returns true if a rule of a flag, or its default at `now`, gives out a variant.
fn gives_out(flag: &ValueFlag, variant: &VariantKey, now: Timestamp) -> bool {
    let mut served =
        flag.rules.iter().map(|rule| &rule.served).chain(std::iter::once(flag.in_force(now).default));
    served.any(|served| match served {
        Served::Single { variant: single } => single == variant,
        Served::Split(split) => {
            split.weights.get(variant).is_some_and(|share| *share > PartsPerMillion::ZERO)
        }
    })
}

/// Lists the flags with values that a change enables at `now`, each with what decides from then on: the default in
/// force, the rules and the prerequisites. One that is not switched on itself has the flag `through` which it is enabled:
/// that of a prerequisite which no user could meet before. As of flags that decide routes, another caller may change all
/// this before the approval. If there are too many of those, one entry is about all of them.
pub fn enabled_value_flags(before: Rules<'_>, after: Rules<'_>, now: Timestamp) -> Vec<Value> {
    let (decided, decides) = (before.deciding(now), after.deciding(now));
    let mut enabled = Enabled::default();
    for (name, held) in &before.config.flags {
        let Some(flag) = after.config.flags.get(name) else { continue };
        let in_force = flag.in_force(now);
        let is_switched = in_force.enabled && !held.in_force(now).enabled;
        let begins = decides.contains(name) && !decided.contains(name);
        if !is_switched && !begins {
            continue;
        }
        // One object, because a list of two is read as a value before and one after.
        let deciding = json!({
            "default": in_force.default,
            "rules": flag.rules,
            "prerequisites": flag.prerequisites,
        });
        let mut detail = json!({ "section": "flags", "name": name, "enables": deciding });
        let unmet = flag.prerequisites.iter().find(|needed| !before.can_be_met(needed, &decided, now));
        if let (false, Some(unmet), Some(fields)) = (is_switched, unmet, detail.as_object_mut()) {
            fields.insert("through".to_owned(), json!(unmet.flag));
            enabled.through_others.push(name);
        }
        enabled.details.push(detail);
    }
    enabled.bounded()
}

/// Flags with values that a change enables.
#[derive(Default)]
struct Enabled<'n> {
    /// Entry of each, in the order of their names.
    details: Vec<Value>,
    /// Names of those that are enabled through others, in the same order.
    through_others: Vec<&'n FlagName>,
}

impl Enabled<'_> {
    /// Returns the entries. If those of the flags that are enabled through others are too long in all, they are
    /// replaced by one: it names the digest of them, so that an approval covers exactly these.
    fn bounded(self) -> Vec<Value> {
        let Self { details, through_others } = self;
        let is_through = |detail: &Value| detail.get("through").is_some();
        let (behind, mut listed): (Vec<Value>, Vec<Value>) = details.iter().cloned().partition(is_through);
        let text = Value::Array(behind).to_string();
        if text.len() <= MAX_LISTED {
            return details;
        }
        let first: Vec<&FlagName> = through_others.iter().copied().take(FIRST_NAMES).collect();
        let all = json!({
            "count": through_others.len(),
            "first": first,
            "digest": digest::digest(&[text.as_bytes()]),
        });
        listed.push(json!({ "section": "flags", "enables_through_others": all }));
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags behind others: one that is disabled, and one that gives out x alone.
    const CONFIG: &str = "
feature_flags: { checkout: { enabled: false, rollout_percentage: 10 } }
flags:
  gate: { type: boolean, variants: { x: true, y: false }, default: x, off: y }
  closed: { type: boolean, variants: { x: true, y: false }, default: x, off: y }
";

    /// A flag that is enabled.
    const ON: &str = "type: boolean, enabled: true, variants: { x: true, y: false }, default: x, off: y";

    fn config(flags: &[(&str, &str)]) -> Config {
        let flags = flags.iter().map(|(name, needed)| {
            let needed: Vec<String> = needed
                .split_terminator(' ')
                .map(|needed| {
                    let (flag, variant) = needed.split_once('.').unwrap();
                    format!("{{ flag: {flag}, variant: {variant} }}")
                })
                .collect();
            format!("  {name}: {{ {ON}, prerequisites: [{}] }}\n", needed.join(", "))
        });
        Config::from_yaml(&format!("{CONFIG}{}", flags.collect::<String>())).unwrap()
    }

    fn emergency(flag: &str, now: Timestamp) -> Emergency {
        Emergency {
            flags: Some(vec![flag.parse().unwrap()]),
            reason: "errors".to_owned(),
            by: "operator".to_owned(),
            since: now,
            declarations: Vec::new(),
        }
    }

    fn now() -> Timestamp {
        "2027-02-01T00:00:00Z".parse().unwrap()
    }

    /// Returns the flags that a change enables, each with the flag through which.
    fn enabled(before: Rules<'_>, after: Rules<'_>) -> Vec<(String, Option<String>)> {
        let text = |detail: &Value, field: &str| detail[field].as_str().map(str::to_owned);
        let details = enabled_value_flags(before, after, now());
        details.iter().map(|detail| (text(detail, "name").unwrap(), text(detail, "through"))).collect()
    }

    fn told(flags: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        let through = |through: &str| (!through.is_empty()).then(|| through.to_owned());
        flags.iter().map(|(name, other)| ((*name).to_owned(), through(other))).collect()
    }

    #[test]
    fn the_flags_behind_an_enabled_one_are_enabled_through_it() {
        let before = config(&[
            ("behind", "gate.x"),
            ("deeper", "behind.x"),
            ("never", "gate.y"),
            ("elsewhere", "closed.x"),
            ("both", "gate.x closed.x"),
            ("free", ""),
        ]);
        let mut after = before.clone();
        after.flags.get_mut("gate").unwrap().enabled = true;
        let rules = |config| Rules { config, emergency: None };
        let expected = told(&[("behind", "gate"), ("deeper", "behind"), ("gate", "")]);
        assert_eq!(enabled(rules(&before), rules(&after)), expected);
        assert_eq!(enabled(rules(&after), rules(&before)), told(&[]), "disabled again");
        assert_eq!(enabled(rules(&after), rules(&after)), told(&[]));

        let details = enabled_value_flags(rules(&before), rules(&after), now());
        let needed = json!([{ "flag": "gate", "variant": "x" }]);
        let deciding = json!({ "default": { "variant": "x" }, "rules": [], "prerequisites": needed });
        let behind = json!({ "section": "flags", "name": "behind", "enables": deciding, "through": "gate" });
        assert_eq!(details.first(), Some(&behind));
    }

    #[test]
    fn a_flag_is_enabled_by_what_its_prerequisite_gives_out_from_then_on() {
        let mut before = config(&[("behind", "gate.x"), ("freed", "closed.x")]);
        before.flags.get_mut("gate").unwrap().enabled = true;
        before.flags.get_mut("gate").unwrap().default = Served::Single { variant: "y".parse().unwrap() };
        let mut after = before.clone();
        let weights = json!({ "weights": { "x": 1.0, "y": 99.0 } });
        after.flags.get_mut("gate").unwrap().default = serde_json::from_value(weights).unwrap();
        after.flags.get_mut("freed").unwrap().prerequisites.clear();
        let rules = |config| Rules { config, emergency: None };
        let expected = told(&[("behind", "gate"), ("freed", "")]);
        assert_eq!(enabled(rules(&before), rules(&after)), expected);
    }

    #[test]
    fn a_flag_of_routes_enables_those_that_need_its_new_arm() {
        let off = config(&[("newer", "checkout.new"), ("older", "checkout.legacy")]);
        let mut on = off.clone();
        on.feature_flags.get_mut("checkout").unwrap().enabled = true;
        let held = emergency("checkout", now());
        let other = emergency("gate", now());
        let enabled_newer = told(&[("newer", "checkout")]);
        for (before, after, expected) in [
            ((&off, None), (&on, None), enabled_newer.clone()),
            ((&off, Some(&other)), (&on, Some(&other)), enabled_newer.clone()),
            ((&off, Some(&held)), (&on, Some(&held)), told(&[])),
            ((&on, Some(&held)), (&on, None), enabled_newer),
            ((&on, None), (&off, None), told(&[])),
        ] {
            let rules = |(config, emergency)| Rules { config, emergency };
            assert_eq!(enabled(rules(before), rules(after)), expected, "{before:?} -> {after:?}");
        }
    }

    /// Their names alone say little about them, so every one of them is in the digest.
    #[test]
    fn too_many_flags_behind_an_enabled_one_are_told_by_count_first_names_and_digest() {
        let names: Vec<String> = (0..1_200).map(|number| format!("behind-{number:04}")).collect();
        let mut behind: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "gate.x")).collect();
        let enabled = |behind: &[(&str, &str)], change: fn(&mut Config)| {
            let mut before = config(behind);
            change(&mut before);
            let mut after = before.clone();
            after.flags.get_mut("gate").unwrap().enabled = true;
            let rules = |config| Rules { config, emergency: None };
            enabled_value_flags(rules(&before), rules(&after), now())
        };
        let many = enabled(&behind, |_| {});
        assert_eq!(many.len(), 2, "{many:#?}");
        assert_eq!(many[0]["name"], "gate", "what is switched on itself is told as ever");
        let told = &many[1]["enables_through_others"];
        assert_eq!((&told["count"], &told["first"]), (&json!(1_200), &json!(names[..50])));
        assert!(Value::Array(many.clone()).to_string().len() < 5_000);
        assert_eq!(enabled(&behind, |_| {}), many);
        let other = enabled(&behind, |config| {
            config.flags.get_mut("behind-0900").unwrap().default =
                Served::Single { variant: "y".parse().unwrap() };
        });
        assert_ne!(other[1]["enables_through_others"]["digest"], told["digest"]);
        assert_eq!(other[1]["enables_through_others"]["first"], told["first"]);
        behind.truncate(300);
        let few = enabled(&behind, |_| {});
        assert_eq!(few.len(), 301, "each is told");
        assert!(few.iter().all(|detail| detail.get("enables").is_some()));
    }
}
