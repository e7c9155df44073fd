//! The pickle format, read as data: a stack machine that builds a tree of values and calls nothing.
//!
//! A pickle is a program. Its instructions that name or call Python objects are recorded as
//! [`Value::Global`] and [`Value::Object`]; calls are rejected unless they are constructors that
//! occur in files of weights. Each instruction creates at most one value, so the tree is no larger
//! than the file.

use std::collections::HashMap;

/// Index of a value in the tree.
pub(crate) type Id = usize;

/// A Python value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A value that is not used: None, a float, bytes.
    Other,
    Bool,
    Int(i64),
    Text(String),
    /// A list, a tuple or a set.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module.name`.
    Global(String),
    /// The result that a call or a construction would have.
    Object {
        class: Id,
        arguments: Id,
        state: Option<Id>,
    },
    /// A reference to data outside the pickle.
    Persistent(Id),
}

/// The values of a pickle; the last one is its result.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    values: Vec<Value>,
    pub(crate) root: Id,
}

impl Tree {
    pub(crate) fn get(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::Other)
    }

    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) | Value::Global(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&self, id: Id) -> Option<i64> {
        if let Value::Int(i) = self.get(id) { Some(*i) } else { None }
    }

    pub(crate) fn sequence(&self, id: Id) -> Option<&[Id]> {
        if let Value::Sequence(items) = self.get(id) { Some(items) } else { None }
    }

    /// The value at a text key of a dictionary.
    pub(crate) fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let Value::Dict(items) = self.get(id) else { return None };
        items.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|(_, v)| *v)
    }
}

/// Allowed calls: constructors of containers and of tensors. They are only recorded, never run; a
/// file with any other call is not a file of weights.
fn is_harmless(global: &str) -> bool {
    const NAMES: [&str; 12] = [
        "__builtin__.set",
        "builtins.set",
        "builtins.frozenset",
        "builtins.dict",
        "builtins.list",
        "builtins.complex",
        "collections.OrderedDict",
        "collections.defaultdict",
        "copyreg._reconstructor",
        "copy_reg._reconstructor",
        "_codecs.encode",
        "pathlib.PosixPath",
    ];
    const MODULES: [&str; 4] = ["torch.", "numpy.core.multiarray.", "numpy._core.multiarray.", "numpy.dtype"];
    NAMES.contains(&global) || MODULES.iter().any(|module| global.starts_with(module))
}

/// Maximum number of values in a tree. A value can be one byte in the file and about 50 bytes here,
/// so the number is bounded too; a network with a thousand tensors has about ten thousand values.
const MOST: usize = 2_000_000;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    tree: Tree,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

/// Reads a pickle of protocol 2 or later.
pub(crate) fn parse(bytes: &[u8]) -> Result<Tree, String> {
    let mut machine =
        Machine { bytes, at: 0, tree: Tree::default(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    while !machine.step()? {}
    Ok(machine.tree)
}

impl Machine<'_> {
    fn take(&mut self, n: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("its pickle ends early: the file is cut short; fetch it again")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A little-endian unsigned integer of n bytes.
    fn number(&mut self, n: usize) -> Result<usize, String> {
        Ok(self.take(n)?.iter().rev().fold(0, |sum, b| (sum << 8) | usize::from(*b)))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| *b == b'\n').ok_or("its pickle has a line without an end")?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.at += 1;
        Ok(line)
    }

    fn text(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "its pickle has a text that is not UTF-8")?;
        let text = text.to_owned();
        self.push(Value::Text(text))
    }

    fn skip(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)?;
        self.take(length)?;
        self.push(Value::Other)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.tree.values.len() >= MOST {
            return Err("its pickle holds more values than weights need; save only the state_dict".into());
        }
        self.tree.values.push(value);
        self.stack.push(self.tree.values.len() - 1);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(|| "its pickle takes from an empty stack".into())
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| "its pickle takes from an empty stack".into())
    }

    /// All values above the last mark.
    fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("its pickle lacks a mark")?))
    }

    fn sequence(&mut self, n: usize) -> Result<(), String> {
        let first = self.stack.len().checked_sub(n).ok_or("its pickle takes from an empty stack")?;
        let items = self.stack.split_off(first);
        self.push(Value::Sequence(items))
    }

    fn extend(&mut self, items: Vec<Id>) -> Result<(), String> {
        let onto = self.top()?;
        if let Some(Value::Sequence(sequence)) = self.tree.values.get_mut(onto) {
            sequence.extend(items);
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let onto = self.top()?;
        if let Some(Value::Dict(dict)) = self.tree.values.get_mut(onto) {
            dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        let name = self.tree.text(class).unwrap_or("something without a name").to_owned();
        if !is_harmless(&name) {
            return Err(format!(
                "its pickle calls {name}, which no file of weights needs (nothing was executed); save only the state_dict"
            ));
        }
        if name.ends_with("Dict") || name.ends_with("dict") {
            return self.push(Value::Dict(Vec::new()));
        }
        self.push(Value::Object { class, arguments, state: None })
    }

    fn construct(&mut self) -> Result<(), String> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        self.push(Value::Object { class, arguments, state: None })
    }

    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let onto = self.top()?;
        if let Some(Value::Object { state: slot, .. }) = self.tree.values.get_mut(onto) {
            *slot = Some(state);
        }
        Ok(())
    }

    fn remember(&mut self, key: usize) -> Result<(), String> {
        let top = self.top()?;
        self.memo.insert(u32::try_from(key).map_err(|_| "its pickle remembers too much")?, top);
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Result<(), String> {
        let id = u32::try_from(key).ok().and_then(|key| self.memo.get(&key).copied());
        self.stack.push(id.ok_or("its pickle recalls what it never remembered")?);
        Ok(())
    }

    /// Runs one instruction; returns true at the end.
    fn step(&mut self) -> Result<bool, String> {
        let place = self.at;
        match self.number(1)? as u8 {
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'.' => {
                self.tree.root = self.pop()?;
                return Ok(true);
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b')' | b']' | 0x8f => self.push(Value::Sequence(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b't' | b'l' | 0x91 => {
                let items = self.above_mark()?;
                self.push(Value::Sequence(items))?;
            }
            0x85 => self.sequence(1)?,
            0x86 => self.sequence(2)?,
            0x87 => self.sequence(3)?,
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set_items(&items)?;
            }
            b'N' => self.push(Value::Other)?,
            0x88 | 0x89 => self.push(Value::Bool)?,
            b'K' => {
                let n = self.number(1)?;
                self.push(Value::Int(n as i64))?;
            }
            b'M' => {
                let n = self.number(2)?;
                self.push(Value::Int(n as i64))?;
            }
            b'J' => {
                let n = self.number(4)?;
                self.push(Value::Int(i64::from(n as u32 as i32)))?;
            }
            0x8a => self.long()?,
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)?;
            }
            b'X' | b'T' => self.text(4)?,
            0x8c | b'U' => self.text(1)?,
            0x8d => self.text(8)?,
            b'B' => self.skip(4)?,
            b'C' => self.skip(1)?,
            0x8e | 0x96 => self.skip(8)?,
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.push(Value::Global(name))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let part = |id| self.tree.text(id).ok_or("its pickle names an object by something else than text");
                let name = format!("{}.{}", part(module)?, part(name)?);
                self.push(Value::Global(name))?;
            }
            b'R' => self.reduce()?,
            0x81 => self.construct()?,
            0x92 => {
                self.pop()?;
                self.construct()?;
            }
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            b'q' => {
                let key = self.number(1)?;
                self.remember(key)?;
            }
            b'r' => {
                let key = self.number(4)?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' => {
                let key = self.number(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.number(4)?;
                self.recall(key)?;
            }
            other => return Err(format!("its pickle has the unknown instruction {other:#04x} at byte {place}")),
        }
        Ok(false)
    }

    fn long(&mut self) -> Result<(), String> {
        let length = self.number(1)?;
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let fits = length <= 8;
        let value = bytes.iter().rev().fold(if negative { -1i64 } else { 0 }, |sum, b| (sum << 8) | i64::from(*b));
        self.push(if fits { Value::Int(value) } else { Value::Other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_pythons() {
        // pickle.dumps(v, 2) for each v
        for (bytes, want) in [
            (b"\x80\x02K\x07.".as_slice(), Value::Int(7)),
            (b"\x80\x02M\x00\x01.", Value::Int(256)),
            (b"\x80\x02J\xff\xff\xff\xff.", Value::Int(-1)),
            (b"\x80\x02\x8a\x05\x00\x00\x00\x00\x01.", Value::Int(1 << 32)),
            (b"\x80\x02\x8a\x05\x00\x00\x00\x00\xff.", Value::Int(-(1 << 32))),
            (b"\x80\x02X\x02\x00\x00\x00abq\x00.", Value::Text("ab".into())),
            (b"\x80\x02G?\xf0\x00\x00\x00\x00\x00\x00.", Value::Other),
        ] {
            let tree = parse(bytes).unwrap();
            assert_eq!(tree.get(tree.root), &want);
        }
    }
}
