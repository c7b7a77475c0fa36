//! A walk through docs/DEPLOY.md: a folder that looks like a clone, an empty AWS, and the commands that are run there.

use super::made;
use cutover_tests::{
    is_deep,
    lambda::Lambda,
    moto::Moto,
    paths,
    terraform::{Terraform, run},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};
use tokio::sync::{Mutex, MutexGuard};

const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
const NAMESPACE: &str = "fedcba9876543210fedcba9876543210";
/// The namespace of production in the tests that name one.
const PRODUCTION: &str = "00112233445566778899aabbccddeeff";
const FUNCTIONS: [&str; 5] = ["management", "ingest", "ask", "evaluate", "promote"];
/// The programs; the emergency function runs that of management.
const ARCHIVES: [&str; 5] = ["management", "ingest", "ask", "evaluate", "promote"];

/// Held by a walk that builds archives: another build would replace them between the plan and its application.
static BUILDS: Mutex<()> = Mutex::const_new(());

/// The blocks that are marked `sh`, each with the heading above it.
pub fn blocks() -> Vec<(String, String)> {
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
    for left in [".terraform", "terraform.tfstate.d"] {
        let _ = std::fs::remove_dir_all(folder.join("infra").join(left));
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
    for name in ARCHIVES {
        std::fs::create_dir(folder.join(name)).unwrap();
        let mut zip = Command::new(paths::root().join(".tools/tests/bin/python"));
        zip.args(["-m", "zipfile", "-c"]).arg(folder.join(name).join("bootstrap.zip")).arg(&placeholder);
        let (done, printed) = run(&mut zip);
        assert!(done, "{printed}");
    }
}

/// Adds the archives to the arguments of `cargo xtask deploy`, which builds them itself in a deep run.
pub fn with_archives<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    if is_deep() { command } else { command.arg("--archives").arg(folder.join("target/lambda")) }
}

/// A walk, as far as it has come.
pub struct Walk {
    /// The folder that looks like a clone.
    pub folder: PathBuf,
    terraform: Terraform,
    /// The variables of the commands.
    pub environment: BTreeMap<String, String>,
    /// Keeps other walks from building archives, in a deep run.
    _builds: Option<MutexGuard<'static, ()>>,
}

impl Walk {
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Nothing of whoever runs the test: the page says where its token is.
        command.env_remove("CUTOVER_TOKEN").env_remove("CUTOVER_CONTEXT");
        command.current_dir(&self.folder).envs(&self.environment);
        self.terraform.prepare(&mut command);
        command
    }

    /// Runs a block in a shell of its own, and keeps what it exported for the next one.
    pub async fn run_block(&mut self, heading: &str, block: &str) -> String {
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

    /// Returns the token that the command line keeps for a context.
    pub fn token_of_context(&self, name: &str) -> String {
        let file = Path::new(&self.environment["XDG_CONFIG_HOME"]).join("cutover/contexts.json");
        let stored: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        stored["contexts"][name]["token"].as_str().expect("a token").to_owned()
    }

    /// `cargo xtask deploy --plan` shows all that it would do, and does none of it.
    pub async fn in_a_hurry(&self) {
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
        let printed = self.refused_plan("staging", "").await;
        assert!(printed.contains("kv_namespace_id is not set in"), "{printed}");
        std::fs::write(&named, text).unwrap();
    }

    /// What `cargo xtask deploy --plan` refuses before it builds anything, with the variables of Cloudflare given.
    async fn refused_plan(&self, environment: &str, namespace: &str) -> String {
        let mut command = self.command(paths::root().join("target/debug/xtask").to_str().unwrap());
        command.args(["deploy", "--env", environment, "--plan", "--infra"]).arg(self.folder.join("infra"));
        if !namespace.is_empty() {
            command.env("TF_VAR_cloudflare_account_id", ACCOUNT).env("TF_VAR_kv_namespace_id", namespace);
        }
        with_archives(&mut command, &self.folder);
        let (done, printed) = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
        assert!(!done && !printed.contains("infrastructure of"), "{printed}");
        printed
    }

    /// Production has a namespace of its own, and reserves more than a new account allows.
    pub async fn production_in_a_new_account(&self) {
        // Staging's namespace is in wrangler.toml, but not for production.
        let printed = self.refused_plan("production", NAMESPACE).await;
        let expected = format!("wrangler.toml does not bind the KV namespace {NAMESPACE} in production");
        assert!(printed.contains(&expected), "{printed}");
        let file = self.folder.join("wrangler.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let bound = text.replace("id = \"cutover-kv\"", &format!("id = \"{PRODUCTION}\""));
        assert_ne!(bound, text, "wrangler.toml has another id for production");
        std::fs::write(&file, bound).unwrap();
        let printed = self.refused_plan("production", PRODUCTION).await;
        std::fs::write(&file, text).unwrap();
        assert!(printed.contains("the account allows 10 concurrent instances"), "{printed}");
        assert!(printed.contains("request-service-quota-increase"), "{printed}");
    }

    /// The variables of another environment would replace everything in this one's state.
    pub fn other_variables_are_refused(&self) {
        let account = format!("-var=cloudflare_account_id={ACCOUNT}");
        let namespace = format!("-var=kv_namespace_id={PRODUCTION}");
        let plan = ["plan", "-input=false", "-refresh=false", "-var-file=environments/production.tfvars"];
        let (planned, printed) =
            self.terraform(&[&plan[..], &[account.as_str(), namespace.as_str()]].concat());
        assert!(!planned && printed.contains("This is the workspace staging"), "{printed}");
    }

    /// The resource policies, as AWS would look at them.
    pub fn urls_are_open(&self) {
        for name in made::WITH_URL {
            let function = format!("cutover-staging-{name}");
            let arguments = ["lambda", "get-policy", "--function-name", &function, "--qualifier", "live"];
            let (there, policy) =
                run(self.command("aws").args(arguments).args(["--query", "Policy", "--output", "text"]));
            let policy: Value = serde_json::from_str(policy.trim()).unwrap_or_else(|error| {
                panic!("{name}, {there}: {error}: {policy}");
            });
            let statements = policy["Statement"].as_array().unwrap();
            let has = |action: &str, condition: &str, value: Value| {
                statements.iter().any(|statement| {
                    statement["Action"] == action
                        && statement["Principal"] == "*"
                        && statement[condition] == value
                })
            };
            assert!(has("lambda:InvokeFunctionUrl", "FunctionUrlAuthType", "NONE".into()), "{policy:#}");
            assert!(has("lambda:InvokeFunction", "InvokedViaFunctionUrl", true.into()), "{policy:#}");
        }
    }

    pub fn terraform(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.command(self.terraform.program);
        run(command.arg("-chdir=infra").args(arguments))
    }

    /// The resources as Terraform knows them: type, name, index, values.
    pub fn resources(&self) -> Vec<Value> {
        self.show(&[])["values"]["root_module"]["resources"].as_array().unwrap().clone()
    }

    fn show(&self, plan: &[&str]) -> Value {
        let mut command = self.command(self.terraform.program);
        let output = command.args(["-chdir=infra", "show", "-json"]).args(plan).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Plans with these arguments. Returns the plan as `terraform show -json` prints it.
    fn planned(&self, arguments: &[&str]) -> Value {
        let plan = ["plan", "-input=false", "-refresh=false", "-out=shown.tfplan"];
        let (planned, printed) = self.terraform(&[&plan[..], arguments].concat());
        assert!(planned, "{printed}");
        self.show(&["shown.tfplan"])
    }

    /// Production with `front`, as Terraform plans it in a workspace of its own.
    pub fn production_withstands_a_flood(&self) {
        let select = |workspace: &str| {
            let (selected, printed) = self.terraform(&["workspace", "select", "-or-create", workspace]);
            assert!(selected, "{printed}");
        };
        select("production");
        let account = format!("-var=cloudflare_account_id={ACCOUNT}");
        let namespace = format!("-var=kv_namespace_id={PRODUCTION}");
        let variables = "-var-file=environments/production.tfvars";
        let plan = self.planned(&[variables, &account, &namespace, "-var=front={enabled=true}"]);
        select("staging");
        let planned = plan["planned_values"]["root_module"]["resources"].as_array().unwrap();
        made::every_path_has_a_limit(planned);
        made::no_flood_reaches_another_function(planned);
        made::secrets_can_be_restored_for(planned, 30);
    }

    /// H2: with the name of a restored table, the batches stay where they are, and evaluation reads them on.
    pub fn a_restored_table_leaves_the_batches(&self) {
        let variables = "-var-file=environments/staging.tfvars";
        let plan = self.planned(&[variables, "-var=table_name=cutover-staging-restored"]);
        let changes = plan["resource_changes"].as_array().unwrap();
        let actions = |name: &str| {
            let address = format!("aws_dynamodb_table.{name}");
            let change = changes.iter().find(|change| change["address"] == address);
            change.unwrap_or_else(|| panic!("no {address}"))["change"]["actions"].clone()
        };
        assert_eq!(actions("cutover"), json!(["delete", "create"]), "the table has another name");
        assert_eq!(actions("arrivals"), json!(["no-op"]), "the log of batches would be lost");
        let planned = plan["planned_values"]["root_module"]["resources"].as_array().unwrap();
        for (name, function) in made::of_type(planned, "aws_lambda_function") {
            let variables = &function["environment"][0]["variables"];
            assert_eq!(variables["CUTOVER_TABLE"], "cutover-staging-restored", "{name}");
            assert_eq!(variables["CUTOVER_ARRIVALS_TABLE"], "cutover-staging-arrivals", "{name}");
        }
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
        // One pass is enough here; deployed, an invocation works until the next ones stand by.
        if let Some(time) = environment.get_mut("CUTOVER_EVALUATION_MS") {
            assert_eq!(time, "170000");
            "0".clone_into(time);
        }
        environment
    }

    pub async fn start_functions(&self, port: u16, kv_api: &str) -> Lambda {
        let functions = FUNCTIONS.map(|name| (name, 1));
        Lambda::start(port, &functions, |name| self.of_function(name, kv_api)).await
    }

    /// Starts the function for emergencies, which is the program `management`: in a runtime of its own, because one knows a
    /// function by the name of its program.
    pub async fn start_emergency(&self, port: u16, kv_api: &str) -> Lambda {
        Lambda::start(port, &[("management", 1)], |_| self.of_function("emergency", kv_api)).await
    }
}

pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// What every test here begins with: a folder that looks like a clone, and an empty AWS. `None`, with a word about it, where
/// Terraform or its provider cannot be had.
pub async fn set_out(what: &str) -> Option<(tempfile::TempDir, Moto, Walk)> {
    let builds = if is_deep() { Some(BUILDS.lock().await) } else { None };
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
        ("XDG_CONFIG_HOME", folder.join("settings").to_str().unwrap()),
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
    let walk = Walk { folder, terraform, environment, _builds: builds };
    Some((scratch, moto, walk))
}
