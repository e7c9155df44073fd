//! One block of bytes for everything that a step needs from the host.
//!
//! A copy from pageable host memory makes the GPU's queue drain, and every copy has a fixed cost.
//! So the worker thread that makes a batch packs its values, of any type, into one block of pinned
//! memory; [`HostBlock::upload`] is one non-blocking copy, and [`Block::get`] returns views of it
//! on the device.
//!
//! ```
//! use fm_train::block::Packer;
//! use tch::{Device, Kind};
//! let mut packer = Packer::default();
//! packer.push("x", &[1f32, 2.0, 3.0, 4.0], &[2, 2]);
//! packer.push("class", &[7i64, 8], &[2]);
//! let block = packer.finish(Device::Cpu)?.upload(Device::Cpu);
//! let x = block.get("x").unwrap();
//! assert_eq!((x.size(), x.kind(), x.double_value(&[1, 0])), (vec![2, 2], Kind::Float, 3.0));
//! assert_eq!(block.get("class").unwrap().int64_value(&[1]), 8);
//! assert!(block.get("noise").is_none());
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use bytemuck::Pod;
use std::collections::BTreeMap;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

/// Alignment of fields in bytes, the same as libtorch's for tensors.
const ALIGNMENT: usize = 64;

/// Position of a field in the block.
#[derive(Debug, Clone)]
struct Field {
    offset: i64,
    bytes: i64,
    kind: Kind,
    shape: Vec<i64>,
}

/// Collects the fields of a block.
#[derive(Debug, Default)]
pub struct Packer {
    bytes: Vec<u8>,
    fields: BTreeMap<&'static str, Field>,
    /// The first field whose number of values does not match its shape.
    misfit: Option<(&'static str, String)>,
}

impl Packer {
    /// Adds values of a shape under a name. If a name is given twice, the last values count. If the
    /// number of values does not match the shape, [`finish`](Self::finish) fails.
    pub fn push<T: Pod + Element>(&mut self, name: &'static str, values: &[T], shape: &[i64]) {
        self.push_as(name, bytemuck::cast_slice(values), T::KIND, shape);
    }

    /// Adds booleans, one byte each.
    pub fn push_bools(&mut self, name: &'static str, values: &[bool], shape: &[i64]) {
        let bytes: Vec<u8> = values.iter().map(|b| u8::from(*b)).collect();
        self.push_as(name, &bytes, Kind::Bool, shape);
    }

    fn push_as(&mut self, name: &'static str, bytes: &[u8], kind: Kind, shape: &[i64]) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        let size = shape.iter().try_fold(kind.elt_size_in_bytes() as i64, |product, n| product.checked_mul(*n));
        if size != Some(bytes.len() as i64) {
            self.misfit.get_or_insert((name, format!("{} bytes of {kind:?} for shape {shape:?}", bytes.len())));
        }
        let field = Field { offset: self.bytes.len() as i64, bytes: bytes.len() as i64, kind, shape: shape.to_vec() };
        self.bytes.extend_from_slice(bytes);
        self.fields.insert(name, field);
    }

    /// Returns the block, in pinned memory if the device is a GPU.
    ///
    /// # Errors
    /// A field whose number of values does not match its shape; pinned memory that cannot be
    /// allocated.
    pub fn finish(self, device: Device) -> Result<HostBlock, TrainError> {
        if let Some((name, found)) = self.misfit {
            return Err(TrainError::setting(name, found, "give as many values as the shape has"));
        }
        let bytes = match device {
            Device::Cuda(_) => fm_torch::memory::pinned(&self.bytes)?,
            _ => Tensor::from_slice(&self.bytes),
        };
        Ok(HostBlock(Block { bytes, fields: self.fields }))
    }
}

/// A block on the host.
#[derive(Debug)]
pub struct HostBlock(Block);

impl HostBlock {
    /// Copies the block to a device: one copy, which the host does not wait for.
    pub fn upload(self, device: Device) -> Block {
        let Block { bytes, fields } = self.0;
        let bytes = if device == Device::Cpu { bytes } else { bytes.to_device_(device, Kind::Uint8, true, false) };
        Block { bytes, fields }
    }
}

/// A block on the device of the network.
#[derive(Debug)]
pub struct Block {
    bytes: Tensor,
    fields: BTreeMap<&'static str, Field>,
}

impl Block {
    /// The values of a field as a view; `None` if the block does not have the field.
    pub fn get(&self, name: &str) -> Option<Tensor> {
        let Field { offset, bytes, kind, shape } = self.fields.get(name)?;
        Some(self.bytes.narrow(0, *offset, *bytes).view_dtype(*kind).view(shape.as_slice()))
    }
}
