//! From each format to each that can be made, and back: names, shapes, types and bits.

use std::ops::ControlFlow;
use std::path::Path;

use lopper::checkpoint::Unfinished;
use lopper::container::{Container, Converted, Kind, convert};

use super::fixtures::{fixture, read};

fn converted(input: &Path, output: &Path, force: bool) -> lopper::Result<Converted> {
    let kind = Kind::of_path(output).unwrap();
    convert(&Container::open(input)?, output, kind, force, &Unfinished::default(), &|_, _| ControlFlow::Continue(()))
}

#[test]
fn tensors_go_through_every_format_that_holds_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (input, formats) in [
        ("rows.npy", &["safetensors", "npy", "npz", "gguf", "onnx"][..]),
        ("columns.npy", &["safetensors", "npy", "npz", "gguf", "onnx"]),
        ("big.npy", &["safetensors", "npy", "npz", "gguf", "onnx"]),
        ("arrays.npz", &["safetensors", "npz", "onnx"]),
        ("compressed.npz", &["safetensors", "npz", "onnx"]),
        ("state.pt", &["safetensors", "onnx"]),
        ("training.pth", &["safetensors", "npz", "gguf", "onnx"]),
        ("aligned.gguf", &["safetensors", "gguf", "onnx"]),
        ("inside.onnx", &["safetensors", "onnx"]),
        ("beside/model.onnx", &["safetensors", "onnx"]),
        ("network.weights.h5", &["safetensors", "npz", "onnx"]),
        ("network.keras", &["safetensors", "npz", "onnx"]),
        ("expected.safetensors", &["safetensors", "onnx"]),
    ] {
        let want = read(&fixture(input));
        for format in formats {
            let (there, back) = (at(&format!("there.{format}")), at("back.safetensors"));
            let done = converted(&fixture(input), &there, true).unwrap_or_else(|e| panic!("{input} to {format}: {e}"));
            assert_eq!(done.tensors, want.len());
            // A .npy file has no names but its own.
            let values = |path: &Path| read(path).into_values().collect::<Vec<_>>();
            assert!(values(&there) == want.values().cloned().collect::<Vec<_>>(), "{input} to {format}");
            if *format != "npy" {
                assert!(read(&there) == want, "{input} to {format}");
            }
            converted(&there, &back, true).unwrap();
            assert!(values(&back) == values(&there), "{input} to {format} and back");
        }
    }
}

#[test]
fn what_a_format_does_not_hold_is_refused_by_name_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (input, output, why) in [
        ("aligned.gguf", "out.npz", "tensor `blk.0.attn_k.weight`: NumPy has no type BF16"),
        ("small.gguf", "out.safetensors", "tensor `blk.0.ffn_down.weight`: it is GGUF type Q8_0"),
        ("arrays.npz", "out.gguf", "GGUF has no type"),
        ("arrays.npz", "out.npy", "holds one array, and there are 12"),
        ("objects.npz", "out.safetensors", "tensor `objects`: it is NumPy type O"),
        ("rows.npy", "out.pt", "PyTorch files are read, not written"),
        ("rows.npy", "out.keras", "Keras files are read, not written"),
        ("state.pt", "out.gguf", "GGUF has no type U8"),
    ] {
        let error = converted(&fixture(input), &at(output), false).unwrap_err().to_string();
        assert!(error.contains(why), "{input} to {output}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_output_that_exists_or_is_the_input_stays_and_a_stop_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::copy(fixture("rows.npy"), at("rows.npy")).unwrap();
    std::fs::write(at("there.npz"), "mine").unwrap();
    assert!(converted(&at("rows.npy"), &at("there.npz"), false).unwrap_err().to_string().contains("it exists"));
    assert!(converted(&at("rows.npy"), &at("rows.npy"), true).unwrap_err().to_string().contains("a file of the input"));
    assert_eq!(std::fs::read(at("there.npz")).unwrap(), b"mine");
    assert_eq!(std::fs::read(at("rows.npy")).unwrap(), std::fs::read(fixture("rows.npy")).unwrap());
    let input = Container::open(&at("rows.npy")).unwrap();
    let stopped =
        convert(&input, &at("out.npz"), Kind::Npz, false, &Unfinished::default(), &|_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(lopper::Error::Cancelled)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_safetensors_file_keeps_its_metadata_and_one_of_torch_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let metadata = |path: &Path| {
        let checkpoint = lopper::checkpoint::Checkpoint::open(path).unwrap();
        ["format", "by"].map(|key| checkpoint.metadata(key).unwrap())
    };
    converted(&fixture("state.pt"), &at("torch.safetensors"), false).unwrap();
    assert_eq!(metadata(&at("torch.safetensors")), [Some("pt".to_owned()), None]);
    converted(&fixture("rows.npy"), &at("numpy.safetensors"), false).unwrap();
    assert_eq!(metadata(&at("numpy.safetensors")), [None, None]);
    let header = r#"{"__metadata__":{"by":"me","format":"tf"},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let header = format!("{header:<128}");
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[7]].concat();
    std::fs::write(at("mine.safetensors"), file).unwrap();
    converted(&at("mine.safetensors"), &at("again.safetensors"), false).unwrap();
    assert_eq!(metadata(&at("again.safetensors")), [Some("tf".to_owned()), Some("me".to_owned())]);
}
