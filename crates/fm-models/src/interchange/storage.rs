//! Tensors as parts of storages, and how they are made.
//!
//! A storage is a run of values of one type in the file; a tensor is a view of it. A storage is
//! borrowed from the file and checked once, however many tensors view it.

use super::error::clip;
use fm_core::budget::Budget;
use std::collections::HashMap;
use tch::{Kind, Tensor};

/// The values of one storage.
#[derive(Debug)]
pub(super) struct Storage<'a> {
    pub(super) bytes: &'a [u8],
    /// The checksum of the bytes, until it has been compared.
    pub(super) crc: Option<u32>,
    pub(super) big_endian: bool,
}

/// The view of a storage that is a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) storage: String,
    pub(super) kind: Kind,
    pub(super) offset: i64,
    pub(super) shape: Vec<i64>,
    pub(super) strides: Vec<i64>,
}

impl View {
    /// The bytes of the tensor's values; `None` for a number that does not exist.
    fn size(&self) -> Option<usize> {
        let size = self.kind.elt_size_in_bytes();
        self.shape.iter().try_fold(size, |n, side| n.checked_mul(usize::try_from(*side).ok()?))
    }

    /// One past the last index in the storage; `None` if there is none.
    fn end(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let reach = |sum: i64, (n, stride): (&i64, &i64)| {
            let steps = n.checked_sub(1)?.checked_mul(*stride)?;
            if *n < 1 || *stride < 0 { None } else { sum.checked_add(steps) }
        };
        let last = self.shape.iter().zip(&self.strides).try_fold(self.offset, reach)?;
        usize::try_from(last.checked_add(1)?).ok().filter(|_| self.offset >= 0)
    }

    fn is_contiguous(&self) -> bool {
        let mut next = 1i64;
        self.shape.iter().zip(&self.strides).rev().all(|(n, stride)| {
            let fits = *n == 1 || *stride == next;
            next = next.saturating_mul(*n);
            fits
        })
    }
}

/// All storages of a file.
#[derive(Debug, Default)]
pub(super) struct Storages<'a> {
    pub(super) by_key: HashMap<String, Storage<'a>>,
    /// Whole storages, for tensors that take every n-th value, or values in another order.
    whole: HashMap<(String, i32), Tensor>,
}

impl Storages<'_> {
    /// The tensor of a view, which owns its memory.
    ///
    /// # Errors
    /// A view outside of its storage, a storage that is missing or damaged, and a total that
    /// exceeds the budget.
    pub(super) fn tensor(&mut self, name: &str, view: &View, budget: &mut Budget) -> Result<Tensor, String> {
        let storage = self.by_key.get_mut(&view.storage).ok_or_else(|| format!("the values of {name} are missing"))?;
        if let Some(crc) = storage.crc.take() {
            budget.spend_work(storage.bytes.len())?;
            if crc32fast::hash(storage.bytes) != crc {
                return Err(format!("the values of {name} are damaged (wrong checksum); fetch it again"));
            }
        }
        let name = &clip(name, 80);
        let shape = || clip(format!("{:?}", view.shape), 60);
        let absurd = || format!("{name} has an absurd shape {}; fetch it again", shape());
        let (bytes, width) = (storage.bytes, view.kind.elt_size_in_bytes());
        let end = view.end().ok_or_else(absurd)?;
        if end.checked_mul(width).is_none_or(|end| end > bytes.len()) {
            return Err(format!("{name} claims values that its file does not hold; fetch it again"));
        }
        let size = view.size().unwrap_or(usize::MAX);
        budget
            .take_bytes(size)
            .map_err(|_| format!("{name} is {}, more than its file can hold; save a plain copy of it", shape()))?;
        let failed = |e: tch::TchError| format!("{name} cannot be made ({})", clip(e, 80));
        if view.shape.contains(&0) {
            return Tensor::f_zeros(&view.shape, (view.kind, tch::Device::Cpu)).map_err(failed);
        }
        if view.is_contiguous() && !storage.big_endian {
            let values = &bytes[(end * width) - size..end * width];
            return Tensor::f_from_data_size(values, &view.shape, view.kind).map_err(failed);
        }
        let key = (view.storage.clone(), view.kind as i32);
        if !self.whole.contains_key(&key) {
            let count = bytes.len() / width;
            budget.take_bytes(count * width)?;
            budget.spend_work(count * width)?;
            let values = &bytes[..count * width];
            let swapped = storage.big_endian.then(|| swap(values, width));
            let values = swapped.as_deref().unwrap_or(values);
            let flat = Tensor::f_from_data_size(values, &[count as i64], view.kind).map_err(failed)?;
            self.whole.insert(key.clone(), flat);
        }
        let flat = self.whole.get(&key).ok_or_else(absurd)?;
        let strided = flat.f_as_strided(&view.shape, &view.strides, view.offset).map_err(failed)?;
        let mut own = Tensor::f_empty(&view.shape, (view.kind, tch::Device::Cpu)).map_err(failed)?;
        own.f_copy_(&strided).map_err(failed)?;
        Ok(own)
    }
}

/// Values in the other byte order.
fn swap(bytes: &[u8], width: usize) -> Vec<u8> {
    let mut swapped = bytes.to_vec();
    swapped.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    swapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::budget::limits;

    fn view(shape: &[i64], strides: &[i64], offset: i64) -> View {
        View { storage: "0".into(), kind: Kind::Float, offset, shape: shape.into(), strides: strides.into() }
    }

    fn read(bytes: &[u8], big_endian: bool, view: &View) -> Result<Vec<f32>, String> {
        let mut storages = Storages::default();
        storages.by_key.insert("0".into(), Storage { bytes, crc: Some(crc32fast::hash(bytes)), big_endian });
        let tensor = storages.tensor("w", view, &mut Budget::new(&limits::WEIGHTS, bytes.len() as u64).unwrap())?;
        assert_eq!(tensor.size(), view.shape);
        Ok(Vec::try_from(tensor.reshape([-1])).unwrap())
    }

    #[test]
    fn views_in_any_order_and_either_byte_order() {
        let little: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let big: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_be_bytes()).collect();
        for (shape, strides, offset, want) in [
            (vec![2, 2], vec![2, 1], 1, vec![1.0, 2.0, 3.0, 4.0]),
            (vec![2, 3], vec![1, 2], 0, vec![0.0, 2.0, 4.0, 1.0, 3.0, 5.0]),
            (vec![2, 2], vec![0, 1], 4, vec![4.0, 5.0, 4.0, 5.0]),
            (vec![1, 3], vec![99, 2], 1, vec![1.0, 3.0, 5.0]),
            (vec![0, 3], vec![3, 1], 0, vec![]),
            (vec![], vec![], 5, vec![5.0]),
        ] {
            let view = view(&shape, &strides, offset);
            assert_eq!(read(&little, false, &view).unwrap(), want);
            assert_eq!(read(&big, true, &view).unwrap(), want);
        }
        for (shape, strides, offset, problem) in [
            (vec![7], vec![1], 0, "does not hold"),
            (vec![2], vec![5], 1, "does not hold"),
            (vec![2], vec![-1], 3, "absurd"),
            (vec![-1], vec![1], 3, "absurd"),
            (vec![2], vec![1], -1, "absurd"),
            (vec![i64::MAX, i64::MAX], vec![1, i64::MAX], 0, "absurd"),
            (vec![1 << 20, 1 << 20], vec![0, 0], 0, "more than its file can hold"),
        ] {
            let error = read(&little, false, &view(&shape, &strides, offset)).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
