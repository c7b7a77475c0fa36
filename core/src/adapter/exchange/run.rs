//! The adapter of a route and its exchanges.

use crate::{
    adapter::{
        body_fields::BodyFields,
        exchange::{
            etag::{IF_NONE_MATCH, tagged},
            headers::PlacedHeaders,
            meaning::{BackendResponse, ErrorDetails, fault_answer, graphql_value, missing_root, rest_value},
            messages::{Answer, ClientRequest, Next, Reply},
            pages::{Page, Walk, emptied, walk},
            question::{Variables, claims, fixed_body},
            routes::{FoundRoute, Routes},
            unfit::Unfit,
        },
        fault::Fault,
        program::{AdaptedRoute, Backend, InvalidProgram, Pagination, Program},
        request::{Request, size},
        shape::{
            budget::{Budget, EvalContext, ShapeError},
            diagnose::Misfit,
            step::Shape,
        },
        template::Template,
    },
    json::{Tape, Value, value::Json},
    request::facts::Facts,
    routing::matcher::is_safe,
    vocabulary::timestamp::Timestamp,
};
use std::sync::Arc;

/// A [`Program`] with its route table, ready to run.
#[derive(Debug)]
pub struct Adapter {
    /// The compiled adapter file.
    pub program: Arc<Program>,
    routes: Routes,
    /// For each route, the part of its GraphQL request body that does not depend on the client's
    /// request; empty for REST backends.
    pub(super) fixed: Vec<String>,
    /// For each route, the fields that it reads of a client's body.
    body_fields: Vec<RouteBody>,
    headers: PlacedHeaders,
}

/// The fields of a client's body that a route reads.
#[derive(Debug)]
pub(super) struct RouteBody {
    /// Until the first request to the backend is sent.
    pub(super) before: BodyFields,
    /// While the backend works, and afterwards.
    pub(super) after: BodyFields,
}

/// A client's request in progress.
#[derive(Debug)]
pub struct Exchange {
    pub(super) adapter: Arc<Adapter>,
    pub(super) route: usize,
    pub(super) request: Request,
    /// The variables of the last backend request, kept if the next page may have to be requested
    /// too.
    pub(super) variables: Variables<'static>,
    pub(super) page: Option<Page>,
}

impl Adapter {
    /// Checks the named shapes of a program and builds its route table.
    ///
    /// # Errors
    ///
    /// Fails if the path pattern of a route is invalid or claims the same requests as another one, or
    /// if a named shape refers to one that is not before it.
    pub fn new(program: Arc<Program>) -> Result<Self, InvalidProgram> {
        program.check_shapes()?;
        let routes = Routes::new(&program.routes)?;
        let fixed = program.routes.iter().map(fixed_body).collect();
        let route_body = |route: &AdaptedRoute| {
            let after = BodyFields::of_answer(route, &program);
            // An error of the question is answered at once.
            RouteBody { before: BodyFields::of_question(route, &program.shapes).with(&after), after }
        };
        let body_fields = program.routes.iter().map(route_body).collect();
        let headers = PlacedHeaders::new(&program);
        Ok(Self { program, routes, fixed, body_fields, headers })
    }

    /// Returns true if a route matches the method and path, and its conditions hold.
    pub fn has_route(&self, method: &str, path: &str) -> bool {
        self.routes.find(method, path).is_some()
    }

    /// Begins an exchange from the facts of the request alone. Returns `None` if the program reads
    /// claims, if the route reads the body, or if no route matches; [`Self::begin`] then decides.
    pub fn begin_at_once(self: &Arc<Self>, facts: &Facts<'_>, now: Timestamp) -> Option<(Exchange, Next)> {
        if !self.program.claims.is_empty() {
            return None;
        }
        let found = self.routes.find(facts.method, facts.path)?;
        if self.program.routes.get(found.position())?.reads_body {
            return None;
        }
        self.begin_at(&found, ClientRequest::from(facts), now)
    }

    /// Begins an exchange. Returns it with its first action, or `None` if no route matches.
    pub fn begin(self: &Arc<Self>, sent: ClientRequest<'_>, now: Timestamp) -> Option<(Exchange, Next)> {
        self.begin_at(&self.routes.find(sent.method, sent.path)?, sent, now)
    }

    fn begin_at(
        self: &Arc<Self>,
        found: &FoundRoute<'_>,
        sent: ClientRequest<'_>,
        now: Timestamp,
    ) -> Option<(Exchange, Next)> {
        let route = found.position();
        let adapted = self.program.routes.get(route)?;
        let request = self.request(found, sent);
        let mut exchange =
            Exchange { adapter: Arc::clone(self), route, request, variables: Vec::new(), page: None };
        let next = if adapted.reads_body {
            exchange.begin_with_body(adapted, self.body_fields.get(route)?, sent.body, now)
        } else {
            exchange.first(adapted, now)
        };
        Some((exchange, next))
    }

    /// Copies the parts of a request that the program reads, without its body.
    fn request(&self, found: &FoundRoute<'_>, sent: ClientRequest<'_>) -> Request {
        let is_read = |(name, _): &&(&str, &str)| self.program.reads.iter().any(|read| read == name);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Request {
            path: sent.path.to_owned(),
            query: sent.query.to_owned(),
            headers: sent.headers.iter().filter(is_read).map(owned).collect(),
            parameters: found.parameters(),
            body: Json::Null,
            claims: claims(sent.claims, &self.program.claims),
        }
    }

    /// Builds the response for a request whose body is over the size limit. Returns `None` if no route
    /// matches.
    pub fn too_large(&self, sent: ClientRequest<'_>, now: Timestamp) -> Option<Answer> {
        let request = self.request(&self.routes.find(sent.method, sent.path)?, sent);
        let fault = &self.program.errors.too_large;
        Some(self.fault(&request, fault, &ErrorDetails::default(), now))
    }

    fn fault(&self, request: &Request, fault: &Fault, told: &ErrorDetails, now: Timestamp) -> Answer {
        let answer = fault_answer(&self.program, request, fault, told, now);
        Answer { headers: self.headers.of_error(request), ..answer }
    }
}

/// Status of a response without a body, because the client holds it.
const NOT_MODIFIED: u16 = 304;

fn json(bytes: &[u8]) -> Option<Tape<'_>> {
    std::str::from_utf8(bytes).ok().and_then(|text| Tape::read(text).ok())
}

impl Exchange {
    /// Returns the program that this exchange runs.
    pub fn program(&self) -> &Program {
        &self.adapter.program
    }

    /// Returns the route that matched the request.
    pub fn route(&self) -> Option<&AdaptedRoute> {
        self.adapter.program.routes.get(self.route)
    }

    /// Returns roughly the number of bytes that the exchange holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        let Request { path, query, headers, parameters, body, claims } = &self.request;
        let pair = |(name, value): &(String, String)| name.len() + value.len();
        let pairs: usize = headers.iter().chain(parameters).map(pair).sum();
        let variables: usize = self.variables.iter().map(|(name, value)| name.len() + size(value)).sum();
        path.len() + query.len() + pairs + size(body) + size(claims) + variables
    }

    pub(super) fn refuse(&self, fault: &Fault, field: &str, now: Timestamp) -> Answer {
        let told = ErrorDetails { field: field.to_owned(), ..ErrorDetails::default() };
        self.fault(fault, &told, now)
    }

    fn fault(&self, fault: &Fault, told: &ErrorDetails, now: Timestamp) -> Answer {
        let answer = self.adapter.fault(&self.request, fault, told, now);
        let route = self.adapter.program.routes.get(self.route);
        let unfit = told.misfit.as_deref().zip(route);
        Answer { unfit: unfit.map(|(misfit, route)| Box::new(Unfit::new(route, misfit))), ..answer }
    }

    /// Builds the response for a response of the backend that cannot be used.
    fn unfit(&self, misfit: Misfit, now: Timestamp) -> Answer {
        let told = ErrorDetails { misfit: Some(Box::new(misfit)), ..ErrorDetails::default() };
        self.fault(&self.adapter.program.errors.unfit, &told, now)
    }

    /// Builds the response for a mapping that could not be applied. A value of the client's that does not
    /// fit is no fault of the backend.
    fn misfit(&self, misfit: Misfit, now: Timestamp) -> Answer {
        match &misfit.field {
            Some(field) => self.refuse(&self.adapter.program.errors.invalid, field, now),
            None => self.unfit(misfit, now),
        }
    }

    /// Returns the inputs of a shape in addition to its value.
    pub(super) fn context(&self, now: Timestamp) -> EvalContext<'_> {
        EvalContext { request: &self.request, now, shapes: &self.adapter.program.shapes }
    }

    /// Applies a shape and returns the result as JSON text, without building it as a value first.
    fn written(&self, shape: &Shape, value: Value<'_>, now: Timestamp) -> Result<String, Misfit> {
        let whole = self.context(now);
        let mut text = String::with_capacity(4_096);
        match shape.write(value, whole, &mut Budget::default(), &mut text) {
            Ok(true) => Ok(text),
            Ok(false) | Err(_) => {
                let misfit = shape.diagnose(&value.json(), whole, &mut Budget::default());
                // Writing pays for steps that the diagnosis does not take.
                let misfit = misfit.unwrap_or_else(Misfit::too_much);
                if misfit != Misfit::too_much() {
                    return Err(misfit);
                }
                // Without the client's values it may be little work.
                let nothing = Request::default();
                let without = EvalContext { request: &nothing, ..whole };
                text.clear();
                let written = shape.write(value, without, &mut Budget::default(), &mut text);
                Err(if written == Err(ShapeError::TooMuch) { misfit } else { Misfit::too_large_request() })
            }
        }
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
        if !is_graphql && status == NOT_MODIFIED {
            // The client holds the response, which its own conditional headers told the backend.
            let headers = adapter.headers.of_success(&self.request);
            return Next::Answer(Answer { status, headers, body: None, unfit: None });
        }
        let whole = self.context(now);
        let response = BackendResponse { status, value: answer, bytes };
        let value = if is_graphql {
            graphql_value(adapted, errors, response, whole)
        } else {
            rest_value(adapted, errors, response, whole)
        };
        let value = match value {
            Ok(value) => value,
            Err((fault, told)) => return Next::Answer(self.fault(fault, &told, now)),
        };
        // Without cursors, a full page is assumed to be followed by another one.
        let full = |page: Page| value.map_or(0, |value| value.items().count()) as i64 >= page.limit;
        let mut ended = !self.page.is_some_and(full);
        let data = answer.and_then(|answer| if is_graphql { answer.get("data") } else { Some(answer) });
        if let (Some(pagination), Some(data)) = (&adapted.pagination, data) {
            match walk(self.page.as_mut(), &mut self.variables, pagination, data) {
                Walk::There(Some(more)) => ended = !more,
                Walk::There(None) => {}
                Walk::On => return self.ask(adapted, &self.variables, now),
                Walk::Beyond => return Next::Answer(self.beyond(adapted, pagination, data, now)),
            }
        }
        Next::Answer(self.success(adapted, value.unwrap_or(Value::NULL), ended, now))
    }

    /// Builds the response for a page past the last one. `data` has the last page.
    fn beyond(
        &self,
        adapted: &AdaptedRoute,
        pagination: &Pagination,
        data: Value<'_>,
        now: Timestamp,
    ) -> Answer {
        if data.at_path(&adapted.root).is_some_and(Value::is_list) {
            return self.success(adapted, Value::EMPTY, true, now);
        }
        let text = emptied(pagination, data).unwrap_or_default();
        let tape = Tape::read(&text).ok();
        match tape.as_ref().and_then(|tape| tape.root().at_path(&adapted.root)) {
            Some(value) => self.success(adapted, value, true, now),
            None => self.unfit(missing_root(adapted, None), now),
        }
    }

    fn success(&self, adapted: &AdaptedRoute, value: Value<'_>, ended: bool, now: Timestamp) -> Answer {
        if let Some(fault) = adapted.when_null.as_ref().and_then(|when_null| when_null.fault(Some(value))) {
            return self.fault(fault, &ErrorDetails::default(), now);
        }
        // A response with these statuses has no body, whatever a stored adapter says.
        let shape = adapted.response.as_ref().filter(|_| !matches!(adapted.status, 204 | 205));
        let body = match shape {
            None => None,
            Some(shape) => match self.written(shape, value, now) {
                Ok(body) => Some(body),
                Err(misfit) => return self.misfit(misfit, now),
            },
        };
        let mut headers = self.adapter.headers.of_success(&self.request);
        if !adapted.headers.is_empty() {
            // A header of the route takes the place of one that every response has.
            headers.retain(|(name, _)| adapted.headers.iter().all(|(own, _)| own != name));
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
        let answer = Answer { status: adapted.status, headers, body, unfit: None };
        if self.adapter.program.etag && adapted.matcher.methods.iter().all(|method| is_safe(method)) {
            return tagged(answer, self.request.header(IF_NONE_MATCH));
        }
        answer
    }
}
