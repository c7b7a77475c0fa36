//! `cutover token …`: access tokens, their roles and their lifetimes.

use crate::{
    client::{Client, encode},
    clock, duration,
    failure::Failure,
    output::{self, Format, pick},
    times::EXPIRED,
};
use clap::{Subcommand, ValueEnum};
use cutover_core::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

/// Commands on tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all tokens, without their secrets.
    List,
    /// Create a token and print its secret, which is shown only once.
    Create {
        /// Name of its user, recorded in the audit log. A name is used once, also after its token is revoked.
        name: String,
        /// Role of its user.
        #[arg(long, value_enum)]
        role: Role,
        /// Lifetime, such as 12h or 90d, or never.
        #[arg(long, value_name = "TIME", default_value = "90d")]
        expires: String,
    },
    /// Replace a token's secret; the old one stays valid for a while.
    Rotate {
        /// Id of the token, from the list.
        id: String,
        /// Time for which the old secret stays valid, such as 0s or 24h.
        #[arg(long, value_name = "TIME", default_value = "24h")]
        grace: String,
    },
    /// Revoke a token at once.
    Revoke {
        /// Id of the token, from the list.
        id: String,
    },
}

/// Role of a token.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Role {
    /// Read everything except tokens.
    Viewer,
    /// Also change flags and configuration.
    Operator,
    /// Also delete objects and manage tokens.
    Admin,
}

/// Runs a command.
///
/// # Errors
///
/// Fails if a duration is malformed, or if the management API refuses the request or cannot be
/// reached.
pub fn run(command: Command, client: &Client, format: Format) -> Result<(), Failure> {
    let path = |id: &str| format!("/tokens/{}", encode(id));
    match command {
        Command::List => {
            let tokens = client.whole("/tokens", "tokens")?;
            output::show(format, &tokens, || {
                let names = ["id", "name", "role", "created_at", "expires_at", "made_by"];
                let now = clock::now();
                let rows: Vec<_> = output::list(&tokens, "tokens")
                    .map(|token| with_times(pick(token, &names), now))
                    .collect();
                output::table(&["ID", "NAME", "ROLE", "CREATED", "EXPIRES", "CREATED BY"], &rows);
            });
        }
        Command::Create { name, role, expires } => {
            let role = format!("{role:?}").to_lowercase();
            let body = json!({ "name": name, "role": role, "expires_at": expiry(&expires)? });
            let response = client.send_json(Method::POST, "/tokens", &body)?;
            output::show_change(format, &response, || secret(&response));
        }
        Command::Rotate { id, grace } => {
            let body = json!({ "grace_seconds": seconds(&grace)? });
            let response = client.send_json(Method::POST, &format!("{}/rotate", path(&id)), &body)?;
            output::show_change(format, &response, || secret(&response));
        }
        Command::Revoke { id } => {
            let response = client.send(Method::DELETE, &path(&id), None)?;
            output::show_change(format, &response, || {
                println!("revoked token {id} ({})", output::field(&response, "name"));
            });
        }
    }
    Ok(())
}

/// Gives the times of creation and expiry their distance from `now`, and marks an expiry that is over.
fn with_times(mut row: Vec<String>, now: i64) -> Vec<String> {
    if let [.., created, expires, _] = row.as_mut_slice() {
        let is_over = expires.parse::<Timestamp>().is_ok_and(|end| end.millis() <= now);
        *created = output::time(created);
        *expires = output::time(expires);
        if is_over {
            *expires = format!("{EXPIRED}{expires}");
        }
    }
    row
}

/// Prints a new token. Only the secret goes to standard output, so that it can be piped into a
/// secret store, and it comes last.
fn secret(response: &Value) {
    eprintln!("{}", notes(response));
    output::data(&format!("{}\n", output::field(response, "token")));
}

/// Describes a new token in lines, the last of which is about its secret.
fn notes(response: &Value) -> String {
    let field = |name: &str| output::field(response, name);
    let mut lines = vec![format!(
        "token {} for {} ({}), expires {}",
        field("id"),
        field("name"),
        field("role"),
        field("expires_at")
    )];
    if let Some(replaced) = response.get("replaces") {
        let field = |name: &str| output::field(replaced, name);
        lines.push(format!("it replaces {}, which stays valid until {}", field("id"), field("expires_at")));
    }
    lines.push("its secret is shown only once:".to_owned());
    lines.join("\n")
}

/// Returns the time at which a token of this lifetime expires, `None` for `never`.
fn expiry(lifetime: &str) -> Result<Option<Timestamp>, Failure> {
    if lifetime == "never" {
        return Ok(None);
    }
    let millis = i64::try_from(seconds(lifetime)?.saturating_mul(1_000)).unwrap_or(i64::MAX);
    Ok(Some(Timestamp::from_millis(clock::now().saturating_add(millis))))
}

/// Parses a duration such as 90d, and returns its seconds.
fn seconds(text: &str) -> Result<u64, Failure> {
    let parsed = duration::parse(text);
    let time =
        parsed.map_err(|hint| Failure::Usage(format!("{text:?} is not a duration\n  hint: {hint}")))?;
    Ok(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_has_expired_is_marked() {
        let row = |expires: &str| {
            let row = ["id", "ann", "viewer", "2026-01-01T00:00:00Z", expires, "root"].map(str::to_owned);
            let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
            with_times(row.to_vec(), now.millis()).swap_remove(4)
        };
        let over = row("2026-02-01T00:00:00Z");
        assert!(over.starts_with("expired 2026-02-01T00:00:00.000Z ("), "{over}");
        assert!(row("2026-04-01T00:00:00Z").starts_with("2026-04-01T00:00:00.000Z ("));
        assert_eq!(row("-"), "-");
    }

    #[test]
    fn the_secret_follows_what_is_said_about_it() {
        let response = json!({
            "id": "b", "name": "ann", "role": "viewer", "expires_at": null,
            "replaces": { "id": "a", "expires_at": null },
        });
        let expected = "token b for ann (viewer), expires -\nit replaces a, which stays valid until -\n\
                        its secret is shown only once:";
        assert_eq!(notes(&response), expected);
    }

    #[test]
    fn a_lifetime_is_a_duration_or_never() {
        assert_eq!(expiry("never").unwrap(), None);
        let day = 86_400_000;
        let tomorrow = expiry("1d").unwrap().unwrap().millis();
        assert!((clock::now() + day - tomorrow).abs() < 10_000, "{tomorrow}");
        for wrong in ["", "d", "90", "-1d", "1.5h", "9223372036854775807d", "1 week", "1dd "] {
            let refused = expiry(wrong).unwrap_err().to_string();
            assert!(refused.contains("hint: use a whole number with s, m, h or d"), "{wrong}: {refused}");
        }
    }
}
