//! The facts of one request, and the identity of its user.

pub mod facts;
pub mod identity;
pub mod token;
