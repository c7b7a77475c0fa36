//! The environment that a command acts on: its name, its host, and if it is production.

use crate::{address, output::Format, style};
use anstyle::AnsiColor;
use std::{
    fmt,
    io::{IsTerminal, stderr},
};

/// A deployment, as operators tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    name: Option<String>,
    host: String,
    is_production: bool,
}

impl Environment {
    /// Describes a deployment that no context names.
    pub fn of_url(url: &str) -> Self {
        Self { name: None, host: address::host(url), is_production: false }
    }

    /// Describes the deployment of a context.
    pub fn of_context(name: &str, url: &str, is_production: bool) -> Self {
        Self { name: Some(name.to_owned()), is_production, ..Self::of_url(url) }
    }

    /// Returns true if changes that move users need a confirmation also from scripts.
    pub fn is_production(&self) -> bool {
        self.is_production
    }

    /// Prints the environment above a table, if a person reads it on a terminal.
    pub fn announce(&self, format: Format) {
        if format == Format::Table && stderr().is_terminal() {
            let colour = if self.is_production { AnsiColor::Red } else { AnsiColor::Cyan };
            eprintln!("{}", style::painted(&self.to_string(), colour.on_default(), &stderr()));
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_named_by_its_context_or_its_host() {
        let url = "https://api.example:8443/x";
        assert_eq!(Environment::of_url(url).to_string(), "api.example:8443");
        let live = Environment::of_context("live", url, true);
        assert_eq!((live.to_string().as_str(), live.is_production()), ("live (api.example:8443)", true));
    }
}
