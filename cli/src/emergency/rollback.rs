//! `cutover emergency-rollback`: declares an emergency, which holds flags on legacy until it is cleared.

use super::{
    reason::Reason,
    way::{Change, Way, is_of_the_way, to_standard_error},
};
use crate::{
    connection::Connection,
    failure::Failure,
    in_force::Wait,
    output::{self, Format, cell},
    publication,
};
use clap::Args;
use serde_json::json;

/// Hint for a management API that cannot be reached, or that no way leads to.
const WITHOUT_AWS: &str = "users can be sent to legacy without AWS: docs/OPERATIONS.md#aws-region-down";

/// Arguments of `cutover emergency-rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    reason: Reason,
    /// Roll back only these flags [default: all].
    #[arg(long = "flag", value_name = "FLAG")]
    flags: Vec<String>,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    way: Way,
}

/// Declares an emergency.
///
/// # Errors
///
/// Fails without a reason, if the management API refuses the change or cannot be reached, or like [`Wait::until_in_force`].
pub fn run(rollback: &Rollback, connection: &Connection, format: Format) -> Result<(), Failure> {
    let reason = rollback.reason.given(connection, "emergency-rollback 'errors on checkout'")?;
    let mut body = json!({ "reason": reason });
    if let (Some(fields), false) = (body.as_object_mut(), rollback.flags.is_empty()) {
        fields.insert("flags".to_owned(), json!(rollback.flags));
    }
    // What it holds does not depend on what was seen before.
    let change = Change { path: "/emergency/rollback", body, tag: None };
    let ways = rollback.way.open(connection).map_err(|failure| failure.with_hint(WITHOUT_AWS))?;
    let sent = ways.send(&change, &mut to_standard_error);
    let response = sent
        .map_err(|failure| if is_of_the_way(&failure) { failure.with_hint(WITHOUT_AWS) } else { failure })?;
    // The whole emergency: an earlier one may cover more flags than this command named.
    let flags = response.pointer("/emergency/flags").map_or_else(|| "all flags".to_owned(), cell);
    output::show_change(format, &response, || {
        println!("{flags}: all users on legacy; {}", publication::of_emergency(&response));
    });
    ways.until_in_force(rollback.wait, &response, format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, fake_server::answering};
    use clap::Parser;

    fn failure_at(url: &str) -> String {
        let words = ["cutover", "why", "--token", "t", "--no-retry", "--url", url];
        let parsed = CommandLine::<Rollback>::parse_from(words);
        run(&parsed.arguments, &parsed.connection, Format::Json).unwrap_err().to_string()
    }

    #[test]
    fn an_api_that_cannot_be_reached_is_not_the_only_way_to_legacy() {
        let (failing, _) = answering(503, r#"{"message":"Service Unavailable"}"#);
        // The last one cannot even be called.
        for url in ["http://127.0.0.1:9", &failing, "cutover.example"] {
            let text = failure_at(url);
            assert!(text.contains(WITHOUT_AWS), "{text}");
        }
        let (refusing, _) = answering(401, r#"{"code":"token_unknown","detail":"no","hint":"sign in"}"#);
        assert!(!failure_at(&refusing).contains(WITHOUT_AWS));
    }

    #[test]
    fn an_emergency_waits_until_the_isolates_confirm_it() {
        const HELD: &str = r#"{"revision":4,"published":true,"isolates":{"reporting":1,"revisions":[{"revision":4,"isolates":1}]}}"#;
        let (url, paths) = answering(200, HELD);
        let words = ["cutover", "why", "--token", "t", "--url", &url, "--wait", "--timeout", "5s"];
        let parsed = CommandLine::<Rollback>::parse_from(words);
        run(&parsed.arguments, &parsed.connection, Format::Json).unwrap();
        let expected =
            ["emergency/rollback", "status", "status"].map(|path| format!("/api/migration/{path}"));
        assert_eq!(*paths.lock().unwrap(), expected);
    }

    #[test]
    fn the_way_without_aws_is_described_where_the_hint_says() {
        let page = include_str!("../../../docs/OPERATIONS.md");
        assert!(WITHOUT_AWS.ends_with("#aws-region-down") && page.contains("\n## AWS region down\n"));
    }
}
