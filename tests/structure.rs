//! The modules keep their order: each depends on modules of lower layers alone, and nothing goes in a circle. The order is that
//! of the table in docs/architecture.md.

#![expect(clippy::unwrap_used, reason = "a test stops where the sources cannot be read")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::Visit;

/// A module by its path from the crate's root: `deploy::follow`. The root itself is empty.
type Module = String;

/// The modules of a crate, and which others each of them names.
struct Modules {
    depends: BTreeMap<Module, BTreeSet<Module>>,
}

impl Modules {
    /// Reads the source of each module.
    fn read(sources: &BTreeMap<Module, String>) -> Self {
        let parsed: BTreeMap<&str, syn::File> =
            sources.iter().map(|(module, text)| (module.as_str(), syn::parse_file(text).unwrap())).collect();
        let found: BTreeMap<&str, Names> = parsed.iter().map(|(module, file)| (*module, Names::of(module, file))).collect();
        let known: BTreeSet<&str> = sources.keys().map(String::as_str).collect();
        let mut depends = BTreeMap::new();
        for (module, names) in &found {
            let mut targets = BTreeSet::new();
            for path in names.used.iter().chain(&names.handed_on) {
                let target = owner(path, &known, &found, 0);
                // A module that hands on what its parts have does not depend on them.
                let own_part = names.handed_on.contains(path) && target.starts_with(&format!("{module}::"));
                if target != *module && !target.is_empty() && !own_part {
                    targets.insert(target);
                }
            }
            depends.insert((*module).to_owned(), targets);
        }
        Self { depends }
    }

    /// The modules of a circle, if there is one.
    fn circle(&self) -> Option<Vec<Module>> {
        let mut done = BTreeSet::new();
        self.depends.keys().find_map(|module| self.walk(module, &mut Vec::new(), &mut done))
    }

    fn walk(&self, module: &str, path: &mut Vec<Module>, done: &mut BTreeSet<Module>) -> Option<Vec<Module>> {
        if let Some(at) = path.iter().position(|known| known == module) {
            return Some(path[at..].to_vec());
        }
        if done.contains(module) {
            return None;
        }
        path.push(module.to_owned());
        let found = self.depends.get(module).into_iter().flatten().find_map(|next| self.walk(next, path, done));
        path.pop();
        done.insert(module.to_owned());
        found
    }

    /// What depends on a module that is not below its own: modules and what they name.
    fn upward(&self, layers: &[Vec<String>]) -> Vec<String> {
        let layer = |module: &str| {
            let top = module.split("::").next().unwrap();
            layers.iter().position(|layer| layer.iter().any(|known| known == top)).ok_or(format!("{top} is on no layer"))
        };
        let mut wrong = Vec::new();
        for (module, targets) in self.depends.iter().filter(|(module, _)| !module.is_empty()) {
            for target in targets {
                let within = module.split("::").next() == target.split("::").next();
                match (layer(module), layer(target)) {
                    (Ok(_), Ok(_)) if within => {}
                    (Ok(own), Ok(other)) if other < own => {}
                    (Ok(_), Ok(_)) => wrong.push(format!("{module} uses {target}, which is not below it")),
                    (Err(why), _) | (_, Err(why)) => wrong.push(why),
                }
            }
        }
        wrong
    }
}

/// The paths that a module names, from the crate's root, but for those in its tests.
struct Names {
    module: Vec<String>,
    used: BTreeSet<String>,
    handed_on: BTreeSet<String>,
}

impl Names {
    fn of(module: &str, file: &syn::File) -> Self {
        let module = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut names = Self { module, used: BTreeSet::new(), handed_on: BTreeSet::new() };
        names.visit_file(file);
        names
    }

    /// From the crate's root, if it begins with `crate`, `self` or `super`, or with a part of this module.
    fn absolute(&self, path: &[String]) -> Option<String> {
        let mut base = self.module.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &path[1..];
            }
            Some("self") => rest = &path[1..],
            Some("super") => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            _ => return None,
        }
        Some(base.iter().chain(rest).cloned().collect::<Vec<_>>().join("::"))
    }

    fn tree(&self, tree: &syn::UseTree, before: &[String], found: &mut Vec<String>) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident), found),
            syn::UseTree::Name(name) if name.ident == "self" => found.extend(self.absolute(before)),
            syn::UseTree::Name(name) => found.extend(self.anywhere(&with(&name.ident))),
            syn::UseTree::Rename(name) => found.extend(self.anywhere(&with(&name.ident))),
            syn::UseTree::Glob(_) => found.extend(self.anywhere(before)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before, found)),
        }
    }

    /// In a `use`, a path may begin with a module of this one, too.
    fn anywhere(&self, path: &[String]) -> Option<String> {
        let own = [&["self".to_owned()], path].concat();
        self.absolute(path).or_else(|| self.absolute(&own))
    }
}

fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|one| one.path().is_ident("cfg") && one.parse_args::<syn::Ident>().is_ok_and(|what| what == "test"))
}

impl<'a> Visit<'a> for Names {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            _ => return syn::visit::visit_item(self, item),
        };
        if !is_of_tests(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        let mut found = Vec::new();
        self.tree(&item.tree, &[], &mut found);
        match item.vis {
            syn::Visibility::Inherited => self.used.extend(found),
            _ => self.handed_on.extend(found),
        }
    }

    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.used.extend(self.absolute(&parts).filter(|_| parts.len() > 1));
        syn::visit::visit_path(self, path);
    }
}

/// The module that a path leads to, through what other modules hand on.
fn owner(path: &str, known: &BTreeSet<&str>, found: &BTreeMap<&str, Names>, depth: usize) -> Module {
    let parts: Vec<&str> = path.split("::").collect();
    let longest = (0..=parts.len()).rev().find(|count| known.contains(parts[..*count].join("::").as_str())).unwrap_or(0);
    let module = parts[..longest].join("::");
    let Some(name) = parts.get(longest) else { return module };
    let handed_on = found[module.as_str()].handed_on.iter().find(|path| path.rsplit("::").next() == Some(name));
    match handed_on {
        Some(next) if depth < 10 && next != path => {
            let rest = &parts[longest + 1..];
            owner(&[&[next.as_str()], rest].concat().join("::"), known, found, depth + 1)
        }
        _ => module,
    }
}

/// The sources below a folder, by module.
fn sources(folder: &Path, module: &str, into: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let below = |name: &str| if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
        if entry.path().is_dir() {
            sources(&entry.path(), &below(&name), into);
        } else if let Some(stem) = name.strip_suffix(".rs").filter(|stem| !(module.is_empty() && *stem == "main")) {
            let own = match stem {
                "mod" | "lib" => module.to_owned(),
                stem => below(stem),
            };
            into.insert(own, std::fs::read_to_string(entry.path()).unwrap());
        }
    }
}

fn this_crate() -> BTreeMap<Module, String> {
    let mut all = BTreeMap::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut all);
    // Tests alone.
    all.retain(|module, _| !module.split("::").any(|part| part == "tests" || part == "fuzz"));
    all
}

/// The modules of the table in docs/architecture.md, by their layers.
fn layers() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/architecture.md")).unwrap();
    let mut layers: Vec<Vec<String>> = Vec::new();
    let table = text.lines().skip_while(|line| !line.starts_with("| layer |")).skip(2).take_while(|line| line.starts_with('|'));
    for line in table {
        let mut cells = line.split('|').skip(1);
        let layer: usize = cells.next().unwrap().trim().parse().unwrap();
        let row = cells.next().unwrap().split('`').skip(1).step_by(2).map(str::to_owned);
        layers.resize(layers.len().max(layer + 1), Vec::new());
        layers[layer].extend(row);
    }
    layers
}

#[test]
fn no_module_is_part_of_a_circle() {
    assert_eq!(Modules::read(&this_crate()).circle(), None);
}

#[test]
fn each_module_depends_on_lower_layers_alone() {
    assert_eq!(Modules::read(&this_crate()).upward(&layers()), [""; 0]);
}

#[test]
fn no_source_file_is_long() {
    let all = this_crate();
    let lines = |text: &String| text.lines().count();
    let long: Vec<&String> = all.iter().filter(|(_, text)| lines(text) > 500).map(|(module, _)| module).collect();
    assert_eq!(long, Vec::<&String>::new());
    let mut counts: Vec<usize> = all.values().map(lines).collect();
    counts.sort_unstable();
    assert!(counts[counts.len() / 2] <= 120, "{}", counts[counts.len() / 2]);
}

#[test]
fn a_circle_and_an_arrow_upwards_are_found() {
    let made = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned()));
        Modules::read(&files.collect())
    };
    // Through what a module hands on, and by a path within a function.
    let modules = made(&[
        ("", "mod a; mod b;"),
        ("a", "mod one; mod two; pub use one::One; pub(crate) use two::two;"),
        ("a::one", "use super::two::two; pub struct One;"),
        ("a::two", "pub fn two() { crate::b::b() }"),
        ("b", "use crate::a::{self, One}; pub fn b() {} #[cfg(test)] mod tests { use crate::c::C; }"),
    ]);
    let circle = modules.circle().unwrap();
    assert_eq!(circle, ["a::one", "a::two", "b"]);
    let layers = [vec!["b".to_owned()], vec!["a".to_owned()]];
    assert_eq!(modules.upward(&layers).len(), 2, "{:?}", modules.upward(&layers));
    assert!(modules.upward(&layers[1..]).iter().any(|why| why == "b is on no layer"));

    let modules = made(&[("", ""), ("a", "pub use x::X; mod x;"), ("a::x", "pub struct X;"), ("b", "use crate::a::X;")]);
    assert_eq!((modules.circle(), modules.depends["b"].iter().next().unwrap().as_str()), (None, "a::x"));
}
