//! Configuration files: reads one, together with the files it refers to.

use crate::{failure::Failure, introspect};
use cutover_core::config::Config;
use std::{io::Read, path::Path};

/// Reads a configuration and the files it refers to. Returns its text and its parsed form.
///
/// # Errors
///
/// Fails if the file cannot be read or has mistakes.
pub fn load(file: &Path) -> Result<(String, Config), Failure> {
    let (name, text) = read(file)?;
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let files = |name: &str| {
        if name.contains("://") {
            return introspect::definition_at(name, &[]);
        }
        std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())
    };
    let config =
        Config::from_yaml_with(&text, &files).map_err(|problems| Failure::File { name, problems })?;
    Ok((text, config))
}

/// Reads a file, or standard input for `-`. Returns its name and its text.
fn read(file: &Path) -> Result<(String, String), Failure> {
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
            "{name} cannot be read: {error}\n  hint: use -f FILE, or -f - for standard input"
        ))
    })?;
    Ok((name, text))
}
