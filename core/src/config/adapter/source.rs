//! An adapter as it is stored: its source next to the compiled program.

use crate::adapter::Program;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;
use std::sync::Arc;

/// The key of the compiled program in a stored adapter. The program is compiled again whenever the
/// source is read.
pub const COMPILED: &str = "compiled";

/// The largest stored adapter, in bytes. An audit record of a change contains it twice, in an item
/// of at most 400 KB.
pub(crate) const MAX_BYTES: usize = 150_000;

/// A configured adapter: its source, which includes the contents of the files it names, and the
/// program compiled from it.
#[derive(Debug, Clone)]
pub struct Adapter {
    source: Map<String, serde_json::Value>,
    program: Arc<Program>,
    /// Warnings of the compiler, which are not stored.
    warnings: Vec<String>,
}

impl PartialEq for Adapter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.program == other.program
    }
}

impl Adapter {
    pub(super) fn new(
        source: Map<String, serde_json::Value>,
        program: Program,
        warnings: Vec<String>,
    ) -> Self {
        Self { source, program: Arc::new(program), warnings }
    }

    /// Returns the warnings about the file that it was compiled from; none for a stored adapter.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the program that the edge runs.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Returns the number of bytes of the stored adapter.
    pub(crate) fn bytes(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |text| text.len())
    }

    /// Returns the adapter as it was written, with the contents of files instead of their names.
    pub fn source(&self) -> &Map<String, serde_json::Value> {
        &self.source
    }
}

impl Serialize for Adapter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = self.source.clone();
        let program = serde_json::to_value(&*self.program).map_err(serde::ser::Error::custom)?;
        written.insert(COMPILED.to_owned(), program);
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Adapter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut source = Map::deserialize(deserializer)?;
        let program = source.remove(COMPILED).unwrap_or_default();
        let program: Program = serde_json::from_value(program).map_err(serde::de::Error::custom)?;
        Ok(Self::new(source, program, Vec::new()))
    }
}
