//! The state of a pickle's stack machine, and the operations that its instructions consist of.

use super::value::{Id, Span, Tree, Value};
use crate::interchange::error::clip;
use fm_core::budget::Budget;
use std::collections::HashMap;

/// Bytes that a stack entry or an item costs while its vector grows.
const ENTRY: usize = 3 * size_of::<Id>();

/// Bytes that a value costs while the vector of values grows.
const VALUE: usize = 3 * size_of::<Value>();

/// Bytes that an entry of the memo costs.
const MEMO: usize = 32;

/// The machine: its place in the program, and what the program has built.
pub(super) struct Machine<'a, 'b> {
    at: usize,
    pub(super) tree: Tree<'a>,
    stack: Vec<Id>,
    marks: Vec<u32>,
    memo: HashMap<u32, Id>,
    budget: &'b mut Budget,
}

/// Calls of these run programs. No file of weights makes them, so such a file is rejected as a
/// whole; every other call is an object that is recorded and not made.
fn is_harmful(module: &str, name: &str) -> bool {
    const MODULES: [&str; 18] = [
        "os",
        "posix",
        "nt",
        "subprocess",
        "pty",
        "commands",
        "shutil",
        "socket",
        "sys",
        "runpy",
        "importlib",
        "ctypes",
        "webbrowser",
        "code",
        "pdb",
        "timeit",
        "multiprocessing",
        "asyncio",
    ];
    const BUILTINS: [&str; 6] = ["eval", "exec", "execfile", "compile", "open", "__import__"];
    match module {
        "builtins" | "__builtin__" => BUILTINS.contains(&name),
        _ => MODULES.contains(&module.split('.').next().unwrap_or_default()),
    }
}

/// Constructors whose result is a plain dictionary.
fn is_dict(module: &str, name: &str) -> bool {
    matches!((module, name), ("collections", "OrderedDict" | "defaultdict") | ("builtins" | "__builtin__", "dict"))
}

impl<'a, 'b> Machine<'a, 'b> {
    pub(super) fn new(bytes: &'a [u8], budget: &'b mut Budget) -> Self {
        // Value 0 stands for everything that is not used; 1 to 256 are the small numbers. Lists of
        // them then cost an entry per item.
        let values = std::iter::once(Value::Other).chain((0..256).map(Value::Int)).collect();
        let tree = Tree { bytes, values, root: 0 };
        Self { at: 0, tree, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), budget }
    }

    /// The position in the program.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn mark(&mut self) -> Result<(), String> {
        self.budget.take_bytes(ENTRY)?;
        self.marks.push(self.stack.len() as u32);
        Ok(())
    }

    /// The next key of the memo.
    pub(super) fn remembered(&self) -> usize {
        self.memo.len()
    }
}

impl Machine<'_, '_> {
    pub(super) fn take(&mut self, n: usize) -> Result<Span, String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.tree.bytes.len());
        let end = end.ok_or("its pickle ends early: the file is cut short; fetch it again")?;
        let far = |_| "its pickle is larger than 4 GiB; save only the state_dict";
        let span = Span { start: u32::try_from(self.at).map_err(far)?, length: u32::try_from(n).map_err(far)? };
        self.at = end;
        Ok(span)
    }

    /// A little-endian unsigned integer of n bytes.
    pub(super) fn number(&mut self, n: usize) -> Result<usize, String> {
        let start = self.take(n)?.start as usize;
        Ok(self.tree.bytes[start..start + n].iter().rev().fold(0, |sum, b| (sum << 8) | usize::from(*b)))
    }

    pub(super) fn line(&mut self) -> Result<Span, String> {
        let rest = &self.tree.bytes[self.at..];
        let length = rest.iter().position(|b| *b == b'\n').ok_or("its pickle has a line without an end")?;
        let line = self.take(length)?;
        self.at += 1;
        Ok(line)
    }

    pub(super) fn text(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)?;
        let span = self.take(length)?;
        self.push(Value::Text(span))
    }

    /// A text in quotes, as protocol 0 writes it; escapes stay as they are.
    pub(super) fn quoted(&mut self) -> Result<(), String> {
        let line = self.line()?;
        let inner = Span { start: line.start + 1, length: line.length.saturating_sub(2) };
        self.push(Value::Text(if line.length < 2 { line } else { inner }))
    }

    pub(super) fn skip(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)?;
        self.take(length)?;
        self.put(0)
    }

    /// Pushes a new value.
    pub(super) fn push(&mut self, value: Value) -> Result<(), String> {
        self.budget.take_bytes(VALUE)?;
        self.tree.values.push(value);
        self.put((self.tree.values.len() - 1) as Id)
    }

    /// Pushes a value that exists.
    pub(super) fn put(&mut self, id: Id) -> Result<(), String> {
        if self.stack.len() == self.stack.capacity() {
            self.budget.take_bytes((self.stack.len() + 1) * ENTRY)?;
        }
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn int(&mut self, n: i64) -> Result<(), String> {
        if (0..256).contains(&n) { self.put(n as Id + 1) } else { self.push(Value::Int(n)) }
    }

    pub(super) fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(|| "its pickle takes from an empty stack; fetch it again".into())
    }

    pub(super) fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| "its pickle takes from an empty stack; fetch it again".into())
    }

    /// All values above the last mark.
    pub(super) fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().map(|mark| mark as usize).filter(|mark| *mark <= self.stack.len());
        let items = self.stack.split_off(mark.ok_or("its pickle lacks a mark; fetch it again")?);
        self.budget.take_bytes(items.len() * size_of::<Id>())?;
        Ok(items)
    }

    pub(super) fn sequence(&mut self, n: usize) -> Result<(), String> {
        let first = self.stack.len().checked_sub(n).ok_or("its pickle takes from an empty stack; fetch it again")?;
        let items = self.stack.split_off(first);
        self.budget.take_bytes(n * ENTRY)?;
        self.push(Value::Sequence(items))
    }

    pub(super) fn extend(&mut self, items: &[Id]) -> Result<(), String> {
        let onto = self.top()? as usize;
        self.budget.take_bytes(items.len() * ENTRY)?;
        if let Some(Value::Sequence(sequence)) = self.tree.values.get_mut(onto) {
            sequence.extend(items);
        }
        Ok(())
    }

    /// Sets items of a dictionary, or of an object that acts as one.
    pub(super) fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let mut onto = self.top()?;
        self.budget.take_bytes(items.len() * ENTRY)?;
        if let Value::Object { state, .. } = self.tree.get(onto) {
            onto = match *state {
                Some(state) => state,
                None => {
                    self.push(Value::Dict(Vec::new()))?;
                    let (made, object) = (self.pop()?, onto as usize);
                    if let Some(Value::Object { state, .. }) = self.tree.values.get_mut(object) {
                        *state = Some(made);
                    }
                    made
                }
            };
        }
        if let Some(Value::Dict(dict)) = self.tree.values.get_mut(onto as usize) {
            dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    /// A call, or a construction, of the class and arguments on the stack.
    pub(super) fn call(&mut self) -> Result<(), String> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        self.object(class, arguments)
    }

    pub(super) fn object(&mut self, class: Id, arguments: Id) -> Result<(), String> {
        let (module, name) = self.tree.global(class).unwrap_or_default();
        if is_harmful(module, name) {
            return Err(format!(
                "its pickle calls {}, which no file of weights needs (nothing was executed); do not open it in \
                 Python, and get the weights from elsewhere",
                clip(format!("{module}.{name}"), 60)
            ));
        }
        if !is_dict(module, name) {
            return self.push(Value::Object { class, arguments, state: None });
        }
        // Python 2 writes the items of an OrderedDict as an argument: a list of pairs.
        let items = self.tree.sequence(arguments).and_then(|a| self.tree.sequence(*a.first()?)).unwrap_or_default();
        self.budget.take_bytes(items.len() * 2 * ENTRY)?;
        let pair = |id: &Id| match self.tree.sequence(*id)? {
            [key, value] => Some((*key, *value)),
            _ => None,
        };
        let pairs = items.iter().filter_map(pair).collect();
        self.push(Value::Dict(pairs))
    }

    pub(super) fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let onto = self.top()? as usize;
        if let Some(Value::Object { state: slot, .. }) = self.tree.values.get_mut(onto) {
            *slot = Some(state);
        }
        Ok(())
    }

    pub(super) fn remember(&mut self, key: usize) -> Result<(), String> {
        let top = self.top()?;
        let key = u32::try_from(key).map_err(|_| "its pickle remembers too much; save only the state_dict")?;
        if self.memo.insert(key, top).is_none() {
            self.budget.take_bytes(MEMO)?;
        }
        Ok(())
    }

    pub(super) fn recall(&mut self, key: usize) -> Result<(), String> {
        let id = u32::try_from(key).ok().and_then(|key| self.memo.get(&key).copied());
        self.put(id.ok_or("its pickle recalls a value that it did not remember; fetch it again")?)
    }

    /// The number on a line of protocol 0.
    pub(super) fn decimal(&mut self) -> Result<Option<i64>, String> {
        let line = self.line()?;
        let start = line.start as usize;
        let text = std::str::from_utf8(&self.tree.bytes[start..start + line.length as usize]).unwrap_or_default();
        Ok(text.trim_end_matches('L').parse().ok())
    }

    pub(super) fn long(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)?;
        let start = self.take(length)?.start as usize;
        if length > 8 {
            return self.put(0);
        }
        let bytes = &self.tree.bytes[start..start + length];
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let value = bytes.iter().rev().fold(if negative { -1i64 } else { 0 }, |sum, b| (sum << 8) | i64::from(*b));
        self.int(value)
    }
}
