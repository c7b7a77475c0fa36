//! Tokens: stored as the hash of their secret, never as the secret.

use super::{
    Store, StoreError,
    item::{Item, NewItem},
    keys::{self, Key},
};
use cutover_core::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What a caller may do. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything but tokens.
    Viewer,
    /// Changes flags and configuration, declares and clears emergencies.
    Operator,
    /// Removes objects, and manages tokens.
    Admin,
}

impl Role {
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// The attribute that holds when a token ends.
pub(super) const VALID_UNTIL: &str = "valid_until";

/// When DynamoDB may remove a token that ends at this moment, in seconds since 1970.
pub(super) fn removal(end: Timestamp) -> u64 {
    u64::try_from(end.millis() / 1_000 + KEPT_SECONDS).unwrap_or_default()
}

/// The text is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role; write viewer, operator or admin")]
pub struct InvalidRole(String);

impl FromStr for Role {
    type Err = InvalidRole;
    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        [Role::Viewer, Role::Operator, Role::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| InvalidRole(text.to_owned()))
    }
}

/// A token without its secret.
#[derive(Debug, Clone)]
pub struct TokenRecord {
    /// The hash of the secret, in hexadecimal digits.
    pub hash: String,
    /// Who uses it; this name is the actor in the audit log.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None` never.
    pub expires_at: Option<Timestamp>,
    /// Whose tokens it was made with: its maker, the maker's maker, and so on. Whoever made a token could be the one who
    /// uses it, so none of them counts as a second person beside it.
    pub made_by: Vec<String>,
}

/// Expired tokens stay in the list for this long, so that somebody who wonders finds them. In seconds.
const KEPT_SECONDS: i64 = 30 * 24 * 3_600;

impl TokenRecord {
    pub(super) fn item(&self) -> Result<NewItem, StoreError> {
        let item = NewItem::new(&Key::token(&self.hash))
            .text("name", self.name.clone())
            .text("role", self.role.as_str())
            .text("created_at", self.created_at.to_string());
        let item = match self.expires_at {
            None => item,
            Some(at) => item.text(VALID_UNTIL, at.to_string()).number(keys::EXPIRES, removal(at)),
        };
        item.json("made_by", &self.made_by)
    }

    /// Whether it has ended.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    fn read(item: &Item) -> Result<Self, StoreError> {
        let unexpected = |error: &dyn std::fmt::Display| StoreError::Item(format!("token: {error}"));
        Ok(Self {
            hash: item.text(keys::SORT)?.to_owned(),
            name: item.text("name")?.to_owned(),
            role: item.text("role")?.parse().map_err(|error| unexpected(&error))?,
            created_at: item.text("created_at")?.parse().map_err(|error| unexpected(&error))?,
            expires_at: item
                .optional_text(VALID_UNTIL)
                .map(str::parse)
                .transpose()
                .map_err(|error| unexpected(&error))?,
            made_by: match item.optional_text("made_by") {
                Some(_) => item.json("made_by")?,
                // Tokens of the first version were made by an admin whom nobody noted.
                None => Vec::new(),
            },
        })
    }
}

impl Store {
    /// The token of a secret, by its hash.
    pub async fn token(&self, hash: &str) -> Result<Option<TokenRecord>, StoreError> {
        self.get(&Key::token(hash)).await?.as_ref().map(TokenRecord::read).transpose()
    }

    /// All tokens.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let items = self.all(keys::TOKENS, "").await?;
        let mut tokens = items.iter().map(TokenRecord::read).collect::<Result<Vec<_>, _>>()?;
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tokens)
    }
}
