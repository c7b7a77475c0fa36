//! The command itself: reads both documents, writes the files, and checks them.

use super::{
    generate::{FileNames, Generated, generate},
    graphql::NewSchema,
    openapi::Document,
};
use crate::{
    adapter::schema::introspect,
    configuration,
    failure::Failure,
    output::{self, Format},
};
use apollo_compiler::Schema;
use clap::Args;
use cutover_core::config::{Config, Node, Problem};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ADAPTER: &str = "adapter.yaml";
const OPERATIONS: &str = "operations.graphql";
const SCHEMA: &str = "schema.graphql";

/// Arguments of `cutover adapter init`.
#[derive(Debug, Args)]
pub struct InitOptions {
    /// OpenAPI 3 document of the old interface, in YAML or JSON.
    #[arg(long, value_name = "FILE")]
    openapi: PathBuf,
    /// GraphQL schema of the new one: a file, or the URL of an endpoint that allows introspection.
    #[arg(long, value_name = "FILE|URL")]
    schema: String,
    /// Folder for the files.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    output: PathBuf,
    /// Overwrite files that are there already.
    #[arg(long)]
    force: bool,
}

/// A file to write.
struct Written {
    name: &'static str,
    text: String,
}

/// The schema of the new interface.
struct SchemaSource {
    /// Its name below the output folder.
    name: String,
    text: String,
    /// True if it is not in that folder yet.
    is_new: bool,
}

/// Writes an adapter and reports the decisions that are left.
///
/// # Errors
///
/// Fails if a document cannot be read, if nothing in one fits the other, or if a file is there
/// already or cannot be written.
pub fn run(options: &InitOptions, format: Format) -> Result<(), Failure> {
    let schema = SchemaSource::read(options)?;
    if let Some(hint) = other_document(&schema.text) {
        return Err(Failure::Usage(format!("{} is no GraphQL schema\n  hint: {hint}", options.schema)));
    }
    let (openapi, root) = openapi(&options.openapi)?;
    let document = Document::new(&root).map_err(|problem| Failure::Usage(format!("{openapi}: {problem}")))?;
    let parsed = Schema::parse_and_validate(&schema.text, &options.schema).map_err(|error| {
        let first = error.errors.iter().next().map(|error| error.to_string()).unwrap_or_default();
        Failure::Usage(format!("{} is no valid schema: {}", options.schema, first.trim_end()))
    })?;
    let names = FileNames { openapi: &openapi, schema: &schema.name, operations: OPERATIONS };
    let generated = generate(document, NewSchema::new(&parsed), names).map_err(Failure::Usage)?;
    let mut files = vec![
        Written { name: ADAPTER, text: generated.adapter.clone() },
        Written { name: OPERATIONS, text: generated.operations.clone() },
    ];
    if schema.is_new {
        files.push(Written { name: SCHEMA, text: schema.text.clone() });
    }
    write(options, &files)?;
    report(&options.output, &files, &generated, format);
    check(&options.output, &generated, &schema)
}

/// Returns a hint if the text of a schema is a document of another kind: the old interface's, or the JSON of an
/// introspection.
fn other_document(text: &str) -> Option<&'static str> {
    const OPENAPI: &str = "this looks like OpenAPI; were the two files exchanged?";
    if let Ok(content) = serde_json::from_str::<Value>(text) {
        if content.get("__schema").is_some() || content.pointer("/data/__schema").is_some() {
            return Some("this is the JSON of an introspection; write it with cutover adapter schema URL");
        }
        let is_openapi = ["openapi", "swagger", "paths"].iter().any(|name| content.get(name).is_some());
        return is_openapi.then_some(OPENAPI);
    }
    // Neither word begins a line of a schema.
    let is_openapi = text.lines().any(|line| line.starts_with("openapi:") || line.starts_with("swagger:"));
    is_openapi.then_some(OPENAPI)
}

/// Reads a document. Returns its name and its content.
fn openapi(file: &Path) -> Result<(String, Value), Failure> {
    let (name, text) = configuration::read(file)?;
    if text.trim_start().starts_with('{') {
        // JSON may be larger and deeper than configurations are.
        let root = serde_json::from_str(&text)
            .map_err(|error| Failure::Usage(format!("{name} is not JSON: {error}")))?;
        return Ok((name, root));
    }
    match Node::from_yaml(&text) {
        Ok(node) => Ok((name, node.to_json())),
        Err(problem) => Err(Failure::File { name, problems: vec![problem] }),
    }
}

impl SchemaSource {
    fn read(options: &InitOptions) -> Result<Self, Failure> {
        let source = options.schema.as_str();
        if source.starts_with("http://") || source.starts_with("https://") {
            return Ok(Self { name: SCHEMA.to_owned(), text: introspect(source, &[])?, is_new: true });
        }
        let file = Path::new(source);
        let (_, text) = configuration::read(file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_there = match (folder.canonicalize(), options.output.canonicalize()) {
            (Ok(folder), Ok(output)) => folder == output,
            _ => false,
        };
        let name = file.file_name().and_then(|name| name.to_str()).filter(|_| is_there);
        Ok(Self { name: name.unwrap_or(SCHEMA).to_owned(), text, is_new: name.is_none() })
    }
}

fn write(options: &InitOptions, files: &[Written]) -> Result<(), Failure> {
    let path = |file: &Written| options.output.join(file.name);
    let there: Vec<String> =
        files.iter().map(path).filter(|path| path.exists()).map(|path| path.display().to_string()).collect();
    if !there.is_empty() && !options.force {
        let hint = "use --force to overwrite them, or another folder with --output";
        return Err(Failure::Usage(format!("there are files already: {}\n  hint: {hint}", there.join(", "))));
    }
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::Io(format!("{} cannot be written: {error}", path.display()))
    };
    std::fs::create_dir_all(&options.output).map_err(|error| failed(&options.output, &error))?;
    for file in files {
        let path = path(file);
        std::fs::write(&path, &file.text).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

fn report(folder: &Path, files: &[Written], generated: &Generated, format: Format) {
    let Generated { routes, left, decisions, .. } = generated;
    let names: Vec<String> = files.iter().map(|file| folder.join(file.name).display().to_string()).collect();
    let left_json: Vec<Value> =
        left.iter().map(|left| json!({ "route": left.route, "reason": left.reason })).collect();
    let value = json!({ "files": names, "routes": routes, "left": left_json, "decisions": decisions });
    output::show_change(format, &value, || {
        println!("wrote {}", names.join(", "));
        let (subject, verb) = counted(*routes, "route");
        println!("{subject} {verb} adapted, {} left to legacy", left.len());
        for left in left {
            println!("  {}: {}", left.route, left.reason);
        }
        let adapter = folder.join(ADAPTER);
        let adapter = adapter.display();
        let (subject, verb) = counted(*decisions, "decision");
        println!("{subject} {verb} left to you, marked DECIDE in {adapter}");
        println!(
            "next: cutover adapter try --adapter {adapter} --request 'GET /...' --backend URL --against LEGACY_URL"
        );
    });
}

/// Returns a number with its noun, and the verb for it.
fn counted(count: usize, noun: &str) -> (String, &'static str) {
    if count == 1 { (format!("1 {noun}"), "is") } else { (format!("{count} {noun}s"), "are") }
}

/// Reads the written adapter as `cutover apply` would.
fn check(folder: &Path, generated: &Generated, schema: &SchemaSource) -> Result<(), Failure> {
    let files = |name: &str| match name {
        ADAPTER => Ok(generated.adapter.clone()),
        OPERATIONS => Ok(generated.operations.clone()),
        name if name == schema.name => Ok(schema.text.clone()),
        name => Err(format!("{name} was not written")),
    };
    let text = format!("adapters: {{ adapter: {ADAPTER} }}");
    match Config::from_yaml_with(&text, &files) {
        Ok(_) => Ok(()),
        Err(problems) => {
            let lines: Vec<String> = problems
                .iter()
                .map(|problem: &Problem| format!("{problem}\n  hint: {}", problem.hint))
                .collect();
            Err(Failure::Io(format!(
                "the adapter in {} was written, but has mistakes, which it should not have\n  \
                 hint: correct them, and report them with both documents\n{}",
                folder.display(),
                lines.join("\n")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_no_schema_is_recognized() {
        let cases = [
            ("openapi: 3.0.3\npaths: {}\n", Some("were the two files exchanged?")),
            (r#"{ "openapi": "3.1.0" }"#, Some("were the two files exchanged?")),
            (r#"{ "data": { "__schema": {} } }"#, Some("write it with cutover adapter schema URL")),
            (r#"{ "__schema": {} }"#, Some("write it with cutover adapter schema URL")),
            ("type Query { openapi: Int }\n", None),
        ];
        for (text, expected) in cases {
            let hint = other_document(text);
            assert_eq!(hint.is_some(), expected.is_some(), "{text}");
            assert!(hint.unwrap_or_default().ends_with(expected.unwrap_or_default()), "{text}: {hint:?}");
        }
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "decision"), ("1 decision".to_owned(), "is"));
        assert_eq!(counted(2, "route"), ("2 routes".to_owned(), "are"));
    }
}
