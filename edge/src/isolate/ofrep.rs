//! Requests for evaluations over OFREP: who sends one, how often, and the response with its headers.

use crate::{isolate::Isolate, wire::EVALUATIONS};
use cutover_core::{
    Ruleset, Timestamp,
    ofrep::{Answer, BulkRequest, Endpoint, evaluate_flag, evaluate_flags},
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

/// Seconds after which a caller that was too fast has its requests of a second again.
const RETRY_AFTER_S: u32 = 1;

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
    /// Status of HTTP.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for a response without one.
    pub body: String,
}

impl Default for EvaluationResponse {
    fn default() -> Self {
        Self::from(Answer::internal("the flags could not be evaluated"))
    }
}

impl From<Answer> for EvaluationResponse {
    fn from(answer: Answer) -> Self {
        let Answer { status, body, etag, retry_after } = answer;
        let mut headers = vec![("cache-control", "no-store".to_owned())];
        if !body.is_empty() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        headers.extend(etag.map(|etag| ("etag", etag.to_string())));
        headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        match status {
            401 => headers.push(("www-authenticate", "Bearer".to_owned())),
            405 => headers.push(("allow", METHODS.to_owned())),
            _ => {}
        }
        Self { status, headers, body }
    }
}

impl EvaluationResponse {
    /// Builds the response to a browser that asks which requests a script may send.
    fn preflight() -> Self {
        Self { status: 204, headers: vec![("allow", METHODS.to_owned())], body: String::new() }
    }

    /// Tells a browser which origins may read the response, and what their scripts may send.
    fn share(&mut self, access: &Access, origin: Option<&str>) {
        if access.origins.is_empty() {
            return;
        }
        self.headers.push(("vary", "origin".to_owned()));
        let Some(allowed) = origin.and_then(|origin| access.allowed_origin(origin)) else { return };
        self.headers.push(("access-control-allow-origin", allowed.to_owned()));
        let others: &[(&'static str, &str)] = if self.status == 204 { &PREFLIGHT } else { &EXPOSED };
        self.headers.extend(others.iter().map(|(name, value)| (*name, (*value).to_owned())));
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
        let rules = self.rules();
        let found = rules.as_deref().and_then(|rules| Some((rules, rules.access()?)));
        // The configuration may have changed since the request was decided.
        let Some((rules, access)) = found else { return Answer::not_found().into() };
        let mut response = match request.method {
            "OPTIONS" => EvaluationResponse::preflight(),
            "POST" => self.answer_evaluation(rules, access, request, now).into(),
            _ => Answer::method_not_allowed().into(),
        };
        response.share(access, request.origin);
        response
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
            return Answer::too_many_requests(RETRY_AFTER_S);
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
