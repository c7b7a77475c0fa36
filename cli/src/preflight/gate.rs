//! The gate in front of a function: AWS, which answers in its place if the caller may not call it.

use super::check::Check;
use crate::http::unreachable;
use reqwest::blocking;
use serde_json::Value;

/// Remedy for a caller that AWS does not let through.
const REMEDY: &str = "AWS refused this in front of the function. Its policy must allow everybody both \
                      lambda:InvokeFunctionUrl and lambda:InvokeFunction (with lambda:InvokedViaFunctionUrl): `terraform \
                      apply` in infra makes both statements. With management_url_auth = \"AWS_IAM\" your own policy must \
                      allow both, and cutover needs --aws-iam";

/// Builds the check that failed because AWS answered in the place of a function; `None` if the function did.
pub fn closed(name: &str, status: u16, body: &Value) -> Option<Check> {
    let message = body.get("Message").or_else(|| body.get("message")).and_then(Value::as_str)?;
    let is_of_aws = status == 403 && body.get("detail").is_none();
    is_of_aws.then(|| Check::fail(name, format!("AWS answers {status}: {message}"), REMEDY))
}

/// Sends a request without a token to a function of the management API. Returns the status and the body of its response.
///
/// # Errors
///
/// Fails if there is no response.
pub fn ask(http: &blocking::Client, url: &str) -> Result<(u16, Value), reqwest::Error> {
    let response = http.get(format!("{}/api/migration/whoami", url.trim_end_matches('/'))).send()?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_str(&response.text()?).unwrap_or_default()))
}

/// Checks the function for emergencies, if its URL is known: it refuses a request without a token.
pub fn emergency(http: &blocking::Client, url: Option<&str>, checks: &mut Vec<Check>) {
    let name = "emergency function";
    let Some(url) = url.filter(|url| !url.is_empty()) else { return };
    let remedy = "check CUTOVER_EMERGENCY_URL (terraform output emergency_url), and that the function runs";
    checks.push(match ask(http, url) {
        Ok((401 | 429, _)) => Check::ok(name, "answers, and refuses a request without a token"),
        Ok((status, body)) => closed(name, status, &body)
            .unwrap_or_else(|| Check::fail(name, format!("{status} instead of 401 without a token"), remedy)),
        Err(error) => Check::fail(name, unreachable(&error), remedy),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::Client,
        fake_server::answering,
        http::client,
        preflight::{check::Finding, control, ingest, options::Options},
    };
    use std::time::Duration;

    /// Response of AWS for a function URL whose policy lacks one of the two statements.
    const FORBIDDEN: &str = r#"{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}"#;

    #[test]
    fn a_function_that_aws_keeps_closed_is_told_from_a_wrong_token() {
        let (url, _) = answering(403, FORBIDDEN);
        let http = client(Duration::from_secs(5), Duration::from_secs(5)).unwrap();
        let options = Options {
            ask: None,
            edge: None,
            edge_token: None,
            ingest: Some(url.clone()),
            ingest_secret: Some("secret".to_owned()),
            emergency: Some(url.clone()),
            phase: None,
        };
        let mut checks = Vec::new();
        let management = Client::new(&url, "token", None).unwrap();
        assert!(control::check(&management, &http, &mut checks).is_none());
        emergency(&http, options.emergency.as_deref(), &mut checks);
        ingest::check(&options, &http, &mut checks);
        let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["management answers", "emergency function", "ingest answers"]);
        for check in &checks {
            assert_eq!(check.finding, Finding::Fail, "{check:?}");
            assert!(check.detail.contains("Forbidden. For troubleshooting"), "{check:?}");
            assert!(check.remedy.contains("lambda:InvokeFunctionUrl and lambda:InvokeFunction"), "{check:?}");
        }
    }

    #[test]
    fn a_refusal_by_the_function_is_not_that_of_aws() {
        let problem = serde_json::json!({ "detail": "the caller is no admin", "message": "x" });
        assert!(closed("management", 403, &problem).is_none());
        assert!(closed("management", 500, &serde_json::json!({ "Message": "x" })).is_none());
        assert!(closed("management", 403, &Value::Null).is_none());
    }
}
