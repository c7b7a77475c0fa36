//! The commands.

use crate::{
    apply, canary, changes,
    client::{Client, encode},
    compare,
    failure::Failure,
    introspect,
    output::{self, Format, cell},
    preflight,
    show::{audit, fields, flags, status},
    token,
};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Moves an API from its old backend to its new one, and takes it back.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, about, propagate_version = true)]
pub struct Cli {
    /// The management API: the URL of the function, without /api/migration.
    #[arg(long, env = "CUTOVER_URL", global = true)]
    url: Option<String>,
    /// The bearer token.
    #[arg(long, env = "CUTOVER_TOKEN", global = true, hide_env_values = true)]
    token: Option<String>,
    /// Sign requests for AWS: the function's URL asks for AWS_IAM. Keys come from the environment.
    #[arg(long, env = "CUTOVER_AWS_IAM", global = true)]
    aws_iam: bool,
    /// Why; goes into the audit log with the change.
    #[arg(long, global = true)]
    reason: Option<String>,
    /// Write the API's JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum CompareCommand {
    /// What differs, where and how often, against what legacy has with itself.
    Report {
        /// Only this route.
        route: Option<String>,
        /// Also what differs by itself.
        #[arg(long)]
        noise: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AdapterCommand {
    /// Write the schema of a GraphQL backend, by introspection.
    Schema {
        /// The URL of the endpoint.
        url: String,
        /// A header to send, such as "Authorization: Bearer TOKEN".
        #[arg(long)]
        header: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All flags.
    List,
    /// One flag.
    Get {
        /// Its name.
        flag: String,
    },
    /// Let a flag's rollout take effect.
    Enable {
        /// Its name.
        flag: String,
    },
    /// Send everybody to legacy.
    Disable {
        /// Its name.
        flag: String,
    },
    /// Set the share of users on the new backend.
    Rollout {
        /// The flag.
        flag: String,
        /// Percent, 0 to 100 with at most four decimals.
        percentage: f64,
    },
    /// How far the migration is.
    Status,
    /// Check a configuration file, show what it changes, and apply it.
    Apply {
        /// The file; - for standard input.
        #[arg(short, long)]
        file: PathBuf,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
        /// Also remove what the file does not name.
        #[arg(long)]
        prune: bool,
    },
    /// What is different about the answers of the two backends.
    Compare {
        #[command(subcommand)]
        command: CompareCommand,
    },
    /// What adapters are made from.
    Adapter {
        #[command(subcommand)]
        command: AdapterCommand,
    },
    /// Write the configuration as a file that can be applied again.
    Export,
    /// What the edge would decide for a user, and why.
    Explain {
        /// The flag.
        flag: String,
        /// The user id.
        #[arg(long)]
        user: Option<String>,
        /// At which moment, RFC 3339; now where it is not said.
        #[arg(long)]
        at: Option<String>,
        /// A fact of the request, such as header:x-beta=1, country=NO, path=/api/v1/reviews.
        #[arg(long = "with", value_name = "NAME=VALUE")]
        with: Vec<String>,
    },
    /// Who changed what, newest first.
    Audit {
        /// Only changes of this flag.
        #[arg(long)]
        flag: Option<String>,
        /// Only changes of this object, such as routes/reviews.read.
        #[arg(long, conflicts_with = "flag")]
        object: Option<String>,
        /// Only changes that this name made or agreed to.
        #[arg(long)]
        actor: Option<String>,
        /// Only changes of this kind, such as flag.rollout.
        #[arg(long)]
        action: Option<String>,
        /// Only changes since this moment, RFC 3339.
        #[arg(long)]
        since: Option<String>,
        /// Only changes before this moment, RFC 3339.
        #[arg(long)]
        until: Option<String>,
        /// At most this many; all of them with --all.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// All of them, as one JSON object a line: to be kept elsewhere.
        #[arg(long, conflicts_with = "limit")]
        all: bool,
    },
    /// Who you are to the management API, and what you may do.
    Whoami,
    /// Tokens: who may sign in, and for how long.
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
    /// Changes that wait for a second person.
    Changes {
        #[command(subcommand)]
        command: changes::Command,
    },
    /// Check a deployment from outside, and say what to do about what is wrong.
    Preflight(preflight::Options),
    /// Send everybody to legacy at once, until it is cleared.
    EmergencyRollback {
        /// Why.
        #[arg(value_name = "REASON")]
        why: String,
        /// Only these flags; all of them where none is named.
        #[arg(long = "flag", value_name = "FLAG")]
        flags: Vec<String>,
    },
    /// End the emergency.
    EmergencyClear {
        /// Why.
        #[arg(value_name = "REASON")]
        why: String,
    },
    /// Canaries: start and steer them, see where they stand, try plans out.
    Canary {
        #[command(subcommand)]
        command: canary::Command,
    },
    /// What was counted, as JSON.
    Metrics,
    /// Write the completions of a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Runs a command.
pub fn run(cli: Cli) -> Result<(), Failure> {
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "cutover", &mut std::io::stdout());
        return Ok(());
    }
    let missing = |what: &str, variable: &str| {
        Failure::Usage(format!("{what} is not known\n  hint: set {variable}, or see cutover --help"))
    };
    let (url, token, reason) = (cli.url, cli.token, cli.reason);
    let connect = || {
        let url = url.ok_or_else(|| missing("the URL of the management API", "CUTOVER_URL"))?;
        let token = token.ok_or_else(|| missing("the token", "CUTOVER_TOKEN"))?;
        Client::new(&url, &token, reason, cli.aws_iam)
    };
    let format = if cli.json { Format::Json } else { Format::Table };
    // What works on a file alone needs nobody to answer it.
    if let Command::Canary { command } = cli.command {
        return canary::run(command, connect, format);
    }
    if let Command::Adapter { command: AdapterCommand::Schema { url, header } } = cli.command {
        print!("{}", introspect::schema(&url, &header)?);
        return Ok(());
    }
    let client = connect()?;
    match cli.command {
        Command::List => {
            let all = client.all("/flags", "flags")?;
            show(format, &json!({ "flags": all }), || flags(all.iter()));
        }
        Command::Get { flag } => {
            let answer = client.get(&format!("/flags/{}", encode(&flag)))?;
            show(format, &answer, || fields(&answer));
        }
        Command::Enable { flag } => changed(&client, format, Method::POST, &flag, "/enable", None)?,
        Command::Disable { flag } => changed(&client, format, Method::POST, &flag, "/disable", None)?,
        Command::Rollout { flag, percentage } => {
            let body = json!({ "percentage": percentage });
            changed(&client, format, Method::PUT, &flag, "/rollout", Some(body))?;
        }
        Command::Status => {
            let answer = client.get("/status")?;
            show(format, &answer, || status(&answer));
        }
        Command::Apply { file, dry_run, prune } => {
            apply::apply(&client, &file, apply::Options { dry_run, prune }, format)?;
        }
        Command::Compare { command: CompareCommand::Report { route, noise } } => {
            compare::report(&client, route.as_deref(), noise, format)?;
        }
        Command::Export => apply::export(&client, format)?,
        Command::Explain { flag, user, at, with } => {
            let answer = client.get(&explain_path(&flag, user, at, &with)?)?;
            show(format, &answer, || fields(&answer));
        }
        Command::Audit { flag, object, actor, action, since, until, limit, all } => {
            let wanted = [
                ("flag", flag),
                ("object", object),
                ("actor", actor),
                ("action", action),
                ("since", since),
                ("until", until),
            ];
            let query: String = wanted
                .into_iter()
                .filter_map(|(name, value)| Some(format!("&{name}={}", encode(&value?))))
                .collect();
            if all {
                return export_audit(&client, &query);
            }
            let answer = client.get(&format!("/audit?limit={limit}{query}"))?;
            show(format, &answer, || audit(&answer));
        }
        Command::Whoami => {
            let answer = client.get("/whoami")?;
            show(format, &answer, || fields(&answer));
        }
        Command::Token { command } => token::run(command, &client, format)?,
        Command::Changes { command } => changes::run(command, &client, format)?,
        Command::Preflight(options) => preflight::run(&options, &client, format)?,
        Command::EmergencyRollback { why, flags } => {
            let mut body = json!({ "reason": why });
            if let (Some(fields), false) = (body.as_object_mut(), flags.is_empty()) {
                fields.insert("flags".to_owned(), json!(flags));
            }
            let answer = client.send_json(Method::POST, "/emergency/rollback", &body)?;
            // The answer tells the whole emergency: an earlier one may hold more flags than were named now.
            let held = answer.pointer("/emergency/flags").map_or_else(|| "all flags".to_owned(), cell);
            show(format, &answer, || println!("{held}: everybody goes to legacy{}", revision(&answer)));
        }
        Command::EmergencyClear { why } => {
            let body = json!({ "reason": why });
            let answer = client.send_json(Method::POST, "/emergency/clear", &body)?;
            show(format, &answer, || println!("the emergency is over{}", revision(&answer)));
        }
        Command::Metrics => output::json(&client.get("/metrics")?),
        Command::Canary { .. } | Command::Adapter { .. } | Command::Completions { .. } => {}
    }
    Ok(())
}

fn show(format: Format, answer: &Value, table: impl FnOnce()) {
    match format {
        Format::Json => output::json(answer),
        Format::Table => table(),
    }
}

fn changed(
    client: &Client,
    format: Format,
    method: Method,
    flag: &str,
    what: &str,
    body: Option<Value>,
) -> Result<(), Failure> {
    let path = format!("/flags/{}{what}", encode(flag));
    let answer = match body {
        Some(body) => client.send_json(method, &path, &body)?,
        None => client.send(method, &path, None)?,
    };
    show(format, &answer, || {
        flags(std::iter::once(&answer));
        println!("done{}", revision(&answer));
    });
    Ok(())
}

fn revision(answer: &Value) -> String {
    let published = answer.get("published").and_then(Value::as_bool).unwrap_or_default();
    let revision = answer.get("revision").map(cell).unwrap_or_default();
    format!("; revision {revision}{}", apply::published_note(published))
}

/// Every record, newest first, one a line.
fn export_audit(client: &Client, query: &str) -> Result<(), Failure> {
    let mut before = String::new();
    loop {
        let page = client.get(&format!("/audit?limit=1000{query}{before}"))?;
        for record in page.get("records").and_then(Value::as_array).into_iter().flatten() {
            println!("{record}");
        }
        match page.get("next_before").and_then(Value::as_u64) {
            Some(next) => before = format!("&before={next}"),
            None => return Ok(()),
        }
    }
}

fn explain_path(
    flag: &str,
    user: Option<String>,
    at: Option<String>,
    with: &[String],
) -> Result<String, Failure> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    pairs.extend(user.map(|user| ("user".to_owned(), user)));
    pairs.extend(at.map(|at| ("at".to_owned(), at)));
    for fact in with {
        let (name, value) = fact.split_once('=').ok_or_else(|| {
            Failure::Usage(format!(
                "{fact:?} is not a fact\n  hint: write NAME=VALUE, such as header:x-beta=1"
            ))
        })?;
        pairs.push((name.to_owned(), value.to_owned()));
    }
    let query: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    Ok(format!("/flags/{}/explain?{}", encode(flag), query.join("&")))
}
