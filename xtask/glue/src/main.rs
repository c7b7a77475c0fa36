//! `glue WASM FOLDER`: writes index_bg.js, index_bg.wasm and the snippets for a module that cargo compiled.

use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wasm, folder] = arguments.as_slice() else {
        eprintln!("usage: glue WASM FOLDER");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    let generated = bindgen
        .input_path(wasm)
        .out_name("index")
        .bundler(true)
        .and_then(|bindgen| bindgen.typescript(false).generate(folder));
    match generated {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glue: {wasm}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
