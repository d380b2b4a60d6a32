//! Protocol Buffers' wire format, as far as models use it: fields, one after the other, with their places in the file.
//!
//! Format: <https://protobuf.dev/programming-guides/encoding/>. A decoder that makes messages would hold all weights in memory
//! and not say where they lie; this one skips what it is not asked for.

use super::files::Cursor;
use crate::Result;

/// What a field holds.
pub(super) enum Held {
    Varint(u64),
    /// Bytes, which begin at the cursor.
    Bytes(u64),
    Fixed32,
    Fixed64,
}

/// The next field's number and what it holds. Bytes are left for the caller to read or skip.
pub(super) fn field(cursor: &mut Cursor<'_>) -> Result<(u64, Held)> {
    let key = varint(cursor)?;
    let held = match key & 7 {
        0 => Held::Varint(varint(cursor)?),
        1 => {
            cursor.skip("a field", 8)?;
            Held::Fixed64
        }
        2 => {
            let len = varint(cursor)?;
            if len > cursor.left() {
                cursor.skip("a field", len)?;
            }
            Held::Bytes(len)
        }
        5 => {
            cursor.skip("a field", 4)?;
            Held::Fixed32
        }
        other => return Err(cursor.malformed(format!("a field of wire type {other}"))),
    };
    Ok((key >> 3, held))
}

/// A number of at most 64 bits.
pub(super) fn varint(cursor: &mut Cursor<'_>) -> Result<u64> {
    let mut number = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = cursor.u8("a number")?;
        if shift == 63 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(cursor.malformed("a number of more than 64 bits"))
}

/// Writes messages.
#[derive(Debug, Default)]
pub(super) struct Message(pub Vec<u8>);

impl Message {
    fn raw(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub fn number(&mut self, field: u64, number: u64) -> &mut Self {
        self.raw(field << 3);
        self.raw(number);
        self
    }

    /// The front of a field of so many bytes, which are to follow.
    pub fn front(&mut self, field: u64, len: u64) -> &mut Self {
        self.raw(field << 3 | 2);
        self.raw(len);
        self
    }

    pub fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.front(field, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }
}
