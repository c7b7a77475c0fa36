//! Pages of the old interface, by number, as an offset and a count of the new one.

use super::{
    inputs::Input,
    openapi::{OldRoute, Place},
    words::key,
    yaml::{Line, Yaml},
};
use apollo_compiler::{
    Node,
    ast::{FieldDefinition, InputValueDefinition},
};

const PAGES: [&str; 4] = ["page", "page_number", "pagenumber", "p"];
const LIMITS: [&str; 7] = ["limit", "per_page", "page_size", "pagesize", "size", "count", "page_limit"];
const SKIPS: [&str; 2] = ["offset", "skip"];
const TAKES: [&str; 7] = ["limit", "take", "first", "count", "size", "page_size", "per_page"];

/// Items on a page if the old document does not say it.
const USUAL_LIMIT: &str = "20";

/// A pagination.
#[derive(Debug)]
pub struct Pages {
    /// The pagination as an adapter writes it, with its decisions.
    pub lines: Vec<Line>,
    /// The names of the two arguments.
    pub arguments: [String; 2],
    /// The indexes of the inputs that it takes.
    pub used: Vec<usize>,
}

/// Returns the pagination of a route, if the old interface has page numbers and the new one offsets.
pub fn pages(route: &OldRoute<'_>, field: &FieldDefinition, inputs: &[Input<'_>]) -> Option<Pages> {
    let has_page_argument = field.arguments.iter().any(|argument| is_one_of(argument.name.as_str(), &PAGES));
    let page = position(inputs, &PAGES).filter(|_| route.method == "GET" && !has_page_argument)?;
    let limit = position(inputs, &LIMITS);
    let (skip, take) = (argument(field, &SKIPS)?, argument(field, &TAKES)?);
    let mut lines = vec![Line::field("page", number(inputs.get(page)?))];
    match limit.and_then(|limit| inputs.get(limit)) {
        Some(input) => {
            if input.schema.limit("maximum").is_some() {
                lines.push(Line::decide(
                    "a limit that is too large is answered 400; with clamp: true it is lowered",
                ));
            }
            if input.schema.default_value().is_none() {
                lines.push(Line::decide(format!(
                    "{USUAL_LIMIT} items are on a page unless the client says otherwise"
                )));
            }
            lines.push(Line::field("limit", number(input)));
        }
        None => {
            lines.push(Line::decide(format!("the number of items on a page is taken to be {USUAL_LIMIT}")));
            let constant = Line::field("const", Yaml::Scalar(USUAL_LIMIT.to_owned()));
            lines.push(Line::field("limit", Yaml::Block(vec![constant])));
        }
    }
    let style = vec![Line::text("skip", skip.name.as_str()), Line::text("take", take.name.as_str())];
    lines.push(Line::field("offset", Yaml::Block(style)));
    if route.has_link {
        lines.push(Line::field("link", Yaml::Scalar("true".to_owned())));
    }
    let arguments = [skip.name.to_string(), take.name.to_string()];
    Some(Pages { lines, arguments, used: std::iter::once(page).chain(limit).collect() })
}

fn is_one_of(name: &str, known: &[&str]) -> bool {
    known.contains(&key(name).as_str())
}

fn position(inputs: &[Input<'_>], known: &[&str]) -> Option<usize> {
    inputs.iter().position(|input| input.parameter == Some(Place::Query) && is_one_of(&input.name, known))
}

fn argument<'f>(field: &'f FieldDefinition, known: &[&str]) -> Option<&'f InputValueDefinition> {
    let is_number = |argument: &InputValueDefinition| {
        !argument.ty.is_list() && argument.ty.inner_named_type().as_str() == "Int"
    };
    // In the order of the names, because `first` may stand beside `limit`.
    known.iter().find_map(|name| {
        let mut arguments = field.arguments.iter().map(definition);
        arguments.find(|argument| key(argument.name.as_str()) == **name && is_number(argument))
    })
}

fn definition(argument: &Node<InputValueDefinition>) -> &InputValueDefinition {
    argument
}

/// Returns the place of a number with its limits and default.
fn number(input: &Input<'_>) -> Yaml {
    let mut lines = vec![Line::text("from", &input.place)];
    let default = input.schema.default_value().filter(|value| value.is_i64());
    if let Some(default) = default {
        lines.push(Line::field("default", Yaml::Scalar(default.to_string())));
    }
    for (setting, name) in [("min", "minimum"), ("max", "maximum")] {
        if let Some(limit) = input.schema.limit(name) {
            lines.push(Line::field(setting, Yaml::Scalar(limit.to_string())));
        }
    }
    Yaml::Block(lines)
}
