//! The reviews, shared by both backends.

use serde::Serialize;
use std::sync::{Mutex, MutexGuard};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A review.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields are those of the established interface")]
pub struct Review {
    pub id: u64,
    pub offer_id: u64,
    pub author_id: String,
    pub rating: u8,
    pub text: String,
    pub created_at: String,
    pub updated_at: String,
    pub is_moderated: bool,
}

/// The fields of a new review that a client sets.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields are those of the established interface")]
pub struct Draft {
    pub offer_id: u64,
    pub author_id: String,
    pub rating: u8,
    pub text: String,
}

/// All reviews.
pub struct Data {
    reviews: Mutex<Vec<Review>>,
}

impl Default for Data {
    /// Returns forty reviews, the same at every start.
    fn default() -> Self {
        let texts = ["Exactly as described.", "Arrived late.", "Très bien, merci !", "Would buy again."];
        let reviews = (1..=40_u64)
            .map(|id| {
                let time = format!("2024-01-{:02}T12:00:00Z", id % 28 + 1);
                Review {
                    id,
                    offer_id: id % 8 + 1,
                    author_id: format!("user-{}", id % 10 + 1),
                    rating: u8::try_from(id % 5 + 1).expect("one to five"),
                    text: texts[usize::try_from(id % 4).expect("small")].to_owned(),
                    created_at: time.clone(),
                    updated_at: time,
                    is_moderated: id % 3 == 0,
                }
            })
            .collect();
        Self { reviews: Mutex::new(reviews) }
    }
}

/// Returns the current time in the format of the interface.
pub fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).expect("the time has an RFC 3339 form")
}

impl Data {
    fn lock(&self) -> MutexGuard<'_, Vec<Review>> {
        self.reviews.lock().expect("no handler panics")
    }

    /// Returns the reviews that satisfy `fits`, ordered by id, from an offset on.
    pub fn list(&self, fits: impl Fn(&Review) -> bool, offset: usize, limit: usize) -> Vec<Review> {
        self.lock().iter().filter(|review| fits(review)).skip(offset).take(limit).cloned().collect()
    }

    /// Returns the review with an id.
    pub fn get(&self, id: u64) -> Option<Review> {
        self.lock().iter().find(|review| review.id == id).cloned()
    }

    /// Checks that an offer exists, which all do with an id below one million.
    ///
    /// # Errors
    ///
    /// Returns `NotFound` for a larger id.
    pub fn offer(id: u64) -> Result<(), Refusal> {
        if id < 1_000_000 { Ok(()) } else { Err(Refusal::NotFound("no such offer")) }
    }

    /// Returns true if a user with this id exists.
    pub fn is_user(id: &str) -> bool {
        id.starts_with("user-")
    }

    /// Adds a review. An author can review an offer once.
    ///
    /// # Errors
    ///
    /// Returns `Conflict` if the author has already reviewed the offer.
    pub fn create(&self, draft: Draft) -> Result<Review, Refusal> {
        let mut reviews = self.lock();
        let id = reviews.iter().map(|review| review.id).max().unwrap_or_default() + 1;
        let Draft { offer_id, author_id, rating, text } = draft;
        if reviews.iter().any(|review| review.offer_id == offer_id && review.author_id == author_id) {
            return Err(Refusal::Conflict("this author has already reviewed this offer"));
        }
        let time = now();
        let review = Review {
            id,
            offer_id,
            author_id,
            rating,
            text,
            created_at: time.clone(),
            updated_at: time,
            is_moderated: false,
        };
        reviews.push(review.clone());
        Ok(review)
    }

    /// Changes the rating or the text of a review.
    ///
    /// # Errors
    ///
    /// Returns `NotFound` if there is no such review, and `Conflict` if it is
    /// moderated.
    pub fn update(&self, id: u64, rating: Option<u8>, text: Option<String>) -> Result<Review, Refusal> {
        let mut reviews = self.lock();
        let review = changeable(&mut reviews, id)?;
        if let Some(rating) = rating {
            review.rating = rating;
        }
        if let Some(text) = text {
            review.text = text;
        }
        review.updated_at = now();
        Ok(review.clone())
    }

    /// Removes a review.
    ///
    /// # Errors
    ///
    /// Returns `NotFound` if there is no such review, and `Conflict` if it is
    /// moderated.
    pub fn delete(&self, id: u64) -> Result<(), Refusal> {
        let mut reviews = self.lock();
        changeable(&mut reviews, id)?;
        reviews.retain(|review| review.id != id);
        Ok(())
    }
}

/// Returns a review, if it may be changed.
fn changeable(reviews: &mut [Review], id: u64) -> Result<&mut Review, Refusal> {
    let review =
        reviews.iter_mut().find(|review| review.id == id).ok_or(Refusal::NotFound("no such review"))?;
    if review.is_moderated {
        return Err(Refusal::Conflict("a moderated review cannot be changed"));
    }
    Ok(review)
}

/// The reason a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The object does not exist.
    NotFound(&'static str),
    /// The state of the object does not allow the request.
    Conflict(&'static str),
}

impl Refusal {
    /// Returns the message for the client.
    pub fn message(self) -> &'static str {
        match self {
            Self::NotFound(message) | Self::Conflict(message) => message,
        }
    }
}
