//! Reading the snapshot from Workers KV.

use worker::Env;

/// Name of the KV namespace binding in `wrangler.toml`.
pub const BINDING: &str = "CUTOVER_KV";

/// Key of the snapshot document.
pub const SNAPSHOT_KEY: &str = "snapshot";

/// Seconds for which a Cloudflare location may serve its cached copy. This is the platform's
/// minimum.
const CACHE_TTL_SECONDS: u64 = 30;

/// Reads the snapshot. Returns `None` if none has been published yet.
///
/// # Errors
///
/// Fails with the runtime's message if the binding is missing or KV cannot be read.
pub async fn read_snapshot(env: &Env) -> Result<Option<String>, String> {
    let store = env.kv(BINDING).map_err(|error| error.to_string())?;
    store.get(SNAPSHOT_KEY).cache_ttl(CACHE_TTL_SECONDS).text().await.map_err(|error| error.to_string())
}
