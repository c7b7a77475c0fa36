//! The line about an emergency in force, on standard error of every command, and the list of its declarations.

use crate::output::{self, cell, field, text};
use serde_json::Value;

/// Formats the line, from the header `x-cutover-emergency` of the management API.
pub fn line(emergency: &Value) -> String {
    let number = |name: &str| emergency.get(name).and_then(Value::as_u64).unwrap_or_default();
    let flags = match (emergency.get("flags").filter(|flags| flags.is_array()), number("more_flags")) {
        (None, _) => "all flags are".to_owned(),
        (Some(flags), 0) if flags.as_array().is_some_and(|flags| flags.len() == 1) => {
            format!("{} is", cell(flags))
        }
        (Some(flags), 0) => format!("{} are", cell(flags)),
        (Some(flags), more) => format!("{} and {more} more are", cell(flags)),
    };
    let others = match number("declarations") {
        0 | 1 => String::new(),
        _ => " (cutover status shows all reasons)".to_owned(),
    };
    format!(
        "emergency in force since {}, declared by {}: {flags} held on legacy: {}{others}",
        output::time(text(emergency, "since")),
        field(emergency, "by"),
        field(emergency, "reason")
    )
}

/// Returns a row for each declaration of an emergency, the oldest first: its time, its author, its flags and its reason.
pub fn declarations(emergency: &Value) -> Vec<Vec<String>> {
    let row = |declaration: &Value| {
        let flags = declaration.get("flags").map_or_else(|| "all".to_owned(), cell);
        let (by, reason) = (field(declaration, "by"), field(declaration, "reason"));
        vec![output::time(text(declaration, "since")), by, flags, reason]
    };
    output::list(emergency, "declarations").map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_line_says_who_since_when_which_flags_and_why() {
        let line = |flags: Value, more: u64, declarations: u64| {
            line(&json!({
                "since": "2001-01-01T00:00:00Z", "by": "ann", "reason": "errors on checkout", "flags": flags,
                "more_flags": more, "declarations": declarations,
            }))
        };
        let all = line(Value::Null, 0, 1);
        assert!(all.starts_with("emergency in force since 2001-01-01T00:00:00.000Z ("), "{all}");
        let ending = "declared by ann: all flags are held on legacy: errors on checkout";
        assert!(all.ends_with(ending), "{all}");
        assert!(line(json!(["a"]), 0, 1).contains("ann: a is held on legacy: "));
        assert!(line(json!(["a", "b"]), 0, 1).contains("ann: a, b are held on legacy: "));
        let many = line(json!(["a", "b"]), 3, 2);
        assert!(many.contains("ann: a, b and 3 more are held on legacy: "), "{many}");
        assert!(many.ends_with("(cutover status shows all reasons)"), "{many}");
    }

    #[test]
    fn every_declaration_is_a_row() {
        let declared = |by: &str| json!({ "by": by, "reason": "r", "since": "2001-01-01T00:00:00Z" });
        let rows = declarations(&json!({ "declarations": [declared("ann"), declared("bob")] }));
        let shown: Vec<&[String]> = rows.iter().map(|row| &row[1..]).collect();
        assert_eq!(shown, [["ann", "all", "r"], ["bob", "all", "r"]]);
    }
}
