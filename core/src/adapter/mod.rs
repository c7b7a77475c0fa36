//! Adapters let a backend with a new interface serve the clients of an old one. A [`Program`] is a
//! compiled adapter file and travels in the snapshot; an [`Exchange`] runs it for one request.
//!
//! Work is bounded: shapes cannot refer to themselves, every step of a shape is charged to a
//! [`Budget`], and an exchange sends at most as many requests to the backend as its route declares.

mod body_fields;
mod exchange;
mod fault;
#[cfg(feature = "config")]
mod invert;
mod later;
mod literal;
mod program;
mod reading;
mod request;
mod shape;
mod template;
mod variable;

pub use self::{
    exchange::{Adapter, Answer, ClientRequest, Exchange, Next, Pending, Reply, Unfit, Upstream},
    fault::{Fault, FaultStatus, NullPart, WhenNull},
    literal::Literal,
    program::{
        AdaptedRoute, Backend, Errors, InvalidProgram, Pagination, ParameterForm, PathCondition, Program,
        SelectedVersion, Style,
    },
    request::{Request, Source},
    shape::{
        budget::{Budget, EvalContext, ShapeError},
        diagnose::Misfit,
        step::{Conversion, DateForm, Field, Kept, PagePosition, PageUrl, Shape, Step},
    },
    template::{Part, Template},
    variable::{Kind, Variable},
};
#[cfg(feature = "config")]
pub(crate) use body_fields::BodyFields;
#[cfg(feature = "config")]
pub(crate) use exchange::IF_NONE_MATCH;
pub(crate) use exchange::lists_tag;
#[cfg(feature = "config")]
pub use invert::Irreversible;
#[cfg(feature = "config")]
pub use invert::invert;
#[cfg(feature = "config")]
pub(crate) use template::is_dot_segment;
