//! Holds mappings against what operations select.

use super::Context;
use crate::{
    adapter::Conversion,
    config::{
        adapter::graphql::{Holds, Selected},
        node::Node,
        reader::{Reader, nearest},
    },
};

impl Context<'_> {
    pub(super) fn field(
        &self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        held: &Selected,
        name: &str,
    ) -> Option<Selected> {
        let operation = &self.operation;
        let (message, hint) = match &held.holds {
            Holds::Object(fields) => match fields.iter().find(|(field, _)| field == name) {
                Some((_, selected)) => {
                    return Some(Selected {
                        nullable: selected.nullable || held.nullable,
                        ..selected.clone()
                    });
                }
                None => {
                    let message = format!("{operation} does not select {name} of {}", held.written);
                    let hint = match nearest(name, fields.iter().map(|(field, _)| field.as_str())) {
                        Some(near) => {
                            format!("did you mean {near}? Otherwise select {name} in the operation")
                        }
                        None => format!("select {name} in the operation, or take it out of the mapping"),
                    };
                    (message, hint)
                }
            },
            Holds::List(_) => (
                format!("{} is a list and has no field {name}", held.written),
                "map its items with each".into(),
            ),
            Holds::Scalar(_) | Holds::Enum(_) => (
                format!("{} has no fields, so no {name}", held.written),
                "map the value itself with .".into(),
            ),
        };
        reader.report(node, path, message, hint);
        None
    }

    pub(super) fn known<'a>(
        &self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        held: Option<&Selected>,
        names: impl Iterator<Item = &'a String>,
    ) {
        if let Some(held) = held {
            for name in names {
                self.field(reader, node, path, held, name);
            }
        }
    }

    pub(super) fn conversion(
        &self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        held: Option<&Selected>,
    ) -> Option<Conversion> {
        let hint = "write as: number for a text of digits, or as: string for a number";
        let conversion = match reader.text(node, path)?.as_str() {
            "number" => Conversion::Number,
            "string" => Conversion::Text,
            other => {
                reader.report(node, path, format!("{other:?} is not a form"), hint);
                return None;
            }
        };
        let fits = match held.map(|held| &held.holds) {
            None => true,
            Some(Holds::Scalar(name)) => match (name.as_str(), conversion) {
                ("Int" | "Float", found) => found == Conversion::Text,
                ("String" | "ID", found) => found == Conversion::Number,
                ("Boolean", _) => false,
                _ => true,
            },
            Some(_) => false,
        };
        if !fits {
            let written = held.map(|held| held.written.clone()).unwrap_or_default();
            reader.report(node, path, format!("{written} cannot be converted like this"), hint);
            return None;
        }
        Some(conversion)
    }
}
