//! Contexts: deployments with their URLs and tokens, stored under names in a file of the user.

mod command;
mod contexts;
mod device;
mod file;
mod login;

pub use command::{Command, run};
pub use contexts::{Context, Contexts};
pub use file::ContextFile;
pub use login::{Options as LoginOptions, run as login};
