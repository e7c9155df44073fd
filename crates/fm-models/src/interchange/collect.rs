//! Names and views of the tensors in a pickle.
//!
//! Names are those of `state_dict()`, whether the file contains one, a dictionary of several, or a
//! whole pickled module. Branches without tensors or modules are never entered, so the objects
//! beside the weights do not matter. A value that several branches share is looked at once, and
//! then named under each of them.

use super::contents::{Entry, Leaf};
use super::error::clip;
use super::pickle::{Id, Tree, Value};
use super::storage::View;
use fm_core::budget::Budget;
use tch::Kind;

/// Tensors that a file may name, for each one that it holds: a dictionary can occur under several
/// names.
const REPEATS: u64 = 16;

/// Bytes that a tensor costs besides its name.
const LEAF: usize = 3 * size_of::<Leaf>() + 96;

/// The tensors of a pickle, in its order, and the classes of the modules in it.
///
/// # Errors
/// An exhausted budget, and branches that are shared so often that they cannot be weights.
pub(super) fn collect(tree: &Tree<'_>, budget: &mut Budget) -> Result<(Vec<Leaf>, Vec<String>), String> {
    let below = count(tree, budget)?;
    let held = tree.all().filter(|id| counts(tree, *id)).count() as u64;
    if below.get(tree.root as usize).is_some_and(|n| *n > held.saturating_mul(REPEATS)) {
        return Err("its pickle is too tangled to be weights: it repeats its parts; save only the state_dict".into());
    }
    let mut walk = Walk { tree, below, open: vec![false; tree.len()], leaves: Vec::new(), modules: Vec::new() };
    walk.run(budget)?;
    Ok((walk.leaves, walk.modules))
}

/// How a value continues.
enum Branch {
    /// A tensor, or a value that takes a tensor's place.
    Tensor,
    /// The same value without a wrapper around it.
    Inner(Id),
    /// Dictionaries whose entries have the names that they have in a `state_dict`.
    Parts(Vec<Id>),
    End,
}

fn is_tensor(tree: &Tree<'_>, id: Id) -> bool {
    matches!(branch(tree, id), Branch::Tensor)
}

/// Whether an object is a module, whose class may name an activation.
fn is_module(tree: &Tree<'_>, id: Id) -> bool {
    matches!(tree.get(id), Value::Object { state: Some(state), .. } if tree.entry(*state, "_parameters").is_some())
}

/// Whether a value is one that a walk looks for.
fn counts(tree: &Tree<'_>, id: Id) -> bool {
    is_tensor(tree, id) || is_module(tree, id)
}

fn branch(tree: &Tree<'_>, id: Id) -> Branch {
    let (arguments, state) = match tree.get(id) {
        Value::Dict(_) | Value::Sequence(_) => return Branch::Parts(vec![id]),
        Value::Object { arguments, state, .. } => (*arguments, *state),
        _ => return Branch::End,
    };
    let argument = |n: usize| tree.sequence(arguments).and_then(|a| a.get(n).copied());
    match tree.class(id) {
        Some(("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")) => {
            argument(0).map_or(Branch::End, Branch::Inner)
        }
        Some(("torch._utils", name)) if name.starts_with("_rebuild") => Branch::Tensor,
        // A subclass of a tensor: (function, class, arguments of the function, state).
        Some(("torch._tensor", "_rebuild_from_type" | "_rebuild_from_type_v2")) => Branch::Tensor,
        _ => match state {
            Some(state) => {
                let parts = ["_parameters", "_buffers", "_modules"].map(|part| tree.entry(state, part));
                let module = parts[0].is_some();
                Branch::Parts(if module { parts.into_iter().flatten().collect() } else { vec![state] })
            }
            None => Branch::End,
        },
    }
}

/// Calls `visit` for each value below a value, with the key if it has one.
fn children(tree: &Tree<'_>, id: Id, mut visit: impl FnMut(Key, Id)) {
    match branch(tree, id) {
        Branch::Inner(inner) => visit(Key::None, inner),
        Branch::Parts(parts) => {
            for part in parts {
                match tree.get(part) {
                    Value::Dict(items) => items.iter().for_each(|(key, value)| visit(Key::Value(*key), *value)),
                    Value::Sequence(items) => {
                        items.iter().enumerate().for_each(|(i, value)| visit(Key::Index(i), *value));
                    }
                    _ => {}
                }
            }
        }
        Branch::Tensor | Branch::End => {}
    }
}

#[derive(Clone, Copy)]
enum Key {
    None,
    Value(Id),
    Index(usize),
}

/// The number of tensors and modules below each value, counting a shared one as often as it occurs.
/// A branch back to a value that contains it leads to none.
fn count(tree: &Tree<'_>, budget: &mut Budget) -> Result<Vec<u64>, String> {
    const NEW: u64 = u64::MAX;
    budget.take_bytes(tree.len() * 9)?;
    let mut below = vec![NEW; tree.len()];
    let mut stack = vec![(tree.root, false)];
    while let Some((id, entered)) = stack.pop() {
        let at = id as usize;
        if entered {
            let mut sum = u64::from(counts(tree, id));
            let mut links = 0;
            children(tree, id, |_, child| {
                links += 1;
                sum = sum.saturating_add(below.get(child as usize).copied().unwrap_or(0)).min(NEW - 1);
            });
            budget.spend_work(links)?;
            below[at] = sum;
        } else if below.get(at) == Some(&NEW) {
            below[at] = 0;
            stack.push((id, true));
            let first = stack.len();
            children(tree, id, |_, child| {
                if below.get(child as usize) == Some(&NEW) {
                    stack.push((child, false));
                }
            });
            budget.take_bytes((stack.len() - first) * size_of::<(Id, bool)>() * 2)?;
            budget.spend_work(1 + stack.len() - first)?;
        }
    }
    Ok(below)
}

struct Walk<'t, 'a> {
    tree: &'t Tree<'a>,
    below: Vec<u64>,
    /// Values on the path from the root.
    open: Vec<bool>,
    leaves: Vec<Leaf>,
    modules: Vec<String>,
}

enum Visit {
    Enter(Id, String),
    Leave(Id),
}

impl Walk<'_, '_> {
    fn run(&mut self, budget: &mut Budget) -> Result<(), String> {
        let mut stack = vec![Visit::Enter(self.tree.root, String::new())];
        while let Some(visit) = stack.pop() {
            match visit {
                Visit::Leave(id) => self.open[id as usize] = false,
                Visit::Enter(id, name) => self.enter(id, name, &mut stack, budget)?,
            }
        }
        Ok(())
    }

    fn enter(&mut self, id: Id, name: String, stack: &mut Vec<Visit>, budget: &mut Budget) -> Result<(), String> {
        let (tree, at) = (self.tree, id as usize);
        if self.open.get(at).copied().unwrap_or(true) {
            return Ok(());
        }
        if is_tensor(tree, id) {
            let value = view(tree, id).map_or_else(Entry::Opaque, Entry::Tensor);
            let parts = if let Entry::Tensor(view) = &value { 16 * view.shape.len() + view.storage.len() } else { 0 };
            budget.take_bytes(LEAF + parts)?;
            self.leaves.push(Leaf { name, value });
            return Ok(());
        }
        if let Some((module, class)) = tree.class(id).filter(|_| is_module(tree, id)) {
            budget.take_bytes(3 * size_of::<String>() + module.len() + class.len() + 1)?;
            self.modules.push(format!("{module}.{class}"));
        }
        self.open[at] = true;
        stack.push(Visit::Leave(id));
        let (first, mut outcome) = (stack.len(), Ok(()));
        children(tree, id, |key, child| {
            if outcome.is_ok() {
                outcome = self.child(&name, key, child, stack, budget);
            }
        });
        stack[first..].reverse();
        outcome
    }

    fn child(
        &mut self,
        name: &str,
        key: Key,
        child: Id,
        stack: &mut Vec<Visit>,
        budget: &mut Budget,
    ) -> Result<(), String> {
        // Children cost work even if nothing is below them, because a parent can be shared.
        budget.spend_work(1)?;
        let tensors = self.below.get(child as usize).copied().unwrap_or(0) > 0;
        if !tensors && !self.takes_a_place(key, child) {
            return Ok(());
        }
        let Some(label) = self.label(key) else { return Ok(()) };
        let length = name.len() + label.len() + 1;
        budget.spend_work(length)?;
        // The name, and its copies in the sets of weights.
        budget.take_bytes(3 * length + 3 * size_of::<Visit>())?;
        let name = join(name, &label);
        if tensors {
            stack.push(Visit::Enter(child, name));
        } else {
            budget.take_bytes(LEAF)?;
            let class = class_name(self.tree.class(child).unwrap_or_default());
            self.leaves.push(Leaf {
                name,
                value: Entry::Opaque(format!("it is an object of the class {class}; save tensors")),
            });
        }
        Ok(())
    }

    /// Whether an object stands where a parameter should be.
    fn takes_a_place(&self, key: Key, child: Id) -> bool {
        let label = if let Key::Value(key) = key { self.tree.text(key).unwrap_or_default() } else { "" };
        (label.ends_with("weight") || label.ends_with("bias")) && self.tree.class(child).is_some()
    }

    /// The part of the name that a key adds; `None` for a key that is neither text nor number.
    fn label(&self, key: Key) -> Option<String> {
        match key {
            Key::None => Some(String::new()),
            Key::Index(i) => Some(i.to_string()),
            Key::Value(id) => match self.tree.text(id) {
                Some(text) => Some(text.to_owned()),
                None => self.tree.int(id).map(|i| i.to_string()),
            },
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) | (name, "") => name.to_owned(),
        // Exactly as long as it is charged for.
        (prefix, name) => [prefix, ".", name].concat(),
    }
}

/// A class for messages.
pub(super) fn class_name((module, name): (&str, &str)) -> String {
    clip(format!("{module}.{name}"), 80)
}

/// The view that a tensor is.
fn view(tree: &Tree<'_>, id: Id) -> Result<View, String> {
    let (Value::Object { arguments, .. }, Some(class)) = (tree.get(id), tree.class(id)) else {
        return Err("it is not a tensor".into());
    };
    let unknown = || match class.1 {
        "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => "it is sparse; save it as tensor.to_dense()".into(),
        "_rebuild_qtensor" => "it is quantized; save it as tensor.dequantize()".into(),
        "_rebuild_meta_tensor_no_storage" => {
            "it is on the meta device, without values; save it after its weights are loaded".into()
        }
        other => format!("it is a tensor of a kind that is not known here ({}); save a plain copy", clip(other, 60)),
    };
    match class.1 {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => plain(tree, *arguments).ok_or_else(|| {
            let storage = storage_class(tree, *arguments).filter(|class| class.starts_with("Complex"));
            storage.map_or_else(unknown, |_| {
                "its values are complex; save real tensors, for example torch.view_as_real(x)".into()
            })
        }),
        "_rebuild_tensor_v3" => Err(match tree.sequence(*arguments).and_then(|a| tree.global(*a.get(6)?)) {
            Some(dtype) => {
                format!("its values are of {}, which is not read here; save them as float32", class_name(dtype))
            }
            None => unknown(),
        }),
        "_rebuild_from_type" | "_rebuild_from_type_v2" => {
            let inner = tree.sequence(*arguments).and_then(|a| Some((tree.global(*a.first()?)?, *a.get(2)?)));
            match inner {
                Some((("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2"), inner)) => {
                    plain(tree, inner).ok_or_else(unknown)
                }
                Some((("torch._utils", "_rebuild_parameter"), inner)) => {
                    let tensor = tree.sequence(inner).and_then(|a| a.first().copied()).ok_or_else(unknown)?;
                    match (tree.get(tensor), tree.class(tensor)) {
                        (Value::Object { arguments, .. }, Some((_, "_rebuild_tensor" | "_rebuild_tensor_v2"))) => {
                            plain(tree, *arguments).ok_or_else(unknown)
                        }
                        _ => Err(unknown()),
                    }
                }
                _ => Err(unknown()),
            }
        }
        _ => Err(unknown()),
    }
}

/// The class of a tensor's storage.
fn storage_class<'t>(tree: &Tree<'t>, arguments: Id) -> Option<&'t str> {
    let Value::Persistent(storage) = tree.get(*tree.sequence(arguments)?.first()?) else { return None };
    Some(tree.global(*tree.sequence(*storage)?.get(1)?)?.1)
}

/// A tensor from (storage, offset, shape, strides, ...).
fn plain(tree: &Tree<'_>, arguments: Id) -> Option<View> {
    let [storage, offset, shape, strides, ..] = tree.sequence(arguments)? else { return None };
    let Value::Persistent(storage) = tree.get(*storage) else { return None };
    let storage = tree.sequence(*storage)?;
    let [_, class, key, ..] = storage else { return None };
    // In old files a storage can be a part of another one: (key, offset, size).
    let part = storage.get(5).and_then(|id| tree.sequence(*id));
    let start = part.map_or(Some(0), |part| tree.int(*part.get(1)?))?;
    let ints = |id: Id| {
        let items = tree.sequence(id).filter(|items| items.len() <= 64)?;
        items.iter().map(|i| tree.int(*i)).collect::<Option<Vec<_>>>()
    };
    let (shape, strides) = (ints(*shape)?, ints(*strides)?);
    let key = match tree.text(*key) {
        Some(text) => text.to_owned(),
        None => tree.int(*key)?.to_string(),
    };
    let kind = kind_of(tree.global(*class)?.1)?;
    let offset = tree.int(*offset)?.checked_add(start)?;
    (shape.len() == strides.len()).then_some(View { storage: key, kind, offset, shape, strides })
}

/// The type of a storage class.
pub(super) fn kind_of(storage: &str) -> Option<Kind> {
    Some(match storage.strip_suffix("Storage")? {
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
