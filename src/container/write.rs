//! A file that is being written: a copy of another with other weights, or made anew. Tensors are written in any order, from
//! several threads at once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Kind;
use super::archive::Member;
use super::create;
use super::open::Container;
use super::place::Place;
use super::problem::ContainerProblem as Problem;
use crate::checkpoint::{CheckpointProblem, Committed, NewFiles, TensorInfo, Unfinished, check_list};
use crate::{Error, Result};

/// A file that is being written.
#[derive(Debug)]
pub struct NewContainer {
    files: NewFiles,
    tensors: Vec<TensorInfo>,
    /// Where their bytes go; files are numbers of `files`.
    places: Vec<Place>,
    written: Vec<AtomicU64>,
    /// Members of a zip file (number `main`) whose checksums are to be made.
    members: Vec<Member>,
    main: usize,
}

/// The parts of a new file that are no tensor's: where they go, and what they are.
pub(super) struct Laid {
    pub names: Vec<OsString>,
    pub fixed: Vec<(usize, u64, Vec<u8>)>,
    pub places: Vec<Place>,
    pub members: Vec<Member>,
}

impl NewContainer {
    /// Begins a copy of `input` at `output`, of the same kind, to which all tensors are still to be written; all else is
    /// copied. Files beside the input, which belong to it, come to lie beside the output under the same names, where `force`
    /// replaces nothing.
    ///
    /// # Errors
    /// [`Error::Container`] if that kind is not written or two tensors share bytes; [`Error::Output`] if a file is one of the
    /// input, or exists and `force` is false, or exists beside the output, forced or not; [`Error::Io`] if something cannot be
    /// read or written.
    pub fn like(input: &Container, output: &Path, force: bool, unfinished: &Unfinished) -> Result<Self> {
        let refused = |problem| Error::Container { path: output.to_owned(), problem };
        if matches!(input.kind, Kind::Torch | Kind::Safetensors) {
            Kind::Torch.creatable().map_err(refused)?;
        }
        let mut names = Vec::new();
        for file in &input.beside {
            let path = input.files.path(*file);
            let name = path.file_name().unwrap_or_default();
            if folder(path) != folder(input.files.path(0)) || names.contains(&name) {
                let (tensor, location) = (String::new(), path.display().to_string());
                let why =
                    "in a folder below the model's: such models are read, and written only with their data beside them";
                return Err(refused(Problem::External { tensor, location, why: why.into() }));
            }
            sibling(path, &folder(output).join(name))?;
            names.push(name);
        }
        let mut taken = input.taken()?;
        let files = NewFiles::beside(output, &names, &input.sources()?, force, unfinished)?;
        let numbers: Vec<usize> = input.beside.iter().copied().chain([input.main]).collect();
        for (number, file) in numbers.iter().enumerate() {
            let from = input.files.handle(*file)?;
            let (mut at, end) = (0, input.files.len(*file));
            // A part of no bytes at the end, so that what is behind the last tensor is copied like what is before one.
            taken.push((*file, end..end, 0));
            taken.sort_by_key(|(file, range, _)| (*file, range.start));
            for (_, range, _) in taken.iter().filter(|(of, ..)| of == file) {
                if at < range.start {
                    files.copy_range(number, at, &from, at..range.start, input.files.path(*file))?;
                }
                at = range.end;
            }
        }
        let renumbered = |place: &Place| {
            let file = numbers.iter().position(|file| *file == place.file).expect("each file is copied");
            Place { file, ..place.clone() }
        };
        let places: Vec<Place> = input.list.places.iter().map(renumbered).collect();
        let holds =
            |member: &&Member| input.list.places.iter().any(|place| place.at >= member.at && place.at < member.end());
        let members: Vec<Member> = input.members.iter().filter(holds).cloned().collect();
        // They get new checksums, which would say that bytes are good that were not.
        members.iter().try_for_each(|member| input.check(member))?;
        Ok(Self::new(files, input.tensors().to_vec(), places, members, numbers.len() - 1))
    }

    /// Begins a file of this kind at `output`, that holds these tensors and nothing else. `input` may not be replaced.
    ///
    /// # Errors
    /// [`Error::Container`] if that kind cannot be made anew, or does not hold a tensor's type, shape or name;
    /// [`Error::Tensor`] for a list that cannot be; as [`like`](Self::like) for the rest.
    pub fn create(
        kind: Kind,
        tensors: &[TensorInfo],
        input: &Container,
        output: &Path,
        force: bool,
        unfinished: &Unfinished,
    ) -> Result<Self> {
        check_list(tensors)?;
        Self::lay_out(kind, tensors, &[], input, output, force, unfinished)
    }

    /// Begins one that holds the tensors of `input` and nothing else, which it refuses to leave behind; with these entries in
    /// `__metadata__` where it is safetensors, and those of an input that is safetensors or torch's.
    pub(crate) fn with_metadata(
        kind: Kind,
        metadata: &[(&str, String)],
        input: &Container,
        output: &Path,
        force: bool,
        unfinished: &Unfinished,
    ) -> Result<Self> {
        if let Some(other) = input.others().first() {
            let hint = "it can be pruned into a file of its own kind, in which it stays as it is";
            let problem = Problem::NotHeld { tensor: other.name.clone(), what: format!("it is {}", other.what), hint };
            return Err(input.files.problem(0, problem));
        }
        // What is asked for takes the place of what the input says.
        let kept = if kind == Kind::Safetensors { input.metadata()? } else { BTreeMap::new() };
        let asked = metadata.iter().map(|(key, value)| (*key, value.clone()));
        let metadata: Vec<(&str, String)> =
            kept.iter().map(|(key, value)| (key.as_str(), value.clone())).chain(asked).collect();
        Self::lay_out(kind, input.tensors(), &metadata, input, output, force, unfinished)
    }

    fn lay_out(
        kind: Kind,
        tensors: &[TensorInfo],
        metadata: &[(&str, String)],
        input: &Container,
        output: &Path,
        force: bool,
        unfinished: &Unfinished,
    ) -> Result<Self> {
        let laid = create::lay_out(kind, tensors, metadata, output)?;
        let names: Vec<&OsStr> = laid.names.iter().map(OsString::as_os_str).collect();
        let files = NewFiles::beside(output, &names, &input.sources()?, force, unfinished)?;
        for (file, at, bytes) in &laid.fixed {
            files.write_at(*file, *at, bytes)?;
        }
        Ok(Self::new(files, tensors.to_vec(), laid.places, laid.members, laid.names.len()))
    }

    fn new(files: NewFiles, tensors: Vec<TensorInfo>, places: Vec<Place>, members: Vec<Member>, main: usize) -> Self {
        let written = tensors.iter().map(|_| AtomicU64::new(0)).collect();
        Self { files, tensors, places, written, members, main }
    }

    /// Writes bytes of tensor number `tensor` from `offset` on, in row-major and little-endian order: whole elements. Each byte
    /// is to be written once.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    ///
    /// # Panics
    /// If the range leaves the tensor, or there is no such tensor.
    pub fn write_at(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let (info, place, end) = (&self.tensors[tensor], &self.places[tensor], offset + bytes.len() as u64);
        assert!(end <= info.bytes(), "bytes {offset}..{end} of a tensor of {}", info.bytes());
        place.write(offset..end, bytes, |at, bytes| self.files.write_at(place.file, at, bytes))?;
        self.written[tensor].fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Copies a tensor of another file, of as many bytes; `on_bytes` is told of each part.
    pub(super) fn copy(&self, tensor: usize, from: &Container, on_bytes: &dyn Fn(u64) -> Result<()>) -> Result<()> {
        let (bytes, source, place) = (self.tensors[tensor].bytes(), &from.list.places[tensor], &self.places[tensor]);
        // What lies alike never leaves the kernel; a large part of what does not takes few reads.
        let alike = source.is_plain() && place.is_plain();
        let chunk = if alike { 64 << 20 } else { 8 << 20 };
        let (mut at, mut block) = (0, Vec::new());
        while at < bytes {
            let len = chunk.min(bytes - at);
            if alike {
                let (range, path) = (source.at + at..source.at + at + len, from.files.path(source.file));
                self.files.copy_range(place.file, place.at + at, &*from.files.handle(source.file)?, range, path)?;
                self.written[tensor].fetch_add(len, Relaxed);
            } else {
                block.resize(len as usize, 0);
                from.read_at(tensor, at, &mut block)?;
                self.write_at(tensor, at, &block)?;
            }
            at += len;
            on_bytes(len)?;
        }
        Ok(())
    }

    /// Makes the checksums, syncs everything, and gives all files their names.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a tensor is not written in full; [`Error::Output`] if a file has appeared where one was to go;
    /// [`Error::Io`] if the operating system refuses something.
    pub fn commit(self) -> Result<Committed> {
        for (info, written) in self.tensors.iter().zip(&self.written) {
            let (written, len) = (written.load(Relaxed), info.bytes());
            if written != len {
                let (path, tensor) = (self.files.path(self.main).to_owned(), info.name.clone());
                return Err(Error::Checkpoint { path, problem: CheckpointProblem::Unwritten { tensor, written, len } });
            }
        }
        for member in &self.members {
            let checksum = checksum(member, |at, block| self.files.read_at(self.main, at, block))?.to_le_bytes();
            member.checksums.iter().try_for_each(|at| self.files.write_at(self.main, *at, &checksum))?;
        }
        self.files.commit()
    }
}

/// The CRC-32 of a member's bytes.
fn checksum(member: &Member, read: impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<u32> {
    let (mut at, mut hasher, mut block) = (member.at, crc32fast::Hasher::new(), Vec::new());
    while at < member.end() {
        block.resize((1u64 << 20).min(member.end() - at) as usize, 0);
        read(at, &mut block)?;
        hasher.update(&block);
        at += block.len() as u64;
    }
    Ok(hasher.finalize())
}

impl Container {
    /// Refuses a member whose bytes are not those that its checksum was made of.
    fn check(&self, member: &Member) -> Result<()> {
        let is = checksum(member, |at, block| self.files.read_at(self.main, at, block))?;
        if is == member.checksum {
            return Ok(());
        }
        let what = format!(
            "it is damaged: its checksum is {:08x}, that of its {} bytes from byte {} on is {is:08x}",
            member.checksum, member.len, member.at
        );
        Err(self.files.problem(self.main, Problem::Member { member: member.name.clone(), what }))
    }

    /// The bytes of files that are tensors', in their order; refused if two tensors share any.
    fn taken(&self) -> Result<Vec<(usize, Range<u64>, usize)>> {
        let taken = self.list.places.iter().zip(self.tensors()).enumerate();
        let taken = taken.filter(|(_, (_, info))| info.bytes() > 0);
        let mut taken: Vec<_> =
            taken.map(|(number, (place, info))| (place.file, place.at..place.at + info.bytes(), number)).collect();
        taken.sort_by_key(|(file, range, _)| (*file, range.start));
        let shared = taken.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1.end > pair[1].1.start);
        if let Some([(file, _, first), (_, _, second)]) = shared {
            let name = |number: usize| self.tensors()[number].name.clone();
            let why = "they are read, and can be pruned into another kind of file, where each has its own";
            let problem = Problem::Overlap { first: name(*first), second: name(*second), why };
            return Err(self.files.problem(*file, problem));
        }
        Ok(taken)
    }
}

/// The folder of a file: `.` of a bare name.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses a copy of a file beside the input that would replace that file or any other: those may be of other models, whatever
/// is forced for the model itself.
fn sibling(from: &Path, to: &Path) -> Result<()> {
    if let (Ok(from), Ok(real)) = (std::fs::canonicalize(from), std::fs::canonicalize(to))
        && from == real
    {
        let reason = "it is a file of the input, which is never written to, and the output's data would get its name: \
                      choose another folder";
        return Err(Error::Output { path: to.to_owned(), reason: reason.into() });
    }
    if std::fs::symlink_metadata(to).is_ok() {
        let reason = "it exists, and data beside a model is never replaced, since it may be another model's: choose another \
                      folder, or delete it";
        return Err(Error::Output { path: to.to_owned(), reason: reason.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_and_one_behind_a_dot_are_in_one_folder() {
        let same = |a: &str, b: &str| folder(Path::new(a)) == folder(Path::new(b));
        assert!(same("model.onnx", "./weights.data"));
        assert!(same("model.onnx", "././weights.data"));
        assert!(same("./model.onnx", "weights.data"));
        assert!(same("a/model.onnx", "a/./weights.data"));
        assert!(!same("model.onnx", "./below/weights.data"));
        assert!(!same("a/model.onnx", "weights.data"));
    }

    #[test]
    fn data_beside_a_model_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("weights.data"), "1").unwrap();
        std::fs::create_dir(at("out")).unwrap();
        let refused = sibling(&at("weights.data"), &at("out/../weights.data")).unwrap_err().to_string();
        assert!(refused.contains("a file of the input") && refused.contains("choose another folder"), "{refused}");
        sibling(&at("weights.data"), &at("out/weights.data")).unwrap();
        std::fs::write(at("out/weights.data"), "2").unwrap();
        let refused = sibling(&at("weights.data"), &at("out/weights.data")).unwrap_err().to_string();
        assert!(refused.contains("weights.data") && refused.contains("never replaced"), "{refused}");
    }
}
