//! `cargo xtask deploy`: functions, infrastructure, secrets, Worker, in this order, each step shown. Every step is
//! idempotent, so a deployment that fails part-way is simply run again. docs/DEPLOY.md has the same steps by hand.

use crate::{
    edge, functions,
    root::root,
    run::{Failure, command, output, run, step, with_input},
    tools::{self, Purpose},
};
use std::{fs, io::Read, path::PathBuf, process::Command};

/// The environment to deploy, and where its settings are.
struct Target {
    environment: String,
    /// The folder with the Terraform configuration. A team may keep a copy in a repository of its own, next to its
    /// wrangler.toml.
    infra: PathBuf,
    /// Archives that were built elsewhere, instead of building them here.
    archives: Option<PathBuf>,
    is_plan: bool,
    terraform: &'static str,
    region: String,
}

/// Secrets that are generated if they have no value: the name, and the Worker's secret that must be equal.
const GENERATED: [(&str, Option<&str>); 4] = [
    ("ingest", Some("CUTOVER_INGEST_SECRET")),
    ("edge", Some("CUTOVER_EDGE_TOKEN")),
    ("root", None),
    ("webhook", None),
];

/// The environment variable with the Cloudflare token for Workers KV, needed for the first deployment.
const KV_TOKEN: &str = "CUTOVER_KV_TOKEN";

/// Deploys, or with `--plan` shows the changes without making them.
///
/// # Errors
/// Fails at the first step that fails; running it again continues there.
pub fn deploy(arguments: &[&str]) -> Result<(), Failure> {
    let target = Target::read(arguments)?;
    tools::install(Purpose::Deploy)?;
    target.check_settings()?;
    if target.archives.is_none() {
        functions::build()?;
    }
    edge::build()?;
    edge::size_gate()?;
    target.apply()?;
    if target.is_plan {
        step("the Worker, assembled but not uploaded");
        let out = root().join("target/wrangler").display().to_string();
        let fix = "read the messages above; wrangler checks wrangler.toml";
        run(&mut target.wrangler(&["deploy", "--dry-run", "--outdir", &out]), fix)?;
        step("nothing was changed; run it without --plan to make these changes");
        return Ok(());
    }
    target.fill_secrets()?;
    target.deploy_worker()?;
    target.print_next_steps()
}

impl Target {
    fn read(arguments: &[&str]) -> Result<Self, Failure> {
        let fix =
            "cargo xtask deploy [--env staging|production] [--plan] [--infra FOLDER] [--archives FOLDER]";
        let (mut environment, mut is_plan) = ("staging", false);
        let (mut infra, mut archives) = (root().join("infra"), None);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match (*word, words.as_slice().first()) {
                ("--plan", _) => is_plan = true,
                ("--env", Some(value @ (&"staging" | &"production"))) => {
                    environment = value;
                    words.next();
                }
                ("--infra", Some(folder)) => {
                    infra = PathBuf::from(folder);
                    words.next();
                }
                ("--archives", Some(folder)) => {
                    archives = Some(PathBuf::from(folder));
                    words.next();
                }
                _ => return Err(Failure::new(format!("unknown argument {word}"), fix)),
            }
        }
        let mut target = Self {
            environment: environment.to_owned(),
            infra,
            archives,
            is_plan,
            terraform: terraform()?,
            region: String::new(),
        };
        target.region = target.setting("region").unwrap_or_else(|| "us-east-1".to_owned());
        Ok(target)
    }

    fn variables(&self) -> PathBuf {
        self.infra.join("environments").join(format!("{}.tfvars", self.environment))
    }

    /// Returns a string of the environment's variables.
    fn setting(&self, name: &str) -> Option<String> {
        if let Ok(value) = std::env::var(format!("TF_VAR_{name}")) {
            return Some(value);
        }
        let text = fs::read_to_string(self.variables()).ok()?;
        let line =
            text.lines().find(|line| line.split_once('=').is_some_and(|(key, _)| key.trim() == name))?;
        Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
    }

    /// Checks the settings that Terraform and wrangler must agree about, before either runs.
    fn check_settings(&self) -> Result<(), Failure> {
        let file = self.variables();
        let shown = file.strip_prefix(root()).unwrap_or(&file).display();
        for name in ["cloudflare_account_id", "kv_namespace_id"] {
            if self.setting(name).is_none() {
                return Err(Failure::new(
                    format!("{name} is not set in {shown}"),
                    "`npx wrangler whoami` shows the account, `npx wrangler kv namespace create CUTOVER_KV` creates the \
                     namespace; docs/DEPLOY.md has the steps",
                ));
            }
        }
        let namespace = self.setting("kv_namespace_id").unwrap_or_default();
        let wrangler = fs::read_to_string(self.wrangler_file()).unwrap_or_default();
        if !wrangler.contains(&namespace) {
            return Err(Failure::new(
                format!("wrangler.toml does not bind the KV namespace {namespace}"),
                format!(
                    "set the id of CUTOVER_KV for {} to it, so that the edge reads the published snapshot",
                    self.environment
                ),
            ));
        }
        Ok(())
    }

    fn terraform(&self, arguments: &[&str]) -> Command {
        let mut terraform = command(self.terraform);
        terraform
            .arg(format!("-chdir={}", self.infra.display()))
            .args(arguments)
            .env("TF_IN_AUTOMATION", "1");
        terraform
    }

    fn apply(&self) -> Result<(), Failure> {
        step(&format!("infrastructure of {}", self.environment));
        let fix =
            "read the messages above; `aws sts get-caller-identity` shows whether there are AWS credentials";
        run(&mut self.terraform(&["init", "-input=false"]), fix)?;
        run(&mut self.terraform(&["workspace", "select", "-or-create", &self.environment]), fix)?;
        let variables = fs::canonicalize(self.variables()).unwrap_or_else(|_| self.variables());
        let variables = format!("-var-file={}", variables.display());
        let archives = format!("-var=archives={}", self.archives().display());
        let change = if self.is_plan { "plan" } else { "apply" };
        let mut terraform =
            self.terraform(&[change, "-input=false", "-lock-timeout=60s", &variables, &archives]);
        if !self.is_plan {
            terraform.arg("-auto-approve");
        }
        run(&mut terraform, fix)
    }

    /// Returns the folder of the archives, relative to the Terraform configuration where that is the project's own, so that
    /// its state does not name this machine's folders.
    fn archives(&self) -> PathBuf {
        match &self.archives {
            Some(folder) => fs::canonicalize(folder).unwrap_or_else(|_| folder.clone()),
            None if self.infra == root().join("infra") => PathBuf::from("../target/lambda"),
            None => root().join("target/lambda"),
        }
    }

    fn aws(&self, arguments: &[&str]) -> Command {
        let mut aws = command("aws");
        aws.arg("secretsmanager").args(arguments).args(["--region", &self.region, "--output", "text"]);
        aws
    }

    fn secret_name(&self, name: &str) -> String {
        format!("cutover-{}/{name}", self.environment)
    }

    /// Returns the value of a secret, or `None` if it has none yet.
    fn secret(&self, name: &str) -> Option<String> {
        let name = self.secret_name(name);
        let arguments = ["get-secret-value", "--secret-id", &name, "--query", "SecretString"];
        let mut aws = self.aws(&arguments);
        output(aws.stderr(std::process::Stdio::null()), "").ok().filter(|value| !value.is_empty())
    }

    fn put_secret(&self, name: &str, value: &str) -> Result<(), Failure> {
        let full = self.secret_name(name);
        // Through standard input: other users can see the arguments of a process.
        let arguments = ["put-secret-value", "--secret-id", &full, "--secret-string", "file:///dev/stdin"];
        let mut aws = self.aws(&[&arguments[..], &["--query", "VersionId"]].concat());
        with_input(&mut aws, value, "install the AWS command line, and allow secretsmanager:PutSecretValue")
    }

    fn exists(&self, name: &str) -> bool {
        let name = self.secret_name(name);
        let arguments = ["describe-secret", "--secret-id", &name, "--query", "ARN"];
        output(&mut self.aws(&arguments), "").is_ok()
    }

    /// Generates the secrets that have no value. Existing values stay.
    fn fill_secrets(&self) -> Result<(), Failure> {
        step("secrets");
        let fix = "install the AWS command line, version 1.29 or later";
        output(command("aws").arg("--version"), fix)?;
        for (name, _) in GENERATED {
            if self.exists(name) && self.secret(name).is_none() {
                self.put_secret(name, &random()?)?;
                eprintln!("    {} was generated", self.secret_name(name));
            }
        }
        if self.secret("kv").is_none() {
            let fix = format!(
                "create an API token with the permission Workers KV Storage: Edit in Cloudflare's dashboard, set \
                 {KV_TOKEN} to it, and run this again"
            );
            let token = std::env::var(KV_TOKEN).ok().filter(|token| !token.is_empty());
            let name = self.secret_name("kv");
            let token = token.ok_or_else(|| Failure::new(format!("{name} has no value yet"), fix))?;
            self.put_secret("kv", &token)?;
            eprintln!("    {name} was set");
        }
        Ok(())
    }

    /// Returns wrangler's name of the environment, which is empty for production.
    fn wrangler_environment(&self) -> &str {
        if self.environment == "production" { "" } else { &self.environment }
    }

    /// Returns the wrangler.toml next to the folder of the Terraform configuration, or else the project's own.
    fn wrangler_file(&self) -> PathBuf {
        let sibling = self.infra.parent().map(|folder| folder.join("wrangler.toml"));
        sibling.filter(|file| file.is_file()).unwrap_or_else(|| root().join("wrangler.toml"))
    }

    fn wrangler(&self, arguments: &[&str]) -> Command {
        let mut wrangler = command(root().join("node_modules/.bin/wrangler"));
        wrangler.args(arguments).args(["--env", self.wrangler_environment(), "--config"]);
        wrangler.arg(self.wrangler_file()).env("WRANGLER_SEND_METRICS", "false");
        wrangler
    }

    fn output_of(&self, name: &str) -> Result<String, Failure> {
        output(
            &mut self.terraform(&["output", "-raw", name]),
            "run `cargo xtask deploy` again from its beginning",
        )
    }

    fn deploy_worker(&self) -> Result<(), Failure> {
        step("the Worker");
        let ingest = format!("INGEST_URL:{}", self.output_of("ingest_url")?);
        let fix = "read the messages above; sign in with `npx wrangler login` or CLOUDFLARE_API_TOKEN";
        run(&mut self.wrangler(&["deploy", "--var", &ingest]), fix)?;
        let held = output(&mut self.wrangler(&["secret", "list"]), fix)?;
        for (name, worker) in GENERATED {
            if let (Some(worker), Some(value)) = (worker, self.secret(name))
                && !held.contains(worker)
            {
                with_input(&mut self.wrangler(&["secret", "put", worker]), &value, fix)?;
            }
        }
        Ok(())
    }

    fn print_next_steps(&self) -> Result<(), Failure> {
        let (management, ingest) = (self.output_of("management_url")?, self.output_of("ingest_url")?);
        let root = self.secret_name("root");
        step("deployed; from any machine:");
        println!("export CUTOVER_URL={management}");
        println!("export CUTOVER_INGEST_URL={ingest}");
        println!(
            "export CUTOVER_TOKEN=$(aws secretsmanager get-secret-value --region {} --secret-id {root} \
             --query SecretString --output text)",
            self.region
        );
        println!("cutover preflight --edge https://YOUR.API");
        Ok(())
    }
}

/// Terraform, or OpenTofu if that is the one installed.
fn terraform() -> Result<&'static str, Failure> {
    let found =
        ["terraform", "tofu"].into_iter().find(|name| output(command(name).arg("version"), "").is_ok());
    found.ok_or_else(|| {
        Failure::new(
            "neither terraform nor tofu is installed",
            "install Terraform 1.9 or later, or OpenTofu 1.9 or later",
        )
    })
}

/// Returns 256 random bits as hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bits = [0_u8; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bits))
        .map_err(|error| Failure::new(format!("/dev/urandom: {error}"), "run this on Linux or macOS"))?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
