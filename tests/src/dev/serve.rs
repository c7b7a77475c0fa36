//! The start of the local stack.

use crate::{
    command::cutover_at,
    dev::{
        arguments::Arguments,
        endpoints::{Endpoints, file},
        own::{Own, shown},
        tour, welcome,
    },
    paths,
    stack::{Options, Runtime, Stack},
};
use std::{collections::BTreeMap, io::IsTerminal, path::Path};

/// Starts everything, applies a configuration, and prints the URLs with commands to try.
///
/// # Errors
///
/// Returns a sentence about a port that is taken, or about a configuration that cannot be applied.
pub async fn start(arguments: &Arguments) -> Result<Stack, String> {
    let ports = arguments.ports()?;
    let own = Own::prepare(&arguments.backends, file("cutover", "yaml", arguments.port)).await?;
    eprintln!("==> starting the backends, DynamoDB, the functions and the Worker");
    let mut options = Options {
        edge_port: ports.edge,
        functions_port: ports.functions,
        legacy_port: ports.legacy,
        new_port: ports.new,
        // With `wrangler dev`, an edited Worker is rebuilt; workerd alone is ten times as fast and its memory stays bounded.
        runtime: if arguments.is_wrangler { Runtime::Wrangler } else { Runtime::Workerd },
        ..Options::default()
    };
    if let Some(own) = &own {
        options.worker_variables = BTreeMap::from([("LEGACY_ORIGIN", own.legacy.clone())]);
    }
    if arguments.is_tour {
        // The root token, with which the tour begins, needs no second person.
        options.function_variables = BTreeMap::from([("CUTOVER_TWO_PERSON", "true".to_owned())]);
    }
    let stack = Stack::start(options).await;
    configure(&stack, own.as_ref(), arguments.is_tour).await?;
    let flags = stack.management().get("/flags").await.expect(200);
    stack.edge_holds(flags.body["revision"].as_u64().expect("a revision")).await;
    let endpoints = Endpoints::of(&stack, own.as_ref());
    endpoints.write(arguments.port);
    let is_bold = std::io::stdout().is_terminal();
    print!("{}", welcome::urls(&endpoints, is_bold));
    match &own {
        Some(own) => print!("{}", welcome::own(own, &endpoints, is_bold)),
        None if arguments.is_tour => print!("{}", tour::text(&endpoints)),
        None => print!("{}", welcome::demo(&endpoints, is_bold)),
    }
    let shown = file("endpoints", "json", arguments.port);
    let shown = shown.strip_prefix(paths::root()).map(Path::to_path_buf).unwrap_or(shown);
    println!("\n  Ctrl-C stops everything. These URLs are also in {}.\n", shown.display());
    Ok(stack)
}

/// Applies the configuration of the user's backends, or that of the demonstration.
async fn configure(stack: &Stack, own: Option<&Own>, is_tour: bool) -> Result<(), String> {
    let Some(own) = own else {
        let name = if is_tour { "tests/tour.yaml" } else { "tests/dev.yaml" };
        stack.management().apply(&stack.configuration(name)).await.expect(200);
        return Ok(());
    };
    // By the command line, which reads the files that the configuration refers to.
    let name = own.file.display().to_string();
    shown(cutover_at(&stack.lambda.url("management"), &["apply", "-f", &name]).await)
}
