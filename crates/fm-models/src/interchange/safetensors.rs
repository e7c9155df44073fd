//! Reading and writing safetensors, with a network's configuration in the metadata.

use super::contents::{Contents, Entry, Leaf};
use super::error::clip;
use super::storage::{Storage, View};
use fm_core::budget::{self, Budget, limits};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use tch::{Device, Kind, Tensor};

/// The metadata key whose value holds all other metadata, as JSON.
const ABOUT: &str = "flow_matching";

/// The most tensors, and the most dimensions of a tensor.
const TENSORS: usize = limits::WEIGHTS_HEADER.parts.0 as usize;
const DIMENSIONS: usize = 16;

/// Whether a file begins like safetensors: a length, and a JSON object.
pub(super) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.len() >= 8 && bytes[4..8] == [0; 4] && bytes.get(8).is_none_or(|b| *b == b'{')
}

/// Opens a file. The values are borrowed from `bytes`.
///
/// # Errors
/// A header that is damaged, ambiguous, or far larger than weights need.
pub(super) fn open<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<Contents<'a>, String> {
    let damaged = |e: &dyn fmt::Display| format!("it is not valid safetensors ({}); fetch it again", clip(e, 120));
    let length = bytes.first_chunk::<8>().map(|n| u64::from_le_bytes(*n)).unwrap_or(u64::MAX);
    let (length, held) = (usize::try_from(length).unwrap_or(usize::MAX), bytes.len().saturating_sub(8));
    if length > held {
        let problem = format!("it is cut short: its header has {length} bytes, and {held} are there");
        return Err(damaged(&problem));
    }
    Budget::admit(&limits::WEIGHTS_HEADER, length as u64)
        .map_err(|_| format!("its header has {length} bytes, more than weights need; save only the state_dict"))?;
    budget.spend_work(length)?;
    let probe: Probe = serde_json::from_slice(&bytes[8..8 + length]).map_err(|e| damaged(&e))?;
    if let Some(name) = probe.repeated {
        return Err(format!("it holds {} twice; save it again", clip(name, 80)));
    }
    let needed = (8 + length).saturating_add(probe.end);
    if needed != bytes.len() {
        let how = if needed > bytes.len() { "it is cut short" } else { "it has surplus bytes" };
        return Err(damaged(&format!("{how}: it describes {needed} bytes and has {}", bytes.len())));
    }
    budget.take_bytes(length.saturating_mul(3))?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    let mut contents = Contents::default();
    // The order of the values in the file is the one order that a header has.
    let names = header.offset_keys();
    for name in names {
        let Some(info) = header.info(&name) else { continue };
        let (start, end) = info.data_offsets;
        let part = bytes.get(8 + length + start..8 + length + end).unwrap_or_default();
        budget.take_bytes(2 * name.len() + 3 * size_of::<Leaf>() + 3 * size_of::<Storage<'_>>() + 16 * DIMENSIONS)?;
        let value = view(&name, info.dtype, &info.shape).map_or_else(Entry::Opaque, Entry::Tensor);
        contents.storages.by_key.insert(name.clone(), Storage { bytes: part, crc: None, big_endian: false });
        contents.leaves.push(Leaf { name, value });
    }
    let about = header.metadata().as_ref().and_then(|m| m.get(ABOUT));
    contents.about = match about {
        Some(text) => Some(serde_json::from_str(admitted(text)?).map_err(|e| damaged(&e))?),
        None => None,
    };
    Ok(contents)
}

/// The description of a network, if it is within its limits.
pub(super) fn admitted(text: &str) -> Result<&str, String> {
    let budget = Budget::new(&limits::DESCRIPTION, text.len() as u64);
    let counted = budget.and_then(|budget| budget.count(budget::json_values(text.as_bytes())));
    counted.map(|()| text).map_err(|over| format!("its metadata is too long: {over}"))
}

fn view(name: &str, dtype: Dtype, shape: &[usize]) -> Result<View, String> {
    let kind = match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        other => return Err(format!("its values are {other:?}, which libtorch's weights never are; save it as F32")),
    };
    let shape: Vec<i64> = shape.iter().map(|n| i64::try_from(*n).unwrap_or(i64::MAX)).collect();
    let mut strides = vec![1i64; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d].saturating_mul(shape[d].max(1));
    }
    Ok(View { storage: name.into(), kind, offset: 0, shape, strides })
}

/// Checks before the header is read: repeated names, which JSON readers usually accept, sizes that
/// would take far more memory than their text, and the end of the values.
struct Probe {
    repeated: Option<String>,
    end: usize,
}

impl<'de> de::Deserialize<'de> for Probe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Probe;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Probe, A::Error> {
                let (mut seen, mut probe) = (HashSet::new(), Probe { repeated: None, end: 0 });
                while let Some((key, Part { end, entries })) = map.next_entry::<String, Part>()? {
                    if seen.len() >= TENSORS || entries > TENSORS {
                        return Err(de::Error::custom("more tensors than weights have"));
                    }
                    probe.end = probe.end.max(end);
                    if seen.contains(&key) {
                        probe.repeated.get_or_insert(key);
                    } else {
                        seen.insert(key);
                    }
                }
                Ok(probe)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// A tensor's entry, or the metadata.
struct Part {
    end: usize,
    entries: usize,
}

impl<'de> de::Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Part;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
                let mut part = Part { end: 0, entries: 0 };
                while let Some(key) = map.next_key::<String>()? {
                    part.entries += 1;
                    match key.as_str() {
                        "shape" => {
                            map.next_value::<Numbers>()?;
                        }
                        "data_offsets" => part.end = map.next_value::<Numbers>()?.last,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(part)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The last of a few numbers.
struct Numbers {
    last: usize,
}

impl<'de> de::Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Few;
        impl<'de> Visitor<'de> for Few {
            type Value = Numbers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Numbers, A::Error> {
                let (mut numbers, mut count) = (Numbers { last: 0 }, 0);
                while let Some(n) = sequence.next_element::<usize>()? {
                    count += 1;
                    if count > DIMENSIONS {
                        return Err(de::Error::custom("more dimensions than a tensor has"));
                    }
                    numbers.last = n;
                }
                Ok(numbers)
            }
            // The text of a metadata entry with this name.
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Numbers, E> {
                Ok(Numbers { last: 0 })
            }
        }
        deserializer.deserialize_any(Few)
    }
}

/// A safetensors file of f32 tensors, which PyTorch's `load_state_dict` accepts unchanged.
pub(super) fn serialize(tensors: &BTreeMap<String, Tensor>, about: &serde_json::Value) -> Result<Vec<u8>, String> {
    let mut values = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        values.push((name, tensor.size(), little_endian(tensor)?));
    }
    let mut views = Vec::with_capacity(values.len());
    for (name, shape, bytes) in &values {
        let shape = shape.iter().map(|n| *n as usize).collect();
        views.push((*name, TensorView::new(Dtype::F32, shape, bytes).map_err(|e| e.to_string())?));
    }
    let metadata = HashMap::from([(ABOUT.to_owned(), about.to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
}

pub(super) fn little_endian(tensor: &Tensor) -> Result<Vec<u8>, String> {
    let host = tensor.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1]);
    let values = Vec::<f32>::try_from(host).map_err(|e| e.to_string())?;
    Ok(values.iter().flat_map(|v| v.to_le_bytes()).collect())
}
