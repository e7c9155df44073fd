//! PyTorch's file format: a zip archive of a pickle and the storages that it refers to.
//!
//! Names are those of `state_dict()`, whether the file contains one, a dictionary of several, or a
//! whole pickled module. A tensor is created only when it is read, so an optimizer state in the
//! same file costs nothing.

use super::pickle::{Id, Tree, Value, parse};
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use tch::{Kind, Tensor};
use zip::{CompressionMethod, ZipArchive};

/// Position of a tensor's values in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    storage: String,
    pub(super) kind: Kind,
    offset: i64,
    pub(super) shape: Vec<i64>,
    strides: Vec<i64>,
}

/// An opened file.
pub(super) struct TorchFile<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    bytes: &'a [u8],
    /// Prefix of every entry: the archive's name and a slash.
    prefix: String,
    /// Positions of tensors by dotted name.
    pub(super) places: BTreeMap<String, Place>,
    /// Classes of the modules in the file, if it holds modules.
    pub(super) modules: Vec<String>,
    storages: HashMap<String, Vec<u8>>,
    read: usize,
    made: usize,
}

impl<'a> TorchFile<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let damaged = |e| format!("its zip is damaged ({e}); fetch it again");
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
        if entries(bytes) != Some(archive.len()) {
            return Err("its zip names an entry twice; save it again with torch.save".into());
        }
        let pickle = archive.file_names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
        let pickle = pickle.ok_or("its zip has no data.pkl; save it with torch.save")?.to_owned();
        let prefix = pickle.trim_end_matches("data.pkl").to_owned();
        let (places, modules) = (BTreeMap::new(), Vec::new());
        let mut file = Self { archive, bytes, prefix, places, modules, storages: HashMap::new(), read: 0, made: 0 };
        if let Some(order) = file.entry("byteorder")?
            && order != b"little"
        {
            return Err("its numbers are big-endian; save it on a little-endian machine".into());
        }
        let program = file.entry("data.pkl")?.unwrap_or_default();
        let tree = parse(&program)?;
        let mut walk = Walk { tree: &tree, budget: 4_000_000, places: &mut file.places, modules: &mut file.modules };
        walk.value(tree.root, "", 0)?;
        Ok(file)
    }

    /// Bytes of an entry, limited to the size of the file.
    fn entry(&mut self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(index) = self.archive.index_for_name(&format!("{}{name}", self.prefix)) else { return Ok(None) };
        let entry = self.archive.by_index(index).map_err(|e| format!("its zip is damaged ({e}); fetch it again"))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!("its entry {name} is compressed; save it with torch.save, which does not"));
        }
        self.read = self.read.saturating_add(entry.size() as usize);
        if self.read > self.bytes.len() {
            return Err("its entries claim more bytes than it has".into());
        }
        let (size, mut bytes) = (entry.size(), Vec::new());
        let read = entry.take(size).read_to_end(&mut bytes).map_err(|e| format!("{name} is damaged ({e})"))?;
        if read as u64 != size {
            return Err(format!("{name} is cut short; fetch it again"));
        }
        Ok(Some(bytes))
    }

    /// A tensor that owns its memory.
    pub(super) fn tensor(&mut self, name: &str) -> Result<Tensor, String> {
        let place = self.places.get(name).ok_or_else(|| format!("it has no tensor {name}"))?.clone();
        if !self.storages.contains_key(&place.storage) {
            let bytes = self.entry(&format!("data/{}", place.storage))?;
            let bytes = bytes.ok_or_else(|| format!("the values of {name} are missing"))?;
            self.storages.insert(place.storage.clone(), bytes);
        }
        let bytes = self.storages.get(&place.storage).map(Vec::as_slice).unwrap_or_default();
        let size = place.kind.elt_size_in_bytes();
        let last = last_index(&place).ok_or_else(|| format!("{name} has an absurd shape {:?}", place.shape))?;
        if last.checked_mul(size).is_none_or(|end| end > bytes.len()) {
            return Err(format!("{name} claims values {:?} that its file does not hold", place.shape));
        }
        // A tensor may repeat its values, and several may share them, but the total is bounded.
        let count = place.shape.iter().try_fold(size, |n, side| n.checked_mul(usize::try_from(*side).ok()?));
        self.made = count.and_then(|n| self.made.checked_add(n)).unwrap_or(usize::MAX);
        if self.made > 2 * self.bytes.len() {
            return Err(format!("{name} is {:?}, more than its file can hold", place.shape));
        }
        let flat =
            Tensor::from_data_size(&bytes[..bytes.len() / size * size], &[(bytes.len() / size) as i64], place.kind);
        Ok(flat.as_strided(&place.shape, &place.strides, place.offset).copy())
    }
}

/// One past the last index of a tensor in its storage; `None` if there is none.
fn last_index(place: &Place) -> Option<usize> {
    if place.shape.contains(&0) {
        return Some(0);
    }
    let reach = |sum: i64, (n, stride): (&i64, &i64)| {
        let steps = n.checked_sub(1)?.checked_mul(*stride)?;
        if *n < 1 || *stride < 0 { None } else { sum.checked_add(steps) }
    };
    let last = place.shape.iter().zip(&place.strides).try_fold(place.offset, reach)?;
    usize::try_from(last.checked_add(1)?).ok().filter(|_| place.offset >= 0)
}

/// The number of entries that the zip archive declares.
fn entries(bytes: &[u8]) -> Option<usize> {
    let at = bytes.len().checked_sub(22).and_then(|last| {
        let first = last.saturating_sub(1 << 16);
        (first..=last).rev().find(|i| bytes[*i..].starts_with(b"PK\x05\x06"))
    })?;
    let short = u16::from_le_bytes(bytes.get(at + 10..at + 12)?.try_into().ok()?);
    if short != u16::MAX {
        return Some(usize::from(short));
    }
    // Zip64: the locator before the end record holds the position of the zip64 record.
    let locator = at.checked_sub(20)?;
    let record = u64::from_le_bytes(bytes.get(locator + 8..locator + 16)?.try_into().ok()?) as usize;
    let count = bytes.get(record.checked_add(32)?..record.checked_add(40)?)?;
    usize::try_from(u64::from_le_bytes(count.try_into().ok()?)).ok()
}

fn kind_of(storage: &str) -> Option<Kind> {
    Some(match storage.rsplit('.').next()?.strip_suffix("Storage")? {
        "Float" => Kind::Float,
        "Double" => Kind::Double,
        "Half" => Kind::Half,
        "BFloat16" => Kind::BFloat16,
        "Long" => Kind::Int64,
        "Int" => Kind::Int,
        "Short" => Kind::Int16,
        "Char" => Kind::Int8,
        "Byte" => Kind::Uint8,
        "Bool" => Kind::Bool,
        _ => return None,
    })
}

/// Collects the tensors of a pickle's tree under their dotted names.
struct Walk<'a> {
    tree: &'a Tree,
    /// Number of values that may still be visited: a tree with shared branches can be far larger
    /// than the file.
    budget: usize,
    places: &'a mut BTreeMap<String, Place>,
    modules: &'a mut Vec<String>,
}

impl Walk<'_> {
    fn value(&mut self, id: Id, name: &str, depth: usize) -> Result<(), String> {
        self.budget = self.budget.checked_sub(1 + name.len() / 64).ok_or("its pickle is too tangled to be weights")?;
        if depth > 64 {
            return Err("its pickle is nested too deeply to be weights".into());
        }
        match self.tree.get(id) {
            Value::Dict(items) => items.iter().try_for_each(|(key, value)| {
                let key = match self.tree.get(*key) {
                    Value::Text(text) => text.clone(),
                    Value::Int(i) => i.to_string(),
                    _ => return Ok(()),
                };
                self.value(*value, &join(name, &key), depth + 1)
            }),
            Value::Object { class, arguments, state } => match self.tree.text(*class).unwrap_or_default() {
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                    let inner = self.tree.sequence(*arguments).and_then(|a| a.first().copied());
                    inner.map_or(Ok(()), |inner| self.value(inner, name, depth + 1))
                }
                "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => self.tensor(*arguments, name),
                class => state.map_or(Ok(()), |state| self.module(state, class, name, depth)),
            },
            _ => Ok(()),
        }
    }

    /// A module stores its parameters, buffers and children in dictionaries with these names.
    fn module(&mut self, state: Id, class: &str, name: &str, depth: usize) -> Result<(), String> {
        let parts = ["_parameters", "_buffers", "_modules"].map(|part| self.tree.entry(state, part));
        if parts[0].is_some() {
            self.modules.push(class.to_owned());
        }
        parts.into_iter().flatten().try_for_each(|part| self.value(part, name, depth + 1))
    }

    fn tensor(&mut self, arguments: Id, name: &str) -> Result<(), String> {
        let tree = self.tree;
        let place = || {
            let [storage, offset, shape, strides, ..] = tree.sequence(arguments)? else { return None };
            let Value::Persistent(storage) = tree.get(*storage) else { return None };
            let [_, class, key, ..] = tree.sequence(*storage)? else { return None };
            let ints = |id: Id| tree.sequence(id)?.iter().map(|i| tree.int(*i)).collect::<Option<Vec<_>>>();
            let (shape, strides) = (ints(*shape)?, ints(*strides)?);
            let (storage, kind) = (tree.text(*key)?.to_owned(), kind_of(tree.text(*class)?)?);
            (shape.len() == strides.len()).then_some(Place {
                storage,
                kind,
                offset: tree.int(*offset)?,
                shape,
                strides,
            })
        };
        let place = place().ok_or_else(|| format!("its tensor {name} is of a kind that is not known here"))?;
        if self.places.insert(name.to_owned(), place).is_some() {
            return Err(format!("it holds {name} twice"));
        }
        Ok(())
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
