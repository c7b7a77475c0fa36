//! The identity provider: its keys, which are fetched, cached, and dropped once they are too old. Ages
//! are those of the wall clock, because a monotonic one may stand still while the platform has frozen
//! the process.

use crate::{
    access::jwt::{Person, TokenRejection, read_keys, verify},
    clock,
    settings::identity_provider::TokenRequirements,
};
use cutover_core::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::OnceCell;

/// Age from which keys are fetched again.
const KEPT: Duration = Duration::from_secs(600);

/// Age from which keys are not used any more. A key that the provider has withdrawn is refused after this
/// time, even if nobody can ask the provider.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);

/// Shortest interval between fetches while usable keys are cached.
const AGAIN: Duration = Duration::from_secs(30);

/// Shortest interval between fetches while there are no usable keys. Each may take as long as the
/// client's time limit.
const RETRY: Duration = Duration::from_secs(5);

/// Client of an identity provider, with its cached keys.
#[derive(Debug)]
pub struct Provider {
    url: String,
    expected: TokenRequirements,
    client: OnceCell<reqwest::Client>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    keys: Option<Keys>,
    /// Time of the last fetch, and reason for which it failed, if it did.
    asked_at: Option<Timestamp>,
    failure: Option<String>,
}

#[derive(Debug)]
struct Keys {
    set: Arc<JwkSet>,
    fetched_at: Timestamp,
}

/// No usable keys are cached, and none could be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysUnavailable {
    /// No keys are cached.
    #[error("the keys of the identity provider could not be read: {0}")]
    Unreachable(String),
    /// The cached keys are more than 24 hours old.
    #[error("the keys of the identity provider are more than 24 hours old, and could not be read again: {0}")]
    TooOld(String),
}

/// Failure to authenticate a user by a token of the identity provider.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The token was rejected.
    #[error(transparent)]
    Refused(#[from] TokenRejection),
    /// No keys are available to check the token.
    #[error(transparent)]
    NoKeys(#[from] KeysUnavailable),
}

impl Cache {
    /// Notes the outcome of a fetch. After a failure the earlier keys remain, as old as they are.
    fn note(&mut self, now: Timestamp, fetched: Result<JwkSet, String>) {
        self.asked_at = Some(now);
        self.failure = match fetched {
            Ok(set) => {
                self.keys = Some(Keys { set: Arc::new(set), fetched_at: now });
                None
            }
            Err(error) => Some(error),
        };
    }

    /// Returns the cached keys if they are younger than a limit.
    fn younger_than(&self, limit: Duration, now: Timestamp) -> Option<&Arc<JwkSet>> {
        self.keys.as_ref().filter(|keys| clock::is_within(limit, keys.fetched_at, now)).map(|keys| &keys.set)
    }

    /// Returns the keys to check a token with.
    fn usable(&self, now: Timestamp) -> Result<Arc<JwkSet>, KeysUnavailable> {
        self.younger_than(MAX_AGE, now).cloned().ok_or_else(|| {
            let failure = self.failure.clone().unwrap_or_default();
            match self.keys {
                Some(_) => KeysUnavailable::TooOld(failure),
                None => KeysUnavailable::Unreachable(failure),
            }
        })
    }

    /// Returns true if the keys must be fetched before a token is checked.
    fn is_due(&self, now: Timestamp) -> bool {
        self.younger_than(KEPT, now).is_none() && self.may_ask(now)
    }

    /// Returns true if the last fetch was long enough ago.
    fn may_ask(&self, now: Timestamp) -> bool {
        let pause = if self.younger_than(MAX_AGE, now).is_some() { AGAIN } else { RETRY };
        self.asked_at.is_none_or(|at| !clock::is_within(pause, at, now))
    }
}

impl Provider {
    /// Creates a client of a provider, without connecting.
    pub fn new(url: String, expected: TokenRequirements) -> Self {
        Self { url, expected, client: OnceCell::new(), cache: Mutex::default() }
    }

    /// Verifies a token with the provider's keys, fetching them if needed. Returns the user it was
    /// issued to. `now` is the time by which the age of keys is judged.
    ///
    /// # Errors
    ///
    /// Returns [`SignInError`] if the token is rejected, or no usable keys are available.
    pub async fn person(&self, token: &str, now: Timestamp) -> Result<Person, SignInError> {
        let is_due = self.cache().is_due(now);
        let keys = if is_due { self.ask(now).await? } else { self.cache().usable(now)? };
        let checked = verify(token, &keys, &self.expected);
        // A provider that has rotated its keys may sign with one that is not cached yet.
        let may_ask = self.cache().may_ask(now);
        if checked == Err(TokenRejection::Key) && may_ask {
            let keys = self.ask(now).await?;
            return Ok(verify(token, &keys, &self.expected)?);
        }
        Ok(checked?)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the keys. If that fails, the cached ones are used until they are too old.
    async fn ask(&self, now: Timestamp) -> Result<Arc<JwkSet>, KeysUnavailable> {
        let fetched = self.fetch().await;
        let error = fetched.as_ref().err().cloned();
        let mut cache = self.cache();
        cache.note(now, fetched);
        let usable = cache.usable(now);
        if let (Some(error), Ok(_)) = (error, &usable) {
            tracing::warn!(%error, event = "jwks_unreachable", "continuing with the cached keys");
        }
        usable
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let unreachable = |error: reqwest::Error| error.without_url().to_string();
        let build = || async {
            let builder = reqwest::Client::builder().timeout(Duration::from_secs(3));
            builder.redirect(reqwest::redirect::Policy::none()).build()
        };
        let client = self.client.get_or_try_init(build).await.map_err(unreachable)?;
        let response = client.get(&self.url).send().await.map_err(unreachable)?;
        let response = response.error_for_status().map_err(unreachable)?;
        let body = response.bytes().await.map_err(unreachable)?;
        read_keys(&body).ok_or_else(|| "the response is not a JWKS".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
    }

    fn no_connection() -> Result<JwkSet, String> {
        Err("no connection".to_owned())
    }

    #[test]
    fn keys_age_by_the_wall_clock_and_are_used_for_a_day_at_most() {
        let mut cache = Cache::default();
        assert!(cache.is_due(after(0)));
        cache.note(after(0), Ok(JwkSet::default()));
        assert!(!cache.is_due(after(599)) && cache.is_due(after(600)));
        assert!(cache.is_due(after(-1)), "a clock that was set back says nothing about their age");
        // The provider is down. That it was asked makes the keys no younger.
        for hour in 1..24 {
            let now = after(hour * 3_600);
            assert!(cache.is_due(now), "it is asked again after {hour} hours");
            cache.note(now, no_connection());
            assert!(cache.usable(now).is_ok(), "{hour} hours");
        }
        let too_old = cache.usable(after(24 * 3_600)).unwrap_err();
        assert_eq!(too_old, KeysUnavailable::TooOld("no connection".to_owned()));
    }

    #[test]
    fn a_provider_that_is_down_is_asked_now_and_then() {
        let mut cache = Cache::default();
        cache.note(after(0), no_connection());
        assert!(!cache.is_due(after(4)) && cache.is_due(after(5)), "without keys");
        let error = cache.usable(after(1)).unwrap_err();
        assert_eq!(error, KeysUnavailable::Unreachable("no connection".to_owned()));
        cache.note(after(10), Ok(JwkSet::default()));
        cache.note(after(1_000), no_connection());
        assert!(!cache.is_due(after(1_029)) && cache.is_due(after(1_030)), "with keys");
    }
}
