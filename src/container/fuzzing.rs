//! What must hold of any bytes in any format: the body of the fuzz target `container`.

use std::io::Write;

use super::{Container, Kind};
use crate::Error;

/// The most bytes that are read of one input: what is in bounds may be large.
const MOST_READ: u64 = 1 << 20;

/// A file: its first byte says by which name it is opened, the rest is what it holds. It is refused with a typed error whose
/// message can be printed, or every tensor can be read from its first byte to its last.
///
/// # Panics
/// If that does not hold.
pub fn container(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let kinds = [Kind::Npy, Kind::Npz, Kind::Torch, Kind::Gguf, Kind::Onnx, Kind::KerasWeights, Kind::KerasModel];
    let kind = kinds[usize::from(*first) % kinds.len()];
    let suffix = format!(".{}", kind.name());
    let mut file = tempfile::Builder::new().suffix(&suffix).tempfile().expect("there is room");
    file.write_all(rest).expect("there is room");
    let container = match Container::open(file.path()) {
        Ok(container) => container,
        Err(Error::Container { problem, .. }) => {
            let text = problem.to_string();
            return assert!(text.len() < 8000 && !text.contains(char::is_control), "{text:?}");
        }
        Err(Error::Io { .. } | Error::Header { .. } | Error::Checkpoint { .. }) => return,
        Err(other) => panic!("{other:?}"),
    };
    let mut left = MOST_READ;
    for (number, info) in container.tensors().iter().enumerate() {
        let len = info.bytes().min(left) / 16 * 16;
        let mut buf = vec![0; len as usize];
        container.read_at(number, 0, &mut buf).expect("what was checked can be read");
        let tail = info.bytes().min(16);
        container.read_at(number, info.bytes() - tail, &mut buf_of(tail)).expect("what was checked can be read");
        left -= len;
    }
}

fn buf_of(len: u64) -> Vec<u8> {
    vec![0; len as usize]
}
