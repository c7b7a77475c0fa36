//! A running Worker and its KV, behind `wrangler dev` or in workerd alone.

use crate::{
    fault_proxy::FaultProxy,
    kv_server::KvServer,
    workerd::{Worker, Workerd},
    wrangler::Wrangler,
};
use std::{collections::BTreeMap, path::Path};

/// A running Worker and its KV.
pub enum Edge {
    /// Behind `wrangler dev`.
    Wrangler(Wrangler),
    /// In workerd alone.
    Workerd {
        /// The runtime.
        workerd: Workerd,
        /// The store.
        store: KvServer,
        /// The KV REST API as the publisher sees it; the proxy can inject faults.
        kv: FaultProxy,
        /// Number of isolates that run the Worker, each on its own port.
        isolates: usize,
    },
}

/// Name of the stand-in for the platform's cache, which all isolates share.
const CACHE: &str = "cache";

fn worker_name(isolate: usize) -> String {
    format!("edge{isolate}")
}

impl Edge {
    /// Starts the Worker behind `wrangler dev`.
    pub async fn wrangler(state: &Path, port: u16, variables: &BTreeMap<&str, String>) -> Self {
        Self::Wrangler(Wrangler::start(state, port, variables, None).await)
    }

    /// Starts the Worker in workerd alone.
    pub async fn workerd(port: u16, variables: &BTreeMap<&str, String>, isolates: usize) -> Self {
        let store = KvServer::start().await;
        let kv = FaultProxy::start(([127, 0, 0, 1], store.port()).into()).await;
        Self::Workerd { workerd: start(&store, port, variables, isolates), store, kv, isolates }
    }

    /// Stops the Worker and starts it again on the same KV. Behind wrangler the port stays the same
    /// as well.
    pub async fn restart(self, state: &Path, variables: &BTreeMap<&str, String>) -> Self {
        match self {
            Self::Wrangler(mut wrangler) => {
                wrangler.stop();
                let port = wrangler.port();
                Self::Wrangler(Wrangler::start(state, port, variables, Some(wrangler.into_kv())).await)
            }
            Self::Workerd { workerd, store, kv, isolates } => {
                drop(workerd);
                Self::Workerd { workerd: start(&store, 0, variables, isolates), store, kv, isolates }
            }
        }
    }

    /// Returns the ports of the Worker's isolates.
    pub fn ports(&self) -> Vec<u16> {
        match self {
            Self::Wrangler(wrangler) => vec![wrangler.port()],
            Self::Workerd { workerd, isolates, .. } => {
                (0..*isolates).map(|isolate| workerd.port(&worker_name(isolate))).collect()
            }
        }
    }

    /// Returns the port of the Worker, or of its first isolate.
    pub fn port(&self) -> u16 {
        match self {
            Self::Wrangler(wrangler) => wrangler.port(),
            Self::Workerd { workerd, .. } => workerd.port(&worker_name(0)),
        }
    }

    /// Returns the base URL of the Worker.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Returns the base URL of the KV REST API, as the publisher sees it.
    pub fn kv_api(&self) -> String {
        match self {
            Self::Wrangler(wrangler) => wrangler.kv_api(),
            Self::Workerd { kv, .. } => kv.url(),
        }
    }

    /// Returns the KV store of the Worker in workerd. Panics behind wrangler, which has its own.
    pub fn store(&self) -> &KvServer {
        match self {
            Self::Wrangler(_) => panic!("wrangler keeps its own store"),
            Self::Workerd { store, .. } => store,
        }
    }

    /// Returns the proxy in front of the KV REST API.
    pub fn kv(&self) -> &FaultProxy {
        match self {
            Self::Wrangler(wrangler) => &wrangler.kv,
            Self::Workerd { kv, .. } => kv,
        }
    }
}

fn start(store: &KvServer, port: u16, variables: &BTreeMap<&str, String>, isolates: usize) -> Workerd {
    let names: Vec<String> = (0..isolates).map(worker_name).collect();
    let workers: Vec<Worker<'_>> = names
        .iter()
        .map(|name| {
            // As deployed: one limiter for each key, and one cache, which all isolates share.
            let worker = Worker::edge(name, store.port()).on_port(port);
            let worker = worker.limited_by(&names[0]).cached_by(CACHE);
            variables.iter().fold(worker, |worker, (name, value)| worker.with(name, value))
        })
        .chain([Worker::cache(CACHE, &names[0])])
        .collect();
    Workerd::start(&workers)
}
