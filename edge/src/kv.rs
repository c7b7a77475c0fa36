//! Reading the snapshot from Workers KV.

use worker::Env;

/// The binding of the namespace in `wrangler.toml`.
pub const BINDING: &str = "CUTOVER_KV";

/// The key of the snapshot.
pub const SNAPSHOT_KEY: &str = "snapshot";

/// Seconds that a Cloudflare location may answer from its own copy; the least that the platform takes.
const CACHE_TTL_SECONDS: u64 = 30;

/// Reads the snapshot; `None` means that nothing was published yet.
pub async fn read_snapshot(env: &Env) -> Result<Option<String>, String> {
    let store = env.kv(BINDING).map_err(|error| error.to_string())?;
    store.get(SNAPSHOT_KEY).cache_ttl(CACHE_TTL_SECONDS).text().await.map_err(|error| error.to_string())
}
