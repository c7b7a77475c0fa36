//! The lifetime of a response in a cache that several users share (RFC 9111).

use super::directives::{Directives, seconds};
use std::time::{Duration, UNIX_EPOCH};

/// The head of a response, as far as a cache needs it. A header that is there several times has its values joined by commas.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: u16,
    /// The header `Cache-Control`.
    pub cache_control: Option<&'a str>,
    /// `CDN-Cache-Control`, which counts in place of `Cache-Control` and `Expires` (RFC 9213).
    pub cdn_cache_control: Option<&'a str>,
    /// The header `Expires`.
    pub expires: Option<&'a str>,
    /// The header `Date`.
    pub date: Option<&'a str>,
    /// The header `Age`.
    pub age: Option<&'a str>,
    /// The header `Vary`.
    pub vary: Option<&'a str>,
    /// True if the response sets a cookie.
    pub sets_cookie: bool,
}

impl ResponseHead<'_> {
    /// Returns the directives that count, and true if they are those for caches alone.
    fn directives(&self) -> (Directives, bool) {
        let targeted = self.cdn_cache_control.and_then(Directives::read_targeted);
        let all = || self.cache_control.map(Directives::read).unwrap_or_default();
        (targeted.unwrap_or_else(all), targeted.is_some())
    }

    /// Returns true if the response is for one user alone.
    fn is_personal(&self) -> bool {
        self.sets_cookie || self.vary.is_some_and(|vary| vary.split(',').any(|name| name.trim() == "*"))
    }

    /// Returns true if no header says if and for how long the response may be kept.
    fn is_silent(&self) -> bool {
        !self.is_personal() && self.directives().0.says_nothing() && self.expires.is_none()
    }
}

/// Statuses whose responses are cached for the seconds of the route if the backend says nothing.
const CACHED_BY_RULE: [u16; 6] = [200, 203, 204, 300, 301, 308];

/// Statuses that are never cached: a part of a response, an answer to a condition, and words to one client at one
/// time. Those from 500 on are not either: a backend that recovers must be seen.
const NEVER_CACHED: [u16; 7] = [206, 304, 401, 407, 408, 425, 429];

/// Returns the directive by which the platform caches a response that arrived at a time, in milliseconds since 1970. It is
/// always explicit: without one the platform would cache many responses for hours, and give old ones for ever while the
/// backend fails. `ttl` and `stale` are those of [`CacheRules`](super::CacheRules).
///
/// A 304 says that a kept response is still the same one. It has a directive only if it says for how long; otherwise `None`,
/// and that of the kept response goes on.
pub fn directive(head: &ResponseHead<'_>, ttl: Option<u32>, stale: u32, now: i64) -> Option<String> {
    let is_unchanged = head.status == 304;
    let whole = ResponseHead { status: if is_unchanged { 200 } else { head.status }, ..*head };
    match lifetime(&whole, ttl, stale, now) {
        Some((fresh, stale)) => {
            Some(format!("public, max-age={fresh}, stale-while-revalidate={stale}, stale-if-error=0"))
        }
        None if is_unchanged && head.is_silent() => None,
        None => Some("no-store".to_owned()),
    }
}

/// Returns the seconds for which a response is fresh from now on, and those behind them in which it may still be given;
/// `None` if it is not to be kept.
fn lifetime(head: &ResponseHead<'_>, ttl: Option<u32>, stale: u32, now: i64) -> Option<(u64, u64)> {
    let is_final = (200..500).contains(&head.status) && !NEVER_CACHED.contains(&head.status);
    if !is_final || head.is_personal() {
        return None;
    }
    let (directives, is_targeted) = head.directives();
    if directives.is_refused {
        return None;
    }
    let told = directives.shared_age.or(directives.max_age);
    let told =
        told.or_else(|| head.expires.filter(|_| !is_targeted).map(|expires| until(expires, head.date, now)));
    let by_rule = ttl.filter(|_| CACHED_BY_RULE.contains(&head.status)).map(u64::from);
    let whole = told.or(by_rule)?.min(super::MAX_CACHED_SECONDS.into());
    let fresh = whole.saturating_sub(age(head, now));
    // What is not fresh is not kept either: the next request would ask the backend in any case.
    let stale = if directives.must_revalidate { 0 } else { directives.stale.unwrap_or(stale.into()) };
    (fresh > 0).then_some((fresh, stale.min(super::MAX_CACHED_SECONDS.into())))
}

/// Returns the seconds from the date of a response to its `Expires`; 0 if that is no date.
fn until(expires: &str, date: Option<&str>, now: i64) -> u64 {
    let Some(expires) = unix_seconds(expires) else { return 0 };
    let from = date.and_then(unix_seconds).unwrap_or_else(|| u64::try_from(now / 1_000).unwrap_or_default());
    expires.saturating_sub(from)
}

/// Returns the age of a response at its arrival, in seconds: by its `Age` or by its date, whichever is more. An
/// `Age` that is no number has no meaning; of several the first counts.
fn age(head: &ResponseHead<'_>, now: i64) -> u64 {
    let told = head.age.and_then(|age| age.split(',').next()).and_then(|age| seconds(age.trim()));
    let apparent = head.date.and_then(unix_seconds).map(|date| {
        let now = u64::try_from(now / 1_000).unwrap_or_default();
        // Clocks differ by some seconds.
        now.saturating_sub(date).checked_sub(CLOCK_SKEW).map_or(0, |behind| behind + CLOCK_SKEW)
    });
    told.unwrap_or_default().max(apparent.unwrap_or_default())
}

/// Seconds by which the clock of a backend may be behind before its responses count as old.
const CLOCK_SKEW: u64 = 60;

fn unix_seconds(date: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(date).ok()?;
    time.duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mon, 01 Jan 2026 00:00:00 GMT.
    const NOW: i64 = 1_767_225_600_000;
    const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

    fn ok() -> ResponseHead<'static> {
        ResponseHead { status: 200, ..ResponseHead::default() }
    }

    fn fresh(head: &ResponseHead<'_>, ttl: Option<u32>) -> Option<u64> {
        lifetime(head, ttl, 0, NOW).map(|(fresh, _)| fresh)
    }

    #[test]
    fn the_backend_says_how_long_and_the_route_only_where_it_does_not() {
        let told = |text| ResponseHead { cache_control: Some(text), ..ok() };
        assert_eq!(fresh(&ok(), None), None);
        assert_eq!(fresh(&ok(), Some(60)), Some(60));
        assert_eq!(fresh(&told("public"), Some(60)), Some(60));
        assert_eq!(fresh(&told("max-age=5"), Some(60)), Some(5));
        assert_eq!(fresh(&told("max-age=5, s-maxage=9"), None), Some(9));
        assert_eq!(fresh(&told("max-age=0"), Some(60)), None);
        for refused in ["no-store", "private", "no-cache", "private=\"set-cookie\", max-age=60"] {
            assert_eq!(fresh(&told(refused), Some(60)), None, "{refused}");
        }
    }

    #[test]
    fn the_header_for_caches_counts_in_place_of_the_others() {
        let expires = Some("Thu, 01 Jan 2026 01:00:00 GMT");
        let head = |cdn| ResponseHead {
            cache_control: Some("max-age=1"),
            cdn_cache_control: Some(cdn),
            expires,
            ..ok()
        };
        assert_eq!(fresh(&head("max-age=90"), None), Some(90));
        assert_eq!(fresh(&head("no-store"), None), None);
        assert_eq!(fresh(&head("must-revalidate"), None), None, "neither of the others counts");
        assert_eq!(fresh(&head("&&&&"), None), Some(1), "one that cannot be read is none");
    }

    #[test]
    fn expires_counts_from_the_date_and_a_wrong_one_is_past() {
        let head = |expires, date| ResponseHead { expires: Some(expires), date, ..ok() };
        assert_eq!(fresh(&head("Thu, 01 Jan 2026 00:10:00 GMT", Some(DATE)), Some(9)), Some(600));
        assert_eq!(fresh(&head("Thu, 01 Jan 2026 00:10:00 GMT", None), None), Some(600));
        assert_eq!(
            fresh(&head("Thu, 01 Jan 2026 00:10:00 GMT", Some("Thu, 01 Jan 2026 00:09:00 GMT")), None),
            Some(60)
        );
        for wrong in
            ["0", "-1", "tomorrow", "Wed, 31 Dec 2025 00:00:00 GMT", "", "Thu, 01 Jan 2026 00:10:00 CEST"]
        {
            assert_eq!(fresh(&head(wrong, Some(DATE)), Some(60)), None, "{wrong}");
        }
    }

    #[test]
    fn the_age_of_a_response_is_taken_off() {
        let head = |age, date| ResponseHead { cache_control: Some("max-age=600"), age, date, ..ok() };
        assert_eq!(fresh(&head(Some("100"), Some(DATE)), None), Some(500));
        assert_eq!(fresh(&head(Some("600"), None), None), None);
        assert_eq!(fresh(&head(Some("100, 300"), None), None), Some(500));
        assert_eq!(fresh(&head(Some("old"), None), None), Some(600));
        assert_eq!(fresh(&head(None, Some("Wed, 31 Dec 2025 23:55:00 GMT")), None), Some(300));
        assert_eq!(
            fresh(&head(None, Some("Wed, 31 Dec 2025 23:59:30 GMT")), None),
            Some(600),
            "clocks differ"
        );
    }

    #[test]
    fn what_is_one_users_or_an_error_is_not_kept() {
        let explicit = ResponseHead { cache_control: Some("public, max-age=60"), ..ok() };
        for status in [206, 304, 401, 408, 425, 429, 500, 502, 503, 504, 599, 101] {
            assert_eq!(fresh(&ResponseHead { status, ..explicit }, Some(60)), None, "{status}");
        }
        for status in [404, 302, 410] {
            assert_eq!(fresh(&ResponseHead { status, ..explicit }, None), Some(60), "{status}");
            assert_eq!(fresh(&ResponseHead { status, ..ok() }, Some(60)), None, "{status} without a word");
        }
        assert_eq!(fresh(&ResponseHead { sets_cookie: true, ..explicit }, Some(60)), None);
        for vary in ["*", "accept, *"] {
            assert_eq!(fresh(&ResponseHead { vary: Some(vary), ..explicit }, Some(60)), None, "{vary}");
        }
        assert_eq!(fresh(&ResponseHead { vary: Some("accept"), ..explicit }, None), Some(60));
    }

    #[test]
    fn the_directive_is_always_explicit() {
        let told =
            |text| directive(&ResponseHead { cache_control: Some(text), ..ok() }, None, 30, NOW).unwrap();
        assert_eq!(told("max-age=9"), "public, max-age=9, stale-while-revalidate=30, stale-if-error=0");
        for strict in ["max-age=9, must-revalidate", "s-maxage=9", "max-age=9, stale-while-revalidate=0"] {
            assert_eq!(
                told(strict),
                "public, max-age=9, stale-while-revalidate=0, stale-if-error=0",
                "{strict}"
            );
        }
        let longer = "public, max-age=9, stale-while-revalidate=99, stale-if-error=0";
        assert_eq!(told("max-age=9, stale-while-revalidate=99"), longer, "the backend's word");
        assert_eq!(told("no-store"), "no-store");
        assert_eq!(told(""), "no-store");
    }

    #[test]
    fn an_unchanged_response_stays_as_it_was_kept_unless_it_is_said_for_how_long() {
        let unchanged = ResponseHead { status: 304, ..ok() };
        assert_eq!(directive(&unchanged, None, 0, NOW), None);
        let told =
            |text, ttl| directive(&ResponseHead { cache_control: Some(text), ..unchanged }, ttl, 0, NOW);
        let fresh =
            |seconds| format!("public, max-age={seconds}, stale-while-revalidate=0, stale-if-error=0");
        assert_eq!(told("public", Some(60)), Some(fresh(60)));
        assert_eq!(told("max-age=9", None), Some(fresh(9)));
        assert_eq!(told("max-age=0", None), Some("no-store".to_owned()));
        assert_eq!(told("no-store", Some(60)), Some("no-store".to_owned()));
        // What is one user's must not get into the kept response.
        for personal in [
            ResponseHead { sets_cookie: true, ..unchanged },
            ResponseHead { vary: Some("*"), ..unchanged },
            ResponseHead { cdn_cache_control: Some("&&&"), cache_control: Some("no-store"), ..unchanged },
        ] {
            assert_eq!(directive(&personal, Some(60), 0, NOW), Some("no-store".to_owned()), "{personal:?}");
        }
    }

    proptest! {
        /// Whatever a backend sends, a response is not kept against its word, nor for longer than a year.
        #[test]
        fn any_header_is_read(
            status in 100_u16..700,
            cache_control in proptest::option::of(".{0,60}"),
            cdn in proptest::option::of("[a-z=\",0-9 -]{0,40}"),
            expires in proptest::option::of("[A-Za-z0-9:, +-]{0,40}"),
            age in proptest::option::of("[0-9,a -]{0,30}"),
            ttl in proptest::option::of(0_u32..=super::super::MAX_CACHED_SECONDS),
            now in 0_i64..4_000_000_000_000,
        ) {
            let head = ResponseHead {
                status,
                cache_control: cache_control.as_deref(),
                cdn_cache_control: cdn.as_deref(),
                expires: expires.as_deref(),
                age: age.as_deref(),
                ..ResponseHead::default()
            };
            if let Some((fresh, _)) = lifetime(&head, ttl, 0, now) {
                prop_assert!((1..=u64::from(super::super::MAX_CACHED_SECONDS)).contains(&fresh));
                prop_assert!(status < 500);
                let refused = |text: &str| text.trim() == "no-store";
                prop_assert!(!cdn.as_deref().is_some_and(refused));
            }
        }
    }
}
