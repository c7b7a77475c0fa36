//! `cutover token …`: access tokens, their roles and their lifetimes.

use crate::{
    client::{Client, encode},
    clock, duration,
    failure::Failure,
    output::{self, Format, pick},
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
                let rows: Vec<_> =
                    output::list(&tokens, "tokens").map(|token| with_times(pick(token, &names))).collect();
                output::table(&["ID", "NAME", "ROLE", "CREATED", "EXPIRES", "CREATED BY"], &rows);
            });
        }
        Command::Create { name, role, expires } => {
            let role = format!("{role:?}").to_lowercase();
            let body = json!({ "name": name, "role": role, "expires_at": expiry(&expires)? });
            let response = client.send_json(Method::POST, "/tokens", &body)?;
            output::show(format, &response, || secret(&response));
        }
        Command::Rotate { id, grace } => {
            let body = json!({ "grace_seconds": seconds(&grace)? });
            let response = client.send_json(Method::POST, &format!("{}/rotate", path(&id)), &body)?;
            output::show(format, &response, || secret(&response));
        }
        Command::Revoke { id } => {
            let response = client.send(Method::DELETE, &path(&id), None)?;
            output::show(format, &response, || {
                println!("revoked token {id} ({})", output::field(&response, "name"));
            });
        }
    }
    Ok(())
}

/// Gives the times of creation and expiry their distance from now.
fn with_times(mut row: Vec<String>) -> Vec<String> {
    for time in row.iter_mut().skip(3).take(2) {
        *time = output::time(time);
    }
    row
}

/// Prints a new token. Only the secret goes to standard output, so that it can be piped into a
/// secret store.
fn secret(response: &Value) {
    let field = |name: &str| output::field(response, name);
    eprintln!(
        "token {} for {} ({}), expires {}; its secret is shown only once:",
        field("id"),
        field("name"),
        field("role"),
        field("expires_at")
    );
    if let Some(replaced) = response.get("replaces") {
        let field = |name: &str| output::field(replaced, name);
        eprintln!("it replaces {}, which stays valid until {}", field("id"), field("expires_at"));
    }
    println!("{}", field("token"));
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
