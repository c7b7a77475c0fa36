//! `cutover context …`.

use super::{
    contexts::{Context, Contexts},
    file::ContextFile,
};
use crate::{
    address, bearer,
    connection::Connection,
    failure::Failure,
    output::{self, Format},
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Commands on contexts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a context: --url, and the token from a prompt or --token-stdin.
    Add(Box<AddOptions>),
    /// List all contexts; * marks the one in use.
    List,
    /// Use a context from now on.
    Use {
        /// Name of the context.
        name: String,
    },
    /// Remove a context, and its token from this machine.
    Remove {
        /// Name of the context.
        name: String,
    },
    /// Show a context, without its token.
    Show {
        /// Name of the context [default: the one in use].
        name: Option<String>,
    },
}

/// Arguments of `cutover context add`.
#[derive(Debug, Args)]
pub struct AddOptions {
    /// Name of the context.
    name: String,
    /// Read the token from standard input.
    #[arg(long)]
    token_stdin: bool,
    /// URL of the Worker, as users call it, for preflight.
    #[arg(long, value_name = "URL")]
    edge_url: Option<String>,
    /// URL of the ingest function, for preflight.
    #[arg(long, value_name = "URL")]
    ingest_url: Option<String>,
    /// URL of the ask function, for preflight.
    #[arg(long, value_name = "URL")]
    ask_url: Option<String>,
    /// URL of the function for emergencies.
    #[arg(long, value_name = "URL")]
    emergency_url: Option<String>,
    /// Have scripts say --yes before they move users.
    #[arg(long)]
    production: bool,
}

impl AddOptions {
    fn context(&self, connection: &Connection) -> Result<Context, Failure> {
        let Some(url) = connection.url_option() else {
            return Err(Failure::Usage("a context needs a URL\n  hint: add --url URL".to_owned()));
        };
        let is_plain = connection.is_plain_http_allowed();
        let checked =
            |url: &Option<String>| url.as_deref().map(|url| address::checked(url, is_plain)).transpose();
        let url = address::checked(url, is_plain)?;
        let [edge_url, ingest_url, ask_url, emergency_url] = [
            checked(&self.edge_url)?,
            checked(&self.ingest_url)?,
            checked(&self.ask_url)?,
            checked(&self.emergency_url)?,
        ];
        let token = match connection.token_option() {
            Some(token) => Some(bearer::checked(token)?),
            None => bearer::read(self.token_stdin)?,
        };
        Ok(Context {
            url,
            token,
            edge_url,
            ingest_url,
            ask_url,
            emergency_url,
            production: self.production,
            aws_iam: connection.is_guarded(),
            insecure_http: is_plain,
        })
    }
}

/// Runs a command.
///
/// # Errors
///
/// Fails if the file of the contexts cannot be read or written, or if a name or a URL is wrong.
pub fn run(command: &Command, connection: &Connection, format: Format) -> Result<(), Failure> {
    let file = ContextFile::of_user()?;
    let mut contexts = file.read()?;
    match command {
        Command::Add(options) => {
            let context = options.context(connection)?;
            contexts.add(&options.name, context)?;
            file.write(&contexts)?;
            eprintln!("added context {}", options.name);
        }
        Command::List => {
            let rows: Vec<Value> = contexts.contexts.keys().map(|name| described(&contexts, name)).collect();
            output::show(format, &json!({ "contexts": rows }), || {
                let rows: Vec<_> = rows.iter().map(row).collect();
                output::table(&["", "NAME", "URL", "TOKEN", "PRODUCTION"], &rows);
            });
        }
        Command::Use { name } => {
            contexts.select(name)?;
            file.write(&contexts)?;
            eprintln!("using context {name}");
        }
        Command::Remove { name } => {
            contexts.remove(name)?;
            file.write(&contexts)?;
            eprintln!("removed context {name}; its token still works until it is revoked or expires");
        }
        Command::Show { name } => {
            let name = name.as_ref().or(connection.context_option()).or(contexts.current.as_ref());
            let Some(name) = name else {
                let hint = "add one with cutover context add NAME --url URL";
                return Err(Failure::Usage(format!("no context is in use\n  hint: {hint}")));
            };
            contexts.get(name)?;
            let shown = described(&contexts, name);
            output::show(format, &shown, || output::fields(&shown));
        }
    }
    Ok(())
}

/// Describes a context without its token.
fn described(contexts: &Contexts, name: &str) -> Value {
    let mut described = json!({ "name": name, "current": contexts.current.as_deref() == Some(name) });
    let context = contexts.contexts.get(name).map(|context| json!(context)).unwrap_or_default();
    if let (Some(fields), Value::Object(context)) = (described.as_object_mut(), context) {
        fields.extend(context);
        let has_token = fields.get("token").is_some_and(|token| !token.is_null());
        fields.insert("token".to_owned(), json!(if has_token { "stored" } else { "none" }));
    }
    described
}

fn row(context: &Value) -> Vec<String> {
    let is_current = context.get("current").and_then(Value::as_bool).unwrap_or_default();
    let mut row = output::pick(context, &["name", "url", "token", "production"]);
    row.insert(0, if is_current { "*" } else { "" }.to_owned());
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let mut contexts = Contexts::default();
        let token = Some("ctv_secret".to_owned());
        contexts.add("live", Context { token, production: true, ..Context::default() }).unwrap();
        contexts.add("staging", Context::default()).unwrap();
        let live = described(&contexts, "live");
        assert!(!live.to_string().contains("secret"), "{live}");
        assert_eq!(
            (&live["token"], &live["current"], &live["production"]),
            (&json!("stored"), &json!(true), &json!(true))
        );
        assert_eq!(described(&contexts, "staging")["token"], "none");
        assert_eq!(row(&live), ["*", "live", "", "stored", "yes"]);
    }
}
