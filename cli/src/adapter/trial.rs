//! One request of a client, answered by an adapter on this machine as the Worker would do it.

use super::{
    origin::{ClientResponse, Origin, Outgoing, set, unreachable},
    refusal::refusal,
    selection::NamedAdapter,
};
use crate::{clock, failure::Failure, http::cause};
use cutover_core::{
    Timestamp,
    adapter::{
        AdaptedRoute, Answer, Backend, ClientRequest, Exchange, Next, Program, Reply, Unfit, Upstream,
    },
    compare::{Comparison, Difference},
    config::SentRequest,
    json::{Json, Tape, Value},
};

/// Largest response of a backend that the Worker reads, in bytes.
const MAX_RESPONSE: usize = 4_194_304;

/// Headers by which REST interfaces page and refer, compared unless a comparison names others.
const USUAL_HEADERS: [&str; 2] = ["link", "location"];

/// A request to the backend.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// A GraphQL operation.
    Operation {
        /// Its name.
        name: String,
        /// Its variables, as JSON.
        variables: String,
    },
    /// A REST request.
    Rest {
        /// The HTTP method.
        method: String,
        /// Path and query.
        target: String,
        /// The body; empty if there is none.
        body: String,
    },
}

/// The outcome of a request to the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A response.
    Responded(ClientResponse),
    /// No response in time.
    Late,
    /// No response at all, for this reason.
    Lost(String),
}

/// A request to the backend and its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The request.
    pub asked: Asked,
    /// The method and the full URL.
    pub url: String,
    /// The outcome.
    pub outcome: Outcome,
}

/// A client's request with everything that came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The name of the adapter.
    pub adapter: String,
    /// The method and the pattern of the route that matched.
    pub route: String,
    /// The requests to the backend, in their order.
    pub calls: Vec<Call>,
    /// The client's response.
    pub response: ClientResponse,
    /// The names of the headers that the adapter itself has set.
    pub own_headers: Vec<String>,
    /// The explanation of an error.
    pub reason: Option<String>,
    /// The difference to legacy if the adapter cannot use the backend's response.
    pub misfit: Option<Difference>,
}

impl Trial {
    /// Returns a comparison with another response to the same request. Without headers of its own,
    /// it has those that the adapter sets and the usual ones.
    pub fn comparison(&self, base: &Comparison) -> Comparison {
        let mut comparison = Comparison { max_bytes: u32::MAX, ..base.clone() };
        if comparison.headers.is_empty() {
            comparison.headers = self.own_headers.clone();
            comparison.headers.extend(USUAL_HEADERS.map(str::to_owned));
            // The content type is compared in any case, and every server has entity tags of its own.
            comparison.headers.retain(|name| name != "content-type" && name != "etag");
            comparison.headers.sort();
            comparison.headers.dedup();
        }
        comparison
    }

    /// Returns the failure if the backend gave no response.
    pub fn lost(&self) -> Option<Failure> {
        let call = self.calls.last()?;
        match &call.outcome {
            Outcome::Responded(_) => None,
            Outcome::Late => Some(unreachable(&call.url, "no response in time")),
            Outcome::Lost(cause) => Some(unreachable(&call.url, cause)),
        }
    }
}

/// Answers a request through an adapter. Returns `None` if the adapter has no route for it.
pub fn run(chosen: &NamedAdapter, backend: &Origin, request: &SentRequest) -> Option<Trial> {
    let now = || Timestamp::from_millis(clock::now());
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let sent = ClientRequest {
        method: &request.line.method,
        path: &request.line.path,
        query: &request.line.query,
        headers: &headers,
        body: request.body.as_bytes(),
        claims: &request.claims,
    };
    let (mut exchange, mut next) = chosen.adapter.begin(sent, now())?;
    let mut calls: Vec<Call> = Vec::new();
    let answer = loop {
        match next {
            Next::Answer(answer) => break answer,
            Next::Ask(upstream) => {
                let (method, target) = recipient(exchange.program(), &upstream);
                let url = format!("{method} {}", backend.url(target));
                let outcome = call(backend, exchange.program(), &upstream, request);
                next = exchange.next(reply(&outcome), now());
                calls.push(Call { asked: asked(exchange.route(), upstream), url, outcome });
            }
        }
    };
    let route =
        exchange.route().map(|route| format!("{} {}", route.matcher.methods.join(", "), route.matcher.path));
    Some(Trial {
        adapter: chosen.name.clone(),
        route: route.unwrap_or_default(),
        reason: reason(&exchange, &answer, calls.last(), request),
        response: response(exchange.program(), &answer, calls.last(), &request.line.method),
        own_headers: own_headers(exchange.program(), &answer).map(|(name, _)| name.to_owned()).collect(),
        misfit: answer.unfit.as_deref().map(Unfit::difference),
        calls,
    })
}

/// Sends a request of an exchange with the headers that the Worker sends.
fn call(backend: &Origin, program: &Program, upstream: &Upstream, request: &SentRequest) -> Outcome {
    let mut headers = Vec::new();
    set(&mut headers, "accept", "application/json");
    if upstream.body.is_some() {
        set(&mut headers, "content-type", "application/json");
    }
    for name in &program.forward {
        if let Some(value) = request.header(name) {
            set(&mut headers, name, value);
        }
    }
    let (method, target) = recipient(program, upstream);
    let body = upstream.body.as_deref().unwrap_or_default();
    match backend.send(&Outgoing { method, target, headers: &headers, body }) {
        Ok(response) => Outcome::Responded(response),
        Err(error) if error.is_timeout() => Outcome::Late,
        Err(error) => Outcome::Lost(cause(&error)),
    }
}

/// Returns the method and the target of a request to the backend.
fn recipient<'r>(program: &'r Program, upstream: &'r Upstream) -> (&'r str, &'r str) {
    match &upstream.to {
        Some((method, target)) => (method.as_str(), target.as_str()),
        None => ("POST", program.endpoint.as_str()),
    }
}

fn reply(outcome: &Outcome) -> Reply<'_> {
    match outcome {
        Outcome::Responded(response) if response.body.len() > MAX_RESPONSE => {
            Reply::Answered(response.status, &[])
        }
        Outcome::Responded(response) => Reply::Answered(response.status, &response.body),
        Outcome::Late => Reply::Timeout,
        Outcome::Lost(_) => Reply::Unreachable,
    }
}

fn asked(route: Option<&AdaptedRoute>, upstream: Upstream) -> Asked {
    let body = upstream.body.unwrap_or_default();
    match (upstream.to, route.map(|route| &route.backend)) {
        (Some((method, target)), _) => Asked::Rest { method, target, body },
        (None, Some(Backend::GraphQl(name, _))) => {
            let sent = Json::parse(&body).ok();
            let variables = sent.as_ref().and_then(|sent| sent.get("variables")).map(ToString::to_string);
            Asked::Operation { name: name.clone(), variables: variables.unwrap_or_default() }
        }
        (None, _) => Asked::Operation { name: String::new(), variables: body },
    }
}

/// Iterates over the headers that the adapter itself sets.
fn own_headers<'a>(program: &'a Program, answer: &'a Answer) -> impl Iterator<Item = (&'a str, &'a str)> {
    let constant = program.constant_headers(answer.status >= 400);
    constant.into_iter().chain(answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Builds the client's response, as `responseOf` in the Worker does.
fn response(program: &Program, answer: &Answer, last: Option<&Call>, method: &str) -> ClientResponse {
    let mut headers = Vec::new();
    if let Some(Outcome::Responded(backend)) = last.map(|call| &call.outcome) {
        for name in &program.keep {
            if let Some(value) = backend.header(name) {
                set(&mut headers, name, value);
            }
        }
    }
    if answer.body.is_some() {
        let content_type = Some(program.content_type.as_str()).filter(|held| !held.is_empty());
        set(&mut headers, "content-type", content_type.unwrap_or("application/json"));
    }
    for (name, value) in own_headers(program, answer) {
        set(&mut headers, name, value);
    }
    let body = answer.body.as_deref().filter(|_| method != "HEAD").unwrap_or_default();
    ClientResponse { status: answer.status, headers, body: body.as_bytes().to_vec() }
}

/// Explains an error of the adapter by the last response of the backend, or by the request if there was none.
fn reason(exchange: &Exchange, answer: &Answer, last: Option<&Call>, sent: &SentRequest) -> Option<String> {
    if let Some(unfit) = &answer.unfit {
        return Some(format!("the response of the backend does not fit, which counts as an error: {unfit}"));
    }
    if answer.status < 400 {
        return None;
    }
    let Some(Call { asked, outcome, .. }) = last else {
        return exchange.route().map(|route| refusal(route, sent));
    };
    let backend = match outcome {
        Outcome::Responded(backend) => backend,
        Outcome::Late => return Some("the backend gave no response in time".to_owned()),
        Outcome::Lost(cause) => {
            return Some(format!("the backend gave no response ({cause}); legacy would answer GET and HEAD"));
        }
    };
    let text = String::from_utf8_lossy(&backend.body);
    let tape = Tape::read(&text).ok();
    let body = tape.as_ref().map(Tape::root);
    let is_graphql = matches!(asked, Asked::Operation { .. });
    let reported = body.filter(|_| is_graphql).and_then(|body| body.get("errors")?.items().next());
    if let Some(error) = reported {
        let message = error.get("message").map(Value::json);
        let message = message.as_ref().and_then(Json::as_text).unwrap_or("no message");
        return Some(format!("the backend reported an error: {message}"));
    }
    if !(200..300).contains(&backend.status) {
        return Some(format!("the backend answered {}", backend.status));
    }
    let root = exchange.route().map(|route| route.root.as_slice()).unwrap_or_default();
    let data = body.and_then(|body| if is_graphql { body.get("data") } else { Some(body) });
    Some(match data.and_then(|data| data.at_path(root)) {
        Some(value) if !value.is_null() => {
            "a part of the backend's response is null, see when_null".to_owned()
        }
        _ if root.is_empty() => "the response of the backend has no data".to_owned(),
        _ => format!("{} is null or absent in the response of the backend", root.join(".")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{adapter::Adapter, config::Config};
    use std::sync::Arc;

    const REST: &str = r#"
adapters:
  rest:
    forward_headers: [authorization]
    keep_headers: [x-kept, x-set]
    routes:
      - match: { method: GET, path: "/old/{id}" }
        backend: { method: GET, path: "/new/{path.id}" }
        root: item
        when_null: { status: 404 }
        headers: { x-set: "{path.id}" }
        response: { object: { id: { from: id, as: number } } }
"#;

    fn sent(path: &str) -> SentRequest {
        SentRequest {
            line: format!("GET {path}").parse().unwrap(),
            headers: Vec::new(),
            body: String::new(),
            claims: String::new(),
        }
    }

    fn exchange(path: &str) -> (Exchange, Next) {
        let config = Config::from_yaml(REST).unwrap();
        let program = Arc::clone(config.adapters.values().next().unwrap().program());
        let adapter = Arc::new(Adapter::new(program).unwrap());
        let sent = ClientRequest { method: "GET", path, ..ClientRequest::default() };
        adapter.begin(sent, Timestamp::from_millis(0)).unwrap()
    }

    /// Runs an exchange whose backend responds like this. Returns the client's response and the
    /// explanation of an error.
    fn answered(status: u16, body: &str) -> (ClientResponse, Option<String>) {
        let (mut exchange, next) = exchange("/old/7");
        let Next::Ask(upstream) = next else { panic!("the backend is asked") };
        let asked = asked(exchange.route(), upstream);
        assert_eq!(
            asked,
            Asked::Rest { method: "GET".to_owned(), target: "/new/7".to_owned(), body: String::new() }
        );
        let headers =
            ["x-kept", "x-set", "x-other"].map(|name| (name.to_owned(), "backend".to_owned())).to_vec();
        let outcome = Outcome::Responded(ClientResponse { status, headers, body: body.as_bytes().to_vec() });
        let Next::Answer(answer) = exchange.next(reply(&outcome), Timestamp::from_millis(0)) else {
            panic!("one request is enough")
        };
        let call = Call { asked, url: "GET http://new.example/new/7".to_owned(), outcome };
        let response = response(exchange.program(), &answer, Some(&call), "GET");
        (response, reason(&exchange, &answer, Some(&call), &sent("/old/7")))
    }

    #[test]
    fn the_client_gets_the_headers_that_the_worker_would_send() {
        let (response, reason) = answered(200, r#"{"item":{"id":"7"}}"#);
        assert_eq!((response.status, response.body.as_slice(), reason), (200, &br#"{"id":7}"#[..], None));
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("x-kept"), Some("backend"));
        assert_eq!(response.header("x-set"), Some("7"));
        assert_eq!(response.header("x-other"), None);
    }

    #[test]
    fn an_error_is_explained() {
        let cases = [
            (200, r#"{"item":null}"#, 404, "item is null or absent"),
            (200, r#"{"item":{"id":"x"}}"#, 502, "GET /old/{id}: id: expected a number"),
            (200, "oops", 502, "expected JSON"),
            (503, "{}", 500, "the backend answered 503"),
        ];
        for (status, body, expected, says) in cases {
            let (response, reason) = answered(status, body);
            assert_eq!(response.status, expected, "{body}");
            assert!(reason.as_deref().is_some_and(|reason| reason.contains(says)), "{body}: {reason:?}");
        }
        let (exchange, next) = exchange("/old/%2E%2E");
        let Next::Answer(answer) = next else { panic!("the backend is not asked") };
        assert!(
            reason(&exchange, &answer, None, &sent("/old/%2E%2E"))
                .unwrap()
                .contains("before the backend was called")
        );
    }

    #[test]
    fn a_comparison_has_the_headers_that_matter() {
        let (response, _) = answered(200, r#"{"item":{"id":"7"}}"#);
        let own_headers = ["x-set", "content-type", "etag", "link"].map(str::to_owned).to_vec();
        let trial = Trial {
            adapter: String::new(),
            route: String::new(),
            calls: Vec::new(),
            response,
            own_headers,
            reason: None,
            misfit: None,
        };
        assert_eq!(trial.comparison(&Comparison::default()).headers, ["link", "location", "x-set"]);
        let own = Comparison { headers: vec!["etag".to_owned()], ..Comparison::default() };
        assert_eq!(trial.comparison(&own).headers, ["etag"]);
        assert!(trial.lost().is_none());
        let call = Call {
            asked: Asked::Operation { name: "A".to_owned(), variables: String::new() },
            url: "POST http://new.example/graphql".to_owned(),
            outcome: Outcome::Lost("Connection refused".to_owned()),
        };
        let lost = Trial { calls: vec![call], ..trial }.lost().unwrap();
        let expected = "error: POST http://new.example/graphql: Connection refused\n";
        assert!(matches!(lost, Failure::Unreachable(_)) && lost.to_string().starts_with(expected), "{lost}");
    }
}
