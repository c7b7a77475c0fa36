//! Fields of programs that came after schema 2 of the snapshot.

use crate::{
    adapter::{
        program::{AdaptedRoute, Program},
        shape::step::{Shape, Step},
        variable::{Kind, Variable},
    },
    json::has_index,
};

impl Program {
    /// Returns true if the program has what readers of schema 2 ignore or take for something else. Steps
    /// that they do not know they refuse.
    pub(crate) fn has_later_fields(&self) -> bool {
        let later_route = |route: &AdaptedRoute| {
            let page = route.pagination.iter().flat_map(|pagination| [&pagination.page, &pagination.limit]);
            !route.conditions.is_empty()
                || has_index(&route.root)
                || route.variables.iter().chain(page).any(is_later)
                || route.response.iter().any(has_indexes)
        };
        self.etag
            || !self.content_type.is_empty()
            || !self.headers.is_empty()
            || !self.errors.headers.is_empty()
            || self.routes.iter().any(later_route)
    }
}

fn is_later(variable: &Variable) -> bool {
    let inside = match &variable.kind {
        Kind::Each(_) => true,
        Kind::Object(fields) => fields.iter().any(is_later),
        _ => false,
    };
    variable.empty_is_absent || variable.invalid_is_absent || inside
}

fn has_indexes(shape: &Shape) -> bool {
    shape.0.iter().any(|step| match step {
        Step::Get(path) => has_index(path),
        step => step.shapes().into_iter().any(has_indexes),
    })
}
