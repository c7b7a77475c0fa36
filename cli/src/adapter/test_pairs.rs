//! `cutover adapter test`: recorded requests through an adapter, compared with recorded responses.

use super::{
    differences::{ShownDifference, differences},
    origin::{ClientResponse, Origin},
    record::{self, Sink},
    selection::{AdapterSource, Adapters},
    trial::{self, Trial},
};
use crate::{
    configuration,
    failure::Failure,
    output::{self, Format},
};
use clap::Args;
use cutover_core::{
    compare::Comparison,
    config::{Expected, ExpectedResponse, RecordedPair, RecordedPairs},
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `cutover adapter test`.
#[derive(Debug, Args)]
pub struct TestOptions {
    /// YAML file with recorded pairs; - for standard input.
    pairs: PathBuf,
    #[command(flatten)]
    source: AdapterSource,
    /// URL of the new backend, as in the configuration of its origin.
    #[arg(long, value_name = "URL", required_unless_present = "record")]
    backend: Option<String>,
    /// URL of legacy, for pairs that expect its response.
    #[arg(long, value_name = "LEGACY_URL")]
    against: Option<String>,
    /// Send the requests to legacy and print them with its responses, instead of testing anything.
    #[arg(long, value_name = "LEGACY_URL", conflicts_with_all = ["backend", "against"])]
    record: Option<String>,
    /// New file for the recorded pairs, instead of standard output.
    #[arg(long, value_name = "FILE", requires = "record")]
    output: Option<PathBuf>,
}

/// The header that every comparison includes.
const CONTENT_TYPE: &str = "content-type";

/// The result of one pair.
#[derive(Debug)]
struct PairResult {
    line: usize,
    request: String,
    differences: Vec<ShownDifference>,
    /// The reason for which there is no response to compare, or the explanation of an error.
    remark: Option<String>,
    is_ok: bool,
    /// The failure if the backend gave no response.
    lost: Option<Failure>,
}

/// Tests or records the pairs of a file.
///
/// # Errors
///
/// Fails if a file cannot be read or has mistakes, if legacy cannot be reached, or if a pair differs.
pub fn run(options: &TestOptions, format: Format) -> Result<(), Failure> {
    let (name, text) = configuration::read(&options.pairs)?;
    let recorded =
        RecordedPairs::from_yaml(&text).map_err(|problems| Failure::File { name: name.clone(), problems })?;
    if recorded.pairs.is_empty() {
        let hint = "record some with --record URL, from a list of requests such as - GET /api/v1/reviews/7";
        return Err(Failure::Usage(format!("no pairs in {name}\n  hint: {hint}")));
    }
    if let Some(url) = &options.record {
        let legacy = Origin::new("--record", url)?;
        return record::run(&recorded, &legacy, &mut Sink::new(options.output.as_deref())?);
    }
    let test = Test {
        name: &name,
        recorded: &recorded,
        adapters: options.source.load()?,
        backend: Origin::new("--backend", options.backend.as_deref().unwrap_or_default())?,
        legacy: options.against.as_deref().map(|url| Origin::new("--against", url)).transpose()?,
    };
    test.check()?;
    let results: Result<Vec<PairResult>, Failure> =
        recorded.pairs.iter().map(|pair| test.result(pair)).collect();
    let results = results?;
    let different = results.iter().filter(|result| !result.is_ok).count();
    output::show(format, &report(&results, different), || {
        results.iter().for_each(PairResult::print);
        let (count, s) = (results.len(), if results.len() == 1 { "" } else { "s" });
        println!("{count} pair{s}: {} ok, {different} different", count - different);
    });
    if let Some(failure) = results.into_iter().filter(|result| !result.is_ok).find_map(|result| result.lost) {
        return Err(failure);
    }
    match different {
        0 => Ok(()),
        1 => Err(Failure::Different(format!("1 pair of {name} differs, listed above"))),
        count => Err(Failure::Different(format!("{count} pairs of {name} differ, listed above"))),
    }
}

/// The parts of a test that all pairs share.
struct Test<'t> {
    name: &'t str,
    recorded: &'t RecordedPairs,
    adapters: Adapters,
    backend: Origin,
    legacy: Option<Origin>,
}

impl Test<'_> {
    /// Checks that there is an expectation for every pair.
    fn check(&self) -> Result<(), Failure> {
        for RecordedPair { line, request, expected } in &self.recorded.pairs {
            let (problem, hint) = match (expected, &self.legacy) {
                (None, _) => {
                    ("nothing is expected of", "write expect:, or record the pairs with --record LEGACY_URL")
                }
                (Some(Expected::Legacy), None) => {
                    ("legacy is expected of", "add --against with the URL of legacy")
                }
                _ => continue,
            };
            let place = format!("{}:{line}", self.name);
            return Err(Failure::Usage(format!("{place}: {problem} {}\n  hint: {hint}", request.line)));
        }
        Ok(())
    }

    fn result(&self, pair: &RecordedPair) -> Result<PairResult, Failure> {
        let request = &pair.request;
        let trial = match self.adapters.of_request(request) {
            Ok(chosen) => trial::run(chosen, &self.backend, request),
            Err(remark) => {
                // A hint would stand between the lines of other pairs.
                let remark = remark.lines().next().map(str::to_owned);
                return Ok(PairResult::new(pair, Vec::new(), remark, false));
            }
        };
        let Some(trial) = trial else {
            let remark = Some("no route of the adapter matches".to_owned());
            return Ok(PairResult::new(pair, Vec::new(), remark, false));
        };
        let comparison = trial.comparison(&self.recorded.comparison);
        let found = match (&pair.expected, &self.legacy) {
            (Some(Expected::Response(expected)), _) => with_recorded(&comparison, expected, &trial),
            (_, Some(legacy)) => {
                let legacy = legacy.send_as_client(request)?;
                differences(&comparison, &legacy, &trial.response, trial.misfit.as_ref())
            }
            // Checked before the first request was sent.
            (_, None) => Vec::new(),
        };
        let is_ok = found.is_empty();
        let lost = trial.lost();
        let remark = trial.reason.filter(|_| !is_ok);
        Ok(PairResult { lost, ..PairResult::new(pair, found, remark, is_ok) })
    }
}

/// Compares the response of a trial with the parts of a recorded one that are written.
fn with_recorded(
    comparison: &Comparison,
    expected: &ExpectedResponse,
    trial: &Trial,
) -> Vec<ShownDifference> {
    let ExpectedResponse { status, headers, body } = expected;
    let is_named = |name: &str| headers.iter().any(|(held, _)| held == name);
    let names = headers.iter().map(|(name, _)| name.clone());
    // `content-type` is compared in any case, so it is left out on both sides unless it is written.
    let policy =
        Comparison { headers: names.filter(|name| name != CONTENT_TYPE).collect(), ..comparison.clone() };
    let body = body.as_ref().map(|body| body.as_bytes().to_vec());
    let old = ClientResponse {
        status: *status,
        headers: headers.clone(),
        body: body.unwrap_or_else(|| trial.response.body.clone()),
    };
    let mut new = trial.response.clone();
    new.headers.retain(|(name, _)| is_named(name));
    differences(&policy, &old, &new, trial.misfit.as_ref())
}

impl PairResult {
    fn new(
        pair: &RecordedPair,
        differences: Vec<ShownDifference>,
        remark: Option<String>,
        is_ok: bool,
    ) -> Self {
        let request = pair.request.line.to_string();
        Self { line: pair.line, request, differences, remark, is_ok, lost: None }
    }

    fn print(&self) {
        let result = if self.is_ok { "ok" } else { "DIFFERENT" };
        println!("{result:<9}  {:>4}  {}", self.line, self.request);
        if let Some(remark) = &self.remark {
            println!("    {remark}");
        }
        for difference in &self.differences {
            println!("{}", difference.indented());
        }
    }

    fn json(&self) -> Value {
        let differences: Vec<Value> = self.differences.iter().map(ShownDifference::json).collect();
        json!({
            "line": self.line,
            "request": self.request,
            "result": if self.is_ok { "ok" } else { "different" },
            "differences": differences,
            "remark": self.remark,
        })
    }
}

fn report(results: &[PairResult], different: usize) -> Value {
    let pairs: Vec<Value> = results.iter().map(PairResult::json).collect();
    json!({ "pairs": pairs, "ok": results.len() - different, "different": different })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_below_their_path() {
        let difference = |new: &str| ShownDifference {
            path: "a".to_owned(),
            kind: "value",
            old: "1".to_owned(),
            new: new.to_owned(),
        };
        assert_eq!(difference("2").indented(), "    a: value, 1 -> 2");
        let long = "2".repeat(80);
        assert_eq!(difference(&long).indented(), format!("    a: value\n        1\n     -> {long}"));
    }

    #[test]
    fn only_the_written_parts_of_a_recorded_response_are_compared() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let response = ClientResponse {
            status: 200,
            headers: vec![header("content-type", "application/json"), header("link", "</b>")],
            body: br#"{"a":1}"#.to_vec(),
        };
        let trial = Trial {
            adapter: String::new(),
            route: String::new(),
            calls: Vec::new(),
            response,
            own_headers: Vec::new(),
            reason: None,
            misfit: None,
        };
        let paths = |expected: &ExpectedResponse| -> Vec<String> {
            let found = with_recorded(&Comparison::default(), expected, &trial);
            found.into_iter().map(|difference| difference.path).collect()
        };
        let nothing = ExpectedResponse { status: 200, headers: Vec::new(), body: None };
        assert!(paths(&nothing).is_empty());
        let body = ExpectedResponse { body: Some(r#"{"a":2}"#.to_owned()), ..nothing.clone() };
        assert_eq!(paths(&body), ["a"]);
        let empty = ExpectedResponse { body: Some(String::new()), ..nothing.clone() };
        assert_eq!(paths(&empty), ["(body)"]);
        let headers = vec![header("content-type", "text/plain"), header("link", "</a>")];
        let headers = ExpectedResponse { headers, ..nothing };
        assert_eq!(paths(&headers), ["header content-type", "header link"]);
    }
}
