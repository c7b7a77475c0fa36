//! The flags and the contexts of the benchmark: one description, written for Cutover and for flagd.

use serde_json::{Map, Value, json};

/// Requests that the token may send in a second: the most that can be configured, so that no Worker refuses any.
const REQUESTS_PER_SECOND: u32 = 100_000;

/// Bytes of an answer with all flags, within a tenth.
pub(super) const ANSWER_BYTES: usize = 8_400;

/// Number of contexts for which flags are evaluated.
const CONTEXTS: usize = 200;

const PLANS: [&str; 3] = ["free", "gold", "team"];
const REGIONS: [&str; 5] = ["north", "east", "south", "west", "centre"];

/// The variant of users whom a rule names, and of the first part of a split.
const CHOSEN: &str = "chosen";
/// The variant of everyone else.
const USUAL: &str = "usual";

/// The part of a flag that decides its variant.
enum Choice {
    /// The chosen variant for one value of the attribute `plan`.
    Plan(&'static str),
    /// The chosen variant for two values of the attribute `region`.
    Regions([&'static str; 2]),
    /// The chosen variant for this percentage of the users.
    Split(u32),
    /// The usual variant for everyone.
    Nothing,
}

/// A flag.
pub(super) struct BenchFlag {
    /// Name of the flag.
    pub(super) name: String,
    kind: &'static str,
    chosen: Value,
    usual: Value,
    choice: Choice,
}

impl BenchFlag {
    /// Returns the flag with a number below 100: 60 are boolean, 20 strings, 10 numbers and 10 objects. In all, 50 have a
    /// rule, 25 are split, and 25 have one value.
    fn new(number: usize) -> Self {
        let (kind, chosen, usual) = match number {
            0..60 => ("boolean", json!(true), json!(false)),
            60..80 => {
                ("string", json!(format!("/assets/{number}/new.css")), json!(format!("/assets/{number}.css")))
            }
            80..90 => ("number", json!(number as f64 + 0.5), json!(number)),
            _ => ("object", object(number, "new"), object(number, "old")),
        };
        let turn = number / 4;
        let choice = match number % 4 {
            0 => Choice::Plan(PLANS[turn % PLANS.len()]),
            1 => Choice::Split(10 + u32::try_from(turn).expect("a small number")),
            2 => Choice::Regions([0, 2].map(|distance: usize| REGIONS[(turn + distance) % REGIONS.len()])),
            _ => Choice::Nothing,
        };
        Self { name: format!("{kind}-{number:02}"), kind, chosen, usual, choice }
    }

    /// Returns true if a hash of the user decides. The hashes of Cutover and flagd are different ones.
    pub(super) fn is_split(&self) -> bool {
        matches!(self.choice, Choice::Split(_))
    }

    /// Returns the number of values that the contexts have between them.
    pub(super) fn values(&self) -> usize {
        if matches!(self.choice, Choice::Nothing) { 1 } else { 2 }
    }

    fn variants(&self) -> Value {
        json!({ CHOSEN: self.chosen, USUAL: self.usual })
    }

    fn of_cutover(&self) -> Value {
        let mut flag = json!({
            "type": self.kind,
            "enabled": true,
            "variants": self.variants(),
            "default": USUAL,
            "off": USUAL,
        });
        let rule = |name: &str, op: &str, values: Value| {
            let condition = json!({ "type": "attribute", "name": name, "op": op, "values": values });
            json!([{ "conditions": [condition], "variant": CHOSEN }])
        };
        match &self.choice {
            Choice::Plan(plan) => flag["rules"] = rule("header:plan", "equals", json!([plan])),
            Choice::Regions(regions) => flag["rules"] = rule("header:region", "in", json!(regions)),
            &Choice::Split(percent) => {
                flag["default"] = json!({ "weights": { CHOSEN: percent, USUAL: 100 - percent } });
            }
            Choice::Nothing => {}
        }
        flag
    }

    fn of_flagd(&self) -> Value {
        let mut flag = json!({ "state": "ENABLED", "variants": self.variants(), "defaultVariant": USUAL });
        let rule = |condition: Value| json!({ "if": [condition, CHOSEN, USUAL] });
        match &self.choice {
            Choice::Plan(plan) => flag["targeting"] = rule(json!({ "==": [{ "var": "plan" }, plan] })),
            Choice::Regions(regions) => {
                flag["targeting"] = rule(json!({ "in": [{ "var": "region" }, regions] }));
            }
            &Choice::Split(percent) => {
                flag["targeting"] = json!({ "fractional": [[CHOSEN, percent], [USUAL, 100 - percent]] });
            }
            Choice::Nothing => {}
        }
        flag
    }
}

fn object(number: usize, age: &str) -> Value {
    json!({
        "title": format!("Checkout {number}, {age}"),
        "steps": ["cart", "address", "payment"],
        "retry": { "times": number % 5, "wait_ms": 250 },
    })
}

/// Returns the 100 flags.
pub(super) fn all() -> Vec<BenchFlag> {
    (0..100).map(BenchFlag::new).collect()
}

/// Callers of the Workers, besides the token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Callers {
    /// Requests that the token may send in a second.
    pub(super) per_second: u32,
    /// Origins of pages that may read the answers.
    pub(super) origins: &'static [&'static str],
}

/// The callers of the benchmark.
pub(super) const MEASURED: Callers = Callers { per_second: REQUESTS_PER_SECOND, origins: &[] };

/// Returns the flags as a configuration of Cutover, open to the token with this hash.
pub(super) fn of_cutover(flags: &[BenchFlag], token_sha256: &str, callers: Callers) -> Value {
    let token = json!({ "name": "bench", "sha256": token_sha256, "flags": ["*"] });
    let Callers { per_second, origins } = callers;
    let ofrep = json!({ "tokens": [token], "requests_per_second": per_second, "origins": origins });
    json!({ "flags": by_name(flags, BenchFlag::of_cutover), "ofrep": ofrep })
}

/// Returns the flags as a configuration of flagd.
pub(super) fn of_flagd(flags: &[BenchFlag]) -> Value {
    json!({ "flags": by_name(flags, BenchFlag::of_flagd) })
}

fn by_name(flags: &[BenchFlag], write: impl Fn(&BenchFlag) -> Value) -> Map<String, Value> {
    flags.iter().map(|flag| (flag.name.clone(), write(flag))).collect()
}

/// Returns the bodies of requests, each with a context of its own. Every seventh has no `plan`.
pub(super) fn bodies() -> Vec<String> {
    let body = |number: usize| {
        let mut context = json!({
            "targetingKey": format!("user-{number}"),
            "region": REGIONS[number % REGIONS.len()],
            "device": if number.is_multiple_of(2) { "phone" } else { "desktop" },
            "visits": number,
        });
        if !number.is_multiple_of(7) {
            context["plan"] = json!(PLANS[number % PLANS.len()]);
        }
        json!({ "context": context }).to_string()
    };
    (0..CONTEXTS).map(body).collect()
}

#[cfg(test)]
mod tests {
    use super::{Choice, MEASURED, all, of_cutover};
    use cutover_core::config::Config;

    #[test]
    fn the_flags_are_those_of_the_description() {
        let flags = all();
        let of_type = |kind: &str| flags.iter().filter(|flag| flag.kind == kind).count();
        assert_eq!(["boolean", "string", "number", "object"].map(of_type), [60, 20, 10, 10]);
        let rules = flags.iter().filter(|flag| matches!(flag.choice, Choice::Plan(_) | Choice::Regions(_)));
        assert_eq!((rules.count(), flags.iter().filter(|flag| flag.is_split()).count()), (50, 25));
        let config = Config::from_json(&of_cutover(&flags, &"0".repeat(64), MEASURED));
        assert_eq!(config.map(|config| config.flags.len()), Ok(100));
    }
}
