//! The two backends.

/// One of the two backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The old backend, with REST only.
    Legacy,
    /// The new backend, with GraphQL and the same REST paths.
    New,
}

impl Backend {
    /// Returns the backend's name for itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Legacy => "legacy",
            Backend::New => "new",
        }
    }
}
