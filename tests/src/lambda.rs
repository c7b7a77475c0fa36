//! The functions behind `cargo lambda watch`: the real runtime API, the real binaries.

use crate::{paths, process::Process};
use std::{collections::BTreeMap, ffi::OsString, path::Path, process::Command, time::Duration};
use tempfile::TempDir;

/// A running Lambda runtime and its functions.
pub struct Lambda {
    port: u16,
    // Dropped in this order: the functions exit before the runtime that they poll.
    functions: Vec<Function>,
    runtime: Process,
    _logs: TempDir,
}

/// A process of a function.
struct Function {
    name: String,
    index: usize,
    environment: BTreeMap<OsString, String>,
    process: Process,
    /// Output of the processes before it, which were killed.
    before: String,
}

impl Function {
    fn output(&self) -> String {
        format!("{}{}", self.before, self.process.output())
    }
}

impl Lambda {
    /// Starts the runtime on a port, and the given number of processes of each function. A process
    /// handles one event at a time, as in the cloud.
    pub async fn start<N: AsRef<std::ffi::OsStr>>(
        port: u16,
        functions: &[(&str, usize)],
        environment: impl Fn(&str) -> BTreeMap<N, String>,
    ) -> Self {
        let logs = tempfile::tempdir().expect("a directory for logs");
        let mut command = Command::new(paths::cargo_lambda());
        command
            .args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1", "--invoke-port"])
            .arg(port.to_string())
            .current_dir(paths::root());
        let runtime = Process::start("cargo lambda watch", command, &logs.path().join("runtime.log"));
        let mut lambda = Self { port, functions: Vec::new(), runtime, _logs: logs };
        lambda.wait_for_port().await;
        for (name, processes) in functions {
            for process in 0..*processes {
                let environment = environment(name).into_iter();
                let environment =
                    environment.map(|(name, value)| (name.as_ref().to_owned(), value)).collect();
                lambda.functions.push(lambda.function(name, process, environment));
            }
        }
        lambda.functions_stay_up().await;
        lambda
    }

    /// Fails if a function exited at once: every request to it would hang.
    async fn functions_stay_up(&mut self) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for function in &mut self.functions {
            if let Some(status) = function.process.ended() {
                panic!("a function ended with {status}:\n{}", function.process.output());
            }
        }
    }

    async fn wait_for_port(&mut self) {
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            if let Some(status) = self.runtime.ended() {
                panic!("cargo lambda watch ended with {status}:\n{}", self.runtime.output());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("cargo lambda watch did not start to listen:\n{}", self.runtime.output());
    }

    fn function(&self, name: &str, index: usize, environment: BTreeMap<OsString, String>) -> Function {
        let process = self.process(name, index, &environment);
        Function { name: name.to_owned(), index, environment, process, before: String::new() }
    }

    fn process(&self, name: &str, index: usize, environment: &BTreeMap<OsString, String>) -> Process {
        let mut command = Command::new(paths::function(name));
        command
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{}/.rt/{name}", self.port))
            .envs(environment);
        Process::start(name, command, &self.log(name, index))
    }

    fn log(&self, name: &str, index: usize) -> std::path::PathBuf {
        Path::new(self._logs.path()).join(format!("{name}-{index}.log"))
    }

    /// Kills the processes of a function, whatever they are doing. What was invoked is never answered.
    pub fn kill(&mut self, name: &str) {
        for function in self.functions.iter_mut().filter(|function| function.name == name) {
            function.process.kill();
        }
    }

    /// Starts the processes of a function anew that were killed.
    pub fn start_again(&mut self, name: &str) {
        for at in 0..self.functions.len() {
            let function = &self.functions[at];
            if function.name == name {
                let output = function.process.output();
                let process = self.process(name, function.index, &function.environment);
                let function = &mut self.functions[at];
                function.before.push_str(&output);
                function.process = process;
            }
        }
    }

    /// Returns the base URL of a function that serves HTTP.
    pub fn url(&self, function: &str) -> String {
        format!("http://127.0.0.1:{}/lambda-url/{function}", self.port)
    }

    /// Returns the URL at which a function is invoked.
    pub fn invocation_url(&self, function: &str) -> String {
        format!("http://127.0.0.1:{}/2015-03-31/functions/{function}/invocations", self.port)
    }

    /// Invokes a function as EventBridge Scheduler does, and returns its result.
    ///
    /// # Errors
    ///
    /// Returns the response body if the function fails, and a description of the failure if there
    /// is no usable response.
    pub async fn tick(&self, function: &str) -> Result<serde_json::Value, String> {
        let url = self.invocation_url(function);
        let response = reqwest::Client::new()
            .post(url)
            .body(scheduled_event().to_string())
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let text = response.text().await.map_err(|error| error.to_string())?;
        let body: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        if !status.is_success() || body.get("errorMessage").is_some() {
            return Err(text);
        }
        Ok(body)
    }

    /// Returns the output of the functions so far.
    pub fn output(&self) -> String {
        self.functions.iter().map(Function::output).collect()
    }

    /// Returns the output of the processes of one function so far.
    pub fn output_of(&self, name: &str) -> String {
        self.functions.iter().filter(|function| function.name == name).map(Function::output).collect()
    }
}

/// Returns the event with which EventBridge Scheduler invokes a function.
pub(crate) fn scheduled_event() -> serde_json::Value {
    serde_json::json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "123456789012",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/cutover"],
        "detail": {},
    })
}
