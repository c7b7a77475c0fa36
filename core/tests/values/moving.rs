//! Users whom a change of a flag moves from one variant to another.

use super::{config, flag, rules_of, users, variant};
use cutover_core::{PartsPerMillion, config::Config};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A flag with weights of its variants, in their order. The default and the only rule have the same.
fn with_weights(weights: &[(&str, u32)]) -> Config {
    let variants: Vec<String> = weights.iter().map(|(key, _)| format!("{key}: {key}")).collect();
    let shares: Vec<String> = weights
        .iter()
        .map(|(key, parts)| format!("{key}: {}", PartsPerMillion::of_parts(*parts).percent()))
        .collect();
    let (variants, shares) = (variants.join(", "), shares.join(", "));
    config(&format!(
        "flags:\n  f:\n    type: string\n    enabled: true\n    variants: {{ {variants} }}\n    off: a\n    \
         default: {{ weights: {{ {shares} }} }}\n    rules:\n      - conditions: [{{ type: attribute, name: country, op: \
         equals, values: [NO] }}]\n        weights: {{ {shares} }}\n"
    ))
}

fn variants_of(config: &Config) -> BTreeMap<String, String> {
    let rules = rules_of(config);
    users().map(|user| (variant(&rules, "f", &user), user)).map(|(variant, user)| (user, variant)).collect()
}

/// A new variant takes its users from the others, and moves nobody between them, wherever it stands in the list.
#[test]
fn a_new_variant_moves_nobody_between_the_others() {
    let before = with_weights(&[("a", 500_000), ("b", 500_000)]);
    let held = variants_of(&before);
    for wanted in [
        [("a", 400_000), ("b", 400_000), ("c", 200_000)],
        [("c", 200_000), ("a", 400_000), ("b", 400_000)],
        [("b", 450_000), ("c", 300_000), ("a", 250_000)],
    ] {
        let after = before.merged(&with_weights(&wanted), false);
        let mut moved = 0;
        for (user, variant) in variants_of(&after) {
            if variant != held[&user] {
                assert_eq!(variant, "c", "{user} of {}", held[&user]);
                moved += 1;
            }
        }
        assert!((300..700).contains(&moved), "{moved} of 2 000 users");
        // Saved once more, and applied from its own export, it is the same.
        assert_eq!(after.merged(&with_weights(&wanted), false), after);
        let exported = serde_json::to_value(&after).unwrap();
        assert_eq!(Config::default().merged(&Config::from_json(&exported).unwrap(), false), after);
    }
}

/// A single variant is a split with all of the weight.
#[test]
fn a_rollout_from_a_single_variant_adds_users_and_moves_none_back() {
    let text = |default: &str| {
        format!(
            "flags: {{ f: {{ type: boolean, enabled: true, variants: {{ a: true, b: false }}, off: b, default: {default} }} }}"
        )
    };
    let mut live = config(&text("b"));
    let mut reached: Vec<String> = Vec::new();
    for percent in [1, 5, 25, 50, 100] {
        let wanted = text(&format!("{{ weights: {{ a: {percent}, b: {} }} }}", 100 - percent));
        live = live.merged(&config(&wanted), false);
        let rules = rules_of(&live);
        let now: Vec<String> = users().filter(|user| variant(&rules, "f", user) == "a").collect();
        assert!(reached.iter().all(|user| now.contains(user)), "{percent}");
        assert!(now.len() > reached.len(), "{percent}: {} users", now.len());
        reached = now;
    }
    assert_eq!(reached.len(), 2_000);
}

#[test]
fn a_salt_that_is_left_out_stays_and_another_one_deals_anew() {
    let text = |salt: &str| {
        format!(
            "flags: {{ f: {{ type: boolean, enabled: true, variants: {{ a: true, b: false }}, off: b, {salt}default: \
             {{ weights: {{ a: 50, b: 50 }} }} }} }}"
        )
    };
    let live = config(&text("salt: one, "));
    let kept = live.merged(&config(&text("")), false);
    assert_eq!(flag(&kept, "f").salt.as_deref(), Some("one"));
    assert_eq!(variants_of(&kept), variants_of(&live));
    let dealt = live.merged(&config(&text("salt: two, ")), false);
    assert_ne!(variants_of(&dealt), variants_of(&live));
    // The name of the flag is the default, to which a flag can return.
    let unsalted = Config::default().merged(&config(&text("")), false);
    let returned = live.merged(&config(&text("salt: f, ")), false);
    assert_eq!(flag(&returned, "f").salt, None);
    assert_eq!(variants_of(&returned), variants_of(&unsalted));
    assert_ne!(variants_of(&returned), variants_of(&live));
    assert_eq!(unsalted.merged(&config(&text("salt: f, ")), false), unsalted);
}

/// A scheduled default follows the state before it, so it moves as few users as a change by hand.
#[test]
fn a_scheduled_rollout_keeps_the_users_that_it_has() {
    let text = "
flags:
  f:
    type: boolean
    enabled: true
    variants: { a: true, b: false }
    off: b
    default: { weights: { a: 10, b: 90 } }
    schedule:
      - { at: \"2027-01-01T00:00:00Z\", set: { default: { weights: { b: 60, a: 40 } } } }
      - { at: \"2027-02-01T00:00:00Z\", set: { default: a } }
";
    let live = Config::default().merged(&config(text), false);
    let rules = rules_of(&live);
    let at = |user: &str, time: &str| {
        let facts = cutover_core::Facts::default();
        rules.evaluate("f", Some(user), &facts, super::time(time)).unwrap().value == "true"
    };
    let mut counts = [0; 3];
    for user in users() {
        let ways = ["2026-12-31T00:00:00Z", "2027-01-15T00:00:00Z", "2027-02-01T00:00:00Z"];
        let [first, second, third] = ways.map(|time| at(&user, time));
        assert!(first <= second && second <= third, "{user}");
        for (count, is_on) in counts.iter_mut().zip([first, second, third]) {
            *count += u32::from(is_on);
        }
    }
    assert!((100..300).contains(&counts[0]) && (650..950).contains(&counts[1]), "{counts:?}");
    assert_eq!(counts[2], 2_000);
}

/// Three weights that add up to all, in parts per million.
fn weights() -> impl Strategy<Value = [u32; 3]> {
    (0_u32..=1_000_000, 0_u32..=1_000_000).prop_map(|(one, other)| {
        let (low, high) = (one.min(other), one.max(other));
        [low, high - low, 1_000_000 - high]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Variants that gain weight lose nobody, whatever the weights before and after.
    #[test]
    fn only_variants_that_lose_weight_lose_users(before in weights(), after in weights()) {
        let of = |weights: [u32; 3]| with_weights(&[("a", weights[0]), ("b", weights[1]), ("c", weights[2])]);
        let live = Config::default().merged(&of(before), false);
        let saved = live.merged(&of(after), false);
        let gains: BTreeMap<&str, bool> =
            ["a", "b", "c"].into_iter().zip(before.iter().zip(&after).map(|(before, after)| after >= before)).collect();
        let (old, new) = (variants_of(&live), variants_of(&saved));
        for (user, held) in &old {
            if gains[held.as_str()] {
                prop_assert_eq!(held, &new[user]);
            }
        }
        // The same user has the same variant again.
        prop_assert_eq!(variants_of(&saved), new);
    }
}
