//! The Worker and its KV behind `wrangler dev`.

use crate::{
    fault_proxy::FaultProxy,
    paths,
    process::{Process, free_port},
};
use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

/// Id of the KV namespace in `wrangler.toml`.
pub const NAMESPACE: &str = "cutover-kv";

/// A running `wrangler dev`.
pub struct Wrangler {
    port: u16,
    process: Process,
    /// The KV REST API as the publisher sees it; the proxy can inject faults.
    pub kv: FaultProxy,
}

impl Wrangler {
    /// Starts the Worker with its state in a directory, on the given port or, for 0, on a free one.
    /// `kv` is the proxy of an earlier Worker on the same port; without one, a proxy is started.
    pub async fn start(
        state: &Path,
        port: u16,
        variables: &BTreeMap<&str, String>,
        kv: Option<FaultProxy>,
    ) -> Self {
        let port = if port == 0 { free_port() } else { port };
        let mut command = Command::new(paths::node_tool("wrangler"));
        command
            .args(["dev", "--ip", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .args(["--inspector-port", "0", "--show-interactive-dev-session", "false", "--log-level", "info"])
            .arg("--persist-to")
            .arg(state)
            .current_dir(paths::root())
            .env("PATH", paths::search_path())
            .env("WRANGLER_SEND_METRICS", "false")
            .env("WRANGLER_LOG_PATH", state.join("logs"))
            .env("NO_UPDATE_NOTIFIER", "1")
            .env("CI", "1");
        for (name, value) in variables {
            command.arg("--var").arg(format!("{name}:{value}"));
        }
        let process = Process::start("wrangler dev", command, &state.join("wrangler.log"));
        let kv = match kv {
            Some(kv) => kv,
            None => FaultProxy::start(([127, 0, 0, 1], port).into()).await,
        };
        let mut wrangler = Self { port, process, kv };
        wrangler.wait_until_ready().await;
        wrangler
    }

    async fn wait_until_ready(&mut self) {
        for _ in 0..1200 {
            if self.process.output().contains("Ready on") {
                return;
            }
            if let Some(status) = self.process.ended() {
                panic!("wrangler dev ended with {status}:\n{}", self.process.output());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("wrangler dev did not become ready:\n{}", self.process.output());
    }

    /// Stops the Worker. The proxy of its KV keeps running.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Returns the proxy of its KV, for the next Worker.
    pub fn into_kv(self) -> FaultProxy {
        self.kv
    }

    /// Returns the port of the Worker.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the base URL of the Worker.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the base URL of the KV REST API.
    pub fn kv_api(&self) -> String {
        format!("{}/cdn-cgi/explorer/api", self.kv.url())
    }

    /// Returns the output of wrangler so far.
    pub fn output(&self) -> String {
        self.process.output()
    }
}
