//! The adapter: clients of an old interface are served by a backend that speaks another one. A [`Program`] is what a
//! declarative file was compiled to; it travels in the snapshot. An [`Exchange`] runs it for one request.
//!
//! Nothing here loops but over what it was given: shapes do not refer to themselves, every step of a shape is paid
//! from a budget, and an exchange asks the backend at most as often as its route declares.

mod exchange;
#[cfg(feature = "config")]
mod invert;
mod literal;
mod program;
mod request;
mod shape;
mod template;
mod variable;

pub use exchange::{Adapter, Answer, Exchange, Next, Reply, Sent, Upstream};
#[cfg(feature = "config")]
pub use invert::{Lost, invert};
pub use literal::Literal;
pub use program::{Adapted, Backend, Errors, Fault, Pagination, Program, SelectedVersion, Style};
pub use request::{Request, Source};
pub use shape::{Budget, Conversion, DateForm, Field, Refused, Shape, Step, Whole};
pub use template::{Part, Template};
pub use variable::{Kind, Variable};
