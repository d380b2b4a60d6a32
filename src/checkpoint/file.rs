//! What std lacks: positioned reads and writes on every platform, a file's identity, and a bounded set of open files.

use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Result;

/// What a path's file is, whatever it is called: device and inode. Not known outside of unix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity(Option<(u64, u64)>);

impl Identity {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(Some((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Metadata) -> Self {
        Self(None)
    }

    /// Known to be the same file, under whichever name.
    pub(super) fn is(self, other: Self) -> bool {
        self.0.is_some() && self.0 == other.0
    }

    /// Known to be another file.
    pub(super) fn differs(self, other: Self) -> bool {
        self.0.is_some() && other.0.is_some() && self.0 != other.0
    }
}

/// Files held open, the least recently used closed first.
///
/// Large checkpoints have hundreds of shards, and some systems allow 256 open files.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<Vec<(usize, Arc<File>)>>);

impl Handles {
    pub(super) const MOST: usize = 48;

    /// The open file of shard `id`, and the one that made way for it if there was one.
    pub(crate) fn get(&self, id: usize, open: impl FnOnce() -> Result<File>) -> Result<(Arc<File>, Option<Arc<File>>)> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = held.iter().rposition(|(other, _)| *other == id) {
            let entry = held.remove(at);
            let file = Arc::clone(&entry.1);
            held.push(entry);
            return Ok((file, None));
        }
        let file = Arc::new(open()?);
        let evicted = if held.len() == Self::MOST { Some(held.remove(0).1) } else { None };
        held.push((id, Arc::clone(&file)));
        Ok((file, evicted))
    }
}

/// Fills `buf` from byte `at` on.
pub(crate) fn read_exact_at(file: &File, buf: &mut [u8], at: u64) -> io::Result<()> {
    let len = buf.len();
    let all = in_pieces(len, |done| read_some(file, &mut buf[done..], at + done as u64))?;
    if all { Ok(()) } else { Err(shrank(file, at..at + len as u64)) }
}

/// Writes all of `bytes` from byte `at` on.
pub(super) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let all = in_pieces(bytes.len(), |done| write_some(file, &bytes[done..], at + done as u64))?;
    if all { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Does `len` bytes, of which each call of `some(done)` does as many as it likes; false if one does none.
fn in_pieces(len: usize, mut some: impl FnMut(usize) -> io::Result<usize>) -> io::Result<bool> {
    let mut done = 0;
    while done < len {
        match some(done) {
            Ok(0) => return Ok(false),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

#[cfg(unix)]
fn read_some(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, at)
}

#[cfg(unix)]
fn write_some(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, at)
}

#[cfg(windows)]
fn read_some(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    match std::os::windows::fs::FileExt::seek_read(file, buf, at) {
        Err(e) if e.raw_os_error() == Some(38) => Ok(0), // ERROR_HANDLE_EOF
        other => other,
    }
}

#[cfg(windows)]
fn write_some(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, at)
}

/// Copies `range` to byte `at` of another file. Moves the positions of both, so both must be the caller's own.
pub(super) fn copy_range(mut from: &File, range: Range<u64>, mut to: &File, at: u64) -> io::Result<()> {
    from.seek(SeekFrom::Start(range.start))?;
    to.seek(SeekFrom::Start(at))?;
    if copy_bytes(from, to, range.end - range.start)? { Ok(()) } else { Err(shrank(from, range)) }
}

/// Copies `len` bytes from one position to the other; false if there were fewer.
///
/// On Linux, std turns this into `copy_file_range`: the bytes never leave the kernel, and some file systems share them.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn copy_bytes(from: &File, mut to: &File, len: u64) -> io::Result<bool> {
    Ok(io::copy(&mut io::Read::take(from, len), &mut to)? == len)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn copy_bytes(mut from: &File, mut to: &File, len: u64) -> io::Result<bool> {
    use io::{Read, Write};
    let mut buffer = vec![0; len.min(1 << 20) as usize];
    let mut left = len;
    while left > 0 {
        let wanted = left.min(buffer.len() as u64) as usize;
        match from.read(&mut buffer[..wanted]) {
            Ok(0) => return Ok(false),
            Ok(n) => {
                to.write_all(&buffer[..n])?;
                left -= n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

fn shrank(file: &File, wanted: Range<u64>) -> io::Error {
    let now = file.metadata().map_or_else(|_| "fewer".to_owned(), |m| m.len().to_string());
    let Range { start, end } = wanted;
    let message = format!("the file shrank while it was read: wanted bytes {start}..{end}, it now has {now}");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_stay_open_and_the_oldest_makes_way() {
        let handles = Handles::default();
        let temp = tempfile::tempfile().unwrap();
        for id in 0..Handles::MOST {
            assert!(handles.get(id, || Ok(temp.try_clone().unwrap())).unwrap().1.is_none());
        }
        assert!(handles.get(0, || panic!("it is open")).unwrap().1.is_none());
        assert!(handles.get(1000, || Ok(temp.try_clone().unwrap())).unwrap().1.is_some());
        handles.get(0, || panic!("it was used last but one")).unwrap();
        let mut reopened = false;
        let open = || {
            reopened = true;
            Ok(temp.try_clone().unwrap())
        };
        handles.get(1, open).unwrap();
        assert!(reopened);
    }

    #[test]
    fn short_and_interrupted_pieces_add_up() {
        use io::ErrorKind::{Interrupted, TimedOut};
        let run = |len, steps: &[io::Result<usize>]| {
            let mut steps = steps.iter().map(|step| match step {
                Ok(n) => Ok(*n),
                Err(e) => Err(io::Error::from(e.kind())),
            });
            let mut seen = Vec::new();
            let done = in_pieces(len, |done| {
                seen.push(done);
                steps.next().expect("no call too many")
            });
            (done.map_err(|e| e.kind()), seen)
        };
        assert_eq!(run(0, &[]), (Ok(true), vec![]));
        assert_eq!(run(5, &[Ok(1), Err(Interrupted.into()), Ok(3), Ok(1)]), (Ok(true), vec![0, 1, 1, 4]));
        assert_eq!(run(5, &[Ok(4), Ok(0)]), (Ok(false), vec![0, 4]));
        assert_eq!(run(5, &[Ok(4), Err(TimedOut.into())]), (Err(TimedOut), vec![0, 4]));
    }

    #[test]
    fn positioned_io_and_what_a_shrunken_file_says() {
        let (a, b) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        write_all_at(&a, b"0123456789", 5).unwrap();
        let mut buf = [0; 4];
        read_exact_at(&a, &mut buf, 7).unwrap();
        assert_eq!(&buf, b"2345");
        copy_range(&a, 6..9, &b, 1).unwrap();
        read_exact_at(&b, &mut buf, 0).unwrap();
        assert_eq!(&buf, b"\x00123");
        for e in [read_exact_at(&a, &mut buf, 13).unwrap_err(), copy_range(&a, 13..17, &b, 13).unwrap_err()] {
            let message = "the file shrank while it was read: wanted bytes 13..17, it now has 15";
            assert_eq!(e.to_string(), message);
        }
    }
}
