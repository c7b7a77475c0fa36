//! Every test of the running system: the Worker in workerd, the functions behind cargo-lambda, DynamoDB's API and two backends.
//! One program, so that it is linked once; `cargo xtask test` runs its tests side by side, and those in modules named `alone`,
//! which measure time, one after the other.

mod adapter;
mod adapter_command;
mod answers;
mod audit;
mod boundary;
mod broken_core;
mod canary;
mod cases;
mod catalogue;
mod changes;
mod command_line;
mod comparison;
mod consistency;
mod contexts;
mod counting;
mod deployment;
mod dev;
mod evaluation;
mod failover;
mod forwarding;
mod freshness;
mod hostile;
mod identities;
mod jwt;
mod kill_switch;
mod management;
mod observability;
mod openapi;
mod origins;
mod overlap;
mod permissions;
mod preflight;
mod publication;
mod questions;
mod reaction;
mod restore;
mod second_person;
mod secrets;
mod sharded;
mod stand_ins;
mod teardown;
mod traffic;
mod transcripts;
