//! Builds the Worker: cargo compiles it, wasm-bindgen writes the glue, wasm-opt optimises, esbuild bundles the JavaScript.

use crate::{
    root::root,
    run::{Failure, command, output, run, step},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

/// Size of the gzipped upload at which we look again. The platform takes megabytes; start-up time is the reason to stay small.
const MAX_GZIP_BYTES: u64 = 600_000;

/// Files and folders that the Worker is built from.
const INPUTS: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "core/Cargo.toml",
    "core/src",
    "edge/Cargo.toml",
    "edge/src",
    "edge/js",
    "package-lock.json",
    "rust-toolchain.toml",
    "xtask/glue",
    "xtask/src/edge.rs",
];

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The WebAssembly features that rustc uses and workerd supports; wasm-opt must not use more.
const FEATURES: [&str; 7] = [
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];

/// Functions are inlined if they are smaller than usual: a module that is compiled once by V8 for each isolate gains
/// more from its size.
const INLINING: &str = "-Cllvm-args=-inline-threshold=70";

const FIX: &str = "read the messages above; `cargo xtask doctor` lists the tools";

/// Builds the Worker into edge/build, unless nothing changed since the last build.
///
/// # Errors
/// Fails if a tool fails or a file cannot be written.
pub fn build() -> Result<(), Failure> {
    let stamp = root().join("edge/build/.stamp");
    let built = fs::metadata(&stamp).and_then(|data| data.modified()).ok();
    if built.is_some_and(|built| INPUTS.iter().all(|input| newest(&root().join(input)) <= Some(built))) {
        return Ok(());
    }
    step("building the Worker");
    let started = SystemTime::now();
    let mut compile = command("cargo");
    compile.args(["build", "--locked", "-p", "cutover-edge", "--lib", "--profile", "edge"]);
    compile.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", INLINING);
    run(compile.args(["--target", WASM_TARGET]), FIX)?;
    let folder = root().join("edge/build/worker");
    let glue = root().join("target/glue");
    let _ = fs::remove_dir_all(&glue);
    let created = fs::create_dir_all(&folder).and_then(|()| fs::create_dir_all(&glue));
    created.map_err(|error| unwritable(&folder, &error))?;
    let compiled = root().join("target").join(WASM_TARGET).join("edge/cutover_edge.wasm");
    run(bindgen()?.arg(compiled).arg(&glue), FIX)?;
    optimise(&glue.join("index_bg.wasm"), &folder.join("index.wasm"))?;
    bundle(&glue, &folder.join("shim.mjs"))?;
    let written = fs::File::create(&stamp).and_then(|file| file.set_modified(started));
    written.map_err(|error| unwritable(&stamp, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()), "check the permissions")
}

/// Our own binary around wasm-bindgen's library; its version comes from Cargo.lock like the one in the Worker.
fn bindgen() -> Result<Command, Failure> {
    run(command("cargo").args(["build", "--locked", "-p", "cutover-glue"]), FIX)?;
    Ok(command(root().join("target/debug/glue")))
}

fn optimise(input: &Path, output: &Path) -> Result<(), Failure> {
    let mut optimise = command(node_tool("wasm-opt"));
    // Function names and producers are a tenth of the upload, and nothing reads them there.
    optimise.args(["-O3", "--strip-debug", "--strip-producers"]).args(FEATURES);
    run(optimise.arg(input).arg("-o").arg(output), FIX)
}

/// Bundles edge/js with the generated glue. The wasm module stays a file of its own, as the platform wants it.
fn bundle(glue: &Path, output: &Path) -> Result<(), Failure> {
    // An instance of the core has functions of its own, so the glue becomes a function that makes them.
    let factory = glue.join("factory.js");
    let mut wrap = command(node_tool("esbuild"));
    wrap.arg(glue.join("index_bg.js")).args(["--bundle", "--format=iife", "--global-name=glue"]);
    wrap.args(["--log-level=warning", "--banner:js=export default function makeGlue() {"]);
    // A copy: what esbuild exports are accessors, and each would be one more call.
    wrap.args(["--footer:js=return { ...glue };\n}", "--external:cloudflare:*"]);
    run(wrap.arg(format!("--outfile={}", factory.display())), FIX)?;
    let mut bundle = command(node_tool("esbuild"));
    bundle
        .args(["edge/js/entry.js", "--bundle", "--minify", "--format=esm", "--log-level=warning"])
        .arg(format!("--alias:#glue={}", factory.display()))
        .args(["--alias:#wasm=./index.wasm", "--external:./index.wasm", "--external:cloudflare:*"])
        .arg(format!("--outfile={}", output.display()));
    run(&mut bundle, FIX)
}

/// A program that npm installed.
fn node_tool(name: &str) -> PathBuf {
    root().join("node_modules/.bin").join(name)
}

/// Lints the JavaScript and checks its types, which are JSDoc comments.
///
/// # Errors
/// Fails if eslint or tsc report anything.
pub fn check_javascript() -> Result<(), Failure> {
    step("lints and types of the JavaScript");
    run(command(node_tool("eslint")).args(["--config", "edge/eslint.config.js", "edge/js"]), FIX)?;
    run(command(node_tool("tsc")).args(["--noEmit", "-p", "edge/tsconfig.json"]), FIX)
}

fn newest(path: &Path) -> Option<SystemTime> {
    let data = fs::metadata(path).ok()?;
    if !data.is_dir() {
        return data.modified().ok();
    }
    fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max()
}

/// Runs clippy on the code that exists only in the Worker.
///
/// # Errors
/// Fails if clippy warns about anything.
pub fn clippy() -> Result<(), Failure> {
    let mut clippy = command("cargo");
    clippy.args(["clippy", "--locked", "-p", "cutover-edge", "--target", "wasm32-unknown-unknown"]);
    clippy.args(["--", "-D", "warnings"]);
    run(&mut clippy, "read what it printed above")
}

/// Lets wrangler assemble both environments' uploads without sending them.
///
/// # Errors
/// Fails if wrangler does not accept wrangler.toml or the Worker.
pub fn dry_run() -> Result<(), Failure> {
    step("wrangler deploy --dry-run");
    for environment in ["", "staging"] {
        wrangler_dry_run(environment)?;
    }
    Ok(())
}

/// Assembles the upload of one environment; the empty name is production.
///
/// # Errors
/// Fails if wrangler does not accept wrangler.toml or the Worker.
pub fn wrangler_dry_run(environment: &str) -> Result<(), Failure> {
    let out = root().join("target/wrangler");
    let mut wrangler = command(node_tool("wrangler"));
    wrangler.args(["deploy", "--dry-run", "--env", environment, "--outdir"]).arg(out);
    wrangler.env("WRANGLER_SEND_METRICS", "false").env("CI", "1");
    run(&mut wrangler, "read what wrangler printed above; it checks wrangler.toml")
}

/// Checks the size of the upload.
///
/// # Errors
/// Fails if the gzipped Worker is larger than [`MAX_GZIP_BYTES`].
pub fn size_gate() -> Result<(), Failure> {
    let script = "const z=require('zlib'),f=require('fs');\
                  console.log(process.argv.slice(1).map(p=>z.gzipSync(f.readFileSync(p),{level:9}).length).join(' '))";
    let files = ["index.wasm", "shim.mjs"].map(|file| root().join("edge/build/worker").join(file));
    let sizes = output(command("node").args(["-e", script]).args(files), "build the Worker first")?;
    let total: u64 = sizes.split(' ').map(|size| size.parse::<u64>().unwrap_or(u64::MAX / 4)).sum();
    step(&format!("the Worker is {total} bytes gzipped; the limit is {MAX_GZIP_BYTES}"));
    if total > MAX_GZIP_BYTES {
        return Err(Failure::new(
            format!("the gzipped Worker has {total} bytes, more than {MAX_GZIP_BYTES}"),
            "find what grew: build with the names kept, list the functions by size, and measure the cold start",
        ));
    }
    Ok(())
}
