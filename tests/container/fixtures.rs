//! The files of `tests/data/containers`, and what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lopper::container::Container;
use lopper::safetensors::{Dtype, SafeTensors};

/// Where a fixture lies.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("LOPPER_TEST_ROOT"), "/tests/data/containers")).join(name)
}

/// A tensor as it is written down: type, shape, bytes.
pub type Known = (Dtype, Vec<u64>, Vec<u8>);

/// What the packages say is in a file, by the tensors' names.
pub fn expected(file: &str) -> BTreeMap<String, Known> {
    let bytes = std::fs::read(fixture("expected.safetensors")).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let names: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    let known = |name: &String| {
        let view = all.tensor(&format!("{file}/{name}")).unwrap();
        let shape = view.shape().iter().map(|dim| *dim as u64).collect();
        (name.clone(), (view.dtype(), shape, view.data().to_vec()))
    };
    names[file].iter().map(known).collect()
}

/// All files with tensors that are written down.
pub fn files() -> Vec<String> {
    let names: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    names.into_keys().collect()
}

/// What lopper reads of a file.
pub fn read(path: &Path) -> BTreeMap<String, Known> {
    let container = Container::open(path).unwrap_or_else(|e| panic!("{e}"));
    let tensor = |(number, info): (usize, &lopper::checkpoint::TensorInfo)| {
        let mut bytes = vec![0xee; info.bytes() as usize];
        container.read_at(number, 0, &mut bytes).unwrap();
        (info.name.clone(), (info.dtype, info.shape.clone(), bytes))
    };
    container.tensors().iter().enumerate().map(tensor).collect()
}
