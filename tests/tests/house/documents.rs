//! Documents name files that exist, and their commands for the Worker name the environment.

use crate::sources::{read, root};

/// Folders at whose names a path in a document begins.
const FOLDERS: [&str; 9] =
    ["core/", "edge/", "lambda/", "cli/", "infra/", "tests/", "xtask/", "docs/", ".ci/"];

/// Commands that change a Worker. Without `--env` they change production; `--env ""` says so on purpose.
const WORKER_COMMANDS: [&str; 3] = ["wrangler deploy", "wrangler delete", "wrangler secret"];

/// Variable with which each deployment is made: without it a Worker reports nothing.
const REPORTS: &str = "--var INGEST_URL:";

fn documents() -> Vec<std::path::PathBuf> {
    let root = root();
    let mut found: Vec<_> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    found.extend(crate::sources::files("docs", "md"));
    found
}

#[test]
fn every_path_in_a_document_exists() {
    let root = root();
    let (mut named, mut missing) = (0, Vec::new());
    for document in documents() {
        let text = read(&document);
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = FOLDERS.iter().any(|folder| quoted.starts_with(folder))
                && !quoted.contains([' ', '*', '{', '<', '$', '\n']);
            if !is_path {
                continue;
            }
            named += 1;
            let path = quoted.split([':', '#']).next().unwrap();
            // Build output is not in the repository.
            if !root.join(path).exists()
                && !path.starts_with("edge/build")
                && !path.contains("ENVIRONMENT")
                && !path.contains("terraform.tfstate")
            {
                missing.push(format!("{}: {quoted}", crate::sources::shown(&document)));
            }
        }
    }
    assert!(named > 40, "only {named} paths were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut missing = Vec::new();
    for document in documents() {
        let folder = document.parent().unwrap();
        for rest in read(&document).split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let path = if file.is_empty() { document.clone() } else { folder.join(file) };
            let is_there = path.exists()
                && (anchor.is_empty() || headings(&read(&path)).iter().any(|heading| heading == anchor));
            if !is_there {
                missing.push(format!("{}: {target}", crate::sources::shown(&document)));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The commands in a document's code that change a Worker without naming its environment, or deploy it without the
/// address of its reports.
fn careless_commands(text: &str) -> Vec<&str> {
    let code = text.split('`').skip(1).step_by(2).flat_map(str::lines);
    let commands = code.map(|line| line.split(" #").next().unwrap_or(line).trim());
    commands
        .filter(|command| {
            let is_change = WORKER_COMMANDS.iter().any(|change| command.contains(change));
            let has_environment = command.contains(" --env ") || command.contains(" --env=");
            let is_silent = (command.contains("wrangler deploy ") || command.ends_with("wrangler deploy"))
                && !command.contains(REPORTS);
            is_change && (!has_environment || is_silent)
        })
        .collect()
}

#[test]
fn every_command_for_a_worker_names_its_environment() {
    let (mut environments, mut careless) = (0, Vec::new());
    for document in documents() {
        let text = read(&document);
        environments += text.matches("--env staging").count();
        let shown = crate::sources::shown(&document);
        careless.extend(careless_commands(&text).into_iter().map(|command| format!("{shown}: {command}")));
    }
    assert!(environments > 5, "only {environments} commands were found");
    assert!(careless.is_empty(), "{}", careless.join("\n"));
}

#[test]
fn planted_careless_commands_are_found() {
    for text in [
        "```\nnpx wrangler deploy\n```",
        "```console\n$ npx wrangler deploy --env staging\n```",
        "| `edge` | `npx wrangler secret put CUTOVER_EDGE_TOKEN` |",
        "1. Then:\n\n   ```\n   printf true | npx wrangler secret put FORCE_LEGACY   # production: --env \"\"\n   ```",
        "`npx wrangler delete`, then:",
    ] {
        assert_eq!(careless_commands(text).len(), 1, "{text}");
    }
    for text in [
        "```\nnpx wrangler deploy --env \"\" --var INGEST_URL:\"$CUTOVER_INGEST_URL\"\n```",
        "`npx wrangler secret delete FORCE_LEGACY --env=staging`",
        "`npx wrangler whoami` and wrangler deploys it",
    ] {
        assert_eq!(careless_commands(text), Vec::<&str>::new(), "{text}");
    }
}

/// The anchors of a document's headings, as its readers are shown them.
fn headings(text: &str) -> Vec<String> {
    let titles = text.lines().filter_map(|line| line.strip_prefix('#'));
    titles
        .map(|title| {
            let title = title.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}
