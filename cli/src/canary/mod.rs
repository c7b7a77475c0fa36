//! `cutover canary …`: starts and steers canaries, shows their progress, and simulates plans.

mod checks;
mod command;
mod duration;
mod forecast;
mod ladder;
mod list;
mod missing;
mod path;
mod plan;
mod rate;
mod replay;
mod sentence;
mod simulate;
mod simulated_users;
mod status;
mod steer;
mod watch;

pub use command::Command;
