//! `StoreError`: failures of DynamoDB calls and of decoding items.

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, SdkError},
};

/// Failure to read or write the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The call failed, after the SDK's own retries. A write that was answered so was not made.
    #[error("DynamoDB: {0}")]
    Call(String),
    /// A write may have been made: its response was lost, or did not tell.
    #[error("DynamoDB: the outcome of a write is unknown: {0}")]
    Unknown(String),
    /// An item does not have the layout that this version writes.
    #[error("unexpected item in the table: {0}")]
    Item(String),
    /// A later version wrote an item: this one cannot read it, and must not replace it.
    #[error("an item has schema {0}, which a later version wrote")]
    Later(u64),
    /// Items that belong together kept changing while they were read or written.
    #[error("the table changes too fast to read or write a consistent state")]
    Restless,
    /// An item that the write is about was removed, and never comes back: a token or a pending change. Nothing was written.
    #[error("the {0} was removed in the meantime")]
    Gone(&'static str),
}

impl StoreError {
    /// Classifies the failure of a write. It certainly was not made if DynamoDB refused the request itself; a response that
    /// is missing, or is an error of the server, tells nothing.
    pub(super) fn of_write<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let is_refused = match &error {
            SdkError::ConstructionFailure(_) => true,
            SdkError::ServiceError(_) => status.is_some_and(|status| (400..500).contains(&status)),
            _ => false,
        };
        let text = DisplayErrorContext(&error).to_string();
        if is_refused { Self::Call(text) } else { Self::Unknown(text) }
    }
}

/// Failure to commit a change.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The head or an object has changed, or another transaction was at work on one of them. The caller should read again
    /// and retry.
    #[error("another caller changed the configuration in the meantime")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CommitError> for StoreError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict => Self::Restless,
            CommitError::Store(error) => error,
        }
    }
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    fn from(error: SdkError<E, R>) -> Self {
        Self::Call(DisplayErrorContext(&error).to_string())
    }
}
