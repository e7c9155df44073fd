//! Reading and writing safetensors, with a network's configuration in the metadata.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use tch::{Device, Kind, Tensor};

/// The metadata key whose value holds all other metadata, as JSON.
const ABOUT: &str = "flow_matching";

/// The header of a file.
pub(super) struct Parsed<'a> {
    tensors: SafeTensors<'a>,
    pub(super) about: Option<serde_json::Value>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, String> {
    let damaged = |e: &dyn fmt::Display| format!("it is not valid safetensors ({e}); fetch it again");
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    if let Some(name) = serde_json::from_slice::<Repeated>(&bytes[8..8 + length]).map_err(|e| damaged(&e))?.0 {
        return Err(format!("it holds {name} twice"));
    }
    let about = header.metadata().as_ref().and_then(|m| m.get(ABOUT));
    let about = about.map(|text| serde_json::from_str(text)).transpose().map_err(|e| damaged(&e))?;
    Ok(Parsed { tensors, about })
}

impl Parsed<'_> {
    pub(super) fn shapes(&self) -> BTreeMap<String, Vec<i64>> {
        let shape = |view: TensorView<'_>| view.shape().iter().map(|n| *n as i64).collect();
        self.tensors.iter().map(|(name, view)| (name.to_owned(), shape(view))).collect()
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Tensor, String> {
        let view = self.tensors.tensor(name).map_err(|e| e.to_string())?;
        let kind = match view.dtype() {
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
            other => return Err(format!("{name} is {other:?}, which libtorch's weights never are")),
        };
        let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
        Ok(Tensor::from_data_size(view.data(), &shape, kind))
    }
}

/// The first key that occurs twice in a JSON object, which JSON readers usually accept.
struct Repeated(Option<String>);

impl<'de> de::Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Repeated;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Repeated, A::Error> {
                let (mut seen, mut repeated) = (HashSet::new(), None);
                while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if !seen.insert(key.clone()) {
                        repeated.get_or_insert(key);
                    }
                }
                Ok(Repeated(repeated))
            }
        }
        deserializer.deserialize_map(Keys)
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
