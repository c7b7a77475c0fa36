//! Secrets: generated here or given, and never in Terraform's state.

use crate::{
    deploy::target::{Settings, Target},
    run::{Failure, command, output, step, with_input},
};
use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
};

/// Secrets that are generated if they have no value: the name, and the Worker's secret that must be equal.
pub const GENERATED: [(&str, Option<&str>); 4] = [
    ("ingest", Some("CUTOVER_INGEST_SECRET")),
    ("edge", Some("CUTOVER_EDGE_TOKEN")),
    ("root", None),
    ("webhook", None),
];

/// The environment variable with the Cloudflare token for Workers KV, needed for the first deployment.
const KV_TOKEN: &str = "CUTOVER_KV_TOKEN";

/// Name of the error by which AWS says that a secret does not exist, or has no value.
const ABSENT: &str = "(ResourceNotFoundException)";

/// A date that is not set, as the AWS command line prints it as text.
const NO_DATE: &str = "None";

const LOOK_UP_FIX: &str = "the secret was left as it is. Sign in (`aws sts get-caller-identity` shows as whom), allow \
                           secretsmanager:DescribeSecret and secretsmanager:GetSecretValue, and run this again";

/// The secrets of an environment in Secrets Manager.
pub struct Secrets<'t> {
    /// The environment.
    pub target: &'t Target,
    /// Its settings.
    pub settings: &'t Settings,
}

impl Secrets<'_> {
    /// Returns the full name of a secret.
    pub fn full_name(&self, name: &str) -> String {
        format!("cutover-{}/{name}", self.target.environment())
    }

    /// Returns the value of a secret, or `None` if it has none yet.
    ///
    /// # Errors
    /// Fails if that cannot be found out.
    pub fn value(&self, name: &str) -> Result<Option<String>, Failure> {
        let name = self.full_name(name);
        let arguments =
            ["secretsmanager", "get-secret-value", "--secret-id", &name, "--query", "SecretString"];
        let value = look_up(&mut self.target.aws(self.settings, &arguments), &name)?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    fn put(&self, name: &str, value: &str) -> Result<(), Failure> {
        let name = self.full_name(name);
        // Through standard input: other users can see the arguments of a process.
        let put = ["secretsmanager", "put-secret-value", "--secret-id", &name];
        let value_and_answer = ["--secret-string", "file:///dev/stdin", "--query", "VersionId"];
        let mut aws = self.target.aws(self.settings, &[put, value_and_answer].concat());
        with_input(&mut aws, value, "install the AWS command line, and allow secretsmanager:PutSecretValue")
    }

    /// Returns true if there is such a secret. One that was deleted is described until it can no longer be restored, and its
    /// value cannot be read.
    fn exists(&self, name: &str) -> Result<bool, Failure> {
        let name = self.full_name(name);
        let arguments = ["secretsmanager", "describe-secret", "--secret-id", &name, "--query", "DeletedDate"];
        let deleted = look_up(&mut self.target.aws(self.settings, &arguments), &name)?;
        Ok(deleted.is_some_and(|date| date == NO_DATE))
    }

    /// Generates the secrets that have no value. Existing values stay.
    ///
    /// # Errors
    /// Fails if one cannot be looked up or written, or if there is no token for Workers KV.
    pub fn fill(&self) -> Result<(), Failure> {
        step("secrets");
        let fix = "install the AWS command line, version 1.29 or later";
        output(command("aws").arg("--version"), fix)?;
        for (name, _) in GENERATED {
            if self.exists(name)? && self.value(name)?.is_none() {
                self.put(name, &random()?)?;
                eprintln!("    {} was generated", self.full_name(name));
            }
        }
        if self.value("kv")?.is_none() {
            let fix = format!(
                "create an API token with the permission Workers KV Storage: Edit in Cloudflare's dashboard, set \
                 {KV_TOKEN} to it, and run this again"
            );
            let token = std::env::var(KV_TOKEN).ok().filter(|token| !token.is_empty());
            let name = self.full_name("kv");
            let token = token.ok_or_else(|| Failure::new(format!("{name} has no value yet"), fix))?;
            self.put("kv", &token)?;
            eprintln!("    {name} was set");
        }
        Ok(())
    }
}

/// Runs a look-up of a secret. Returns its output, or `None` if AWS says that there is no secret or no value. Any other
/// failure tells nothing of the secret, which may be in use: it must not be taken for one without a value.
fn look_up(aws: &mut Command, name: &str) -> Result<Option<String>, Failure> {
    let failed = |why: &str| Failure::new(format!("{name} could not be looked up: {why}"), LOOK_UP_FIX);
    let done = aws.stdin(Stdio::null()).output().map_err(|error| failed(&error.to_string()))?;
    if done.status.success() {
        return Ok(Some(String::from_utf8_lossy(&done.stdout).trim().to_owned()));
    }
    let said = String::from_utf8_lossy(&done.stderr);
    if said.contains(ABSENT) { Ok(None) } else { Err(failed(said.trim())) }
}

/// Returns 256 random bits as hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bits = [0_u8; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bits))
        .map_err(|error| Failure::new(format!("/dev/urandom: {error}"), "run this on Linux or macOS"))?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks up a secret with a shell in the place of the AWS command line.
    fn answered(script: &str) -> Result<Option<String>, Failure> {
        look_up(command("sh").args(["-c", script]), "cutover-staging/ingest")
    }

    #[test]
    fn a_secret_has_no_value_only_if_aws_says_so() {
        assert_eq!(answered("echo value").unwrap().as_deref(), Some("value"));
        let absent = "echo 'An error occurred (ResourceNotFoundException) when calling the GetSecretValue operation: \
                      Secrets Manager can'\\''t find the specified secret value for staging label: AWSCURRENT' >&2; exit 254";
        assert_eq!(answered(absent).unwrap(), None);
        for said in [
            "An error occurred (AccessDeniedException) when calling the GetSecretValue operation: no",
            "An error occurred (ThrottlingException) when calling the GetSecretValue operation: Rate exceeded",
            "An error occurred (InvalidRequestException) when calling the GetSecretValue operation: marked for deletion",
            "Unable to locate credentials. You can configure credentials by running \"aws configure\".",
            "Could not connect to the endpoint URL: \"https://secretsmanager.us-east-1.amazonaws.com/\"",
            "",
        ] {
            let text = answered(&format!("echo '{said}' >&2; exit 255")).unwrap_err().to_string();
            assert!(
                text.contains("cutover-staging/ingest could not be looked up") && text.contains(said),
                "{text}"
            );
            assert!(text.contains("allow secretsmanager:DescribeSecret"), "{text}");
        }
        assert!(look_up(&mut command("no-such-aws"), "cutover-staging/ingest").is_err());
    }
}
