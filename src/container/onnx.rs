//! ONNX: the initializers of a model's graph, in it or in files beside it.
//!
//! Format: `onnx.proto` of <https://github.com/onnx/onnx>; numbers of fields are those. Only what stands between the file and
//! the bytes of a tensor is looked at. Initializers of graphs inside nodes (branches, loops) are left alone.

mod beside;
mod kinds;

use safetensors::Dtype;

use self::beside::{Beside, entry, inside};
pub(in crate::container) use self::kinds::kind;
use self::kinds::{element, kind_name};
use super::files::{Cursor, Files};
use super::list::{Found, List};
use super::place::{Place, leaves};
use super::problem::ContainerProblem as Problem;
use super::wire::{Held, field};
use crate::Result;

/// Numbers of fields.
pub(super) mod number {
    pub const IR_VERSION: u64 = 1;
    pub const PRODUCER: u64 = 2;
    pub const GRAPH: u64 = 7;
    pub const OPSET: u64 = 8;
    pub const OPSET_VERSION: u64 = 2;
    pub const GRAPH_NAME: u64 = 2;
    pub const INITIALIZER: u64 = 5;
    pub const SPARSE: u64 = 15;
    pub const DIMS: u64 = 1;
    pub const TYPE: u64 = 2;
    pub const FLOATS: u64 = 4;
    pub const INTS: u64 = 5;
    pub const LONGS: u64 = 7;
    pub const NAME: u64 = 8;
    pub const RAW: u64 = 9;
    pub const DOUBLES: u64 = 10;
    pub const ULONGS: u64 = 11;
    pub const EXTERNAL: u64 = 13;
    pub const LOCATION: u64 = 14;
}

/// The most bytes of a name or of an entry about external data.
const MAX_TEXT: u64 = 1 << 16;
/// Dimensions: more than any tensor has.
const MAX_RANK: usize = 64;

/// Reads the model that is file number `file`.
pub(super) fn read(files: &mut Files, file: usize, list: &mut List) -> Result<()> {
    let mut described = Vec::new();
    {
        let mut cursor = files.cursor(file, 0, files.len(file));
        let mut graphs = 0;
        while cursor.left() > 0 {
            match field(&mut cursor)? {
                (number::GRAPH, Held::Bytes(len)) => {
                    graphs += 1;
                    let (at, file) = (cursor.place(), cursor.file);
                    graph(files, &mut files.cursor(file, at, at + len), &mut described)?;
                    cursor.skip("a graph", len)?;
                }
                (_, Held::Bytes(len)) => cursor.skip("a field", len)?,
                _ => {}
            }
        }
        if graphs != 1 {
            return Err(cursor.malformed(format!("an ONNX model has one graph, and this has {graphs}")));
        }
    }
    let mut beside = Beside::of(files.path(file));
    described.into_iter().try_for_each(|tensor| tensor.place(files, file, &mut beside, list))
}

/// The cursor ends where the graph does.
fn graph(files: &Files, cursor: &mut Cursor<'_>, described: &mut Vec<Described>) -> Result<()> {
    while cursor.left() > 0 {
        match field(cursor)? {
            (initializer @ (number::INITIALIZER | number::SPARSE), Held::Bytes(len)) => {
                let at = cursor.place();
                if initializer == number::INITIALIZER {
                    described.push(Described::read(&mut files.cursor(cursor.file, at, at + len))?);
                } else {
                    // Copied with a model, but nothing that could be converted.
                    let name = format!("sparse initializer at byte {at}");
                    described.push(Described { name, is_sparse: true, ..Described::default() });
                }
                let (count, max) = (described.len() as u64, super::list::MOST_TENSORS);
                if count > max {
                    return Err(cursor.problem(Problem::TooMany { what: "initializers".into(), count, max }));
                }
                cursor.skip("an initializer", len)?;
            }
            (_, Held::Bytes(len)) => cursor.skip("a field", len)?,
            _ => {}
        }
    }
    Ok(())
}

/// An initializer as the model has it.
#[derive(Default)]
struct Described {
    name: String,
    shape: Vec<u64>,
    kind: u64,
    /// Where bytes lie that are the tensor's as they are.
    raw: Option<(u64, u64)>,
    /// The field of numbers that lie there otherwise.
    numbers: Option<u64>,
    external: Vec<(String, String)>,
    is_external: bool,
    is_sparse: bool,
}

impl Described {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let mut it = Self::default();
        while cursor.left() > 0 {
            match field(cursor)? {
                (number::DIMS, Held::Varint(dim)) => it.dim(cursor, dim)?,
                (number::DIMS, Held::Bytes(len)) => {
                    let end = cursor.place() + len;
                    while cursor.place() < end {
                        let dim = super::wire::varint(cursor)?;
                        it.dim(cursor, dim)?;
                    }
                }
                (number::TYPE, Held::Varint(kind)) => it.kind = kind,
                (number::NAME, Held::Bytes(len)) => it.name = cursor.text("an initializer's name", len, MAX_TEXT)?,
                (number::LOCATION, Held::Varint(location)) => it.is_external = location == 1,
                (number::EXTERNAL, Held::Bytes(len)) => {
                    let bytes = cursor.bytes("an entry about external data", len, MAX_TEXT)?;
                    it.external.push(entry(&bytes).ok_or_else(|| cursor.malformed("an entry about external data"))?);
                    if it.external.len() > 16 {
                        return Err(cursor.malformed("more than 16 entries about external data"));
                    }
                }
                // Floats of 32 and 64 bits lie in their fields as they do in a tensor, if they lie there together.
                (at @ (number::RAW | number::FLOATS | number::DOUBLES), Held::Bytes(len)) => {
                    if it.raw.is_some() {
                        return Err(cursor.malformed("an initializer has its data twice"));
                    }
                    it.raw = Some((cursor.place(), len));
                    if at != number::RAW {
                        it.numbers = Some(at);
                    }
                    cursor.skip("an initializer's data", len)?;
                }
                (at @ (number::INTS | number::LONGS | number::ULONGS | number::FLOATS | number::DOUBLES), held) => {
                    it.numbers = Some(at);
                    it.raw = None;
                    if let Held::Bytes(len) = held {
                        cursor.skip("an initializer's data", len)?;
                    }
                }
                (_, Held::Bytes(len)) => cursor.skip("a field", len)?,
                _ => {}
            }
        }
        Ok(it)
    }

    fn dim(&mut self, cursor: &Cursor<'_>, dim: u64) -> Result<()> {
        if self.shape.len() == MAX_RANK || dim > i64::MAX as u64 {
            return Err(
                cursor.malformed(format!("an initializer has a dimension of {dim}, or more than {MAX_RANK} of them"))
            );
        }
        self.shape.push(dim);
        Ok(())
    }

    fn place(self, files: &mut Files, file: usize, beside: &mut Beside, list: &mut List) -> Result<()> {
        if self.is_sparse {
            return list.other(
                &files.cursor(file, 0, 0),
                &self.name,
                "values and indices of a sparse ONNX tensor".into(),
            );
        }
        let Some(dtype) = element(self.kind) else {
            return list.other(&files.cursor(file, 0, 0), &self.name, format!("ONNX type {}", kind_name(self.kind)));
        };
        let weights = self.shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
        let Some(needed) = weights.and_then(|n| n.checked_mul(dtype.bitsize() as u64 / 8)) else {
            let what = format!("its {} dimensions overflow 64 bits", self.shape.len());
            return Err(files.problem(file, Problem::Tensor { tensor: self.name, what }));
        };
        let (place, have) = if self.is_external {
            let (number, at, len) = self.beside(files, file, beside)?;
            (Place::plain(number, at), len.unwrap_or(needed))
        } else {
            let fits = match self.numbers {
                None => true,
                Some(at) => matches!((at, dtype), (number::FLOATS, Dtype::F32) | (number::DOUBLES, Dtype::F64)),
            };
            match self.raw {
                Some((at, len)) if fits => (Place::plain(file, at), len),
                None if needed == 0 => (Place::plain(file, 0), 0),
                _ => {
                    let what = format!("ONNX type {} as numbers, one by one, not as raw_data", kind_name(self.kind));
                    return list.other(&files.cursor(file, 0, 0), &self.name, what);
                }
            }
        };
        if have != needed {
            return Err(files.problem(file, leaves(&self.name, needed, have)));
        }
        let end = place.at.checked_add(needed).filter(|end| *end <= files.len(place.file));
        if end.is_none() {
            let have = files.len(place.file).saturating_sub(place.at);
            return Err(files.problem(place.file, leaves(&self.name, needed, have)));
        }
        let found = Found { name: self.name, dtype, shape: self.shape, place };
        list.push(&files.cursor(file, 0, 0), found)
    }

    /// The file beside the model in which it is, where it begins there, and its length if that is said.
    fn beside(&self, files: &mut Files, file: usize, beside: &mut Beside) -> Result<(usize, u64, Option<u64>)> {
        let value = |key: &str| self.external.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        let location = value("location").unwrap_or("");
        let refused = |files: &Files, why: String| {
            let (tensor, location) = (self.name.clone(), location.to_owned());
            files.problem(file, Problem::External { tensor, location, why })
        };
        let number = |files: &Files, key: &str| match value(key).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(refused(files, format!("and its {key} is no number of 64 bits"))),
        };
        let (at, len) = (number(files, "offset")?.unwrap_or(0), number(files, "length")?);
        let known = beside.known.iter().find(|(known, _)| known == location).map(|(_, number)| *number);
        let found = match known {
            Some(number) => number,
            None => {
                let path = inside(&beside.folder, location).map_err(|why| refused(files, why))?;
                let number = files.add(&path)?;
                beside.known.push((location.to_owned(), number));
                number
            }
        };
        Ok((found, at, len.or_else(|| Some(files.len(found).saturating_sub(at)))))
    }
}
