//! JSON that preserves its source: objects keep their order, numbers keep their digits, and strings
//! are borrowed if possible.
//!
//! Backend responses pass through this module on their way to clients, so nothing may be lost that
//! a client could see: no number becomes a float, no key moves. The project's own documents are read
//! and written by serde_json.

mod decimal;
mod index;
mod node;
pub mod omit;
pub(crate) mod parse;
mod tape;
pub(crate) mod value;
pub(crate) mod write;

pub use decimal::{Decimal, float};
pub(crate) use index::{has_index, list_index};
pub use parse::{MAX_DEPTH, Malformed, is_number};
pub use tape::{Tape, Value};
pub use value::Json;
pub use write::write_text;
