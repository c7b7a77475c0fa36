//! The order of the house: imports without circles, documentation that reads like English, paths in documents that exist, and a
//! description of the API beside each handler.

mod circles;
mod cost;
mod dependencies;
mod documents;
mod guarantees;
mod openapi;
mod prose;
mod sources;
