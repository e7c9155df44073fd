//! The contents of a file of weights, in any format: named tensors, and storages that they view.

use super::storage::{Storages, View};
use fm_core::budget::Budget;

/// A named entry of a file, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    /// Keys from the top of the file to the entry, joined by dots.
    pub(super) name: String,
    pub(super) value: Entry,
}

/// The value of a [`Leaf`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Tensor(View),
    /// A value in the place of a tensor, and why it is not one. It matters only among the weights
    /// that are chosen.
    Opaque(String),
}

impl Leaf {
    pub(super) fn shape(&self) -> Option<&[i64]> {
        if let Entry::Tensor(view) = &self.value { Some(&view.shape) } else { None }
    }

    /// Whether the entry, of this name below a network, stands beside its weights: a single number,
    /// or a list without a module, such as a schedule. Parameters of modules have a dot in their
    /// names.
    pub(super) fn is_beside(&self, name: &str) -> bool {
        let parameter = ["weight", "bias"].iter().any(|end| name.ends_with(end));
        let axes = self.shape().map(<[i64]>::len);
        !parameter && (axes == Some(0) || axes == Some(1) && !name.contains('.'))
    }

    /// Whether the entry counts something: an integer, or a single value with the name of a
    /// counter. Counters stand beside weights and are not weights.
    pub(super) fn is_counter(&self) -> bool {
        const NAMES: [&str; 12] = [
            "n_averaged",
            "num_batches_tracked",
            "num_updates",
            "step",
            "global_step",
            "decay",
            "epoch",
            "initted",
            "ema_decay",
            "optimization_step",
            "iteration",
            "min_decay",
        ];
        let Entry::Tensor(view) = &self.value else { return false };
        let last = self.name.rsplit('.').next().unwrap_or_default();
        let single = view.shape.iter().all(|n| *n == 1);
        let float = matches!(view.kind, tch::Kind::Float | tch::Kind::Double | tch::Kind::Half | tch::Kind::BFloat16);
        let parameter = ["weight", "bias"].iter().any(|end| last.ends_with(end));
        single && NAMES.contains(&last) || !float && !parameter
    }
}

/// The contents of a file, or of the shards of one.
#[derive(Debug, Default)]
pub(super) struct Contents<'a> {
    pub(super) leaves: Vec<Leaf>,
    pub(super) storages: Storages<'a>,
    /// Classes of the modules in the file, if it holds modules.
    pub(super) modules: Vec<String>,
    /// The description that this library wrote, as JSON.
    pub(super) about: Option<serde_json::Value>,
}

impl<'a> Contents<'a> {
    /// Adds the contents of another shard.
    ///
    /// # Errors
    /// An exhausted budget.
    pub(super) fn append(&mut self, shard: usize, other: Contents<'a>, budget: &mut Budget) -> Result<(), String> {
        let key = |key: &str| format!("{shard}/{key}");
        for mut leaf in other.leaves {
            budget.take_bytes(leaf.name.len() + 8)?;
            if let Entry::Tensor(view) = &mut leaf.value {
                view.storage = key(&view.storage);
            }
            self.leaves.push(leaf);
        }
        let storages = other.storages.by_key.into_iter().map(|(k, storage)| (key(&k), storage));
        self.storages.by_key.extend(storages);
        self.modules.extend(other.modules);
        self.about = self.about.take().or(other.about);
        Ok(())
    }
}
