//! Requests for evaluations over OFREP: who sends one, how often, and the response with its headers.

use crate::{
    isolate::Isolate,
    wire::{EVALUATIONS, PackedDecision},
};
use cutover_core::{
    Ruleset, Timestamp,
    ofrep::{Answer, BulkRequest, Endpoint, EntityTag, evaluate_flag, evaluate_flags},
    values::access::Access,
};

/// Methods of the endpoints.
const METHODS: &str = "OPTIONS, POST";

/// Headers that tell a browser what scripts of another origin may send, and for how many seconds that holds.
const PREFLIGHT: [(&str, &str); 3] = [
    ("access-control-allow-methods", "POST"),
    ("access-control-allow-headers", "authorization, content-type, if-none-match, x-api-key"),
    ("access-control-max-age", "600"),
];

/// Header that tells a browser which headers scripts of another origin may read.
const EXPOSED: [(&str, &str); 1] = [("access-control-expose-headers", "etag, retry-after")];

/// Seconds after which a caller that was too fast has its requests of a second again, as the value of a header.
const RETRY_AFTER_S: &str = "1";

/// A request to an endpoint of OFREP.
#[derive(Debug, Clone, Copy)]
pub struct EvaluationRequest<'r> {
    /// Method of HTTP.
    pub method: &'r str,
    /// Path, percent-encoded.
    pub path: &'r str,
    /// SHA-256 of the caller's token; `None` without a token.
    pub token: Option<&'r [u8]>,
    /// Value of `If-None-Match`, if the request has it.
    pub if_none_match: Option<&'r str>,
    /// Value of `Origin`, if the request has it.
    pub origin: Option<&'r str>,
    /// The body; `None` if it is over the limit.
    pub body: Option<&'r [u8]>,
}

/// The response to an [`EvaluationRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationResponse {
    /// Status and headers.
    pub kind: ResponseKind,
    /// Entity tag, if there is one.
    pub etag: Option<EntityTag>,
    /// The body; empty for a response without one.
    pub body: String,
}

/// Status and headers of a response except its entity tag, packed in one number, so that JavaScript builds each kind
/// once: bits 0 to 9 are the status, bit 10 means that there is an entity tag, bit 11 that there is a body, and from bit
/// 12 on follows the page that may read the response: 0 without any, 1 if pages of other origins may, and from 2 on the
/// position of the origin that may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseKind(pub u32);

impl ResponseKind {
    /// Mask of the status.
    pub const STATUS: u32 = 0x3FF;
    /// There is an entity tag.
    pub const TAGGED: u32 = 1 << 10;
    const BODY: u32 = 1 << 11;
    const PAGE_SHIFT: u32 = 12;
    const OTHER_PAGE: u32 = 1;
    const FIRST_PAGE: u32 = 2;

    fn new(status: u16, is_tagged: bool, has_body: bool) -> Self {
        let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
        Self(u32::from(status) & Self::STATUS | bit(is_tagged, Self::TAGGED) | bit(has_body, Self::BODY))
    }

    /// Adds the page that sent the request, if pages of other origins may read responses.
    fn shared(self, access: &Access, origin: Option<&str>) -> Self {
        if access.origins.is_empty() {
            return self;
        }
        let position = origin.and_then(|origin| access.origin_position(origin));
        let page = position.and_then(|position| u32::try_from(position).ok()?.checked_add(Self::FIRST_PAGE));
        Self(self.0 | page.unwrap_or(Self::OTHER_PAGE) << Self::PAGE_SHIFT)
    }

    /// Returns the status of HTTP.
    pub fn status(self) -> u32 {
        self.0 & Self::STATUS
    }

    /// Returns the headers except the entity tag: names in lower case, and values. Without access none of them
    /// allows a page of another origin anything.
    pub fn headers(self, access: Option<&Access>) -> Vec<(&'static str, String)> {
        let mut headers: Vec<(&'static str, String)> = Vec::new();
        let mut add = |name: &'static str, value: &str| headers.push((name, value.to_owned()));
        match self.status() {
            204 | 405 => add("allow", METHODS),
            401 => add("www-authenticate", "Bearer"),
            429 => add("retry-after", RETRY_AFTER_S),
            _ => {}
        }
        if self.status() != 204 {
            add("cache-control", "no-store");
        }
        if self.0 & Self::BODY != 0 {
            add("content-type", "application/json");
        }
        let page = self.0 >> Self::PAGE_SHIFT;
        if page == 0 {
            return headers;
        }
        add("vary", "origin");
        let position = page.checked_sub(Self::FIRST_PAGE).and_then(|page| usize::try_from(page).ok());
        if let Some(allowed) = access.zip(position).and_then(|(access, position)| access.origin_at(position))
        {
            add("access-control-allow-origin", allowed);
            let others: &[(&'static str, &str)] = if self.status() == 204 { &PREFLIGHT } else { &EXPOSED };
            for &(name, value) in others {
                add(name, value);
            }
        }
        headers
    }
}

impl Default for EvaluationResponse {
    fn default() -> Self {
        Self::from(Answer::internal("the flags could not be evaluated"))
    }
}

impl From<Answer> for EvaluationResponse {
    fn from(answer: Answer) -> Self {
        let Answer { status, body, etag } = answer;
        Self { kind: ResponseKind::new(status, etag.is_some(), !body.is_empty()), etag, body }
    }
}

impl EvaluationResponse {
    /// Builds the response to a browser that asks which requests a script may send.
    fn preflight() -> Self {
        Self { kind: ResponseKind::new(204, false, false), etag: None, body: String::new() }
    }
}

impl Isolate {
    /// Returns true if flags are evaluated at a path. Without access in the configuration such a path is routed like any other.
    pub(super) fn evaluates_at(rules: &Ruleset, path: &str) -> bool {
        // The first check, because every request comes here.
        path.starts_with(EVALUATIONS) && rules.access().is_some() && Endpoint::of_path(path).is_some()
    }

    /// Answers a request for evaluations. It counts nothing: an evaluation is no exposure.
    pub fn evaluate(&mut self, request: &EvaluationRequest<'_>, now: i64) -> EvaluationResponse {
        // The core may have been replaced while the body was awaited, and the new one holds nothing yet.
        let Some(rules) = self.rules() else { return EvaluationResponse::default() };
        // The configuration may have changed since the request was decided.
        let Some(access) = rules.access() else { return Answer::not_found().into() };
        let mut response = match request.method {
            "OPTIONS" => EvaluationResponse::preflight(),
            "POST" => self.answer_evaluation(&rules, access, request, now).into(),
            _ => Answer::method_not_allowed().into(),
        };
        response.kind = response.kind.shared(access, request.origin);
        response
    }

    /// Returns the headers of a kind of response except the entity tag: names in lower case, and values. The rules must
    /// be those of the response.
    pub fn evaluation_headers(&self, kind: ResponseKind) -> Vec<(&'static str, String)> {
        kind.headers(self.rules().as_deref().and_then(Ruleset::access))
    }

    /// Returns the work in front of an evaluation, as bits of the [`PackedDecision`]: reading the table again, whose
    /// endpoints may be closed by now, reading the snapshot, and asking the control plane.
    pub fn before_evaluation(&self, now: i64, generation: u32) -> PackedDecision {
        let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
        PackedDecision(
            bit(generation != self.generation, PackedDecision::TABLE)
                | bit(self.refresh_is_due(now), PackedDecision::REFRESH)
                | bit(self.waits_for_word(now), PackedDecision::ASK),
        )
    }

    /// Returns true if an evaluation waits for the control plane: the isolate has heard nothing for longer than
    /// the lease, so it may not know of an emergency or a brake. Unlike a routed request, an evaluation within
    /// the lease waits for no question. Neither lowers flags with values, so rules without flags of routes need
    /// not wait.
    fn waits_for_word(&self, now: i64) -> bool {
        let lease_ms = self.settings.lease_ms;
        self.settings.reports
            && lease_ms > 0
            && self.reporting.is_unheard(now, lease_ms)
            && (self.reporting.must_ask(now, lease_ms) || self.reporting.is_awaited(now))
            && self.held.as_ref().is_some_and(|held| !held.rules.flags().is_empty())
    }

    fn answer_evaluation(
        &mut self,
        rules: &Ruleset,
        access: &Access,
        request: &EvaluationRequest<'_>,
        now: i64,
    ) -> Answer {
        let Some(endpoint) = Endpoint::of_path(request.path) else { return Answer::not_found() };
        let Some(caller) = access.caller(request.token) else { return Answer::unauthorized() };
        if !self.paces.allows(caller.name(), access.pace(), now) {
            return Answer::too_many_requests();
        }
        if let Endpoint::Flag(key) = &endpoint
            && !caller.may_evaluate(key)
        {
            return Answer::forbidden();
        }
        let Some(body) = request.body else { return Answer::body_too_large() };
        // Bytes that are no text are refused as no text is: they are no JSON.
        let body = std::str::from_utf8(body).unwrap_or_default();
        let (stamp, now) = (self.stamp(), Timestamp::from_millis(now));
        match endpoint {
            Endpoint::Flag(key) => evaluate_flag(rules, &key, body, now),
            Endpoint::Flags => {
                let if_none_match = request.if_none_match;
                evaluate_flags(rules, &BulkRequest { body, if_none_match, caller, stamp, now })
            }
        }
    }
}
