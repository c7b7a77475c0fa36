//! Reads origins and routes.

use super::{
    compare,
    node::Node,
    reader::{Fields, Reader, join},
    references::Names,
};
use crate::{
    AdapterName,
    identity::{Source, default_sources, is_token},
    origin::{DEFAULT_TIMEOUT_MS, Origin},
    route::{Matcher, Route, RouteTable},
};

/// The longest that an origin may be waited for, in milliseconds. A Worker's client rarely waits longer.
const MAX_TIMEOUT_MS: f64 = 120_000.0;

pub(super) fn origin(reader: &mut Reader, node: &Node, path: &str) -> Option<Origin> {
    let mut fields = reader.fields(node, path, "write url and timeout_ms below the origin")?;
    let url = fields
        .required(reader, "url", "write the base URL, such as https://api.example.com")
        .and_then(|node| base_url(reader, node, &join(path, "url")));
    let timeout_ms = match fields.optional("timeout_ms") {
        None => Some(DEFAULT_TIMEOUT_MS),
        Some(node) => {
            whole_number(reader, node, &join(path, "timeout_ms"), (1.0, MAX_TIMEOUT_MS), "milliseconds")
        }
    };
    fields.finish(reader);
    Some(Origin { url: url?, timeout_ms: timeout_ms? })
}

fn whole_number(reader: &mut Reader, node: &Node, path: &str, limits: (f64, f64), unit: &str) -> Option<u32> {
    let number = reader.number_within(node, path, limits, unit)?;
    if number.fract() != 0.0 {
        reader.report(node, path, format!("{number} is not a whole number"), format!("write whole {unit}"));
        return None;
    }
    // Whole and inside the limits, which fit.
    Some(number as u32)
}

fn base_url(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    let hint = "write an absolute http or https URL without credentials, query or fragment";
    let text = reader.text(node, path)?;
    let problem = match url::Url::parse(&text) {
        Err(error) => format!("{text:?} is not a URL: {error}"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            format!("the scheme {} cannot be forwarded to", url.scheme())
        }
        // The text is not repeated: it holds a secret.
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "the URL holds credentials, and configuration is no place for them".to_owned()
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            format!("{text:?} has a query or fragment, which would end up before every path")
        }
        Ok(_) => return Some(text),
    };
    reader.report(node, path, problem, hint);
    None
}

pub(super) fn route(reader: &mut Reader, node: &Node, path: &str, names: Names<'_>) -> Option<Route> {
    let mut fields =
        reader.fields(node, path, "write { id, match: { methods, path }, flag, legacy, new }")?;
    let id = name(reader, &mut fields, "id", "give the route a name, such as reviews.read");
    let matcher = fields
        .required(reader, "match", "write match: { methods: [GET], path: /api/... }")
        .and_then(|node| matcher(reader, node, &join(path, "match")));
    let flag = reference(reader, &mut fields, names, "flag", "name the flag that decides");
    let legacy = reference(reader, &mut fields, names, "legacy", "name the origin of the legacy arm");
    let new = reference(reader, &mut fields, names, "new", "name the origin of the new arm");
    let identity = match fields.optional("identity") {
        None => default_sources(),
        Some(node) => {
            let path = join(path, "identity");
            let hint = "write a list such as [\"header:x-user-id\", \"cookie:uid\", \"anonymous\"]";
            reader
                .list(Some(node), &path, hint)
                .iter()
                .enumerate()
                .filter_map(|(at, item)| reader.parsed::<Source>(item, &format!("{path}[{at}]"), hint))
                .collect()
        }
    };
    let mut adapt = Vec::new();
    if let Some(node) = fields.optional("adapt") {
        let path = join(path, "adapt");
        let hint = "write a list of adapters, such as [reviews]";
        for (at, item) in reader.list(Some(node), &path, hint).iter().enumerate() {
            let path = format!("{path}[{at}]");
            if let Some(name) = reader.parsed::<AdapterName>(item, &path, hint) {
                names.must_have(reader, "adapter", name.as_str(), (item.line, item.column), &path);
                adapt.push(name);
            }
        }
    }
    let compare =
        fields.optional("compare").and_then(|node| compare::read(reader, node, &join(path, "compare")));
    let error_when = fields
        .optional("error_when")
        .and_then(|node| compare::hidden(reader, node, &join(path, "error_when")));
    fields.finish(reader);
    Some(Route {
        id: id?,
        matcher: matcher?,
        flag: flag?,
        legacy: legacy?,
        new: new?,
        identity,
        adapt,
        compare,
        error_when,
    })
}

fn name<T: std::str::FromStr>(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    field: &'static str,
    hint: &str,
) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    let path = fields.path(field);
    fields.required(reader, field, hint).and_then(|node| reader.parsed(node, &path, hint))
}

/// A name that must be defined elsewhere in the file: a flag under `flag`, an origin under anything else.
fn reference<T: std::str::FromStr + AsRef<str>>(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    names: Names<'_>,
    field: &'static str,
    hint: &str,
) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    let name: T = name(reader, fields, field, hint)?;
    let place = fields.optional(field).map(|node| (node.line, node.column)).unwrap_or_default();
    let what = if field == "flag" { "flag" } else { "origin" };
    names.must_have(reader, what, name.as_ref(), place, &fields.path(field));
    Some(name)
}

fn matcher(reader: &mut Reader, node: &Node, path: &str) -> Option<Matcher> {
    let mut fields = reader.fields(node, path, "write { methods: [GET], path: /api/... }")?;
    let methods_path = join(path, "methods");
    let methods_node = fields.optional("methods");
    let methods = reader.texts(methods_node, &methods_path);
    if let Some(node) = methods_node {
        methods.iter().for_each(|method| must_be_method(reader, node, &methods_path, method));
    }
    let pattern_node = fields.required(reader, "path", PATTERN_HINT);
    let pattern = pattern_node.and_then(|node| pattern(reader, node, &join(path, "path")));
    fields.finish(reader);
    Some(Matcher { methods, path: pattern? })
}

fn must_be_method(reader: &mut Reader, node: &Node, path: &str, method: &str) {
    if !is_token(method) || method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let hint = "write methods in upper case, such as GET";
        reader.report(node, path, format!("{method:?} is not a method"), hint);
    }
}

/// Reads a method.
pub(super) fn method(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    let before = reader.count();
    let method = reader.text(node, path)?;
    must_be_method(reader, node, path, &method);
    Some(method).filter(|_| reader.count() == before)
}

const PATTERN_HINT: &str = "write a path such as /api/v1/reviews/{id} or /api/v1/reviews/{*rest}";

/// Reads the pattern of a path.
pub(super) fn pattern(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    let pattern = reader.text(node, path)?;
    if !pattern.starts_with('/') || pattern.contains(['?', '#']) {
        let message = format!("{pattern:?} does not begin with a slash, or holds a query");
        reader.report(node, path, message, PATTERN_HINT);
        return None;
    }
    let matcher = Matcher { methods: Vec::new(), path: pattern };
    if let Err((_, error)) = RouteTable::new(&[&matcher]) {
        reader.report(node, path, error.to_string(), PATTERN_HINT);
        return None;
    }
    Some(matcher.path)
}
