//! From a path to a checked checkpoint: a file, an index, or a folder.
//!
//! Only headers and the index are read. Every shard is opened once, in order, and closed again.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::changed;
use super::file::{Handles, Identity, read_exact_at};
use super::folder::{self, Lead};
use super::head::digest;
use super::header::{self, MAX_HEADER_BYTES};
use super::index::WeightMap;
use super::problem::{CheckpointProblem as Problem, HeaderProblem};
use super::read::{Checkpoint, IndexFile, Inner, Layout, Shard};
use super::tensor::TensorInfo;
use crate::{Error, Result};

impl Checkpoint {
    /// Opens and checks a checkpoint.
    ///
    /// - An `*.index.json` file: the shards that it names, which lie beside it.
    /// - Another file: that file alone, whatever lies beside it.
    /// - A folder: the shards of its `*.safetensors.index.json` if there is one, else every `*.safetensors` file in it
    ///   that is not hidden. Sub-folders are not entered.
    ///
    /// The path itself may be a link and is followed. A link inside a folder is followed only to a file in that folder,
    /// or to a blob of the Hugging Face cache if the folder is a snapshot in it.
    ///
    /// # Errors
    /// [`Error::Header`] if a shard breaks the format, [`Error::Checkpoint`] if the shards and the index do not add up,
    /// [`Error::Io`] if something cannot be read.
    pub fn open(input: &Path) -> Result<Self> {
        let metadata = fs::metadata(input).map_err(Error::io("open", input))?;
        let name = input.file_name().unwrap_or_default();
        if metadata.is_dir() {
            let index = find_index(input)?;
            open_folder(input, index)
        } else if !metadata.is_file() {
            Err(broken(input, Problem::NotAFile))
        } else if ends_with(name, ".index.json") {
            // Of "model.safetensors.index.json", the parent is "".
            let folder = input.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            open_folder(folder, Some((name.to_owned(), input.to_owned())))
        } else {
            let real = fs::canonicalize(input).map_err(Error::io("open", input))?;
            let mut tensors = Vec::new();
            let shard = read_shard(name.to_string_lossy().into_owned(), input.to_owned(), real, 0, &mut tensors)?;
            let (shards, layout) = (vec![shard], Layout::File { name: name.to_owned() });
            Ok(Self(Arc::new(Inner { tensors, shards, layout, handles: Handles::default() })))
        }
    }
}

/// The name and the path of the only index of a folder, if there is one.
fn find_index(folder: &Path) -> Result<Option<(OsString, PathBuf)>> {
    let mut names = folder::names(folder)?;
    names.retain(|name| ends_with(name, ".safetensors.index.json") && !is_hidden(name));
    if names.len() > 1 {
        let names = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        return Err(broken(folder, Problem::SeveralIndexes { names }));
    }
    let Some(name) = names.pop() else { return Ok(None) };
    let real = fs::canonicalize(folder).map_err(Error::io("open", folder))?;
    let path = resolve(folder, &real, &name)?;
    Ok(Some((name, path)))
}

fn open_folder(given: &Path, index: Option<(OsString, PathBuf)>) -> Result<Checkpoint> {
    let real = fs::canonicalize(given).map_err(Error::io("open", given))?;
    let mut index_path = given.to_owned();
    let mut map = None;
    let index = match index {
        None => None,
        Some((name, path)) => {
            index_path = given.join(&name);
            let file = read_index(name, &path, &index_path)?;
            map = Some(WeightMap::parse(&file.bytes).map_err(|problem| broken(&index_path, problem))?);
            Some(file)
        }
    };
    let names = match &map {
        Some(map) => map.shards().map_err(|problem| broken(&index_path, problem))?,
        None => shards_in(given)?,
    };
    let (mut tensors, mut shards) = (Vec::new(), Vec::new());
    for (number, name) in names.into_iter().enumerate() {
        let real = resolve(&index_path, &real, OsStr::new(&name))?;
        let path = given.join(&name);
        shards.push(read_shard(name, path, real, number, &mut tensors)?);
    }
    refuse_duplicates(&tensors, &shards).map_err(|problem| broken(&index_path, problem))?;
    if let Some(map) = map {
        map.check(&tensors, |number| &shards[number].name).map_err(|problem| broken(&index_path, problem))?;
    }
    let layout = Layout::Folder { given: given.to_owned(), real, index };
    Ok(Checkpoint(Arc::new(Inner { tensors, shards, layout, handles: Handles::default() })))
}

/// The names of a folder's shards, where there is no index.
fn shards_in(folder: &Path) -> Result<Vec<String>> {
    let mut shards = Vec::new();
    for name in folder::names(folder)? {
        // Hidden ones are not meant: macOS leaves `._model.safetensors` beside a file that it copied.
        if !ends_with(&name, ".safetensors") || is_hidden(&name) {
            continue;
        }
        match name.into_string() {
            Ok(name) => shards.push(name),
            Err(name) => {
                let name = name.to_string_lossy().into_owned();
                return Err(broken(folder, Problem::NameNotUtf8 { name }));
            }
        }
    }
    if shards.is_empty() { Err(broken(folder, Problem::NoSafetensors)) } else { Ok(shards) }
}

/// The real path of a file in the folder `real`; errors name `blame`.
fn resolve(blame: &Path, real: &Path, name: &OsStr) -> Result<PathBuf> {
    let lead = folder::follow(real, name)?;
    let shard = name.to_string_lossy().into_owned();
    Err(broken(
        blame,
        match lead {
            Lead::File(real) => return Ok(real),
            Lead::Nothing => Problem::MissingShard { shard },
            Lead::Other => Problem::ShardNotAFile { shard },
            Lead::Out(target) => Problem::LinkLeadsOut { name: shard, target },
        },
    ))
}

fn read_index(name: OsString, path: &Path, shown: &Path) -> Result<IndexFile> {
    let file = File::open(path).map_err(Error::io("open", shown))?;
    let metadata = file.metadata().map_err(Error::io("read", shown))?;
    let (len, max) = (metadata.len(), MAX_HEADER_BYTES);
    if len > max {
        return Err(broken(shown, Problem::IndexTooLarge { len, max }));
    }
    let mut bytes = vec![0; len as usize];
    read_exact_at(&file, &mut bytes, 0).map_err(Error::io("read", shown))?;
    Ok(IndexFile { name, bytes, identity: Identity::of(&metadata) })
}

/// Opens one shard and adds its tensors.
fn read_shard(
    name: String,
    path: PathBuf,
    real: PathBuf,
    number: usize,
    tensors: &mut Vec<TensorInfo>,
) -> Result<Shard> {
    let file = File::open(&real).map_err(Error::io("open", &path))?;
    let metadata = file.metadata().map_err(Error::io("read", &path))?;
    let len = metadata.len();
    let refused = |problem| Error::Header { path: path.clone(), problem };
    if len < 8 {
        return Err(refused(HeaderProblem::TooShort { len }));
    }
    let mut first = [0; 8];
    read_exact_at(&file, &mut first, 0).map_err(Error::io("read", &path))?;
    let mut bytes = vec![0; header::header_len(first, len).map_err(refused)?];
    read_exact_at(&file, &mut bytes, 8).map_err(Error::io("read", &path))?;
    let mut parsed = header::parse(&bytes, len, number).map_err(refused)?;
    // A long list is not held twice.
    if tensors.is_empty() {
        *tensors = parsed
    } else {
        tensors.append(&mut parsed)
    }
    let (identity, modified) = (Identity::of(&metadata), changed::modified(&metadata));
    let data_start = 8 + bytes.len() as u64;
    Ok(Shard { name, len, path, real, identity, modified, header: digest(&bytes), data_start })
}

fn refuse_duplicates(tensors: &[TensorInfo], shards: &[Shard]) -> Result<(), Problem> {
    let mut names: Vec<(&str, usize)> = tensors.iter().map(|t| (t.name.as_str(), t.shard)).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            let shard = |at: usize| shards[pair[at].1].name.clone();
            Err(Problem::InTwoShards { tensor: pair[0].0.to_owned(), first: shard(0), second: shard(1) })
        }
        None => Ok(()),
    }
}

fn ends_with(name: &OsStr, end: &str) -> bool {
    name.as_encoded_bytes().ends_with(end.as_bytes())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn broken(path: &Path, problem: Problem) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem }
}
