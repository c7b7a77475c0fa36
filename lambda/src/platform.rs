//! The clients and settings that every handler of a function shares.

use crate::{
    access::{limit::Limiter, provider::Provider},
    publication::{kv::Kv, publish::Publisher},
    settings::environment::Settings,
    store::Store,
};
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
    pub store: Store,
    /// Publisher of the document that the edge reads.
    pub publisher: Arc<Publisher>,
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
        let store = Store::new(&settings);
        let publisher = Publisher::new(store.clone(), Kv::new(&settings), settings.kv_interval);
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

#[cfg(test)]
impl Platform {
    /// Builds a platform whose table and Workers KV are never reached.
    pub(crate) fn detached(emergency_only: bool) -> Self {
        let settings = Settings::read(|name| {
            let value = match name {
                "CUTOVER_KV_API" => "https://api.cloudflare.com/client/v4/accounts/0",
                "CUTOVER_EMERGENCY_ONLY" if emergency_only => "true",
                "CUTOVER_EMERGENCY_ONLY" => "false",
                "CUTOVER_TABLE" | "CUTOVER_KV_NAMESPACE" | "CUTOVER_KV_TOKEN" => "x",
                _ => return None,
            };
            Some(value.to_owned())
        });
        Self::new(settings.unwrap())
    }
}
