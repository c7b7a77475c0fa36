//! The order of the house: imports without circles, documentation that reads like English, paths in documents that exist.

mod circles;
mod cost;
mod dependencies;
mod documents;
mod guarantees;
mod prose;
mod sources;
