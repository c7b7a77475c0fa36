//! `cutover restore`: called once after the table was restored from a backup, so that running isolates follow it.

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format, cell},
    publication,
};
use clap::Args;
use reqwest::Method;

/// Arguments of `cutover restore`.
#[derive(Debug, Args)]
pub struct Options {
    /// Confirm that the table was restored from a backup.
    #[arg(long)]
    yes: bool,
}

/// Begins an epoch, which pauses all canaries and experiments and has isolates follow the restored table.
///
/// # Errors
///
/// Fails if the confirmation is missing, or if the management API refuses the change or cannot be reached.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    if !options.yes {
        return Err(Failure::Usage(
            "this pauses every canary and every experiment, and is for a table that was restored from a backup\n  hint: check with cutover status \
             that the restored configuration is in force, and add --yes"
                .to_owned(),
        ));
    }
    let response = client.send(Method::POST, "/restore", None)?;
    output::show_change(format, &response, || {
        println!("epoch {} began; {}", output::field(&response, "epoch"), publication::revision(&response));
        for (list, words) in [("paused", "paused"), ("paused_experiments", "paused experiments")] {
            let paused: Vec<String> = output::list(&response, list).map(cell).collect();
            if !paused.is_empty() {
                println!("{words}: {}", paused.join(", "));
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, fake_server::answering};
    use clap::Parser;

    #[test]
    fn nothing_is_sent_without_a_confirmation() {
        let (url, paths) =
            answering(200, r#"{"epoch":1767225600,"paused":["f"],"revision":481,"published":true}"#);
        let sent = |more: &[&str]| {
            let mut words = vec!["cutover", "--token", "t", "--url", &url];
            words.extend_from_slice(more);
            let parsed = CommandLine::<Options>::parse_from(words);
            run(&parsed.arguments, &parsed.connection.connect().unwrap(), Format::Json)
        };
        assert!(matches!(sent(&[]), Err(Failure::Usage(_))));
        assert!(paths.lock().unwrap().is_empty());
        assert!(sent(&["--yes"]).is_ok());
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/restore"]);
    }
}
