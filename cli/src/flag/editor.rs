//! The editor of the user.

use crate::failure::Failure;
use std::{
    env, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Editor if none is set.
const DEFAULT: &str = "vi";

/// A text that the user edits. Its file is only for the user, and is removed unless it is kept.
pub struct Draft {
    file: tempfile::NamedTempFile,
    text: String,
}

impl Draft {
    /// Writes a text into a new file.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn new(text: String) -> Result<Self, Failure> {
        let file = tempfile::Builder::new().prefix("cutover-").suffix(".yaml").tempfile();
        let file = file.and_then(|file| std::fs::write(file.path(), &text).map(|()| file));
        let file = file.map_err(|error| Failure::Io(format!("no file to edit can be written: {error}")))?;
        Ok(Self { file, text })
    }

    /// Opens the text in the editor, and returns what it was edited to.
    ///
    /// # Errors
    ///
    /// Fails if there is no such editor, if it fails, or if the text is as before.
    pub fn edited(&self) -> Result<String, Failure> {
        let path = self.file.path();
        open(&editor(&|name| env::var(name).ok()), path)?;
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Io(format!("the edited text cannot be read: {error}")))?;
        if text == self.text {
            return Err(Failure::Usage("the text was not edited; nothing was changed".to_owned()));
        }
        Ok(text)
    }

    /// Keeps the file, so that the work on it is not lost. Returns its path.
    pub fn keep(self) -> PathBuf {
        let path = self.file.path().to_owned();
        // A file that cannot be kept is gone, as without this.
        let _ = self.file.keep();
        path
    }
}

/// Returns the editor with its arguments.
fn editor(variable: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let set = |name: &str| variable(name).filter(|command| !command.trim().is_empty());
    let command = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| DEFAULT.to_owned());
    command.split_whitespace().map(str::to_owned).collect()
}

fn open(editor: &[String], path: &Path) -> Result<(), Failure> {
    let hint = "set EDITOR to a command that waits until the file is closed, such as vi or `code --wait`";
    let Some((program, arguments)) = editor.split_first() else {
        return Err(Failure::Usage(format!("there is no editor\n  hint: {hint}")));
    };
    let status: io::Result<_> = Command::new(program).args(arguments).arg(path).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Failure::Usage(format!("the editor {program} failed ({status}); nothing was changed")))
        }
        Err(error) => {
            Err(Failure::Usage(format!("the editor {program} cannot be started: {error}\n  hint: {hint}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editor_is_the_one_that_is_set() {
        let of = |visual: &'static str, other: &'static str| {
            editor(&|name| {
                let value = if name == "VISUAL" { visual } else { other };
                (!value.is_empty()).then(|| value.to_owned())
            })
        };
        assert_eq!(of("", ""), ["vi"]);
        assert_eq!(of("", "nano"), ["nano"]);
        assert_eq!(of("code --wait", "nano"), ["code", "--wait"]);
        assert_eq!(of("  ", "nano"), ["nano"]);
    }

    #[test]
    fn an_editor_that_fails_changes_nothing() {
        let path = Path::new("/dev/null");
        for (editor, expected) in [("false", "failed"), ("/no/such/editor", "cannot be started")] {
            let refused = open(&[editor.to_owned()], path).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(open(&["true".to_owned()], path).is_ok());
    }
}
