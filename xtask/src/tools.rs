//! The tools, their versions, and how they get here. This is the one place for versions that no lock file holds;
//! npm's are in package-lock.json, Python's in requirements.txt here and in tests, Rust's in rust-toolchain.toml.

use crate::{
    root,
    run::{Failure, command, output, run, step},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const WORKER_BUILD: &str = "0.8.7";
const WASM_TARGET: &str = "wasm32-unknown-unknown";
const LAMBDA_TARGET: &str = "aarch64-unknown-linux-gnu";
const MIN_NODE: u32 = 20;
const MIN_PYTHON: (u32, u32) = (3, 11);

/// One tool.
struct Tool {
    name: &'static str,
    is_here: fn() -> bool,
    install: fn() -> Result<(), Failure>,
    wanted_for: Purpose,
}

/// What somebody is about to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Build the Worker.
    Worker,
    /// Run everything on this machine.
    Run,
    /// Build what is deployed.
    Deploy,
    /// Run the tests.
    Test,
}

use Purpose::{Deploy, Run, Test, Worker};

/// In the order in which they are installed: what fails soonest comes first.
const TOOLS: [Tool; 7] = [
    Tool {
        name: "the wasm32 target of Rust",
        is_here: has_wasm_target,
        install: add_wasm_target,
        wanted_for: Worker,
    },
    Tool {
        name: "wrangler, workerd, wasm-opt and esbuild",
        is_here: has_node_modules,
        install: npm_ci,
        wanted_for: Worker,
    },
    Tool { name: "cargo-lambda", is_here: has_cargo_lambda, install: install_cargo_lambda, wanted_for: Run },
    Tool {
        name: "the arm64 target of Rust",
        is_here: has_lambda_target,
        install: add_lambda_target,
        wanted_for: Deploy,
    },
    Tool {
        name: "the emulator of AWS, its command line and schemathesis",
        is_here: has_test_tools,
        install: install_test_tools,
        wanted_for: Test,
    },
    Tool {
        name: "wasm-bindgen",
        is_here: has_wasm_bindgen,
        install: install_wasm_bindgen,
        wanted_for: Worker,
    },
    Tool {
        name: "worker-build",
        is_here: has_worker_build,
        install: install_worker_build,
        wanted_for: Worker,
    },
];

/// Installs what is missing for a purpose.
pub fn install(purpose: Purpose) -> Result<(), Failure> {
    let missing: Vec<&Tool> =
        TOOLS.iter().filter(|tool| tool.wanted_for <= purpose && !(tool.is_here)()).collect();
    for (at, tool) in missing.iter().enumerate() {
        step(&format!("installing {} ({} of {})", tool.name, at + 1, missing.len()));
        (tool.install)()?;
    }
    Ok(())
}

/// Says what is here and what is missing. Succeeds also where something is missing, because the next command
/// installs it; fails where it cannot.
pub fn doctor() -> Result<(), Failure> {
    let report = |name: &str, state: &str| println!("{name:<42} {state}");
    report("node", &node_version()?);
    report("python", &python()?.1);
    for tool in &TOOLS {
        report(tool.name, if (tool.is_here)() { "here" } else { "missing; dev and test install it" });
    }
    Ok(())
}

fn has_target(target: &str) -> bool {
    let fix = "install Rust with rustup";
    output(command("rustc").args(["--print", "target-libdir", "--target", target]), fix)
        .is_ok_and(|directory| Path::new(&directory).is_dir())
}

fn add_target(target: &str) -> Result<(), Failure> {
    let fix = format!("install Rust with rustup, or add the target {target} the way your system does");
    run(command("rustup").args(["target", "add", target]), &fix)
}

fn has_wasm_target() -> bool {
    has_target(WASM_TARGET)
}

fn add_wasm_target() -> Result<(), Failure> {
    add_target(WASM_TARGET)
}

fn has_lambda_target() -> bool {
    has_target(LAMBDA_TARGET)
}

fn add_lambda_target() -> Result<(), Failure> {
    add_target(LAMBDA_TARGET)
}

fn node_version() -> Result<String, Failure> {
    let fix = "install Node.js 20 or later, with npm";
    let version = output(command("node").arg("--version"), fix)?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
    match major {
        Some(major) if major >= MIN_NODE => Ok(version),
        _ => Err(Failure::new(format!("node {version} is too old"), fix)),
    }
}

/// npm leaves a copy of the lock file's contents beside what it installed; it is written last.
fn has_node_modules() -> bool {
    let installed = root().join("node_modules/.cutover-lock");
    fs::read(installed)
        .ok()
        .is_some_and(|stamp| fs::read(root().join("package-lock.json")).ok() == Some(stamp))
}

fn npm_ci() -> Result<(), Failure> {
    node_version()?;
    let fix = "look at npm's message; the lock file names every package it needs";
    run(command("npm").args(["ci", "--no-audit", "--no-fund"]), fix)?;
    fs::copy(root().join("package-lock.json"), root().join("node_modules/.cutover-lock")).map(|_| ()).map_err(
        |error| Failure::new(format!("node_modules cannot be written: {error}"), "check the permissions"),
    )
}

fn python() -> Result<(&'static str, String), Failure> {
    let fix = "install Python 3.11 or later";
    for name in ["python3", "python"] {
        let Ok(version) = output(command(name).arg("--version"), fix) else { continue };
        let mut numbers =
            version.trim_start_matches("Python ").split('.').filter_map(|text| text.parse().ok());
        if (numbers.next(), numbers.next()) >= (Some(MIN_PYTHON.0), Some(MIN_PYTHON.1)) {
            return Ok((name, version));
        }
    }
    Err(Failure::new("no Python that is new enough was found", fix))
}

/// A Python environment of its own, made of a list of pinned packages.
struct Environment {
    folder: &'static str,
    requirements: &'static str,
}

const CARGO_LAMBDA: Environment =
    Environment { folder: ".tools/python", requirements: "xtask/requirements.txt" };
const TEST_TOOLS: Environment =
    Environment { folder: ".tools/tests", requirements: "tests/requirements.txt" };

impl Environment {
    fn home(&self) -> PathBuf {
        root().join(self.folder)
    }

    /// The list that was installed last is kept beside it.
    fn is_here(&self) -> bool {
        let installed = fs::read(self.home().join("requirements.txt")).ok();
        installed.is_some() && installed == fs::read(root().join(self.requirements)).ok()
    }

    fn install(&self) -> Result<(), Failure> {
        let (python, _) = python()?;
        let fix = "install Python's venv module (on Debian the package python3-venv)";
        run(command(python).args(["-m", "venv", "--clear"]).arg(self.home()), fix)?;
        let list = root().join(self.requirements);
        let fix = format!("look at pip's message; {} names every package that is needed", self.requirements);
        let mut pip = command(self.home().join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
        run(pip.arg(&list), &fix)?;
        fs::copy(&list, self.home().join("requirements.txt")).map(|_| ()).map_err(|error| {
            Failure::new(format!("{} cannot be written: {error}", self.folder), "check the permissions")
        })
    }
}

/// cargo-lambda, as its wheel brings it.
pub fn cargo_lambda() -> PathBuf {
    CARGO_LAMBDA.home().join("bin/cargo-lambda")
}

fn has_cargo_lambda() -> bool {
    CARGO_LAMBDA.is_here()
}

fn install_cargo_lambda() -> Result<(), Failure> {
    CARGO_LAMBDA.install()
}

fn has_test_tools() -> bool {
    TEST_TOOLS.is_here()
}

fn install_test_tools() -> Result<(), Failure> {
    TEST_TOOLS.install()
}

/// Where cargo puts tools that only this project uses.
pub fn cargo_home() -> PathBuf {
    root().join(".tools/cargo")
}

/// cargo's own list of what it installed, with versions.
fn has_crate(name: &str, version: &str) -> bool {
    fs::read_to_string(cargo_home().join(".crates.toml"))
        .is_ok_and(|list| list.contains(&format!("\"{name} {version} ")))
        && cargo_home().join("bin").join(name.trim_end_matches("-cli")).is_file()
}

/// A debug build: these run for seconds, and build for minutes.
fn install_crate(name: &str, version: &str) -> Result<(), Failure> {
    let mut install = command("cargo");
    install.args(["install", "--locked", "--debug", "--force", name, "--version", version, "--root"]);
    install.arg(cargo_home()).env("CARGO_TARGET_DIR", root().join("target/tools"));
    run(&mut install, "look at cargo's message; a C compiler is needed too")
}

/// The command line must have the version of the library, which Cargo.lock holds.
fn wasm_bindgen_version() -> Option<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).ok()?;
    let (_, after) = lock.split_once("name = \"wasm-bindgen\"\nversion = \"")?;
    after.split('"').next().map(str::to_owned)
}

fn has_wasm_bindgen() -> bool {
    wasm_bindgen_version().is_some_and(|version| has_crate("wasm-bindgen-cli", &version))
}

fn install_wasm_bindgen() -> Result<(), Failure> {
    let fix = "restore Cargo.lock from version control";
    let version =
        wasm_bindgen_version().ok_or_else(|| Failure::new("Cargo.lock names no wasm-bindgen", fix))?;
    install_crate("wasm-bindgen-cli", &version)
}

fn has_worker_build() -> bool {
    has_crate("worker-build", WORKER_BUILD)
}

fn install_worker_build() -> Result<(), Failure> {
    install_crate("worker-build", WORKER_BUILD)
}
