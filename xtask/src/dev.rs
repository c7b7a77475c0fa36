//! `cargo xtask dev`: builds everything, and gives way to the program that starts it.

use crate::{
    edge,
    programs::PROGRAMS,
    root::root,
    run::{Failure, cargo, replace_with, step},
    tools::{self, Purpose},
};
use std::path::Path;

/// Option whose value is a file, which the user names as seen from the current folder.
const CONFIG: &str = "--config";

/// Starts everything on this machine, until Ctrl-C.
///
/// # Errors
/// Fails if the configuration is not there, or if a tool or a program cannot be built.
pub fn dev(arguments: &[&str]) -> Result<(), Failure> {
    let arguments = with_absolute_paths(arguments)?;
    let is_first = !root().join("target/debug/dev").is_file();
    if is_first {
        step("the first start installs the tools and compiles everything: 6 to 10 minutes on 2 cores");
    }
    tools::install(Purpose::Run)?;
    edge::build()?;
    step("building the functions, the backends and the command line");
    cargo(&PROGRAMS)?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Replaces this process, so that a signal sent to it reaches the one that stops the children.
    replace_with(root().join("target/debug/dev"), &words)
}

/// Makes the path of a configuration absolute, because the program runs in the root folder. Fails before anything is built
/// if the file is not there.
fn with_absolute_paths(arguments: &[&str]) -> Result<Vec<String>, Failure> {
    let mut absolute = Vec::new();
    let mut is_file = false;
    for argument in arguments {
        if !is_file {
            absolute.push((*argument).to_owned());
        } else {
            let path = Path::new(argument).canonicalize().map_err(|error| {
                Failure::new(format!("{argument}: {error}"), "cutover init writes a first configuration")
            })?;
            absolute.push(path.display().to_string());
        }
        is_file = *argument == CONFIG;
    }
    Ok(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_named_from_the_current_folder() {
        let here = std::env::current_dir().unwrap();
        let found = with_absolute_paths(&["--port", "9000", CONFIG, "Cargo.toml"]).unwrap();
        let expected = here.canonicalize().unwrap().join("Cargo.toml").display().to_string();
        assert_eq!(found, ["--port", "9000", CONFIG, expected.as_str()]);
        assert!(with_absolute_paths(&[CONFIG, "nowhere.yaml"]).is_err());
    }
}
