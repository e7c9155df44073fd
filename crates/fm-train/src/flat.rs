//! Parameters in one flat vector.
//!
//! Each parameter of the network is a view into one contiguous f32 vector and each gradient a view into another, so that the
//! optimizer, the gradient norm and the moving average are a handful of kernels over one vector. Under bf16 the network
//! reads views of a second, bf16 copy, refreshed from the f32 master after every update.

use crate::TrainError;
use fm_core::tape::Tape;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor, nn, no_grad};

/// The precision that the network computes in. Master weights, optimizer state and EMA are always f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Brain floats: half the memory, 8 bits of mantissa.
    Bf16,
}

/// One parameter's place in the vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The parameter's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Its first value's index.
    pub offset: i64,
}

impl Slot {
    pub(crate) fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// This parameter's part of a flat vector.
    pub fn view(&self, flat: &Tensor) -> Tensor {
        flat.narrow(0, self.offset, self.len()).view(self.shape.as_slice())
    }
}

/// All trainable parameters of a network.
#[derive(Debug)]
pub struct FlatParams {
    /// Names, shapes and places, in alphabetical order of the names, or of a key and then the names.
    pub slots: Vec<Slot>,
    /// The f32 master weights.
    pub master: Tensor,
    /// Values that are saved with the weights but not trained, by name: fixed positions, a codebook.
    pub buffers: BTreeMap<String, Tensor>,
    variables: Vec<Tensor>,
    /// What the network reads: the master itself, or its bf16 copy.
    compute: Tensor,
    gradient: Tensor,
}

impl FlatParams {
    /// Moves the trainable variables of `store` into flat vectors; the network then reads views of them.
    pub fn new(store: &nn::VarStore, precision: Precision) -> Self {
        Self::sorted(store, precision, |_, _| 0)
    }

    /// The same with parameters of one key, of name and shape, next to each other.
    pub fn sorted<K: Ord>(store: &nn::VarStore, precision: Precision, key: impl Fn(&str, &[i64]) -> K) -> Self {
        let all = store.variables().into_iter();
        let (named, buffers): (BTreeMap<_, _>, BTreeMap<_, _>) = all.partition(|(_, v)| v.requires_grad());
        let mut sorted: Vec<(String, Tensor)> = named.into_iter().collect();
        sorted.sort_by_cached_key(|(name, v)| key(name, &v.size()));
        let (mut slots, mut offset) = (Vec::new(), 0);
        for (name, variable) in &sorted {
            let slot = Slot { name: name.clone(), shape: variable.size(), offset };
            offset += slot.len();
            slots.push(slot);
        }
        let variables: Vec<Tensor> = sorted.into_iter().map(|(_, v)| v).collect();
        let flat: Vec<Tensor> = variables.iter().map(|v| v.detach().reshape([-1])).collect();
        let master =
            if flat.is_empty() { Tensor::zeros([0], (Kind::Float, store.device())) } else { Tensor::cat(&flat, 0) };
        let compute = match precision {
            Precision::F32 => master.shallow_clone(),
            Precision::Bf16 => master.to_kind(Kind::BFloat16),
        };
        let gradient = compute.zeros_like();
        let mut params = Self { slots, master, buffers, variables, compute, gradient };
        params.bind(None);
        params.gather_gradients();
        params
    }

    /// Where the parameters live.
    pub fn device(&self) -> Device {
        self.master.device()
    }

    /// Lets the network read another vector of weights (an average, say) until [`FlatParams::bind`] is called with `None`.
    pub fn bind(&mut self, weights: Option<&Tensor>) {
        let source = weights.map_or_else(|| self.compute.shallow_clone(), |w| w.to_kind(self.compute.kind()));
        for (variable, slot) in self.variables.iter_mut().zip(&self.slots) {
            variable.set_data(&slot.view(&source));
        }
    }

    /// Back-propagates a loss, through what its forward pass left on a tape too, and returns the flat f32 gradient of all parameters.
    pub fn backward(&mut self, loss: &Tensor, tape: Tape<'_>) -> Tensor {
        let _ = self.gradient.zero_();
        loss.backward();
        tape.backward();
        self.gradient.to_kind(Kind::Float)
    }

    /// Makes every parameter's gradient a view into one vector. A loss of zero that touches each parameter brings the gradients
    /// into being, also those that no batch would reach at first.
    fn gather_gradients(&mut self) {
        let touch = self.variables.iter().map(|v| v.sum(Kind::Float) * 0.0).reduce(|a, b| a + b);
        if let Some(zero) = touch {
            zero.backward();
        }
        no_grad(|| {
            for (variable, slot) in self.variables.iter().zip(&self.slots) {
                variable.grad().set_data(&slot.view(&self.gradient));
            }
        });
    }

    /// After a change of the master weights: refreshes what the network reads.
    pub fn refresh(&mut self) {
        if self.compute.kind() != Kind::Float {
            no_grad(|| self.compute.copy_(&self.master));
        }
    }

    /// Splits a flat vector into named tensors on the host.
    pub fn split(&self, flat: &Tensor) -> Vec<(String, Tensor)> {
        let host = flat.to_device(Device::Cpu);
        self.slots.iter().map(|s| (s.name.clone(), s.view(&host))).collect()
    }

    /// Takes over named weights and buffers.
    ///
    /// # Errors
    /// [`TrainError::Weights`] lists everything missing, surplus or of another shape; nothing has changed then.
    pub fn adopt(&mut self, named: BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        let kept: Vec<_> = self.buffers.keys().map(|name| (name.clone(), named.get(name).map(Tensor::copy))).collect();
        let missing: Vec<_> =
            kept.iter().filter(|(_, t)| t.is_none()).map(|(n, _)| format!("{n} is missing")).collect();
        if !missing.is_empty() {
            return Err(TrainError::Weights { problems: missing.join(", ") });
        }
        let weights = self.join(named)?;
        for (name, value) in kept {
            if let (Some(buffer), Some(value)) = (self.buffers.get_mut(&name), value) {
                buffer.copy_(&value);
            }
        }
        self.set_master(&weights);
        Ok(())
    }

    /// Joins named tensors into a flat vector on the device. Buffers may be among them and are left out.
    ///
    /// # Errors
    /// [`TrainError::Weights`] lists everything missing, surplus or of another shape.
    pub fn join(&self, mut named: BTreeMap<String, Tensor>) -> Result<Tensor, TrainError> {
        let (mut parts, mut problems) = (Vec::new(), Vec::new());
        for (name, buffer) in &self.buffers {
            match named.remove(name) {
                Some(t) if t.size() != buffer.size() => {
                    problems.push(format!("{name} is {:?}, not {:?}", t.size(), buffer.size()));
                }
                _ => {}
            }
        }
        for slot in &self.slots {
            match named.remove(&slot.name) {
                Some(t) if t.size() == slot.shape => parts.push(t.to_kind(Kind::Float).reshape([-1])),
                Some(t) => problems.push(format!("{} is {:?}, not {:?}", slot.name, t.size(), slot.shape)),
                None => problems.push(format!("{} is missing", slot.name)),
            }
        }
        problems.extend(named.into_keys().map(|name| format!("{name} is surplus")));
        if problems.is_empty() {
            return Ok(if parts.is_empty() {
                self.master.copy()
            } else {
                Tensor::cat(&parts, 0).to_device(self.device())
            });
        }
        let more = problems.len().saturating_sub(50);
        problems.truncate(50);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(TrainError::Weights { problems: problems.join(", ") + &rest })
    }

    /// Replaces the master weights.
    pub fn set_master(&mut self, weights: &Tensor) {
        no_grad(|| self.master.copy_(weights));
        self.refresh();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::Module;

    fn two_layers() -> (nn::VarStore, nn::Linear, nn::Linear) {
        tch::manual_seed(0);
        let store = nn::VarStore::new(Device::Cpu);
        let a = nn::linear(store.root() / "a", 3, 4, Default::default());
        let b = nn::linear(store.root() / "b", 4, 2, Default::default());
        (store, a, b)
    }

    #[test]
    fn the_network_reads_the_master_and_gradients_arrive_flat() {
        let (store, a, b) = two_layers();
        let x = Tensor::randn([5, 3], (Kind::Float, Device::Cpu));
        let run = || b.forward(&a.forward(&x).tanh());
        let before = run();
        let mut params = FlatParams::new(&store, Precision::F32);
        assert!(run().equal(&before));
        assert_eq!(
            params.slots.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            ["a.bias", "a.weight", "b.bias", "b.weight"]
        );
        for round in 0..3 {
            // The gradient of sum(out) with respect to b.bias is the batch size, whatever was there before.
            let g = params.backward(&run().sum(Kind::Float), Tape::off());
            assert_eq!(Vec::<f32>::try_from(params.slots[2].view(&g).view(-1)).unwrap(), [5.0, 5.0], "round {round}");
        }
        let doubled = &params.master * 2.0;
        params.set_master(&doubled);
        assert!(!run().equal(&before));
        params.bind(Some(&(&doubled / 2.0)));
        assert!(run().allclose(&before, 1e-6, 1e-7, false));
    }

    #[test]
    fn bf16_reads_a_rounded_copy_and_keeps_an_exact_master() {
        let (store, a, _b) = two_layers();
        let mut params = FlatParams::new(&store, Precision::Bf16);
        assert_eq!((a.ws.kind(), params.master.kind()), (Kind::BFloat16, Kind::Float));
        let third = params.master.full_like(1.0 / 3.0);
        params.set_master(&third);
        assert!((a.ws.double_value(&[0, 0]) - 1.0 / 3.0).abs() < 2e-3);
        assert!((params.master.double_value(&[0]) - 1.0 / 3.0).abs() < 1e-7);
        let x = Tensor::ones([2, 3], (Kind::BFloat16, Device::Cpu));
        assert_eq!(params.backward(&a.forward(&x).sum(Kind::Float), Tape::off()).kind(), Kind::Float);
    }

    #[test]
    fn buffers_are_taken_over_with_the_weights_or_missed_by_name() {
        let (store, _, _) = two_layers();
        let table = store.root().zeros_no_train("table", &[2]);
        let mut params = FlatParams::new(&store, Precision::F32);
        let mut named: BTreeMap<_, _> = params.split(&(&params.master * 2.0)).into_iter().collect();
        let copy =
            |named: &BTreeMap<String, Tensor>| named.iter().map(|(k, v)| (k.clone(), v.shallow_clone())).collect();
        let before = params.master.copy();
        let error = params.adopt(copy(&named)).unwrap_err().to_string();
        assert!(error.contains("table is missing") && params.master.equal(&before), "{error}");
        named.insert("table".into(), Tensor::from_slice(&[3f32]));
        assert!(params.adopt(copy(&named)).unwrap_err().to_string().contains("table is [1], not [2]"));
        assert!(params.master.equal(&before) && table.abs().max().double_value(&[]) == 0.0);
        named.insert("table".into(), Tensor::from_slice(&[3f32, 4.0]));
        params.adopt(named).unwrap();
        assert!(params.master.equal(&(before * 2.0)));
        assert_eq!(Vec::<f32>::try_from(&table).unwrap(), [3.0, 4.0]);
    }

    #[test]
    fn split_and_join_are_inverse_and_mismatches_are_listed() {
        let (store, _, _) = two_layers();
        let params = FlatParams::new(&store, Precision::F32);
        let named: BTreeMap<_, _> = params.split(&params.master).into_iter().collect();
        let copy = named.iter().map(|(k, v)| (k.clone(), v.shallow_clone())).collect();
        assert!(params.join(copy).unwrap().equal(&params.master));
        let mut broken = named;
        broken.remove("a.bias");
        broken.insert("c".into(), Tensor::zeros([1], (Kind::Float, Device::Cpu)));
        broken.insert("b.bias".into(), Tensor::zeros([3], (Kind::Float, Device::Cpu)));
        let text = params.join(broken).unwrap_err().to_string();
        for part in ["a.bias is missing", "c is surplus", "b.bias is [3], not [2]"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
