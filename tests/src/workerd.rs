//! workerd without wrangler: it starts in milliseconds on free ports, runs any number of Workers in
//! one process, and reads Workers KV from [`crate::kv_server`].

use crate::{http::EDGE_TOKEN, inspector::Inspector, paths, process::Process};
use std::{collections::BTreeMap, fmt::Write, path::Path, process::Command, time::Duration};
use tempfile::TempDir;

/// Compatibility date of our Worker, the same as in `wrangler.toml`.
pub const COMPATIBILITY_DATE: &str = "2026-04-01";

/// A Worker of a workerd process.
pub struct Worker<'a> {
    name: &'a str,
    modules: Vec<(&'a str, &'static str, Vec<u8>)>,
    text: Vec<(String, String)>,
    flags: Vec<&'a str>,
    /// Names of bindings, the Workers that they lead to, and their entrypoints, empty for the default one.
    services: Vec<(&'a str, &'a str, &'a str)>,
    /// The Worker that has the limiters.
    limiters: Option<&'a str>,
    kv: Option<u16>,
    port: u16,
}

impl<'a> Worker<'a> {
    /// Returns our built Worker, which reads KV from the given port.
    pub fn edge(name: &'a str, kv_port: u16) -> Self {
        Self::built(name, kv_port, &paths::worker())
    }

    /// A build of our Worker in this folder, reading KV from this port.
    pub fn built(name: &'a str, kv_port: u16, folder: &Path) -> Self {
        let read = |file: &str| {
            let path = folder.join(file);
            std::fs::read(&path)
                .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build edge`", path.display()))
        };
        Self {
            name,
            modules: vec![
                ("shim.mjs", "esModule", read("shim.mjs")),
                ("index.wasm", "wasm", read("index.wasm")),
            ],
            text: vec![("CUTOVER_EDGE_TOKEN".to_owned(), EDGE_TOKEN.to_owned())],
            flags: Vec::new(),
            services: Vec::new(),
            limiters: None,
            kv: Some(kv_port),
            port: 0,
        }
    }

    /// Returns a Worker written in JavaScript.
    pub fn javascript(name: &'a str, file: &Path) -> Self {
        Self {
            name,
            modules: vec![("worker.mjs", "esModule", script(file))],
            text: Vec::new(),
            flags: Vec::new(),
            services: Vec::new(),
            limiters: None,
            kv: None,
            port: 0,
        }
    }

    /// Adds a module that the Worker imports.
    pub fn importing(mut self, name: &'a str, file: &Path) -> Self {
        self.modules.push((name, "esModule", script(file)));
        self
    }

    /// Puts a module in front of the others. It handles the requests, and imports the module that did so before.
    pub fn behind(mut self, name: &'a str, file: &Path) -> Self {
        self.modules.insert(0, (name, "esModule", script(file)));
        self
    }

    /// Prepends JavaScript to the main module. It runs before the module's own code, and after that of its imports.
    pub fn preceded_by(mut self, javascript: &str) -> Self {
        if let Some((_, _, text)) = self.modules.first_mut() {
            let mut whole = format!("{javascript}\n").into_bytes();
            whole.append(text);
            *text = whole;
        }
        self
    }

    /// Sets a compatibility flag.
    pub fn flagged(mut self, flag: &'a str) -> Self {
        self.flags.push(flag);
        self
    }

    /// Listens on this port, or for 0, as by default, on a free one.
    pub fn on_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Binds another Worker of the same process.
    pub fn bound_to(self, binding: &'a str, worker: &'a str) -> Self {
        self.bound_to_entrypoint(binding, worker, "")
    }

    /// Binds an entrypoint of a Worker of the same process.
    pub fn bound_to_entrypoint(mut self, binding: &'a str, worker: &'a str, entrypoint: &'a str) -> Self {
        self.services.push((binding, worker, entrypoint));
        self
    }

    /// Returns a stand-in for the platform's cache, in front of the cached entrypoint of a Worker. That one is bound to it by
    /// [`Worker::cached_by`].
    pub fn cache(name: &'a str, of: &'a str) -> Self {
        let file = paths::root().join("tests/vectors/cache.js");
        Self::javascript(name, &file).bound_to_entrypoint("INNER", of, "Answers")
    }

    /// Puts a stand-in for the platform's cache in front of the Worker's cached entrypoint.
    pub fn cached_by(self, cache: &'a str) -> Self {
        self.bound_to("CACHE_STANDIN", cache)
    }

    /// Binds the limiters of another Worker of the same process, or its own.
    pub fn limited_by(mut self, worker: &'a str) -> Self {
        self.limiters = Some(worker);
        self
    }

    /// Sets an environment variable.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.text.retain(|(held, _)| held != name);
        self.text.push((name.to_owned(), value.into()));
        self
    }
}

fn script(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A running workerd.
pub struct Workerd {
    process: Process,
    ports: BTreeMap<String, u16>,
    inspector: Option<u16>,
    _config: TempDir,
}

impl Workerd {
    /// Starts one process with the given Workers, each on its own port.
    pub fn start(workers: &[Worker<'_>]) -> Self {
        Self::launch(workers, false)
    }

    /// Starts one process with the given Workers, whose heaps can be inspected.
    pub fn inspected(workers: &[Worker<'_>]) -> Self {
        Self::launch(workers, true)
    }

    fn launch(workers: &[Worker<'_>], is_inspected: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the configuration");
        let config = directory.path().join("config.capnp");
        std::fs::write(&config, configuration(workers, directory.path()))
            .expect("the configuration is written");
        let mut command = Command::new(paths::workerd());
        command.args(["serve", "--experimental", "--control-fd=1"]);
        if is_inspected {
            command.arg("--inspector-addr=127.0.0.1:0");
        }
        command.arg(&config);
        let log = directory.path().join("workerd.log");
        let mut process = Process::start("workerd", command, &log);
        let (ports, inspector) = process.wait_for("its ports", Duration::from_secs(60), |output| {
            let ports: BTreeMap<String, u16> = output.lines().filter_map(listening).collect();
            let inspector = output.lines().find_map(listening_inspector);
            let is_complete = ports.len() == workers.len() && inspector.is_some() == is_inspected;
            is_complete.then_some((ports, inspector))
        });
        Self { process, ports, inspector, _config: directory }
    }

    /// Returns the port of a Worker.
    pub fn port(&self, name: &str) -> u16 {
        *self.ports.get(name).unwrap_or_else(|| panic!("there is no Worker {name}"))
    }

    /// Connects to the inspector of a Worker.
    pub async fn inspect(&self, name: &str) -> Inspector {
        let port = self.inspector.expect("workerd was started with the inspector");
        Inspector::open(port, name).await
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the output of workerd so far.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// Parses a line such as `{"event":"listen","socket":"edge","port":41075}`.
fn listening(line: &str) -> Option<(String, u16)> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let port = u16::try_from(event.get("port")?.as_u64()?).ok()?;
    Some((event.get("socket")?.as_str()?.to_owned(), port))
}

/// Parses the line `{"event":"listen-inspector","port":41076}`.
fn listening_inspector(line: &str) -> Option<u16> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_inspector = event.get("event")? == "listen-inspector";
    u16::try_from(event.get("port")?.as_u64()?).ok().filter(|_| is_inspector)
}

fn configuration(workers: &[Worker<'_>], directory: &Path) -> String {
    let mut services = String::from(
        "(name = \"internet\", network = (allow = [\"public\", \"private\", \"local\"], tlsOptions = (trustBrowserCas = true))),\n",
    );
    let mut sockets = String::new();
    let mut definitions = String::new();
    for (index, worker) in workers.iter().enumerate() {
        let name = worker.name;
        writeln!(services, "(name = \"{name}\", worker = .worker{index}),")
            .expect("writing to a string cannot fail");
        let port = worker.port;
        writeln!(sockets, "(name = \"{name}\", address = \"127.0.0.1:{port}\", http = (cfBlobHeader = \"cf-blob\"), service = \"{name}\"),")
            .expect("writing to a string cannot fail");
        let mut modules = String::new();
        for (module, kind, content) in &worker.modules {
            let file = format!("{index}-{module}");
            std::fs::write(directory.join(&file), content).expect("the module is written");
            writeln!(modules, "(name = \"{module}\", {kind} = embed \"{file}\"),")
                .expect("writing to a string cannot fail");
        }
        let mut bindings = String::new();
        for (name, value) in &worker.text {
            writeln!(bindings, "(name = \"{name}\", text = {}),", serde_json::json!(value))
                .expect("writing to a string cannot fail");
        }
        for (name, service, entrypoint) in &worker.services {
            let entrypoint = match *entrypoint {
                "" => String::new(),
                entrypoint => format!(", entrypoint = \"{entrypoint}\""),
            };
            writeln!(bindings, "(name = \"{name}\", service = (name = \"{service}\"{entrypoint})),")
                .expect("writing to a string cannot fail");
        }
        if let Some(port) = worker.kv {
            writeln!(
                services,
                "(name = \"kv{index}\", external = (address = \"127.0.0.1:{port}\", http = ())),"
            )
            .expect("writing to a string cannot fail");
            writeln!(bindings, "(name = \"CUTOVER_KV\", kvNamespace = \"kv{index}\"),")
                .expect("writing to a string cannot fail");
        }
        let mut objects = String::new();
        if let Some(limiters) = worker.limiters {
            let class = "className = \"CutoverLimiter\"";
            writeln!(bindings, "(name = \"CUTOVER_LIMITS\", durableObjectNamespace = ({class}, serviceName = \"{limiters}\")),")
                .expect("writing to a string cannot fail");
            if limiters == name {
                let disk = directory.join(format!("limiters{index}"));
                std::fs::create_dir(&disk).expect("a folder for the limiters");
                let path = disk.display();
                writeln!(
                    services,
                    "(name = \"limiters{index}\", disk = (path = \"{path}\", writable = true)),"
                )
                .expect("writing to a string cannot fail");
                objects = format!(
                    ", durableObjectNamespaces = [({class}, uniqueKey = \"limiters\", enableSql = true)], \
                     durableObjectStorage = (localDisk = \"limiters{index}\")"
                );
            }
        }
        let flags: Vec<String> = worker.flags.iter().map(|flag| format!("\"{flag}\"")).collect();
        let flags = flags.join(", ");
        writeln!(
            definitions,
            "const worker{index} :Workerd.Worker = (modules = [{modules}], bindings = [{bindings}], \
             compatibilityDate = \"{COMPATIBILITY_DATE}\", compatibilityFlags = [{flags}]{objects});"
        )
        .expect("writing to a string cannot fail");
    }
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (services = [{services}], sockets = [{sockets}]);\n{definitions}"
    )
}
