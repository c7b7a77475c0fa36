//! Configuration files: reads one, together with the files it refers to.

use crate::{adapter::definition_at, failure::Failure};
use cutover_core::config::{Config, ConfigFile};
use std::{io::Read, path::Path};

/// Reads a configuration and the files it refers to. Returns its text and its parsed form.
///
/// # Errors
///
/// Fails if the file cannot be read or has mistakes.
pub fn load(file: &Path) -> Result<(String, Config), Failure> {
    load_file(file).map(|(text, file)| (text, file.config))
}

/// Reads a configuration and the files it refers to. Returns its text, and its parsed form with what it leaves open.
///
/// # Errors
///
/// Fails if the file cannot be read or has mistakes.
pub fn load_file(file: &Path) -> Result<(String, ConfigFile), Failure> {
    let (name, text) = read(file)?;
    let parsed = parse(&name, &text, file.parent().unwrap_or(Path::new("")))?;
    Ok((text, parsed))
}

/// Reads an adapter file as the only part of a configuration, in which its name is `adapter`.
///
/// # Errors
///
/// Fails if the file cannot be read or has mistakes.
pub fn load_adapter(file: &Path) -> Result<Config, Failure> {
    // A missing file would be a mistake of the configuration around it, which nobody wrote.
    read(file)?;
    let name = file.display().to_string();
    // A JSON string is one of YAML, with any character in it.
    let text = format!("adapters: {{ adapter: {} }}", serde_json::Value::from(name.as_str()));
    parse(&name, &text, Path::new("")).map(|file| file.config)
}

/// Parses a configuration. The files that it refers to are read from a folder.
fn parse(name: &str, text: &str, folder: &Path) -> Result<ConfigFile, Failure> {
    let files = |name: &str| {
        if name.contains("://") {
            return definition_at(name, &[]);
        }
        std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())
    };
    let mistakes = |problems| Failure::File { name: name.to_owned(), problems };
    ConfigFile::from_yaml_with(text, &files).map_err(mistakes)
}

/// Reads a file, or standard input for `-`. Returns its name and its text.
///
/// # Errors
///
/// Fails if it cannot be read.
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
            "{name} cannot be read: {error}\n  hint: check the path; - stands for standard input"
        ))
    })?;
    Ok((name, text))
}
