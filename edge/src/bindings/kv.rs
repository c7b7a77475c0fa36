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
/// Fails with a message if the binding is missing, KV cannot be read, or the value is not UTF-8.
pub async fn read_snapshot(env: &Env) -> Result<Option<String>, String> {
    let store = env.kv(BINDING).map_err(|error| error.to_string())?;
    // As bytes: a string would be decoded to JavaScript's form and encoded again.
    let read = store.get(SNAPSHOT_KEY).cache_ttl(CACHE_TTL_SECONDS).bytes().await;
    let Some(bytes) = read.map_err(|error| error.to_string())? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| "the snapshot in KV is not UTF-8".to_owned())
}
