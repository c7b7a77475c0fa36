//! `GET /stale-flags`: the flags of both kinds that have done their work, or have not changed for long.

use crate::{
    access::auth::Caller,
    api::{
        extract::{Page, Parameters},
        flags,
        object_list::object_list,
        value_flags,
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::State as Truth,
};
use axum::{extract::State, response::Response};
use cutover_core::{
    FlagName, Timestamp,
    values::stale::{Stale, StaleAfter, stale, stale_switch},
};
use serde_json::{Value, json};

/// A flag of the report.
struct Finding<'t> {
    flag: &'t FlagName,
    /// Kind of the flag: `routes` or `values`.
    kind: &'static str,
    stale: Stale,
    changed: Timestamp,
}

impl Finding<'_> {
    fn json(&self) -> Value {
        let (reason, variant, days) = match &self.stale {
            Stale::Settled { variant, days } => ("settled", Some(variant), days),
            Stale::Old { days } => ("old", None, days),
        };
        json!({
            "flag": self.flag,
            "decides": self.kind,
            "reason": reason,
            "variant": variant,
            "days": days,
            "updated_at": self.changed,
        })
    }
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let found = findings(&state, clock::now());
    let found = found.iter().map(|finding| (finding.flag.as_str(), finding));
    object_list(&page, &state, "stale_flags", found, Finding::json)
}

/// Returns the stale flags at `now`. A flag of routes that a run, an experiment or an emergency decides has its work ahead.
fn findings(state: &Truth, now: Timestamp) -> Vec<Finding<'_>> {
    let after = StaleAfter::default();
    let of_values = state.config.flags.iter().filter_map(|(name, flag)| {
        let changed = state.meta(value_flags::SECTION, name.as_str())?.updated_at;
        let stale = stale(flag, now, changed, after)?;
        Some(Finding { flag: name, kind: "values", stale, changed })
    });
    let is_decided = |name: &FlagName| {
        state.active_run(name).is_some() || state.owner(name).is_some() || state.is_held(name)
    };
    let of_routes = state.config.feature_flags.iter().filter_map(|(name, flag)| {
        let changed = state.meta(flags::SECTION, name.as_str())?.updated_at;
        let stale = stale_switch(flag, now, changed, after).filter(|_| !is_decided(name))?;
        Some(Finding { flag: name, kind: "routes", stale, changed })
    });
    of_values.chain(of_routes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Meta;
    use cutover_core::{
        Epoch, Revision,
        canary::{Run, RunIdentity},
        config::Config,
        rules::emergency::{Declaration, Emergency},
    };

    const CONFIG: &str = "
feature_flags:
  done: { enabled: true, rollout_percentage: 100 }
  growing: { enabled: true, rollout_percentage: 50 }
  held: { enabled: true, rollout_percentage: 100 }
  owned: { enabled: true, rollout_percentage: 100 }
  running: { enabled: true, rollout_percentage: 100 }
  unread: { enabled: true, rollout_percentage: 100 }
experiments:
  e:
    name: E
    flag: owned
    variants:
      - { key: a, name: A, arm: legacy, traffic_percentage: 50 }
      - { key: b, name: B, arm: new, traffic_percentage: 50 }
flags:
  divided:
    type: boolean
    enabled: true
    variants: { x: true, y: false }
    default: { weights: { x: 50, y: 50 } }
    off: y
  settled: { type: boolean, enabled: true, variants: { x: true, y: false }, default: x, off: y }
";

    /// A configuration of which every object but the flag `unread` was changed at the beginning of 2026.
    fn truth() -> Truth {
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(CONFIG).unwrap();
        let of_routes = truth.config.feature_flags.keys().map(|name| (flags::SECTION, name.clone()));
        let of_values = truth.config.flags.keys().map(|name| (value_flags::SECTION, name.clone()));
        let objects: Vec<(&str, FlagName)> = of_routes.chain(of_values).collect();
        for (section, name) in objects.into_iter().filter(|(_, name)| name.as_str() != "unread") {
            let meta = Meta {
                version: Revision(1),
                epoch: Epoch(0),
                updated_at: "2026-01-01T00:00:00Z".parse().unwrap(),
                updated_by: "ann".to_owned(),
            };
            truth.note_meta(section, name.as_str(), meta);
        }
        truth
    }

    /// Returns the findings as `KIND FLAG REASON`.
    fn found(truth: &Truth, now: &str) -> Vec<String> {
        let described = |finding: &Finding<'_>| {
            let shown = finding.json();
            assert_eq!(shown["updated_at"], "2026-01-01T00:00:00Z");
            format!("{} {} {}", finding.kind, finding.flag, shown["reason"].as_str().unwrap())
        };
        findings(truth, now.parse().unwrap()).iter().map(described).collect()
    }

    #[test]
    fn flags_of_both_kinds_are_found_unless_something_else_decides_them() {
        let (week, quarter) = ("2026-01-08T00:00:00Z", "2026-04-01T00:00:00Z");
        let mut truth = truth();
        let every = [
            "values settled settled",
            "routes done settled",
            "routes held settled",
            "routes running settled",
        ];
        assert_eq!(found(&truth, week), every);
        let declared = Declaration {
            flags: Some(["held".parse().unwrap()].into()),
            reason: "fire".to_owned(),
            by: "ann".to_owned(),
            since: Timestamp::from_millis(0),
        };
        truth.head.emergency = Some(Emergency::from(declared));
        let example = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let plan = example.canary_deployments.into_values().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        let flag: FlagName = "running".parse().unwrap();
        let run = Run::start(identity, flag.clone(), plan, Timestamp::from_millis(0), "ann");
        truth.runs.insert(flag, run);
        assert_eq!(found(&truth, week), ["values settled settled", "routes done settled"]);
        let old =
            ["values divided old", "values settled settled", "routes done settled", "routes growing old"];
        assert_eq!(found(&truth, quarter), old);
        // Without its experiment the flag is one like the others.
        truth.config.ab_tests.clear();
        let with_owned = ["values settled settled", "routes done settled", "routes owned settled"];
        assert_eq!(found(&truth, week), with_owned);
        assert_eq!(found(&truth, "2026-01-07T23:59:59Z"), Vec::<String>::new());
    }

    #[test]
    fn a_finding_has_the_variant_that_all_users_have() {
        let finding = |stale: Stale| {
            let flag: FlagName = "f".parse().unwrap();
            let changed = "2026-01-01T00:00:00Z".parse().unwrap();
            Finding { flag: &flag, kind: "values", stale, changed }.json()
        };
        let settled = finding(Stale::Settled { variant: "on".into(), days: 8 });
        assert_eq!(
            settled,
            json!({
                "flag": "f", "decides": "values", "reason": "settled", "variant": "on", "days": 8,
                "updated_at": "2026-01-01T00:00:00Z",
            })
        );
        let old = finding(Stale::Old { days: 90 });
        assert_eq!((&old["reason"], &old["variant"]), (&json!("old"), &Value::Null));
    }
}
