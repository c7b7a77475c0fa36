//! `cargo xtask deploy`: functions, infrastructure, secrets, Worker, in this order, each step shown. Every step is
//! idempotent: what broke off is begun again, and what is done already is not done twice. docs/DEPLOY.md has the same
//! steps by hand.

use crate::{
    edge, functions, root,
    run::{Failure, command, output, run, step, with_input},
    tools::{self, Purpose},
};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

/// What is deployed, and where.
struct Target {
    environment: String,
    /// The folder with the Terraform configuration; a team may keep a copy in a repository of its own, with its wrangler.toml
    /// beside it.
    infra: PathBuf,
    is_plan: bool,
    terraform: &'static str,
    region: String,
}

/// A secret that is made here where it has no value: its name, and the Worker's secret that must be the same.
const MADE: [(&str, Option<&str>); 4] = [
    ("ingest", Some("CUTOVER_INGEST_SECRET")),
    ("edge", Some("CUTOVER_EDGE_TOKEN")),
    ("root", None),
    ("webhook", None),
];

/// The variable that brings the Cloudflare token for Workers KV the first time.
const KV_TOKEN: &str = "CUTOVER_KV_TOKEN";

/// Deploys, or shows what would change.
pub fn deploy(arguments: &[&str]) -> Result<(), Failure> {
    let target = Target::read(arguments)?;
    tools::install(Purpose::Deploy)?;
    target.check_settings()?;
    functions::build()?;
    edge::build()?;
    edge::size_gate()?;
    target.apply()?;
    if target.is_plan {
        step("the Worker, as it would be uploaded");
        let out = root().join("target/wrangler").display().to_string();
        let fix = "read what wrangler printed above; it checks wrangler.toml";
        run(&mut target.wrangler(&["deploy", "--dry-run", "--outdir", &out]), fix)?;
        step("nothing was changed; without --plan this is what happens");
        return Ok(());
    }
    target.fill_secrets()?;
    target.deploy_worker()?;
    target.tell_what_next()
}

impl Target {
    fn read(arguments: &[&str]) -> Result<Self, Failure> {
        let fix = "cargo xtask deploy [--env staging|production] [--plan] [--infra FOLDER]";
        let (mut environment, mut is_plan, mut infra) = ("staging", false, root().join("infra"));
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
                _ => return Err(Failure::new(format!("{word} is not understood here"), fix)),
            }
        }
        let mut target = Self {
            environment: environment.to_owned(),
            infra,
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

    /// A text in the environment's variables.
    fn setting(&self, name: &str) -> Option<String> {
        if let Ok(value) = std::env::var(format!("TF_VAR_{name}")) {
            return Some(value);
        }
        let text = fs::read_to_string(self.variables()).ok()?;
        let line =
            text.lines().find(|line| line.split_once('=').is_some_and(|(key, _)| key.trim() == name))?;
        Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
    }

    /// What Terraform and wrangler must agree about, before either is asked.
    fn check_settings(&self) -> Result<(), Failure> {
        let file = self.variables();
        let shown = file.strip_prefix(root()).unwrap_or(&file).display();
        for name in ["cloudflare_account_id", "kv_namespace_id"] {
            if self.setting(name).is_none() {
                return Err(Failure::new(
                    format!("{name} is not set in {shown}"),
                    "`npx wrangler whoami` shows the account, `npx wrangler kv namespace create CUTOVER_KV` makes the \
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
                    "write it as the id of CUTOVER_KV for {}, so that the edge reads what is published",
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
        let fix = "read what it printed above; AWS credentials are looked for as usual (aws sts get-caller-identity)";
        run(&mut self.terraform(&["init", "-input=false"]), fix)?;
        run(&mut self.terraform(&["workspace", "select", "-or-create", &self.environment]), fix)?;
        let variables = fs::canonicalize(self.variables()).unwrap_or_else(|_| self.variables());
        let variables = format!("-var-file={}", variables.display());
        let archives = format!("-var=archives={}", archives(&self.infra).display());
        let change = if self.is_plan { "plan" } else { "apply" };
        let mut terraform =
            self.terraform(&[change, "-input=false", "-lock-timeout=60s", &variables, &archives]);
        if !self.is_plan {
            terraform.arg("-auto-approve");
        }
        run(&mut terraform, fix)
    }

    fn aws(&self, arguments: &[&str]) -> Command {
        let mut aws = command("aws");
        aws.arg("secretsmanager").args(arguments).args(["--region", &self.region, "--output", "text"]);
        aws
    }

    fn secret_name(&self, name: &str) -> String {
        format!("cutover-{}/{name}", self.environment)
    }

    /// The value of a secret; `None` where it has none yet.
    fn secret(&self, name: &str) -> Option<String> {
        let name = self.secret_name(name);
        let arguments = ["get-secret-value", "--secret-id", &name, "--query", "SecretString"];
        let mut aws = self.aws(&arguments);
        output(aws.stderr(std::process::Stdio::null()), "").ok().filter(|value| !value.is_empty())
    }

    fn put_secret(&self, name: &str, value: &str) -> Result<(), Failure> {
        let full = self.secret_name(name);
        // Through standard input: arguments of a process are seen by others.
        let arguments = ["put-secret-value", "--secret-id", &full, "--secret-string", "file:///dev/stdin"];
        let mut aws = self.aws(&[&arguments[..], &["--query", "VersionId"]].concat());
        with_input(&mut aws, value, "install the AWS command line, and allow secretsmanager:PutSecretValue")
    }

    fn exists(&self, name: &str) -> bool {
        let name = self.secret_name(name);
        let arguments = ["describe-secret", "--secret-id", &name, "--query", "ARN"];
        output(&mut self.aws(&arguments), "").is_ok()
    }

    /// Gives every secret a value that has none; one that has is left alone.
    fn fill_secrets(&self) -> Result<(), Failure> {
        step("secrets");
        let fix = "install the AWS command line, version 1.29 or later";
        output(command("aws").arg("--version"), fix)?;
        for (name, _) in MADE {
            if self.exists(name) && self.secret(name).is_none() {
                self.put_secret(name, &random()?)?;
                eprintln!("    {} was made", self.secret_name(name));
            }
        }
        if self.secret("kv").is_none() {
            let fix = format!(
                "make an API token with the permission Workers KV Storage: Edit in Cloudflare's dashboard, and run \
                 this again with it in {KV_TOKEN}"
            );
            let token = std::env::var(KV_TOKEN).ok().filter(|token| !token.is_empty());
            let name = self.secret_name("kv");
            let token = token.ok_or_else(|| Failure::new(format!("{name} has no value yet"), fix))?;
            self.put_secret("kv", &token)?;
            eprintln!("    {name} was filled");
        }
        Ok(())
    }

    /// wrangler's name of the environment; production is the one without a name.
    fn wrangler_environment(&self) -> &str {
        if self.environment == "production" { "" } else { &self.environment }
    }

    /// The Worker's settings: beside the Terraform configuration's folder, or else the project's own.
    fn wrangler_file(&self) -> PathBuf {
        let beside = self.infra.parent().map(|folder| folder.join("wrangler.toml"));
        beside.filter(|file| file.is_file()).unwrap_or_else(|| root().join("wrangler.toml"))
    }

    fn wrangler(&self, arguments: &[&str]) -> Command {
        let mut wrangler = command(root().join("node_modules/.bin/wrangler"));
        wrangler.args(arguments).args(["--env", self.wrangler_environment(), "--config"]);
        wrangler.arg(self.wrangler_file()).env("WRANGLER_SEND_METRICS", "false");
        wrangler
    }

    fn output_of(&self, name: &str) -> Result<String, Failure> {
        output(&mut self.terraform(&["output", "-raw", name]), "run the whole of `cargo xtask deploy` again")
    }

    fn deploy_worker(&self) -> Result<(), Failure> {
        step("the Worker");
        let ingest = format!("INGEST_URL:{}", self.output_of("ingest_url")?);
        let fix = "read what wrangler printed above; `npx wrangler login` or CLOUDFLARE_API_TOKEN lets it in";
        run(&mut self.wrangler(&["deploy", "--var", &ingest]), fix)?;
        let held = output(&mut self.wrangler(&["secret", "list"]), fix)?;
        for (name, worker) in MADE {
            if let (Some(worker), Some(value)) = (worker, self.secret(name))
                && !held.contains(worker)
            {
                with_input(&mut self.wrangler(&["secret", "put", worker]), &value, fix)?;
            }
        }
        Ok(())
    }

    fn tell_what_next(&self) -> Result<(), Failure> {
        let (management, ingest) = (self.output_of("management_url")?, self.output_of("ingest_url")?);
        let root = self.secret_name("root");
        step("deployed; now, from any machine:");
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

/// The archives, as seen from the Terraform configuration or by their whole path.
fn archives(infra: &Path) -> PathBuf {
    let built = root().join("target/lambda");
    if infra == root().join("infra") { PathBuf::from("../target/lambda") } else { built }
}

/// Terraform, or OpenTofu where that is what there is.
fn terraform() -> Result<&'static str, Failure> {
    let found =
        ["terraform", "tofu"].into_iter().find(|name| output(command(name).arg("version"), "").is_ok());
    found.ok_or_else(|| {
        Failure::new(
            "neither terraform nor tofu is on this machine",
            "install Terraform 1.9 or later, or OpenTofu 1.9 or later",
        )
    })
}

/// 256 random bits as hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bits = [0_u8; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bits))
        .map_err(|error| Failure::new(format!("/dev/urandom: {error}"), "run this on Linux or macOS"))?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
