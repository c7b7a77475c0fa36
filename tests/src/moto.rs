//! moto: an emulator of AWS, for Terraform and the AWS command line.

use crate::{
    paths,
    process::{Process, free_port},
};
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
