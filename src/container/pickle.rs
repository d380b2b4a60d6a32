//! A machine for pickles of tensors: it runs no code, knows a handful of globals, and refuses every other by name.
//!
//! Opcodes: `pickletools` of Python 3.14, <https://github.com/python/cpython/blob/main/Lib/pickletools.py>. A pickle is a
//! program for a stack machine; what makes it dangerous is that GLOBAL names any function and REDUCE calls it. Here GLOBAL
//! gives one of `value::GLOBALS` or ends the reading, and REDUCE builds a description of a tensor.
//!
//! Bounds: values lie in one list of at most [`MOST_VALUES`], and what one holds counts like values. Texts are kept once.
//! Nothing recurses.

mod stack;
mod value;

use value::Storage;
pub(super) use value::{Key, Tensor, Value, ValueId};
use value::{called, global};

use super::files::Cursor;
use super::problem::ContainerProblem as Problem;
use crate::{Error, Result};

/// The most bytes of a pickle: one of 100,000 tensors has about 20 MB.
pub(super) const MAX_BYTES: u64 = 64 << 20;
/// The most values and places on the stack, in the memo, and in collections, all together.
const MOST_VALUES: usize = 1 << 22;

/// What is on the stack.
#[derive(Clone, Copy)]
enum Item {
    Mark,
    Value(ValueId),
}

/// What a pickle was found to be.
pub(super) struct Machine<'a, 'b> {
    cursor: &'a mut Cursor<'b>,
    member: &'a str,
    pub values: Vec<Value>,
    stack: Vec<Item>,
    memo: Vec<ValueId>,
    /// Where the opcode at hand is.
    at: u64,
    spent: usize,
}

/// Runs the pickle at the cursor to its end; the value that it stands for, among all that it made.
pub(super) fn run<'a, 'b>(cursor: &'a mut Cursor<'b>, member: &'a str) -> Result<(Vec<Value>, ValueId)> {
    let len = cursor.left();
    if len > MAX_BYTES {
        return Err(cursor.problem(Problem::TooMany {
            what: format!("bytes of {member}"),
            count: len,
            max: MAX_BYTES,
        }));
    }
    let (values, stack, memo) = (Vec::new(), Vec::new(), Vec::new());
    let mut machine = Machine { cursor, member, values, stack, memo, at: 0, spent: 0 };
    loop {
        machine.at = machine.cursor.at();
        let opcode = machine.cursor.u8("an opcode")?;
        if opcode == b'.' {
            let top = machine.pop()?;
            return Ok((machine.values, top));
        }
        machine.step(opcode)?;
    }
}

impl Machine<'_, '_> {
    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // PROTO, FRAME
            0x80 => {
                let version = self.cursor.u8("a version")?;
                if version > 5 {
                    Err(self.wrong(format!("version {version} of pickle, and 0 to 5 are known")))
                } else {
                    Ok(())
                }
            }
            0x95 => self.cursor.skip("a frame's length", 8),
            b'(' => self.put(Item::Mark),
            // None, True, False
            b'N' => self.push(Value::Nothing),
            0x88 | 0x89 => self.push(Value::Plain),
            // BININT, BININT1, BININT2, LONG1
            b'J' => {
                let bytes = self.cursor.array("a number")?;
                self.push(Value::Number(i64::from(i32::from_le_bytes(bytes))))
            }
            b'K' => {
                let number = self.cursor.u8("a number")?;
                self.push(Value::Number(i64::from(number)))
            }
            b'M' => {
                let number = self.cursor.u16("a number")?;
                self.push(Value::Number(i64::from(number)))
            }
            0x8a => self.long(),
            // BINFLOAT
            b'G' => self.cursor.skip("a number", 8).and_then(|()| self.push(Value::Plain)),
            // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
            b'X' => {
                let len = self.cursor.u32("a text's length")?;
                self.text(u64::from(len))
            }
            0x8c => {
                let len = self.cursor.u8("a text's length")?;
                self.text(u64::from(len))
            }
            0x8d => {
                let len = self.cursor.u64("a text's length")?;
                self.text(len)
            }
            // SHORT_BINBYTES, BINBYTES: nothing is made of them.
            b'C' => {
                let len = self.cursor.u8("a length")?;
                self.cursor.skip("bytes", u64::from(len)).and_then(|()| self.push(Value::Plain))
            }
            b'B' => {
                let len = self.cursor.u32("a length")?;
                self.cursor.skip("bytes", u64::from(len)).and_then(|()| self.push(Value::Plain))
            }
            // EMPTY_LIST, EMPTY_DICT, EMPTY_TUPLE
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            // TUPLE1, TUPLE2, TUPLE3, TUPLE
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0..=opcode - 0x85 {
                    items.insert(0, self.pop()?);
                }
                self.push(Value::Tuple(items))
            }
            b't' => {
                let items = self.above_mark()?;
                self.push(Value::Tuple(items))
            }
            // LIST, DICT
            b'l' => {
                let items = self.above_mark()?;
                self.push(Value::List(items))
            }
            b'd' => {
                let items = self.above_mark()?;
                let dict = self.pairs(items)?;
                self.push(Value::Dict(dict))
            }
            // APPEND, APPENDS
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.above_mark()?;
                self.append(items)
            }
            // SETITEM, SETITEMS
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value])
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set(items)
            }
            // POP
            b'0' => self.stack.pop().map(drop).ok_or_else(|| self.wrong("the stack is empty")),
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => {
                let slot = self.cursor.u8("a slot")?;
                self.memoize(slot.into())
            }
            b'r' => {
                let slot = self.cursor.u32("a slot")?;
                self.memoize(slot as usize)
            }
            0x94 => self.memoize(self.memo.len()),
            // BINGET, LONG_BINGET
            b'h' => {
                let slot = self.cursor.u8("a slot")?;
                self.remember(slot.into())
            }
            b'j' => {
                let slot = self.cursor.u32("a slot")?;
                self.remember(slot as usize)
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module], &self.values[name]) {
                    (Value::Text(module), Value::Text(name)) => {
                        let (module, name) = (module.clone(), name.clone());
                        self.global(&module, &name)
                    }
                    _ => Err(self.wrong("a global's name is no text")),
                }
            }
            // BINPERSID
            b'Q' => {
                let id = self.pop()?;
                let storage = Storage::read(&self.values, id).map_err(|what| self.wrong(what))?;
                self.push(Value::Storage(storage))
            }
            // REDUCE
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let value = called(&self.values, function, arguments).map_err(|what| self.wrong(what))?;
                self.spend(value.weight())?;
                self.push(value)
            }
            // BUILD: the attributes of a dictionary, such as a state_dict's `_metadata`.
            b'b' => {
                let (_, object) = (self.pop()?, self.top()?);
                match self.values[object] {
                    Value::Dict(_) => Ok(()),
                    _ => Err(self.opcode(opcode, "only dictionaries may have attributes")),
                }
            }
            other => Err(self.opcode(other, "no checkpoint of tensors needs it")),
        }
    }

    fn wrong(&self, what: impl Into<String>) -> Error {
        self.cursor.problem(Problem::Pickle { member: self.member.into(), at: self.at, what: what.into() })
    }

    fn opcode(&self, opcode: u8, why: &'static str) -> Error {
        let name = match opcode {
            b'i' => "INST",
            b'o' => "OBJ",
            0x81 => "NEWOBJ",
            0x92 => "NEWOBJ_EX",
            b'R' => "REDUCE",
            b'b' => "BUILD",
            b'P' => "PERSID",
            0x82..=0x84 => "EXT",
            0x8f => "EMPTY_SET",
            0x97 => "NEXT_BUFFER",
            _ => "",
        };
        let opcode = format!("{name}{}0x{opcode:02x}", if name.is_empty() { "" } else { " " });
        self.cursor.problem(Problem::Opcode { member: self.member.into(), at: self.at, opcode, why })
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        match global(module, name) {
            Some(known) => self.push(Value::Global(known)),
            None => {
                let (member, at, global) = (self.member.into(), self.at, format!("{module}.{name}"));
                Err(self.cursor.problem(Problem::Global { member, at, global }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::rc::Rc;

    use super::*;
    use crate::container::files::Files;

    /// What a pickle makes, or why it is refused.
    fn made(pickle: &[u8]) -> std::result::Result<Vec<Value>, String> {
        let (mut files, mut file) = (Files::default(), tempfile::tempfile().unwrap());
        file.write_all(pickle).unwrap();
        let number = files.add_temporary(file, Path::new("m.pt")).unwrap();
        let mut cursor = files.cursor(number, 0, pickle.len() as u64);
        run(&mut cursor, "data.pkl").map(|(values, _)| values).map_err(|error| error.to_string())
    }

    /// The persistent id of a storage with this key, in slot 0 of the memo.
    fn storage(key: &[u8]) -> Vec<u8> {
        let mut pickle = b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX".to_vec();
        pickle.extend((key.len() as u32).to_le_bytes());
        pickle.extend(key);
        pickle.extend(b"X\x03\x00\x00\x00cpuK\x10tq\x000");
        pickle
    }

    #[test]
    fn a_long_key_that_is_asked_for_again_and_again_is_kept_once() {
        let mut pickle = storage(&[b'k'; 1 << 16]);
        (0..100_000).for_each(|_| pickle.extend(b"h\x00Q0"));
        pickle.extend(b"}.");
        let values = made(&pickle).unwrap();
        let keys: Vec<&Rc<str>> =
            values.iter().filter_map(|value| if let Value::Storage(s) = value { Some(&s.key) } else { None }).collect();
        assert_eq!(keys.len(), 100_000);
        assert!(keys.iter().all(|key| Rc::ptr_eq(key, keys[0])));
        // So are the keys of a dictionary.
        let mut pickle = b"\x80\x02X\x00\x00\x01\x00".to_vec();
        pickle.extend([b'k'; 1 << 16]);
        pickle.extend(b"q\x00}(h\x00Nh\x00Nu.");
        let values = made(&pickle).unwrap();
        let Some(Value::Dict(entries)) = values.iter().find(|value| matches!(value, Value::Dict(_))) else { panic!() };
        let [(Key::Text(first), _), (Key::Text(second), _)] = &entries[..] else { panic!("{}", entries.len()) };
        assert!(Rc::ptr_eq(first, second));
    }

    #[test]
    fn shapes_are_short_and_each_of_them_counts() {
        let shaped = |rank: usize, again: usize| {
            let dimensions = [&b"("[..], &vec![b'N'; rank], b"t"].concat();
            let dimensions: Vec<u8> =
                dimensions.iter().flat_map(|b| if *b == b'N' { vec![b'K', 1] } else { vec![*b] }).collect();
            let mut pickle = storage(b"0");
            pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\nq\x010(h\x00QK\x00");
            pickle.extend([&dimensions[..], &dimensions, b"tq\x020"].concat());
            (0..again).for_each(|_| pickle.extend(b"h\x01h\x02R0"));
            pickle.extend(b"}.");
            made(&pickle).map(|values| values.iter().filter(|value| matches!(value, Value::Tensor(_))).count())
        };
        assert_eq!(shaped(64, 10), Ok(10));
        assert!(shaped(65, 1).unwrap_err().contains("a tensor of 65 dimensions: at most 64 are read"));
        assert!(shaped(64, 40_000).unwrap_err().contains("values of data.pkl"));
    }
}
