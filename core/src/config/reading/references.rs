//! Checks the names that one part of a file uses against those that another part defines.

use super::{
    cursor::{Cursor, EntryCursor},
    suggestion::did_you_mean,
};

/// A section of the file whose entries other sections refer to.
#[derive(Clone, Copy)]
pub(crate) enum Section {
    Flags,
    Origins,
    Adapters,
    Holdouts,
}

impl Section {
    /// Returns the word for one entry of the section.
    fn singular(self) -> &'static str {
        match self {
            Self::Flags => "flag",
            Self::Origins => "origin",
            Self::Adapters => "adapter",
            Self::Holdouts => "holdout",
        }
    }
}

/// The names that a file defines. Entries with mistakes count too, so that one mistake is not
/// reported again at every reference.
pub(crate) struct Names<'n> {
    flags: Vec<&'n str>,
    origins: Vec<&'n str>,
    adapters: Vec<&'n str>,
    holdouts: Vec<&'n str>,
}

impl<'n> Names<'n> {
    pub(crate) fn new(
        flags: &[EntryCursor<'n>],
        origins: &[EntryCursor<'n>],
        adapters: &[EntryCursor<'n>],
        holdouts: &[EntryCursor<'n>],
    ) -> Self {
        let keys = |entries: &[EntryCursor<'n>]| entries.iter().map(|entry| entry.key).collect();
        Self {
            flags: keys(flags),
            origins: keys(origins),
            adapters: keys(adapters),
            holdouts: keys(holdouts),
        }
    }

    /// Names of a live configuration that an experiment of its own document refers to.
    pub(crate) fn of_experiment(flags: Vec<&'n str>, holdouts: Vec<&'n str>) -> Self {
        Self { flags, origins: Vec::new(), adapters: Vec::new(), holdouts }
    }

    /// Reports a name that the section does not define.
    pub(crate) fn must_have(&self, section: Section, name: &str, cursor: &Cursor<'_>) {
        let known = match section {
            Section::Flags => &self.flags,
            Section::Origins => &self.origins,
            Section::Adapters => &self.adapters,
            Section::Holdouts => &self.holdouts,
        };
        if known.contains(&name) {
            return;
        }
        let word = section.singular();
        let hint = did_you_mean(name, known.iter().copied(), || {
            format!("add {name} to the {word}s of this file, or name one that is there")
        });
        cursor.report(format!("there is no {word} {name:?}"), hint);
    }
}
