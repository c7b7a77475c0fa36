//! The options that locate the management API and authenticate with it. Options come before environment variables, and
//! these before the context in use; the context of `--context` is an option.

use crate::{
    address, bearer,
    client::{Client, Limits},
    context::{Context, ContextFile, Contexts},
    environment::Environment,
    failure::Failure,
    output::Format,
};
use clap::Args;
use std::time::Duration;

/// Time limits of an attempt to declare an emergency. A response that waits for Workers KV for longer is lost, and the next
/// attempt with the same key is answered at once.
const EMERGENCY: Limits = Limits { connection: Duration::from_secs(2), response: Duration::from_secs(6) };

/// Options of every command.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Context to use [env: CUTOVER_CONTEXT] [default: that of cutover context use].
    #[arg(long, value_name = "NAME", global = true)]
    context: Option<String>,
    /// URL of the management function [env: CUTOVER_URL].
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// Bearer token [env: CUTOVER_TOKEN].
    #[arg(long, value_name = "TOKEN", global = true)]
    token: Option<String>,
    /// Sign requests for a function URL with AWS_IAM, with the AWS keys of the environment.
    #[arg(long, env = "CUTOVER_AWS_IAM", global = true)]
    aws_iam: bool,
    /// Send the token unencrypted to a host that is not this machine.
    #[arg(long, env = "CUTOVER_INSECURE_HTTP", global = true)]
    insecure_http: bool,
    /// Do not send a request again after a failure that may pass by itself.
    #[arg(long, env = "CUTOVER_NO_RETRY", global = true)]
    no_retry: bool,
    /// Reason for the change, recorded in the audit log.
    #[arg(long, global = true)]
    reason: Option<String>,
}

/// A management API, as options, environment variables and contexts name it.
#[derive(Debug, Default)]
struct Target {
    url: Option<String>,
    token: Option<String>,
    /// The context with that URL, if one is in use.
    context: Option<Context>,
    environment: Option<Environment>,
    is_plain_http_allowed: bool,
}

impl Connection {
    /// Builds a client of the management API. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// Fails if the URL, the token or (with `--aws-iam`) the AWS keys are missing or malformed.
    pub fn connect(&self) -> Result<Client, Failure> {
        let target = self.target()?;
        let url = target.url.as_deref().ok_or_else(|| missing_url("CUTOVER_URL"))?;
        self.connect_to(url, &target)
    }

    /// Builds the clients that can declare an emergency, in the order in which they are tried: the function for
    /// emergencies, if its URL is given or the context has it, and management. Their time limits are short. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// Fails like [`Connection::connect`], except that one URL is enough.
    pub fn connect_for_emergency(&self, emergency: Option<&str>) -> Result<Vec<Client>, Failure> {
        let target = self.target()?;
        let stored = target.context.as_ref().and_then(|context| context.emergency_url.as_ref());
        let given = self.url_of_part(emergency, "CUTOVER_EMERGENCY_URL", stored);
        let given = given.map(|url| address::checked(&url, target.is_plain_http_allowed)).transpose()?;
        let urls: Vec<&str> = [given.as_deref(), target.url.as_deref()].into_iter().flatten().collect();
        if urls.is_empty() {
            return Err(missing_url("CUTOVER_EMERGENCY_URL or CUTOVER_URL"));
        }
        // Their commands are about the emergency, and say what becomes of it.
        let connect = |url: &str| -> Result<Client, Failure> {
            self.connect_to(url, &target)?.without_banner().reading_once().within(EMERGENCY)
        };
        urls.into_iter().map(connect).collect()
    }

    /// Builds a client of a context's management API with another token. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// Fails like [`Connection::connect`], or if there is no such context.
    pub fn connect_as(&self, name: &str, contexts: &Contexts, token: &str) -> Result<Client, Failure> {
        let context = contexts.get(name)?;
        let target = Target {
            token: Some(token.to_owned()),
            environment: Some(Environment::of_context(name, &context.url, context.production)),
            context: Some(context.clone()),
            ..Target::default()
        };
        self.connect_to(&context.url, &target)
    }

    /// Prints the environment, as far as it is known, for commands that connect later.
    pub fn announce(&self, format: Format) {
        if let Ok(Target { environment: Some(environment), .. }) = self.target() {
            environment.announce(format);
        }
    }

    /// Returns the context in use, if the command connects to its management API.
    ///
    /// # Errors
    ///
    /// Fails if the contexts cannot be read.
    pub fn context(&self) -> Result<Option<Context>, Failure> {
        Ok(self.target()?.context)
    }

    /// Returns the URL of a function or of the Worker: that of its option, or else of its environment variable, or else that
    /// `stored` in the context. A context that `--context` names goes before all variables, which may be about another
    /// deployment.
    pub fn url_of_part(
        &self,
        option: Option<&str>,
        variable: &str,
        stored: Option<&String>,
    ) -> Option<String> {
        self.first(option, stored, || if self.context.is_some() { None } else { variable_of(variable) })
    }

    /// Returns the first value that is given: the option, the context of `--context`, the variable, the context in use.
    fn first(
        &self,
        option: Option<&str>,
        stored: Option<&String>,
        variable: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        let chosen = option.filter(|value| !value.is_empty()).map(str::to_owned);
        let chosen = chosen.or_else(|| stored.filter(|_| self.context.is_some()).cloned());
        chosen.or_else(variable).or_else(|| stored.cloned())
    }

    /// Returns the URL that was given as an option.
    pub fn url_option(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Returns the token that was given as an option.
    pub fn token_option(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Returns the context that was given as an option.
    pub fn context_option(&self) -> Option<&String> {
        self.context.as_ref()
    }

    /// Returns true if requests are signed for AWS.
    pub fn is_guarded(&self) -> bool {
        self.aws_iam
    }

    /// Returns true if the token may travel unencrypted.
    pub fn is_plain_http_allowed(&self) -> bool {
        self.insecure_http
    }

    fn connect_to(&self, url: &str, target: &Target) -> Result<Client, Failure> {
        let token = bearer::checked(target.token.as_deref().ok_or_else(bearer::missing)?)?;
        if self.reason.as_deref().is_some_and(|reason| reason.contains(char::is_control)) {
            return Err(Failure::Usage(
                "the reason has more than one line\n  hint: write it in one".to_owned(),
            ));
        }
        let is_guarded = self.aws_iam || target.context.as_ref().is_some_and(|context| context.aws_iam);
        let client = Client::new(url, &token, self.reason.clone(), is_guarded)?.retrying(!self.no_retry);
        Ok(match &target.environment {
            Some(environment) => client.in_environment(environment.clone()),
            None => client,
        })
    }

    fn target(&self) -> Result<Target, Failure> {
        self.resolve(&variable_of, &self.contexts(&variable_of)?)
    }

    /// Reads the contexts. A file that cannot be read is an error only for a command that needs it: an emergency must not
    /// wait for anything else.
    fn contexts(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Contexts, Failure> {
        // Without a folder for contexts there are none.
        let Ok(file) = ContextFile::of_user() else { return Ok(Contexts::default()) };
        let is_given = |option: &Option<String>, name: &str| option.is_some() || variable(name).is_some();
        file.read().or_else(|failure| {
            let is_enough = is_given(&self.url, "CUTOVER_URL") && is_given(&self.token, "CUTOVER_TOKEN");
            if !is_enough || is_given(&self.context, "CUTOVER_CONTEXT") {
                return Err(failure);
            }
            eprintln!("{failure}\nno context is used");
            Ok(Contexts::default())
        })
    }

    fn resolve(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        contexts: &Contexts,
    ) -> Result<Target, Failure> {
        let named = self.context.clone().or_else(|| variable("CUTOVER_CONTEXT"));
        let selected = named.or_else(|| contexts.current.clone());
        let selected = selected.map(|name| contexts.get(&name)).transpose()?;
        let first = |option: &Option<String>, name: &str, stored: Option<&String>| {
            self.first(option.as_deref(), stored, || variable(name))
        };
        let is_plain_http_allowed =
            self.insecure_http || selected.is_some_and(|context| context.insecure_http);
        let url = first(&self.url, "CUTOVER_URL", selected.map(|context| &context.url));
        let url = url.map(|url| address::checked(&url, is_plain_http_allowed)).transpose()?;
        // The token of a context is sent to its own URL only.
        let context = selected.filter(|context| Some(&context.url) == url.as_ref());
        let token = first(&self.token, "CUTOVER_TOKEN", context.and_then(|context| context.token.as_ref()));
        let environment = url.as_ref().map(|url| {
            let known = contexts.contexts.iter().find(|(_, context)| context.url == *url);
            known.map_or_else(
                || Environment::of_url(url),
                |(name, context)| Environment::of_context(name, url, context.production),
            )
        });
        Ok(Target { url, token, context: context.cloned(), environment, is_plain_http_allowed })
    }
}

/// Returns the value of an environment variable that is set and not empty.
fn variable_of(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn missing_url(variable: &str) -> Failure {
    Failure::Usage(format!(
        "no URL of the management API given\n  hint: store it with cutover context add NAME --url URL, or set {variable}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGING: &str = "https://staging.example";
    const LIVE: &str = "https://live.example";

    fn contexts() -> Contexts {
        let mut contexts = Contexts::default();
        for (name, url, token) in [("staging", STAGING, "of_staging"), ("live", LIVE, "of_live")] {
            let production = name == "live";
            let token = Some(token.to_owned());
            contexts
                .add(name, Context { url: url.to_owned(), token, production, ..Context::default() })
                .unwrap();
        }
        contexts
    }

    /// Options, environment variables, and the URL, token and environment that they lead to.
    fn check(options: [Option<&str>; 3], variables: &[(&str, &str)], expected: [Option<&str>; 3]) {
        let [context, url, token] = options.map(|option| option.map(str::to_owned));
        let connection = Connection { context, url, token, ..Connection::default() };
        let variable = |name: &str| {
            variables.iter().find(|(held, _)| *held == name).map(|(_, value)| (*value).to_owned())
        };
        let target = connection.resolve(&variable, &contexts()).unwrap();
        let environment = target.environment.map(|environment| environment.to_string());
        let found = [target.url.as_deref(), target.token.as_deref(), environment.as_deref()];
        assert_eq!(found, expected, "{options:?} {variables:?}");
    }

    #[test]
    fn options_come_before_variables_and_these_before_the_context() {
        let (other, live) = ("https://other.example", Some("live (live.example)"));
        let staging = [Some(STAGING), Some("of_staging"), Some("staging (staging.example)")];
        check([None; 3], &[], staging);
        check([None; 3], &[("CUTOVER_CONTEXT", "live")], [Some(LIVE), Some("of_live"), live]);
        check(
            [Some("live"), None, None],
            &[("CUTOVER_CONTEXT", "staging")],
            [Some(LIVE), Some("of_live"), live],
        );
        check([None, None, Some("mine")], &[], [staging[0], Some("mine"), staging[2]]);
        let variables = [("CUTOVER_URL", other), ("CUTOVER_TOKEN", "theirs")];
        check([None; 3], &variables, [Some(other), Some("theirs"), Some("other.example")]);
        check([None, Some(LIVE), None], &variables, [Some(LIVE), Some("theirs"), live]);
        // A context that is named as an option is one.
        check([Some("live"), None, None], &variables, [Some(LIVE), Some("of_live"), live]);
    }

    #[test]
    fn a_context_that_is_named_goes_before_the_variable_of_a_function() {
        let variable = || Some("https://of.variable".to_owned());
        let stored = "https://of.context".to_owned();
        for (context, option, expected) in [
            (None, None, "https://of.variable"),
            (Some("live"), None, "https://of.context"),
            (Some("live"), Some("https://of.option"), "https://of.option"),
            (Some("live"), Some(""), "https://of.context"),
        ] {
            let connection = Connection { context: context.map(str::to_owned), ..Connection::default() };
            let found = connection.first(option, Some(&stored), variable);
            assert_eq!(found.as_deref(), Some(expected), "{context:?} {option:?}");
        }
    }

    #[test]
    fn the_token_of_a_context_is_sent_to_its_own_url_only() {
        let other = "https://other.example";
        check([None; 3], &[("CUTOVER_URL", other)], [Some(other), None, Some("other.example")]);
        check([Some("live"), Some(other), None], &[], [Some(other), None, Some("other.example")]);
        // The same URL, as it may also be written.
        let written = "https://staging.example/api/migration/";
        check(
            [None, Some(written), None],
            &[],
            [Some(STAGING), Some("of_staging"), Some("staging (staging.example)")],
        );
    }

    #[test]
    fn an_unknown_context_is_an_error() {
        let connection = Connection { context: Some("liv".to_owned()), ..Connection::default() };
        let refused = connection.resolve(&|_| None, &contexts()).unwrap_err().to_string();
        assert!(refused.contains("did you mean live?"), "{refused}");
    }
}
