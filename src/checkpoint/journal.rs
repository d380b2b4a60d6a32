//! What a run is and what of it is done, a line at a time, so that another run can go on from there.
//!
//! Each line is JSON behind the start of its SHA-256. The first says what the run is: all that the output's bytes
//! depend on. A line is written only once what it speaks of is on disk, and counts only if it is whole: whatever
//! follows one that is not is cut off. The file is locked while a run writes to it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::head::{Head, digest};
use crate::{Error, Result};

/// Its name in a scaffold.
pub(super) const NAME: &str = "journal";

/// More than any journal has: 300 bytes for each of a million pieces.
const LARGEST: u64 = 300 << 20;

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// What is copied of this shard lies there up to this byte.
    Copied { shard: usize, end: u64 },
    /// A piece of the caller's work.
    Done(Value),
    /// All is written, and files are being given their final names.
    Placing,
}

/// A journal that this run writes to.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
}

/// A process that is being started may hold a copy of the file for a moment: without this, the lock too.
impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// What a journal says.
pub(super) struct Read {
    pub(super) journal: Journal,
    pub(super) head: Head,
    pub(super) lines: Vec<Line>,
}

/// A journal in an earlier run's scaffold.
pub(super) enum Found {
    /// There is none, or it does not even say what the run was.
    Nothing,
    /// Another process holds it: that of this run.
    Locked(Head),
    /// It can be gone on from.
    Left(Box<Read>),
}

impl Journal {
    /// A new one.
    pub(super) fn new(scaffold: &Path, head: &Head) -> Result<Self> {
        let path = scaffold.join(NAME);
        let mut new = OpenOptions::new();
        let file = new.read(true).write(true).create_new(true).open(&path).map_err(Error::io("create", &path))?;
        // Where a file system has no locks, two runs at once are not told apart.
        let _ = file.try_lock();
        let journal = Self { file, path };
        journal.append(&[head])?;
        Ok(journal)
    }

    /// An earlier run's.
    pub(super) fn open(scaffold: &Path) -> Result<Found> {
        let path = scaffold.join(NAME);
        if !std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST) {
            return Ok(Found::Nothing);
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(Error::io("open", &path))?;
        let locked = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        let mut bytes = Vec::new();
        (&file).take(LARGEST).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        let mut whole = 0;
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').map_while(|line| {
            let json = sealed(line)?;
            whole += line.len();
            Some(json)
        });
        let Some(head) = lines.next().and_then(|json| serde_json::from_slice(json).ok()) else {
            return Ok(Found::Nothing);
        };
        if locked {
            return Ok(Found::Locked(head));
        }
        let lines = lines.map_while(|json| serde_json::from_slice(json).ok()).collect();
        file.set_len(whole as u64).map_err(Error::io("write", &path))?;
        (&file).seek(SeekFrom::End(0)).map_err(Error::io("write", &path))?;
        Ok(Found::Left(Box::new(Read { journal: Self { file, path }, head, lines })))
    }

    /// Adds lines, and waits until they are on disk.
    pub(super) fn append(&self, lines: &[impl Serialize]) -> Result<()> {
        let mut text = Vec::new();
        for line in lines {
            let json = serde_json::to_vec(line).map_err(|e| Error::io("write", &self.path)(e.into()))?;
            text.extend_from_slice(digest(&json).as_bytes());
            text.push(b' ');
            text.extend_from_slice(&json);
            text.push(b'\n');
        }
        (&self.file).write_all(&text).and_then(|()| self.file.sync_data()).map_err(Error::io("write", &self.path))
    }
}

/// The JSON of a line that is whole.
fn sealed(line: &[u8]) -> Option<&[u8]> {
    let json = line.strip_suffix(b"\n")?.get(33..)?;
    (line[..32] == *digest(json).as_bytes() && line[32] == b' ').then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(scaffold: &Path) -> Vec<Line> {
        match Journal::open(scaffold).unwrap() {
            Found::Left(read) => read.lines,
            _ => panic!("there is a journal"),
        }
    }

    #[test]
    fn lines_count_up_to_the_first_that_is_torn() {
        let temp = tempfile::tempdir().unwrap();
        let head = Head::of_nothing(Value::Null);
        assert!(matches!(Journal::open(temp.path()).unwrap(), Found::Nothing));
        let journal = Journal::new(temp.path(), &head).unwrap();
        let copied = |end| Line::Copied { shard: 0, end };
        journal.append(&[copied(1), copied(2)]).unwrap();
        assert!(matches!(Journal::open(temp.path()).unwrap(), Found::Locked(_)));
        drop(journal);
        assert_eq!(lines(temp.path()), [copied(1), copied(2)]);

        let path = temp.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            match Journal::open(temp.path()).unwrap() {
                Found::Left(read) => {
                    let Read { journal, lines, .. } = *read;
                    assert!(lines.len() < 2 && lines.iter().all(|line| [copied(1), copied(2)].contains(line)));
                    journal.append(&[Line::Placing]).unwrap();
                }
                Found::Nothing => continue,
                Found::Locked(_) => panic!("no one holds it"),
            }
            assert_eq!(lines(temp.path()).last(), Some(&Line::Placing), "what is added after a tear counts");
        }
        let mut flipped = whole.clone();
        flipped[whole.len() - 4] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(lines(temp.path()), [copied(1)]);
    }
}
