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
    Segments,
    Routes,
    Limits,
    /// Flags of routes and flags with values.
    AnyFlags,
}

impl Section {
    /// Returns the word for one entry of the section.
    fn singular(self) -> &'static str {
        match self {
            Self::Flags | Self::AnyFlags => "flag",
            Self::Origins => "origin",
            Self::Adapters => "adapter",
            Self::Holdouts => "holdout",
            Self::Segments => "segment",
            Self::Routes => "route",
            Self::Limits => "limit",
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
    value_flags: Vec<&'n str>,
    segments: Vec<&'n str>,
    routes: Vec<&'n str>,
    limits: Vec<&'n str>,
}

impl<'n> Names<'n> {
    pub(crate) fn new(
        flags: &[EntryCursor<'n>],
        origins: &[EntryCursor<'n>],
        adapters: &[EntryCursor<'n>],
        holdouts: &[EntryCursor<'n>],
    ) -> Self {
        Self {
            flags: keys(flags),
            origins: keys(origins),
            adapters: keys(adapters),
            holdouts: keys(holdouts),
            value_flags: Vec::new(),
            segments: Vec::new(),
            routes: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// Names of a live configuration that an experiment of its own document refers to.
    pub(crate) fn of_experiment(flags: Vec<&'n str>, holdouts: Vec<&'n str>) -> Self {
        Self {
            flags,
            origins: Vec::new(),
            adapters: Vec::new(),
            holdouts,
            value_flags: Vec::new(),
            segments: Vec::new(),
            routes: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// Names of a live configuration that a flag with values of its own document refers to.
    pub(crate) fn of_value_flag(
        flags: Vec<&'n str>,
        value_flags: Vec<&'n str>,
        segments: Vec<&'n str>,
    ) -> Self {
        Self { value_flags, segments, ..Self::of_experiment(flags, Vec::new()) }
    }

    /// Adds the names of flags with values and of segments.
    pub(crate) fn with_values(self, value_flags: &[EntryCursor<'n>], segments: &[EntryCursor<'n>]) -> Self {
        Self { value_flags: keys(value_flags), segments: keys(segments), ..self }
    }

    /// Adds the ids of routes.
    pub(crate) fn with_routes(self, routes: Vec<&'n str>) -> Self {
        Self { routes, ..self }
    }

    /// Adds the names of rate limits.
    pub(crate) fn with_limits(self, limits: &[EntryCursor<'n>]) -> Self {
        Self { limits: keys(limits), ..self }
    }

    /// Returns true if a flag of routes has this name.
    pub(crate) fn has_flag(&self, name: &str) -> bool {
        self.flags.contains(&name)
    }

    /// Reports a name that the section does not define.
    pub(crate) fn must_have(&self, section: Section, name: &str, cursor: &Cursor<'_>) {
        let known = match section {
            Section::Flags | Section::AnyFlags => &self.flags,
            Section::Origins => &self.origins,
            Section::Adapters => &self.adapters,
            Section::Holdouts => &self.holdouts,
            Section::Segments => &self.segments,
            Section::Routes => &self.routes,
            Section::Limits => &self.limits,
        };
        let more = if matches!(section, Section::AnyFlags) { self.value_flags.as_slice() } else { &[] };
        if known.contains(&name) || more.contains(&name) {
            return;
        }
        let word = section.singular();
        let hint = did_you_mean(name, known.iter().chain(more).copied(), || {
            format!("add {name} to the {word}s of this file, or name one that is there")
        });
        cursor.report(format!("there is no {word} {name:?}"), hint);
    }
}

fn keys<'n>(entries: &[EntryCursor<'n>]) -> Vec<&'n str> {
    entries.iter().map(|entry| entry.key).collect()
}
