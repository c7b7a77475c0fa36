//! The evaluation context of a request, as the facts that conditions read.

use crate::{
    json::Json,
    request::{facts::Facts, token::is_token},
    rules::condition::document::Attribute,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// Field with the id of the user.
const TARGETING_KEY: &str = "targetingKey";

/// Most attributes of a context, the id of the user included. Each condition looks for its own among them.
pub const MAX_ATTRIBUTES: usize = 256;

/// Bytes of the longest name of an attribute.
pub const MAX_NAME: usize = 256;

/// Bytes of the longest value of an attribute; of all cookies together, and of all parameters of the query.
pub const MAX_VALUE: usize = 4_096;

/// Error for a context that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContext {
    /// The context is no object.
    #[error("context must be an object")]
    NoObject,
    /// The id of the user is no string.
    #[error("targetingKey must be a string")]
    TargetingKey,
    /// The context has too many attributes.
    #[error("context has more than {max} attributes", max = MAX_ATTRIBUTES)]
    Attributes,
    /// An attribute is too long.
    #[error(
        "a name in context has more than {name} bytes, or a value more than {value}",
        name = MAX_NAME,
        value = MAX_VALUE
    )]
    AttributeLength,
    /// The cookies, or the parameters of the query, are too long.
    #[error("the cookies or the parameters in context have more than {max} bytes", max = MAX_VALUE)]
    ListLength,
}

/// The evaluation context. Attributes are the caller's word.
///
/// | attribute | read by conditions as |
/// |---|---|
/// | `targetingKey` | the user id |
/// | `country`, `ip`, `path`, `method` | the fact of this name |
/// | `header:NAME`, `cookie:NAME`, `query:NAME` | that header, cookie or parameter |
/// | any other name that a header can have | `header:NAME`, in lower case |
///
/// Strings, numbers and bools have values; other attributes are ignored.
#[derive(Debug, Default)]
pub struct Context<'j> {
    user: Option<&'j str>,
    headers: Vec<(Cow<'j, str>, &'j str)>,
    cookies: String,
    query: String,
    path: &'j str,
    method: &'j str,
    country: Option<&'j str>,
    ip: Option<&'j str>,
}

impl<'j> Context<'j> {
    /// Reads the context of a request body; a body without one has an empty context.
    ///
    /// # Errors
    ///
    /// Fails if the context is no object, the id of its user is no string, or the context is larger than may be.
    pub fn read(body: &'j Json<'j>) -> Result<Self, InvalidContext> {
        let mut context = Self::default();
        let Some(found) = body.get("context").filter(|found| !found.is_null()) else { return Ok(context) };
        let Json::Object(fields) = found else { return Err(InvalidContext::NoObject) };
        if fields.len() > MAX_ATTRIBUTES {
            return Err(InvalidContext::Attributes);
        }
        // The last one of a repeated name counts, and facts are found from the front.
        for (name, value) in fields.iter().rev() {
            let text = value.scalar().filter(|_| !value.is_null());
            if name.len() > MAX_NAME || text.is_some_and(|text| text.len() > MAX_VALUE) {
                return Err(InvalidContext::AttributeLength);
            }
            if name == TARGETING_KEY {
                context.add_user(value)?;
            } else if let Some(text) = text {
                context.add(name, text);
            }
        }
        if context.cookies.len() > MAX_VALUE || context.query.len() > MAX_VALUE {
            return Err(InvalidContext::ListLength);
        }
        Ok(context)
    }

    fn add_user(&mut self, value: &'j Json<'j>) -> Result<(), InvalidContext> {
        if !value.is_null() {
            let user = value.as_text().ok_or(InvalidContext::TargetingKey)?;
            self.user.get_or_insert(user);
        }
        Ok(())
    }

    fn add(&mut self, name: &'j str, value: &'j str) {
        match Attribute::read(name) {
            Some(Attribute::Header(name)) => self.add_header(name.into_string().into(), value),
            Some(Attribute::Cookie(name)) => self.add_cookie(&name, value),
            Some(Attribute::Query(name)) => {
                let [name, value] =
                    [&*name, value].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string());
                let separator = if self.query.is_empty() { "" } else { "&" };
                self.query.push_str(&format!("{separator}{name}={value}"));
            }
            Some(Attribute::Path) => self.path = or(self.path, value),
            Some(Attribute::Method) => self.method = or(self.method, value),
            Some(Attribute::Country) => {
                self.country.get_or_insert(value);
            }
            Some(Attribute::Ip) => {
                self.ip.get_or_insert(value);
            }
            None if is_token(name) => {
                let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
                let name = if is_lower { Cow::Borrowed(name) } else { name.to_ascii_lowercase().into() };
                self.add_header(name, value);
            }
            // No condition can name such an attribute.
            None => {}
        }
    }

    fn add_header(&mut self, name: Cow<'j, str>, value: &'j str) {
        if name == "cookie" {
            self.push_cookies(value);
        } else {
            self.headers.push((name, value));
        }
    }

    fn add_cookie(&mut self, name: &str, value: &str) {
        // A value with a semicolon would be read as several cookies.
        if !value.contains(';') {
            // The quotes are no part of the value, and keep spaces at its ends.
            self.push_cookies(&format!("{name}=\"{value}\""));
        }
    }

    fn push_cookies(&mut self, pairs: &str) {
        if !self.cookies.is_empty() {
            self.cookies.push_str("; ");
        }
        self.cookies.push_str(pairs);
    }

    /// Returns the id of the user; `None` if it is missing or empty.
    pub fn user(&self) -> Option<&'j str> {
        self.user.filter(|user| !user.is_empty())
    }

    /// Calls a function with the facts of the context.
    pub fn with_facts<R>(&self, evaluate: impl FnOnce(&Facts<'_>) -> R) -> R {
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (&**name, *value)).collect();
        if !self.cookies.is_empty() {
            headers.push(("cookie", self.cookies.as_str()));
        }
        evaluate(&Facts {
            method: self.method,
            path: self.path,
            query: &self.query,
            country: self.country,
            ip: self.ip,
            headers: &headers,
            ..Facts::default()
        })
    }
}

/// Returns a value that is there already, or the other one.
fn or<'t>(held: &'t str, other: &'t str) -> &'t str {
    if held.is_empty() { other } else { held }
}
