//! What must hold of any header and any index: the bodies of the fuzz targets of those names.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::TensorInfo;
use super::header;
use super::index::WeightMap;
use super::tensor::duplicate;

/// A whole file: what the official crate refuses is refused, and what is accepted is what that crate sees in it and
/// tiles the data.
///
/// # Panics
/// If that does not hold.
pub fn header(file: &[u8]) {
    let ours = parse(file);
    let official = match SafeTensors::read_metadata(file) {
        Ok((_, official)) => official,
        Err(e) => return assert!(ours.is_none(), "only the official crate refuses it: {e}"),
    };
    let Some((start, tensors)) = ours else { return };
    let mut end = start;
    for info in &tensors {
        assert_eq!((info.range.start, info.shard), (end, 0));
        end = info.range.end;
        assert_eq!(info.needed(), Ok(info.bytes()));
        let theirs = official.info(&info.name).expect("both see it");
        assert_eq!(theirs.dtype, info.dtype);
        assert!(theirs.shape.iter().map(|d| *d as u64).eq(info.shape.iter().copied()));
        assert_eq!([theirs.data_offsets.0, theirs.data_offsets.1].map(|at| at as u64 + start), [info.range.start, end]);
    }
    assert_eq!(end, file.len() as u64);
    assert_eq!(official.tensors().len(), tensors.len());
    assert_eq!(duplicate(&tensors), None);
}

/// Where the data begins, and the tensors, of a file that is accepted.
fn parse(file: &[u8]) -> Option<(u64, Vec<TensorInfo>)> {
    let (first, rest) = file.split_first_chunk::<8>()?;
    let len = header::header_len(*first, file.len() as u64).ok()?;
    let tensors = header::parse(&rest[..len], file.len() as u64, 0).ok()?;
    Some((8 + len as u64, tensors))
}

/// An index: what is accepted is what another parser sees in it, shards have plain names, and it agrees with the tensors
/// that it names and with no others.
///
/// # Panics
/// If that does not hold.
pub fn index(bytes: &[u8]) {
    let Ok(map) = WeightMap::parse(bytes) else { return };
    let value: Value = serde_json::from_slice(bytes).expect("it is JSON");
    let entries = value["weight_map"].as_object().expect("it is there");
    let Ok(shards) = map.shards() else { return };
    for name in &shards {
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..", "{name:?}");
    }
    let tensor = |(name, shard): (&String, &Value)| {
        let shard = shard.as_str().expect("it is a string").to_owned();
        let mut info = TensorInfo::new(name.as_str(), Dtype::U8, []).expect("a scalar has its size");
        info.shard = shards.binary_search(&shard).expect("it is listed");
        info
    };
    let mut tensors: Vec<_> = entries.iter().map(tensor).collect();
    let shard = |number: usize| shards[number].as_str();
    assert_eq!(map.check(&tensors, shard), Ok(()));
    if let Some(last) = tensors.pop() {
        assert!(map.check(&tensors, shard).is_err(), "one is missing");
        tensors.push(TensorInfo { name: last.name.clone() + "x", ..last });
        assert!(map.check(&tensors, shard).is_err() || entries.contains_key(&tensors[tensors.len() - 1].name));
    }
}
