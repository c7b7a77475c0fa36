//! Tokens, stored as the hash of their secret, never as the secret itself.

use crate::store::{
    error::StoreError,
    item::{Item, NewItem},
    keys,
    keys::Key,
    role::Role,
    table::Store,
};
use cutover_core::Timestamp;

/// Attribute that holds the expiry of a token.
pub(super) const VALID_UNTIL: &str = "valid_until";

/// Returns the time after which DynamoDB may remove a token that expires at `end`, in seconds since
/// 1970.
pub(super) fn removal(end: Timestamp) -> u64 {
    u64::try_from(end.millis() / 1_000 + KEPT_SECONDS).unwrap_or_default()
}

/// A token without its secret.
#[derive(Debug, Clone)]
pub struct TokenRecord {
    /// Hash of the secret, in hexadecimal digits.
    pub hash: String,
    /// Name of its user, which is the actor in the audit log.
    pub name: String,
    /// Role of its user.
    pub role: Role,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of expiry; `None` means never.
    pub expires_at: Option<Timestamp>,
    /// Names of its direct and indirect creators, and of callers who rotated it, without root. Each
    /// could know the secret and be the one who uses the token, so none of them counts as a second
    /// person for requests made with it.
    pub made_by: Vec<String>,
}

/// Time that expired tokens remain listed, in seconds, so that the cause of a rejected token can be
/// found.
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

    /// Returns true if the token has expired.
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
                // The first version did not record the creators of tokens.
                None => Vec::new(),
            },
        })
    }
}

impl Store {
    /// Returns the token with this hash of its secret.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn token(&self, hash: &str) -> Result<Option<TokenRecord>, StoreError> {
        self.get(&Key::token(hash)).await?.as_ref().map(TokenRecord::read).transpose()
    }

    /// Returns all tokens, ordered by name.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let items = self.all(keys::TOKENS, "").await?;
        let mut tokens = items.iter().map(TokenRecord::read).collect::<Result<Vec<_>, _>>()?;
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tokens)
    }

    /// Returns true if a token has a name, or had it before it was revoked or expired.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn is_name_taken(&self, name: &str) -> Result<bool, StoreError> {
        let key = Key::token_name(name);
        if self.get(&key).await?.is_some() {
            return Ok(true);
        }
        // Tokens of the first version did not take their names.
        Ok(self.tokens().await?.iter().any(|token| Key::token_name(&token.name) == key))
    }
}
