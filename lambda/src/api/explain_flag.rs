//! `GET /flags/{name}/explain`: the decision that the edge would make and the reason, computed by
//! the same code.

use crate::{
    access::auth::Caller,
    api::{
        extract::{FlagPath, Parameters, time},
        flags::missing_flag,
        respond::json_response,
    },
    clock,
    platform::Platform,
    problem::Problem,
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    Facts, Reason, Ruleset, Timestamp,
    decision::decide::{FlagDecision, decide_flag},
    rules::flag::CompiledFlag,
};
use serde_json::json;

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let question = ExplainQuery::read(parameters)?;
    let now = question.at.unwrap_or_else(clock::now);
    let state = platform.store.state().await?;
    let stored = state.config.feature_flags.get(&name).ok_or_else(|| missing_flag(&state.config, &name))?;
    let snapshot = state.snapshot();
    let rules = Ruleset::compile(&snapshot).map_err(|error| {
        tracing::error!(%error, "the stored configuration does not compile");
        Problem::unavailable("configuration_broken", "the stored configuration cannot be evaluated")
    })?;
    let flag = rules.flag(name.as_str());
    let headers = question.headers();
    let facts = question.facts(&headers);
    let verdict = decide_flag(flag, question.user.as_deref(), &facts, now);
    let failed = verdict.failed_condition.and_then(|index| stored.conditions.get(index));
    let because = failed.and_then(|condition| condition.failure(&facts, now));
    let because = because.map(|failure| failure.to_string());
    Ok(json_response(
        StatusCode::OK,
        &json!({
            "flag": name,
            "user": question.user,
            "at": now,
            "arm": verdict.arm,
            "reason": verdict.reason,
            "bucket": question.user.as_deref().and_then(|user| flag.map(|flag| flag.bucket(user).get())),
            "rollout_percentage": flag.map(|flag| flag.rollout),
            "failed_condition": failed,
            "failed_because": because,
            "explanation": explanation(&verdict, flag, because.as_deref()),
            "revision": state.head.revision,
        }),
    ))
}

/// Describes a decision. `because` is the reason for which a condition does not hold, if one decided.
fn explanation(verdict: &FlagDecision, flag: Option<&CompiledFlag>, because: Option<&str>) -> String {
    match verdict.reason {
        Reason::Emergency => "an emergency forces the flag to legacy until it is cleared".to_owned(),
        Reason::Disabled => "the flag is disabled".to_owned(),
        Reason::Blacklisted => "the user is on the flag's blacklist".to_owned(),
        Reason::Whitelisted => "the user is on the flag's whitelist".to_owned(),
        Reason::Condition => match because {
            Some(because) => format!("a condition of the flag does not hold: {because}"),
            None => "a condition of the flag does not hold".to_owned(),
        },
        Reason::NoKey => "the request has no user id to assign a bucket to".to_owned(),
        Reason::Rollout => {
            let bucket = verdict.bucket.map(|bucket| bucket.get()).unwrap_or_default();
            let share = flag.map(|flag| flag.rollout).unwrap_or_default();
            let side = if bucket < share.get() { "inside" } else { "outside" };
            format!("bucket {bucket} of 1000000 is {side} the rollout of {share}")
        }
        Reason::Experiment => "the user's variant in the experiment that owns the flag decided".to_owned(),
        Reason::NoRoute
        | Reason::NoSnapshot
        | Reason::Fallback
        | Reason::Internal
        | Reason::Unadapted
        | Reason::Diverted
        | Reason::Braked
        | Reason::Guarded
        | Reason::Cached
        | Reason::Limited => "decided at the edge, not by the flag".to_owned(),
    }
}

/// Request to explain the decision for. Parameters: `user`, `at`, `method`, `path`, `country`,
/// `ip`, and any number of `header:NAME`, `cookie:NAME` and `query:NAME`.
#[derive(Debug, Default)]
pub(super) struct ExplainQuery {
    /// Id of the user.
    pub(super) user: Option<String>,
    /// Time of the decision.
    pub(super) at: Option<Timestamp>,
    method: String,
    path: String,
    query: String,
    country: Option<String>,
    ip: Option<String>,
    headers: Vec<(String, String)>,
}

impl ExplainQuery {
    /// Returns names and values of the headers.
    pub(super) fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Returns the request as the edge sees it, with the headers of [`Self::headers`].
    pub(super) fn facts<'f>(&'f self, headers: &'f [(&'f str, &'f str)]) -> Facts<'f> {
        Facts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            user: self.user.as_deref(),
            country: self.country.as_deref(),
            ip: self.ip.as_deref(),
            headers,
            minted: None,
            forced: None,
        }
    }

    /// Reads the parameters of a request.
    ///
    /// # Errors
    ///
    /// Returns the problem `invalid` with a parameter that is unknown, or a time that is none.
    pub(super) fn read(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        Self { method: "GET".to_owned(), path: "/".to_owned(), ..Self::default() }.with(parameters)
    }

    /// Reads the parameters of an application's context, which has a method and a path only if it names them.
    ///
    /// # Errors
    ///
    /// Returns the problems of [`Self::read`].
    pub(super) fn of_context(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        Self::default().with(parameters)
    }

    fn with(self, parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut question = self;
        let mut cookies: Vec<String> = Vec::new();
        for (name, value) in parameters {
            match (name.as_str(), name.split_once(':')) {
                ("user", _) => question.user = Some(value).filter(|user| !user.is_empty()),
                ("at", _) => question.at = Some(time("at", &value)?),
                ("method", _) => question.method = value,
                ("path", _) => match value.split_once('?') {
                    Some((path, query)) => {
                        question.path = path.to_owned();
                        append(&mut question.query, query);
                    }
                    None => question.path = value,
                },
                ("country", _) => question.country = Some(value),
                ("ip", _) => question.ip = Some(value),
                (_, Some(("header", header))) => question.headers.push((header.to_ascii_lowercase(), value)),
                (_, Some(("cookie", cookie))) => cookies.push(format!("{cookie}={value}")),
                (_, Some(("query", key))) => {
                    let pair = format!("{}={}", percent_encode(key), percent_encode(&value));
                    append(&mut question.query, &pair);
                }
                _ => {
                    let hint =
                        "use user, at, method, path, country, ip, header:NAME, cookie:NAME or query:NAME";
                    return Err(Problem::invalid(
                        &name,
                        format!("{name:?} is not a parameter of explain"),
                        hint,
                    ));
                }
            }
        }
        if !cookies.is_empty() {
            question.headers.push(("cookie".to_owned(), cookies.join("; ")));
        }
        Ok(question)
    }
}

fn append(query: &mut String, part: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(part);
}

/// Percent-encodes everything but ASCII letters and digits; the core decodes it again.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_method_and_a_path_and_a_context_has_those_that_it_names() {
        let parameters =
            || vec![("user".to_owned(), "ann".to_owned()), ("header:Plan".to_owned(), "gold".to_owned())];
        let request = ExplainQuery::read(parameters()).unwrap();
        let context = ExplainQuery::of_context(parameters()).unwrap();
        for (question, method, path) in [(request, "GET", "/"), (context, "", "")] {
            let headers = question.headers();
            let facts = question.facts(&headers);
            assert_eq!((facts.method, facts.path, facts.user), (method, path, Some("ann")));
            assert_eq!(facts.header("plan"), Some("gold"));
        }
        let unknown = vec![("usr".to_owned(), "ann".to_owned())];
        assert_eq!(ExplainQuery::of_context(unknown).unwrap_err().field.as_deref(), Some("usr"));
    }
}
