//! How an output begins: anew, or from what an earlier run left.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use super::file::{Handles, Identity};
use super::folder::{self, OtherFile};
use super::head::Head;
use super::journal::{Found, Journal, Line, Read};
use super::output::{self, Entry, Output};
use super::pending::{Pending, sync_folder};
use super::place::{self, Created, refused};
use super::read::{Checkpoint, Layout};
use super::scaffold::{ANEW, INDEX, Scaffold, left_in, other};
use super::unfinished::Unfinished;
use crate::{Error, Result};

/// What to do where an earlier run to the same output has left work that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Earlier {
    /// Say so, and write nothing.
    #[default]
    Refuse,
    /// Go on from there, if it was a run of the same rule on the same input. Where nothing was left, begin.
    Resume,
    /// Delete it, and begin anew.
    Restart,
}

/// A run that another one can go on from.
pub(crate) struct Resumable {
    pub earlier: Earlier,
    /// What the run does, as far as the output depends on it and not on the input's bytes.
    pub work: Value,
}

/// What an earlier run has done.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// What it has [noted](Output::note), in order.
    pub done: Vec<Value>,
    /// What it has [counted](Output::keep_counts) last.
    pub counts: Option<Vec<u8>>,
}

impl Output {
    /// Prepares an output of the input's layout and sizes.
    ///
    /// For an input that is a single file, `output` is a file; if it is an existing folder or ends in a path separator,
    /// the file goes in it under the input's name. For an index or a folder, `output` is a folder, and every other
    /// regular file at the top of the input's folder is copied too (sub-folders are not). Missing folders are created.
    ///
    /// With `force`, files of the same names are replaced when the output is committed, one by one; other files in an
    /// output folder stay. A link is replaced itself, not what it leads to.
    ///
    /// # Errors
    /// [`Error::Output`] if the output is the input or inside it, under whichever name, or exists (a folder: is not
    /// empty) and `force` is false; [`Error::Io`] if files cannot be created.
    pub fn create(input: &Checkpoint, output: &Path, force: bool) -> Result<Self> {
        Self::create_noting(input, output, force, &Unfinished::default())
    }

    /// As [`create`](Self::create), and notes in `unfinished` what it makes, until it is committed.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_noting(input: &Checkpoint, output: &Path, force: bool, unfinished: &Unfinished) -> Result<Self> {
        Self::begin(input, output, force, None, None, unfinished).map(|(output, _)| output)
    }

    /// The same for a run that another one can go on from, or that goes on from an earlier one; `entry` is put into the
    /// headers' `__metadata__`.
    ///
    /// # Errors
    /// As [`create`](Self::create); also [`Error::Output`] where an earlier run left work and [`Earlier`] says to
    /// refuse, where that run was another one, and where it is still at work.
    pub(crate) fn begin(
        input: &Checkpoint,
        output: &Path,
        force: bool,
        resumable: Option<Resumable>,
        entry: Option<Entry>,
        unfinished: &Unfinished,
    ) -> Result<(Self, Past)> {
        let (folder, single) = place::find(input, output)?;
        let final_path = single.as_ref().map_or_else(|| folder.clone(), |name| folder.join(name));
        let name = single.as_ref().map(|name| name.to_string_lossy().into_owned());
        // No folder that may not be written to is even looked into.
        place::check_folder(input, &folder, true)?;
        let mut head = None;
        let mut left = None;
        if let Some(Resumable { earlier, work }) = resumable {
            let now = Head::new(input, name, work);
            left = look(&folder, &now, earlier, &final_path)?
                .map(|(path, read)| (Scaffold::adopt(path, unfinished), read));
            head = Some(now);
        }
        // Then some files have their final names already.
        let placing = left.as_ref().is_some_and(|(_, read)| read.lines.contains(&Line::Placing));
        place::check_folder(input, &folder, force || placing)?;

        let inner = &input.0;
        let Files { names, temps, others, skipped, identities } = Files::of(input, single.as_deref())?;
        let reals: Vec<&Path> =
            inner.shards.iter().map(|s| s.real.as_path()).chain(others.iter().map(|o| o.real.as_path())).collect();
        for (name, temp) in names.iter().zip(&temps) {
            let placed = placing && left.as_ref().is_some_and(|(scaffold, _)| !scaffold.has(temp));
            place::check_file(&folder, name, &identities, &reals, force || placed)?;
        }

        let data_start = |shard| Ok(8 + output::header(shard, entry.as_ref())?.len() as u64);
        let data_starts: Vec<u64> = match entry {
            Some(_) => inner.shards.iter().map(data_start).collect::<Result<_>>()?,
            None => inner.shards.iter().map(|shard| shard.data_start).collect(),
        };

        let created = Created::folder(&folder, unfinished)?;
        let resumes = left.is_some();
        let (scaffold, journal, lines) = match (left, &head) {
            (Some((scaffold, read)), _) => (scaffold, Some(read.journal), read.lines),
            (None, head) => {
                let scaffold = Scaffold::new(&folder, unfinished)?;
                let journal = head.as_ref().map(|head| Journal::new(scaffold.path(), head)).transpose()?;
                (scaffold, journal, Vec::new())
            }
        };
        let mut shards = Vec::new();
        for (((name, temp), shard), data_start) in names.iter().zip(&temps).zip(&inner.shards).zip(&data_starts) {
            let (to, len) = (folder.join(name), data_start + shard.len - shard.data_start);
            shards.push(if resumes {
                old_shard(&scaffold, temp, len, to, placing)?
            } else {
                let (file, pending) = scaffold.new_file(temp, to)?;
                file.set_len(len).map_err(Error::io("write", &pending.to))?;
                pending
            });
        }
        if journal.is_some() && !resumes {
            // A file that lasts is of no use in a folder that does not.
            sync_folder(scaffold.path())?;
            sync_folder(&folder)?;
        }
        let past =
            Past { done: done(&lines), counts: if resumes { scaffold.contents(super::settle::COUNTS)? } else { None } };
        let output = Self {
            input: input.clone(),
            force,
            placing,
            handles: Handles::default(),
            written: inner.tensors.iter().map(|_| AtomicU64::new(0)).collect(),
            unsynced: inner.shards.iter().map(|_| AtomicU64::new(0)).collect(),
            copied: copied(&lines, input).into_iter().map(AtomicU64::new).collect(),
            not_copied: OnceLock::new(),
            shards,
            entry,
            data_starts,
            others,
            skipped,
            folder,
            final_path,
            notes: Mutex::default(),
            settling: Mutex::default(),
            sync_failed: AtomicBool::new(false),
            journal,
            unfinished: unfinished.clone(),
            scaffold,
            created,
        };
        Ok((output, past))
    }
}

/// The files of an output: the shards, the index, all others.
struct Files {
    names: Vec<OsString>,
    /// What each is called in the scaffold.
    temps: Vec<String>,
    /// What each is in the input.
    identities: Vec<Identity>,
    others: Vec<OtherFile>,
    skipped: Vec<OsString>,
}

impl Files {
    /// `single` is the output's name, if it is one file.
    fn of(input: &Checkpoint, single: Option<&OsStr>) -> Result<Self> {
        let shards = &input.0.shards;
        let mut names: Vec<OsString> = match single {
            Some(name) => vec![name.to_owned()],
            None => shards.iter().map(|shard| OsString::from(&shard.name)).collect(),
        };
        let mut temps: Vec<String> = (0..names.len()).map(|number| number.to_string()).collect();
        let mut identities: Vec<Identity> = shards.iter().map(|shard| shard.identity).collect();
        let (mut others, mut skipped) = (Vec::new(), Vec::new());
        if let Layout::Folder { real, index, .. } = &input.0.layout {
            names.extend(index.iter().map(|index| index.name.clone()));
            temps.extend(index.iter().map(|_| INDEX.to_owned()));
            identities.extend(index.iter().map(|index| index.identity));
            let known: Vec<_> = names.iter().map(OsString::as_os_str).collect();
            (others, skipped) = folder::others(real, &known)?;
            names.extend(others.iter().map(|other| other.name.clone()));
            temps.extend((0..others.len()).map(other));
            identities.extend(others.iter().map(|other| other.identity));
        }
        Ok(Self { names, temps, identities, others, skipped })
    }
}

/// The work that an earlier run has left for this output, if `earlier` says to go on from it.
fn look(folder: &Path, now: &Head, earlier: Earlier, output: &Path) -> Result<Option<(PathBuf, Read)>> {
    for path in left_in(folder)? {
        let read = match Journal::open(&path)? {
            Found::Locked(head) if head.output == now.output => {
                return Err(refused(output, &format!("another run is writing it, in {}", path.display())));
            }
            Found::Left(read) if read.head.output == now.output => read,
            _ => continue,
        };
        let at = path.display();
        match earlier {
            Earlier::Refuse => {
                let how = "go on from there with `--resume` (`Earlier::Resume`)";
                return Err(refused(
                    output,
                    &format!("an earlier run has left unfinished work in {at}: {how}, or {ANEW}"),
                ));
            }
            Earlier::Resume => {
                if let Some(difference) = read.head.difference(now) {
                    let what = format!("the run that left unfinished work in {at} was another one: {difference}");
                    return Err(refused(output, &format!("{what}; give the same rule and input, or {ANEW}")));
                }
                return Ok(Some((path, *read)));
            }
            Earlier::Restart => {
                drop(read);
                fs::remove_dir_all(&path).map_err(Error::io("delete", &path))?;
            }
        }
    }
    Ok(None)
}

/// A shard in an earlier run's scaffold. While files are given their final names, it may have its own already.
fn old_shard(scaffold: &Scaffold, temp: &str, len: u64, to: PathBuf, placing: bool) -> Result<Pending> {
    if let Some(pending) = scaffold.old_file(temp, len, to.clone())? {
        return Ok(pending);
    }
    let temp = scaffold.path().join(temp);
    match fs::symlink_metadata(&to) {
        Ok(metadata) if placing && metadata.is_file() && metadata.len() == len => {
            Ok(Pending { temp, identity: Identity::of(&metadata), to })
        }
        _ => Err(refused(&to, &format!("{}, which an earlier run was writing, is gone: {ANEW}", temp.display()))),
    }
}

fn done(lines: &[Line]) -> Vec<Value> {
    let done = lines.iter().filter_map(|line| if let Line::Done(value) = line { Some(value) } else { None });
    done.cloned().collect()
}

/// Up to which byte what is copied of each shard lies there.
fn copied(lines: &[Line], input: &Checkpoint) -> Vec<u64> {
    let mut copied = vec![0; input.shards().len()];
    for line in lines {
        if let Line::Copied { shard, end } = *line
            && let (Some(copied), Some(whole)) = (copied.get_mut(shard), input.shards().get(shard))
        {
            *copied = end.min(whole.len).max(*copied);
        }
    }
    copied
}
