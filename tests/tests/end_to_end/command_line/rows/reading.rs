//! Commands that read from the management API.

use super::row::{Kind, Row};
use crate::command_line::scene::{ENDED, EXPERIMENT, RUNNING, SEGMENT, Step, VALUE_FLAG};

fn row(name: &'static str, arguments: &'static [&'static str]) -> Row {
    Row::new(Kind::Reading, name, arguments)
}

/// Returns the rows, in the order of the help.
pub fn rows() -> Vec<Row> {
    // Its first frame ends with how it is left; the run that is over ends the other watch.
    let watched = Row {
        screen: "canary watch running",
        interrupted_at: Some("Ctrl-C stops watching"),
        ..row("canary watch", &[RUNNING])
    };
    vec![
        row("list", &[]).short(),
        row("get", &[RUNNING]).short(),
        row("status", &[]).short(),
        row("flag list", &[]),
        row("flag get", &[ENDED]),
        row("flag stale", &[]).short(),
        row("value list", &[]).short(),
        row("value get", &[VALUE_FLAG]),
        row("value explain", &[VALUE_FLAG, "--user", "ann", "--with", "country=NO"]),
        row("segment list", &[]),
        row("segment get", &[SEGMENT]).short(),
        row("route list", &[]).short(),
        row("route get", &["reviews.read"]),
        row("diff", &["changed.yaml"]).exits(12).short(),
        row("compare report", &[]).short(),
        row("export", &[]),
        row("explain", &[RUNNING, "--user", "user-7", "--with", "country=NO"]).short(),
        row("audit", &["--limit", "3"]).short(),
        row("audit show", &["1"]),
        row("audit verify", &[]),
        row("whoami", &[]),
        Row { is_unordered: true, ..row("token list", &[]) },
        row("changes list", &[]).short(),
        row("changes show", &["{pending}"]),
        row("metrics", &[]),
        row("__names", &["flags"]).sent_once(),
        row("experiment list", &[]).short(),
        row("experiment get", &[EXPERIMENT]),
        row("experiment status", &[EXPERIMENT]),
        Row { interrupted_at: Some("Ctrl-C stops watching"), ..row("experiment watch", &[EXPERIMENT]) }
            .exits(130),
        row("experiment replay", &[EXPERIMENT]),
        row("experiment plan", &[EXPERIMENT, "--baseline", "4%", "--users-per-day", "2000"]),
        row("experiment assign", &[EXPERIMENT, "user-7"]),
        row("canary list", &[]),
        row("canary status", &[RUNNING]).short(),
        row("canary runs", &[ENDED]),
        row("canary watch", &[ENDED, "--every", "1", "--exit-status"]).exits(10).short(),
        watched.exits(130).short(),
        row("canary wait", &[ENDED, "--for", "rolled_back", "--timeout", "1m"]),
        // The run that is over was never evaluated, so it has no records.
        row("canary replay", &[RUNNING]),
        row("canary plan", &[RUNNING]),
        row("canary simulate", &[ENDED, "--runs", "5"]),
        row("preflight", &[]).short(),
        row("login", &["--context", "staging", "--token", "{bob}"])
            .after([Step::Run(&["context", "add", "staging", "--url", "{url}", "--token", "{ann}"])]),
    ]
}
