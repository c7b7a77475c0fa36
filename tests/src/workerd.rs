//! workerd without wrangler: starts in milliseconds, on free ports, with as many Workers in one process as a
//! test wants, and with Workers KV served by [`crate::kv_server`].

use crate::{paths, process::Process};
use std::{collections::BTreeMap, fmt::Write, path::Path, process::Command, time::Duration};
use tempfile::TempDir;

/// The platform features that our Worker is deployed with; `wrangler.toml` names the same date.
pub const COMPATIBILITY_DATE: &str = "2026-04-01";

/// One Worker of a process.
pub struct Worker<'a> {
    name: &'a str,
    modules: Vec<(&'a str, &'static str, Vec<u8>)>,
    text: Vec<(String, String)>,
    kv: Option<u16>,
}

impl<'a> Worker<'a> {
    /// Our Worker as it was built, reading KV from this port.
    pub fn edge(name: &'a str, kv_port: u16) -> Self {
        let read = |file: &str| {
            let path = paths::worker().join(file);
            std::fs::read(&path)
                .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build edge`", path.display()))
        };
        Self {
            name,
            modules: vec![
                ("shim.mjs", "esModule", read("shim.mjs")),
                ("index.wasm", "wasm", read("index.wasm")),
            ],
            text: Vec::new(),
            kv: Some(kv_port),
        }
    }

    /// A Worker in JavaScript.
    pub fn javascript(name: &'a str, file: &Path) -> Self {
        let text = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { name, modules: vec![("worker.mjs", "esModule", text)], text: Vec::new(), kv: None }
    }

    /// Adds a module that the Worker imports.
    pub fn importing(mut self, name: &'a str, file: &Path) -> Self {
        let text = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.modules.push((name, "esModule", text));
        self
    }

    /// Sets an environment variable.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.text.push((name.to_owned(), value.into()));
        self
    }
}

/// A running workerd.
pub struct Workerd {
    process: Process,
    ports: BTreeMap<String, u16>,
    _config: TempDir,
}

impl Workerd {
    /// Starts one process with these Workers, each on a port of its own.
    pub fn start(workers: &[Worker<'_>]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the configuration");
        let config = directory.path().join("config.capnp");
        std::fs::write(&config, configuration(workers, directory.path()))
            .expect("the configuration is written");
        let mut command = Command::new(paths::workerd());
        command.args(["serve", "--experimental", "--control-fd=1"]).arg(&config);
        let log = directory.path().join("workerd.log");
        let mut process = Process::start("workerd", command, &log);
        let ports = process.wait_for("its ports", Duration::from_secs(20), |output| {
            let ports: BTreeMap<String, u16> = output.lines().filter_map(listening).collect();
            (ports.len() == workers.len()).then_some(ports)
        });
        Self { process, ports, _config: directory }
    }

    /// The port of a Worker.
    pub fn port(&self, name: &str) -> u16 {
        *self.ports.get(name).unwrap_or_else(|| panic!("there is no Worker {name}"))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// A line such as `{"event":"listen","socket":"edge","port":41075}`.
fn listening(line: &str) -> Option<(String, u16)> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let port = u16::try_from(event.get("port")?.as_u64()?).ok()?;
    Some((event.get("socket")?.as_str()?.to_owned(), port))
}

fn configuration(workers: &[Worker<'_>], directory: &Path) -> String {
    let mut services = String::from(
        "(name = \"internet\", network = (allow = [\"public\", \"private\", \"local\"], tlsOptions = (trustBrowserCas = true))),\n",
    );
    let mut sockets = String::new();
    let mut definitions = String::new();
    for (at, worker) in workers.iter().enumerate() {
        let name = worker.name;
        writeln!(services, "(name = \"{name}\", worker = .worker{at}),").expect("text grows");
        writeln!(sockets, "(name = \"{name}\", address = \"127.0.0.1:0\", http = (cfBlobHeader = \"cf-blob\"), service = \"{name}\"),")
            .expect("text grows");
        let mut modules = String::new();
        for (module, kind, content) in &worker.modules {
            let file = format!("{at}-{module}");
            std::fs::write(directory.join(&file), content).expect("a module is written");
            writeln!(modules, "(name = \"{module}\", {kind} = embed \"{file}\"),").expect("text grows");
        }
        let mut bindings = String::new();
        for (name, value) in &worker.text {
            writeln!(bindings, "(name = \"{name}\", text = {}),", serde_json::json!(value))
                .expect("text grows");
        }
        if let Some(port) = worker.kv {
            writeln!(
                services,
                "(name = \"kv{at}\", external = (address = \"127.0.0.1:{port}\", http = ())),"
            )
            .expect("text grows");
            writeln!(bindings, "(name = \"CUTOVER_KV\", kvNamespace = \"kv{at}\"),").expect("text grows");
        }
        writeln!(
            definitions,
            "const worker{at} :Workerd.Worker = (modules = [{modules}], bindings = [{bindings}], \
             compatibilityDate = \"{COMPATIBILITY_DATE}\");"
        )
        .expect("text grows");
    }
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (services = [{services}], sockets = [{sockets}]);\n{definitions}"
    )
}
