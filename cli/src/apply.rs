//! `cutover apply` and `cutover export`: the configuration as one file.

use crate::{client::Client, failure::Failure, introspect, output};
use cutover_core::config::Config;
use reqwest::Method;
use serde_json::Value;
use std::{io::Read, path::Path};

/// How a file is applied.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Only show what would change.
    pub dry_run: bool,
    /// Also remove what the file does not name.
    pub prune: bool,
}

/// Checks a file, shows what it changes, and applies it.
pub fn apply(client: &Client, file: &Path, options: Options, format: output::Format) -> Result<(), Failure> {
    // Here first: only here are the files and their lines known.
    let (text, config) = configuration(file)?;
    let body = if config.adapters.is_empty() {
        ("application/yaml", text)
    } else {
        // With the texts of the files that it names in their places.
        let written = config.written().map_err(|error| Failure::Io(error.to_string()))?;
        ("application/json", written.to_string())
    };
    let path = format!("/config?dry_run={}&prune={}", options.dry_run, options.prune);
    let answer = client.send(Method::PUT, &path, Some(body))?;
    if format == output::Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let changes = answer.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
    for change in &changes {
        print!("{}", describe(change));
    }
    for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        eprintln!("warning: {}", output::cell(warning));
    }
    let revision = answer.get("revision").map(output::cell).unwrap_or_default();
    match (changes.len(), options.dry_run) {
        (0, _) => println!("no change; the configuration is at revision {revision}"),
        (count, true) => println!("{count} objects would change; nothing was written"),
        (count, false) => {
            let published = answer.get("published").and_then(Value::as_bool).unwrap_or_default();
            println!("{count} objects changed; revision {revision}{}", published_note(published));
        }
    }
    Ok(())
}

/// What a person must know about publication.
pub fn published_note(published: bool) -> &'static str {
    if published { ", published" } else { ", not published yet: the schedule tries again within a minute" }
}

/// Reads a configuration with the files that it names: its text, and what it says.
pub fn configuration(file: &Path) -> Result<(String, Config), Failure> {
    let (name, text) = read(file)?;
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let files = |name: &str| {
        if name.starts_with("http://") || name.starts_with("https://") {
            return introspect::schema(name, &[]).map_err(|failure| failure.to_string());
        }
        std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())
    };
    let config =
        Config::from_yaml_with(&text, &files).map_err(|problems| Failure::File { name, problems })?;
    Ok((text, config))
}

/// Reads a file, or standard input: its name and its text.
pub fn read(file: &Path) -> Result<(String, String), Failure> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        return read
            .map(|_| ("standard input".to_owned(), text))
            .map_err(|error| Failure::Io(format!("standard input cannot be read: {error}")));
    }
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::Io(format!(
            "{name} cannot be read: {error}\n  hint: name a YAML file after -f, or - for standard input"
        ))
    })?;
    Ok((name, text))
}

fn describe(change: &Value) -> String {
    let text = |name: &str| change.get(name).and_then(Value::as_str).unwrap_or_default();
    let sign = match text("action") {
        "create" => "+",
        "delete" => "-",
        _ => "~",
    };
    let mut lines = format!("{sign} {}/{}\n", text("section"), text("name"));
    if let Some(fields) = change.get("fields").and_then(Value::as_object).filter(|_| sign == "~") {
        for (field, pair) in fields {
            let side = |at: usize| pair.get(at).map(output::cell).unwrap_or_default();
            lines.push_str(&format!("    {field}: {} -> {}\n", side(0), side(1)));
        }
    }
    lines
}

/// Writes the configuration in the shape of the file.
pub fn export(client: &Client, format: output::Format) -> Result<(), Failure> {
    let answer = client.get("/config")?;
    if format == output::Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let unexpected =
        |error: String| Failure::Io(format!("the management API sent no configuration: {error}"));
    let config = Config::from_json(&answer).map_err(|problems| {
        unexpected(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let written = config.written().map_err(|error| unexpected(error.to_string()))?;
    print!("{}", serde_saphyr::to_string(&written).map_err(|error| unexpected(error.to_string()))?);
    Ok(())
}
