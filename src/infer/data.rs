//! Vectors that a network takes, and what they show.

use safetensors::Dtype as Stored;

use crate::checkpoint::{Checkpoint, TensorInfo, quoted};
use crate::{Error, Result};

/// Vectors, and the class of each, if they have any.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// Numbers of each vector.
    pub width: u64,
    /// The vectors, one behind the other; all numbers are finite.
    pub vectors: Vec<f32>,
    /// A class for each.
    pub labels: Option<Vec<u32>>,
}

impl Data {
    /// Reads vectors of `width` numbers, and their labels, from a checkpoint's tensors.
    ///
    /// `inputs` names an F32, F16 or BF16 tensor `[vectors, …]` whose other dimensions multiply to `width`; without a name it
    /// is the only such tensor. `labels` names an integer tensor `[vectors]`; without a name it is the only such tensor, and
    /// where there is none or there are several, the data has no labels.
    ///
    /// # Errors
    /// [`Error::Data`] where there is no such tensor or there are several, for another width than the network's, numbers that
    /// are not finite and labels that are no classes; those of reading.
    pub fn load(from: &Checkpoint, width: u64, inputs: Option<&str>, labels: Option<&str>) -> Result<Self> {
        let place = match inputs {
            Some(name) => by_name(from, name)?,
            None => the_only(from, width)?,
        };
        let info = &from.tensors()[place];
        let count = match vectors_of(info, width) {
            Ok(count) => count,
            Err(why) => return Err(bad(from, &info.name, why)),
        };
        let mut bytes = vec![0; info.bytes() as usize];
        from.read_at(place, 0, &mut bytes)?;
        let dtype = info.number().expect("looked at before");
        let vectors: Vec<f32> = (0..bytes.len() / dtype.size()).map(|i| dtype.value(dtype.bits(&bytes, i))).collect();
        if let Some(at) = vectors.iter().position(|x| !x.is_finite()) {
            return Err(bad(from, &info.name, format!("number {at} is {}, all are to be finite", vectors[at])));
        }
        let labels = match labels {
            Some(name) => Some(by_name(from, name)?),
            None => {
                let fits = |info: &TensorInfo| integer(info.dtype).is_some() && info.shape == [count];
                let mut fitting = (0..from.tensors().len()).filter(|&i| fits(&from.tensors()[i]));
                fitting.next().filter(|_| fitting.next().is_none())
            }
        };
        let labels = labels.map(|place| classes(from, place, count)).transpose()?;
        Ok(Self { width, vectors, labels })
    }

    /// How many vectors there are.
    pub fn count(&self) -> u64 {
        self.vectors.len() as u64 / self.width
    }
}

fn by_name(from: &Checkpoint, name: &str) -> Result<usize> {
    let found = from.tensors().iter().position(|info| info.name == name);
    found.ok_or_else(|| bad(from, name, "there is none of this name".into()))
}

/// How many vectors of this width a tensor holds, or why it holds none.
fn vectors_of(info: &TensorInfo, width: u64) -> Result<u64, String> {
    if info.number().is_none() {
        return Err(format!("it is {}: vectors are F32, F16 or BF16", info.dtype));
    }
    match &info.shape[..] {
        [] => Err("it is a scalar: vectors are [vectors, numbers]".into()),
        [0, ..] => Err("it has no vectors".into()),
        [count, rest @ ..] => {
            let have: u64 = rest.iter().product();
            if have == width {
                return Ok(*count);
            }
            Err(format!("shape {:?} holds vectors of {have} numbers, the network takes {width}", info.shape))
        }
    }
}

fn the_only(from: &Checkpoint, width: u64) -> Result<usize> {
    let fitting: Vec<usize> =
        (0..from.tensors().len()).filter(|&i| vectors_of(&from.tensors()[i], width).is_ok()).collect();
    match fitting[..] {
        [one] => Ok(one),
        [] => {
            let problem = format!("no tensor holds vectors of {width} numbers, which the network takes");
            Err(Error::Data { path: path(from), tensor: None, problem })
        }
        _ => {
            let names: Vec<_> = fitting.iter().take(8).map(|&i| quoted(&from.tensors()[i].name).to_string()).collect();
            let problem = format!("several tensors hold vectors of {width} numbers: name one of {}", names.join(", "));
            Err(Error::Data { path: path(from), tensor: None, problem })
        }
    }
}

/// Bytes of an integer type, and whether it has a sign.
fn integer(dtype: Stored) -> Option<(usize, bool)> {
    match dtype {
        Stored::U8 => Some((1, false)),
        Stored::I8 => Some((1, true)),
        Stored::U16 => Some((2, false)),
        Stored::I16 => Some((2, true)),
        Stored::U32 => Some((4, false)),
        Stored::I32 => Some((4, true)),
        Stored::U64 => Some((8, false)),
        Stored::I64 => Some((8, true)),
        _ => None,
    }
}

fn classes(from: &Checkpoint, place: usize, count: u64) -> Result<Vec<u32>> {
    let info = &from.tensors()[place];
    let Some((size, signed)) = integer(info.dtype) else {
        return Err(bad(from, &info.name, format!("it is {}: labels are integers", info.dtype)));
    };
    if info.shape != [count] {
        return Err(bad(from, &info.name, format!("shape {:?}, labels of {count} vectors are [{count}]", info.shape)));
    }
    let mut bytes = vec![0; info.bytes() as usize];
    from.read_at(place, 0, &mut bytes)?;
    let labels = bytes.chunks_exact(size).enumerate().map(|(i, element)| {
        let negative = signed && element[size - 1] & 0x80 != 0;
        let mut word = [0; 8];
        word[..size].copy_from_slice(element);
        let class = u32::try_from(u64::from_le_bytes(word)).ok().filter(|_| !negative);
        class.ok_or_else(|| bad(from, &info.name, format!("label {i} is no class: classes are 0 and up, below 2^32")))
    });
    labels.collect()
}

fn path(from: &Checkpoint) -> std::path::PathBuf {
    from.shards().first().map_or_else(Default::default, |shard| shard.path().to_path_buf())
}

fn bad(from: &Checkpoint, tensor: &str, problem: String) -> Error {
    Error::Data { path: path(from), tensor: Some(tensor.into()), problem }
}
