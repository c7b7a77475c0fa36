//! Events of users as they are reported: by the header of a response, by a client, by a server.

use crate::wire::Packed;
use cutover_core::request::track::InvalidEvent;
use std::{fmt, num::NonZeroU32};

/// Most events of clients that an isolate takes in a second. Anybody can send them.
pub const MAX_CLIENT_EVENTS_PER_S: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// The event header of a response, with the request that it answers.
#[derive(Debug, Clone, Copy)]
pub struct ReportedHeader<'h> {
    /// The request, packed for the generation that decided it.
    pub packed: &'h Packed<'h>,
    /// Generation that decided the request.
    pub generation: u32,
    /// Anonymous id that was minted for the request.
    pub minted: Option<&'h str>,
    /// Value of the header.
    pub header: &'h str,
}

/// Reason for which an event is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackRefusal {
    /// The body is no event.
    Event(InvalidEvent),
    /// The routes know their users by different sources, and the request names no route.
    RouteMissing,
    /// No route has the id that the request names.
    RouteUnknown,
    /// The isolate has taken as many events of clients in this second as it takes, or it has no room for a server's.
    TooMany,
    /// The isolate holds no rules, or other ones than the request was packed for.
    NoRules,
}

impl From<InvalidEvent> for TrackRefusal {
    fn from(error: InvalidEvent) -> Self {
        Self::Event(error)
    }
}

impl fmt::Display for TrackRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(error) => write!(f, "{error}"),
            Self::RouteMissing => f.write_str(
                "The routes know their users in different ways: name the one that knows this user, as in ?route=ID.",
            ),
            Self::RouteUnknown => f.write_str("There is no route with the id of the parameter `route`."),
            Self::TooMany => f.write_str("Too many events at once. Send this one again later."),
            Self::NoRules => {
                f.write_str("The Worker has no rules to count the event by yet. Send it again.")
            }
        }
    }
}

impl TrackRefusal {
    /// Returns the status of the response.
    pub fn status(self) -> u16 {
        match self {
            Self::Event(_) | Self::RouteMissing | Self::RouteUnknown => 400,
            Self::TooMany => 429,
            Self::NoRules => 503,
        }
    }

    /// Returns the code of the problem.
    pub fn code(self) -> &'static str {
        match self {
            Self::Event(_) => "event_invalid",
            Self::RouteMissing => "route_missing",
            Self::RouteUnknown => "route_unknown",
            Self::TooMany => "too_many_events",
            Self::NoRules => "no_snapshot",
        }
    }
}

/// Returns true for the `Authorization` of a server: a bearer token that has not the form of a JSON Web Token, because such a
/// one is a client's.
pub fn is_of_server(authorization: Option<&str>) -> bool {
    let value = authorization.unwrap_or_default().trim();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer") && !is_json_web_token(token.trim())
}

/// Returns true for three parts of base64url between points.
fn is_json_web_token(token: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    token.split('.').count() == 3 && token.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_a_servers_unless_it_looks_like_a_json_web_token() {
        for (authorization, is_servers) in [
            (None, false),
            (Some("Bearer secret"), true),
            (Some("bearer secret"), true),
            (Some("Bearer "), true),
            (Some("Bearer"), true),
            (Some("Bearer a.b"), true),
            (Some("Bearer a..c"), true),
            (Some("Bearer a.b.c.d"), true),
            (Some("Bearer a.b.c!"), true),
            (Some("Bearer eyJh-_.eyJz.c2ln"), false),
            (Some("Bearer  eyJh.eyJz.c2ln"), false),
            (Some("Basic dTpw"), false),
            (Some("secret"), false),
        ] {
            assert_eq!(is_of_server(authorization), is_servers, "{authorization:?}");
        }
    }
}
