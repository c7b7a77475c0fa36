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

/// What a client may write.
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
    /// Forty reviews that are the same at every start.
    fn default() -> Self {
        let texts = ["Exactly as described.", "Arrived late.", "Très bien, merci !", "Would buy again."];
        let reviews = (1..=40_u64)
            .map(|id| {
                let at = format!("2024-01-{:02}T12:00:00Z", id % 28 + 1);
                Review {
                    id,
                    offer_id: id % 8 + 1,
                    author_id: format!("user-{}", id % 10 + 1),
                    rating: u8::try_from(id % 5 + 1).expect("one to five"),
                    text: texts[usize::try_from(id % 4).expect("small")].to_owned(),
                    created_at: at.clone(),
                    updated_at: at,
                    is_moderated: id % 3 == 0,
                }
            })
            .collect();
        Self { reviews: Mutex::new(reviews) }
    }
}

/// The current time in the form of the interface.
pub fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).expect("the time can be written")
}

impl Data {
    fn lock(&self) -> MutexGuard<'_, Vec<Review>> {
        self.reviews.lock().expect("no handler panics")
    }

    /// The reviews that fit, in the order of their ids, from an offset on.
    pub fn list(&self, fits: impl Fn(&Review) -> bool, offset: usize, limit: usize) -> Vec<Review> {
        self.lock().iter().filter(|review| fits(review)).skip(offset).take(limit).cloned().collect()
    }

    /// One review.
    pub fn get(&self, id: u64) -> Option<Review> {
        self.lock().iter().find(|review| review.id == id).cloned()
    }

    /// Adds a review.
    pub fn create(&self, draft: Draft) -> Review {
        let mut reviews = self.lock();
        let id = reviews.iter().map(|review| review.id).max().unwrap_or_default() + 1;
        let Draft { offer_id, author_id, rating, text } = draft;
        let at = now();
        let review = Review {
            id,
            offer_id,
            author_id,
            rating,
            text,
            created_at: at.clone(),
            updated_at: at,
            is_moderated: false,
        };
        reviews.push(review.clone());
        review
    }

    /// Changes the rating or the text of a review.
    pub fn update(&self, id: u64, rating: Option<u8>, text: Option<String>) -> Option<Review> {
        let mut reviews = self.lock();
        let review = reviews.iter_mut().find(|review| review.id == id)?;
        if let Some(rating) = rating {
            review.rating = rating;
        }
        if let Some(text) = text {
            review.text = text;
        }
        review.updated_at = now();
        Some(review.clone())
    }

    /// Removes a review.
    pub fn delete(&self, id: u64) -> bool {
        let mut reviews = self.lock();
        let before = reviews.len();
        reviews.retain(|review| review.id != id);
        reviews.len() < before
    }
}
