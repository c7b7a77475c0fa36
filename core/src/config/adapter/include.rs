//! Reads the files with shapes that an adapter includes.

use super::files::{Files, content, relative};
use crate::config::reading::{Cursor, EntryCursor, Fields, Node, Problem};

/// The key of the list of included files. A stored adapter has their shapes among its own.
pub(super) const INCLUDE: &str = "include";

const HINT: &str = "write shapes: in the included file, and name: mapping below it";

/// A file with shapes.
pub(super) struct IncludedFile {
    name: String,
    node: Node,
}

/// Reads the files that an adapter includes. Returns those that are YAML.
pub(super) fn read(fields: &mut Fields<'_>, folder: &str, files: Files<'_>) -> Vec<IncludedFile> {
    let mut included: Vec<IncludedFile> = Vec::new();
    for cursor in fields.list(INCLUDE, "write a list of files, such as [common.yaml]") {
        let Some(name) = cursor.string().map(|name| relative(folder, name)) else { continue };
        if included.iter().any(|file| file.name == name) {
            cursor.report(format!("{name} is included twice"), "remove one of the two");
            continue;
        }
        let Some(text) = content(&cursor, &name, files) else { continue };
        match Node::from_yaml(&text) {
            Ok(node) => included.push(IncludedFile { name, node }),
            Err(problem) => cursor.add(Problem { file: name, ..problem }),
        }
    }
    included
}

/// Returns the shapes of the included files, and after them those of the adapter itself. A name that was
/// defined before is reported.
pub(super) fn shapes<'f>(
    adapter: &Cursor<'f>,
    included: &'f [IncludedFile],
    own: Vec<EntryCursor<'f>>,
) -> Vec<EntryCursor<'f>> {
    let mut shapes: Vec<EntryCursor<'f>> = Vec::new();
    for file in included {
        let Some(mut fields) = adapter.in_file(&file.name, &file.node).fields(HINT) else { continue };
        let found = fields.entries("shapes", HINT);
        fields.finish();
        add(&mut shapes, found);
    }
    add(&mut shapes, own);
    shapes
}

/// Adds the shapes of one file. Names that appear twice in it have been reported.
fn add<'f>(shapes: &mut Vec<EntryCursor<'f>>, found: Vec<EntryCursor<'f>>) {
    for shape in &found {
        if let Some(earlier) = shapes.iter().find(|earlier| earlier.key == shape.key) {
            let message = format!("the shape {} is already defined in {}", shape.key, earlier.value.file());
            shape.key_cursor.report(message, "give one of the two another name, or remove it");
        }
    }
    shapes.extend(found);
}
