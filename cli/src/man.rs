//! `cutover man`: manual pages, one for each command.

use crate::failure::Failure;
use std::{fs, path::Path};

/// Writes the pages into a folder, which is made if it does not exist.
///
/// # Errors
///
/// Fails if a file cannot be written.
pub fn write(folder: &Path, command: clap::Command) -> Result<(), Failure> {
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| Failure::Io(format!("{} cannot be written: {error}", folder.display())))?;
    eprintln!(
        "wrote the manual pages into {}; read them with man -l {}/cutover.1",
        folder.display(),
        folder.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("man"), commands::command()).unwrap();
        for page in ["cutover.1", "cutover-rollout.1", "cutover-canary-start.1"] {
            let text = fs::read_to_string(folder.path().join("man").join(page)).unwrap();
            assert!(text.contains(".SH NAME"), "{page}");
        }
        assert!(!folder.path().join("man/cutover-__names.1").exists(), "it is for scripts only");
    }
}
