//! A Worker between a test and two origins, with one flag that sends every user to the new one.

use crate::{
    http,
    kv_server::KvServer,
    workerd::{Worker, Workerd},
};
use cutover_core::Snapshot;
use serde_json::Value;

/// A running Worker whose snapshot has one route for all paths.
pub struct SingleRouteWorker {
    /// The runtime.
    pub workerd: Workerd,
    /// The store.
    pub kv: KvServer,
}

/// Returns the configuration of one route for all paths between two origins, `old` and `new`, with the given fields of its
/// flag and further fields of the route, such as `, compare: { sample: 100 }`.
pub fn single_route(legacy: &str, new: &str, timeout_ms: u32, flag: &str, route: &str) -> String {
    format!(
        "feature_flags: {{ everything: {{ {flag} }} }}\n\
         origins:\n  old: {{ url: \"{legacy}\", timeout_ms: {timeout_ms} }}\n  \
         new: {{ url: \"{new}\", timeout_ms: {timeout_ms} }}\n\
         routes:\n  - {{ id: all, match: {{ path: \"/{{*rest}}\" }}, flag: everything, legacy: old, new: new{route} }}\n"
    )
}

impl SingleRouteWorker {
    /// Starts the Worker between two origins. Decision headers are on.
    pub async fn start(legacy: &str, new: &str, timeout_ms: u32) -> Self {
        Self::with(legacy, new, timeout_ms, "arm,reason,revision").await
    }

    /// Starts the Worker with the given decision headers.
    pub async fn with(legacy: &str, new: &str, timeout_ms: u32, headers: &str) -> Self {
        Self::with_variables(legacy, new, timeout_ms, &[("DECISION_HEADERS", headers)]).await
    }

    /// Starts the Worker with the given variables.
    pub async fn with_variables(
        legacy: &str,
        new: &str,
        timeout_ms: u32,
        variables: &[(&str, &str)],
    ) -> Self {
        let flag = "enabled: true, rollout_percentage: 100";
        let yaml = single_route(legacy, new, timeout_ms, flag, "");
        let mut all = vec![("LEGACY_ORIGIN", legacy)];
        all.extend(variables);
        Self::configured(&yaml, &all).await
    }

    /// Starts the Worker with a configuration and variables.
    pub async fn configured(yaml: &str, variables: &[(&str, &str)]) -> Self {
        Self::prepared(yaml, variables, |worker| worker).await
    }

    /// Starts the Worker with a configuration and variables, after the function has changed it.
    pub async fn prepared(
        yaml: &str,
        variables: &[(&str, &str)],
        prepare: impl FnOnce(Worker<'static>) -> Worker<'static>,
    ) -> Self {
        Self::on_store(KvServer::configured(yaml).await, variables, prepare)
    }

    /// Starts the Worker with a snapshot, valid or not.
    pub async fn holding(snapshot: &Snapshot, variables: &[(&str, &str)]) -> Self {
        Self::on_store(KvServer::holding(snapshot).await, variables, |worker| worker)
    }

    /// Starts the Worker with a configuration and variables, and a stand-in for the platform's cache.
    pub async fn cached(yaml: &str, variables: &[(&str, &str)]) -> Self {
        Self::cached_on(KvServer::configured(yaml).await, variables)
    }

    /// Starts the Worker with a snapshot and variables, and a stand-in for the platform's cache.
    pub async fn cached_holding(snapshot: &Snapshot, variables: &[(&str, &str)]) -> Self {
        Self::cached_on(KvServer::holding(snapshot).await, variables)
    }

    fn cached_on(kv: KvServer, variables: &[(&str, &str)]) -> Self {
        let worker = Self::worker(&kv, variables).cached_by("cache");
        Self { workerd: Workerd::start(&[worker, Worker::cache("cache", "edge")]), kv }
    }

    fn on_store(
        kv: KvServer,
        variables: &[(&str, &str)],
        prepare: impl FnOnce(Worker<'static>) -> Worker<'static>,
    ) -> Self {
        let worker = prepare(Self::worker(&kv, variables));
        Self { workerd: Workerd::start(&[worker]), kv }
    }

    fn worker(kv: &KvServer, variables: &[(&str, &str)]) -> Worker<'static> {
        let worker = Worker::edge("edge", kv.port());
        variables.iter().fold(worker, |worker, (name, value)| worker.with(name, *value))
    }

    /// Tells the stand-in for the platform's cache what to do, see tests/vectors/cache.js.
    pub async fn steer_cache(&self, order: &str) {
        let answer = http::send(self.workerd.port("cache"), "POST", &format!("/{order}"), &[], b"").await;
        assert_eq!(answer.status, 204, "{order}");
    }

    /// Returns the state of the isolate, as the holder of the edge token sees it.
    pub async fn health(&self) -> Value {
        http::edge_health(self.port()).await
    }

    /// Returns the port of the Worker.
    pub fn port(&self) -> u16 {
        self.workerd.port("edge")
    }
}
