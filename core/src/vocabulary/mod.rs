//! Words that several parts of the core share: names, numbers and units. They import nothing but `json`.

pub mod arm;
pub mod digest;
pub mod names;
pub mod reason;
pub mod revision;
pub mod share;
pub mod timestamp;
pub mod weekday;
