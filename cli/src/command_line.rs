//! A command line for unit tests: the options of the connection, and the arguments of one command.

use crate::connection::Connection;
use clap::{Args, Parser};

/// The options of every command, and the arguments `A` of one.
#[derive(Debug, Parser)]
pub struct CommandLine<A: Args> {
    /// Options of every command.
    #[command(flatten)]
    pub connection: Connection,
    /// Arguments of the command.
    #[command(flatten)]
    pub arguments: A,
}
