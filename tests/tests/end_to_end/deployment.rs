//! docs/DEPLOY.md, walked as a new user would: its blocks are run in their order, against emulators of AWS, with nothing
//! assumed; the functions are then started with exactly what Terraform gave them, and looked at from outside.

use crate::permissions::deployed::Deployed;
use cutover_tests::{
    is_deep,
    kv_server::KvServer,
    lambda::Lambda,
    moto::Moto,
    paths,
    process::free_port,
    terraform::{Terraform, run},
    workerd::{Worker, Workerd},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
const NAMESPACE: &str = "fedcba9876543210fedcba9876543210";
const FUNCTIONS: [&str; 4] = ["management", "ingest", "evaluate", "promote"];

/// The blocks that are marked `sh`, each with the heading above it.
fn blocks() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(paths::root().join("docs/DEPLOY.md")).unwrap();
    let (mut blocks, mut heading, mut open) = (Vec::new(), String::new(), None);
    for line in text.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.push((heading.clone(), open.take().unwrap())),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, line) => {
                if let Some(title) = line.strip_prefix("## ") {
                    heading = title.to_owned();
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// A folder that looks like a clone of the project; what is written while walking is written here.
fn clone(folder: &Path) {
    let root = paths::root();
    for copied in ["infra", "wrangler.toml"] {
        let (done, printed) = run(Command::new("cp").arg("-r").arg(root.join(copied)).arg(folder));
        assert!(done, "{printed}");
    }
    for left in [".terraform", "terraform.tfstate.d", ".terraform.lock.hcl"] {
        let _ = std::fs::remove_dir_all(folder.join("infra").join(left));
        let _ = std::fs::remove_file(folder.join("infra").join(left));
    }
    for linked in ["edge", "node_modules", "package.json", "docs", "target/debug", "target/wrangler"] {
        std::fs::create_dir_all(folder.join(linked).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(root.join(linked), folder.join(linked)).unwrap();
    }
    archives(&folder.join("target/lambda"));
    // wrangler would build the Worker from sources that are not here; it is built.
    let toml = std::fs::read_to_string(folder.join("wrangler.toml")).unwrap();
    let toml = toml.replace("command = \"cargo xtask build edge\"", "command = \"true\"");
    std::fs::write(folder.join("wrangler.toml"), toml).unwrap();
}

/// The archives that Terraform uploads. The emulator of AWS does not run them, so only a deep run builds them for arm64;
/// another run uploads archives of a placeholder.
fn archives(folder: &Path) {
    if is_deep() {
        std::os::unix::fs::symlink(paths::root().join("target/lambda"), folder).unwrap();
        return;
    }
    let placeholder = folder.join("bootstrap");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(&placeholder, "#!/bin/sh\n").unwrap();
    for name in FUNCTIONS {
        std::fs::create_dir(folder.join(name)).unwrap();
        let mut zip = Command::new(paths::root().join(".tools/tests/bin/python"));
        zip.args(["-m", "zipfile", "-c"]).arg(folder.join(name).join("bootstrap.zip")).arg(&placeholder);
        let (done, printed) = run(&mut zip);
        assert!(done, "{printed}");
    }
}

/// Adds the archives to the arguments of `cargo xtask deploy`, which builds them itself in a deep run.
fn with_archives<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    if is_deep() { command } else { command.arg("--archives").arg(folder.join("target/lambda")) }
}

struct Walk {
    folder: PathBuf,
    terraform: Terraform,
    environment: BTreeMap<String, String>,
}

impl Walk {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).envs(&self.environment);
        self.terraform.prepare(&mut command);
        command
    }

    /// Runs a block in a shell of its own, and keeps what it exported for the next one.
    async fn run_block(&mut self, heading: &str, block: &str) -> String {
        let exported = self.folder.join("exported");
        let script = format!("set -euo pipefail\n{block}\nexport -p > '{}'\n", exported.display());
        let mut command = self.command("bash");
        command.arg("-c").arg(script);
        // Commands wait for servers that run in this process.
        let (done, printed) = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        assert!(done, "{heading}:\n{block}\n{printed}");
        for line in std::fs::read_to_string(exported).unwrap().lines() {
            if let Some((name, value)) = line.strip_prefix("declare -x ").and_then(|l| l.split_once('='))
                && name.starts_with("CUTOVER_")
            {
                self.environment.insert(name.to_owned(), value.trim_matches('"').to_owned());
            }
        }
        println!("--- {heading}\n{}", last_lines(&printed, 12));
        printed
    }

    /// `cargo xtask deploy --plan` shows all that it would do, and does none of it.
    async fn in_a_hurry(&self) {
        let infra = self.folder.join("infra");
        let mut command = self.command(paths::root().join("target/debug/xtask").to_str().unwrap());
        command.args(["deploy", "--env", "staging", "--plan", "--infra"]).arg(&infra);
        with_archives(&mut command, &self.folder);
        let (done, printed) = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        assert!(done, "{printed}");
        for shown in
            ["zipped for arm64", "bytes gzipped; the limit", "Plan: ", "Total Upload", "nothing was changed"]
        {
            if shown == "zipped for arm64" && !is_deep() {
                continue;
            }
            assert!(printed.contains(shown), "{shown} is missing:\n{printed}");
        }
        println!("--- cargo xtask deploy --plan\n{}", last_lines(&printed, 3));
        let listed = run(self.command("aws").args(["dynamodb", "list-tables", "--output", "text"]));
        assert_eq!(listed, (true, String::new()), "--plan made something");
        let named = infra.join("environments/staging.tfvars");
        let text = std::fs::read_to_string(&named).unwrap();
        std::fs::write(&named, text.replace("kv_namespace_id", "# kv_namespace_id")).unwrap();
        let mut command = self.command(paths::root().join("target/debug/xtask").to_str().unwrap());
        let (done, printed) =
            run(with_archives(command.args(["deploy", "--plan", "--infra"]).arg(&infra), &self.folder));
        assert!(!done && printed.contains("kv_namespace_id is not set in"), "{printed}");
        std::fs::write(&named, text).unwrap();
    }

    fn terraform(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.command(self.terraform.program);
        run(command.arg("-chdir=infra").args(arguments))
    }

    /// The resources as Terraform knows them: type, name, index, values.
    fn resources(&self) -> Vec<Value> {
        let mut command = self.command(self.terraform.program);
        let output = command.args(["-chdir=infra", "show", "-json"]).output().unwrap();
        let state: Value = serde_json::from_slice(&output.stdout).unwrap();
        state["values"]["root_module"]["resources"].as_array().unwrap().clone()
    }

    /// What Terraform gave each function, and what sends it to the emulators in the place of AWS and Cloudflare.
    fn of_function(&self, name: &str, kv_api: &str) -> BTreeMap<String, String> {
        let resources = self.resources();
        let function = resources
            .iter()
            .find(|resource| resource["type"] == "aws_lambda_function" && resource["index"] == name)
            .unwrap_or_else(|| panic!("Terraform made no function {name}"));
        let variables = function["values"]["environment"][0]["variables"].as_object().unwrap();
        let mut environment: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let moto = &self.environment["AWS_ENDPOINT_URL"];
        for service in ["DYNAMODB", "SECRETS_MANAGER"] {
            environment.insert(format!("AWS_ENDPOINT_URL_{service}"), moto.clone());
        }
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
            environment.insert(name.to_owned(), self.environment[name].clone());
        }
        if environment.contains_key("CUTOVER_KV_API") {
            assert!(environment["CUTOVER_KV_API"].ends_with(&format!("/accounts/{ACCOUNT}")));
            environment.insert("CUTOVER_KV_API".to_owned(), kv_api.to_owned());
        }
        environment
    }

    async fn start_functions(&self, port: u16, kv_api: &str) -> Lambda {
        let functions = FUNCTIONS.map(|name| (name, 1));
        Lambda::start(port, &functions, |name| self.of_function(name, kv_api)).await
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// What every test here begins with: a folder that looks like a clone, and an empty AWS. `None`, with a word about it, where
/// Terraform or its provider cannot be had.
async fn set_out(what: &str) -> Option<(tempfile::TempDir, Moto, Walk)> {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().to_path_buf();
    clone(&folder);
    let terraform = match Terraform::find(&folder.join("infra")) {
        Ok(terraform) => terraform,
        Err(reason) => {
            // In CI a Terraform without its provider is a fault of the machine, and must not pass in silence.
            let is_installed = !reason.contains("is installed");
            assert!(!(is_installed && std::env::var_os("CI").is_some()), "{what}: {reason}");
            // Past the capture of test output, so that the log of a run shows it.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {reason}");
            return None;
        }
    };
    let moto = Moto::start().await;
    let mut environment = moto.environment();
    let programs = [".tools/tests/bin", "target/debug"].map(|at| paths::root().join(at));
    let inherited = paths::search_path();
    let path = programs.into_iter().chain(std::env::split_paths(&inherited));
    let path = std::env::join_paths(path).unwrap();
    for (name, value) in [
        ("PATH", path.to_str().unwrap()),
        ("CLOUDFLARE_ACCOUNT_ID", ACCOUNT),
        ("KV_NAMESPACE_ID", NAMESPACE),
        ("CUTOVER_KV_TOKEN", "the-cloudflare-token"),
        ("FIRST_FLAG", "graphql_offers_read"),
        ("USER", "ann"),
        ("WRANGLER_SEND_METRICS", "false"),
        ("CI", "1"),
    ] {
        environment.insert(name.to_owned(), value.to_owned());
    }
    let walk = Walk { folder, terraform, environment };
    Some((scratch, moto, walk))
}

/// `cargo xtask deploy` as far as AWS goes. There is no account at Cloudflare here, so it breaks off at the Worker, says what to
/// do, and begins again without doing anything twice.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "two applications of Terraform; `cargo xtask test --deep` runs it, and the walk below plans one"]
async fn deploy_breaks_off_and_goes_on_where_it_was() {
    let Some((_scratch, _moto, mut walk)) = set_out("cargo xtask deploy was not run").await else { return };
    let (heading, block) = blocks().into_iter().find(|(heading, _)| heading.starts_with("2.")).unwrap();
    walk.run_block(&heading, &block).await;
    let deploy = async |walk: &Walk| {
        let mut command = walk.command(paths::root().join("target/debug/xtask").to_str().unwrap());
        command.args(["deploy", "--env", "staging", "--infra"]).arg(walk.folder.join("infra"));
        with_archives(&mut command, &walk.folder);
        // Whoever runs the test may be signed in at Cloudflare: nothing must get there.
        command.env("CLOUDFLARE_API_TOKEN", "none").env("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:9");
        tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
    };
    let secret = |walk: &Walk, name: &str| {
        let id = format!("cutover-staging/{name}");
        let arguments = ["secretsmanager", "get-secret-value", "--secret-id", &id, "--query", "SecretString"];
        let (there, value) = run(walk.command("aws").args(arguments).args(["--output", "text"]));
        there.then(|| value.trim().to_owned())
    };
    // Without the Cloudflare token nothing can be published: it says how to make one.
    let token = walk.environment.remove("CUTOVER_KV_TOKEN").unwrap();
    let (done, printed) = deploy(&walk).await;
    assert!(!done && printed.contains("Apply complete!"), "{printed}");
    assert!(
        printed.contains("cutover-staging/kv has no value yet") && printed.contains("CUTOVER_KV_TOKEN"),
        "{printed}"
    );
    let made =
        ["ingest", "edge", "root"].map(|name| secret(&walk, name).unwrap_or_else(|| panic!("no {name}")));
    assert!(made.iter().all(|value| value.len() == 64), "{made:?}");
    assert!(!made.iter().any(|value| printed.contains(value)), "a secret was printed");
    walk.environment.insert("CUTOVER_KV_TOKEN".to_owned(), token.clone());
    let (done, printed) = deploy(&walk).await;
    assert!(!done && printed.contains("0 added, 0 changed, 0 destroyed"), "{printed}");
    assert!(printed.contains("sign in with `npx wrangler login` or CLOUDFLARE_API_TOKEN"), "{printed}");
    assert_eq!(secret(&walk, "kv"), Some(token));
    assert_eq!(["ingest", "edge", "root"].map(|name| secret(&walk, name).unwrap()), made, "made twice");
    println!("{}", last_lines(&printed, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_md_walked_from_its_beginning_to_its_end() {
    let Some((_scratch, _moto, mut walk)) = set_out("docs/DEPLOY.md was not walked").await else { return };
    let folder = walk.folder.clone();

    // The two backends and KV are there before; the rest comes as the page brings it.
    let data = Arc::new(cutover_origins::Data::default());
    let legacy = cutover_origins::Origin::start(cutover_origins::Backend::Legacy, Arc::clone(&data)).await;
    let new = cutover_origins::Origin::start(cutover_origins::Backend::New, data).await;
    let kv = KvServer::start().await;
    let kv_api = format!("http://127.0.0.1:{}", kv.port());
    let example = std::fs::read_to_string(paths::root().join("tests/dev.yaml")).unwrap();
    let example = example.replace("LEGACY_URL", &legacy.url()).replace("NEW_URL", &new.url());
    std::fs::write(folder.join("cutover.yaml"), example).unwrap();

    let port = free_port();
    let (mut functions, mut edge): (Option<Lambda>, Option<Workerd>) = (None, None);
    for (heading, block) in blocks() {
        let number = heading.split('.').next().unwrap();
        if number == "8" {
            let worker = Worker::edge("edge", kv.port())
                .with("LEGACY_ORIGIN", legacy.url())
                .with("INGEST_URL", &walk.environment["CUTOVER_INGEST_URL"])
                .with("REPORT_INTERVAL_MS", "500")
                .with("SNAPSHOT_SOFT_TTL_MS", "500")
                .with("CUTOVER_INGEST_SECRET", &walk.environment["CUTOVER_INGEST_SECRET"])
                .with("CUTOVER_EDGE_TOKEN", &walk.environment["CUTOVER_EDGE_TOKEN"]);
            let workerd = Workerd::start(&[worker]);
            let url = format!("http://127.0.0.1:{}", workerd.port("edge"));
            walk.environment.insert("CUTOVER_EDGE_URL".to_owned(), url);
            edge = Some(workerd);
            for function in ["evaluate", "promote"] {
                functions.as_ref().unwrap().tick(function).await.unwrap();
            }
        }
        if heading == "Later" {
            // Before it is taken away: nothing is different from what is written.
            let variables = ["-var-file=environments/staging.tfvars", "-input=false"];
            let (same, printed) = walk.terraform(&["plan", "-detailed-exitcode", variables[0], variables[1]]);
            assert!(same, "a second apply would change something:\n{printed}");
            println!("--- a second plan\n{}", last_lines(&printed, 4));
        }
        let printed = walk.run_block(&heading, &block).await;
        match number {
            "2" => walk.in_a_hurry().await,
            "3" => {
                assert!(printed.contains("Apply complete!"), "{printed}");
                let (valid, printed) = walk.terraform(&["validate"]);
                assert!(valid && printed.contains("is valid"), "{printed}");
                let resources = walk.resources();
                let deployed = Deployed::new(&resources);
                assert_eq!(deployed.faults_of_roles(), Vec::<String>::new());
                assert_eq!(deployed.faults_of_urls(), Vec::<String>::new());
            }
            "5" => {
                // Where AWS would have put them.
                assert!(walk.environment["CUTOVER_URL"].starts_with("https://"));
                functions = Some(walk.start_functions(port, &kv_api).await);
                let lambda = functions.as_ref().unwrap();
                for (name, function) in [("CUTOVER_URL", "management"), ("CUTOVER_INGEST_URL", "ingest")] {
                    walk.environment.insert(name.to_owned(), lambda.url(function));
                }
            }
            "6" => {
                assert!(printed.contains("ann"), "{printed}");
                // Functions get their new variables when Terraform changes them.
                let root = walk.resources();
                let value = |kind: &str| {
                    root.iter().find(|r| r["type"] == kind && r["index"] == "management").unwrap()["values"]
                        .clone()
                };
                let variables = value("aws_lambda_function")["environment"][0]["variables"].clone();
                assert_eq!(variables["CUTOVER_ROOT_TOKEN_ARN"], Value::Null, "the root token is still on");
                assert_eq!(Deployed::new(&root).faults_of_roles(), Vec::<String>::new());
                drop(functions.take());
                functions = Some(walk.start_functions(port, &kv_api).await);
            }
            "7" => assert!(printed.contains("Total Upload"), "{printed}"),
            "8" if block.contains("preflight") => {
                assert!(printed.contains("ok       edge and API agree"), "{printed}");
                assert!(!printed.contains("FAIL"), "{printed}");
            }
            _ => {}
        }
        if heading == "Later" {
            assert!(printed.contains("Destroy complete!"), "{printed}");
        }
    }
    let output = functions.as_ref().map(Lambda::output).unwrap_or_default();
    for name in ["CUTOVER_TOKEN", "CUTOVER_INGEST_SECRET", "CUTOVER_KV_TOKEN"] {
        assert!(!output.contains(&walk.environment[name]), "{name} is in a log");
    }
    drop(edge);
}
