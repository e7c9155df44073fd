//! Parameters in one flat vector.
//!
//! Each parameter of the network is a view into one f32 vector, so the optimizer, the gradient norm
//! and the moving average are a few kernels over one vector. Views start at multiples of
//! [`ALIGNMENT`] values, because tensor-core kernels read 16 bytes at a time; the padding between
//! them is zero and stays zero. With bf16 the network reads views of a second, bf16 copy, which is
//! refreshed from the f32 master after every update. Autograd keeps each gradient in its own
//! memory, and one operator moves all of them into a flat f32 vector.

use crate::TrainError;
use fm_core::tape::Tape;
use fm_torch::TorchError;
use fm_torch::gradients::Taker;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor, nn, no_grad};

/// The precision that the network computes in. Master weights, optimizer state and EMA are always
/// f32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[doc(alias = "autocast")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Brain floats: half the memory, 8 bits of mantissa.
    Bf16,
}

/// Each parameter's length is rounded up to a multiple of this number of values: 256 bytes in f32,
/// 128 in bf16.
pub const ALIGNMENT: i64 = 64;

/// Position of one parameter in the flat vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The parameter's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Index of its first value.
    pub offset: i64,
}

impl Slot {
    pub(crate) fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// The first index after this parameter at which another one may start.
    fn end(&self) -> i64 {
        (self.offset + self.len() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
    }

    /// The view of this parameter in a flat vector.
    pub fn view(&self, flat: &Tensor) -> Tensor {
        flat.narrow(0, self.offset, self.len()).view(self.shape.as_slice())
    }
}

/// All trainable parameters of a network.
#[derive(Debug)]
pub struct FlatParams {
    /// Names, shapes and positions, sorted by name, or by a key and then by name.
    pub slots: Vec<Slot>,
    /// The f32 master weights.
    pub master: Tensor,
    /// Values by name that are saved with the weights but not trained: fixed positions, a codebook.
    pub buffers: BTreeMap<String, Tensor>,
    variables: Vec<Tensor>,
    /// The vector that the network reads: the master itself, or its bf16 copy.
    compute: Tensor,
    /// All gradients, f32.
    gradient: Tensor,
    taker: Taker,
}

impl FlatParams {
    /// Moves the trainable variables of `store` into flat vectors; the network then reads views of
    /// them.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn new(store: &nn::VarStore, precision: Precision) -> Result<Self, TrainError> {
        Self::sorted(store, precision, |_, _| 0)
    }

    /// Like [`new`](Self::new), with parameters sorted by a key of name and shape, so that equal
    /// keys are adjacent.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn sorted<K: Ord>(
        store: &nn::VarStore,
        precision: Precision,
        key: impl Fn(&str, &[i64]) -> K,
    ) -> Result<Self, TrainError> {
        let all = store.variables().into_iter();
        let (named, buffers): (BTreeMap<_, _>, BTreeMap<_, _>) = all.partition(|(_, v)| v.requires_grad());
        let mut sorted: Vec<(String, Tensor)> = named.into_iter().collect();
        sorted.sort_by_cached_key(|(name, v)| key(name, &v.size()));
        let (mut slots, mut length) = (Vec::new(), 0);
        for (name, variable) in &sorted {
            let slot = Slot { name: name.clone(), shape: variable.size(), offset: length };
            length = slot.end();
            slots.push(slot);
        }
        let variables: Vec<Tensor> = sorted.into_iter().map(|(_, v)| v).collect();
        let master = Tensor::zeros([length], (Kind::Float, store.device()));
        no_grad(|| slots.iter().zip(&variables).for_each(|(slot, v)| slot.view(&master).copy_(v)));
        let compute = match precision {
            Precision::F32 => master.shallow_clone(),
            Precision::Bf16 => master.to_kind(Kind::BFloat16),
        };
        let gradient = master.zeros_like();
        let views = slots.iter().map(|slot| slot.view(&gradient)).collect();
        let taker = Taker::new(&variables.iter().collect::<Vec<_>>(), views)?;
        let mut params = Self { slots, master, buffers, variables, compute, gradient, taker };
        params.bind(None);
        Ok(params)
    }

    /// The number of trainable values, without padding.
    pub fn count(&self) -> i64 {
        self.slots.iter().map(Slot::len).sum()
    }

    /// The device of the parameters.
    pub fn device(&self) -> Device {
        self.master.device()
    }

    /// Makes the network read another vector of weights (an average, say) until
    /// [`FlatParams::bind`] is called with `None`.
    ///
    /// # Panics
    /// If `weights` is not a vector of as many values as the master weights.
    pub fn bind(&mut self, weights: Option<&Tensor>) {
        weights.into_iter().for_each(|w| self.demand_flat(w));
        let source = weights.map_or_else(|| self.compute.shallow_clone(), |w| w.to_kind(self.compute.kind()));
        for (variable, slot) in self.variables.iter_mut().zip(&self.slots) {
            variable.set_data(&slot.view(&source));
        }
    }

    /// Backpropagates a loss, including the blocks that its forward pass recorded on a tape, and
    /// returns the flat f32 gradient of all parameters. The next call overwrites the same memory.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn backward(&mut self, loss: &Tensor, tape: Tape<'_>) -> Result<Tensor, TrainError> {
        tape.backward(loss).map_err(|error| TorchError::thrown("backpropagate the loss", &error))?;
        self.take()
    }

    /// Moves the gradients that autograd has collected into the flat gradient, and returns it.
    pub(crate) fn take(&mut self) -> Result<Tensor, TrainError> {
        self.taker.take()?;
        Ok(self.gradient.shallow_clone())
    }

    /// The object that moves gradients into the flat vector, and that vector.
    pub(crate) fn taker(&self) -> (&Taker, &Tensor) {
        (&self.taker, &self.gradient)
    }

    /// Refreshes the vector that the network reads; call it after a change of the master weights.
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

    /// Loads named weights and buffers.
    ///
    /// # Errors
    /// [`TrainError::Weights`] lists all missing, surplus and mis-shaped tensors; nothing is
    /// changed in this case.
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

    /// Joins named tensors into a flat vector on the device. Buffers among them are left out.
    ///
    /// # Errors
    /// [`TrainError::Weights`] lists all missing, surplus and mis-shaped tensors.
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
                Some(t) if t.size() == slot.shape => parts.push((slot, t)),
                Some(t) => problems.push(format!("{} is {:?}, not {:?}", slot.name, t.size(), slot.shape)),
                None => problems.push(format!("{} is missing", slot.name)),
            }
        }
        problems.extend(named.into_keys().map(|name| format!("{name} is surplus")));
        if problems.is_empty() {
            let joined = Tensor::zeros(self.master.size(), (Kind::Float, Device::Cpu));
            no_grad(|| parts.iter().for_each(|(slot, t)| slot.view(&joined).copy_(t)));
            return Ok(joined.to_device(self.device()));
        }
        let more = problems.len().saturating_sub(50);
        problems.truncate(50);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(TrainError::Weights { problems: problems.join(", ") + &rest })
    }

    /// Replaces the master weights.
    ///
    /// # Panics
    /// If `weights` is not a vector of as many values as the master weights.
    pub fn set_master(&mut self, weights: &Tensor) {
        self.demand_flat(weights);
        no_grad(|| self.master.copy_(weights));
        self.refresh();
    }

    /// libtorch would copy a single value to all places.
    fn demand_flat(&self, weights: &Tensor) {
        let (own, given) = (self.master.size(), weights.size());
        assert!(own == given, "the weights have {own:?} values, and {given:?} are given");
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
        let mut params = FlatParams::new(&store, Precision::F32).unwrap();
        assert!(run().equal(&before));
        assert_eq!(
            params.slots.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            ["a.bias", "a.weight", "b.bias", "b.weight"]
        );
        for round in 0..3 {
            // The gradient of sum(out) with respect to b.bias is the batch size, regardless of
            // earlier gradients.
            let g = params.backward(&run().sum(Kind::Float), Tape::off()).unwrap();
            assert_eq!(Vec::<f32>::try_from(params.slots[2].view(&g).view(-1)).unwrap(), [5.0, 5.0], "round {round}");
        }
        let doubled = &params.master * 2.0;
        params.set_master(&doubled);
        assert!(!run().equal(&before));
        params.bind(Some(&(&doubled / 2.0)));
        assert!(run().allclose(&before, 1e-6, 1e-7, false));
    }

    #[test]
    fn parameters_are_aligned_and_the_values_between_stay_zero() {
        for precision in [Precision::F32, Precision::Bf16] {
            let (store, a, b) = two_layers();
            let mut params = FlatParams::new(&store, precision).unwrap();
            let size = if precision == Precision::F32 { 4 } else { 2 };
            // b.bias has two values, a.bias four.
            assert!(params.slots.iter().all(|slot| slot.offset * size % 128 == 0), "{:?}", params.slots);
            assert!(store.variables().values().all(|v| (v.data_ptr() as usize).is_multiple_of(64)));
            assert_eq!((params.count(), params.master.numel()), (26, 256));
            let used = params.master.count_nonzero(None).int64_value(&[]);
            let x = Tensor::ones([5, 3], (a.ws.kind(), Device::Cpu));
            let g = params.backward(&b.forward(&a.forward(&x)).sum(Kind::Float), Tape::off()).unwrap();
            assert!(used <= 26 && g.count_nonzero(None).int64_value(&[]) <= 26);
        }
    }

    #[test]
    fn a_parameter_that_a_loss_does_not_reach_has_a_gradient_of_zero() {
        let (store, a, b) = two_layers();
        let mut params = FlatParams::new(&store, Precision::F32).unwrap();
        let x = Tensor::ones([5, 3], (Kind::Float, Device::Cpu));
        let both = params.backward(&b.forward(&a.forward(&x)).sum(Kind::Float), Tape::off()).unwrap().copy();
        let one = params.backward(&a.forward(&x).sum(Kind::Float), Tape::off()).unwrap();
        let of = |g: &Tensor, k: usize| params.slots[k].view(g).abs().sum(Kind::Float).double_value(&[]);
        assert!(of(&both, 2) == 5.0 * 2.0 && of(&one, 2) == 0.0 && of(&one, 0) == 20.0);
    }

    #[test]
    fn bf16_reads_a_rounded_copy_and_keeps_an_exact_master() {
        let (store, a, _b) = two_layers();
        let mut params = FlatParams::new(&store, Precision::Bf16).unwrap();
        assert_eq!((a.ws.kind(), params.master.kind()), (Kind::BFloat16, Kind::Float));
        let third = params.master.full_like(1.0 / 3.0);
        params.set_master(&third);
        assert!((a.ws.double_value(&[0, 0]) - 1.0 / 3.0).abs() < 2e-3);
        assert!((params.master.double_value(&[0]) - 1.0 / 3.0).abs() < 1e-7);
        let x = Tensor::ones([2, 3], (Kind::BFloat16, Device::Cpu));
        assert_eq!(params.backward(&a.forward(&x).sum(Kind::Float), Tape::off()).unwrap().kind(), Kind::Float);
    }

    #[test]
    fn buffers_are_taken_over_with_the_weights_or_missed_by_name() {
        let (store, _, _) = two_layers();
        let table = store.root().zeros_no_train("table", &[2]);
        let mut params = FlatParams::new(&store, Precision::F32).unwrap();
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
        let params = FlatParams::new(&store, Precision::F32).unwrap();
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
