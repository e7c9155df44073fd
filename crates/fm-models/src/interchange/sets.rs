//! The sets of weights in a file.
//!
//! A set is all that stands under the prefix of a tensor that a known network always has, whatever
//! the prefix.

use super::contents::{Contents, Entry, Leaf};
use super::error::{InterchangeError, clip};
use super::names::{averaged, clean, names_an_optimizer, network_prefix, part_of, shared_wrappers};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Maximum number of sets in a file, which bounds the work of comparing them.
const MOST: usize = 64;

/// One set of weights of a file.
#[derive(Debug, Clone)]
pub(super) struct Set {
    /// Name of the part of the file.
    pub(super) part: String,
    /// The prefix of the parameter names in the file.
    pub(super) prefix: String,
    /// The kind of network; empty if it is not known.
    pub(super) kind: &'static str,
    pub(super) averaged: bool,
    /// Names of the network, and the entries of the file, in the order of the file.
    pub(super) picks: Vec<(String, usize)>,
}

impl Set {
    /// A set of averages that take the names of this set's tensors.
    pub(super) fn renamed(&self, part: &str, picks: Vec<(String, usize)>) -> Set {
        Set { part: part.into(), prefix: format!("{part}."), kind: self.kind, averaged: true, picks }
    }

    /// The part as a caller writes it.
    pub(super) fn label(&self) -> String {
        if self.part.is_empty() { "\"\"".into() } else { self.part.clone() }
    }

    /// The names and entries, once each.
    ///
    /// # Errors
    /// A name that occurs twice, and a value that is not a tensor.
    pub(super) fn entries<'a>(&'a self, leaves: &'a [Leaf]) -> Result<BTreeMap<&'a str, &'a Leaf>, String> {
        let mut entries = BTreeMap::new();
        for (name, i) in &self.picks {
            let Some(leaf) = leaves.get(*i) else { continue };
            if let Entry::Opaque(problem) = &leaf.value {
                return Err(format!("{} cannot be read: {problem}", clip(name, 80)));
            }
            if entries.insert(name.as_str(), leaf).is_some() {
                return Err(format!("it holds {} twice; save the state_dict of one network", clip(name, 80)));
            }
        }
        Ok(entries)
    }
}

/// The contents of a file, with names without the components of wrappers inside.
pub(super) struct Named<'a> {
    names: Vec<Cow<'a, str>>,
    leaves: &'a [Leaf],
}

impl<'a> Named<'a> {
    pub(super) fn new(contents: &'a Contents<'_>) -> Self {
        let names = contents.leaves.iter().map(|leaf| clean(&leaf.name)).collect();
        Self { names, leaves: &contents.leaves }
    }

    /// The names of all entries.
    pub(super) fn names(&self) -> Vec<&str> {
        self.names.iter().map(AsRef::as_ref).collect()
    }

    /// Entries that are not counters, in the order of the file.
    pub(super) fn weights(&self) -> impl Iterator<Item = (&str, usize)> {
        let leaves = self.names.iter().zip(self.leaves).enumerate();
        leaves.filter(|(_, (_, leaf))| !leaf.is_counter()).map(|(i, (name, _))| (name.as_ref(), i))
    }

    /// Whether two entries are tensors of one shape.
    pub(super) fn same_shape(&self, a: usize, b: usize) -> bool {
        let shape = |i: usize| self.leaves.get(i).and_then(Leaf::shape);
        shape(a).is_some() && shape(a) == shape(b)
    }

    /// Whether two sets have the same names for the same tensors.
    pub(super) fn same(&self, a: &Set, b: &Set) -> bool {
        let value = |i: usize| self.leaves.get(i).map(|leaf| &leaf.value);
        let pair = |((n, i), (m, j)): (&(String, usize), &(String, usize))| n == m && value(*i) == value(*j);
        a.picks.len() == b.picks.len() && a.picks.iter().zip(&b.picks).all(pair)
    }

    /// The entries under a prefix for which `within` holds.
    fn under(&self, prefix: &str, within: impl Fn(&str) -> bool) -> Vec<(String, usize)> {
        let beside = |rest: &str, i: usize| self.leaves.get(i).is_some_and(|leaf| leaf.is_beside(rest));
        let rest = |name: &str, i: usize| {
            let rest = name.strip_prefix(prefix).filter(|rest| within(rest) && !beside(rest, i));
            rest.map(str::to_owned)
        };
        self.weights().filter_map(|(name, i)| Some((rest(name, i)?, i))).collect()
    }

    /// All entries under a part, without the wrappers that all names share.
    pub(super) fn whole(&self, part: &str) -> Set {
        let prefix = if part.is_empty() { String::new() } else { format!("{part}.") };
        let mut picks = self.under(&prefix, |_| true);
        let length = shared_wrappers(&picks.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        picks.iter_mut().for_each(|(name, _)| drop(name.drain(..length)));
        Set { part: part.into(), prefix, kind: "", averaged: false, picks }
    }

    /// The sets with names of known networks.
    ///
    /// # Errors
    /// [`InterchangeError::Unknown`] for a file with more networks than a checkpoint has.
    pub(super) fn networks(&self) -> Result<Vec<Set>, InterchangeError> {
        let mut prefixes: BTreeMap<&str, &'static str> = BTreeMap::new();
        for (name, _) in self.weights() {
            if let Some((prefix, kind)) = network_prefix(name) {
                prefixes.entry(prefix).or_insert(kind);
            }
            if prefixes.len() > MOST {
                let problem = format!("the file holds more than {MOST} networks; save one of them");
                return Err(InterchangeError::Unknown { problem });
            }
        }
        let set = |(prefix, kind): (&&str, &&'static str)| {
            // What stands under a network's prefix and is another network, an average or the state
            // of an optimizer is no part of it.
            let inner: Vec<&str> = prefixes.keys().filter_map(|p| p.strip_prefix(*prefix)).collect();
            let own = |rest: &str| {
                let other = inner.iter().any(|p| !p.is_empty() && rest.starts_with(p));
                !other && averaged(rest).is_none() && !rest.split('.').any(names_an_optimizer)
            };
            let before = prefix.strip_suffix("module.").unwrap_or(prefix);
            let counted = self.names.iter().any(|name| name.strip_prefix(before) == Some("n_averaged"));
            let averaged = counted || averaged(&format!("{prefix}x")).is_some();
            Set { part: part_of(prefix), prefix: (*prefix).to_owned(), kind, averaged, picks: self.under(prefix, own) }
        };
        Ok(prefixes.iter().map(set).collect())
    }
}
