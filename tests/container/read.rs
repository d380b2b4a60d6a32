//! Every tensor of every file, against what its package said when it wrote it.

use lopper::container::{Container, Kind};

use super::fixtures::{expected, files, fixture, read};

#[test]
fn every_tensor_has_the_name_type_shape_and_bits_that_its_package_gave_it() {
    let files = files();
    assert!(files.len() > 12, "{files:?}");
    for file in files {
        let (ours, theirs) = (read(&fixture(&file)), expected(&file));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{file}");
        for (name, known) in theirs {
            assert!(ours[&name] == known, "{file}: {name}: {:?} is not {known:?}", ours[&name]);
        }
    }
}

#[test]
fn any_range_of_whole_elements_is_the_same_as_in_the_whole() {
    for file in files() {
        let container = Container::open(&fixture(&file)).unwrap();
        for (number, info) in container.tensors().iter().enumerate() {
            let mut whole = vec![0; info.bytes() as usize];
            container.read_at(number, 0, &mut whole).unwrap();
            let size = info.dtype.bitsize() / 8;
            for len in [1, 2, 3, 7, 16].map(|n| n * size) {
                for from in (0..whole.len()).step_by(3 * size).filter(|from| from + len <= whole.len()) {
                    let mut part = vec![0xee; len];
                    container.read_at(number, from as u64, &mut part).unwrap();
                    assert_eq!(part, whole[from..from + len], "{file}: {}: {from}", info.name);
                }
            }
        }
    }
}

#[test]
fn what_a_file_is_its_contents_say() {
    for (name, kind) in [
        ("rows.npy", Kind::Npy),
        ("arrays.npz", Kind::Npz),
        ("state.pt", Kind::Torch),
        ("small.gguf", Kind::Gguf),
        ("inside.onnx", Kind::Onnx),
        ("network.weights.h5", Kind::KerasWeights),
        ("network.keras", Kind::KerasModel),
        ("expected.safetensors", Kind::Safetensors),
    ] {
        assert_eq!(Container::open(&fixture(name)).unwrap().kind(), kind);
        if kind != Kind::Onnx {
            let folder = tempfile::tempdir().unwrap();
            let other = folder.path().join("model.bin");
            std::fs::copy(fixture(name), &other).unwrap();
            assert_eq!(Container::open(&other).unwrap().kind(), kind);
        }
    }
}

#[test]
fn what_is_no_tensor_of_a_known_type_is_named() {
    for (file, name, what) in [
        ("small.gguf", "blk.0.ffn_down.weight", "GGUF type Q8_0"),
        ("objects.npz", "objects", "pickled Python objects"),
        ("bfloat16.npy", "bfloat16", "bfloat16, is not in the file"),
        ("typed.onnx", "longs", "not as raw_data"),
        ("odd.h5", "chunked", "HDF5 chunks or filters"),
        ("odd.h5", "text", "HDF5 texts"),
    ] {
        let container = Container::open(&fixture(file)).unwrap();
        let other = container.others().iter().find(|other| other.name == name);
        assert!(other.is_some_and(|other| other.what.contains(what)), "{file}: {:?}", container.others());
    }
}
