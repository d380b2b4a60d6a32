//! The files that a container is made of, positioned reads of them, and a cursor for what stands at their front.
//!
//! Guarantees: no read goes beyond the length that a file had when it was opened; nothing is allocated before that is known.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::problem::ContainerProblem as Problem;
use crate::checkpoint::{Handles, read_exact_at};
use crate::{Error, Result};

/// One file.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
    /// A file without a name, which stays open.
    temporary: Option<Arc<File>>,
}

/// Several, of which at most 48 are open at a time.
#[derive(Debug, Default)]
pub(super) struct Files {
    list: Vec<Held>,
    handles: Handles,
}

impl Files {
    /// Adds a file; its number.
    pub fn add(&mut self, path: &Path) -> Result<usize> {
        let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if !metadata.is_file() {
            return Err(Error::io("open", path)(io::Error::other("it is no regular file")));
        }
        let (path, len, modified) = (path.to_owned(), metadata.len(), metadata.modified().ok());
        self.list.push(Held { path, len, modified, temporary: None });
        Ok(self.list.len() - 1)
    }

    /// Adds a temporary file, which stays open; `path` is what it was made from.
    pub fn add_temporary(&mut self, file: File, path: &Path) -> Result<usize> {
        let len = file.metadata().map_err(Error::io("read", path))?.len();
        self.list.push(Held { path: path.to_owned(), len, modified: None, temporary: Some(Arc::new(file)) });
        Ok(self.list.len() - 1)
    }

    pub fn count(&self) -> usize {
        self.list.len()
    }

    pub fn path(&self, number: usize) -> &Path {
        &self.list[number].path
    }

    pub fn len(&self, number: usize) -> u64 {
        self.list[number].len
    }

    pub fn handle(&self, number: usize) -> Result<Arc<File>> {
        let Held { path, temporary, .. } = &self.list[number];
        if let Some(file) = temporary {
            return Ok(Arc::clone(file));
        }
        Ok(self.handles.get(number, || File::open(path).map_err(Error::io("open", path)))?.0)
    }

    pub fn read_at(&self, number: usize, at: u64, buf: &mut [u8]) -> Result<()> {
        let held = &self.list[number];
        if at.checked_add(buf.len() as u64).is_none_or(|end| end > held.len) {
            let end = at.saturating_add(buf.len() as u64);
            return Err(self.problem(number, Problem::PastEnd { what: "what is read".into(), at, end, len: held.len }));
        }
        read_exact_at(&*self.handle(number)?, buf, at).map_err(Error::io("read", &held.path))
    }

    /// Refuses files that were written to since they were added.
    pub fn unchanged(&self) -> Result<()> {
        for (number, held) in self.list.iter().enumerate().filter(|(_, held)| held.modified.is_some()) {
            let now = self.handle(number)?.metadata().map_err(Error::io("read", &held.path))?;
            if now.len() != held.len || now.modified().ok() != held.modified {
                return Err(self.problem(number, Problem::Changed { len: held.len, now: now.len() }));
            }
        }
        Ok(())
    }

    /// An error about a file.
    pub fn problem(&self, number: usize, problem: Problem) -> Error {
        Error::Container { path: self.list[number].path.clone(), problem }
    }

    /// A cursor over bytes `start..end` of a file, which are cut to those that it has.
    pub fn cursor(&self, file: usize, start: u64, end: u64) -> Cursor<'_> {
        let end = end.min(self.len(file));
        Cursor { files: self, file, start, at: start, end: end.max(start), block: Vec::new(), block_at: 0 }
    }
}

/// Bytes read at a time.
const BLOCK: u64 = 64 << 10;

/// Reads a part of a file from front to back, or skips in it.
pub(super) struct Cursor<'a> {
    files: &'a Files,
    pub file: usize,
    start: u64,
    at: u64,
    end: u64,
    block: Vec<u8>,
    block_at: u64,
}

impl Cursor<'_> {
    /// Where it is, counted from its start.
    pub fn at(&self) -> u64 {
        self.at - self.start
    }

    /// Where it is in its file.
    pub fn place(&self) -> u64 {
        self.at
    }

    pub fn left(&self) -> u64 {
        self.end - self.at
    }

    fn past(&self, what: &str, len: u64) -> Error {
        let end = self.at.saturating_add(len);
        let problem = Problem::PastEnd { what: what.into(), at: self.at, end, len: self.end };
        self.files.problem(self.file, problem)
    }

    /// An error about the byte that it is at.
    pub fn malformed(&self, what: impl Into<String>) -> Error {
        self.files.problem(self.file, Problem::Malformed { at: self.at, what: what.into() })
    }

    pub fn problem(&self, problem: Problem) -> Error {
        self.files.problem(self.file, problem)
    }

    pub fn skip(&mut self, what: &str, len: u64) -> Result<()> {
        if len > self.left() {
            return Err(self.past(what, len));
        }
        self.at += len;
        Ok(())
    }

    pub fn fill(&mut self, what: &str, buf: &mut [u8]) -> Result<()> {
        if buf.len() as u64 > self.left() {
            return Err(self.past(what, buf.len() as u64));
        }
        if buf.len() as u64 >= BLOCK {
            self.files.read_at(self.file, self.at, buf)?;
        } else {
            let held = self.block_at..self.block_at + self.block.len() as u64;
            if !(held.contains(&self.at) && self.at + buf.len() as u64 <= held.end) {
                self.block.resize(BLOCK.min(self.left()) as usize, 0);
                self.block_at = self.at;
                self.files.read_at(self.file, self.at, &mut self.block)?;
            }
            let from = (self.at - self.block_at) as usize;
            buf.copy_from_slice(&self.block[from..from + buf.len()]);
        }
        self.at += buf.len() as u64;
        Ok(())
    }

    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(what, &mut bytes)?;
        Ok(bytes)
    }

    pub fn u8(&mut self, what: &str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    pub fn u16(&mut self, what: &str) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// `len` bytes, of which at most `max` are read.
    pub fn bytes(&mut self, what: &str, len: u64, max: u64) -> Result<Vec<u8>> {
        if len > self.left() {
            return Err(self.past(what, len));
        }
        if len > max {
            return Err(self.problem(Problem::TooMany { what: format!("bytes of {what}"), count: len, max }));
        }
        let mut bytes = vec![0; len as usize];
        self.fill(what, &mut bytes)?;
        Ok(bytes)
    }

    /// Text of `len` bytes, of which at most `max` are read.
    pub fn text(&mut self, what: &str, len: u64, max: u64) -> Result<String> {
        let bytes = self.bytes(what, len, max)?;
        String::from_utf8(bytes).map_err(|_| self.malformed(format!("{what} is not UTF-8")))
    }
}
