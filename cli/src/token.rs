//! `cutover token …`: who may sign in, and for how long.

use crate::{
    client::{Client, encode},
    clock,
    failure::Failure,
    output::{self, Format, pick},
};
use clap::{Subcommand, ValueEnum};
use cutover_core::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All tokens, without their secrets.
    List,
    /// Make a token. Its secret is shown once.
    Create {
        /// Who uses it; this name is in the audit log.
        name: String,
        /// What it allows.
        #[arg(long, value_enum)]
        role: Role,
        /// How long it lives, such as 12h or 90d; never for a token that does not end.
        #[arg(long, value_name = "TIME", default_value = "90d")]
        expires: String,
    },
    /// Make a new secret for a token. The old one goes on for a while.
    Rotate {
        /// Its id, from the list.
        id: String,
        /// How long the old secret goes on, such as 0s or 24h.
        #[arg(long, value_name = "TIME", default_value = "24h")]
        grace: String,
    },
    /// End a token at once.
    Revoke {
        /// Its id, from the list.
        id: String,
    },
}

/// A role.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Role {
    /// Reads everything but tokens.
    Viewer,
    /// Changes flags and configuration.
    Operator,
    /// Removes objects, and manages tokens.
    Admin,
}

/// Runs a command.
pub fn run(command: Command, client: &Client, format: Format) -> Result<(), Failure> {
    match command {
        Command::List => {
            let tokens = client.all("/tokens", "tokens")?;
            let rows: Vec<_> = tokens
                .iter()
                .map(|token| pick(token, &["id", "name", "role", "created_at", "expires_at", "made_by"]))
                .collect();
            match format {
                Format::Json => output::json(&json!({ "tokens": tokens })),
                Format::Table => {
                    output::table(&["ID", "NAME", "ROLE", "CREATED", "EXPIRES", "MADE BY"], &rows);
                }
            }
        }
        Command::Create { name, role, expires } => {
            let role = format!("{role:?}").to_lowercase();
            let body = json!({ "name": name, "role": role, "expires_at": end(&expires)? });
            let answer = client.send_json(Method::POST, "/tokens", &body)?;
            shown(&answer, format);
        }
        Command::Rotate { id, grace } => {
            let body = json!({ "grace_seconds": seconds(&grace)? });
            let answer = client.send_json(Method::POST, &format!("/tokens/{}/rotate", encode(&id)), &body)?;
            shown(&answer, format);
        }
        Command::Revoke { id } => {
            let answer = client.send(Method::DELETE, &format!("/tokens/{}", encode(&id)), None)?;
            match format {
                Format::Json => output::json(&answer),
                Format::Table => println!("{id} opens nothing any more"),
            }
        }
    }
    Ok(())
}

/// The secret alone goes to standard output, so that it can be piped to where it is kept.
fn shown(answer: &Value, format: Format) {
    if format == Format::Json {
        output::json(answer);
        return;
    }
    let part = |name: &str| answer.get(name).map(output::cell).unwrap_or_default();
    eprintln!(
        "token {} for {} ({}), ends {}; this is the only time that its secret is shown:",
        part("id"),
        part("name"),
        part("role"),
        part("expires_at")
    );
    if let Some(replaced) = answer.get("replaces") {
        let part = |name: &str| replaced.get(name).map(output::cell).unwrap_or_default();
        eprintln!("it replaces {}, which goes on until {}", part("id"), part("expires_at"));
    }
    println!("{}", part("token"));
}

fn end(text: &str) -> Result<Option<Timestamp>, Failure> {
    if text == "never" {
        return Ok(None);
    }
    Ok(Some(Timestamp::from_millis(clock::now().saturating_add(seconds(text)?.saturating_mul(1_000)))))
}

/// Reads a time such as 90d, 24h, 30m or 45s.
fn seconds(text: &str) -> Result<i64, Failure> {
    let wrong = || {
        Failure::Usage(format!("{text:?} is no time\n  hint: write a number with s, m, h or d, such as 90d"))
    };
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|seconds| *seconds >= 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, expected) in
            [("0s", Some(0)), ("90d", Some(7_776_000)), ("24h", Some(86_400)), ("5m", Some(300))]
        {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
        for wrong in ["", "d", "90", "-1d", "1.5h", "9223372036854775807d", "1 week", "1dd "] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
