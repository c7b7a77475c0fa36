//! Progress of a migration, as its configuration tells it.

use super::document::Config;
use crate::{
    routing::matcher::is_safe,
    rules::{
        emergency::Emergency,
        flag::Flag,
        phase::{FlagPhase, Phase},
    },
    vocabulary::{names::FlagName, share::PartsPerMillion},
};

/// Progress of a migration. Every flag has the same weight: this is about the configuration, not about the traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Phase of the whole migration.
    pub phase: Phase,
    /// Mean share of the flags, in percent; 0 without flags.
    pub percent: f64,
    /// Enabled flags that no emergency holds on legacy.
    pub active: Vec<FlagName>,
}

impl Progress {
    /// Computes the progress of a configuration. `runs_canary` decides if a flag's canary is running.
    pub fn of(
        config: &Config,
        emergency: Option<&Emergency>,
        runs_canary: impl Fn(&FlagName) -> bool,
    ) -> Self {
        let is_active = |name: &FlagName, flag: &Flag| {
            flag.enabled && !emergency.is_some_and(|emergency| emergency.covers(name))
        };
        // With the users whom the experiment that owns the flag sends to the new arm, below the percentage or beyond it.
        let share = |name: &FlagName, flag: &Flag| {
            if is_active(name, flag) { config.share_on_new(name) } else { PartsPerMillion::ZERO }
        };
        let flags = &config.feature_flags;
        let shares: Vec<PartsPerMillion> = flags.iter().map(|(name, flag)| share(name, flag)).collect();
        let sum: f64 = shares.iter().map(|share| share.percent()).sum();
        let moved = flags.iter().filter(|(name, flag)| share(name, flag) > PartsPerMillion::ZERO);
        let furthest = moved.map(|(name, flag)| phase_of(config, name, flag)).max();
        let needs_legacy = |(name, flag): (&FlagName, &Flag)| {
            let is_moving = runs_canary(name) || config.owner(name).is_some();
            is_moving || !flag.user_blacklist.is_empty() || !flag.conditions.is_empty()
        };
        let phase = match furthest {
            _ if emergency.is_some() => Phase::Emergency,
            None => Phase::Preparation,
            Some(furthest) if shares.iter().any(|share| *share < PartsPerMillion::ALL) => furthest.into(),
            Some(_) if flags.iter().any(needs_legacy) => Phase::Full,
            Some(_) => Phase::Completed,
        };
        Self {
            phase,
            percent: if shares.is_empty() { 0.0 } else { sum / shares.len() as f64 },
            active: flags
                .iter()
                .filter(|(name, flag)| is_active(name, flag))
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }
}

/// Returns the phase that a flag declares, or else the one that follows from the methods of its routes: reads if all of them
/// only read, or if it has no routes.
fn phase_of(config: &Config, name: &FlagName, flag: &Flag) -> FlagPhase {
    let reads = |method: &String| is_safe(method) || method == "OPTIONS";
    let mut routes = config.routes.iter().filter(|route| route.flag == *name);
    let only_reads = routes.all(|route| {
        let methods = &route.matcher.methods;
        !methods.is_empty() && methods.iter().all(reads)
    });
    flag.phase.unwrap_or(if only_reads { FlagPhase::ReadOperations } else { FlagPhase::WriteOperations })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(reads: &str, writes: &str) -> Config {
        let text = format!(
            "feature_flags:\n  reads: {{ {reads} }}\n  writes: {{ {writes} }}\n\
             origins: {{ a: {{ url: \"http://a\" }} }}\nroutes:\n  \
             - {{ id: r, match: {{ methods: [GET], path: /x }}, flag: reads, legacy: a, new: a }}\n  \
             - {{ id: w, match: {{ methods: [POST, PUT], path: /x }}, flag: writes, legacy: a, new: a }}\n"
        );
        Config::from_yaml(&text).unwrap()
    }

    fn phase(config: &Config, runs_canary: bool) -> Phase {
        Progress::of(config, None, |_| runs_canary).phase
    }

    #[test]
    fn the_phase_follows_from_the_methods_of_the_routes_of_the_moved_flags() {
        let (off, some, all) = (
            "enabled: false, rollout_percentage: 50",
            "enabled: true, rollout_percentage: 25",
            "enabled: true, rollout_percentage: 100",
        );
        for (reads, writes, expected) in [
            (off, off, Phase::Preparation),
            ("enabled: true", off, Phase::Preparation),
            (some, off, Phase::ReadOperations),
            (all, "enabled: true", Phase::ReadOperations),
            (off, some, Phase::WriteOperations),
            (all, some, Phase::WriteOperations),
            (all, all, Phase::Completed),
        ] {
            assert_eq!(phase(&config(reads, writes), false), expected, "{reads}; {writes}");
        }
        assert_eq!(phase(&Config::default(), false), Phase::Preparation);
        let any_method = "feature_flags: { f: { enabled: true, rollout_percentage: 1 }, g: { } }\n\
                          origins: { a: { url: \"http://a\" } }\n\
                          routes: [{ id: r, match: { path: /x }, flag: f, legacy: a, new: a }]\n";
        let any_method = Config::from_yaml(any_method).unwrap();
        assert_eq!(phase(&any_method, false), Phase::WriteOperations, "any method is also POST");
    }

    #[test]
    fn a_declared_phase_replaces_the_one_of_the_routes() {
        let some = "enabled: true, rollout_percentage: 25";
        for (reads, expected) in [
            ("read_operations", Phase::ReadOperations),
            ("write_operations", Phase::WriteOperations),
            ("full", Phase::Full),
        ] {
            let declared = config(&format!("{some}, phase: {reads}"), "enabled: false");
            assert_eq!(phase(&declared, false), expected);
        }
        let declared = config("enabled: false, phase: full", some);
        assert_eq!(phase(&declared, false), Phase::WriteOperations, "a flag without users has no phase");
    }

    #[test]
    fn a_migration_that_may_still_need_legacy_is_full_and_not_completed() {
        let all = "enabled: true, rollout_percentage: 100";
        assert_eq!(phase(&config(all, all), true), Phase::Full, "a canary may take users back");
        let excluding = config(all, &format!("{all}, user_blacklist: [u]"));
        assert_eq!(phase(&excluding, false), Phase::Full);
        let conditional = "conditions: [{ type: attribute, name: country, op: in, values: [DE] }]";
        assert_eq!(phase(&config(all, &format!("{all}, {conditional}")), false), Phase::Full);
    }

    /// A configuration with a running experiment, which owns the flag `reads` and has the users of `weights` on legacy and new.
    fn in_experiment(reads: &str, weights: [u32; 2]) -> Config {
        let [legacy, new] = weights;
        let text = format!(
            "feature_flags: {{ reads: {{ {reads} }} }}\nexperiments:\n  e: {{ name: E, flag: reads, variants: [\n    \
             {{ key: a, name: A, arm: legacy, traffic_percentage: {legacy} }},\n    \
             {{ key: b, name: B, arm: new, traffic_percentage: {new} }}] }}\n"
        );
        Config::from_yaml(&text).unwrap()
    }

    #[test]
    fn users_whom_an_experiment_sends_to_the_new_arm_are_progress() {
        let progress = |config: &Config| Progress::of(config, None, |_| false);
        for (reads, weights, phase, percent) in [
            ("enabled: true, rollout_percentage: 0", [50, 50], Phase::ReadOperations, 50.0),
            ("enabled: true, rollout_percentage: 100", [50, 50], Phase::ReadOperations, 50.0),
            ("enabled: true, rollout_percentage: 100", [0, 100], Phase::Full, 100.0),
            ("enabled: false, rollout_percentage: 100", [50, 50], Phase::Preparation, 0.0),
        ] {
            let progress = progress(&in_experiment(reads, weights));
            assert_eq!((progress.phase, progress.percent), (phase, percent), "{reads}, {weights:?}");
        }
    }

    #[test]
    fn flags_that_an_emergency_holds_are_neither_active_nor_progress() {
        let config =
            config("enabled: true, rollout_percentage: 50", "enabled: true, rollout_percentage: 100");
        let free = Progress::of(&config, None, |_| false);
        assert_eq!((free.percent, free.active.len()), (75.0, 2));
        let emergency = serde_json::json!({
            "flags": ["writes"], "reason": "drill", "by": "ann", "since": "2026-01-01T00:00:00Z",
        });
        let emergency: Emergency = serde_json::from_value(emergency).unwrap();
        let held = Progress::of(&config, Some(&emergency), |_| false);
        assert_eq!((held.phase, held.percent), (Phase::Emergency, 25.0));
        assert_eq!(held.active, ["reads".parse::<FlagName>().unwrap()]);
    }
}
