//! Terraform or OpenTofu, if installed, and the AWS provider, which is looked for on this machine
//! first and then fetched by an ordinary `init`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// Directories whose children may be plugin mirrors, in addition to those that Terraform searches.
const PARENTS: [&str; 4] = ["/opt", "/usr/share", "/usr/local/share", "/var/lib"];

/// An installed Terraform or OpenTofu, and the source of its providers.
pub struct Terraform {
    /// `terraform` or `tofu`.
    pub program: &'static str,
    /// A directory of providers on this machine, or `None` if `init` fetches them.
    pub plugins: Option<PathBuf>,
}

/// Runs a command. Returns true if it succeeded, and its standard output followed by its standard
/// error.
pub fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it starts");
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

impl Terraform {
    /// Finds the program and the AWS provider.
    ///
    /// # Errors
    ///
    /// Returns the reason if there is neither `terraform` nor `tofu`, or the provider cannot be
    /// found or fetched.
    pub fn find(infra: &Path) -> Result<Self, String> {
        let answers = |name: &&&str| {
            Command::new(**name).arg("version").output().is_ok_and(|output| output.status.success())
        };
        let program = ["terraform", "tofu"].iter().find(answers).copied();
        let program = program.ok_or("neither terraform nor tofu is installed")?;
        let plugins = mirror();
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut init = Command::new(program);
        init.arg(format!("-chdir={}", infra.display())).args(["init", "-backend=false", "-input=false"]);
        init.env("TF_DATA_DIR", scratch.path());
        clean(&mut init);
        if let Some(plugins) = &plugins {
            init.arg(format!("-plugin-dir={}", plugins.display()));
        }
        // The lock file of the project stays: the provider must have one of its checksums.
        let (worked, printed) = run(&mut init);
        if worked {
            return Ok(Self { program, plugins });
        }
        let reason: Vec<&str> = printed.lines().filter(|line| line.contains("rror")).collect();
        Err(format!(
            "the AWS provider is not on this machine, and `{program} init` could not fetch it: {}",
            reason.join(" ")
        ))
    }

    /// Sets the environment in which a command finds the providers.
    pub fn prepare(&self, command: &mut Command) {
        clean(command);
        if let Some(plugins) = &self.plugins {
            command.env("TF_CLI_ARGS_init", format!("-plugin-dir={}", plugins.display()));
        }
        command.env("TF_IN_AUTOMATION", "1").env("TF_CLI_ARGS", "-no-color");
    }
}

/// Removes a `TF_CLI_CONFIG_FILE` that names a missing file: the failure would have nothing to do
/// with our configuration.
fn clean(command: &mut Command) {
    if std::env::var_os("TF_CLI_CONFIG_FILE").is_some_and(|file| !Path::new(&file).exists()) {
        command.env_remove("TF_CLI_CONFIG_FILE");
    }
}

/// Returns a directory in the layout of a plugin mirror that holds the provider.
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
