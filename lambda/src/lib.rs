//! The control plane: a management API and scheduled work over DynamoDB, which is the only truth. The document
//! that the edge reads from Workers KV is derived from it, and can be derived again at any time.

pub mod api;
pub mod auth;
pub mod change;
pub mod clock;
pub mod evaluate;
pub mod ingest;
pub mod kv;
pub mod notify;
pub mod problem;
pub mod prometheus;
pub mod promote;
pub mod publish;
pub mod reconcile;
pub mod settings;
pub mod signature;
pub mod store;
pub mod telemetry;

/// The version of the code, as records name it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

use settings::Settings;
use std::sync::Arc;

/// What every function is built from.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The truth.
    pub store: store::Store,
    /// What derives the edge's document from it.
    pub publisher: Arc<publish::Publisher>,
    /// What the environment sets.
    pub settings: Arc<Settings>,
}

impl Platform {
    /// Builds the adapters. Nothing is connected before it is needed.
    pub fn new(settings: Settings) -> Self {
        let store = store::Store::new(&settings);
        let publisher = publish::Publisher::new(store.clone(), kv::Kv::new(&settings));
        Self { store, publisher: Arc::new(publisher), settings: Arc::new(settings) }
    }
}
