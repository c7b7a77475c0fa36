//! Reads the methods and path patterns that select requests.

use super::reading::Cursor;
use crate::{
    request::token::is_token,
    routing::{matcher::Matcher, pattern::Pattern, table::RouteTable},
};

/// Conflicts between patterns that are reported at once; the rest is left for the next attempt.
const MAX_CONFLICTS: usize = 20;

/// Most parameters of a pattern. The library behind the table names them by letters, and panics when
/// it has used the last one.
const MAX_PARAMETERS: usize = 25;

const PATTERN_HINT: &str = "write a path such as /api/v1/reviews/{id} or /api/v1/reviews/{*rest}";

/// Reads the `match` of a route: its methods, or none for all methods, and its pattern.
pub(super) fn matcher(cursor: &Cursor<'_>) -> Option<Matcher> {
    let mut fields = cursor.fields("write { methods: [GET], path: /api/... }")?;
    let methods_cursor = fields.optional("methods");
    let methods = methods_cursor.as_ref().map(Cursor::strings).unwrap_or_default();
    if let Some(cursor) = methods_cursor {
        for method in &methods {
            is_method(&cursor, method);
        }
    }
    let pattern = fields.require("path", PATTERN_HINT, pattern);
    fields.finish();
    Some(Matcher { methods, path: pattern? })
}

/// Returns true if the string is a method, and reports it otherwise.
fn is_method(cursor: &Cursor<'_>, method: &str) -> bool {
    let valid = is_token(method) && !method.bytes().any(|byte| byte.is_ascii_lowercase());
    if !valid {
        cursor.report(format!("{method:?} is not a method"), "write methods in upper case, such as GET");
    }
    valid
}

/// Reads one method.
pub(super) fn method(cursor: &Cursor<'_>) -> Option<String> {
    cursor.string().filter(|method| is_method(cursor, method))
}

/// Reads the pattern of a path, such as `/reviews/{id}`.
pub(super) fn pattern(cursor: &Cursor<'_>) -> Option<String> {
    let pattern = cursor.string()?;
    if !pattern.starts_with('/') || pattern.contains(['?', '#']) {
        let message = format!("{pattern:?} does not begin with a slash, or contains a query");
        return cursor.refuse(message, PATTERN_HINT);
    }
    if Pattern::new(&pattern).names.len() > MAX_PARAMETERS {
        let message = format!("the path has more than {MAX_PARAMETERS} parameters");
        return cursor.refuse(message, "match the rest of the path with {*rest}");
    }
    let matcher = Matcher { methods: Vec::new(), path: pattern };
    if let Err((_, error)) = RouteTable::new(&[&matcher]) {
        return cursor.refuse(error.to_string(), PATTERN_HINT);
    }
    Some(matcher.path)
}

/// Reports the matchers whose patterns claim the same requests as an earlier one, each at its cursor.
pub(super) fn report_conflicts(mut unchecked: Vec<(&Matcher, Cursor<'_>)>) {
    for _ in 0..MAX_CONFLICTS {
        let matchers: Vec<_> = unchecked.iter().map(|(matcher, _)| *matcher).collect();
        let Err((index, error)) = RouteTable::new(&matchers) else { break };
        if index >= unchecked.len() {
            break;
        }
        let (_, cursor) = unchecked.remove(index);
        let hint = "make the two patterns differ in a literal segment, or give them different methods";
        cursor.report(error.to_string(), hint);
    }
}
