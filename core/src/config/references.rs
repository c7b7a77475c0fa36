//! Holds the names that one part of a file uses against those that another part defines.

use super::{
    node::Entry,
    reader::{Reader, did_you_mean},
};

/// What a file defines, as written: also what could not be read is there to be referred to.
#[derive(Clone, Copy)]
pub(super) struct Names<'n> {
    pub(super) flags: &'n [Entry],
    pub(super) origins: &'n [Entry],
    pub(super) adapters: &'n [Entry],
}

impl Names<'_> {
    /// Reports a name that the file does not define. `what` is `flag`, `origin` or `adapter`.
    pub(super) fn must_have(
        self,
        reader: &mut Reader,
        what: &str,
        name: &str,
        at: (usize, usize),
        path: &str,
    ) {
        let entries = match what {
            "flag" => self.flags,
            "adapter" => self.adapters,
            _ => self.origins,
        };
        if entries.iter().any(|entry| entry.key == name) {
            return;
        }
        let hint = did_you_mean(name, entries.iter().map(|entry| entry.key.as_str()), || {
            format!("add {name} to the {what}s of this file, or name one that is there")
        });
        reader.report_at(at, path, format!("there is no {what} {name:?}"), hint);
    }
}
