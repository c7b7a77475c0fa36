//! The scheduled promotion of canaries, and its notifications.

pub mod notify;
pub mod promote;
pub mod run;
