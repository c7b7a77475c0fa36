//! The command itself: looks at both backends, writes the file, and tells what it found.

use super::{
    draft::Draft,
    look::{CONNECTION, Look, RESPONSE, look},
};
use crate::{
    failure::Failure,
    http,
    output::{self, Format},
};
use clap::Args;
use cutover_core::config::Problem;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `cutover init`.
#[derive(Debug, Args)]
pub struct Options {
    /// URL of the old backend.
    #[arg(long, value_name = "URL")]
    legacy: String,
    /// URL of the new backend.
    #[arg(long, value_name = "URL")]
    new: String,
    /// Path of the requests that move, with everything below it.
    #[arg(long, default_value = "/api")]
    path: String,
    /// File to write.
    #[arg(short, long, value_name = "FILE", default_value = "cutover.yaml")]
    output: PathBuf,
    /// Overwrite the file if it is there already.
    #[arg(long)]
    force: bool,
}

/// A backend, as the operator named it, and the look at it.
#[derive(Debug)]
struct Seen<'s> {
    arm: &'static str,
    url: &'s str,
    look: Look,
}

/// Writes a first configuration. A backend that does not respond is told about, and written nevertheless.
///
/// # Errors
///
/// Fails if a URL or the path cannot be part of a configuration, or if the file is there already or cannot be written.
pub fn run(options: &Options, format: Format) -> Result<(), Failure> {
    let file = options.output.display().to_string();
    let (legacy, new) = (base(&options.legacy), base(&options.new));
    let path = options.path.trim().trim_end_matches('/');
    let draft = Draft { legacy, new, path, file: &file };
    let text = draft.checked().map_err(|problems| mistakes(&problems))?;
    if options.output.exists() && !options.force {
        return Err(Failure::Usage(format!(
            "{file} is there already\n  hint: use --force to overwrite it, or another file with --output"
        )));
    }
    let http = http::client(CONNECTION, RESPONSE)?;
    // The path itself, without parameters.
    let literal = path.split('{').next().unwrap_or_default();
    let seen = [("legacy", legacy), ("new", new)].map(|(arm, url)| Seen {
        arm,
        url,
        look: look(&http, url, literal),
    });
    std::fs::write(&options.output, text)
        .map_err(|error| Failure::Io(format!("{file} cannot be written: {error}")))?;
    report(&draft, &seen, format);
    Ok(())
}

/// Returns a URL as the beginning of others.
fn base(url: &str) -> &str {
    url.trim().trim_end_matches('/')
}

/// Tells the mistakes of the arguments by the fields of the configuration that hold them.
fn mistakes(problems: &[Problem]) -> Failure {
    let option = |field: &str| match field {
        field if field.starts_with("origins.legacy") => "--legacy",
        field if field.starts_with("origins.new") => "--new",
        _ => "--path",
    };
    let mistake = |problem: &Problem| {
        format!("{}: {}\n  hint: {}", option(&problem.field), problem.message, problem.hint)
    };
    Failure::Usage(problems.iter().map(mistake).collect::<Vec<_>>().join("\n"))
}

fn report(draft: &Draft<'_>, seen: &[Seen<'_>; 2], format: Format) {
    let flag = draft.flag();
    let of_backend = |seen: &Seen<'_>| {
        json!({
            "url": seen.url, "reachable": seen.look.is_reachable, "found": seen.look.sentence, "advice": seen.look.advice,
        })
    };
    let [legacy, new] = seen;
    let value =
        json!({ "file": draft.file, "flag": flag, "legacy": of_backend(legacy), "new": of_backend(new) });
    output::show_change(format, &value, || show(draft, seen, &flag));
    for note in notes(draft, seen) {
        eprintln!("note: {note}");
    }
}

fn show(draft: &Draft<'_>, seen: &[Seen<'_>; 2], flag: &str) {
    let row = |seen: &Seen<'_>| vec![seen.arm.to_owned(), seen.url.to_owned(), seen.look.sentence.clone()];
    output::table(&["BACKEND", "URL", "FOUND"], &seen.iter().map(row).collect::<Vec<_>>());
    let Draft { path, file, .. } = draft;
    println!("wrote {file}: flag {flag} at 0 %, GET {path}/… on the old backend");
    println!("next: cutover apply -f {file} --dry-run, or try it here: cargo xtask dev --config {file}");
}

/// Returns advice about the two backends.
fn notes(draft: &Draft<'_>, seen: &[Seen<'_>; 2]) -> Vec<String> {
    let mut notes: Vec<String> = seen
        .iter()
        .filter_map(|seen| seen.look.advice.as_ref().map(|advice| format!("{}: {advice}", seen.arm)))
        .collect();
    for seen in seen.iter().filter(|seen| !draft.path.is_empty() && seen.url.ends_with(draft.path)) {
        let (url, path) = (seen.url, draft.path);
        notes.push(format!(
            "{}: requests go to {url}{path}; leave {path} out of its URL if it is there twice",
            seen.arm
        ));
    }
    if draft.legacy == draft.new {
        notes.push("both URLs are the same, so nobody would notice a rollout".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, fake_server::answering};
    use clap::Parser;

    /// Runs the command with both URLs, a file in a folder, and further arguments.
    fn init(urls: [&str; 2], file: &std::path::Path, more: &[&str]) -> Result<(), Failure> {
        let [legacy, new] = urls;
        let words = ["cutover", "--legacy", legacy, "--new", new, "-o", file.to_str().unwrap()];
        let parsed = CommandLine::<Options>::parse_from([&words, more].concat());
        run(&parsed.arguments, Format::Json)
    }

    #[test]
    fn a_file_is_overwritten_only_with_force() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cutover.yaml");
        let ((legacy, paths), (new, _)) = (answering(200, "{}"), answering(503, "{}"));
        init([&legacy, &new], &file, &[]).unwrap();
        let first = std::fs::read_to_string(&file).unwrap();
        assert!(first.contains("api_read") && first.contains(&legacy) && first.contains(&new), "{first}");
        assert_eq!(*paths.lock().unwrap(), ["/api"]);
        let refused = init([&legacy, &new], &file, &["--path", "/v2/"]).unwrap_err().to_string();
        assert!(refused.contains("is there already\n  hint: use --force"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
        init([&legacy, &new], &file, &["--path", "/v2/", "--force"]).unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().contains("\"/v2/{*rest}\""));
    }

    #[test]
    fn mistakes_name_their_option_and_write_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cutover.yaml");
        let (url, _) = answering(200, "");
        for (urls, path, expected) in [
            (["old.example", url.as_str()], "/api", "--legacy: "),
            (
                [url.as_str(), "https://user:secret@new.example"],
                "/api",
                "--new: the URL contains credentials",
            ),
            ([url.as_str(), url.as_str()], "api", "--path: "),
        ] {
            let refused = init(urls, &file, &["--path", path]).unwrap_err().to_string();
            assert!(refused.contains(expected) && !refused.contains("secret"), "{refused}");
            assert!(!file.exists());
        }
    }

    #[test]
    fn advice_is_about_urls_that_lead_elsewhere_than_meant() {
        let draft =
            Draft { legacy: "https://a.example/api", new: "https://a.example/api", path: "/api", file: "f" };
        let seen = ["legacy", "new"].map(|arm| {
            let look = Look { is_reachable: false, sentence: String::new(), advice: None };
            Seen { arm, url: draft.legacy, look }
        });
        let notes = notes(&draft, &seen).join("\n");
        assert!(notes.contains("new: requests go to https://a.example/api/api"), "{notes}");
        assert!(notes.contains("both URLs are the same"), "{notes}");
    }
}
