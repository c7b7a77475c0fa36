//! `cutover canary watch`: the status of a canary, refreshed until its run ends.

use super::{path::path, status::describe};
use crate::{
    client::Client,
    clock,
    failure::Failure,
    output::{self, Format},
};
use std::{io::IsTerminal, time::Duration};

/// Shows the status every few seconds. A terminal is redrawn; other outputs get a new view after
/// each change.
///
/// # Errors
///
/// Fails if the management API refuses a request or cannot be reached.
pub(super) fn run(client: &Client, flag: &str, every: u64, format: Format) -> Result<(), Failure> {
    let is_terminal = std::io::stdout().is_terminal();
    let mut previous = String::new();
    loop {
        let status = client.get(&path(flag, ""))?;
        match format {
            Format::Json => println!("{status}"),
            Format::Table => {
                let view = describe(&status, clock::now());
                if is_terminal {
                    print!(
                        "\x1b[H\x1b[J{view}\nrefreshed every {every} s; Ctrl-C stops watching, not the canary\n"
                    );
                } else if view != previous {
                    println!("{view}");
                }
                previous = view;
            }
        }
        if !matches!(output::text(&status, "state"), "running" | "paused" | "baking") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(every.max(1)));
    }
}
