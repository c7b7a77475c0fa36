//! The order of the house: imports without circles, documentation that reads like English, paths in documents that exist, a
//! description of the API beside each handler, and a pipeline that ends as its page says.

mod circles;
mod cost;
mod dashboard;
mod dependencies;
mod documents;
mod guarantees;
mod ofrep;
mod openapi;
mod pipeline;
mod prose;
mod sources;
mod worker;
