//! `cutover canary …`: starts and steers canaries, shows their progress, and simulates plans.

mod command;
mod forecast;
mod list;
mod path;
mod plan;
mod rate;
mod replay;
mod simulate;
mod simulated_users;
mod status;
mod steer;
mod watch;

pub use command::Command;
