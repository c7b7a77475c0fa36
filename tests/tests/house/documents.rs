//! Documents name files that exist.

use crate::sources::{read, root};

/// Folders at whose names a path in a document begins.
const FOLDERS: [&str; 9] =
    ["core/", "edge/", "lambda/", "cli/", "infra/", "tests/", "xtask/", "docs/", ".ci/"];

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
