//! The options that locate the management API and authenticate with it. Options come before environment variables, and
//! these before the context in use; the context of `--context` is an option.

use crate::{
    address, bearer,
    client::{Client, Limits},
    context::{Context, ContextFile, Contexts},
    environment::Environment,
    failure::Failure,
    iam::{self, Keys},
    notice,
    output::Format,
};
use clap::{Args, builder::FalseyValueParser};
use std::time::Duration;

/// Time limits of an attempt to declare an emergency. A response that waits for Workers KV for longer is lost, and the next
/// attempt with the same key is answered at once.
const EMERGENCY: Limits = Limits { connection: Duration::from_secs(2), response: Duration::from_secs(6) };

/// Longest run of the credential_process of an AWS profile, which may ask for a code.
const KEYS: Duration = Duration::from_secs(30);

/// Longest run of a credential_process in an emergency: users wait for the command.
const KEYS_OF_EMERGENCY: Duration = Duration::from_secs(5);

/// Options of every command.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection options")]
pub struct Connection {
    /// Context to use [env: CUTOVER_CONTEXT] [default: that of cutover context use].
    #[arg(long, value_name = "NAME", global = true, hide_short_help = true)]
    context: Option<String>,
    /// URL of the management function [env: CUTOVER_URL].
    #[arg(long, value_name = "URL", global = true, hide_short_help = true)]
    url: Option<String>,
    /// Bearer token [env: CUTOVER_TOKEN].
    #[arg(long, value_name = "TOKEN", global = true, hide_short_help = true)]
    token: Option<String>,
    /// Sign requests for a function URL with AWS_IAM, with AWS keys of the environment or of AWS_PROFILE.
    #[arg(long, env = "CUTOVER_AWS_IAM", value_parser = FalseyValueParser::new(), global = true, hide_short_help = true)]
    aws_iam: bool,
    /// Send the token unencrypted to a host that is not this machine.
    #[arg(long, env = "CUTOVER_INSECURE_HTTP", value_parser = FalseyValueParser::new(), global = true, hide_short_help = true)]
    insecure_http: bool,
    /// Do not send a request again after a failure that may pass by itself.
    #[arg(long, env = "CUTOVER_NO_RETRY", value_parser = FalseyValueParser::new(), global = true, hide_short_help = true)]
    no_retry: bool,
    /// Reason for the change, recorded in the audit log.
    #[arg(long, global = true, hide_short_help = true)]
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

/// The ways of an emergency, as far as they can be used.
#[derive(Debug)]
struct EmergencyWays {
    target: Target,
    /// URLs, in the order in which they are tried.
    urls: Vec<String>,
    /// Faults of ways that are left out, and of contexts.
    failures: Vec<Failure>,
}

impl Connection {
    /// Builds a client of the management API. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// Fails if the URL, the token or (with `--aws-iam`) the AWS keys are missing or malformed.
    pub fn connect(&self) -> Result<Client, Failure> {
        self.connect_within(Some(KEYS))
    }

    /// Builds a client of the management API for the completions of a shell. Runs no credential_process: it might ask for a
    /// code in the middle of the line that is being typed.
    ///
    /// # Errors
    ///
    /// Fails like [`Connection::connect`], and if only a credential_process has the AWS keys.
    pub fn connect_for_completions(&self) -> Result<Client, Failure> {
        self.connect_within(None)
    }

    /// Builds a client of the management API, with the longest run of a credential_process; `None` runs none.
    fn connect_within(&self, process_limit: Option<Duration>) -> Result<Client, Failure> {
        let target = self.target()?;
        let url = target.url.as_deref().ok_or_else(|| missing_url("CUTOVER_URL"))?;
        self.connect_to(url, &target, process_limit)
    }

    /// Builds the clients that can declare an emergency, in the order in which they are tried: the function for
    /// emergencies, if its URL is given or the context has it, and management. Their time limits are short. Sends nothing yet.
    /// A way that cannot be used is told of, and left out.
    ///
    /// # Errors
    ///
    /// Fails like [`Connection::connect`], except that one way is enough.
    pub fn connect_for_emergency(&self, emergency: Option<&str>) -> Result<Vec<Client>, Failure> {
        let EmergencyWays { target, urls, mut failures } =
            self.emergency_ways(emergency, &variable_of, read_contexts())?;
        let mut clients = Vec::new();
        for url in &urls {
            // Their commands are about the emergency, and say what becomes of it. Its reason is in the body.
            let client = self.client(url, &target, None);
            match client.and_then(|client| client.without_banner().within(EMERGENCY)) {
                Ok(client) => clients.push(client),
                Err(failure) => failures.push(failure),
            }
        }
        if self.is_signing(&target) && !clients.is_empty() {
            clients = signed(clients, &mut failures);
        }
        let mut failures = failures.into_iter();
        if clients.is_empty() {
            let missing = || missing_url("CUTOVER_EMERGENCY_URL or CUTOVER_URL");
            return Err(failures.next().unwrap_or_else(missing));
        }
        for failure in failures {
            notice::print(&format!("{failure}\nthe command goes on without it"));
        }
        Ok(clients)
    }

    /// Resolves the ways of an emergency. Contexts that cannot be used and malformed URLs stop no way that is given besides.
    /// A context of `--context` is the deployment that is meant, and no other, unless options name its URL and the token too.
    fn emergency_ways(
        &self,
        emergency: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
        contexts: Result<Contexts, Failure>,
    ) -> Result<EmergencyWays, Failure> {
        let is_named = self.url.is_some() || emergency.is_some();
        let is_needed = self.context.is_some() && !(is_named && self.token.is_some());
        let mut failures = Vec::new();
        let contexts = match contexts {
            Err(failure) if is_needed => return Err(failure),
            contexts => kept(contexts, &mut failures).unwrap_or_default(),
        };
        let selected = match self.selected(variable, &contexts) {
            Err(failure) if is_needed => return Err(failure),
            // It is among those that could not be read.
            Err(_) if !failures.is_empty() => None,
            selected => kept(selected, &mut failures).flatten(),
        };
        let url = self.checked_url(variable, selected);
        let url = url.and_then(|url| kept(url, &mut failures));
        let target = self.target_at(url, variable, &contexts, selected);
        let stored = target.context.as_ref().and_then(|context| context.emergency_url.as_ref());
        let own = self.of_part(emergency, stored, || variable("CUTOVER_EMERGENCY_URL"));
        let own = own.map(|url| address::checked(&url, target.is_plain_http_allowed));
        let own = own.and_then(|url| kept(url, &mut failures));
        let urls = own.into_iter().chain(target.url.clone()).collect();
        Ok(EmergencyWays { target, urls, failures })
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
        self.connect_to(&context.url, &target, Some(KEYS))
    }

    /// Prints the environment, as far as it is known, for commands that connect later.
    pub fn announce(&self, format: Format) {
        // Contexts that cannot be read are told of by the command.
        let contexts = read_contexts().unwrap_or_default();
        if let Ok(Target { environment: Some(environment), .. }) = self.resolve(&variable_of, &contexts) {
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
        self.of_part(option, stored, || variable_of(variable))
    }

    /// Returns the URL of a part like [`Connection::url_of_part`], with the value of the variable.
    fn of_part(
        &self,
        option: Option<&str>,
        stored: Option<&String>,
        variable: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        self.first(option, stored, || if self.context.is_some() { None } else { variable() })
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

    /// Returns the reason that was given as an option.
    pub fn reason_option(&self) -> Option<&str> {
        self.reason.as_deref()
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

    fn connect_to(
        &self,
        url: &str,
        target: &Target,
        process_limit: Option<Duration>,
    ) -> Result<Client, Failure> {
        if self.reason.as_deref().is_some_and(|reason| reason.contains(char::is_control)) {
            return Err(Failure::Usage(
                "the reason has more than one line\n  hint: write it in one".to_owned(),
            ));
        }
        let client = self.client(url, target, self.reason.clone())?;
        if self.is_signing(target) {
            return Ok(client.signing(Keys::from_env(process_limit)?.signer(url)?));
        }
        Ok(client)
    }

    /// Returns true if requests to a management API are signed for AWS.
    fn is_signing(&self, target: &Target) -> bool {
        self.aws_iam || target.context.as_ref().is_some_and(|context| context.aws_iam)
    }

    /// Builds a client whose changes have a reason, and whose requests are not signed.
    fn client(&self, url: &str, target: &Target, reason: Option<String>) -> Result<Client, Failure> {
        let token = bearer::checked(target.token.as_deref().ok_or_else(bearer::missing)?)?;
        let client = Client::new(url, &token, reason)?.retrying(!self.no_retry);
        Ok(match &target.environment {
            Some(environment) => client.in_environment(environment.clone()),
            None => client,
        })
    }

    fn target(&self) -> Result<Target, Failure> {
        self.resolve(&variable_of, &self.contexts(&variable_of)?)
    }

    /// Reads the contexts. A file that cannot be read is an error only for a command that needs it.
    fn contexts(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Contexts, Failure> {
        let is_given = |option: &Option<String>, name: &str| option.is_some() || variable(name).is_some();
        read_contexts().or_else(|failure| {
            let is_enough = is_given(&self.url, "CUTOVER_URL") && is_given(&self.token, "CUTOVER_TOKEN");
            if !is_enough || is_given(&self.context, "CUTOVER_CONTEXT") {
                return Err(failure);
            }
            notice::print(&format!("{failure}\nno context is used"));
            Ok(Contexts::default())
        })
    }

    fn resolve(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        contexts: &Contexts,
    ) -> Result<Target, Failure> {
        let selected = self.selected(variable, contexts)?;
        let url = self.checked_url(variable, selected).transpose()?;
        Ok(self.target_at(url, variable, contexts, selected))
    }

    /// Returns the context in use.
    fn selected<'c>(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        contexts: &'c Contexts,
    ) -> Result<Option<&'c Context>, Failure> {
        let named = self.context.clone().or_else(|| variable("CUTOVER_CONTEXT"));
        let selected = named.or_else(|| contexts.current.clone());
        selected.map(|name| contexts.get(&name)).transpose()
    }

    /// Returns the URL of the management API, or the fault of the one that is given.
    fn checked_url(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        selected: Option<&Context>,
    ) -> Option<Result<String, Failure>> {
        let stored = selected.map(|context| &context.url);
        let url = self.first(self.url.as_deref(), stored, || variable("CUTOVER_URL"))?;
        Some(address::checked(&url, self.allows_plain_http(selected)))
    }

    fn allows_plain_http(&self, selected: Option<&Context>) -> bool {
        self.insecure_http || selected.is_some_and(|context| context.insecure_http)
    }

    /// Resolves the management API at a URL that was checked.
    fn target_at(
        &self,
        url: Option<String>,
        variable: &dyn Fn(&str) -> Option<String>,
        contexts: &Contexts,
        selected: Option<&Context>,
    ) -> Target {
        let is_plain_http_allowed = self.allows_plain_http(selected);
        // The token of a context is sent to its own URL only.
        let context = selected.filter(|context| Some(&context.url) == url.as_ref());
        let stored = context.and_then(|context| context.token.as_ref());
        let token = self.first(self.token.as_deref(), stored, || variable("CUTOVER_TOKEN"));
        let environment = url.as_ref().map(|url| {
            let known = contexts.contexts.iter().find(|(_, context)| context.url == *url);
            known.map_or_else(
                || Environment::of_url(url),
                |(name, context)| Environment::of_context(name, url, context.production),
            )
        });
        Target { url, token, context: context.cloned(), environment, is_plain_http_allowed }
    }
}

/// Signs the requests on the ways of an emergency, with keys that are read once. Without them a way is left out only if AWS
/// would refuse it: another server than AWS may need no signature, or make its own.
fn signed(clients: Vec<Client>, failures: &mut Vec<Failure>) -> Vec<Client> {
    let keys = kept(Keys::from_env(Some(KEYS_OF_EMERGENCY)), failures);
    let mut usable = Vec::new();
    for client in clients {
        let signer = keys.as_ref().and_then(|keys| kept(keys.signer(client.base()), failures));
        match signer {
            Some(signer) => usable.push(client.signing(signer)),
            None if iam::is_function_url(client.base()) => {}
            None => usable.push(client),
        }
    }
    usable
}

/// Returns the value of a result, and keeps its failure for later.
fn kept<T>(result: Result<T, Failure>, failures: &mut Vec<Failure>) -> Option<T> {
    result.map_err(|failure| failures.push(failure)).ok()
}

/// Reads the contexts of the user. Without a folder for contexts there are none.
fn read_contexts() -> Result<Contexts, Failure> {
    ContextFile::of_user().map_or_else(|_| Ok(Contexts::default()), |file| file.read())
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
mod tests;
