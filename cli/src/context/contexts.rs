//! The contexts of a user, and the one in use.

use crate::failure::Failure;
use cutover_core::config::nearest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A deployment, and how to reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// URL of the management function.
    pub url: String,
    /// Bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// URL of the Worker, as users call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge_url: Option<String>,
    /// URL of the ingest function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest_url: Option<String>,
    /// URL of the ask function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_url: Option<String>,
    /// URL of the function for emergencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency_url: Option<String>,
    /// True if changes that move users need a confirmation also from scripts.
    pub production: bool,
    /// True if requests are signed for AWS.
    pub aws_iam: bool,
    /// True if the token may travel unencrypted.
    pub insecure_http: bool,
}

/// All contexts of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contexts {
    /// Name of the context in use.
    pub current: Option<String>,
    /// Contexts by name.
    pub contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Returns the context of a name.
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    pub fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| self.unknown(name))
    }

    /// Returns the context of a name, to change it.
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    pub fn get_mut(&mut self, name: &str) -> Result<&mut Context, Failure> {
        let unknown = self.unknown(name);
        self.contexts.get_mut(name).ok_or(unknown)
    }

    /// Adds a context. The first one is the one in use.
    ///
    /// # Errors
    ///
    /// Fails if the name is taken or empty.
    pub fn add(&mut self, name: &str, context: Context) -> Result<(), Failure> {
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(Failure::Usage(format!("{name:?} is no name of a context")));
        }
        if self.contexts.contains_key(name) {
            let hint = format!("choose another name, or run cutover context remove {name} first");
            return Err(Failure::Usage(format!("there is a context {name:?} already\n  hint: {hint}")));
        }
        self.contexts.insert(name.to_owned(), context);
        if self.contexts.len() == 1 {
            self.current = Some(name.to_owned());
        }
        Ok(())
    }

    /// Selects the context in use.
    ///
    /// # Errors
    ///
    /// Fails if there is none of that name.
    pub fn select(&mut self, name: &str) -> Result<(), Failure> {
        self.get(name)?;
        self.current = Some(name.to_owned());
        Ok(())
    }

    /// Removes a context. If it was in use, none is afterwards.
    ///
    /// # Errors
    ///
    /// Fails if there is none of that name.
    pub fn remove(&mut self, name: &str) -> Result<(), Failure> {
        self.get(name)?;
        self.contexts.remove(name);
        self.current = self.current.take().filter(|current| current != name);
        Ok(())
    }

    fn unknown(&self, name: &str) -> Failure {
        let hint = match nearest(name, self.contexts.keys().map(String::as_str)) {
            Some(near) => format!("did you mean {near}? cutover context list shows all of them"),
            None => "see cutover context list, or add it with cutover context add NAME --url URL".to_owned(),
        };
        Failure::Usage(format!("there is no context {name:?}\n  hint: {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_context_is_in_use_until_another_is_chosen() {
        let mut contexts = Contexts::default();
        contexts.add("staging", Context::default()).unwrap();
        contexts.add("live", Context::default()).unwrap();
        assert_eq!(contexts.current.as_deref(), Some("staging"));
        contexts.select("live").unwrap();
        contexts.remove("staging").unwrap();
        assert_eq!(contexts.current.as_deref(), Some("live"));
        contexts.remove("live").unwrap();
        assert_eq!(contexts, Contexts::default());
    }

    #[test]
    fn names_are_used_once_and_mistyped_ones_are_corrected() {
        let mut contexts = Contexts::default();
        contexts.add("staging", Context::default()).unwrap();
        assert!(contexts.add("staging", Context::default()).is_err());
        assert!(contexts.add(" ", Context::default()).is_err());
        let unknown = contexts.select("stagging").unwrap_err().to_string();
        assert!(unknown.contains("did you mean staging?"), "{unknown}");
        assert_eq!(contexts.current.as_deref(), Some("staging"));
    }
}
