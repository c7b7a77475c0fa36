//! Credentials of AWS.

use aws_sdk_dynamodb::config::Credentials;

/// AWS credentials, as Lambda passes them to a function.
#[derive(Clone)]
pub struct AwsKeys {
    /// Value of `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// Value of `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// Value of `AWS_SESSION_TOKEN`.
    pub session: Option<String>,
}

impl From<AwsKeys> for Credentials {
    fn from(AwsKeys { id, secret, session }: AwsKeys) -> Self {
        Self::new(id, secret, session, None, "environment")
    }
}
