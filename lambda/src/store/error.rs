//! `StoreError`: failures of DynamoDB calls and of decoding items.

use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};

/// Failure to read or write the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The call failed, after the SDK's own retries.
    #[error("DynamoDB: {0}")]
    Call(String),
    /// An item does not have the layout that this version writes.
    #[error("unexpected item in the table: {0}")]
    Item(String),
    /// Items that belong together kept changing while they were read or written.
    #[error("the table changes too fast to read or write a consistent state")]
    Restless,
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
