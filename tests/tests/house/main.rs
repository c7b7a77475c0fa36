//! The order of the house: imports without circles, documentation that reads like English, paths in documents that
//! exist, and a pipeline that ends as its page says.

mod circles;
mod cost;
mod dependencies;
mod documents;
mod guarantees;
mod pipeline;
mod prose;
mod sources;
