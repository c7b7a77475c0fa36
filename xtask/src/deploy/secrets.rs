//! Secrets: generated here or given, and never in Terraform's state.

use crate::{
    deploy::target::{Settings, Target},
    run::{Failure, command, output, step, with_input},
};
use std::{fs, io::Read, process::Stdio};

/// Secrets that are generated if they have no value: the name, and the Worker's secret that must be equal.
pub const GENERATED: [(&str, Option<&str>); 4] = [
    ("ingest", Some("CUTOVER_INGEST_SECRET")),
    ("edge", Some("CUTOVER_EDGE_TOKEN")),
    ("root", None),
    ("webhook", None),
];

/// The environment variable with the Cloudflare token for Workers KV, needed for the first deployment.
const KV_TOKEN: &str = "CUTOVER_KV_TOKEN";

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
    pub fn value(&self, name: &str) -> Option<String> {
        let name = self.full_name(name);
        let arguments =
            ["secretsmanager", "get-secret-value", "--secret-id", &name, "--query", "SecretString"];
        let mut aws = self.target.aws(self.settings, &arguments);
        output(aws.stderr(Stdio::null()), "").ok().filter(|value| !value.is_empty())
    }

    fn put(&self, name: &str, value: &str) -> Result<(), Failure> {
        let name = self.full_name(name);
        // Through standard input: other users can see the arguments of a process.
        let put = ["secretsmanager", "put-secret-value", "--secret-id", &name];
        let value_and_answer = ["--secret-string", "file:///dev/stdin", "--query", "VersionId"];
        let mut aws = self.target.aws(self.settings, &[put, value_and_answer].concat());
        with_input(&mut aws, value, "install the AWS command line, and allow secretsmanager:PutSecretValue")
    }

    fn exists(&self, name: &str) -> bool {
        let name = self.full_name(name);
        let arguments = ["secretsmanager", "describe-secret", "--secret-id", &name, "--query", "ARN"];
        output(&mut self.target.aws(self.settings, &arguments), "").is_ok()
    }

    /// Generates the secrets that have no value. Existing values stay.
    ///
    /// # Errors
    /// Fails if one cannot be written, or if there is no token for Workers KV.
    pub fn fill(&self) -> Result<(), Failure> {
        step("secrets");
        let fix = "install the AWS command line, version 1.29 or later";
        output(command("aws").arg("--version"), fix)?;
        for (name, _) in GENERATED {
            if self.exists(name) && self.value(name).is_none() {
                self.put(name, &random()?)?;
                eprintln!("    {} was generated", self.full_name(name));
            }
        }
        if self.value("kv").is_none() {
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

/// Returns 256 random bits as hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bits = [0_u8; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bits))
        .map_err(|error| Failure::new(format!("/dev/urandom: {error}"), "run this on Linux or macOS"))?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
