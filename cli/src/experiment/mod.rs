//! `cutover experiment …` and `cutover create-ab-test`: experiments, from a draft to their end.

mod assign;
mod command;
mod create;
mod owner;
mod path;
mod plan;
mod replay;
mod results;
mod show;
mod steer;
mod storage;

pub use command::{Command, run};
pub use create::{AbTest, create_ab_test};
pub use owner::moved_by_owner;
