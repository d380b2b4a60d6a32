//! The machine's stack, memo and collections, and how much of all that there may be.

use std::rc::Rc;

use super::value::{Key, Value, ValueId};
use super::{Item, MOST_VALUES, Machine};
use crate::Result;
use crate::container::problem::ContainerProblem as Problem;

/// The most bytes of one text: names are shorter.
const MAX_TEXT: u64 = 1 << 16;

impl Machine<'_, '_> {
    /// Counts what is kept.
    pub(super) fn spend(&mut self, count: usize) -> Result<()> {
        self.spent += count;
        if self.spent > MOST_VALUES {
            let (what, count, max) = (format!("values of {}", self.member), self.spent as u64, MOST_VALUES as u64);
            return Err(self.cursor.problem(Problem::TooMany { what, count, max }));
        }
        Ok(())
    }

    pub(super) fn put(&mut self, item: Item) -> Result<()> {
        self.spend(1)?;
        self.stack.push(item);
        Ok(())
    }

    pub(super) fn push(&mut self, value: Value) -> Result<()> {
        self.spend(1)?;
        self.values.push(value);
        self.put(Item::Value(self.values.len() - 1))
    }

    pub(super) fn pop(&mut self) -> Result<ValueId> {
        match self.stack.pop() {
            Some(Item::Value(value)) => Ok(value),
            Some(Item::Mark) => Err(self.wrong("there is a mark where a value is needed")),
            None => Err(self.wrong("the stack is empty")),
        }
    }

    pub(super) fn top(&mut self) -> Result<ValueId> {
        match self.stack.last() {
            Some(Item::Value(value)) => Ok(*value),
            _ => Err(self.wrong("the stack is empty")),
        }
    }

    pub(super) fn above_mark(&mut self) -> Result<Vec<ValueId>> {
        let mark = self.stack.iter().rposition(|item| matches!(item, Item::Mark));
        let mark = mark.ok_or_else(|| self.wrong("there is no mark"))?;
        let values = self.stack.drain(mark..).filter_map(|item| match item {
            Item::Mark => None,
            Item::Value(value) => Some(value),
        });
        Ok(values.collect())
    }

    pub(super) fn append(&mut self, mut items: Vec<ValueId>) -> Result<()> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(held) => held.append(&mut items),
            _ => return Err(self.wrong("something is appended to what is no list")),
        }
        Ok(())
    }

    pub(super) fn set(&mut self, items: Vec<ValueId>) -> Result<()> {
        let mut pairs = self.pairs(items)?;
        let dict = self.top()?;
        match &mut self.values[dict] {
            Value::Dict(held) => held.append(&mut pairs),
            _ => return Err(self.wrong("an entry is set of what is no dictionary")),
        }
        Ok(())
    }

    pub(super) fn pairs(&mut self, items: Vec<ValueId>) -> Result<Vec<(Key, ValueId)>> {
        if items.len() % 2 == 1 {
            return Err(self.wrong("a key has no value"));
        }
        let pair = |pair: &[ValueId]| {
            let key = match &self.values[pair[0]] {
                Value::Text(text) => Key::Text(Rc::clone(text)),
                Value::Number(number) => Key::Number(*number),
                _ => return Err(self.wrong("a key is neither text nor number")),
            };
            Ok((key, pair[1]))
        };
        items.chunks_exact(2).map(pair).collect()
    }

    pub(super) fn memoize(&mut self, slot: usize) -> Result<()> {
        let top = self.top()?;
        if slot < self.memo.len() {
            self.memo[slot] = top;
            return Ok(());
        }
        // Picklers number them without gaps.
        if slot > self.memo.len() {
            return Err(self.wrong(format!("slot {slot} of the memo is used before slot {}", self.memo.len())));
        }
        self.spend(1)?;
        self.memo.push(top);
        Ok(())
    }

    pub(super) fn remember(&mut self, slot: usize) -> Result<()> {
        let value =
            self.memo.get(slot).copied().ok_or_else(|| self.wrong(format!("slot {slot} of the memo is empty")))?;
        self.put(Item::Value(value))
    }

    pub(super) fn long(&mut self) -> Result<()> {
        let len = self.cursor.u8("a number's length")?;
        if len > 8 {
            return Err(self.wrong(format!("a number of {len} bytes")));
        }
        let mut bytes = [0; 8];
        self.cursor.fill("a number", &mut bytes[..usize::from(len)])?;
        let negative = len > 0 && bytes[usize::from(len) - 1] >= 0x80;
        bytes[usize::from(len)..].fill(if negative { 0xff } else { 0 });
        self.push(Value::Number(i64::from_le_bytes(bytes)))
    }

    pub(super) fn text(&mut self, len: u64) -> Result<()> {
        let text = self.cursor.text("a text", len, MAX_TEXT)?;
        self.spend(text.len() / 16)?;
        self.push(Value::Text(text.into()))
    }

    pub(super) fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        loop {
            match self.cursor.u8("a global's name")? {
                b'\n' => break,
                byte if line.len() < 256 => line.push(byte),
                _ => return Err(self.wrong("a global's name of more than 256 bytes")),
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}
