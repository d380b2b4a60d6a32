//! NumPy's `.npy`: a magic number, a version, and a header that is a Python dictionary of three keys.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The header is read as data, never as
//! Python; whatever is no dictionary of a text, a truth value and numbers is refused.

use safetensors::Dtype;

use super::files::Cursor;
use super::list::{Found, List};
use super::place::{Place, leaves};
use crate::Result;

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The most bytes of a header. NumPy itself writes a few hundred and reads no more than 10,000 without being told to.
const MAX_HEADER: u64 = 64 << 10;

/// NumPy's arrays have at most 64 dimensions.
const MAX_RANK: usize = 64;

/// Reads the array at the cursor, which spans all of it, as tensor `name`.
pub(super) fn read(cursor: &mut Cursor<'_>, name: &str, list: &mut List) -> Result<()> {
    if cursor.array::<6>("the magic number")? != MAGIC {
        return Err(cursor.malformed("it does not begin with \\x93NUMPY"));
    }
    let [major, _] = cursor.array("the version")?;
    let len = match major {
        1 => u64::from(cursor.u16("the header's length")?),
        2 | 3 => u64::from(cursor.u32("the header's length")?),
        other => return Err(cursor.malformed(format!("version {other} of .npy, and 1 to 3 are known"))),
    };
    let text = cursor.bytes("the header", len, MAX_HEADER)?;
    let header = Header::parse(&text).map_err(|what| cursor.malformed(format!("its header: {what}")))?;
    let (swapped, dtype) = match element(&header.descr) {
        Ok(known) => known,
        Err(what) => return list.other(cursor, name, what),
    };
    let strides = header.strides();
    let size = dtype.bitsize() as u64 / 8;
    let place = strides.and_then(|s| Place::strided(cursor.file, cursor.place(), size, &header.shape, &s));
    let Some((place, bytes)) = place else {
        return Err(cursor.malformed(format!("a shape of {} dimensions overflows 64 bits", header.shape.len())));
    };
    if bytes > cursor.left() {
        return Err(cursor.problem(leaves(name, bytes, cursor.left())));
    }
    let place = if swapped { place.swapped(dtype) } else { place };
    list.push(cursor, Found { name: name.to_owned(), dtype, shape: header.shape, place })
}

/// What a `descr` stands for, and whether its bytes are the other way round; or why it is not held.
fn element(descr: &str) -> Result<(bool, Dtype), String> {
    let dtype = match descr.get(1..).unwrap_or("") {
        "b1" => Dtype::BOOL,
        "i1" => Dtype::I8,
        "u1" => Dtype::U8,
        "i2" => Dtype::I16,
        "u2" => Dtype::U16,
        "i4" => Dtype::I32,
        "u4" => Dtype::U32,
        "i8" => Dtype::I64,
        "u8" => Dtype::U64,
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "c8" => Dtype::C64,
        "O" => return Err("NumPy type O, which is pickled Python objects".into()),
        raw @ ("V1" | "V2") => {
            return Err(format!("NumPy type {raw}, raw bytes: what they mean, such as bfloat16, is not in the file"));
        }
        _ => return Err(format!("NumPy type {descr}")),
    };
    match descr.as_bytes()[0] {
        b'<' | b'|' => Ok((false, dtype)),
        b'>' => Ok((dtype.bitsize() > 8, dtype)),
        _ => Err(format!("NumPy type {descr}")),
    }
}

/// The `descr` of an element type, if NumPy has it.
pub(super) fn descr(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::BOOL => "|b1",
        Dtype::I8 => "|i1",
        Dtype::U8 => "|u1",
        Dtype::I16 => "<i2",
        Dtype::U16 => "<u2",
        Dtype::I32 => "<i4",
        Dtype::U32 => "<u4",
        Dtype::I64 => "<i8",
        Dtype::U64 => "<u8",
        Dtype::F16 => "<f2",
        Dtype::F32 => "<f4",
        Dtype::F64 => "<f8",
        Dtype::C64 => "<c8",
        _ => return None,
    })
}

/// What stands in front of the data of an array in row-major order: so many bytes that the data is aligned to 64.
pub(super) fn front(descr: &str, shape: &[u64]) -> Vec<u8> {
    let mut dims: String = shape.iter().map(|dim| format!("{dim}, ")).collect();
    if shape.len() > 1 {
        dims.truncate(dims.len() - 2);
    } else if shape.len() == 1 {
        dims.truncate(dims.len() - 1);
    }
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
    let long = text.len() + 64 > usize::from(u16::MAX);
    let before = if long { 12 } else { 10 };
    let len = (before + text.len() + 1).next_multiple_of(64) - before;
    text.extend(std::iter::repeat_n(' ', len - 1 - text.len()));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    if long {
        bytes.extend([2, 0]);
        bytes.extend((len as u32).to_le_bytes());
    } else {
        bytes.extend([1, 0]);
        bytes.extend((len as u16).to_le_bytes());
    }
    bytes.extend(text.into_bytes());
    bytes
}

#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<u64>,
}

impl Header {
    fn parse(text: &[u8]) -> Result<Header, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
        let mut rest = Literal(text);
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        rest.expect('{')?;
        while !rest.take('}') {
            let key = rest.text()?;
            rest.expect(':')?;
            let twice = match key {
                "descr" if rest.0.trim_start().starts_with('[') => {
                    // A record: of several fields, and no tensor.
                    return Ok(Header { descr: "record".into(), fortran: false, shape: Vec::new() });
                }
                "descr" => descr.replace(rest.text()?.to_owned()).is_some(),
                "fortran_order" => fortran.replace(rest.truth()?).is_some(),
                "shape" => shape.replace(rest.shape()?).is_some(),
                other => return Err(format!("it has a key {other:?}")),
            };
            if twice {
                return Err(format!("it has {key:?} twice"));
            }
            if !rest.take(',') {
                rest.expect('}')?;
                break;
            }
        }
        if !rest.0.trim().is_empty() {
            return Err("there is more behind the dictionary".into());
        }
        match (descr, fortran, shape) {
            (Some(descr), Some(fortran), Some(shape)) => Ok(Header { descr, fortran, shape }),
            _ => Err("it lacks one of 'descr', 'fortran_order' and 'shape'".into()),
        }
    }

    /// In elements; none if they overflow.
    fn strides(&self) -> Option<Vec<u64>> {
        let mut strides = vec![0; self.shape.len()];
        let mut next = 1u64;
        for i in 0..self.shape.len() {
            let axis = if self.fortran { i } else { self.shape.len() - 1 - i };
            strides[axis] = next;
            next = next.checked_mul(self.shape[axis].max(1))?;
        }
        Some(strides)
    }
}

/// What is left of a Python literal.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    fn take(&mut self, sign: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(sign);
        rest.inspect(|rest| self.0 = rest).is_some()
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(format!("{sign:?} is missing")) }
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let rest = self.0.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or("a text is missing")?;
        let (text, rest) = rest[1..].split_once(quote).ok_or("a text does not end")?;
        if text.contains('\\') {
            return Err("a text has a backslash".into());
        }
        self.0 = rest;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool, String> {
        let rest = self.0.trim_start();
        let (truth, rest) = match (rest.strip_prefix("True"), rest.strip_prefix("False")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err("True or False is missing".into()),
        };
        self.0 = rest;
        Ok(truth)
    }

    fn shape(&mut self) -> Result<Vec<u64>, String> {
        self.expect('(')?;
        let mut shape = Vec::new();
        while !self.take(')') {
            let rest = self.0.trim_start();
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            shape.push(rest[..end].parse().map_err(|_| "its shape has something that is no number of 64 bits")?);
            if shape.len() > MAX_RANK {
                return Err(format!("its shape has more than {MAX_RANK} dimensions"));
            }
            self.0 = &rest[end..];
            // What Python 2 wrote behind a long.
            self.take('L');
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(descr: &str, fortran: bool, shape: &[u64]) -> Result<Header, String> {
        Ok(Header { descr: descr.into(), fortran, shape: shape.to_vec() })
    }

    #[test]
    fn headers_are_read_as_data() {
        let parse = |text: &str| Header::parse(text.as_bytes());
        assert_eq!(
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n"),
            header("<f4", false, &[3, 4])
        );
        assert_eq!(parse("{\"shape\":(5L,),'fortran_order':True,'descr':'>i2'}"), header(">i2", true, &[5]));
        assert_eq!(parse("{'descr': '|b1', 'fortran_order': False, 'shape': ()}"), header("|b1", false, &[]));
        for (text, why) in [
            ("", "'{' is missing"),
            ("{'descr': '<f4', 'fortran_order': False}", "lacks one of"),
            ("{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': ()}", "twice"),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "True or False"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "no number"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}", "no number"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os')}", "'(' is missing"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ()} + 1", "more behind"),
            ("{'descr': '<f4", "does not end"),
            ("{'x': 1}", "a key"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn fronts_are_read_again_and_aligned() {
        for shape in [&[][..], &[7], &[3, 5], &[u64::MAX; 64], &[1; 30]] {
            let bytes = front("<f4", shape);
            assert_eq!(bytes.len() % 64, 0);
            let begin = if bytes[6] == 1 { 10 } else { 12 };
            assert_eq!(Header::parse(&bytes[begin..]), header("<f4", false, shape));
        }
    }
}
