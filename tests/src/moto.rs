//! moto: an emulator of AWS, for Terraform and the AWS command line.

use crate::{
    paths,
    process::{Process, free_port},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, process::Command, time::Duration};
use tempfile::TempDir;

/// A running emulator, empty.
pub struct Moto {
    port: u16,
    _process: Process,
    _logs: TempDir,
}

impl Moto {
    /// Starts an emulator on a free port.
    pub async fn start() -> Self {
        let logs = tempfile::tempdir().expect("a directory for logs");
        let port = free_port();
        let python = paths::root().join(".tools/tests/bin/python");
        assert!(python.is_file(), "{} is missing; `cargo xtask test` installs it", python.display());
        let mut command = Command::new(python);
        command.arg(paths::root().join("tests/src/moto/server.py"));
        command.args(["--host", "127.0.0.1", "--port"]).arg(port.to_string());
        let mut process = Process::start("moto_server", command, &logs.path().join("moto.log"));
        process.wait_for("listening", Duration::from_secs(60), |output| {
            output.contains("Running on").then_some(())
        });
        Self { port, _process: process, _logs: logs }
    }

    /// Returns the endpoint of every service.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Creates a secret without a value, as Terraform does.
    pub async fn create_secret(&self, name: &str) {
        self.secrets_manager("CreateSecret", &json!({ "Name": name })).await;
    }

    /// Sets the value of a secret; the one before remains as its previous version.
    pub async fn put_secret(&self, name: &str, value: &str) {
        let request = json!({ "SecretId": name, "SecretString": value });
        self.secrets_manager("PutSecretValue", &request).await;
    }

    async fn secrets_manager(&self, action: &str, request: &Value) {
        // The emulator finds the service in the scope of the signature, and does not check it.
        let scope = "Credential=local/20260101/us-east-1/secretsmanager/aws4_request";
        let response = reqwest::Client::new()
            .post(self.url())
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"))
            .header("x-amz-target", format!("secretsmanager.{action}"))
            .header("content-type", "application/x-amz-json-1.1")
            .body(request.to_string())
            .send()
            .await
            .expect("the emulator responds");
        let (status, text) = (response.status(), response.text().await.unwrap_or_default());
        assert!(status.is_success(), "{action}: {status}: {text}");
    }

    /// Returns the environment that directs Terraform, the AWS command line and the SDK to this
    /// emulator.
    pub fn environment(&self) -> BTreeMap<String, String> {
        [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}
