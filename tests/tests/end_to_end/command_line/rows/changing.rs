//! Commands that change the state of the deployment, in the order in which they are run. The steps before each of them lead to
//! the same state again, whatever was run before.

use super::row::{Kind, Row};
use crate::command_line::scene::{DISABLED, ENDED, Step, Who, ann, root};

/// An experiment that decides no flag.
const DRAFT: &str = r#"{"name":"Wording","variants":{"a":"As it was","b":"Shorter"}}"#;

fn row(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row::new(Kind::Changing, name, arguments)
}

/// A flag with values.
const VALUES: &str = r#"{"type":"boolean","enabled":true,"description":"Enable a thing","variants":{"on":true,"off":false},"default":"on","off":"off"}"#;

/// Sets all fields of the flag that is disabled.
fn flag(body: &'static str) -> Step {
    root("PUT", "/flags/graphql_reviews_write", body)
}

fn off() -> Step {
    flag(r#"{"enabled":false,"rollout_percentage":0,"description":"Enable GraphQL for writing reviews"}"#)
}

fn on() -> Step {
    flag(r#"{"enabled":true,"rollout_percentage":0,"description":"Enable GraphQL for writing reviews"}"#)
}

/// Applies the configuration of the beginning.
fn applied() -> Step {
    root("PUT", "/config?allow_moving_users=true", "{config}")
}

fn start() -> Step {
    root("POST", "/canary/graphql_offers_read/start", "")
}

fn pause() -> Step {
    root("POST", "/canary/graphql_offers_read/pause", "")
}

fn rollback() -> Step {
    root("POST", "/canary/graphql_offers_read/rollback", "")
}

/// Has an operator request a change that waits for another one.
fn requested() -> [Step; 2] {
    let path = "/flags/graphql_offers_read/rollout";
    [root("PUT", path, r#"{"percentage":0}"#), ann("PUT", path, r#"{"percentage":10}"#)]
}

fn invited() -> Step {
    root("POST", "/tokens", r#"{"name":"temporary-{n}","role":"viewer"}"#)
}

fn flags() -> Vec<Row> {
    vec![
        row("apply", &["--file", "changed.yaml", "--yes"]).after([rollback(), applied()]).short(),
        row("enable", &[DISABLED, "--yes"]).after([off()]),
        row("disable", &[DISABLED, "--reason", "looking closer"]).after([on()]),
        row("rollout", &[DISABLED, "12.5", "--yes"]).after([on()]).short(),
        row("rollout", &[DISABLED, "12.5"]).after([on()]).asks("rollout asks").short(),
        row("apply", &["--file", "changed.yaml"]).after([rollback(), applied()]).asks("apply asks"),
        row("flag create", &["fresh-{n}", "--description", "Searching reviews"]),
        row("flag edit", &[DISABLED, "--yes"]).after([off()]),
        row("flag delete", &["old-{n}", "--yes"]).after([root(
            "PUT",
            "/flags/old-{n}",
            r#"{"enabled":false}"#,
        )]),
        row("route delete", &["reviews.write", "--yes"]).after([rollback(), applied()]),
    ]
}

fn values() -> Vec<Row> {
    let made = || root("PUT", "/value-flags/made-{n}", VALUES);
    let disabled = || root("POST", "/value-flags/made-{n}/disable", "");
    let segment = || root("PUT", "/segments/made-{n}", r#"{"description":"Enable them","include":["ann"]}"#);
    vec![
        row(
            "value create",
            &["fresh-{n}", "--type", "string", "--variant", "blue=#00f", "--variant", "green=#0f0"],
        )
        .short(),
        row("value edit", &["made-{n}", "--yes"]).after([made()]),
        row("value enable", &["made-{n}", "--yes"]).after([made(), disabled()]),
        row("value disable", &["made-{n}", "--reason", "complaints"]).after([made()]).short(),
        row("value delete", &["made-{n}", "--yes"]).after([made()]),
        row("segment create", &["fresh-{n}", "--include", "ann", "--condition", "country in NO,SE"]),
        row("segment edit", &["made-{n}", "--yes"]).after([segment()]),
        row("segment delete", &["made-{n}", "--yes"]).after([segment()]),
    ]
}

fn people() -> Vec<Row> {
    vec![
        row("changes approve", &["{made}", "--yes"]).by(Who::Bob).after(requested()),
        row("changes withdraw", &["{made}"]).by(Who::Ann).after(requested()),
        row("token create", &["eve-{n}", "--role", "viewer"]).sent_once().short(),
        row("token rotate", &["{made}", "--grace", "1h"]).after([invited()]).sent_once(),
        row("token revoke", &["{made}"]).after([invited()]),
    ]
}

fn canaries() -> Vec<Row> {
    vec![
        row("canary start", &[ENDED, "--yes"]).after([rollback()]).short(),
        row("canary start", &[ENDED]).after([rollback()]).asks("canary start asks"),
        row("start-canary", &[ENDED, "--yes"]).after([rollback()]),
        row("canary retry", &[ENDED, "--yes"]).after([start(), rollback()]),
        row("canary promote", &[ENDED, "--yes"]).after([rollback(), start()]).short(),
        row("canary approve", &[ENDED, "--yes"]).after([rollback(), start()]),
        row("canary pause", &[ENDED]).after([rollback(), start()]),
        row("canary resume", &[ENDED, "--yes"]).after([rollback(), start(), pause()]),
        row("canary rollback", &[ENDED, "--reason", "complaints"]).after([rollback(), start()]),
        row("canary delete", &[ENDED]).after([rollback(), applied(), start(), rollback()]),
    ]
}

fn experiments() -> Vec<Row> {
    let draft = || root("PUT", "/experiments/made-{n}", DRAFT);
    let start = || root("POST", "/experiments/made-{n}/start", "");
    vec![
        row("create-ab-test", &["fresh-{n}", "Another wording"]).short(),
        row("experiment create", &["fresh-{n}", "--flag", DISABLED, "--traffic-percentage", "20"]),
        row("experiment start", &["made-{n}", "--yes"]).after([draft()]).short(),
        row("experiment pause", &["made-{n}"]).after([draft(), start()]),
        row("experiment stop", &["made-{n}", "--winner", "b", "--reason", "faster"])
            .after([draft(), start()]),
        row("experiment delete", &["made-{n}", "--yes"]).after([draft()]),
    ]
}

fn all() -> Vec<Row> {
    let clear = || root("POST", "/emergency/clear", r#"{"reason":"over"}"#);
    let declare = || {
        let body = r#"{"reason":"errors on checkout","flags":["graphql_offers_read"]}"#;
        root("POST", "/emergency/rollback", body)
    };
    let restore = root("POST", "/restore", "");
    let resumed = root("POST", "/canary/graphql_reviews_read/resume", "");
    let restarted = root("POST", "/experiments/graphql_migration_test/start", "");
    vec![
        row("emergency-rollback", &["errors on checkout", "--flag", ENDED]).after([clear()]).short(),
        // What comes back depends on the rows before.
        row("emergency-clear", &["fixed in 1.4.2", "--yes"]).after([clear(), declare()]),
        // The last one: an epoch begins, and canaries and experiments are paused. The one before leaves no other running.
        row("restore", &["--yes"]).after([restore, rollback(), resumed, restarted]),
    ]
}

/// Returns the rows in their order.
pub fn rows() -> Vec<Row> {
    [flags(), values(), people(), canaries(), experiments(), all()].into_iter().flatten().collect()
}
