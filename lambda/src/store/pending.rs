//! Changes that wait for a second person: the request as it was sent, and what it would change.

use super::{
    Role, Store, StoreError,
    item::{Item, NewItem},
    keys::{self, Key},
};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use cutover_core::{Revision, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A change waits this long, in milliseconds.
const WAITS_MS: i64 = 24 * 3_600_000;

/// A change that waits for a second person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    /// Its name.
    pub id: String,
    /// When it was asked for.
    pub at: Timestamp,
    /// After this nobody can agree any more.
    pub expires_at: Timestamp,
    /// Who asked.
    pub requested_by: String,
    /// With which role.
    pub role: Role,
    /// Whose tokens theirs was made with.
    pub made_by: Vec<String>,
    /// Why, if it was said.
    pub reason: Option<String>,
    /// What is to be done, such as `flag.rollout`.
    pub action: String,
    /// What it would touch.
    pub objects: Vec<String>,
    /// What it would change, field by field.
    pub changes: Value,
    /// The revision that the changes were made out at.
    pub revision: Revision,
    /// The hash of action and changes. A second person agrees to exactly these.
    pub fingerprint: String,
    /// The request.
    pub request: Request,
}

/// A request, as it was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The media type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
    /// The entity tag that the object had to have, if one was sent.
    pub if_match: Option<String>,
}

impl Pending {
    /// The end of a change that is asked for now.
    pub fn end(now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.millis() + WAITS_MS)
    }

    /// Whether nobody can agree to it any more.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    fn read(item: &Item) -> Result<Self, StoreError> {
        item.json("pending")
    }
}

impl Store {
    /// Keeps a change until a second person agrees, or its time is over. Where one of this id waits already, that one.
    pub async fn put_pending(&self, pending: Pending) -> Result<Pending, StoreError> {
        let seconds = u64::try_from(pending.expires_at.millis() / 1_000).unwrap_or_default();
        let item = NewItem::new(&Key::pending(&pending.id))
            .number(keys::EXPIRES, seconds)
            .json("pending", &pending)?;
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.into_attributes()))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match sent {
            Ok(_) => Ok(pending),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(self.pending(&pending.id).await?.unwrap_or(pending))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A change that waits.
    pub async fn pending(&self, id: &str) -> Result<Option<Pending>, StoreError> {
        self.get(&Key::pending(id)).await?.as_ref().map(Pending::read).transpose()
    }

    /// All changes that wait, oldest first.
    pub async fn all_pending(&self) -> Result<Vec<Pending>, StoreError> {
        self.all(keys::PENDING, "").await?.iter().map(Pending::read).collect()
    }

    /// Gives up a change that waits. Whether it was still there.
    pub async fn withdraw(&self, id: &str) -> Result<bool, StoreError> {
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(Key::pending(id).attributes()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
            .send()
            .await?;
        Ok(deleted.attributes.is_some_and(|attributes| !attributes.is_empty()))
    }
}
