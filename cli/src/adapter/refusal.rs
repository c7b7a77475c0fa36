//! The value for which an adapter refused a request before it called the backend. The response itself may
//! not name it.

use super::pretty;
use cutover_core::{
    adapter::{AdaptedRoute, Kind, Request, Variable},
    config::SentRequest,
    json::Json,
    routing::{pattern::Pattern, table::RouteTable},
};

/// The remaining causes, which no variable tells.
const OTHERWISE: &str = "a claim is missing, the body is above the limits, or a value would make a segment of the \
                         backend's path empty, . or ..";

/// Names the value that was refused, its place in the request, and the rule that it breaks.
pub fn refusal(route: &AdaptedRoute, sent: &SentRequest) -> String {
    if route.reads_body && !sent.body.is_empty() && Json::parse(&sent.body).is_err() {
        return "invalid: the body is not JSON".to_owned();
    }
    let request = request(route, sent);
    let pages = route.pagination.iter().flat_map(|pagination| [&pagination.page, &pagination.limit]);
    let mut variables = route.variables.iter().chain(pages);
    let found = variables.find_map(|variable| invalid(variable, &request, ""));
    found.unwrap_or_else(|| format!("refused before the backend was called: {OTHERWISE}"))
}

/// Builds the request as the variables read it.
fn request(route: &AdaptedRoute, sent: &SentRequest) -> Request {
    let parsed = |text: &str| Json::parse(text).map(Json::into_owned).unwrap_or_default();
    let mut parameters = Vec::new();
    // The route was found by this table's matcher, so both are there.
    if let Ok(table) = RouteTable::new(&[&route.matcher])
        && let Some((_, found)) = table.find_with_parameters(&sent.line.method, &sent.line.path)
    {
        let names = Pattern::new(&route.matcher.path).names;
        let pairs = names.into_iter().zip(found.values());
        parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }
    Request {
        path: sent.line.path.clone(),
        query: sent.line.query.clone(),
        headers: sent.headers.clone(),
        parameters,
        body: parsed(&sent.body),
        claims: parsed(&sent.claims),
    }
}

/// Names the value for which a variable refuses a request. `item` is the place of the item that is the request's
/// body, if it is one; empty otherwise.
fn invalid(variable: &Variable, request: &Request, item: &str) -> Option<String> {
    let failed = variable.value(request).err()?;
    if let (Kind::Object(fields), None) = (&variable.kind, &variable.from) {
        return fields.iter().find_map(|field| invalid(field, request, item));
    }
    let place = match &variable.from {
        None => failed.field,
        Some(source) if item.is_empty() => source.to_string(),
        Some(source) => format!("{item}.{}", source.name()).trim_end_matches('.').to_owned(),
    };
    let value = variable.from.as_ref().and_then(|source| request.read(source));
    if let (Kind::Each(each), Some(list)) = (&variable.kind, &value) {
        let items = match list {
            Json::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        let in_items = items.iter().enumerate().find_map(|(index, item)| {
            let request = Request { body: item.clone(), ..Request::default() };
            invalid(each, &request, &format!("{place}.{index}"))
        });
        if in_items.is_some() {
            return in_items;
        }
    }
    let value = value
        .map_or_else(|| "is absent".to_owned(), |value| format!("is {}", pretty::line(&value.to_string())));
    let name = if variable.name.is_empty() { "an item" } else { variable.name.as_str() };
    Some(format!("invalid: {place} {value}; {name} takes {}", rule(variable)))
}

/// Describes the values that a variable takes.
fn rule(variable: &Variable) -> String {
    let mut rule = if variable.map.is_empty() {
        kind(&variable.kind)
    } else {
        let keys: Vec<&str> = variable.map.iter().map(|(key, _)| key.as_str()).collect();
        format!("one of {}", keys.join(", "))
    };
    if variable.integer {
        rule.push_str(", a whole number in plain digits");
    }
    if let Some(min) = variable.min {
        rule.push_str(&format!(", min {min}"));
    }
    if let Some(max) = variable.max {
        rule.push_str(&format!(", max {max}"));
    }
    rule
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Int => "a whole number of 32 bits".to_owned(),
        Kind::Float => "a number".to_owned(),
        Kind::Text => "a string".to_owned(),
        Kind::Id => "a string or a whole number".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Enum(names) => format!("one of {}", names.join(", ")),
        Kind::Any => "any value".to_owned(),
        Kind::List(item) => format!("a list, each item {}", self::kind(item)),
        Kind::Each(item) => format!("a list, each item {}", self::kind(&item.kind)),
        Kind::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Config;

    const REST: &str = r#"
adapters:
  rest:
    routes:
      - match: { method: POST, path: "/old/{id}" }
        backend: { method: POST, path: "/new/{path.id}" }
        variables:
          page: { from: query.page, type: int, min: 1, max: 9, required: true }
          id: { from: path.id, type: id, integer: true }
          stars: { from: body.stars, type: int }
          ids: { from: body.lines, type: list, each: { from: id, type: int, min: 1 } }
"#;

    #[test]
    fn the_value_and_the_rule_that_it_breaks_are_named() {
        let config = Config::from_yaml(REST).unwrap();
        let route = &config.adapters.values().next().unwrap().program().routes[0];
        let cases = [
            (
                "POST /old/7",
                "invalid: query.page is absent; page takes a whole number of 32 bits, min 1, max 9",
            ),
            ("POST /old/7?page=12", "invalid: query.page is \"12\"; page takes a whole number of 32 bits"),
            ("POST /old/x?page=1", "invalid: path.id is \"x\"; id takes a string or a whole number, a whole"),
            ("POST /old/7?page=1", "refused before the backend was called: a claim is missing"),
        ];
        let sent = |line: &str, body: &str| SentRequest {
            line: line.parse().unwrap(),
            headers: Vec::new(),
            body: body.to_owned(),
            claims: String::new(),
        };
        for (line, expected) in cases {
            let text = refusal(route, &sent(line, ""));
            assert!(text.starts_with(expected), "{line}: {text}");
        }
        assert_eq!(refusal(route, &sent("POST /old/7", "{")), "invalid: the body is not JSON");
        let text = refusal(route, &sent("POST /old/7?page=1", r#"{"lines":[{"id":1},{"id":0}]}"#));
        assert_eq!(text, "invalid: body.lines.1.id is 0; an item takes a whole number of 32 bits, min 1");
    }
}
