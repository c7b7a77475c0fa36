//! The snapshot that tests begin with: two origins, a flag, and a route for all paths below `/api`.

use cutover_core::{
    Flag, Origin, PartsPerMillion, Route, Snapshot, measurement::label::CanaryLabel,
    request::identity::default_sources, routing::matcher::Matcher, rules::route::Fallback,
    vocabulary::revision::Revision,
};
use std::collections::BTreeMap;

/// Key of the user hashes of [`label`].
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// Builds a snapshot whose flag sends a share of the users to the new arm. Both origins have a time limit of a second.
pub fn snapshot(revision: u64, share: PartsPerMillion) -> Snapshot {
    let mut snapshot = Snapshot { revision: Revision(revision), ..Snapshot::default() };
    for name in ["legacy", "new"] {
        let url = format!("http://{name}.internal/");
        let origin =
            Origin { url, timeout_ms: 1_000, options: Default::default(), failover: Default::default() };
        snapshot.origins.insert(name.parse().unwrap(), origin);
    }
    let flag = Flag { enabled: true, rollout_percentage: share, ..Flag::default() };
    snapshot.flags.insert("flag".parse().unwrap(), flag);
    snapshot.routes.push(Route {
        id: "route".parse().unwrap(),
        matcher: Matcher { methods: vec!["GET".to_owned()], path: "/api/{*rest}".to_owned() },
        flag: "flag".parse().unwrap(),
        legacy: "legacy".parse().unwrap(),
        new: "new".parse().unwrap(),
        identity: default_sources(),
        adapt: Vec::new(),
        compare: None,
        error_when: None,
        error_statuses: Vec::new(),
        fallback: Fallback::default(),
        guard: None,
        cache: None,
        limit: Vec::new(),
    });
    snapshot
}

/// Builds the label of a canary of the flag.
pub fn label(step: u32, share: PartsPerMillion) -> CanaryLabel {
    CanaryLabel {
        run: "r1".parse().unwrap(),
        step,
        share,
        key: Some(KEY.to_owned()),
        slow_success_ms: 100,
        slow_rollback_ms: 200,
        routes: BTreeMap::new(),
    }
}
