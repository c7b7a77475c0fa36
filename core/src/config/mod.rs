//! The configuration: the document that operators keep in git, read from YAML or JSON with all its
//! mistakes reported at once.

mod access;
mod adapter;
mod cache;
mod canary;
mod compare;
mod contradiction;
mod diff;
mod document;
mod experiment;
mod failover;
mod file;
mod flag;
mod guard;
mod limit;
mod load;
mod matcher;
mod movement;
mod pairs;
mod progress;
mod reading;
mod single;
mod steps;
mod traffic;
mod values;

pub use adapter::{Adapter, COMPILED};
pub use diff::{Action, Change, diff};
pub use document::Config;
pub use file::ConfigFile;
pub use load::{experiment_from_json, flag_from_json, flag_from_yaml};
pub use movement::{Cause, Movement, movements};
pub use pairs::{
    Expected, ExpectedResponse, InvalidRequestLine, RecordedPair, RecordedPairs, RequestLine, SentRequest,
};
pub use progress::Progress;
pub use reading::{Node, Problem, nearest};
pub use single::{segment_from_json, value_flag_from_json};
