//! One request of a client, from its first inspection to the response, with the requests to the
//! backend in between.

mod asking;
mod body;
mod etag;
mod headers;
mod meaning;
mod messages;
mod pages;
mod pending;
mod question;
mod routes;
mod run;
mod unfit;

#[cfg(feature = "config")]
pub(crate) use etag::IF_NONE_MATCH;
pub(crate) use etag::lists as lists_tag;
pub use messages::{Answer, ClientRequest, Next, Reply, Upstream};
pub use pending::Pending;
pub use run::{Adapter, Exchange};
pub use unfit::Unfit;
