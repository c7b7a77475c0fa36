//! `cutover route …`: lists, shows and deletes routes. The configuration file makes and changes them.

use crate::{
    client::{Client, encode},
    confirm::Confirmation,
    etag,
    failure::Failure,
    flags,
    in_force::Wait,
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
    /// Show a route.
    Get {
        /// Id of the route.
        route: String,
    },
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
    #[command(flatten)]
    wait: Wait,
}

/// Runs a command.
///
/// # Errors
///
/// Fails if a deletion is not confirmed, if the management API refuses the request or cannot be reached, or like
/// [`Wait::until_in_force`].
pub fn run(command: &Command, client: &Client, format: Format) -> Result<(), Failure> {
    match command {
        Command::List => list(client, format),
        Command::Get { route } => get(route, client, format),
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

fn get(route: &str, client: &Client, format: Format) -> Result<(), Failure> {
    let route = client.get(&path(route))?;
    output::show(format, &route, || output::fields(&in_words(&route)));
    Ok(())
}

/// Returns a route for people: the requests that it matches as fields of their own.
fn in_words(route: &Value) -> Value {
    let mut shown = route.clone();
    let matched = shown.as_object_mut().and_then(|fields| fields.remove("match"));
    if let (Some(fields), Some(Value::Object(matched))) = (shown.as_object_mut(), matched) {
        fields.extend(matched);
    }
    shown
}

fn path(route: &str) -> String {
    format!("/routes/{}", encode(route))
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
fn delete(
    Delete { route, confirmation, wait }: &Delete,
    client: &Client,
    format: Format,
) -> Result<(), Failure> {
    let path = path(route);
    let before = client.get(&path)?;
    if confirmation.is_asked(client.environment()) {
        // A share that cannot be read is left out.
        let flag = client.get(&flags::path(output::text(&before, "flag"))).unwrap_or_default();
        let change = format!("delete the route {route}");
        confirmation.confirm(client.environment(), &change, &moved(&before, &flag))?;
    }
    let tag = etag::as_read(&before, "version");
    let response = client.on_condition("if-match", &tag).send(Method::DELETE, &path, None)?;
    output::show_change(format, &response, || {
        println!("deleted {route}; {}", publication::revision(&response));
        for movement in output::list(&response, "moves") {
            println!("users of {}", output::text(movement, "summary"));
        }
    });
    wait.until_in_force(client, &response, format)
}

/// Describes the users whom the deletion of a route moves, with the share of its flag if that is known.
fn moved(route: &Value, flag: &Value) -> String {
    // The functions of an earlier version do not tell the share of a flag that an experiment owns.
    let share = flag.get("share_on_new").and_then(Value::as_f64);
    let share = share.map(|share| format!(", which sends {share} percent of its users to the new backend,"));
    let (name, share) = (output::text(route, "flag"), share.unwrap_or_default());
    format!(
        "{name}{share} decides no longer for its requests: those that no other route matches go to legacy"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command_line::CommandLine,
        fake_server::{answering, answering_tags},
    };
    use clap::Parser;
    use serde_json::json;

    #[test]
    fn a_route_is_deleted_as_it_was_read() {
        let body = r#"{"id":"reviews.read","flag":"reviews_read","version":3,"revision":4}"#;
        let (url, tags) = answering_tags(200, body);
        let client = Client::new(&url, "t", None).unwrap();
        let parsed = CommandLine::<Delete>::parse_from(["delete", "reviews.read", "--yes"]);
        delete(&parsed.arguments, &client, Format::Json).unwrap();
        assert_eq!(*tags.lock().unwrap(), ["", "\"3\""]);
    }

    #[test]
    fn the_question_has_the_share_of_the_flag() {
        let route = json!({ "id": "reviews.read", "flag": "reviews_read" });
        let rest = "decides no longer for its requests: those that no other route matches go to legacy";
        for (flag, share) in [
            (
                // An experiment sends its users elsewhere than the flag does.
                json!({ "percentage_in_force": 100.0, "share_on_new": 25.0 }),
                ", which sends 25 percent of its users to the new backend,",
            ),
            (json!({}), ""),
            (Value::Null, ""),
        ] {
            assert_eq!(moved(&route, &flag), format!("reviews_read{share} {rest}"), "{flag}");
        }
    }

    #[test]
    fn a_deletion_can_wait_until_it_is_in_force() {
        let body = r#"{"id":"reviews.read","flag":"f","version":3,"revision":4,"isolates":{"reporting":1,"revisions":[{"revision":4,"isolates":1}]}}"#;
        let (url, paths) = answering(200, body);
        let client = Client::new(&url, "t", None).unwrap();
        let parsed = CommandLine::<Delete>::parse_from(["delete", "reviews.read", "--yes", "--wait"]);
        delete(&parsed.arguments, &client, Format::Json).unwrap();
        let route = "/api/migration/routes/reviews.read";
        assert_eq!(*paths.lock().unwrap(), [route, route, "/api/migration/status"]);
    }

    #[test]
    fn a_route_is_shown_with_the_requests_that_it_matches() {
        let route =
            json!({ "id": "reviews", "match": { "methods": ["GET"], "path": "/reviews" }, "version": 3 });
        let expected = json!({ "id": "reviews", "methods": ["GET"], "path": "/reviews", "version": 3 });
        assert_eq!(in_words(&route), expected);
        assert_eq!(in_words(&json!({ "id": "reviews" })), json!({ "id": "reviews" }));
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
