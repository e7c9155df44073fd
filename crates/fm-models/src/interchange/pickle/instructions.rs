//! The instructions of the pickle format, protocols 0 to 5.

use super::machine::Machine;
use super::value::{Tree, Value};
use fm_core::budget::Budget;

/// Runs the pickle at the beginning of `bytes`; returns its values and its length.
pub(super) fn run<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<(Tree<'a>, usize), String> {
    let mut machine = Machine::new(bytes, budget);
    while !machine.step()? {}
    let length = machine.position();
    Ok((machine.tree, length))
}

impl Machine<'_, '_> {
    /// Runs one instruction; returns true at the end.
    fn step(&mut self) -> Result<bool, String> {
        let place = self.position();
        let code = self.number(1)? as u8;
        if code == b'.' {
            self.tree.root = self.pop()?;
            return Ok(true);
        }
        if self.scalar(code)? || self.container(code)? || self.reference(code)? {
            return Ok(false);
        }
        Err(format!("its pickle has the unknown instruction {code:#04x} at byte {place}; fetch it again"))
    }

    /// Texts, numbers, and values without content.
    fn scalar(&mut self, code: u8) -> Result<bool, String> {
        match code {
            b'X' | b'T' => self.text(4)?,
            0x8c | b'U' => self.text(1)?,
            0x8d => self.text(8)?,
            b'S' => self.quoted()?,
            b'V' => {
                let line = self.line()?;
                self.push(Value::Text(line))?;
            }
            b'B' => self.skip(4)?,
            b'C' => self.skip(1)?,
            0x8e | 0x96 => self.skip(8)?,
            b'N' | 0x97 => self.put(0)?,
            // False and True are 0 and 1.
            0x88 => self.int(1)?,
            0x89 => self.int(0)?,
            b'G' => {
                self.take(8)?;
                self.put(0)?;
            }
            b'F' => {
                self.line()?;
                self.put(0)?;
            }
            b'K' | b'M' => {
                let n = self.number(if code == b'K' { 1 } else { 2 })?;
                self.int(n as i64)?;
            }
            b'J' => {
                let n = self.number(4)?;
                self.int(i64::from(n as u32 as i32))?;
            }
            b'I' | b'L' => match self.decimal()? {
                Some(n) => self.int(n)?,
                None => self.put(0)?,
            },
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Tuples, lists, dictionaries and sets, and the stack that they are taken from.
    fn container(&mut self, code: u8) -> Result<bool, String> {
        match code {
            b'(' => self.mark()?,
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above_mark()?),
            b'2' => {
                let top = self.top()?;
                self.put(top)?;
            }
            b')' | b']' | 0x8f => self.push(Value::Sequence(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b't' | b'l' | 0x91 => {
                let items = self.above_mark()?;
                self.push(Value::Sequence(items))?;
            }
            b'd' => {
                let items = self.above_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.set_items(&items)?;
            }
            0x85..=0x87 => self.sequence(usize::from(code - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.extend(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set_items(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Classes, objects, the memo, and data outside the pickle.
    fn reference(&mut self, code: u8) -> Result<bool, String> {
        match code {
            // The protocol, a frame, and a mark on a buffer change nothing here.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            0x98 => {}
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global { module, name })?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (&Value::Text(name), &Value::Text(module)) = (self.tree.get(name), self.tree.get(module)) else {
                    return Err("its pickle names an object by something else than text; fetch it again".into());
                };
                self.push(Value::Global { module, name })?;
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                self.pop()?;
                self.call()?;
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let items = self.above_mark()?;
                self.push(Value::Sequence(items))?;
                self.push(Value::Global { module, name })?;
                let (class, arguments) = (self.pop()?, self.pop()?);
                self.object(class, arguments)?;
            }
            b'o' => {
                let mut items = self.above_mark()?;
                let class = if items.is_empty() { 0 } else { items.remove(0) };
                self.push(Value::Sequence(items))?;
                let arguments = self.pop()?;
                self.object(class, arguments)?;
            }
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            // The place of a storage as text, from which PyTorch does not load it either.
            b'P' => {
                return Err(
                    "it is a pickle of protocol 0, which does not keep tensors; save it without pickle_protocol".into(),
                );
            }
            0x82..=0x84 => {
                self.take(1 << (code - 0x82))?;
                self.put(0)?;
            }
            b'q' | b'r' => {
                let key = self.number(if code == b'q' { 1 } else { 4 })?;
                self.remember(key)?;
            }
            b'h' | b'j' => {
                let key = self.number(if code == b'h' { 1 } else { 4 })?;
                self.recall(key)?;
            }
            b'p' | b'g' => {
                let key = self.decimal()?.and_then(|key| usize::try_from(key).ok()).unwrap_or(usize::MAX);
                if code == b'p' { self.remember(key)? } else { self.recall(key)? }
            }
            0x94 => self.remember(self.remembered())?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::budget::limits;

    fn parsed(bytes: &[u8]) -> Result<(Tree<'_>, usize), String> {
        run(bytes, &mut Budget::new(&limits::WEIGHTS, bytes.len() as u64).unwrap())
    }

    #[test]
    fn numbers_are_pythons() {
        // pickle.dumps(v, 2) for each v, and 2^40 of protocol 0.
        for (bytes, want) in [
            (b"\x80\x02K\x07.".as_slice(), Some(7)),
            (b"\x80\x02M\x00\x01.", Some(256)),
            (b"\x80\x02J\xff\xff\xff\xff.", Some(-1)),
            (b"\x80\x02\x8a\x05\x00\x00\x00\x00\x01.", Some(1 << 32)),
            (b"\x80\x02\x8a\x05\x00\x00\x00\x00\xff.", Some(-(1 << 32))),
            (b"\x80\x02G?\xf0\x00\x00\x00\x00\x00\x00.", None),
            (b"L1099511627776L\n.", Some(1 << 40)),
        ] {
            let (tree, length) = parsed(bytes).unwrap();
            assert_eq!((tree.int(tree.root), length), (want, bytes.len()));
        }
        let (tree, length) = parsed(b"\x80\x02X\x02\x00\x00\x00abq\x00.rest").unwrap();
        assert_eq!((tree.text(tree.root), length), (Some("ab"), 12));
    }

    #[test]
    fn a_dictionary_of_python_2_keeps_its_items() {
        let (tree, _) = parsed(b"ccollections\nOrderedDict\n((l(lS'a'\naI7\naatR.").unwrap();
        let value = tree.entry(tree.root, "a").unwrap();
        assert_eq!(tree.int(value), Some(7));
    }

    #[test]
    fn memory_follows_the_size_of_the_program() {
        // Each of these instructions is one byte that keeps something.
        for code in [b'(', b'2', b')', b'}', b'N', 0x8f] {
            let program = [b"\x80\x02N".as_slice(), &vec![code; 8_000_000], b"."].concat();
            let error = run(&program, &mut Budget::new(&limits::WEIGHTS, 1 << 20).unwrap()).unwrap_err();
            assert!(error.contains("more memory than weights of its size"), "{code:#04x}: {error}");
        }
        let memo = [b"\x80\x02N".as_slice(), &vec![0x94; 8_000_000], b"."].concat();
        assert!(
            run(&memo, &mut Budget::new(&limits::WEIGHTS, 1 << 20).unwrap())
                .unwrap_err()
                .contains("more memory than weights of its size")
        );
    }
}
