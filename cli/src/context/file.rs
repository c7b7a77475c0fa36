//! The file with the contexts of a user. It holds tokens, so others may not read it.

use super::contexts::Contexts;
use crate::failure::Failure;
use std::{
    env,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
};

/// Permissions of the file.
const FILE_MODE: u32 = 0o600;

/// Permissions of its folder.
const FOLDER_MODE: u32 = 0o700;

/// Permissions that nobody but the user may have.
const OTHERS: u32 = 0o077;

/// A file with contexts.
#[derive(Debug)]
pub struct ContextFile {
    folder: PathBuf,
}

impl ContextFile {
    /// Returns the file of the user: `cutover/contexts.json` in `$XDG_CONFIG_HOME` or `~/.config`.
    ///
    /// # Errors
    ///
    /// Fails if neither is known.
    pub fn of_user() -> Result<Self, Failure> {
        let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
        let missing =
            || Failure::Io("no folder for contexts\n  hint: set HOME or XDG_CONFIG_HOME".to_owned());
        base.map(|base| Self::below(&base)).ok_or_else(missing)
    }

    /// Returns the file below a folder for configuration.
    pub fn below(base: &Path) -> Self {
        Self { folder: base.join("cutover") }
    }

    /// Reads the contexts. There are none if there is no file.
    ///
    /// # Errors
    ///
    /// Fails if others may read the file, or if it cannot be read.
    pub fn read(&self) -> Result<Contexts, Failure> {
        let path = self.path();
        let shown = path.display();
        let unreadable =
            |error: &dyn std::fmt::Display| Failure::Io(format!("{shown} cannot be read: {error}"));
        let mut file = match fs::File::open(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Contexts::default());
            }
            opened => opened.map_err(|error| unreadable(&error))?,
        };
        // Of the file that was opened: the name may stand for another one by now.
        let mode = file.metadata().map_err(|error| unreadable(&error))?.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(Failure::Usage(format!(
                "others may read {shown}, which holds tokens\n  hint: chmod 600 {shown}, and rotate the tokens if others \
                 use this machine"
            )));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| unreadable(&error))?;
        serde_json::from_str(&text).map_err(|error| unreadable(&error))
    }

    /// Writes the contexts. A reader finds the old or the new ones, whole.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn write(&self, contexts: &Contexts) -> Result<(), Failure> {
        let path = self.path();
        self.replace(&path, &format!("{:#}\n", serde_json::json!(contexts)))
            .map_err(|error| Failure::Io(format!("{} cannot be written: {error}", path.display())))
    }

    fn replace(&self, path: &Path, text: &str) -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder)?;
        fs::set_permissions(&self.folder, Permissions::from_mode(FOLDER_MODE))?;
        let written = self.folder.join(format!("contexts.json.{}", process::id()));
        // One that an earlier process with this number left.
        let _ = fs::remove_file(&written);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&written)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&written, path)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("contexts.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn contexts() -> Contexts {
        let mut contexts = Contexts::default();
        let context = Context {
            url: "https://api.example".to_owned(),
            token: Some("ctv_1".to_owned()),
            production: true,
            ..Context::default()
        };
        contexts.add("live", context).unwrap();
        contexts
    }

    #[test]
    fn contexts_are_kept_in_a_file_that_only_their_user_may_read() {
        let base = tempfile::tempdir().unwrap();
        let file = ContextFile::below(base.path());
        assert_eq!(file.read().unwrap(), Contexts::default());
        file.write(&contexts()).unwrap();
        assert_eq!(file.read().unwrap(), contexts());
        assert_eq!([mode(&file.path()), mode(&file.folder)], [0o600, 0o700]);
        file.write(&Contexts::default()).unwrap();
        assert_eq!(file.read().unwrap(), Contexts::default());
        let names: Vec<_> =
            fs::read_dir(&file.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["contexts.json"], "nothing is left beside the file");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let file = ContextFile::below(base.path());
        file.write(&contexts()).unwrap();
        for open in [0o640, 0o604, 0o644] {
            fs::set_permissions(file.path(), Permissions::from_mode(open)).unwrap();
            let refused = file.read().unwrap_err().to_string();
            assert!(refused.contains("hint: chmod 600 "), "{open:o}: {refused}");
        }
    }

    #[test]
    fn a_broken_file_is_no_empty_one() {
        let base = tempfile::tempdir().unwrap();
        let file = ContextFile::below(base.path());
        file.write(&contexts()).unwrap();
        fs::write(file.path(), "{").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("cannot be read"));
    }
}
