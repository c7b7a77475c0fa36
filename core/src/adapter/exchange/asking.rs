//! The first half of an exchange: from the values of the client's request to a request to the backend.

use crate::{
    adapter::{
        exchange::{
            body::{self, UnreadableBody},
            messages::{Answer, Next, Upstream},
            pages::{Page, whole_number},
            question::{Variables, query},
            run::{Exchange, RouteBody},
        },
        fault::Fault,
        program::{AdaptedRoute, Backend, Style},
        request::Source,
        shape::{budget::Budget, step::Shape},
        template::Part,
        variable::{Invalid, InvalidCause},
    },
    json::{value::Json, write::write_text},
    vocabulary::timestamp::Timestamp,
};
use std::borrow::Cow;

impl Exchange {
    /// Returns the first action of an exchange whose route reads the body. Of the body, it keeps only
    /// the fields that the following steps read.
    pub(super) fn begin_with_body(
        &mut self,
        adapted: &AdaptedRoute,
        fields: &RouteBody,
        body: &[u8],
        now: Timestamp,
    ) -> Next {
        match body::read(body) {
            Ok(tape) => {
                self.request.body = fields.before.pick(tape.root());
                let next = self.first(adapted, now);
                self.request.body = fields.after.pick(tape.root());
                next
            }
            Err(UnreadableBody::Malformed) => {
                Next::Answer(self.refuse(&self.adapter.program.errors.invalid, "body", now))
            }
            Err(UnreadableBody::TooManyValues) => {
                Next::Answer(self.refuse(&self.adapter.program.errors.too_large, "body", now))
            }
        }
    }

    /// Returns the first action, from the values of the request.
    pub(super) fn first(&mut self, adapted: &AdaptedRoute, now: Timestamp) -> Next {
        let variables = match self.prepare(adapted) {
            Ok(variables) => variables,
            Err(invalid) => return Next::Answer(self.invalid(&invalid, now)),
        };
        let next = self.ask(adapted, &variables, now);
        if adapted.pagination.as_ref().is_some_and(|held| matches!(held.style, Style::Cursor(..))) {
            let owned =
                |(name, value): (Cow<'_, str>, Json<'_>)| (name.into_owned().into(), value.into_owned());
            self.variables = variables.into_iter().map(owned).collect();
        }
        next
    }

    fn invalid(&self, (field, fault): &(String, Option<Fault>), now: Timestamp) -> Answer {
        self.refuse(fault.as_ref().unwrap_or(&self.adapter.program.errors.invalid), field, now)
    }

    /// Builds the response to a value that cannot be a segment of the backend's path.
    fn invalid_place(&self, place: &Part, now: Timestamp) -> Answer {
        let errors = &self.adapter.program.errors;
        let is_claim = matches!(place, Part::Request(Source::Jwt(_)));
        let fault = if is_claim { &errors.unauthenticated } else { &errors.invalid };
        self.refuse(fault, &place.name(), now)
    }

    /// Reads the route's variables from the request, including those of its pagination.
    fn prepare<'a>(&mut self, adapted: &'a AdaptedRoute) -> Result<Variables<'a>, (String, Option<Fault>)> {
        let errors = &self.adapter.program.errors;
        let refused = |invalid: Invalid<'_>| {
            let otherwise = match invalid.cause {
                InvalidCause::Unfit => None,
                InvalidCause::Unauthenticated => Some(&errors.unauthenticated),
                InvalidCause::TooLarge => Some(&errors.too_large),
            };
            (invalid.field, invalid.fault.or(otherwise).cloned())
        };
        let mut variables = Variables::with_capacity(adapted.variables.len() + 2);
        for variable in &adapted.variables {
            if let Some(value) = variable.value(&self.request).map_err(refused)? {
                variables.push((variable.name.as_str().into(), value));
            }
        }
        let Some(pagination) = &adapted.pagination else { return Ok(variables) };
        let page_fault = || (pagination.page.name.clone(), pagination.page.invalid.clone());
        let number = whole_number(pagination.page.value(&self.request).map_err(refused)?).unwrap_or(1);
        let limit = whole_number(pagination.limit.value(&self.request).map_err(refused)?).unwrap_or(20);
        let mut page = Page { number, limit, before: 0 };
        match &pagination.style {
            Style::Offset(offset, count) => {
                // No list has items beyond the range of a GraphQL Int, so the offset can be
                // clamped.
                let skipped = (number - 1).saturating_mul(limit).clamp(0, i64::from(i32::MAX));
                variables.push((offset.into(), Json::integer(skipped)));
                variables.push((count.into(), Json::integer(limit)));
            }
            Style::Cursor(first, _, _, most) => {
                if number > i64::from(*most) {
                    return Err(page_fault());
                }
                page.before = (number - 1).max(0);
                variables.push((first.into(), Json::integer(limit)));
            }
        }
        self.page = Some(page);
        Ok(variables)
    }

    /// Builds the next request to the backend.
    pub(super) fn ask(&self, adapted: &AdaptedRoute, variables: &Variables<'_>, now: Timestamp) -> Next {
        match &adapted.backend {
            Backend::GraphQl(..) => {
                let fixed = self.adapter.fixed.get(self.route).map(String::as_str).unwrap_or_default();
                // Enough for most variables; longer ones grow the buffer.
                let mut body = String::with_capacity(fixed.len() + 128);
                body.push_str(fixed);
                body.push('{');
                for (index, (name, value)) in variables.iter().enumerate() {
                    if index > 0 {
                        body.push(',');
                    }
                    write_text(name, &mut body);
                    body.push(':');
                    value.write(&mut body);
                }
                body.push_str("}}");
                Next::Ask(Upstream { to: None, body: Some(body) })
            }
            Backend::Rest(method, target, shape) => {
                let mut target = match target.fill_path(&self.request) {
                    Ok(target) => target,
                    Err(place) => return Next::Answer(self.invalid_place(place, now)),
                };
                // A route that declares variables sends those and nothing else, also if all are absent.
                let declares_none = adapted.variables.is_empty() && adapted.pagination.is_none();
                let query = if declares_none { self.request.query.clone() } else { query(variables) };
                if !query.is_empty() {
                    target.push('?');
                    target.push_str(&query);
                }
                let to = Some((method.clone(), target));
                match shape.as_ref().map(|shape| self.shaped(shape, &self.request.body, now)) {
                    None => Next::Ask(Upstream { to, body: None }),
                    Some(Some(body)) if !body.is_null() => {
                        Next::Ask(Upstream { to, body: Some(body.to_string()) })
                    }
                    Some(_) => Next::Answer(self.refuse(&self.adapter.program.errors.invalid, "body", now)),
                }
            }
        }
    }

    fn shaped(&self, shape: &Shape, value: &Json<'_>, now: Timestamp) -> Option<Json<'static>> {
        shape.apply(value, self.context(now), &mut Budget::default()).ok().flatten()
    }
}
