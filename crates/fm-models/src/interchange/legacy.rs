//! PyTorch's file format before 1.6, which `_use_new_zipfile_serialization=False` still writes.
//!
//! Five pickles in a row: a magic number, the protocol version, a description of the machine, the
//! object, and the keys of its storages. Each storage follows in the order of the keys: the count
//! of its values in eight bytes, then the values.

use super::collect::{class_name, collect, kind_of};
use super::contents::Contents;
use super::pickle::{Id, Tree, Value, parse};
use super::storage::Storage;
use fm_core::budget::Budget;
use std::collections::HashMap;

/// The first pickle of every file: the number 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The same in the protocols 0 and 1, as text.
const MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n.";

/// Whether a file begins with the magic number, in any protocol of pickle.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC_TEXT)
        || bytes.len() > 2 && bytes[0] == 0x80 && bytes[2..].starts_with(MAGIC)
        // Protocols from 4 on put the number into a frame.
        || bytes.get(2) == Some(&0x95) && bytes.get(11..).is_some_and(|rest| rest.starts_with(MAGIC))
}

/// Opens a file that begins like a pickle.
///
/// # Errors
/// A damaged file, and a pickle that `torch.save` did not write, which is named.
pub(super) fn open<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<Contents<'a>, String> {
    if !is_legacy(bytes) {
        return Err(bare(bytes, budget));
    }
    let mut at = 0;
    let mut next = |budget: &mut Budget| -> Result<Tree<'a>, String> {
        let (tree, length) = parse(bytes.get(at..).unwrap_or_default(), budget)?;
        at += length;
        Ok(tree)
    };
    next(budget)?;
    let protocol = next(budget)?;
    if protocol.int(protocol.root) != Some(1001) {
        return Err("it is of an unknown version of PyTorch's old format; save it with torch.save".into());
    }
    let machine = next(budget)?;
    let big_endian = machine.entry(machine.root, "little_endian").and_then(|id| machine.int(id)) == Some(0);
    let object = next(budget)?;
    let keys = next(budget)?;
    let (leaves, modules) = collect(&object, budget)?;
    let mut contents = Contents { leaves, modules, ..Contents::default() };
    let widths = widths(&object, budget)?;
    let ids = keys.sequence(keys.root).ok_or("its list of storages is damaged; fetch it again")?;
    let mut rest = Rest { bytes: &bytes[at..], may_be_big: big_endian, is_big: false };
    for id in ids {
        let key = key(&keys, *id).ok_or("its list of storages is damaged; fetch it again")?;
        budget.take_bytes(key.len() + 3 * size_of::<Storage<'_>>())?;
        let Some(width) = widths.get(key.as_str()) else {
            return Err("its list names a storage that no tensor has; fetch it again".into());
        };
        contents.storages.by_key.insert(key, rest.storage(*width)?);
    }
    Ok(contents)
}

/// The storages that have not been read.
struct Rest<'a> {
    bytes: &'a [u8],
    /// Whether the file comes from a big-endian machine. PyTorch writes little-endian values there
    /// too, so the counts decide.
    may_be_big: bool,
    is_big: bool,
}

impl<'a> Rest<'a> {
    fn storage(&mut self, width: usize) -> Result<Storage<'a>, String> {
        let short = || "it is cut short: the values of its last tensors are missing; fetch it again";
        let (count, values) = self.bytes.split_first_chunk::<8>().ok_or_else(short)?;
        let size = |count: u64| {
            let size = usize::try_from(count).ok()?.checked_mul(width)?;
            (size <= values.len()).then_some(size)
        };
        let little = size(u64::from_le_bytes(*count)).filter(|_| !self.is_big);
        let big = || size(u64::from_be_bytes(*count)).filter(|_| self.may_be_big);
        self.is_big = little.is_none();
        let (bytes, rest) = values.split_at(little.or_else(big).ok_or_else(short)?);
        self.bytes = rest;
        Ok(Storage { bytes, crc: None, big_endian: self.is_big })
    }
}

fn key(tree: &Tree<'_>, id: Id) -> Option<String> {
    tree.text(id).map(str::to_owned).or_else(|| tree.int(id).map(|i| i.to_string()))
}

/// The bytes per value of each storage that a pickle refers to.
fn widths(tree: &Tree<'_>, budget: &mut Budget) -> Result<HashMap<String, usize>, String> {
    let mut widths = HashMap::new();
    for id in tree.all() {
        let Value::Persistent(inner) = tree.get(id) else { continue };
        let Some([kind, class, storage, ..]) = tree.sequence(*inner) else { continue };
        if tree.text(*kind) != Some("storage") {
            continue;
        }
        let (Some(key), Some((_, class))) = (key(tree, *storage), tree.global(*class)) else { continue };
        budget.take_bytes(key.len() + 96)?;
        let width = match kind_of(class) {
            Some(kind) => kind.elt_size_in_bytes(),
            // Values that are not read still take their place.
            None => match class {
                "ComplexDoubleStorage" => 16,
                "ComplexFloatStorage" => 8,
                "QInt32Storage" => 4,
                _ => 1,
            },
        };
        widths.insert(key, width);
    }
    Ok(widths)
}

/// The kind of a pickle that `torch.save` did not write, and the remedy.
fn bare(bytes: &[u8], budget: &mut Budget) -> String {
    let tree = match parse(bytes, budget) {
        Ok((tree, _)) => tree,
        Err(problem) => return problem,
    };
    let classes = || tree.all().filter_map(|id| tree.global(id));
    let has = |found: fn(&str) -> bool| classes().any(|(module, _)| found(module));
    if has(|module| module.starts_with("joblib")) {
        return "it is a joblib file; load it with joblib.load and save the network's state_dict with torch.save"
            .into();
    }
    if has(|module| module.starts_with("torch.storage") || module.starts_with("torch._utils")) {
        return "its tensors were written by pickle.dump; load it with pickle.load in Python and save it with torch.save"
            .into();
    }
    if has(|module| module.starts_with("numpy")) {
        return "it is a pickle of NumPy arrays; load it in Python and save {name: torch.from_numpy(array)} with \
                torch.save"
            .into();
    }
    let class = match tree.class(tree.root) {
        Some(class) => format!("of the class {}", class_name(class)),
        None => "without tensors".into(),
    };
    format!("it is a Python pickle {class}; save the network's state_dict with torch.save")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::budget::limits;

    #[test]
    fn pickles_of_others_are_named() {
        for (pickle, name) in [
            (b"\x80\x04}.".as_slice(), "pickle without tensors"),
            (b"\x80\x02csklearn.tree\nTree\n)\x81.", "sklearn.tree.Tree"),
            (b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81.", "joblib"),
            (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.", "NumPy"),
            (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "pickle.dump"),
        ] {
            let error = open(pickle, &mut Budget::new(&limits::WEIGHTS, 100).unwrap()).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }
}
