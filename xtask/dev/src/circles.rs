//! Detects import cycles between the files of a crate.
//!
//! An edge leads from a file to the file that defines a name it uses, by `use` or by a path in its
//! code. Re-exports (`pub use`) are followed to the definition. Tests inside a file are ignored:
//! they may import anything.

use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

/// A module, `["sampler", "network"]`; the crate's root is empty.
type Module = Vec<String>;

/// The imports and exports of a file.
#[derive(Debug, Default)]
struct File {
    /// Paths of used names, from the crate's root.
    taken: BTreeSet<Module>,
    /// Re-exported names, and the paths they come from.
    handed_on: BTreeMap<String, Module>,
}

/// Each cycle among the files of a crate below `src`, one line per cycle.
pub(crate) fn of_crate(src: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut read = BTreeMap::new();
    for path in files {
        let module = module_of(path.strip_prefix(src)?);
        let text = fs::read_to_string(xtask_shell::root().join(path))?;
        let parsed =
            syn::parse_file(&text).with_context(|| format!("cannot parse {}; correct its syntax", path.display()))?;
        let declared = parsed.items.iter().filter_map(|item| match item {
            Item::Mod(item) if !is_test(&item.attrs) => Some(item.ident.to_string()),
            _ => None,
        });
        let mut reader = Reader { module: module.clone(), declared: declared.collect(), ..Reader::default() };
        reader.visit_file(&parsed);
        reader.take_used();
        read.insert(module, reader.file);
    }
    let arrows: BTreeMap<&Module, BTreeSet<&Module>> = read
        .iter()
        .map(|(module, file)| {
            let targets = file.taken.iter().filter_map(|path| definer(&read, path, 0));
            (module, targets.filter(|target| *target != module).collect())
        })
        .collect();
    let line = |circle: &BTreeSet<&Module>| {
        let inside = |(from, to): (&&Module, &&Module)| circle.contains(*from) && circle.contains(*to);
        let ties = arrows.iter().flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)));
        let ties = ties.filter(|tie| inside(*tie)).map(|(a, b)| format!("{} -> {}", a.join("::"), b.join("::")));
        format!("{}: {}", src.display(), ties.collect::<Vec<_>>().join(", "))
    };
    Ok(circles(&arrows).iter().map(line).collect())
}

/// `sampler/network.rs` and `sampler/network/mod.rs` are both the module `sampler::network`;
/// `lib.rs` and `main.rs` are the root.
fn module_of(path: &Path) -> Module {
    let mut module: Module = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let root = module.len() == 1 && matches!(module[0].as_str(), "lib" | "main");
    if root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// The module that defines the name of a path.
fn definer<'a>(files: &'a BTreeMap<Module, File>, path: &[String], depth: usize) -> Option<&'a Module> {
    let length = (0..=path.len()).rev().find(|length| files.contains_key(&path[..*length]))?;
    let (module, file) = files.get_key_value(&path[..length])?;
    let origin = path.get(length).and_then(|name| file.handed_on.get(name));
    match origin {
        // A depth beyond any real chain of re-exports stops a name that re-exports itself.
        Some(origin) if depth < 8 => definer(files, &[origin, &path[length + 1..]].concat(), depth + 1),
        _ => Some(module),
    }
}

/// Strongly connected sets of modules.
fn circles<'a>(arrows: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> Vec<BTreeSet<&'a Module>> {
    let reach = |start: &'a Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(module) = open.pop() {
            open.extend(arrows.get(module).into_iter().flatten().filter(|next| seen.insert(**next)));
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = arrows.keys().map(|module| (*module, reach(module))).collect();
    let circle = |module: &&'a Module| -> BTreeSet<&'a Module> {
        reached[module].iter().copied().filter(|other| reached[other].contains(*module)).collect()
    };
    let found: BTreeSet<BTreeSet<&Module>> = arrows.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}

/// Collects the paths of a file that lead into its crate.
#[derive(Default)]
struct Reader {
    module: Module,
    /// Modules that the file declares; paths may start with them.
    declared: BTreeSet<String>,
    /// Names used in its code.
    used: BTreeSet<String>,
    file: File,
}

impl Reader {
    /// A path from the crate's root, if it starts with `crate`, `self`, `super` or a module
    /// declared here.
    fn resolve(&self, path: &[String]) -> Option<Module> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&self.module[..], &path[1..]].concat()),
            "super" => Some([&self.module[..self.module.len().checked_sub(ups)?], &path[ups..]].concat()),
            first if self.declared.contains(first) => Some([&self.module[..], path].concat()),
            _ => None,
        }
    }

    /// Counts a re-exported name that is also used here as used.
    fn take_used(&mut self) {
        let Self { used, file, .. } = self;
        let both = file.handed_on.iter().filter(|(name, _)| used.contains(*name));
        file.taken.extend(both.map(|(_, origin)| origin.clone()).collect::<Vec<_>>());
    }

    fn take(&mut self, path: &[String]) {
        if path.len() > 1 || path.first().is_some_and(|part| part == "super") {
            let resolved = self.resolve(path);
            self.file.taken.extend(resolved);
        }
    }
}

/// The leaves of a `use`: the whole path, and its local name.
fn leaves(tree: &UseTree, before: &[String], found: &mut Vec<(Module, String)>) {
    let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) if name.ident == "self" => found.push((before.to_vec(), String::new())),
        UseTree::Name(name) => found.push((with(&name.ident), name.ident.to_string())),
        UseTree::Rename(rename) => found.push((with(&rename.ident), rename.rename.to_string())),
        UseTree::Glob(_) => found.push((before.to_vec(), "*".into())),
        UseTree::Group(group) => group.items.iter().for_each(|item| leaves(item, before, found)),
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|i| i == "test"))
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        for (path, name) in found {
            match (&item.vis, self.resolve(&path)) {
                (Visibility::Inherited, _) => self.take(&path),
                (_, Some(origin)) => drop(self.file.handed_on.insert(name, origin)),
                (_, None) => {}
            }
        }
    }

    /// `pub(super)` is not a use.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Module = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.used.extend(parts.first().cloned());
        self.take(&parts);
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let src = directory.path().join("src");
        fs::create_dir_all(src.join("deep")).unwrap();
        let write = |(name, text): &(&str, &str)| {
            fs::write(src.join(name), text).unwrap();
            src.join(name)
        };
        of_crate(&src, &files.iter().map(write).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn circles_are_found_through_uses_paths_and_names_handed_on() {
        let a = ("a.rs", "use crate::b::B; pub struct A;");
        assert_eq!(found(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", "pub struct B;")]).len(), 0);
        let ring = found(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", "pub struct B; fn f() { crate::a::f() }")]);
        assert!(ring.len() == 1 && ring[0].ends_with("a -> b, b -> a"), "{ring:?}");
        let handed = ("lib.rs", "mod a; mod b; pub use a::A;");
        assert_eq!(found(&[handed, a, ("b.rs", "use crate::A; pub struct B(A);")]).len(), 1);
    }

    #[test]
    fn a_name_that_is_handed_on_and_used_is_taken() {
        let child = ("deep/child.rs", "use super::P; pub struct C;");
        let hands_on = ("deep/mod.rs", "mod child; pub struct P; pub use child::C;");
        assert_eq!(found(&[("lib.rs", "mod deep;"), hands_on, child]).len(), 0);
        let uses = ("deep/mod.rs", "mod child; pub struct P; pub use child::C; fn f(_: C) {}");
        assert_eq!(found(&[("lib.rs", "mod deep;"), uses, child]).len(), 1);
    }

    #[test]
    fn a_parent_that_calls_a_child_which_uses_the_parent_is_a_circle_and_tests_are_not() {
        let parent = ("deep/mod.rs", "mod child; pub struct P; use child::g;");
        assert_eq!(found(&[("lib.rs", "mod deep;"), parent, ("deep/child.rs", "use super::P;")]).len(), 1);
        let visible = ("deep/child.rs", "pub(super) fn g() {}");
        assert_eq!(found(&[("lib.rs", "mod deep;"), parent, visible]).len(), 0);
        let tested = ("deep/child.rs", "#[cfg(test)] mod tests { use super::super::P; }");
        assert_eq!(found(&[("lib.rs", "mod deep;"), parent, tested]).len(), 0);
    }
}
