//! Experiments: the shapes of files and of earlier snapshots, the division of users, and the flags that experiments decide.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod deciding;
mod directions;
mod dividing;
mod mistakes;
mod moving;
mod shapes;
mod stepping;

use cutover_core::{
    config::Config,
    rules::experiment::document::{Experiment, Variant},
};

/// Reads a configuration, which must have no mistakes.
fn config(text: &str) -> Config {
    Config::from_yaml(text).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// Returns the only experiment of a configuration.
fn only(config: &Config) -> &Experiment {
    assert_eq!(config.ab_tests.len(), 1);
    config.ab_tests.values().next().unwrap()
}

/// Returns keys and weights of variants in their order.
fn weights(variants: &[Variant]) -> Vec<(&str, f64)> {
    variants.iter().map(|variant| (variant.key.as_str(), variant.traffic_percentage.percent())).collect()
}
