//! The control plane: a management API and scheduled work over DynamoDB, which is the only truth. The document
//! that the edge reads from Workers KV is derived from it, and can be derived again at any time.

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

/// The version of the code, as records name it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

use jwt::Provider;
use limit::Limiter;
use settings::Settings;
use std::sync::Arc;

/// How often callers may ask, in this process.
#[derive(Debug)]
pub struct Limits {
    /// Requests of one caller.
    pub callers: Limiter,
    /// Refused requests from one address.
    pub refusals: Limiter,
}

/// What every function is built from.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The truth.
    pub store: store::Store,
    /// What derives the edge's document from it.
    pub publisher: Arc<publish::Publisher>,
    /// What the environment sets.
    pub settings: Arc<Settings>,
    /// The identity provider of people, where there is one.
    pub provider: Option<Arc<Provider>>,
    /// How often callers may ask.
    pub limits: Arc<Limits>,
}

impl Platform {
    /// Builds the adapters. Nothing is connected before it is needed.
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
