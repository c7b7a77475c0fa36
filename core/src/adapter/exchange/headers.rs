//! Headers of an adapter's responses that depend on the request.

use crate::{
    adapter::{
        program::{Program, constant},
        request::Request,
        template::Template,
    },
    json::value::Json,
};
use percent_encoding::{CONTROLS, utf8_percent_encode};

/// The headers with places that all successes, or all errors, have. They are chosen once for each program.
#[derive(Debug)]
pub(super) struct PlacedHeaders {
    of_successes: Vec<(String, Template)>,
    of_errors: Vec<(String, Template)>,
}

impl PlacedHeaders {
    pub(super) fn new(program: &Program) -> Self {
        let placed = |is_error: bool| {
            let headers = program.headers_of(is_error).filter(|(_, value)| constant(value).is_none());
            headers.cloned().collect()
        };
        Self { of_successes: placed(false), of_errors: placed(true) }
    }

    /// Fills in the headers of a success. A value is sent as it is, percent-encoded where no header can carry
    /// it; a header without a value is not sent.
    pub(super) fn of_success(&self, request: &Request) -> Vec<(String, String)> {
        filled(&self.of_successes, request)
    }

    /// Fills in the headers of an error in the same way.
    pub(super) fn of_error(&self, request: &Request) -> Vec<(String, String)> {
        filled(&self.of_errors, request)
    }
}

fn filled(headers: &[(String, Template)], request: &Request) -> Vec<(String, String)> {
    let filled = headers.iter().map(|(name, value)| {
        let value = value.fill(request, &Json::Null);
        (name.clone(), utf8_percent_encode(&value, CONTROLS).to_string())
    });
    filled.filter(|(_, value)| !value.is_empty()).collect()
}
