//! Events of users that backends, clients and servers report. Each is noted for the experiments that count it.

use crate::{
    counting::{UserEvent, experiments::EventResult},
    isolate::Isolate,
    tracking::{MAX_CLIENT_EVENTS_PER_S, ReportedHeader, TrackRefusal},
    wire::Packed,
};
use cutover_core::{
    Facts, Ruleset, Timestamp,
    decision::decide::identity_on,
    request::{
        event::{HeaderEvents, read_header},
        identity::{Source, identify},
        track::{ServerEvent, TrackedEvent},
    },
};

impl Isolate {
    /// Notes the events of a response for the user of its request. Returns true for the first header of the isolate with an
    /// entry that is not understood.
    pub fn note_header(&mut self, reported: &ReportedHeader<'_>, now: i64) -> bool {
        let HeaderEvents { events, malformed } = read_header(reported.header);
        let rules = self.rules_of(reported.generation);
        if let Some(user) = rules.and_then(|rules| user_of(&rules, reported)) {
            for event in events {
                self.note_event(&user, event.name, event.value, now);
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
        if !self.client_events.allows(MAX_CLIENT_EVENTS_PER_S, now) {
            return Err(TrackRefusal::TooMany);
        }
        if let Some(user) = user {
            self.note_event(&user, &event.name, event.value, now);
        }
        Ok(())
    }

    /// Notes an event that a server sends, for the user that it names.
    ///
    /// # Errors
    ///
    /// Fails if the body is no event of a server, if the isolate has no rules, or if an experiment has no room for the event
    /// until the next report. The server sends it again: those that have noted it know it by its id.
    pub fn track_of_server(&mut self, body: &[u8], now: i64) -> Result<(), TrackRefusal> {
        let ServerEvent { event, user, at, id } = ServerEvent::read(body, Timestamp::from_millis(now))?;
        if self.rules().is_none() {
            return Err(TrackRefusal::NoRules);
        }
        // The clock of the server may be ahead.
        let at_ms = at.millis().min(now);
        let TrackedEvent { name, value } = event;
        match self.note(&UserEvent { user: &user, name: &name, value, id: Some(&id), at_ms }) {
            EventResult::Refused => Err(TrackRefusal::TooMany),
            EventResult::Unknown | EventResult::Noted => Ok(()),
        }
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
