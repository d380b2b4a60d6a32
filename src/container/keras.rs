//! Keras 3's weights: an HDF5 file, `.weights.h5`, or a `.keras` zip file that has one.
//!
//! The structure of HDF5 is read by the hdf5-reader crate, through positioned reads of at most [`MAX_READ`] bytes that never
//! leave the file. It says where a dataset's elements lie; those are read and written in place. Names of tensors are paths
//! in the file, such as `layers/dense/vars/0`. Kernels are `[…, inputs, outputs]`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hdf5_reader::error::{ByteOrder, Error as H5Error};
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::layout::DataLayout;
use hdf5_reader::storage::{Storage, StorageBuffer};
use hdf5_reader::{Dataset, Datatype, Hdf5File, OpenOptions};
use safetensors::Dtype;

use super::files::Files;
use super::list::{Found, List, MOST_TENSORS};
use super::place::{Place, leaves};
use super::problem::ContainerProblem as Problem;
use crate::Result;

/// How an HDF5 file begins.
pub(super) const MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The member of a `.keras` file that has the weights.
pub(super) const MEMBER: &str = "model.weights.h5";

/// The most bytes of one read of structure, and of one object's description.
const MAX_READ: usize = 4 << 20;
/// Groups in groups, at most.
const MAX_DEPTH: usize = 64;
/// The most bytes of all paths together.
const MOST_NAMES: usize = 64 << 20;
/// The most bytes of structure that are read, over and over ones included.
const MAX_STRUCTURE: u64 = 1 << 30;

/// Reads the HDF5 file in bytes `at..at + len` of file number `file`.
pub(super) fn read(files: &Arc<Files>, file: usize, at: u64, len: u64, list: &mut List) -> Result<()> {
    let refused = |message: String| files.problem(file, Problem::Unreadable { format: "HDF5 structure", message });
    let storage = Part { files: Arc::clone(files), file, at, len, left: MAX_STRUCTURE.into() };
    let options = OpenOptions { max_object_header_bytes: MAX_READ, chunk_cache_bytes: 0, ..OpenOptions::default() };
    let opened = Hdf5File::from_storage_with_options(Arc::new(storage), options).map_err(|e| refused(e.to_string()))?;
    let base = opened.superblock().base_address;
    let mut groups = vec![(opened.root_group().map_err(|e| refused(e.to_string()))?, String::new(), 0)];
    let (mut seen, mut names, mut visited) = (0, 0, HashSet::new());
    while let Some((group, path, depth)) = groups.pop() {
        // A group that is linked from several places is read from the first.
        if !visited.insert(group.address()) {
            continue;
        }
        let (inner, datasets) = group.members().map_err(|e| refused(format!("group /{path}: {e}")))?;
        seen += (inner.len() + datasets.len()) as u64;
        names += inner.iter().map(|group| path.len() + group.name().len()).sum::<usize>();
        names += datasets.iter().map(|dataset| path.len() + dataset.name().len()).sum::<usize>();
        if seen > MOST_TENSORS || depth > MAX_DEPTH || names > MOST_NAMES {
            let what = format!(
                "it has more than {MOST_TENSORS} objects, groups more than {MAX_DEPTH} deep, or too long names"
            );
            return Err(refused(what));
        }
        for dataset in datasets {
            let name = join(&path, dataset.name());
            let place = Where { files, file, start: at.saturating_add(base), end: at + len };
            place.dataset(&opened, &dataset, name, list)?;
        }
        groups.extend(inner.into_iter().rev().map(|group| {
            let path = join(&path, group.name());
            (group, path, depth + 1)
        }));
    }
    Ok(())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// Where addresses are counted from, and where they end.
struct Where<'a> {
    files: &'a Files,
    file: usize,
    start: u64,
    end: u64,
}

impl Where<'_> {
    fn dataset(&self, opened: &Hdf5File, dataset: &Dataset, name: String, list: &mut List) -> Result<()> {
        let refused = |what: String| self.files.problem(self.file, Problem::Tensor { tensor: name.clone(), what });
        let cursor = self.files.cursor(self.file, self.start, self.end);
        let (dtype, swapped) = match element(dataset) {
            Ok(known) => known,
            Err(what) => return list.other(&cursor, &name, what),
        };
        let shape = dataset.shape().to_vec();
        let header = opened.get_or_parse_header(dataset.address()).map_err(|e| refused(e.to_string()))?;
        let layout = header.messages.iter().find_map(|message| match message {
            HdfMessage::DataLayout(message) => Some(&message.layout),
            _ => None,
        });
        let filtered =
            header.messages.iter().any(|m| matches!(m, HdfMessage::FilterPipeline(_) | HdfMessage::ExternalFiles(_)));
        let weights = shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
        let Some(needed) = weights.and_then(|n| n.checked_mul(dtype.bitsize() as u64 / 8)) else {
            return Err(refused(format!("its {} dimensions overflow 64 bits", shape.len())));
        };
        let (address, have) = match layout {
            Some(DataLayout::Contiguous { address, size }) if !filtered => (*address, *size),
            _ if needed == 0 => (0, 0),
            _ => return list.other(&cursor, &name, "HDF5 chunks or filters: only contiguous datasets are read".into()),
        };
        // An address of all ones: no element was ever written.
        if needed > 0 && address == u64::MAX {
            return list.other(&cursor, &name, "an HDF5 dataset that was never written".into());
        }
        let at = self.start.checked_add(if needed == 0 { 0 } else { address });
        let end = at.and_then(|at| at.checked_add(needed)).filter(|end| *end <= self.end);
        let (Some(at), Some(_)) = (at, end) else {
            return Err(self
                .files
                .problem(self.file, leaves(&name, needed, self.end.saturating_sub(at.unwrap_or(self.end)))));
        };
        if have < needed {
            return Err(refused(format!("its shape needs {needed} bytes, its layout gives it {have}")));
        }
        let place = Place::plain(self.file, at);
        let place = if swapped { place.swapped(dtype) } else { place };
        list.push(&cursor, Found { name, dtype, shape, place })
    }
}

/// A dataset's element type, and whether its bytes are the other way round; or why it is not held.
fn element(dataset: &Dataset) -> Result<(Dtype, bool), String> {
    let big = |order: ByteOrder| order == ByteOrder::BigEndian;
    let known = match dataset.dtype() {
        Datatype::FixedPoint { size, signed, byte_order } => {
            let dtype = match (size, signed) {
                (1, true) => Dtype::I8,
                (1, false) => Dtype::U8,
                (2, true) => Dtype::I16,
                (2, false) => Dtype::U16,
                (4, true) => Dtype::I32,
                (4, false) => Dtype::U32,
                (8, true) => Dtype::I64,
                (8, false) => Dtype::U64,
                _ => return Err(format!("an HDF5 integer of {size} bytes")),
            };
            Some((dtype, big(*byte_order)))
        }
        Datatype::FloatingPoint { size, byte_order } => {
            let raw = dataset.raw_datatype().map_err(|e| e.to_string())?;
            // Behind class, flags and size: bit offset, precision, exponent's place and size, mantissa's place and size.
            let dtype = match (size, raw.get(8..16)) {
                (8, Some([0, 0, 64, 0, 52, 11, 0, 52])) => Dtype::F64,
                (4, Some([0, 0, 32, 0, 23, 8, 0, 23])) => Dtype::F32,
                (2, Some([0, 0, 16, 0, 10, 5, 0, 10])) => Dtype::F16,
                (2, Some([0, 0, 16, 0, 7, 8, 0, 7])) => Dtype::BF16,
                _ => return Err(format!("an HDF5 float of {size} bytes that is none of IEEE's")),
            };
            Some((dtype, big(*byte_order)))
        }
        // h5py's booleans.
        Datatype::Enum { base, members } => match &**base {
            Datatype::FixedPoint { size: 1, .. } if members.len() == 2 => Some((Dtype::BOOL, false)),
            _ => None,
        },
        _ => None,
    };
    known.ok_or_else(|| "HDF5 texts, records or references".into())
}

/// A part of a file, as hdf5-reader reads it.
struct Part {
    files: Arc<Files>,
    file: usize,
    at: u64,
    len: u64,
    left: AtomicU64,
}

impl Storage for Part {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_range(&self, offset: u64, len: usize) -> Result<StorageBuffer, H5Error> {
        let needed = len as u64;
        if offset.checked_add(needed).is_none_or(|end| end > self.len) {
            return Err(H5Error::UnexpectedEof { offset, needed, available: self.len.saturating_sub(offset) });
        }
        let refused = |what: &str| H5Error::InvalidData(format!("{what}: it is made to do harm"));
        if len > MAX_READ {
            return Err(refused("one part of its structure is too large"));
        }
        self.left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(needed))
            .map_err(|_| refused("it has too much structure"))?;
        let mut bytes = vec![0; len];
        self.files.read_at(self.file, self.at + offset, &mut bytes).map_err(|e| H5Error::InvalidData(e.to_string()))?;
        Ok(StorageBuffer::from_vec(bytes))
    }
}
