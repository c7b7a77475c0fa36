//! Reads typed values out of a parsed document and collects every problem on the way.

mod cursor;
mod literal;
mod node;
mod problem;
mod references;
mod suggestion;

pub(super) use cursor::{Cursor, EntryCursor, Fields};
pub(super) use literal::scalar_key;
pub use node::Node;
pub(super) use node::Value;
pub use problem::Problem;
pub(super) use problem::Problems;
pub(super) use references::{Names, Section};
pub(super) use suggestion::did_you_mean;
pub use suggestion::nearest;
