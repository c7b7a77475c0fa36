//! Signature Version 4 for function URLs with `AWS_IAM`, with the AWS keys of the environment. The
//! signature occupies the `Authorization` header, so the bearer token has a header of its own.

use crate::failure::Failure;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use std::time::SystemTime;

/// AWS credentials, and the region to sign for.
#[derive(Debug, Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
}

impl Signer {
    /// Reads the credentials from the environment, and the region from the URL or the environment.
    ///
    /// # Errors
    ///
    /// Fails if one of them is missing.
    pub fn from_env(url: &str) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let missing = |variable: &str| {
            let hint = "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; `aws configure export-credentials \
                        --format env` prints the keys";
            Failure::Usage(format!("--aws-iam needs {variable}\n  hint: {hint}"))
        };
        let id = variable("AWS_ACCESS_KEY_ID").ok_or_else(|| missing("AWS_ACCESS_KEY_ID"))?;
        let secret = variable("AWS_SECRET_ACCESS_KEY").ok_or_else(|| missing("AWS_SECRET_ACCESS_KEY"))?;
        let region = region_of(url).or_else(|| variable("AWS_REGION"));
        let region = region.ok_or_else(|| missing("AWS_REGION"))?;
        let credentials = Credentials::new(id, secret, variable("AWS_SESSION_TOKEN"), None, "environment");
        Ok(Self { credentials, region })
    }

    /// Returns the headers that sign a request.
    ///
    /// # Errors
    ///
    /// Fails if the URL or a header is malformed.
    pub fn headers(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        now: SystemTime,
    ) -> Result<Vec<(String, String)>, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Io(format!("cannot sign the request: {error}"));
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let request = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body))
            .map_err(|error| failed(&error))?;
        let (instructions, _) = sign(request, &parameters).map_err(|error| failed(&error))?.into_parts();
        let (signed, _) = instructions.into_parts();
        Ok(signed.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect())
    }
}

/// Returns the region in the host of a function URL, `ID.lambda-url.REGION.on.aws`.
fn region_of(url: &str) -> Option<String> {
    let host = url.split("://").nth(1)?.split(['/', ':']).next()?;
    let (_, after) = host.split_once(".lambda-url.")?;
    after.strip_suffix(".on.aws").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_region_is_read_from_the_url() {
        let url = "https://abc.lambda-url.eu-north-1.on.aws/x";
        assert_eq!(region_of(url).as_deref(), Some("eu-north-1"));
        assert_eq!(region_of("http://127.0.0.1:9000/lambda-url/management"), None);
    }

    #[test]
    fn the_signature_is_the_same_as_botocores() {
        let signer = Signer {
            credentials: Credentials::new(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                None,
                None,
                "test",
            ),
            region: "us-east-1".to_owned(),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let url = "https://abc.lambda-url.us-east-1.on.aws/api/migration/flags/f%20g/explain?user=a%2Fb&at=1";
        let headers = [("content-type", "application/json"), ("x-cutover-token", "ctv_1")];
        let signed = signer.headers("PUT", url, &headers, b"{}", now).unwrap();
        let authorization = &signed.iter().find(|(name, _)| name == "authorization").unwrap().1;
        // botocore 1.44.5: SigV4Auth(Credentials(...), "lambda", "us-east-1"), same request, same
        // time.
        assert_eq!(authorization, EXPECTED);
    }

    const EXPECTED: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/lambda/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date;x-cutover-token, \
        Signature=969c92f3327f7bdf4e3e56f2a3ecf18c9f23a70ddce74338327ad4111a476fd4";
}
