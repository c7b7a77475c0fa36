//! Backends of the user behind the local edge.

use crate::{
    command::{CommandOutput, cutover_alone},
    dev::arguments::Backends,
};
use cutover_core::config::Node;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A configuration with backends of the user.
#[derive(Debug)]
pub struct Own {
    /// The file.
    pub file: PathBuf,
    /// URL of the old backend of the first route.
    pub legacy: String,
    /// URL of the new backend of the first route.
    pub new: String,
    /// Flag of the first route.
    pub flag: String,
    /// A path that the first route matches.
    pub path: String,
}

impl Own {
    /// Reads the configuration of the user's backends, which is written to `file` first if only their URLs are given.
    /// Returns `None` for the demonstration backends.
    ///
    /// # Errors
    ///
    /// Returns a sentence about the reason if there is no such configuration.
    pub async fn prepare(backends: &Backends, file: PathBuf) -> Result<Option<Self>, String> {
        match backends {
            Backends::Demo => Ok(None),
            Backends::File(file) => Self::read(file).map(Some),
            Backends::Urls { legacy, new, path } => {
                let name = file.display().to_string();
                let mut arguments =
                    vec!["init", "--legacy", legacy, "--new", new, "--output", &name, "--force"];
                arguments.extend(path.iter().flat_map(|path| ["--path", path.as_str()]));
                shown(cutover_alone(&arguments, "").await)?;
                Self::read(&file).map(Some)
            }
        }
    }

    fn read(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("{name} cannot be read: {error}"))?;
        let config = Node::from_yaml(&text).map_err(|problem| format!("{name}:{problem}"))?.to_json();
        let route = &config["routes"][0];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let url = |arm: &str| word(&config["origins"][word(&route[arm]).as_str()]["url"]);
        let own = Self {
            file: file.to_path_buf(),
            legacy: url("legacy"),
            new: url("new"),
            flag: word(&route["flag"]),
            path: example(&word(&route["match"]["path"])),
        };
        if own.legacy.is_empty() || own.new.is_empty() {
            return Err(format!("{name}: its first route names no two origins with URLs"));
        }
        Ok(own)
    }
}

/// Shows the output of a command of the user's.
///
/// # Errors
///
/// Returns the output if the command failed.
pub fn shown(done: CommandOutput) -> Result<(), String> {
    let CommandOutput { code, out, err } = done;
    if code != 0 {
        return Err(format!("{out}{err}").trim_end().to_owned());
    }
    eprint!("{out}{err}");
    Ok(())
}

/// Returns a path that a pattern matches: `/api/1` for `/api/{id}/{*rest}`.
fn example(pattern: &str) -> String {
    let segments = pattern.split('/').filter(|segment| !segment.is_empty() && !segment.starts_with("{*"));
    let path: String = segments
        .map(|segment| if segment.starts_with('{') { "/1".to_owned() } else { format!("/{segment}") })
        .collect();
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_matched_by_its_pattern() {
        for (pattern, expected) in
            [("/api/{*rest}", "/api"), ("/api/v1/{id}/x", "/api/v1/1/x"), ("/{*rest}", "/"), ("/", "/")]
        {
            assert_eq!(example(pattern), expected);
        }
    }
}
