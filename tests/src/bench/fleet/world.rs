//! The table of a fleet with its configuration and a running canary, behind a proxy that counts capacity.

use crate::{
    bench::{
        capacity::CapacityProxy,
        fleet::{
            experiments::{self, CountedExperiment},
            isolates::{FLAG, Isolates, ROUTES, SHARE, route},
        },
        function::{Function, request},
    },
    cost::units::{REQUESTS_PER_SECOND, interval_ms, rounded},
    dynamodb::DynamoDb,
    functions::{ManagementServer, connected, platform},
    gzip,
    kv_server::KvServer,
    stack::{INGEST_SECRET, environment},
};
use cutover_core::{FlagName, measurement::batch::Batch, signature, statistics::split_mix::SplitMix64};
use cutover_lambda::{clock, platform::Platform, store::BatchStatus};
use serde_json::Value;
use std::{collections::BTreeMap, ops::Range};
use tokio::task::JoinSet;

/// Shards of the stream: those of a new table.
const SHARDS: usize = 4;

/// Tasks that store batches at once.
const TASKS: usize = 8;

/// Seed of the batches.
const SEED: u64 = 29;

/// Everything that a fleet reports to.
pub(super) struct World {
    /// The fleet.
    pub(super) isolates: Isolates,
    /// Counts what the functions consume.
    pub(super) capacity: CapacityProxy,
    /// Variables of the functions.
    pub(super) variables: BTreeMap<&'static str, String>,
    /// Writes past the proxy.
    platform: Platform,
    _dynamodb: DynamoDb,
    _kv: KvServer,
}

impl World {
    /// Starts an empty table, applies the configuration with so many running experiments and starts the canary.
    pub(super) async fn start(count: u64, experiments: u64) -> Self {
        let dynamodb = DynamoDb::sharded(SHARDS).await;
        let kv = KvServer::start().await;
        let kv_api = format!("http://127.0.0.1:{}", kv.port());
        let platform = platform(&dynamodb, &[("CUTOVER_KV_API", kv_api.as_str())]).await;
        let server = ManagementServer::start(platform.clone()).await;
        server.client.apply(&configuration(experiments)).await.expect(200);
        let path = format!("/canary/{FLAG}/start");
        let started = server.client.send("POST", &path, &[], None).await;
        assert!((200..300).contains(&started.status), "{:#}", started.body);
        let state = platform.store.state().await.expect("the table is read");
        let flag: FlagName = FLAG.parse().expect("a name");
        let run = state.active_run(&flag).expect("the canary runs").id.clone();
        let counted = state.config.ab_tests.iter();
        let counted = counted.map(|(name, held)| CountedExperiment { name: name.clone(), phase: held.phase });
        let capacity = CapacityProxy::start(dynamodb.url()).await;
        let variables = environment(&capacity.url(), &kv_api);
        let interval_ms = interval_ms(count);
        let requests = REQUESTS_PER_SECOND / count as f64 * interval_ms as f64 / 1_000.0;
        let isolates = Isolates {
            count,
            interval_ms,
            requests: requests.round() as u64,
            run,
            revision: state.head.revision,
            experiments: counted.collect(),
            random: SplitMix64::new(SEED),
        };
        Self { isolates, capacity, variables, platform, _dynamodb: dynamodb, _kv: kv }
    }

    /// Starts a function that logs warnings and errors only.
    pub(super) async fn quiet(&self, name: &str) -> Function {
        let mut variables = self.variables.clone();
        variables.insert("RUST_LOG", "warn".to_owned());
        Function::start(name, &variables).await
    }

    /// Returns the read units of the page for Prometheus, for a process that has begun.
    pub(super) async fn page_reads(&self) -> f64 {
        let server = ManagementServer::start(connected(&self.capacity.url(), &[])).await;
        let page = async || {
            server.client.send("GET", "/metrics", &[("accept", "text/plain")], None).await.expect(200);
        };
        page().await;
        self.capacity.take();
        page().await;
        let consumed = self.capacity.take();
        consumed.print("a page for Prometheus");
        rounded(consumed.units().reads)
    }

    /// Returns the event of a batch, and the bytes of its body.
    pub(super) fn batch(&mut self, number: u64) -> (Value, usize) {
        let batch = self.isolates.batch(number, clock::now().millis());
        let packed = packed(&batch);
        let event = signed("/v1/batches", "application/octet-stream", Some("gzip"), &packed);
        (event, packed.len())
    }

    /// Stores batches as ingest does.
    pub(super) async fn store(&mut self, numbers: Range<u64>) {
        let now = clock::now().millis();
        let batches: Vec<Batch> = numbers.map(|number| self.isolates.batch(number, now)).collect();
        let mut tasks = JoinSet::new();
        for part in batches.chunks(batches.len().div_ceil(TASKS).max(1)) {
            let (store, part) = (self.platform.store.clone(), part.to_vec());
            tasks.spawn(async move {
                for batch in part {
                    let packed = packed(&batch);
                    let now = clock::now().millis();
                    let stored = store.store_batch(&batch.isolate, batch.sequence, &packed, now).await;
                    assert_ne!(stored.expect("the table is written"), BatchStatus::Conflict);
                }
            });
        }
        while let Some(stored) = tasks.join_next().await {
            stored.expect("the batches are stored");
        }
    }
}

fn packed(batch: &Batch) -> Vec<u8> {
    gzip::compress_like_worker(batch.encode().as_bytes())
}

/// Builds the event of a signed message of an isolate.
pub(super) fn signed(path: &str, kind: &str, encoding: Option<&str>, body: &[u8]) -> Value {
    let now = clock::now().millis();
    let mut headers = vec![
        ("accept-encoding", "gzip".to_owned()),
        ("content-type", kind.to_owned()),
        (signature::TIMESTAMP, now.to_string()),
        (signature::SIGNATURE, signature::sign(INGEST_SECRET, now, body)),
    ];
    headers.extend(encoding.map(|encoding| ("content-encoding", encoding.to_owned())));
    request("POST", path, &headers, body)
}

/// Returns a configuration of 30 routes behind one flag with a canary, and of so many running experiments.
fn configuration(experiments: u64) -> String {
    let routes = (0..ROUTES).map(|index| {
        let name = route(index);
        format!(
            "  - {{ id: {name}, match: {{ methods: [GET], path: \"/api/v1/read{index:02}/{{*rest}}\" }}, \
             flag: {FLAG}, legacy: rest, new: graphql }}\n"
        )
    });
    format!(
        "feature_flags:\n  {FLAG}: {{ enabled: true, rollout_percentage: 0 }}\n\
         canary_deployments:\n  {FLAG}:\n    initial_percentage: {SHARE}\n    promotion_steps: [{SHARE}, 25, 50, 100]\n    \
         step_duration_minutes: 60\n    \
         success_criteria: {{ max_error_rate: 0.05, max_response_time_p95: 500 }}\n    \
         rollback_criteria: {{ max_error_rate: 0.1, max_response_time_p95: 1000 }}\n\
         origins:\n  rest: {{ url: \"https://legacy.example.com\" }}\n  graphql: {{ url: \"https://new.example.com\" }}\n\
         routes:\n{}{}",
        routes.collect::<String>(),
        experiments::yaml(experiments)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Config;

    #[test]
    fn the_configuration_of_a_fleet_is_valid() {
        for experiments in [0, 8] {
            let text = configuration(experiments);
            let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
            assert_eq!((config.routes.len(), config.ab_tests.len() as u64), (ROUTES, experiments));
            let metrics: Vec<Vec<String>> =
                config.ab_tests.values().map(|held| held.success_metrics.clone()).collect();
            assert!(metrics.iter().all(|names| *names == ["order", "error_rate", "response_time"]));
        }
    }
}
