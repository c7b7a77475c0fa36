//! The inputs of a decision: the parts of a request that the rules read.

use crate::{
    limit::{CLAIM, KeyPart},
    request::identity::{Source, VERIFIED_SUBJECT},
    rules::condition::{compiled::CompiledCondition, document::Attribute},
};

/// A part of a request, other than its method and URL, that a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// A header; its name in lower case. Cookies are read from `cookie`.
    Header(Box<str>),
    /// The client's country.
    Country,
    /// The client's IP address.
    Ip,
}

pub(crate) fn inputs_of<'r>(
    sources: &[Source],
    conditions: impl Iterator<Item = &'r CompiledCondition>,
    read: impl Iterator<Item = &'r String>,
) -> Vec<Input> {
    let cookie = || Input::Header("cookie".into());
    let mut inputs = Vec::new();
    for source in sources {
        let input = match source {
            Source::Header(name) => Input::Header(name.clone()),
            Source::Jwt => Input::Header(VERIFIED_SUBJECT.into()),
            Source::Cookie(_) | Source::Anonymous => cookie(),
        };
        add(&mut inputs, input);
    }
    for condition in conditions {
        let input = match condition {
            CompiledCondition::Attribute(Attribute::Header(name), _) => Input::Header(name.clone()),
            CompiledCondition::Attribute(Attribute::Cookie(_), _) => cookie(),
            CompiledCondition::Attribute(Attribute::Country, _) => Input::Country,
            CompiledCondition::Attribute(Attribute::Ip, _) => Input::Ip,
            CompiledCondition::Attribute(Attribute::Query(_) | Attribute::Path | Attribute::Method, _)
            | CompiledCondition::TimeWindow { .. } => continue,
        };
        add(&mut inputs, input);
    }
    read.for_each(|header| add(&mut inputs, Input::Header(header.as_str().into())));
    inputs
}

/// Returns the input that a part of a rate limit's key needs, unless the identity of the route names it.
pub(crate) fn input_of_key(part: &KeyPart) -> Option<Input> {
    match part {
        KeyPart::User => None,
        KeyPart::Ip => Some(Input::Ip),
        KeyPart::Header(name) => Some(Input::Header(name.clone())),
        KeyPart::Claim(path) => Some(Input::Header(format!("{CLAIM}{path}").into())),
    }
}

/// Inserts an input into the sorted list unless it is present. Linear, because there are few.
pub(crate) fn add(inputs: &mut Vec<Input>, input: Input) {
    if let Err(index) = inputs.binary_search(&input) {
        inputs.insert(index, input);
    }
}
