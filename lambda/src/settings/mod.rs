//! Settings from the environment, and secrets.

pub mod aws;
pub mod environment;
pub mod identity_provider;
pub mod secret;
