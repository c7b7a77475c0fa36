//! `cutover canary …`: starts and steers canaries, shows their progress, and simulates plans.

mod ascent;
mod begin;
mod checks;
mod command;
mod examples;
mod forecast;
mod frame;
mod ladder;
mod list;
mod outcome;
mod path;
mod plan;
mod progress;
mod rate;
mod replay;
mod runs;
mod screen;
mod sentence;
mod simulate;
mod simulated_users;
mod status;
mod steer;
mod wait;
mod watch;

pub use command::Command;
