//! Programs that `cargo xtask deploy` calls, replaced by shell scripts.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Writes a program with the lines of a shell script into a folder, which is to come first in `PATH`.
pub fn program(folder: &Path, name: &str, lines: &str) {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{lines}")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}
