//! Reads the `match` of a route, and finds routes that claim the same requests.

use crate::{
    adapter::{ParameterForm, PathCondition, is_dot_segment},
    config::{
        matcher,
        reading::{Cursor, EntryCursor, Fields, Value, did_you_mean},
    },
    routing::{matcher::Matcher, pattern::Pattern, table::InvalidRoute},
};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

const HINT: &str = "write { method: GET, path: /api/v1/reviews/{id} }";

const CONDITION_HINT: &str =
    "write where: { id: digits }; the forms are digits, list and { contains: \",\" }";

/// The requests that a route claims.
pub(crate) struct Claim<'n> {
    /// Reports at the `match` of the route.
    cursor: Cursor<'n>,
    pub(super) matcher: Matcher,
    pub(super) conditions: Vec<PathCondition>,
}

/// The `match` of a route, as far as it can be read.
#[derive(Default)]
pub(super) struct RouteMatch<'n> {
    /// The names of the path's parameters; also of a path that is refused, so that no place is
    /// reported for it. `None` if there is no path.
    pub(super) parameters: Option<Vec<String>>,
    /// `None` if there is a mistake.
    pub(super) claim: Option<Claim<'n>>,
}

pub(super) fn read<'n>(cursor: &Cursor<'n>) -> RouteMatch<'n> {
    let Some(mut fields) = cursor.fields(HINT) else { return RouteMatch::default() };
    let method = method(cursor, &mut fields);
    let path = fields.required("path", "write path: /api/v1/reviews/{id}");
    let parameters: Option<Vec<String>> = match path.as_ref().map(Cursor::value) {
        Some(Value::String(path)) => Some(Pattern::new(path).names.into_iter().map(str::to_owned).collect()),
        _ => None,
    };
    let path = path.as_ref().and_then(|cursor| reachable(cursor, matcher::pattern(cursor)?));
    let conditions = match fields.optional("where") {
        None => Some(Vec::new()),
        Some(cursor) => conditions(&cursor, parameters.as_deref()),
    };
    fields.finish();
    let (Some(method), Some(path), Some(conditions)) = (method, path, conditions) else {
        return RouteMatch { parameters, claim: None };
    };
    let matcher = Matcher { methods: vec![method], path };
    RouteMatch { parameters, claim: Some(Claim { cursor: cursor.clone(), matcher, conditions }) }
}

/// Reports a path that no request has, or whose parameters cannot be told apart. Stored ones are left as
/// they are.
fn reachable(cursor: &Cursor<'_>, path: String) -> Option<String> {
    if cursor.is_stored() {
        return Some(path);
    }
    if path.split('/').any(is_dot_segment) {
        return cursor.refuse("the path has a segment . or ..", "write the path that is meant, without dots");
    }
    if let Some(found) = path.chars().find(|c| c.is_whitespace() || c.is_control()) {
        let hint = "write it percent-encoded, such as %20, as in the path of a request";
        return cursor.refuse(format!("no path of a request has {found:?}"), hint);
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let twice = Pattern::new(&path).names.into_iter().find(|name| !names.insert(*name));
    if let Some(name) = twice {
        let message = format!("the path has the parameter {name:?} twice");
        return cursor.refuse(message, "give each parameter a name of its own");
    }
    Some(path)
}

/// Reads the only method of a route.
fn method<'n>(cursor: &Cursor<'n>, fields: &mut Fields<'n>) -> Option<String> {
    let Value::Map(entries) = cursor.value() else { return None };
    if entries.iter().any(|entry| entry.key == "methods")
        && let Some(methods) = fields.optional("methods")
    {
        fields.expect(&["method"]);
        let hint = "write method: GET, and a route of its own for every other method";
        return methods.refuse("a route of an adapter has one method", hint);
    }
    fields.require("method", "write method: GET", matcher::method)
}

/// Reads the conditions on parameters. The names of these are unknown if the path is missing.
fn conditions(cursor: &Cursor<'_>, parameters: Option<&[String]>) -> Option<Vec<PathCondition>> {
    let entries = cursor.entries(CONDITION_HINT);
    if entries.is_empty() {
        return match cursor.value() {
            Value::Map(_) | Value::Null => cursor.refuse("where has no condition", CONDITION_HINT),
            // It has been reported as no map.
            _ => None,
        };
    }
    // All of them are read before the first mistake counts.
    let read: Vec<_> = entries.iter().map(|entry| condition(entry, parameters)).collect();
    read.into_iter().collect()
}

fn condition(entry: &EntryCursor<'_>, parameters: Option<&[String]>) -> Option<PathCondition> {
    let form = form(&entry.value);
    let parameter = entry.key.to_owned();
    if let Some(parameters) = parameters.filter(|parameters| !parameters.contains(&parameter)) {
        let known = parameters.iter().map(String::as_str);
        let hint = did_you_mean(entry.key, known, || format!("write {{{parameter}}} in the path"));
        return entry.key_cursor.refuse(format!("the path has no parameter {parameter:?}"), hint);
    }
    Some(PathCondition { parameter, form: form? })
}

fn form(cursor: &Cursor<'_>) -> Option<ParameterForm> {
    match cursor.value() {
        Value::String(_) => {
            let forms = [("digits", ParameterForm::Digits), ("list", ParameterForm::List)];
            cursor.choice(&forms, "is not a form of a parameter", CONDITION_HINT)
        }
        Value::Map(_) => {
            let mut fields = cursor.fields(CONDITION_HINT)?;
            let text = fields.require("contains", CONDITION_HINT, |cursor| {
                let text = cursor.loose_string()?;
                if text.is_empty() {
                    return cursor.refuse("every parameter contains the empty string", CONDITION_HINT);
                }
                Some(text)
            });
            fields.finish();
            text.map(ParameterForm::Contains)
        }
        _ => cursor.expected("digits, list or a map", CONDITION_HINT),
    }
}

impl Claim<'_> {
    /// Returns the conditions in one order, with positions of parameters instead of their names.
    fn forms(&self, names: &[&str]) -> Vec<(Option<usize>, &ParameterForm)> {
        let position = |name: &String| names.iter().position(|held| held == name);
        let mut forms: Vec<_> =
            self.conditions.iter().map(|held| (position(&held.parameter), &held.form)).collect();
        forms.sort();
        forms
    }

    /// Returns the remedy for a claim that another route has made before.
    fn remedy(&self, names: &[&str]) -> String {
        match names.first() {
            None => "give each route a path or method of its own".to_owned(),
            Some(name) if self.conditions.is_empty() => {
                format!("add where: {{ {name}: digits }} to one of them, or give it another path")
            }
            Some(_) => "give one of them another condition or another path".to_owned(),
        }
    }
}

/// The requests of a claim, in a form that can be compared: methods, pattern and conditions.
type Requests<'c> = (&'c [String], String, Vec<(Option<usize>, &'c ParameterForm)>);

/// Reports routes that claim the same requests as an earlier one. Routes may share a method and a path
/// if their conditions differ.
pub(crate) fn report_conflicts(claims: &[Claim<'_>]) {
    let mut earlier: BTreeMap<Requests<'_>, &String> = BTreeMap::new();
    let mut patterns = BTreeSet::new();
    let mut distinct = Vec::new();
    for claim in claims {
        let Matcher { methods, path } = &claim.matcher;
        let pattern = Pattern::new(path);
        if patterns.insert((methods, pattern.skeleton.clone())) {
            distinct.push((&claim.matcher, claim.cursor.clone()));
        }
        let forms = claim.forms(&pattern.names);
        match earlier.entry((methods.as_slice(), pattern.skeleton, forms)) {
            Entry::Vacant(vacant) => {
                vacant.insert(path);
            }
            Entry::Occupied(held) => {
                let with = (*held.get()).clone();
                let conflict = InvalidRoute::Conflict { path: path.clone(), with };
                claim.cursor.report(conflict.to_string(), claim.remedy(&pattern.names));
            }
        }
    }
    matcher::report_conflicts(distinct);
}
