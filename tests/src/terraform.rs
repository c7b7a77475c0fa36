//! Terraform or OpenTofu, if they are on this machine, and the AWS provider, which is looked for on the machine and then
//! through an ordinary `init`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// Where plugins are looked for besides where Terraform itself looks: folders of the shape of a plugin mirror.
const PARENTS: [&str; 4] = ["/opt", "/usr/share", "/usr/local/share", "/var/lib"];

/// A program that reads Terraform's language, and where its providers come from.
pub struct Terraform {
    /// terraform or tofu.
    pub program: &'static str,
    /// A folder of providers on this machine; `None` where `init` fetches them.
    pub plugins: Option<PathBuf>,
}

/// Runs a command, and returns what it printed, both outputs in one.
pub fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it starts");
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

impl Terraform {
    /// Looks for both. Says why where there is nothing to work with.
    pub fn find(infra: &Path) -> Result<Self, String> {
        let answers = |name: &&&str| {
            Command::new(**name).arg("version").output().is_ok_and(|output| output.status.success())
        };
        let program = ["terraform", "tofu"].iter().find(answers).copied();
        let program = program.ok_or("neither terraform nor tofu is on this machine")?;
        let plugins = mirror();
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut init = Command::new(program);
        init.arg(format!("-chdir={}", infra.display())).args(["init", "-backend=false", "-input=false"]);
        init.env("TF_DATA_DIR", scratch.path());
        clean(&mut init);
        if let Some(plugins) = &plugins {
            init.arg(format!("-plugin-dir={}", plugins.display()));
        }
        let (worked, printed) = run(&mut init);
        let _ = std::fs::remove_file(infra.join(".terraform.lock.hcl"));
        if worked {
            return Ok(Self { program, plugins });
        }
        let reason: Vec<&str> = printed.lines().filter(|line| line.contains("rror")).collect();
        Err(format!(
            "the AWS provider is neither on this machine nor does `{program} init` get it: {}",
            reason.join(" ")
        ))
    }

    /// Lets a command find the providers.
    pub fn prepare(&self, command: &mut Command) {
        clean(command);
        if let Some(plugins) = &self.plugins {
            command.env("TF_CLI_ARGS_init", format!("-plugin-dir={}", plugins.display()));
        }
        command.env("TF_IN_AUTOMATION", "1").env("TF_CLI_ARGS", "-no-color");
    }
}

/// A configuration file of Terraform's that is named and not there says nothing about ours.
fn clean(command: &mut Command) {
    if std::env::var_os("TF_CLI_CONFIG_FILE").is_some_and(|file| !Path::new(&file).exists()) {
        command.env_remove("TF_CLI_CONFIG_FILE");
    }
}

/// A folder of the shape of a plugin mirror that holds the provider.
fn mirror() -> Option<PathBuf> {
    let named = std::env::var_os("CUTOVER_TERRAFORM_PLUGINS").map(PathBuf::from);
    let children = PARENTS
        .iter()
        .filter_map(|parent| std::fs::read_dir(parent).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()));
    named
        .into_iter()
        .chain(children)
        .find(|folder| folder.join("registry.terraform.io/hashicorp/aws").is_dir())
}
