//! Reads the files with shapes that an adapter includes.

use super::files::{Files, content, relative};
use crate::config::reading::{Cursor, EntryCursor, Fields, Node, Problem, Value};

/// The key of the list of included files. A stored adapter has their shapes among its own.
pub(super) const INCLUDE: &str = "include";

const HINT: &str = "write shapes: in the included file, and name: mapping below it";

/// The files that an adapter includes.
pub(super) struct Included {
    /// Those that could be read.
    files: Vec<IncludedFile>,
    /// True if all of them could.
    is_complete: bool,
}

/// A file with shapes.
struct IncludedFile {
    name: String,
    node: Node,
}

/// The shapes of an adapter.
pub(super) struct Shapes<'f> {
    pub(super) entries: Vec<EntryCursor<'f>>,
    /// False if there are more, which could not be read.
    pub(super) is_complete: bool,
}

/// Reads the files that an adapter includes.
pub(super) fn read(fields: &mut Fields<'_>, folder: &str, files: Files<'_>) -> Included {
    let mut included = Included { files: Vec::new(), is_complete: true };
    for cursor in fields.list(INCLUDE, "write a list of files, such as [common.yaml]") {
        let name = cursor.string().map(|name| relative(folder, name));
        if let Some(name) = &name
            && included.files.iter().any(|file| file.name == *name)
        {
            cursor.report(format!("{name} is included twice"), "remove one of the two");
            continue;
        }
        match name.and_then(|name| file(&cursor, name, files)) {
            Some(file) => included.files.push(file),
            None => included.is_complete = false,
        }
    }
    included
}

fn file(cursor: &Cursor<'_>, name: String, files: Files<'_>) -> Option<IncludedFile> {
    let text = content(cursor, &name, files)?;
    match Node::from_yaml(&text) {
        Ok(node) => Some(IncludedFile { name, node }),
        Err(problem) => {
            cursor.add(Problem { file: name, ..problem });
            None
        }
    }
}

/// Returns the shapes of the included files, and after them those of the adapter itself. A name that was
/// defined before is reported.
pub(super) fn shapes<'f>(
    adapter: &Cursor<'f>,
    included: &'f Included,
    own: Option<&Cursor<'f>>,
) -> Shapes<'f> {
    let mut shapes = Shapes { entries: Vec::new(), is_complete: included.is_complete };
    for file in &included.files {
        let Some(mut fields) = adapter.in_file(&file.name, &file.node).fields(HINT) else {
            shapes.is_complete = false;
            continue;
        };
        let found = fields.optional("shapes");
        fields.finish();
        add(&mut shapes, found.as_ref(), HINT);
    }
    add(&mut shapes, own, "write name: mapping");
    shapes
}

/// Adds the shapes of one file. Names that appear twice in it have been reported.
fn add<'f>(shapes: &mut Shapes<'f>, section: Option<&Cursor<'f>>, hint: &str) {
    let Some(section) = section else { return };
    shapes.is_complete &= matches!(section.value(), Value::Map(_) | Value::Null);
    let found = section.entries(hint);
    for shape in &found {
        if let Some(earlier) = shapes.entries.iter().find(|earlier| earlier.key == shape.key) {
            let message = format!("the shape {} is already defined in {}", shape.key, earlier.value.file());
            shape.key_cursor.report(message, "give one of the two another name, or remove it");
        }
    }
    shapes.entries.extend(found);
}
