//! Checkpoints as a user of the library sees them: hostile files are refused, outputs appear whole or not at all.

#[path = "checkpoint/fresh.rs"]
mod fresh;
#[path = "checkpoint/headers.rs"]
mod headers;
#[path = "checkpoint/index.rs"]
mod index;
#[path = "checkpoint/outputs.rs"]
mod outputs;
#[cfg(unix)]
#[path = "checkpoint/unix.rs"]
mod unix;

use std::fs;
use std::path::{Path, PathBuf};

use lopper::Error;
use lopper::checkpoint::*;
use proptest::prelude::*;
use safetensors::SafeTensors;

/// A safetensors file of this header and so many bytes of data, none of them 0.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend((0..data).map(|i| (i % 255) as u8 + 1));
    bytes
}

fn entry(dtype: &str, shape: &str, begin: u64, end: u64) -> String {
    format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

/// Two shards, tensors out of the order of their names, metadata, padding.
fn shard_a() -> Vec<u8> {
    let (a, b) = (entry("F32", "[2,3]", 0, 24), entry("U8", "[5]", 24, 29));
    let (c, d) = (entry("F16", "[]", 29, 31), entry("F64", "[0,3]", 31, 31));
    file(&format!(r#"{{"__metadata__":{{"format":"pt"}},"w":{a},"b":{b},"m":{c},"none":{d}}}   "#), 31)
}

fn shard_b() -> Vec<u8> {
    file(&format!(r#"{{"v":{}}}"#, entry("BF16", "[4]", 0, 8)), 8)
}

const INDEX: &str = r#"{ "metadata": {"total_size": 39},
  "weight_map": {"v": "b.safetensors", "w": "a.safetensors", "b": "a.safetensors", "m": "a.safetensors",
                 "none": "a.safetensors"} }
"#;

fn sharded(folder: &Path) {
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("a.safetensors"), shard_a()).unwrap();
    fs::write(folder.join("b.safetensors"), shard_b()).unwrap();
    fs::write(folder.join("model.safetensors.index.json"), INDEX).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join(".gitattributes"), "x").unwrap();
    fs::write(folder.join(".lopper-old"), "left by a killed run").unwrap();
    fs::write(folder.join("sub/file"), "not copied").unwrap();
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn header_problem(bytes: &[u8]) -> Option<HeaderProblem> {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("x.safetensors");
    fs::write(&path, bytes).unwrap();
    match Checkpoint::open(&path) {
        Ok(_) => None,
        Err(Error::Header { problem, path: named }) => {
            assert_eq!(named, path);
            assert!(!problem.to_string().is_empty());
            Some(problem)
        }
        Err(other) => panic!("{other}"),
    }
}

fn checkpoint_problem(path: &Path) -> CheckpointProblem {
    match Checkpoint::open(path) {
        Err(Error::Checkpoint { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

fn output_reason(input: &Checkpoint, output: &Path, force: bool) -> String {
    match Output::create(input, output, force) {
        Err(Error::Output { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tensors_come_in_file_order_and_are_read_in_pieces() {
    let temp = tempfile::tempdir().unwrap();
    sharded(temp.path());
    for input in [temp.path().to_owned(), temp.path().join("model.safetensors.index.json")] {
        let checkpoint = Checkpoint::open(&input).unwrap();
        let names: Vec<_> = checkpoint.tensors().iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["w", "b", "m", "none", "v"]);
        let shards: Vec<_> = checkpoint.shards().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(shards, ["a.safetensors", "b.safetensors"]);
        assert_eq!(checkpoint.total_bytes(), (shard_a().len() + shard_b().len()) as u64);
        assert_eq!(checkpoint.shards()[1].path(), temp.path().join("b.safetensors"));

        let mut buf = [0; 3];
        checkpoint.read_at(1, 2, &mut buf).unwrap();
        assert_eq!(buf, [27, 28, 29]);
        checkpoint.read_at(1, 5, &mut []).unwrap();
        for (tensor, offset) in [(1, 3), (1, u64::MAX), (3, 0), (5, 0)] {
            let error = checkpoint.read_at(tensor, offset, &mut buf).unwrap_err();
            assert!(matches!(error, Error::Checkpoint { .. }), "{error}");
        }
        // A folder without an index.
        if input == temp.path() {
            fs::rename(temp.path().join("model.safetensors.index.json"), temp.path().join("kept")).unwrap();
            assert_eq!(Checkpoint::open(&input).unwrap().tensors(), checkpoint.tensors());
            fs::rename(temp.path().join("kept"), temp.path().join("model.safetensors.index.json")).unwrap();
        }
    }
}

#[test]
fn a_file_that_shrinks_says_so() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a.safetensors");
    fs::write(&path, shard_b()).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let output = Output::create(&checkpoint, &temp.path().join("out"), false).unwrap();
    let len = shard_b().len() as u64;
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len - 1).unwrap();
    let error = checkpoint.read_at(0, 0, &mut [0; 8]).unwrap_err().to_string();
    let shrank = format!("the file shrank while it was read: wanted bytes {}..{len}, it now has {}", len - 8, len - 1);
    assert!(error.contains("tensor `v`") && error.contains("a.safetensors") && error.contains(&shrank), "{error}");
    let error = output.copy_rest(&|_| false, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("shrank") && error.contains("a.safetensors"), "{error}");
}

#[test]
fn an_input_that_is_written_to_is_noticed_before_the_commit() {
    let temp = tempfile::tempdir().unwrap();
    let (input, output) = (temp.path().join("in"), temp.path().join("new/out"));
    let (len, open) = (shard_b().len() as u64, |path: &Path| fs::File::options().write(true).open(path).unwrap());
    let later = || std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    type Change<'a> = (&'a dyn Fn(&Path), u64);
    let changes: [Change<'_>; 3] = [
        (&|path| open(path).set_modified(later()).unwrap(), len),
        (&|path| open(path).set_len(len + 1).unwrap(), len + 1),
        (&|path| open(path).set_len(len - 1).unwrap(), len - 1),
    ];
    for (change, then) in changes {
        // Before anything is read, and once everything was.
        for early in [true, false] {
            sharded(&input);
            let checkpoint = Checkpoint::open(&input).unwrap();
            let pending = Output::create(&checkpoint, &output, false).unwrap();
            if early && then >= len {
                change(&input.join("b.safetensors"));
            }
            checkpoint.read_at(4, 0, &mut [0; 8]).unwrap();
            pending.copy_rest(&|_| false, &|_| {}).unwrap();
            change(&input.join("b.safetensors"));
            match pending.commit().unwrap_err() {
                Error::Checkpoint { path, problem: CheckpointProblem::Changed { len: had, now } } => {
                    assert_eq!((path, had, now), (input.join("b.safetensors"), len, then));
                }
                other => panic!("{other}"),
            }
            assert!(!temp.path().join("new").exists());
        }
    }
}
