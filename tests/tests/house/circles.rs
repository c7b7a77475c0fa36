//! No circle of imports, in any crate and in the JavaScript of the Worker. An import is followed through re-exports to
//! the file that defines the item, so a circle cannot hide behind the face of a folder.

use crate::sources::{CRATES, files, read, root, shown};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use syn::{Item, UseTree, visit::Visit};

type Name = Vec<String>;

/// A module of a crate: its file, the items that it defines, and what it imports.
#[derive(Default)]
struct Module {
    file: PathBuf,
    items: BTreeSet<String>,
    /// Imported names with the paths that they stand for; `*` for a glob.
    imports: Vec<(String, Name)>,
    /// Paths in the code, outside of `use`.
    paths: Vec<Name>,
}

/// A graph of files: for each, the files that it imports from, with one name as an example.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// The name of the module in a file of a crate; empty for the root.
fn module_of(source: &Path, file: &Path) -> Name {
    let relative = file.strip_prefix(source).unwrap().with_extension("");
    let mut name: Name =
        relative.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if name.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        name.pop();
    }
    name
}

struct Paths<'m> {
    module: &'m mut Module,
    own: &'m [String],
}

impl Visit<'_> for Paths<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Name = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1
            && let Some(absolute) = absolute(self.own, &segments)
        {
            self.module.paths.push(absolute);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        // Unit tests look at their parent, which is what they are for.
        if item.content.is_none() || item.ident != "tests" {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, _: &syn::ItemUse) {}
}

/// A path from the root of the crate; `None` for one into another crate.
fn absolute(own: &[String], path: &[String]) -> Option<Name> {
    let mut base = own.to_vec();
    match path.first().map(String::as_str) {
        Some("crate") => Some(path[1..].to_vec()),
        Some("self") => Some([own, &path[1..]].concat()),
        Some("super") => {
            let ups = path.iter().take_while(|segment| *segment == "super").count();
            base.truncate(base.len().saturating_sub(ups));
            Some([base, path[ups..].to_vec()].concat())
        }
        _ => None,
    }
}

fn leaves(tree: &UseTree, before: &Name, found: &mut Vec<(String, Name)>) {
    let with = |name: String| [before.clone(), vec![name]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(path.ident.to_string()), found),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.last().cloned().unwrap_or_default(), before.clone()));
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), with(name.ident.to_string()))),
        UseTree::Rename(rename) => found.push((rename.rename.to_string(), with(rename.ident.to_string()))),
        UseTree::Glob(_) => found.push(("*".to_owned(), before.clone())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
    }
}

fn modules(source: &Path, names: &[PathBuf]) -> BTreeMap<Name, Module> {
    let mut modules = BTreeMap::new();
    for file in names {
        let own = module_of(source, file);
        let parsed = syn::parse_file(&read(file)).unwrap_or_else(|error| panic!("{}: {error}", shown(file)));
        let mut module = Module { file: file.clone(), ..Module::default() };
        let mut children = BTreeSet::new();
        for item in &parsed.items {
            let defined = match item {
                Item::Const(item) => Some(&item.ident),
                Item::Enum(item) => Some(&item.ident),
                Item::Fn(item) => Some(&item.sig.ident),
                Item::Static(item) => Some(&item.ident),
                Item::Struct(item) => Some(&item.ident),
                Item::Trait(item) => Some(&item.ident),
                Item::Type(item) => Some(&item.ident),
                Item::Mod(item) => {
                    children.insert(item.ident.to_string());
                    None
                }
                _ => None,
            };
            module.items.extend(defined.map(ToString::to_string));
        }
        let mut uses = Vec::new();
        for item in &parsed.items {
            if let Item::Use(item) = item {
                leaves(&item.tree, &Vec::new(), &mut uses);
            }
        }
        for (name, path) in uses {
            let is_child = path.first().is_some_and(|first| children.contains(first));
            let path = if is_child { Some([own.clone(), path].concat()) } else { absolute(&own, &path) };
            module.imports.extend(path.map(|path| (name, path)));
        }
        Paths { module: &mut module, own: &own }.visit_file(&parsed);
        modules.insert(own, module);
    }
    modules
}

/// The module that defines what a path names, through re-exports; `None` for a path that is only a module.
fn definition(modules: &BTreeMap<Name, Module>, path: &[String], depth: usize) -> Option<Name> {
    if depth > 16 {
        return None;
    }
    // The longest prefix that is a module, and the name behind it.
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let (own, rest) = path.split_at(length);
    let (module, name) = (&modules[own], rest.first()?);
    if module.items.contains(name) {
        return Some(own.to_vec());
    }
    let Some((_, target)) = module.imports.iter().find(|(imported, _)| imported == name) else {
        // A macro defined it there.
        return Some(own.to_vec());
    };
    let target = [&target[..], &rest[1..]].concat();
    definition(modules, &target, depth + 1).or(Some(own.to_vec()))
}

fn rust_graph(folder: &str) -> Graph {
    let source = root().join(folder);
    let modules = modules(&source, &files(folder, "rs"));
    let mut graph = Graph::new();
    for (own, module) in &modules {
        let targets = graph.entry(shown(&module.file)).or_default();
        // A face re-exports its children, and imports nothing for itself.
        let is_face = module.items.is_empty() && module.paths.is_empty();
        let imports = module.imports.iter().map(|(_, path)| path).filter(|_| !is_face);
        for path in imports.chain(&module.paths) {
            let Some(target) = definition(&modules, path, 0).filter(|target| target != own) else { continue };
            let name = path.last().cloned().unwrap_or_default();
            targets.entry(shown(&modules[&target].file)).or_insert(name);
        }
    }
    graph
}

fn javascript_graph() -> Graph {
    let mut graph = Graph::new();
    for file in files("edge/js", "js") {
        let targets = graph.entry(shown(&file)).or_default();
        for line in read(&file).lines() {
            let imported = line.rsplit_once(" from \"./").and_then(|(_, rest)| rest.split_once('"'));
            if let Some((name, _)) = imported {
                let target = file.parent().unwrap().join(name);
                targets.insert(shown(&target), name.to_owned());
            }
        }
    }
    graph
}

/// A circle of the graph, as the files on it in order, if there is one.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    fn walk(
        graph: &Graph,
        at: &str,
        done: &mut BTreeSet<String>,
        way: &mut Vec<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|seen| seen == at) {
            return Some(way[start..].to_vec());
        }
        if !done.insert(at.to_owned()) {
            return None;
        }
        way.push(at.to_owned());
        let found = graph.get(at).into_iter().flatten().find_map(|(next, _)| walk(graph, next, done, way));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|file| walk(graph, file, &mut done, &mut Vec::new()))
}

fn describe(graph: &Graph, circle: &[String]) -> String {
    let next = circle.iter().cycle().skip(1);
    let steps =
        circle.iter().zip(next).map(|(from, to)| format!("  {from} imports {} from {to}", graph[from][to]));
    steps.collect::<Vec<_>>().join("\n")
}

#[test]
fn no_crate_has_a_circle_of_imports() {
    let mut circles = Vec::new();
    for folder in CRATES {
        let graph = rust_graph(folder);
        let has_one_file = graph.len() == 1;
        assert!(has_one_file || graph.values().any(|targets| !targets.is_empty()), "{folder} has no imports");
        if let Some(found) = circle(&graph) {
            circles.push(format!("{folder}:\n{}", describe(&graph, &found)));
        }
    }
    let graph = javascript_graph();
    if let Some(found) = circle(&graph) {
        circles.push(format!("edge/js:\n{}", describe(&graph, &found)));
    }
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

/// The top level of core is a table of contents: each topic imports only topics above it.
#[test]
fn the_topics_of_core_are_in_order() {
    const ORDER: [&str; 20] = [
        "json",
        "vocabulary",
        "request",
        "routing",
        "compare",
        "caching",
        "adapter",
        "graphql",
        "limit",
        "rules",
        "values",
        "measurement",
        "snapshot",
        "decision",
        "ofrep",
        "statistics",
        "experiment",
        "canary",
        "config",
        "signature",
    ];
    let topic = |file: &str| {
        let rest = file.strip_prefix("core/src/").unwrap();
        rest.split(['/', '.']).next().unwrap().to_owned()
    };
    let position = |name: &str| ORDER.iter().position(|held| *held == name);
    let mut wrong = Vec::new();
    for (file, targets) in rust_graph("core/src") {
        // As those at the end of a file, unit tests in a file of their own may begin with a configuration.
        if file.ends_with("/tests.rs") {
            continue;
        }
        for (target, name) in targets {
            let (from, to) = (topic(&file), topic(&target));
            if from == "lib" {
                continue;
            }
            let place = position(&from).unwrap_or_else(|| panic!("{from} is not in the table of contents"));
            if position(&to).is_none_or(|other| other > place) {
                wrong.push(format!("{file} imports {name} from {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports from a later topic:\n{}", wrong.join("\n"));
}

#[test]
fn vocabulary_imports_nothing_but_json() {
    for (file, targets) in rust_graph("core/src") {
        if file.starts_with("core/src/vocabulary/") {
            for target in targets.keys() {
                assert!(
                    target.starts_with("core/src/vocabulary/") || target.starts_with("core/src/json/"),
                    "{file} imports {target}"
                );
            }
        }
    }
}

#[test]
fn a_planted_circle_is_found_also_behind_a_face() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let names = [
        write("lib.rs", "mod a; mod b; pub use b::Late;"),
        write("a.rs", "use crate::Late; pub struct Early(Late); names!(Made);"),
        write("b/mod.rs", "mod late; pub use late::Late;"),
        write("b/late.rs", "pub struct Late; fn early(_: crate::a::Early) {}"),
    ];
    let modules = modules(folder.path(), &names);
    let defined = |path: &[&str]| {
        definition(&modules, &path.iter().map(|name| (*name).to_owned()).collect::<Name>(), 0)
    };
    assert_eq!(defined(&["Late"]), Some(vec!["b".to_owned(), "late".to_owned()]));
    assert_eq!(defined(&["a", "Early"]), Some(vec!["a".to_owned()]));
    assert_eq!(defined(&["a", "Made"]), Some(vec!["a".to_owned()]));
    let edges = [("a", "late"), ("late", "a"), ("late", "json")];
    let mut graph = Graph::new();
    for (from, to) in edges {
        graph.entry(from.to_owned()).or_default().insert(to.to_owned(), "Late".to_owned());
    }
    assert_eq!(circle(&graph), Some(vec!["a".to_owned(), "late".to_owned()]));
    graph.get_mut("late").unwrap().remove("a");
    assert_eq!(circle(&graph), None);
}
