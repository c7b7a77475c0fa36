//! Building the Worker: worker-build compiles and bundles it, wasm-opt makes it fast and small.

use crate::{
    root,
    run::{Failure, command, output, run, step},
    tools::cargo_home,
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Bytes that the Worker may have when it is uploaded, gzipped.
const MAX_GZIP_BYTES: u64 = 180_000;

/// What the Worker is made of.
const INPUTS: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "core/Cargo.toml",
    "core/src",
    "edge/Cargo.toml",
    "edge/src",
    "edge/js",
    "xtask/src/edge.rs",
];

/// What rustc emits and workerd runs; wasm-opt must not use more.
const FEATURES: [&str; 7] = [
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];

/// Builds the Worker into edge/build, unless nothing changed since it was last built.
pub fn build() -> Result<(), Failure> {
    let stamp = root().join("edge/build/.stamp");
    let built = fs::metadata(&stamp).and_then(|data| data.modified()).ok();
    if built.is_some_and(|built| INPUTS.iter().all(|input| newest(&root().join(input)) <= Some(built))) {
        return Ok(());
    }
    step("building the Worker");
    let started = SystemTime::now();
    let node = root().join("node_modules/.bin");
    let mut build = command(cargo_home().join("bin/worker-build"));
    build
        .args(["--profile", "edge", "--no-opt"])
        .current_dir(root().join("edge"))
        .env("WASM_BINDGEN_BIN", cargo_home().join("bin/wasm-bindgen"))
        .env("WASM_OPT_BIN", node.join("wasm-opt"))
        .env("ESBUILD_BIN", node.join("esbuild"))
        .env("CUSTOM_SHIM", joined_shim()?);
    run(&mut build, "read what it printed above; `cargo xtask doctor` lists the tools")?;
    let wasm = root().join("edge/build/worker/index.wasm");
    let mut optimise = command(node.join("wasm-opt"));
    // The names and the producers are a tenth of the upload, and nobody reads them there. For size as everything else here: for
    // speed it is 900 bytes larger and no faster that could be measured.
    optimise
        .args(["-Os", "--strip-debug", "--strip-producers"])
        .args(FEATURES)
        .arg(&wasm)
        .arg("-o")
        .arg(&wasm);
    run(&mut optimise, "read what it printed above; `cargo xtask doctor` lists the tools")?;
    let written = fs::File::create(&stamp).and_then(|file| file.set_modified(started));
    written.map_err(|error| Failure::new(format!("{}: {error}", stamp.display()), "check the permissions"))
}

/// worker-build takes one file: the shim, with what it imports from beside it put in the place of the import.
fn joined_shim() -> Result<PathBuf, Failure> {
    let read = |name: &str| {
        let path = root().join("edge/js").join(name);
        fs::read_to_string(&path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display()), "restore it"))
    };
    let (shim, jwt) = (read("shim.js")?, read("jwt.js")?.replace("export ", ""));
    let beside = read("beside.js")?.replace("export ", "");
    let import = "import { subjectOf, verified } from \"./jwt.js\";\n\
                  import { adapted, compared, judged } from \"./beside.js\";\n";
    let (before, after) = shim.split_once(import).ok_or_else(|| {
        Failure::new("edge/js/shim.js does not import jwt.js and beside.js", "put the imports back")
    })?;
    // Imports come first in a module.
    let (imports, rest) = after.split_once("\n\n").unwrap_or(("", after));
    let folder = root().join("target/edge");
    let path = folder.join("shim.js");
    let written = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, format!("{before}{imports}\n\n{jwt}\n{beside}\n{rest}")));
    written
        .map(|()| path.clone())
        .map_err(|error| Failure::new(format!("{}: {error}", path.display()), "check the permissions"))
}

fn newest(path: &Path) -> Option<SystemTime> {
    let data = fs::metadata(path).ok()?;
    if !data.is_dir() {
        return data.modified().ok();
    }
    fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max()
}

/// The lints, as the Worker is compiled.
pub fn clippy() -> Result<(), Failure> {
    let mut clippy = command("cargo");
    clippy.args(["clippy", "--locked", "-p", "cutover-edge", "--target", "wasm32-unknown-unknown"]);
    clippy.args(["--", "-D", "warnings"]);
    run(&mut clippy, "read what it printed above")
}

/// Has wrangler make the upload, and send it nowhere.
pub fn dry_run() -> Result<(), Failure> {
    step("wrangler deploy --dry-run");
    for environment in ["", "staging"] {
        wrangler_dry_run(environment)?;
    }
    Ok(())
}

/// The upload of one environment; the empty name is production.
pub fn wrangler_dry_run(environment: &str) -> Result<(), Failure> {
    let out = root().join("target/wrangler");
    let mut wrangler = command(root().join("node_modules/.bin/wrangler"));
    wrangler.args(["deploy", "--dry-run", "--env", environment, "--outdir"]).arg(out);
    wrangler.env("WRANGLER_SEND_METRICS", "false").env("CI", "1");
    run(&mut wrangler, "read what wrangler printed above; it checks wrangler.toml")
}

/// Fails where the Worker is larger than it may be.
pub fn size_gate() -> Result<(), Failure> {
    let mut total = 0;
    for file in ["index.wasm", "shim.mjs"] {
        let script = "const z=require('zlib'),f=require('fs');\
                      console.log(z.gzipSync(f.readFileSync(process.argv[1]),{level:9}).length)";
        let path = root().join("edge/build/worker").join(file);
        let size = output(command("node").args(["-e", script]).arg(path), "build the Worker first")?;
        total += size.parse::<u64>().unwrap_or(u64::MAX);
    }
    step(&format!("the Worker is {total} bytes gzipped, of {MAX_GZIP_BYTES} that it may have"));
    if total > MAX_GZIP_BYTES {
        let what = format!("the Worker has {total} bytes gzipped, more than {MAX_GZIP_BYTES}");
        return Err(Failure::new(
            what,
            "find what grew: build with the names kept, and list the functions by size",
        ));
    }
    Ok(())
}
