//! `cargo xtask dist`: archives of the command line with their checksums and an installer, in target/dist.

use crate::{
    functions::arm64_build,
    root::root,
    run::{Failure, cargo, command, output, run, step},
    tools,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Version of all crates.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const INSTALLER: &str = include_str!("dist/install.sh");

/// Files that every archive has beside the program.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// The target that cargo-lambda builds for.
const ARM64: &str = "aarch64-unknown-linux-gnu";

/// Builds an archive for each target that this machine can build, and reports those that it cannot.
///
/// # Errors
/// Fails if a build fails, or if an archive cannot be written.
pub fn dist() -> Result<(), Failure> {
    let folder = root().join("target/dist");
    written(&folder, fs::remove_dir_all(&folder).or_else(absent))?;
    written(&folder, fs::create_dir_all(&folder))?;
    let host = host()?;
    step(&format!("building cutover {VERSION} for {host}"));
    cargo(&["build", "--locked", "--release", "-p", "cutover"])?;
    let program = root().join("target/release/cutover");
    let answered = output(command(&program).arg("--version"), "read the messages above")?;
    if answered != format!("cutover {VERSION}") {
        return Err(Failure::new(format!("the program calls itself {answered:?}"), "build it again"));
    }
    let mut archives = vec![pack(&folder, &host, &program)?];
    if host != ARM64 {
        match tools::missing_for_arm64() {
            Some(missing) => {
                step(&format!("SKIPPED {ARM64}: {missing} missing; cargo xtask test installs that"))
            }
            None => archives.push(pack(&folder, ARM64, &arm64()?)?),
        }
    }
    step("SKIPPED other targets: run this on a machine of theirs");
    sums(&folder, &archives)?;
    let installer = folder.join("install.sh");
    written(&installer, fs::write(&installer, INSTALLER.replace("@VERSION@", VERSION)))?;
    for archive in archives {
        step(&format!("target/dist/{archive}"));
    }
    step("target/dist/SHA256SUMS and install.sh, which installs the archive beside it");
    Ok(())
}

/// Builds the program for arm64, as the functions are built. Returns its path.
fn arm64() -> Result<PathBuf, Failure> {
    step(&format!("building cutover {VERSION} for {ARM64}"));
    let mut build = arm64_build();
    build.args(["--output-format", "binary", "-p", "cutover", "--bin", "cutover"]);
    run(&mut build, "read what cargo-lambda printed above")?;
    Ok(root().join("target/lambda/cutover/bootstrap"))
}

/// Returns the target of this machine.
fn host() -> Result<String, Failure> {
    let fix = "install Rust with rustup";
    let version = output(command("rustc").arg("-vV"), fix)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc does not name this machine's target", fix))
}

/// Writes an archive with one folder of its own name. Returns the archive's name.
fn pack(folder: &Path, target: &str, program: &Path) -> Result<String, Failure> {
    let name = format!("cutover-{VERSION}-{target}");
    let content = folder.join(&name);
    written(&content, fs::create_dir_all(&content))?;
    for (from, name) in std::iter::once((program.to_path_buf(), "cutover"))
        .chain(DOCUMENTS.map(|document| (root().join(document), document)))
    {
        written(&from, fs::copy(&from, content.join(name)).map(|_| ()))?;
    }
    let fix = "install tar and gzip";
    let tar = folder.join(format!("{name}.tar"));
    let mut pack = command("tar");
    // The same files make the same archive, if tar can do that.
    if output(command("tar").arg("--version"), fix)?.contains("GNU") {
        pack.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]);
    }
    run(pack.arg("-cf").arg(&tar).arg("-C").arg(folder).arg(&name), fix)?;
    run(command("gzip").args(["-n", "-9", "-f"]).arg(&tar), fix)?;
    written(&content, fs::remove_dir_all(&content))?;
    Ok(format!("{name}.tar.gz"))
}

/// Writes the checksums of archives, in the form that `sha256sum --check` reads.
fn sums(folder: &Path, archives: &[String]) -> Result<(), Failure> {
    let fix = "install sha256sum or shasum";
    let is_there = |name: &&str| output(command(name).arg("--version"), fix).is_ok();
    let program = ["sha256sum", "shasum"].into_iter().find(is_there);
    let program = program.ok_or_else(|| Failure::new("no program computes checksums", fix))?;
    let mut sums = command(program);
    if program == "shasum" {
        sums.args(["-a", "256"]);
    }
    let sums = output(sums.args(archives).current_dir(folder), fix)?;
    let file = folder.join("SHA256SUMS");
    written(&file, fs::write(&file, format!("{sums}\n")))
}

/// Treats a folder that is not there as removed.
fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn written(path: &Path, outcome: std::io::Result<()>) -> Result<(), Failure> {
    outcome.map_err(|error| Failure::new(format!("{}: {error}", path.display()), "check the permissions"))
}
