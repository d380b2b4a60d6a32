//! What a checkpoint's files say besides their tensors, and files that say it to the byte once more.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::Dtype;

use super::changed;
use super::folder::{self, Lead};
use super::header::{self, MAX_HEADER_BYTES};
use super::index::WeightMap;
use super::metadata;
use super::read::{Checkpoint, Layout};
use super::tensor::TensorInfo;
use crate::{Error, Result};

/// Headers and an index as they once were. Each is used where it describes just the tensors that are written, and left out
/// where it does not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verbatim {
    /// A header for each shard; none for one that is made anew.
    pub headers: Vec<Option<String>>,
    /// The index's text.
    pub index: Option<String>,
}

impl Verbatim {
    /// The first bytes of shard number `number` and the places of its tensors, if the header describes these and no others.
    pub(super) fn lay_out(&self, number: usize, tensors: &[TensorInfo]) -> Option<(Vec<u8>, Vec<TensorInfo>)> {
        let text = self.headers.get(number)?.as_deref()?;
        let header = text.len() as u64;
        let data = tensors.iter().try_fold(0u64, |sum, info| sum.checked_add(info.bytes()))?;
        let len = data.checked_add(8 + header).filter(|_| header <= MAX_HEADER_BYTES)?;
        let parsed = header::parse(text.as_bytes(), len, number).ok()?;
        let by_name: BTreeMap<&str, &TensorInfo> = parsed.iter().map(|info| (info.name.as_str(), info)).collect();
        let place = |info: &TensorInfo| {
            let placed = *by_name.get(info.name.as_str())?;
            (placed.dtype == info.dtype && placed.shape == info.shape).then(|| placed.clone())
        };
        let placed = tensors.iter().map(place).collect::<Option<Vec<_>>>()?;
        let bytes = || [&header.to_le_bytes(), text.as_bytes()].concat();
        (placed.len() == parsed.len()).then(|| (bytes(), placed))
    }

    /// The index's bytes, if it has these tensors in these shards, and no others.
    pub(super) fn index<'a>(&self, tensors: &[TensorInfo], shard: impl Fn(usize) -> &'a str) -> Option<Vec<u8>> {
        let text = self.index.as_deref()?;
        WeightMap::parse(text.as_bytes()).ok()?.check(tensors, shard).ok()?;
        Some(text.as_bytes().to_vec())
    }
}

/// The most dimensions of a shape that is written down.
pub(crate) const MOST_DIMENSIONS: u64 = 64;

impl Checkpoint {
    /// A tensor of this shard is not what it should be.
    pub(crate) fn bad(&self, shard: usize, tensor: &str, problem: String) -> Error {
        let path = self.shards().get(shard).map_or(Path::new(""), |shard| shard.path()).to_owned();
        Error::Data { path, tensor: Some(tensor.to_owned()), problem }
    }

    /// The shape that is written down in tensor number `tensor`.
    ///
    /// # Errors
    /// [`Error::Data`] where there is none, or one whose bits overflow 64 bits; those of reading.
    pub(crate) fn shape_in(&self, tensor: usize) -> Result<Vec<u64>> {
        let info = &self.tensors()[tensor];
        let wrong = |problem: String| self.bad(info.shard, &info.name, problem);
        if info.dtype != Dtype::I64 || info.bytes() > 8 * MOST_DIMENSIONS {
            let (bytes, dtype) = (info.bytes(), info.dtype);
            return Err(wrong(format!(
                "a shape is I64 of at most {MOST_DIMENSIONS} dimensions, this is {bytes} bytes of {dtype}"
            )));
        }
        let mut bytes = vec![0; info.bytes() as usize];
        self.read_at(tensor, 0, &mut bytes)?;
        let dimension = |bytes: &[u8; 8]| {
            let dimension = i64::from_le_bytes(*bytes);
            u64::try_from(dimension).map_err(|_| wrong(format!("a shape has no dimension of {dimension}")))
        };
        let shape = bytes.as_chunks::<8>().0.iter().map(dimension).collect::<Result<Vec<_>>>()?;
        let fits = TensorInfo::new("", Dtype::F64, &*shape);
        fits.map_err(|_| wrong("its dimensions overflow 64 bits".into()))?;
        Ok(shape)
    }

    /// Refuses one of which a shard was written to after it was opened.
    pub(crate) fn unchanged(&self) -> Result<()> {
        changed::check(self)
    }

    /// Whether it is a folder, of several files.
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.0.layout, Layout::Folder { .. })
    }

    /// The header's text of a shard.
    pub(crate) fn header(&self, shard: usize) -> Result<String> {
        self.shards()[shard].header_text()
    }

    /// All of a shard's `__metadata__`.
    pub(crate) fn all_metadata(&self, shard: usize) -> Result<BTreeMap<String, String>> {
        Ok(metadata::entries(&self.header(shard)?))
    }

    /// The file that it is; none where it is a folder.
    pub(crate) fn file(&self) -> Option<&Path> {
        matches!(self.0.layout, Layout::File { .. }).then(|| self.shards()[0].path())
    }

    /// The index's text, if it has one.
    pub(crate) fn index(&self) -> Option<&str> {
        match &self.0.layout {
            Layout::Folder { index: Some(index), .. } => std::str::from_utf8(&index.bytes).ok(),
            _ => None,
        }
    }

    /// The text of another file of the folder that it is, of at most `most` bytes; none where there is no such file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Data`] if it is longer, or no UTF-8.
    pub(crate) fn other_file(&self, name: &str, most: u64) -> Result<Option<String>> {
        let Layout::Folder { real, .. } = &self.0.layout else { return Ok(None) };
        let Lead::File(path) = folder::follow(real, OsStr::new(name))? else { return Ok(None) };
        let (mut bytes, file) = (Vec::new(), File::open(&path).map_err(Error::io("open", &path))?);
        file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        let bad = |problem: String| Error::Data { path: real.join(name), tensor: None, problem };
        if bytes.len() as u64 > most {
            return Err(bad(format!("it is longer than {most} bytes")));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| bad("it is not UTF-8".into()))
    }
}
