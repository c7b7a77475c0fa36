//! `cutover route …`: lists and deletes routes. The configuration file makes and changes them.

use crate::{
    client::{Client, encode},
    confirm::Confirmation,
    etag,
    failure::Failure,
    output::{self, Format, cell},
    publication,
};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

/// Commands on routes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all routes.
    List,
    /// Delete a route that no canary needs.
    Delete(Delete),
}

/// Arguments of `cutover route delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Id of the route.
    route: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Runs a command.
///
/// # Errors
///
/// Fails if a deletion is not confirmed, or if the management API refuses the request or cannot be reached.
pub fn run(command: &Command, client: &Client, format: Format) -> Result<(), Failure> {
    match command {
        Command::List => list(client, format),
        Command::Delete(options) => delete(options, client, format),
    }
}

fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let routes = client.whole("/routes", "routes")?;
    output::show(format, &routes, || {
        let rows: Vec<_> = output::list(&routes, "routes").map(row).collect();
        output::table(&["ROUTE", "METHODS", "PATH", "FLAG", "LEGACY", "NEW", "VERSION"], &rows);
    });
    Ok(())
}

/// Returns the row of a route in the list.
fn row(route: &Value) -> Vec<String> {
    let matcher = route.get("match").unwrap_or(&Value::Null);
    let methods = matcher.get("methods").map_or_else(|| "all".to_owned(), cell);
    let mut row = vec![output::field(route, "id"), methods, output::field(matcher, "path")];
    row.extend(output::pick(route, &["flag", "legacy", "new", "version"]));
    row
}

/// Deletes a route as it is shown.
fn delete(Delete { route, confirmation }: &Delete, client: &Client, format: Format) -> Result<(), Failure> {
    let path = format!("/routes/{}", encode(route));
    let before = client.get(&path)?;
    let moved = format!(
        "{} decides no longer for its requests: those that no other route matches go to legacy",
        output::text(&before, "flag")
    );
    confirmation.confirm(client.environment(), &format!("delete the route {route}"), &moved)?;
    let tag = etag::as_read(&before, "version");
    let response = client.on_condition("if-match", &tag).send(Method::DELETE, &path, None)?;
    output::show(format, &response, || println!("deleted {route}; {}", publication::revision(&response)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, fake_server::answering_tags};
    use clap::Parser;
    use serde_json::json;

    #[test]
    fn a_route_is_deleted_as_it_was_read() {
        let body = r#"{"id":"reviews.read","flag":"reviews_read","version":3,"revision":4}"#;
        let (url, tags) = answering_tags(200, body);
        let client = Client::new(&url, "t", None, false).unwrap();
        let parsed = CommandLine::<Delete>::parse_from(["delete", "reviews.read", "--yes"]);
        delete(&parsed.arguments, &client, Format::Json).unwrap();
        assert_eq!(*tags.lock().unwrap(), ["", "\"3\""]);
    }

    #[test]
    fn a_route_without_methods_matches_all() {
        let route = json!({
            "id": "reviews", "match": { "path": "/reviews/{*rest}" }, "flag": "reviews_read", "legacy": "rest",
            "new": "graphql", "version": 3,
        });
        assert_eq!(
            row(&route),
            ["reviews", "all", "/reviews/{*rest}", "reviews_read", "rest", "graphql", "3"]
        );
        let some = json!({ "id": "r", "match": { "methods": ["GET", "PUT"], "path": "/r" } });
        assert_eq!(row(&some), ["r", "GET, PUT", "/r", "-", "-", "-", "-"]);
    }
}
