//! Zip files: where their members lie, and where their checksums do.
//!
//! Format: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>. Members that are stored lie in the file as they are
//! and are read in place. If one is compressed, or its lengths and checksum stand behind it where a copy would have to change
//! them too (but in torch's files, which have them all there and are only read), the whole file is unpacked once into a temporary file, where all are stored:
//! tensors are then read from anywhere in it, in bounded memory.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use zip::read::ZipArchive;
use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::files::Files;
use super::problem::ContainerProblem as Problem;
use super::torch::PICKLE;
use crate::{Error, Result};

/// How any zip file of these formats begins.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// The most bytes that are read to find the members: a directory of 700,000.
const MAX_DIRECTORY: u64 = 32 << 20;

/// What members may unpack to, as a multiple of the file. Random weights hardly shrink; those of a model that is mostly zeros
/// may to a tenth. Small files may be all zeros.
const MAX_RATIO: u64 = 100;
const ALWAYS_UNPACKED: u64 = 64 << 20;

/// A member, stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub name: String,
    /// Where its data begins in the file, and how long it is.
    pub at: u64,
    pub len: u64,
    /// Where its checksum stands, twice: before the data, and in the directory.
    pub checksums: [u64; 2],
    /// What it is, by the directory.
    pub checksum: u32,
}

impl Member {
    pub fn end(&self) -> u64 {
        self.at + self.len
    }
}

/// The members of file number `file`, in the order in which they lie, and the number of the file in which they are stored:
/// another one if any was compressed.
pub(super) fn open(files: &mut Files, file: usize) -> Result<(usize, Vec<Member>)> {
    let (members, in_place) = list(files, file)?;
    if in_place {
        return Ok((file, members));
    }
    let unpacked = unpack(files, file)?;
    let path = files.path(file).to_owned();
    let file = files.add_temporary(unpacked, &path)?;
    Ok((file, list(files, file)?.0))
}

fn unreadable(message: impl ToString) -> Problem {
    Problem::Unreadable { format: "zip directory", message: message.to_string() }
}

/// The members, and whether they can be used where they lie.
fn list(files: &Files, file: usize) -> Result<(Vec<Member>, bool)> {
    let refused = |problem| files.problem(file, problem);
    let mut archive = archive(files, file).map_err(|e| refused(unreadable(e)))?;
    if archive.has_duplicate_names() {
        return Err(refused(unreadable("two members have one name")));
    }
    let (mut members, mut all_stored, mut described, mut unpacked) = (Vec::new(), true, false, 0u64);
    for number in 0..archive.len() {
        let member = archive.by_index_raw(number).map_err(|e| refused(unreadable(e)))?;
        let name = member.name().map_err(|e| refused(unreadable(e)))?.into_owned();
        let about = |what: &str| refused(Problem::Member { member: name.clone(), what: what.to_owned() });
        if member.encrypted() {
            return Err(about("it is encrypted: unpack it first"));
        }
        let stored = match member.compression() {
            CompressionMethod::Stored if member.size() != member.compressed_size() => {
                return Err(about("it is stored, but its two lengths differ"));
            }
            CompressionMethod::Stored => true,
            CompressionMethod::Deflated => {
                unpacked = unpacked.saturating_add(member.size());
                false
            }
            other => {
                return Err(about(&format!("it is compressed as {other}: only stored and deflated ones are read")));
            }
        };
        let (at, len) = (member.data_start().unwrap_or(u64::MAX), member.size());
        let (local, central) = (member.header_start(), member.central_header_start());
        if stored && at.checked_add(len).is_none_or(|end| end > files.len(file)) {
            let (end, have) = (at.saturating_add(len), files.len(file));
            return Err(refused(Problem::PastEnd { what: format!("member {name:?}"), at, end, len: have }));
        }
        let checksum = member.crc32();
        drop(member);
        let mut header = [0; 8];
        files.read_at(file, local, &mut header)?;
        // Bit 3: the checksum stands behind the data, where there may be a second one and other lengths.
        described |= header[6] & 8 != 0;
        all_stored &= stored;
        let mut mark = [0; 4];
        files.read_at(file, central, &mut mark)?;
        if !header.starts_with(MAGIC) || mark != *b"PK\x01\x02" {
            return Err(about("its headers are not where the directory says"));
        }
        members.push(Member { name, at, len, checksums: [local + 14, central + 16], checksum });
    }
    if archive.has_overlapping_entries().map_err(|e| refused(unreadable(e)))? {
        return Err(refused(unreadable("members overlap, as they do in files that are made to do harm")));
    }
    let (len, max) = (files.len(file), files.len(file).saturating_mul(MAX_RATIO).max(ALWAYS_UNPACKED));
    if unpacked > max {
        return Err(refused(Problem::Bomb { unpacked, len, max }));
    }
    members.sort_by_key(|member| member.at);
    // Torch describes each member behind it. What is only read needs no more than the directory.
    let read_only = members.iter().any(|member: &Member| member.name.ends_with(PICKLE));
    Ok((members, all_stored && (!described || read_only)))
}

/// All members in a temporary file, stored.
fn unpack(files: &Files, file: usize) -> Result<std::fs::File> {
    let path = files.path(file);
    let refused = |problem| files.problem(file, problem);
    let mut archive = archive(files, file).map_err(|e| refused(unreadable(e)))?;
    let temporary = tempfile::tempfile().map_err(Error::io("create a temporary file to unpack", path))?;
    let mut to = ZipWriter::new(temporary);
    for number in 0..archive.len() {
        let mut member = archive.by_index(number).map_err(|e| refused(unreadable(e)))?;
        let name = member.name().map_err(|e| refused(unreadable(e)))?.into_owned();
        let about = |e: String| refused(Problem::Member { member: name.clone(), what: e });
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(member.size() >= u64::from(u32::MAX));
        let len = member.size();
        to.start_file(name.as_str(), options).map_err(|e| about(e.to_string()))?;
        // One byte more than it says it has would be found too; its checksum is compared at its end.
        let copied = io::copy(&mut (&mut member).take(len.saturating_add(1)), &mut to);
        match copied {
            Ok(copied) if copied == len => {}
            Ok(copied) => return Err(about(format!("it unpacks to {copied} bytes or more, and says {len}"))),
            Err(e) => return Err(about(format!("it cannot be unpacked: {e}"))),
        }
    }
    to.finish().map_err(|e| refused(unreadable(e)))
}

/// The directory, of which a bounded number of bytes is read.
fn archive<'a>(files: &'a Files, file: usize) -> ZipResult<ZipArchive<BufReader<Positioned<'a>>>> {
    check_counts(files, file)?;
    let left = Rc::new(Cell::new(MAX_DIRECTORY));
    let positioned = Positioned { files, file, at: 0, left: Rc::clone(&left) };
    let archive = ZipArchive::new(BufReader::with_capacity(4 << 10, positioned))?;
    left.set(u64::MAX);
    Ok(archive)
}

/// Refuses a directory of more members than one that is read in full could have: its reader makes room for them beforehand.
fn check_counts(files: &Files, file: usize) -> ZipResult<()> {
    let len = files.len(file);
    let start = len.saturating_sub(22 + u64::from(u16::MAX) + 20);
    let mut tail = vec![0; (len - start) as usize];
    let read = |at, buf: &mut [u8]| files.read_at(file, at, buf).map_err(|e| io::Error::other(e.to_string()));
    read(start, &mut tail)?;
    for (at, _) in tail.windows(4).enumerate().filter(|(_, mark)| mark == b"PK\x06\x07") {
        // A locator: of a directory's end with counts of 64 bits.
        let Some(offset) = tail.get(at + 8..at + 16) else { continue };
        let offset = u64::from_le_bytes(offset.try_into().expect("eight bytes"));
        let mut end = [0; 56];
        if offset.checked_add(56).is_some_and(|end| end <= len) {
            read(offset, &mut end)?;
        }
        let count = u64::from_le_bytes(end[32..40].try_into().expect("eight bytes"));
        if count > MAX_DIRECTORY / 46 {
            return Err(ZipError::InvalidArchive("it says that it has millions of members".into()));
        }
    }
    Ok(())
}

/// A file as the zip crate reads it.
struct Positioned<'a> {
    files: &'a Files,
    file: usize,
    at: u64,
    left: Rc<Cell<u64>>,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = (buf.len() as u64).min(self.files.len(self.file).saturating_sub(self.at)) as usize;
        let left = self.left.get().checked_sub(len as u64);
        self.left
            .set(left.ok_or_else(|| io::Error::other(format!("its directory has more than {MAX_DIRECTORY} bytes")))?);
        self.files.read_at(self.file, self.at, &mut buf[..len]).map_err(|e| io::Error::other(e.to_string()))?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Positioned<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.files.len(self.file).checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn members_that_are_described_behind_them_are_read_in_place_in_torch_files_only() {
        let in_place = |name: &str| {
            let mut file = ZipWriter::new(io::Cursor::new(Vec::new()));
            file.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
            io::Write::write_all(&mut file, b"0123").unwrap();
            let mut bytes = file.finish().unwrap().into_inner();
            // Bit 3 of the first member's flags.
            bytes[6] |= 8;
            let mut file = tempfile::tempfile().unwrap();
            io::Write::write_all(&mut file, &bytes).unwrap();
            let mut files = Files::default();
            let number = files.add_temporary(file, Path::new("m.zip")).unwrap();
            list(&files, number).unwrap().1
        };
        assert!(in_place("m/data.pkl"));
        assert!(!in_place("a.npy"));
    }
}
