//! Access: tokens, identity providers, roles and rate limits.

pub mod auth;
pub mod digest;
pub mod jwt;
pub mod limit;
pub mod provider;
pub mod second_person;
