//! The control plane: a management API and scheduled functions over DynamoDB, the single source of
//! truth. The document that the edge reads from Workers KV is derived from it, and can be derived
//! again at any time.

pub mod api;
pub mod approval;
pub mod auth;
pub mod change;
pub mod clock;
pub mod evaluate;
pub mod http;
pub mod ingest;
pub mod jwt;
pub mod kv;
pub mod limit;
pub mod notify;
pub mod operation;
pub mod problem;
pub mod prometheus;
pub mod promote;
pub mod publish;
pub mod reconcile;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod store;
pub mod telemetry;

/// Version of the code, stored in records of decisions.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

use jwt::Provider;
use limit::Limiter;
use settings::Settings;
use std::sync::Arc;

/// Rate limits of this process.
#[derive(Debug)]
pub struct Limits {
    /// Limit on requests, by caller.
    pub callers: Limiter,
    /// Limit on rejected requests, by source address.
    pub refusals: Limiter,
}

/// Shared dependencies of every function.
#[derive(Debug, Clone)]
pub struct Platform {
    /// Client of the table.
    pub store: store::Store,
    /// Publisher of the document that the edge reads.
    pub publisher: Arc<publish::Publisher>,
    /// Settings from the environment.
    pub settings: Arc<Settings>,
    /// Identity provider for JSON Web Tokens, if one is configured.
    pub provider: Option<Arc<Provider>>,
    /// Rate limits of this process.
    pub limits: Arc<Limits>,
}

impl Platform {
    /// Builds the clients. Each connects on first use.
    pub fn new(settings: Settings) -> Self {
        let store = store::Store::new(&settings);
        let publisher = publish::Publisher::new(store.clone(), kv::Kv::new(&settings));
        let provider = settings.jwt.clone().map(|(url, expected)| Arc::new(Provider::new(url, expected)));
        let limits = Limits {
            callers: Limiter::new(settings.rate_limit),
            refusals: Limiter::new(settings.rate_limit),
        };
        Self {
            store,
            publisher: Arc::new(publisher),
            settings: Arc::new(settings),
            provider,
            limits: Arc::new(limits),
        }
    }
}
