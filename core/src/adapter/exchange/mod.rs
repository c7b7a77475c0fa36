//! One request of a client, from its first inspection to the response, with the requests to the
//! backend in between.

mod meaning;
mod messages;
mod pages;
mod question;
mod run;

pub use messages::{Answer, ClientRequest, Next, Reply, Upstream};
pub use run::{Adapter, Exchange};
