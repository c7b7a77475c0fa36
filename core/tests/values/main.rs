//! Flags with values: their evaluation, the users that a change moves, mistakes of files, and snapshots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod evaluating;
mod explaining;
mod mistakes;
mod moving;
mod opening;
mod saving;
mod single;
mod staling;
mod switching;

use cutover_core::{
    Emergency, Facts, Revision, Ruleset, Timestamp,
    config::Config,
    values::{document::ValueFlag, evaluation::EvaluationError},
};

/// Reads a configuration, which must have no mistakes.
fn config(text: &str) -> Config {
    Config::from_yaml(text).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn rules_of(config: &Config) -> Ruleset {
    rules_in(config, None)
}

/// Compiles a configuration, with the emergency that is declared.
fn rules_in(config: &Config, emergency: Option<Emergency>) -> Ruleset {
    Ruleset::compile(&config.clone().snapshot(Revision(1), emergency)).unwrap()
}

fn compiled(text: &str) -> Ruleset {
    rules_of(&config(text))
}

/// Returns the flag with this name.
fn flag<'c>(config: &'c Config, name: &str) -> &'c ValueFlag {
    &config.flags[name]
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Evaluates a flag in the middle of 2026. Returns value, variant and reason.
fn evaluated(
    rules: &Ruleset,
    name: &str,
    user: Option<&str>,
    facts: &Facts<'_>,
) -> Result<(String, String, &'static str), EvaluationError> {
    let found = rules.evaluate(name, user, facts, time("2026-07-03T12:00:00Z"))?;
    Ok((found.value.to_owned(), found.variant.to_owned(), found.reason.as_str()))
}

/// Returns the variant of a user of whom nothing else is known.
fn variant(rules: &Ruleset, name: &str, user: &str) -> String {
    evaluated(rules, name, Some(user), &Facts::default()).unwrap().1
}

fn users() -> impl Iterator<Item = String> {
    (0..2_000).map(|user| format!("user-{user}"))
}
