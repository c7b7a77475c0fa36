//! The adapter of a route and its exchanges.

use crate::{
    adapter::{
        exchange::{
            meaning::{ErrorDetails, RestResponse, by_status, fault_answer, graphql_value, rest_value},
            messages::{Answer, ClientRequest, Next, Reply, Upstream},
            pages::{Page, Walk, walk, whole_number},
            question::{Variables, fixed_body, query},
        },
        fault::Fault,
        program::{AdaptedRoute, Backend, Program, Style},
        request::Request,
        shape::{
            budget::{Budget, EvalContext},
            step::Shape,
        },
        template::Template,
        variable::Invalid,
    },
    json::{Tape, Value, value::Json, write::write_text},
    request::facts::Facts,
    routing::table::{InvalidRoute, RouteTable},
    vocabulary::timestamp::Timestamp,
};
use std::{borrow::Cow, sync::Arc};

/// A [`Program`] with its route table, ready to run.
#[derive(Debug)]
pub struct Adapter {
    /// The compiled adapter file.
    pub program: Arc<Program>,
    table: RouteTable,
    /// For each route, the part of its GraphQL request body that does not depend on the client's
    /// request; empty for REST backends.
    fixed: Vec<String>,
}

/// A client's request in progress.
#[derive(Debug)]
pub struct Exchange {
    adapter: Arc<Adapter>,
    route: usize,
    request: Request,
    /// The variables of the last backend request, kept if the next page may have to be requested
    /// too.
    variables: Variables<'static>,
    page: Option<Page>,
}

impl Adapter {
    /// Builds the route table of a program.
    ///
    /// # Errors
    ///
    /// Fails if the path pattern of a route is invalid.
    pub fn new(program: Arc<Program>) -> Result<Self, InvalidRoute> {
        let matchers: Vec<_> = program.routes.iter().map(|route| &route.matcher).collect();
        let table = RouteTable::new(&matchers).map_err(|(_, error)| error)?;
        let fixed = program.routes.iter().map(fixed_body).collect();
        Ok(Self { program, table, fixed })
    }

    /// Returns true if a route matches the method and path.
    pub fn has_route(&self, method: &str, path: &str) -> bool {
        self.table.find(method, path).is_some()
    }

    /// Begins an exchange from the facts of the request alone. Returns `None` if the program reads
    /// claims, if the route reads the body, or if no route matches; [`Self::begin`] then decides.
    pub fn begin_at_once(self: &Arc<Self>, facts: &Facts<'_>, now: Timestamp) -> Option<(Exchange, Next)> {
        if !self.program.claims.is_empty() {
            return None;
        }
        let (route, parameters) = self.table.find_with_parameters(facts.method, facts.path)?;
        if self.program.routes.get(route)?.reads_body {
            return None;
        }
        self.begin_at(route, parameters, ClientRequest::from(facts), now)
    }

    /// Begins an exchange. Returns it with its first action, or `None` if no route matches.
    pub fn begin(self: &Arc<Self>, sent: ClientRequest<'_>, now: Timestamp) -> Option<(Exchange, Next)> {
        let (route, parameters) = self.table.find_with_parameters(sent.method, sent.path)?;
        self.begin_at(route, parameters, sent, now)
    }

    fn begin_at(
        self: &Arc<Self>,
        route: usize,
        parameters: Vec<(String, String)>,
        sent: ClientRequest<'_>,
        now: Timestamp,
    ) -> Option<(Exchange, Next)> {
        let adapted = self.program.routes.get(route)?;
        let is_read = |(name, _): &&(&str, &str)| self.program.reads.iter().any(|read| read == name);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let body = adapted.reads_body.then(|| json(sent.body).map(|tape| tape.json()));
        let unreadable = body == Some(None);
        let request = Request {
            path: sent.path.to_owned(),
            query: sent.query.to_owned(),
            headers: sent.headers.iter().filter(is_read).map(owned).collect(),
            parameters,
            body: body.flatten().unwrap_or_default().into_owned(),
            claims: match sent.claims {
                "" => Json::Null,
                claims => Json::parse(claims).unwrap_or_default().into_owned(),
            },
        };
        let mut exchange =
            Exchange { adapter: Arc::clone(self), route, request, variables: Vec::new(), page: None };
        let next = if unreadable {
            Next::Answer(exchange.refuse(&self.program.errors.invalid, "body", now))
        } else {
            match exchange.prepare(adapted) {
                Ok(variables) => {
                    let next = exchange.ask(adapted, &variables, now);
                    if adapted.pagination.as_ref().is_some_and(|held| matches!(held.style, Style::Cursor(..)))
                    {
                        let owned = |(name, value): (Cow<'_, str>, _)| (name.into_owned().into(), value);
                        exchange.variables = variables.into_iter().map(owned).collect();
                    }
                    next
                }
                Err(invalid) => Next::Answer(exchange.invalid(&invalid, now)),
            }
        };
        Some((exchange, next))
    }

    /// Builds the response for a request body over the size limit.
    pub fn too_large(&self, now: Timestamp) -> Answer {
        fault_answer(
            &self.program,
            &Request::default(),
            &self.program.errors.too_large,
            &ErrorDetails::default(),
            now,
        )
    }
}

fn json(bytes: &[u8]) -> Option<Tape<'_>> {
    std::str::from_utf8(bytes).ok().and_then(|text| Tape::read(text).ok())
}

impl Exchange {
    /// Returns the program that this exchange runs.
    pub fn program(&self) -> &Program {
        &self.adapter.program
    }

    fn refuse(&self, fault: &Fault, field: &str, now: Timestamp) -> Answer {
        let told = ErrorDetails { field: field.to_owned(), ..ErrorDetails::default() };
        self.fault(fault, &told, now)
    }

    fn fault(&self, fault: &Fault, told: &ErrorDetails, now: Timestamp) -> Answer {
        fault_answer(&self.adapter.program, &self.request, fault, told, now)
    }

    fn invalid(&self, (field, fault): &(String, Option<Fault>), now: Timestamp) -> Answer {
        self.refuse(fault.as_ref().unwrap_or(&self.adapter.program.errors.invalid), field, now)
    }

    /// Reads the route's variables from the request, including those of its pagination.
    fn prepare<'a>(&mut self, adapted: &'a AdaptedRoute) -> Result<Variables<'a>, (String, Option<Fault>)> {
        let errors = &self.adapter.program.errors;
        let refused = |invalid: Invalid<'_>| {
            let otherwise = invalid.unauthenticated.then_some(&errors.unauthenticated);
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

    fn ask(&self, adapted: &AdaptedRoute, variables: &Variables<'_>, now: Timestamp) -> Next {
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
                let mut target = target.fill_url(&self.request, &Json::Null);
                let query = if variables.is_empty() { self.request.query.clone() } else { query(variables) };
                if !query.is_empty() {
                    target.push('?');
                    target.push_str(&query);
                }
                let to = Some((method.clone(), target));
                match shape.as_ref().map(|shape| self.shaped(shape, &self.request.body, now)) {
                    None => Next::Ask(Upstream { to, body: None }),
                    Some(Some(body)) => Next::Ask(Upstream { to, body: Some(body.to_string()) }),
                    Some(None) => {
                        Next::Answer(self.refuse(&self.adapter.program.errors.invalid, "body", now))
                    }
                }
            }
        }
    }

    fn shaped(&self, shape: &Shape, value: &Json<'_>, now: Timestamp) -> Option<Json<'static>> {
        let whole = EvalContext { request: &self.request, now };
        shape.apply(value, whole, &mut Budget::default()).ok().flatten()
    }

    /// Applies a shape and returns the result as JSON text, without building it as a value first.
    fn written(&self, shape: &Shape, value: Value<'_>, now: Timestamp) -> Option<String> {
        let whole = EvalContext { request: &self.request, now };
        let mut text = String::with_capacity(4_096);
        shape.write(value, whole, &mut Budget::default(), &mut text).ok()?.then_some(text)
    }

    /// Handles the outcome of the last backend request and returns the next action.
    pub fn next(&mut self, reply: Reply<'_>, now: Timestamp) -> Next {
        let adapter = Arc::clone(&self.adapter);
        let errors = &adapter.program.errors;
        let Some(adapted) = adapter.program.routes.get(self.route) else {
            return Next::Answer(self.refuse(&errors.unfit, "", now));
        };
        let (status, bytes) = match reply {
            Reply::Answered(status, bytes) => (status, bytes),
            Reply::Timeout => return Next::Answer(self.refuse(&errors.timeout, "", now)),
            Reply::Unreachable => return Next::Answer(self.refuse(&errors.unreachable, "", now)),
        };
        let tape = json(bytes);
        let answer = tape.as_ref().map(Tape::root);
        let is_graphql = matches!(adapted.backend, Backend::GraphQl(..));
        let value = match (answer, is_graphql) {
            (Some(answer), true) => graphql_value(adapted, errors, status, answer),
            (None, true) => {
                Err(by_status(errors, status, None).unwrap_or((&errors.unfit, ErrorDetails::default())))
            }
            (value, false) => {
                let whole = EvalContext { request: &self.request, now };
                rest_value(adapted, errors, RestResponse { status, value, bytes }, whole)
            }
        };
        let value = match value {
            Ok(value) => value,
            Err((fault, told)) => return Next::Answer(self.fault(fault, &told, now)),
        };
        // Without cursors, a full page is assumed to be followed by another one.
        let full = |page: Page| value.map_or(0, |value| value.items().count()) as i64 >= page.limit;
        let mut ended = !self.page.is_some_and(full);
        if let (Some(pagination), Some(answer)) = (&adapted.pagination, answer) {
            match walk(
                self.page.as_mut(),
                &mut self.variables,
                pagination,
                answer.get("data").unwrap_or(answer),
            ) {
                Walk::There(Some(more)) => ended = !more,
                Walk::There(None) => {}
                Walk::On => return self.ask(adapted, &self.variables, now),
                Walk::Beyond => {
                    return Next::Answer(self.success(adapted, Value::EMPTY, true, now));
                }
            }
        }
        Next::Answer(self.success(adapted, value.unwrap_or(Value::NULL), ended, now))
    }

    fn success(&self, adapted: &AdaptedRoute, value: Value<'_>, ended: bool, now: Timestamp) -> Answer {
        let body = match &adapted.response {
            None => None,
            Some(shape) => match self.written(shape, value, now) {
                Some(body) => Some(body),
                None => return self.refuse(&self.adapter.program.errors.unfit, "", now),
            },
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        if !adapted.headers.is_empty() {
            let value = value.json();
            let filled = |(name, template): &(String, Template)| {
                (name.clone(), template.fill_url(&self.request, &value))
            };
            headers.extend(adapted.headers.iter().map(filled));
        }
        if let (Some(pagination), Some(page)) = (adapted.pagination.as_ref().filter(|p| p.link), self.page) {
            let link = page.link(pagination, &self.request, !ended);
            if !link.is_empty() {
                headers.push(("link".to_owned(), link));
            }
        }
        Answer { status: adapted.status, headers, body }
    }
}
