//! What kind of file it is, and which tensors it has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::archive::{self, Member};
use super::files::Files;
use super::list::{List, Other};
use super::place::Place;
use super::problem::ContainerProblem as Problem;
use super::{Kind, gguf, keras, npy, onnx, torch};
use crate::checkpoint::{Checkpoint, Sources, TensorInfo};
use crate::{Error, Result};

/// Bytes of all tensors, as a multiple of the files': more is made up by views that share bytes.
const MAX_SHARED: u64 = 64;
const ALWAYS_SHARED: u64 = 64 << 20;

/// A file whose tensors are known, and checked: what they are, and where their bytes lie.
#[derive(Debug)]
pub struct Container {
    pub(super) kind: Kind,
    pub(super) files: Arc<Files>,
    pub(super) list: List,
    /// The file that a copy is made from, and those beside it that belong to it.
    pub(super) main: usize,
    pub(super) beside: Vec<usize>,
    /// Members of a zip file.
    pub(super) members: Vec<Member>,
    checkpoint: Option<Checkpoint>,
}

impl Container {
    /// Opens a file, or a safetensors checkpoint that is a folder or an index. What a file holds decides about its kind, not
    /// its name, but for ONNX and an index, which nothing in them tells.
    ///
    /// # Errors
    /// [`Error::Container`] and [`Error::Io`] if it is of no known format, breaks its format's rules, asks for more than is
    /// bounded, or has what is not read; for safetensors those of [`Checkpoint::open`].
    pub fn open(path: &Path) -> Result<Container> {
        let metadata = fs::metadata(path).map_err(Error::io("open", path))?;
        let named = Kind::of_path(path);
        if metadata.is_dir() || named == Some(Kind::Safetensors) || path.extension().is_some_and(|e| e == "json") {
            return Self::safetensors(path);
        }
        let mut files = Files::default();
        let file = files.add(path)?;
        let mut front = [0; 16];
        let len = files.len(file).min(16) as usize;
        files.read_at(file, 0, &mut front[..len])?;
        let mut it = Found { files, main: file, list: List::default(), members: Vec::new() };
        let kind = match &front[..len] {
            front if front.starts_with(npy::MAGIC) => it.npy(path)?,
            front if front.starts_with(gguf::MAGIC) => it.gguf()?,
            front if front.starts_with(archive::MAGIC) => it.zip()?,
            front if front.starts_with(keras::MAGIC) => return it.keras(path, Kind::KerasWeights, None),
            _ if named == Some(Kind::Onnx) => {
                onnx::read(&mut it.files, file, &mut it.list)?;
                Kind::Onnx
            }
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => return Self::safetensors(path),
            [0x80, ..] => return Err(it.files.problem(file, Problem::LegacyTorch)),
            _ if files_end_early(&it.files, named) => {
                let problem = Problem::PastEnd { what: "its first header".into(), at: 0, end: 16, len: len as u64 };
                return Err(it.files.problem(file, problem));
            }
            _ => return Err(it.files.problem(file, Problem::Unknown)),
        };
        if kind == Kind::KerasModel {
            let member = it.members.iter().find(|member| member.name == keras::MEMBER).cloned();
            return it.keras(path, kind, member);
        }
        it.done(path, kind)
    }

    fn safetensors(path: &Path) -> Result<Container> {
        let checkpoint = Checkpoint::open(path)?;
        let mut files = Files::default();
        for shard in checkpoint.shards() {
            files.add(shard.path())?;
        }
        let tensors = checkpoint.tensors().to_vec();
        let places = tensors.iter().map(|info| Place::plain(info.shard, info.range.start)).collect();
        let list = List { tensors, places, ..List::default() };
        let (kind, files, beside, members) = (Kind::Safetensors, Arc::new(files), Vec::new(), Vec::new());
        Ok(Container { kind, files, list, main: 0, beside, members, checkpoint: Some(checkpoint) })
    }

    /// What kind of file it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its tensors, in the order in which it lists them. Their ranges count from their own beginning, but for safetensors.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.list.tensors
    }

    /// What it has besides, that is a tensor of its format and none that lopper reads.
    pub fn others(&self) -> &[Other] {
        &self.list.others
    }

    /// Where it was read from: its file, then those beside it that belong to it; a checkpoint's shards.
    pub fn paths(&self) -> Vec<&Path> {
        (0..self.files.count()).map(|file| self.files.path(file)).collect()
    }

    /// The length of all its files together.
    pub fn total_bytes(&self) -> u64 {
        (0..self.files.count()).fold(0, |sum, file| sum.saturating_add(self.files.len(file)))
    }

    /// Fills `buf` with bytes of tensor number `tensor` from `offset` on, in row-major and little-endian order: whole elements,
    /// if they do not lie like that in the file. May be called from several threads at once.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read or has become shorter.
    ///
    /// # Panics
    /// If the range leaves the tensor, or there is no such tensor.
    pub fn read_at(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<()> {
        let (info, place) = (&self.list.tensors[tensor], &self.list.places[tensor]);
        let end = offset + buf.len() as u64;
        assert!(end <= info.bytes(), "bytes {offset}..{end} of a tensor of {}", info.bytes());
        place.read(offset..end, buf, |at, buf| self.files.read_at(place.file, at, buf))
    }

    /// Refuses a file that was written to since it was opened.
    ///
    /// # Errors
    /// [`Error::Container`] if it was, [`Error::Io`] if it cannot be looked at.
    pub fn unchanged(&self) -> Result<()> {
        self.files.unchanged()
    }

    /// What its tensors take along into a safetensors file: entries of `__metadata__`, of the first shard that has each.
    /// Those who read torch's models as safetensors refuse files that do not say so.
    pub(super) fn metadata(&self) -> Result<BTreeMap<String, String>> {
        let mut entries = BTreeMap::new();
        if self.kind == Kind::Torch {
            entries.insert("format".to_owned(), "pt".to_owned());
        }
        if let Some(checkpoint) = &self.checkpoint {
            for shard in 0..checkpoint.shards().len() {
                for (key, value) in checkpoint.all_metadata(shard)? {
                    entries.entry(key).or_insert(value);
                }
            }
        }
        Ok(entries)
    }

    /// What may not be replaced by what is made from it.
    pub(super) fn sources(&self) -> Result<Sources> {
        let mut sources = Sources::default();
        match &self.checkpoint {
            Some(checkpoint) => sources.add(checkpoint),
            None => {
                for file in std::iter::once(0).chain(self.beside.iter().copied()) {
                    sources.add_file(self.files.path(file))?;
                }
            }
        }
        Ok(sources)
    }
}

fn files_end_early(files: &Files, named: Option<Kind>) -> bool {
    named.is_some() && files.len(0) < 16
}

/// What was found so far.
struct Found {
    files: Files,
    main: usize,
    list: List,
    members: Vec<Member>,
}

impl Found {
    fn npy(&mut self, path: &Path) -> Result<Kind> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut cursor = self.files.cursor(self.main, 0, u64::MAX);
        npy::read(&mut cursor, &name, &mut self.list)?;
        Ok(Kind::Npy)
    }

    fn gguf(&mut self) -> Result<Kind> {
        gguf::read(&mut self.files.cursor(self.main, 0, u64::MAX), &mut self.list)?;
        Ok(Kind::Gguf)
    }

    /// A zip file of any kind; the weights of a Keras model are left to be read.
    fn zip(&mut self) -> Result<Kind> {
        (self.main, self.members) = archive::open(&mut self.files, self.main)?;
        let any = |is: fn(&str) -> bool| self.members.iter().any(|member| is(&member.name));
        if any(|name| name.ends_with(torch::PICKLE)) {
            torch::read(&self.files, self.main, &self.members, &mut self.list)?;
            return Ok(Kind::Torch);
        }
        if any(|name| name == keras::MEMBER) {
            return Ok(Kind::KerasModel);
        }
        if !any(|name| name.ends_with(".npy")) {
            return Err(self.files.problem(self.main, Problem::Unknown));
        }
        for member in &self.members {
            let mut cursor = self.files.cursor(self.main, member.at, member.end());
            match member.name.strip_suffix(".npy") {
                Some(name) => npy::read(&mut cursor, name, &mut self.list)?,
                None => self.list.other(&cursor, &member.name, "no NumPy array".into())?,
            }
        }
        Ok(Kind::Npz)
    }

    fn keras(self, path: &Path, kind: Kind, member: Option<Member>) -> Result<Container> {
        let Self { files, main, mut list, members } = self;
        let files = Arc::new(files);
        let (at, len) = member.map_or((0, files.len(main)), |member| (member.at, member.len));
        keras::read(&files, main, at, len, &mut list)?;
        finished(path, Container { kind, files, list, main, beside: Vec::new(), members, checkpoint: None })
    }

    fn done(self, path: &Path, kind: Kind) -> Result<Container> {
        let Self { files, main, list, members } = self;
        let beside = if kind == Kind::Onnx { (1..files.count()).collect() } else { Vec::new() };
        finished(path, Container { kind, files: Arc::new(files), list, main, beside, members, checkpoint: None })
    }
}

/// Refuses tensors that are together much larger than their files.
fn finished(path: &Path, container: Container) -> Result<Container> {
    let sum = container.tensors().iter().try_fold(0u64, |sum, info| sum.checked_add(info.bytes())).unwrap_or(u64::MAX);
    let max = container.total_bytes().saturating_mul(MAX_SHARED).max(ALWAYS_SHARED);
    if sum > max {
        let problem = Problem::TooMany { what: "bytes of tensors that share theirs".into(), count: sum, max };
        return Err(Error::Container { path: path.to_owned(), problem });
    }
    Ok(container)
}
