//! Signature Version 4 for function URLs with `AWS_IAM`, with the AWS keys of the environment or of a profile. The
//! signature occupies the `Authorization` header, so the bearer token has a header of its own.

mod credentials;
mod process;
mod profile;

use crate::failure::Failure;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use profile::Profile;
use std::time::{Duration, SystemTime};

/// AWS keys of the user, which sign for every URL.
#[derive(Debug)]
pub struct Keys {
    credentials: Credentials,
    /// Region of URLs that have none.
    region: Option<String>,
}

/// AWS credentials, and the region to sign for.
#[derive(Debug, Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
}

impl Keys {
    /// Reads the keys and the region from the environment or from the profile of the user. A process that the profile names is
    /// killed after `process_limit`, and is not run at all without one.
    ///
    /// # Errors
    ///
    /// Fails if there are no keys.
    pub fn from_env(process_limit: Option<Duration>) -> Result<Self, Failure> {
        Self::of(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()), process_limit)
    }

    fn of(
        variable: &dyn Fn(&str) -> Option<String>,
        process_limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let has_keys = variable("AWS_ACCESS_KEY_ID").is_some() && variable("AWS_SECRET_ACCESS_KEY").is_some();
        let profile = match Profile::of_user(variable) {
            // A file that cannot be read is not in the way of keys that are given.
            Err(_) if has_keys => Profile::default(),
            read => read?,
        };
        let credentials = credentials::find(&profile, variable, process_limit)?;
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        Ok(Self { credentials, region: region.or_else(|| profile.get("region").map(str::to_owned)) })
    }

    /// Returns the signer of requests to a URL.
    ///
    /// # Errors
    ///
    /// Fails if neither the URL nor the user names a region.
    pub fn signer(&self, url: &str) -> Result<Signer, Failure> {
        let region = region_of(url).or_else(|| self.region.clone()).ok_or_else(|| {
            Failure::Usage(
                "--aws-iam needs a region: neither the URL, AWS_REGION nor the AWS profile has one\n  hint: set AWS_REGION"
                    .to_owned(),
            )
        })?;
        Ok(Signer { credentials: self.credentials.clone(), region })
    }
}

impl Signer {
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

/// Returns true if AWS itself answers at a URL: with `AWS_IAM` it refuses requests that are not signed.
pub fn is_function_url(url: &str) -> bool {
    region_of(url).is_some()
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
    use std::time::UNIX_EPOCH;

    #[test]
    fn the_region_is_read_from_the_url() {
        let url = "https://abc.lambda-url.eu-north-1.on.aws/x";
        assert_eq!(region_of(url).as_deref(), Some("eu-north-1"));
        assert_eq!(region_of("http://127.0.0.1:9000/lambda-url/management"), None);
        assert!(is_function_url(url) && !is_function_url("https://api.example/lambda-url.eu-north-1.on.aws"));
    }

    #[test]
    fn the_region_is_that_of_the_url_or_of_the_environment() {
        let keys = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".to_owned()),
            _ => None,
        };
        let with_region =
            |name: &str| keys(name).or((name == "AWS_DEFAULT_REGION").then(|| "eu-west-1".to_owned()));
        let local = "http://127.0.0.1:9000/lambda-url/management";
        let signer = |url: &str, variable: &dyn Fn(&str) -> Option<String>| {
            Keys::of(variable, None).and_then(|keys| keys.signer(url))
        };
        assert_eq!(signer(local, &with_region).unwrap().region, "eu-west-1");
        assert_eq!(
            signer("https://abc.lambda-url.eu-north-1.on.aws", &with_region).unwrap().region,
            "eu-north-1"
        );
        let unreadable =
            |name: &str| with_region(name).or((name == "AWS_CONFIG_FILE").then(|| "/".to_owned()));
        assert!(signer(local, &unreadable).is_ok(), "a file is not in the way of keys that are given");
        let missing = signer(local, &keys).unwrap_err().to_string();
        assert!(missing.contains("needs a region") && missing.ends_with("hint: set AWS_REGION"), "{missing}");
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
