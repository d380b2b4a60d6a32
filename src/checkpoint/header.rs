//! One safetensors header: `u64` length, then JSON that names every tensor, then the data.
//!
//! Guarantees: at most [`MAX_HEADER_BYTES`] are read, and only after that length was compared with the file's. The
//! tensors returned tile the file from the end of the header to its last byte, in order of their offsets (zero-size
//! tensors at one offset in order of their names).

use std::fmt;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::value::{Error as PlainError, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::json::{Keys, Skip, stop};
use super::problem::HeaderProblem as Problem;
use super::tensor::{TensorInfo, duplicate};

/// The format's limit on a header's length.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The length of the header of a file of `len` bytes, from its first 8 bytes.
pub(super) fn header_len(first: [u8; 8], len: u64) -> Result<usize, Problem> {
    let header = u64::from_le_bytes(first);
    if header > MAX_HEADER_BYTES {
        return Err(Problem::TooLong { header, max: MAX_HEADER_BYTES });
    }
    let end = header + 8;
    if end > len { Err(Problem::PastEnd { end, len }) } else { Ok(header as usize) }
}

/// The tensors of a header, in a file of `len` bytes that is shard number `shard`.
pub(super) fn parse(header: &[u8], len: u64, shard: usize) -> Result<Vec<TensorInfo>, Problem> {
    let text = std::str::from_utf8(header).map_err(|e| Problem::NotUtf8 { at: e.valid_up_to() })?;
    if !text.starts_with('{') {
        return Err(Problem::NotAnObject);
    }
    let (mut tensors, mut problem) = (Vec::new(), None);
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed =
        Header { tensors: &mut tensors, problem: &mut problem, shard }.deserialize(&mut json).and_then(|()| json.end());
    if let Err(e) = parsed {
        return Err(problem.unwrap_or_else(|| Problem::Json { message: e.to_string() }));
    }
    if let Some(name) = duplicate(&tensors) {
        return Err(Problem::DuplicateName { name: name.to_owned() });
    }
    tensors.shrink_to_fit();
    let data_start = 8 + header.len() as u64;
    lay_out(&mut tensors, data_start, len - data_start)?;
    Ok(tensors)
}

/// Sorts the tensors by offset, checks that they tile the data and have their shape's size, and makes ranges absolute.
fn lay_out(tensors: &mut [TensorInfo], data_start: u64, data: u64) -> Result<(), Problem> {
    tensors.sort_unstable_by(|a, b| (a.range.start, a.range.end, &a.name).cmp(&(b.range.start, b.range.end, &b.name)));
    let mut previous_end = 0;
    for info in tensors {
        let (begin, end) = (info.range.start, info.range.end);
        let tensor = || info.name.clone();
        if begin > end {
            return Err(Problem::Reversed { tensor: tensor(), begin, end });
        }
        if begin < previous_end {
            return Err(Problem::Overlap { tensor: tensor(), begin, previous_end });
        }
        if begin > previous_end {
            return Err(Problem::Hole { tensor: tensor(), begin, previous_end });
        }
        let needed = info.needed()?;
        if needed != end - begin {
            return Err(Problem::Size { tensor: tensor(), needed, have: end - begin });
        }
        if end > data {
            return Err(Problem::PastData { tensor: tensor(), end, data });
        }
        previous_end = end;
        info.range = data_start + begin..data_start + end;
    }
    if previous_end == data { Ok(()) } else { Err(Problem::Trailing { covered: previous_end, data }) }
}

/// The whole header. Ranges of the tensors it collects are still relative and unchecked.
struct Header<'a> {
    tensors: &'a mut Vec<TensorInfo>,
    problem: &'a mut Option<Problem>,
    shard: usize,
}

impl<'de> DeserializeSeed<'de> for Header<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Header<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that maps tensor names to tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut metadata_seen = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if std::mem::replace(&mut metadata_seen, true) {
                    return stop(self.problem, Problem::DuplicateName { name });
                }
                if let Err(e) = map.next_value_seed(Metadata { problem: self.problem }) {
                    return stop(self.problem, Problem::Metadata { message: e.to_string() });
                }
                continue;
            }
            match map.next_value_seed(Entry { tensor: &name, problem: self.problem }) {
                Ok((dtype, shape, (begin, end))) => {
                    self.tensors.push(TensorInfo { name, dtype, shape, shard: self.shard, range: begin..end });
                }
                Err(e) => return stop(self.problem, Problem::Entry { tensor: name, message: e.to_string() }),
            }
        }
        Ok(())
    }
}

/// One tensor's entry: dtype, shape and the two offsets, unchecked.
struct Entry<'a> {
    tensor: &'a str,
    problem: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = (Dtype, Vec<u64>, (u64, u64));
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = (Dtype, Vec<u64>, (u64, u64));

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `dtype`, `shape` and `data_offsets`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let tensor = || self.tensor.to_owned();
        let (mut keys, mut dtype, mut shape, mut offsets) = (Keys::default(), None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            keys.push(&key);
            match key.as_str() {
                "dtype" => {
                    let name: String = map.next_value()?;
                    match Dtype::deserialize(StrDeserializer::<PlainError>::new(&name)) {
                        Ok(known) => dtype = Some(known),
                        Err(_) => {
                            return stop(self.problem, Problem::UnknownDtype { tensor: tensor(), dtype: name });
                        }
                    }
                }
                "shape" => shape = Some(map.next_value::<Vec<u64>>()?.into_boxed_slice().into_vec()),
                "data_offsets" => offsets = Some(map.next_value()?),
                _ => {
                    map.next_value::<Skip>()?;
                }
            }
        }
        if let Some(key) = keys.duplicate() {
            return stop(self.problem, Problem::DuplicateKey { tensor: tensor(), key });
        }
        match (dtype, shape, offsets) {
            (Some(dtype), Some(shape), Some(offsets)) => Ok((dtype, shape, offsets)),
            (None, ..) => stop(self.problem, Problem::MissingKey { tensor: tensor(), key: "dtype" }),
            (_, None, _) => stop(self.problem, Problem::MissingKey { tensor: tensor(), key: "shape" }),
            _ => stop(self.problem, Problem::MissingKey { tensor: tensor(), key: "data_offsets" }),
        }
    }
}

/// `__metadata__`: strings to strings, or null. Checked and dropped, since the header is copied as it is.
struct Metadata<'a> {
    problem: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that maps strings to strings")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some((key, _)) = map.next_entry::<String, String>()? {
            keys.push(&key);
        }
        match keys.duplicate() {
            Some(name) => stop(self.problem, Problem::DuplicateName { name }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked_before_anything_is_read() {
        assert_eq!(header_len(2u64.to_le_bytes(), 10), Ok(2));
        assert_eq!(header_len(3u64.to_le_bytes(), 10), Err(Problem::PastEnd { end: 11, len: 10 }));
        let too_long = Problem::TooLong { header: u64::MAX, max: MAX_HEADER_BYTES };
        assert_eq!(header_len([0xff; 8], u64::MAX), Err(too_long));
        assert!(header_len(MAX_HEADER_BYTES.to_le_bytes(), u64::MAX).is_ok());
        assert!(header_len((MAX_HEADER_BYTES + 1).to_le_bytes(), u64::MAX).is_err());
    }

    #[test]
    fn tensors_come_in_the_order_of_their_data() {
        let header = br#"{"z":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[],"data_offsets":[2,6]},
            "e":{"dtype":"I8","shape":[0],"data_offsets":[2,2]},"a":{"dtype":"F4","shape":[2,0],"data_offsets":[2,2]}}  "#;
        let start = 8 + header.len() as u64;
        let tensors = parse(header, start + 6, 7).unwrap();
        let seen: Vec<_> = tensors.iter().map(|t| (t.name.as_str(), t.range.start - start, t.shard)).collect();
        assert_eq!(seen, [("z", 0, 7), ("a", 2, 7), ("e", 2, 7), ("b", 2, 7)]);
        assert_eq!(parse(b"{}", 10, 0), Ok(vec![]));
    }
}
