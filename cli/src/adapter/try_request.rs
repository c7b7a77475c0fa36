//! `cutover adapter try`: one request through an adapter, step by step, and compared with legacy.

use super::{
    differences::differences,
    origin::Origin,
    report::{self, Against},
    selection::AdapterSource,
    trial,
};
use crate::{
    configuration,
    failure::Failure,
    http,
    output::{self, Format},
};
use clap::Args;
use cutover_core::{
    compare::{Comparison, Rule},
    config::{RequestLine, SentRequest},
    json::Json,
};
use std::path::Path;

/// Arguments of `cutover adapter try`.
#[derive(Debug, Args)]
pub struct TryOptions {
    #[command(flatten)]
    source: AdapterSource,
    /// Method and path of the client's request, such as "GET /api/v1/reviews/7".
    #[arg(long)]
    request: RequestLine,
    /// Header of the client's request, such as "X-API-Version: 1".
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Body of the client's request: the body itself, or the name of a file, which @FILE says for sure.
    #[arg(long, value_name = "TEXT|FILE|@FILE")]
    body: Option<String>,
    /// Payload of the client's verified token, such as '{"sub":"u1"}'.
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// URL of the new backend, as in the configuration of its origin.
    #[arg(long, value_name = "URL")]
    backend: String,
    /// URL of legacy, to send the request there too and compare the responses.
    #[arg(long, value_name = "LEGACY_URL")]
    against: Option<String>,
    /// Path in the body that is not compared, such as timestamp.
    #[arg(long, value_name = "PATH", requires = "against")]
    ignore: Vec<String>,
}

impl TryOptions {
    fn request(&self, body: &Body) -> Result<SentRequest, Failure> {
        let headers: Result<_, Failure> = self.headers.iter().map(|header| http::header(header)).collect();
        Ok(SentRequest {
            line: self.request.clone(),
            headers: headers?,
            body: body.text.clone(),
            claims: self.claims.as_deref().map(claims).transpose()?.unwrap_or_default(),
        })
    }
}

/// Sends the request and shows every step.
///
/// # Errors
///
/// Fails if the adapter cannot be read or has no route for the request, if a server cannot be reached,
/// or if the responses differ.
pub fn run(options: &TryOptions, format: Format) -> Result<(), Failure> {
    let adapters = options.source.load()?;
    let body = options.body.as_deref().map(body).transpose()?.unwrap_or_default();
    let request = options.request(&body)?;
    if !request.body.is_empty() && matches!(request.line.method.as_str(), "GET" | "HEAD") {
        eprintln!("warning: the request is {} and has a body, which few servers read", request.line.method);
    }
    let backend = Origin::new("--backend", &options.backend)?;
    let legacy = options.against.as_deref().map(|url| Origin::new("--against", url)).transpose()?;
    let chosen = adapters.of_request(&request).map_err(Failure::Usage)?;
    // The route was found when the adapter was chosen.
    let trial = trial::run(chosen, &backend, &request)
        .ok_or_else(|| Failure::Usage(format!("no route of {} matches {}", chosen.name, request.line)))?;
    let (against, legacy_failure) = match legacy.map(|legacy| legacy.send_as_client(&request)) {
        None => (None, None),
        // The adapter's own result is of use all the same.
        Some(Err(failure)) => (None, Some(failure)),
        Some(Ok(legacy)) => {
            let mut policy = adapters.comparison(&request).cloned().unwrap_or_default();
            policy.rules.extend(options.ignore.iter().map(|path| ignored(path)));
            let policy: Comparison = trial.comparison(&policy);
            let differences = differences(&policy, &legacy, &trial.response, trial.misfit.as_ref());
            (Some(Against { legacy, differences }), None)
        }
    };
    output::show(format, &report::json(&trial, against.as_ref()), || {
        if body.is_lone_text {
            println!("body       (text, no such file)");
        }
        print!("{}", report::text(&trial));
        if let Some(against) = &against {
            print!("{}", report::against(against));
        }
    });
    if let Some(failure) = trial.lost().or(legacy_failure) {
        return Err(failure);
    }
    match against.map_or(0, |against| against.differences.len()) {
        0 => Ok(()),
        1 => Err(Failure::Different("the responses have 1 difference, listed above".to_owned())),
        count => Err(Failure::Different(format!("the responses have {count} differences, listed above"))),
    }
}

fn ignored(path: &str) -> Rule {
    Rule { path: path.to_owned(), ignore: true, ..Rule::default() }
}

/// The body of a request.
#[derive(Debug, Default)]
struct Body {
    text: String,
    /// True if the text is not JSON and might have been meant as the name of a file.
    is_lone_text: bool,
}

/// Returns the content of the file with this name, or the text itself if there is none. After `@` there is
/// always the name of a file.
fn body(text: &str) -> Result<Body, Failure> {
    let named = text.strip_prefix('@').or_else(|| Path::new(text).is_file().then_some(text));
    match named {
        Some(file) => Ok(Body { text: configuration::read(Path::new(file))?.1, is_lone_text: false }),
        None => Ok(Body { text: text.to_owned(), is_lone_text: Json::parse(text).is_err() }),
    }
}

fn claims(text: &str) -> Result<String, Failure> {
    match Json::parse(text) {
        Ok(Json::Object(_)) => Ok(text.to_owned()),
        _ => Err(Failure::Usage(format!(
            "--claims {text:?} is not a JSON object\n  hint: write the payload of a token, such as '{{\"sub\":\"u1\"}}'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_file_or_a_text() {
        let json = body(r#"{"a":1}"#).unwrap();
        assert_eq!((json.text.as_str(), json.is_lone_text), (r#"{"a":1}"#, false));
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for name in [manifest.to_owned(), format!("@{manifest}")] {
            assert!(body(&name).unwrap().text.contains("[package]"));
        }
        assert!(body("nosuch.json").unwrap().is_lone_text);
        assert!(body("@nosuch.json").is_err());
    }

    #[test]
    fn claims_are_an_object() {
        assert_eq!(claims(r#"{"sub":"u1"}"#).unwrap(), r#"{"sub":"u1"}"#);
        assert!(claims("u1").is_err() && claims("[1]").is_err());
    }
}
