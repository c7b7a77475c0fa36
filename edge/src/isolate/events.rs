//! Events of users that backends, clients and servers report. Each is noted for the experiments that count it.

use crate::{isolate::Isolate, wire::Packed};
use cutover_core::{
    Facts, Ruleset, Timestamp,
    decision::decide::identity_on,
    request::{
        event::{HeaderEvents, read_header},
        identity::{Source, identify},
        track::{InvalidEvent, ServerEvent, TrackedEvent},
    },
};
use std::fmt;

/// Most events of clients that an isolate takes in a second. Anybody can send them.
pub const MAX_CLIENT_EVENTS_PER_S: u32 = 1_000;

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

/// An event of a user, as it is noted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserEvent<'e> {
    /// Name of the event.
    pub(crate) name: &'e str,
    /// Value, in thousandths.
    pub(crate) value: Option<u64>,
    /// Id by which the event is recognised when it is sent again.
    pub(crate) id: Option<&'e str>,
    /// Time of the event, in milliseconds since 1970.
    pub(crate) at_ms: i64,
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
    /// The isolate has taken as many events of clients in this second as it takes.
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

/// Events of clients in one second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EventRate {
    second: i64,
    events: u32,
}

impl EventRate {
    /// Returns true if one more event is taken at this time, in milliseconds since 1970.
    fn admits(&mut self, now: i64) -> bool {
        let second = now.div_euclid(1_000);
        if self.second != second {
            *self = Self { second, events: 0 };
        }
        self.events = self.events.saturating_add(1);
        self.events <= MAX_CLIENT_EVENTS_PER_S
    }
}

impl Isolate {
    /// Notes the events of a response for the user of its request. Returns true for the first header of the isolate with an
    /// entry that is not understood.
    pub fn note_header(&mut self, reported: &ReportedHeader<'_>, now: i64) -> bool {
        let HeaderEvents { events, malformed } = read_header(reported.header);
        let rules = self.rules_of(reported.generation);
        if let Some(user) = rules.and_then(|rules| user_of(&rules, reported)) {
            for event in events {
                let at_ms = now;
                self.note(&user, &UserEvent { name: event.name, value: event.value, id: None, at_ms });
            }
        }
        let is_first = self.malformed_events == 0 && malformed > 0;
        self.malformed_events += malformed as u64;
        is_first
    }

    /// Notes an event that a client sends, for the user of the request itself. An event that nothing counts is noted like
    /// any other, so that no response tells which are counted.
    ///
    /// # Errors
    ///
    /// Fails if the body is no event, if no route says who the user is, if the isolate has no rules, or if too many come.
    pub fn track_of_client(
        &mut self,
        packed: &Packed<'_>,
        generation: u32,
        body: &[u8],
        now: i64,
    ) -> Result<(), TrackRefusal> {
        let event = TrackedEvent::read(body)?;
        let rules = self.rules().filter(|_| generation == self.generation).ok_or(TrackRefusal::NoRules)?;
        let user = packed.facts(rules.inputs(), |facts| {
            let sources = sources(&rules, facts)?;
            Ok::<_, TrackRefusal>(identify(sources, facts).user().map(str::to_owned))
        })?;
        if !self.event_rate.admits(now) {
            return Err(TrackRefusal::TooMany);
        }
        if let Some(user) = user {
            self.note(&user, &UserEvent { name: &event.name, value: event.value, id: None, at_ms: now });
        }
        Ok(())
    }

    /// Notes an event that a server sends, for the user that it names.
    ///
    /// # Errors
    ///
    /// Fails if the body is no event of a server, or if the isolate has no rules.
    pub fn track_of_server(&mut self, body: &[u8], now: i64) -> Result<(), TrackRefusal> {
        let ServerEvent { event, user, at, id } = ServerEvent::read(body, Timestamp::from_millis(now))?;
        if self.rules().is_none() {
            return Err(TrackRefusal::NoRules);
        }
        // The clock of the server may be ahead.
        let at_ms = at.millis().min(now);
        self.note(&user, &UserEvent { name: &event.name, value: event.value, id: Some(&id), at_ms });
        Ok(())
    }

    fn note(&mut self, user: &str, event: &UserEvent<'_>) {
        self.note_event(user, event);
    }
}

/// Returns the user of a request whose response reports events.
fn user_of(rules: &Ruleset, reported: &ReportedHeader<'_>) -> Option<String> {
    reported.packed.facts(rules.inputs(), |facts| {
        let route = rules.route(facts.method, facts.path)?;
        let facts = Facts { minted: reported.minted, ..*facts };
        identity_on(route, &facts).user().map(str::to_owned)
    })
}

/// Returns the sources of a client's user id: those of the route that the parameter `route` names, or else those that all
/// routes have in common.
fn sources<'r>(rules: &'r Ruleset, facts: &Facts<'_>) -> Result<&'r [Source], TrackRefusal> {
    if let Some(id) = facts.query_parameter("route") {
        let named = rules.routes().iter().find(|route| route.id.as_str() == id);
        return named.map(|route| route.identity.as_slice()).ok_or(TrackRefusal::RouteUnknown);
    }
    let mut all = rules.routes().iter().map(|route| route.identity.as_slice());
    let first = all.next().unwrap_or_default();
    if all.all(|other| other == first) { Ok(first) } else { Err(TrackRefusal::RouteMissing) }
}

/// Returns true for the `Authorization` of a server: a bearer token that has not the form of a JSON Web Token, because such a
/// one is a client's.
pub fn is_of_server(authorization: Option<&str>) -> bool {
    let scheme_and_token = authorization.and_then(|value| value.split_once(' '));
    scheme_and_token.is_some_and(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer") && !is_json_web_token(token.trim())
    })
}

/// Returns true for three parts of base64url between points.
fn is_json_web_token(token: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    token.split('.').count() == 3 && token.split('.').all(is_part)
}
