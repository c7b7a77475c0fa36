//! The environment to deploy: its files, and the programs that change it.

use crate::{
    deploy::options::Options,
    root::root,
    run::{Failure, command, exchange, output, run, step},
    tools,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The environment to deploy.
pub struct Target {
    /// The arguments of the command.
    pub options: Options,
    terraform: &'static str,
}

/// Settings of the environment, as Terraform evaluates them.
#[derive(Debug)]
pub struct Settings {
    /// The AWS region.
    pub region: String,
    /// The Cloudflare account; `None` if it is not set.
    pub account: Option<String>,
    /// The KV namespace; `None` if it is not set.
    pub namespace: Option<String>,
    /// Instances that the functions reserve, in all.
    pub reserved: u32,
}

/// Expressions for [`Settings`]. The console prints the value of the last one of its input only, so each is asked alone.
const SETTINGS: [&str; 4] =
    ["var.region", "var.cloudflare_account_id", "var.kv_namespace_id", "local.reserved_concurrency"];

/// The script that reads TOML and JSON, for which this crate would need dependencies.
const READ: &str = "xtask/src/deploy/read.py";

/// Remedy for a failure of Terraform.
pub const TERRAFORM_FIX: &str =
    "read the messages above; `aws sts get-caller-identity` shows whether there are AWS credentials";

impl Target {
    /// Finds the programs.
    ///
    /// # Errors
    /// Fails if there is neither Terraform nor OpenTofu.
    pub fn new(options: Options) -> Result<Self, Failure> {
        Ok(Self { options, terraform: terraform()? })
    }

    /// The name of the environment.
    pub fn environment(&self) -> &str {
        &self.options.environment
    }

    /// The file with the variables of the environment.
    pub fn variables(&self) -> PathBuf {
        self.options.infra.join("environments").join(format!("{}.tfvars", self.environment()))
    }

    /// The argument that names the file with the variables. Terraform resolves it in the folder of its configuration.
    pub fn variables_argument(&self) -> String {
        let file = fs::canonicalize(self.variables()).unwrap_or_else(|_| self.variables());
        format!("-var-file={}", file.display())
    }

    /// Returns a command of Terraform.
    pub fn terraform(&self, arguments: &[&str]) -> Command {
        let mut terraform = command(self.terraform);
        terraform
            .arg(format!("-chdir={}", self.options.infra.display()))
            .args(arguments)
            .env("TF_IN_AUTOMATION", "1");
        terraform
    }

    /// Prepares Terraform, and selects the workspace of the environment.
    ///
    /// # Errors
    /// Fails if the provider cannot be had.
    pub fn prepare(&self) -> Result<(), Failure> {
        step(&format!("Terraform for {}", self.environment()));
        run(&mut self.terraform(&["init", "-input=false"]), TERRAFORM_FIX)?;
        let select = ["workspace", "select", "-or-create", self.environment()];
        run(&mut self.terraform(&select), TERRAFORM_FIX)
    }

    /// Evaluates the settings, with the variables of the environment and those in `TF_VAR_…`.
    ///
    /// # Errors
    /// Fails if Terraform cannot evaluate them.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let mut printed = String::new();
        for expression in SETTINGS {
            let mut console = self.terraform(&["console", &self.variables_argument()]);
            printed.push_str(&exchange(&mut console, expression, TERRAFORM_FIX)?);
            printed.push('\n');
        }
        read_settings(&printed).ok_or_else(|| {
            let what = format!("Terraform evaluates the settings of {} to {printed:?}", self.environment());
            Failure::new(what, "compare the folder given by --infra with the project's own")
        })
    }

    /// Returns an output of Terraform.
    ///
    /// # Errors
    /// Fails if nothing has been applied yet.
    pub fn output(&self, name: &str) -> Result<String, Failure> {
        let fix = "run `cargo xtask deploy` again from its beginning";
        output(&mut self.terraform(&["output", "-raw", name]), fix)
    }

    /// Returns a command of the AWS command line that prints text.
    pub fn aws(&self, settings: &Settings, arguments: &[&str]) -> Command {
        aws(settings, arguments, "text")
    }

    /// Returns a command of the AWS command line that prints JSON.
    pub fn aws_json(&self, settings: &Settings, arguments: &[&str]) -> Command {
        aws(settings, arguments, "json")
    }

    /// Returns wrangler's name of the environment, which is empty for production.
    pub fn wrangler_environment(&self) -> &str {
        if self.environment() == "production" { "" } else { self.environment() }
    }

    /// Returns the wrangler.toml next to the folder of the Terraform configuration, or else the project's own.
    pub fn wrangler_file(&self) -> PathBuf {
        let sibling = self.options.infra.parent().map(|folder| folder.join("wrangler.toml"));
        sibling.filter(|file| file.is_file()).unwrap_or_else(|| root().join("wrangler.toml"))
    }

    /// Returns a command of wrangler: the one that npm installed next to wrangler.toml, or else the project's own.
    pub fn wrangler(&self, arguments: &[&str]) -> Command {
        let file = self.wrangler_file();
        let installed = |folder: &Path| folder.join("node_modules/.bin/wrangler");
        let sibling = file.parent().map(installed).filter(|program| program.is_file());
        let sibling = sibling.and_then(|program| std::path::absolute(program).ok());
        let mut wrangler = command(sibling.unwrap_or_else(|| installed(&root())));
        wrangler.args(arguments).args(["--env", self.wrangler_environment(), "--config"]);
        wrangler.arg(file).env("WRANGLER_SEND_METRICS", "false");
        wrangler
    }

    /// Runs one of the readers in `read.py`.
    ///
    /// # Errors
    /// Fails if it does.
    pub fn read(&self, arguments: &[&str], input: &str, fix: &str) -> Result<String, Failure> {
        exchange(command(tools::python_of_tools()).arg(root().join(READ)).args(arguments), input, fix)
    }
}

fn aws(settings: &Settings, arguments: &[&str], format: &str) -> Command {
    let mut aws = command("aws");
    aws.args(arguments).args(["--region", &settings.region, "--output", format]);
    aws
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

/// Parses the output of the console for [`SETTINGS`]. Variables without a value are printed as not known yet.
fn read_settings(printed: &str) -> Option<Settings> {
    let mut lines = printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut text = || {
        let line = lines.next()?;
        Some(line.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    };
    let (region, account, namespace) = (text()?, text(), text());
    let reserved = lines.next()?.parse().ok()?;
    lines.next().is_none().then_some(Settings { region, account, namespace, reserved })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_terraform_prints_them() {
        let read = read_settings("\"us-east-1\"\n\"0123\"\n(known after apply)\n119\n").unwrap();
        assert_eq!((read.region.as_str(), read.reserved), ("us-east-1", 119));
        assert_eq!((read.account.as_deref(), read.namespace), (Some("0123"), None));
        for wrong in
            ["", "\"us-east-1\"\n\"0\"\n\"1\"\n", "\"us-east-1\"\n\"0\"\n\"1\"\n(known after apply)\n"]
        {
            assert!(read_settings(wrong).is_none(), "{wrong}");
        }
    }
}
