//! A Worker between a test and two origins, with one flag that sends every user to the new one.

use crate::{
    http,
    kv_server::KvServer,
    workerd::{Worker, Workerd},
};
use cutover_core::{Snapshot, config::Config, vocabulary::revision::Revision};
use serde_json::Value;

/// A running Worker whose snapshot has one route for all paths.
pub struct SingleRouteWorker {
    /// The runtime.
    pub workerd: Workerd,
    /// The store.
    pub kv: KvServer,
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
        let yaml = format!(
            r#"
feature_flags:
  everything: {{ enabled: true, rollout_percentage: 100 }}
origins:
  old: {{ url: "{legacy}", timeout_ms: {timeout_ms} }}
  new: {{ url: "{new}", timeout_ms: {timeout_ms} }}
routes:
  - {{ id: all, match: {{ path: "/{{*rest}}" }}, flag: everything, legacy: old, new: new }}
"#
        );
        let mut all = vec![("LEGACY_ORIGIN", legacy)];
        all.extend(variables);
        Self::configured(&yaml, &all).await
    }

    /// Starts the Worker with a configuration and variables.
    pub async fn configured(yaml: &str, variables: &[(&str, &str)]) -> Self {
        let config = Config::from_yaml(yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
        Self::holding(&config.snapshot(Revision(1), None), variables).await
    }

    /// Starts the Worker with a snapshot, valid or not.
    pub async fn holding(snapshot: &Snapshot, variables: &[(&str, &str)]) -> Self {
        let kv = KvServer::start().await;
        kv.put("snapshot", snapshot.encode().expect("a snapshot is JSON"));
        let worker = Worker::edge("edge", kv.port());
        let worker = variables.iter().fold(worker, |worker, (name, value)| worker.with(name, *value));
        Self { workerd: Workerd::start(&[worker]), kv }
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
