//! The scheduled promotion of canaries, and its notifications.

pub mod decide;
pub mod notify;
pub mod promote;
pub mod run;
