//! Checkpoints as a user of the library sees them: hostile files are refused, outputs appear whole or not at all.

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
fn hostile_headers_are_each_refused_for_their_reason() {
    use HeaderProblem as P;
    macro_rules! refused {
        ($bytes:expr, $pattern:pat) => {{
            let problem = header_problem(&$bytes);
            assert!(matches!(problem, Some($pattern)), "{:?} at line {}", problem, line!());
        }};
    }
    let one = |dtype: &str, shape: &str, begin, end, data| {
        file(&format!(r#"{{"t":{}}}"#, entry(dtype, shape, begin, end)), data)
    };
    refused!([], P::TooShort { len: 0 });
    refused!([0; 7], P::TooShort { len: 7 });
    refused!([0xff; 8], P::TooLong { header: u64::MAX, max: MAX_HEADER_BYTES });
    refused!(100_000_001u64.to_le_bytes(), P::TooLong { .. });
    refused!(100_000_000u64.to_le_bytes(), P::PastEnd { end: 100_000_008, len: 8 });
    refused!([0; 8], P::NotAnObject);
    refused!(file(" {}", 0), P::NotAnObject);
    refused!(file("[]", 0), P::NotAnObject);
    refused!([&[3, 0, 0, 0, 0, 0, 0, 0][..], b"{\"\xff"].concat(), P::NotUtf8 { at: 2 });
    refused!(file("{", 0), P::Json { .. });
    refused!(file("{}{}", 0), P::Json { .. });
    refused!(file("{}\0", 0), P::Json { .. });
    refused!(file(r#"{"\ud800":1}"#, 0), P::Json { .. });
    refused!(file(r#"{"t":1}"#, 0), P::Entry { .. });
    refused!(file(r#"{"t":["F32",[1],[0,4]]}"#, 4), P::Entry { .. });
    refused!(file(&format!(r#"{{"t":{{"x":{}"#, "[".repeat(1 << 20)), 0), P::Entry { .. });
    refused!(one("U8", "[1.0]", 0, 1, 1), P::Entry { .. });
    refused!(one("U8", "[-1]", 0, 1, 1), P::Entry { .. });
    refused!(one("U8", "[18446744073709551616]", 0, 1, 1), P::Entry { .. });
    refused!(one("U8", "1", 0, 1, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}"#, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":{"U8":null},"shape":[1],"data_offsets":[0,1]}}"#, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1e999}}"#, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":"U8","shape":[1]}}"#, 1), P::MissingKey { key: "data_offsets", .. });
    refused!(file(r#"{"t":{"dtype":"U8","data_offsets":[0,1]}}"#, 1), P::MissingKey { key: "shape", .. });
    refused!(file(r#"{"t":{}}"#, 1), P::MissingKey { key: "dtype", .. });
    refused!(file(r#"{"t":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1), P::DuplicateKey { .. });
    refused!(file(r#"{"t":{"x":1,"x":2,"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1), P::DuplicateKey { .. });
    let same = entry("U8", "[1]", 0, 1);
    refused!(file(&format!(r#"{{"t":{same},"t":{same}}}"#), 1), P::DuplicateName { .. });
    refused!(file(&format!(r#"{{"t":{same},"\u0074":{same}}}"#), 1), P::DuplicateName { .. });
    refused!(file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), P::DuplicateName { .. });
    refused!(file(r#"{"__metadata__":{"a":"","a":""}}"#, 0), P::DuplicateName { .. });
    refused!(file(r#"{"__metadata__":{"a":1}}"#, 0), P::Metadata { .. });
    refused!(file(r#"{"__metadata__":[]}"#, 0), P::Metadata { .. });
    refused!(one("F33", "[1]", 0, 4, 4), P::UnknownDtype { .. });
    refused!(one("f32", "[1]", 0, 4, 4), P::UnknownDtype { .. });
    refused!(one("U8", "[4294967296,4294967296]", 0, 1, 1), P::Overflow { .. });
    refused!(one("F64", "[2305843009213693952]", 0, 1, 1), P::Overflow { .. });
    refused!(one("U8", "[0,4294967296,4294967296]", 0, 0, 0), P::Overflow { .. });
    refused!(one("F4", "[3]", 0, 2, 2), P::PartialByte { bits: 12, .. });
    refused!(one("F6_E2M3", "[1]", 0, 1, 1), P::PartialByte { bits: 6, .. });
    refused!(one("U8", "[1]", 1, 0, 1), P::Reversed { begin: 1, end: 0, .. });
    refused!(one("F32", "[1]", 0, 3, 3), P::Size { needed: 4, have: 3, .. });
    refused!(one("U8", "[]", 0, 0, 0), P::Size { needed: 1, have: 0, .. });
    refused!(one("U8", "[1]", 1, 2, 2), P::Hole { begin: 1, previous_end: 0, .. });
    refused!(one("U8", "[2]", 0, 2, 1), P::PastData { end: 2, data: 1, .. });
    refused!(one("U8", "[18446744073709551615]", 0, u64::MAX, 1), P::Overflow { .. });
    refused!(one("U8", "[2305843009213693951]", 0, u64::MAX >> 3, 1), P::PastData { .. });
    refused!(one("U8", "[1]", 0, 1, 2), P::Trailing { covered: 1, data: 2 });
    refused!(file("{}", 1), P::Trailing { covered: 0, data: 1 });
    let two = |begin, end, data| {
        file(&format!(r#"{{"a":{},"b":{}}}"#, entry("U8", "[4]", 0, 4), entry("U8", "[2]", begin, end)), data)
    };
    refused!(two(3, 5, 5), P::Overlap { begin: 3, previous_end: 4, .. });
    refused!(two(0, 4, 4), P::Size { .. } | P::Overlap { .. });
    refused!(two(5, 7, 7), P::Hole { begin: 5, previous_end: 4, .. });

    for valid in
        [file("{}", 0), file("{} \n", 0), file(r#"{"__metadata__":null}"#, 0), shard_a(), shard_b(), two(4, 6, 6)]
    {
        assert_eq!(header_problem(&valid), None);
        SafeTensors::read_metadata(&valid).unwrap();
    }
    let unknown_key = file(r#"{"t":{"dtype":"U8","x":[{}],"shape":[1],"data_offsets":[0,1]}}"#, 1);
    assert_eq!(header_problem(&unknown_key), None);
    SafeTensors::read_metadata(&unknown_key).unwrap();
}

/// Pieces that turn one valid header into another, or nearly.
const PIECES: &str = r#"0 1 9 , " { } [ ] - .0 e9 null \ud800 "w": "x":1e999, "dtype":"F4", "x":[[{}]], [0,0]
    18446744073709551615 __metadata__ F8_E4M3 é "#;

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PIECES.split_whitespace().chain(["", " ", "\0"]).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_official_crate_refuses_is_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, piece()), 0..3),
        inserts in prop::collection::vec((any::<prop::sample::Index>(), piece()), 0..3),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        data in 28usize..34,
        mend_length in prop::bool::weighted(0.9),
    ) {
        let original = shard_a();
        let mut header = original[8..original.len() - 31].to_vec();
        for (at, cut, piece) in edits {
            let at = at.index(header.len() + 1);
            let end = (at + cut).min(header.len());
            header.splice(at..end, piece.bytes());
        }
        // These go where a value or a key may begin, so that what comes out is more often still JSON.
        for (at, piece) in inserts {
            let starts: Vec<usize> = (1..=header.len()).filter(|at| b"{[,:".contains(&header[at - 1])).collect();
            if !starts.is_empty() {
                let at = starts[at.index(starts.len())];
                header.splice(at..at, piece.bytes());
            }
        }
        let mut bytes = if mend_length { (header.len() as u64).to_le_bytes().to_vec() } else { original[..8].to_vec() };
        bytes.extend_from_slice(&header);
        bytes.resize(bytes.len() + if data < 32 { 31 } else { data }, 1);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let ours = header_problem(&bytes);
        if let Err(official) = SafeTensors::read_metadata(&bytes) {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(ours.is_some(), "only the official crate refuses: {official}: {text:?}");
        }
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
fn a_sharded_copy_is_identical_but_for_what_is_written() {
    let temp = tempfile::tempdir().unwrap();
    let (input, output) = (temp.path().join("in"), temp.path().join("new/parents/out"));
    sharded(&input);
    let checkpoint = Checkpoint::open(&input).unwrap();
    let pending = Output::create(&checkpoint, &output, false).unwrap();
    std::thread::scope(|scope| {
        for half in [0, 12] {
            let pending = &pending;
            scope.spawn(move || pending.write_at(0, half, &[0; 12]).unwrap());
        }
    });
    pending.write_at(4, 0, &[9; 8]).unwrap();
    let error = pending.write_at(4, 1, &[9; 8]).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { problem: CheckpointProblem::OutOfTensor { .. }, .. }), "{error}");
    let copied = std::cell::Cell::new(0);
    pending.copy_rest(&|tensor| tensor == 0 || tensor == 4, &|n| copied.set(copied.get() + n)).unwrap();
    assert_eq!(copied.get(), checkpoint.total_bytes() - 24 - 8);
    assert!(listing(&output).iter().all(|name| name.starts_with(".lopper-")));
    let committed = pending.commit().unwrap();

    let files = [".gitattributes", "a.safetensors", "b.safetensors", "config.json", "model.safetensors.index.json"];
    assert_eq!(listing(&output), files);
    let (mut a, mut b) = (shard_a(), shard_b());
    let (a_data, b_data) = (a.len() - 31, b.len() - 8);
    a[a_data..a_data + 24].fill(0);
    b[b_data..].fill(9);
    assert_eq!(fs::read(output.join("a.safetensors")).unwrap(), a);
    assert_eq!(fs::read(output.join("b.safetensors")).unwrap(), b);
    for same in [".gitattributes", "config.json", "model.safetensors.index.json"] {
        assert_eq!(fs::read(output.join(same)).unwrap(), fs::read(input.join(same)).unwrap());
    }
    assert_eq!(committed.files, files.len());
    assert_eq!(committed.bytes, files.iter().map(|f| fs::metadata(output.join(f)).unwrap().len()).sum::<u64>());
    assert_eq!(committed.path, fs::canonicalize(&output).unwrap());
    assert_eq!(committed.skipped, ["sub"]);
}

#[test]
fn more_shards_than_are_held_open() {
    let temp = tempfile::tempdir().unwrap();
    let (input, output) = (temp.path().join("in"), temp.path().join("out"));
    fs::create_dir(&input).unwrap();
    for i in 0..130 {
        let header = format!(r#"{{"t{i}":{}}}"#, entry("U8", "[3]", 0, 3));
        fs::write(input.join(format!("{i:03}.safetensors")), file(&header, 3)).unwrap();
    }
    let checkpoint = Checkpoint::open(&input).unwrap();
    let pending = Output::create(&checkpoint, &output, false).unwrap();
    for offset in 0..3 {
        for tensor in 0..130 {
            let mut byte = [0];
            checkpoint.read_at(tensor, offset, &mut byte).unwrap();
            pending.write_at(tensor, offset, &byte).unwrap();
        }
    }
    pending.copy_rest(&|_| true, &|_| {}).unwrap();
    pending.commit().unwrap();
    for name in listing(&input) {
        assert_eq!(fs::read(input.join(&name)).unwrap(), fs::read(output.join(&name)).unwrap());
    }
}

#[test]
fn dropped_or_unfinished_outputs_leave_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (input, output) = (temp.path().join("in"), temp.path().join("new/out"));
    sharded(&input);
    let checkpoint = Checkpoint::open(&input).unwrap();
    let pending = || Output::create(&checkpoint, &output, false).unwrap();

    let dropped = pending();
    dropped.copy_rest(&|_| false, &|_| {}).unwrap();
    assert_eq!(listing(&output).len(), 2);
    drop(dropped);
    assert!(!temp.path().join("new").exists());

    let error = pending().commit().unwrap_err();
    assert!(matches!(error, Error::Checkpoint { problem: CheckpointProblem::RestNotCopied, .. }), "{error}");
    let partly = pending();
    partly.write_at(0, 0, &[1; 23]).unwrap();
    partly.copy_rest(&|tensor| tensor == 0, &|_| {}).unwrap();
    let error = partly.commit().unwrap_err();
    let unwritten = |p: &CheckpointProblem| matches!(p, CheckpointProblem::Unwritten { written: 23, len: 24, .. });
    assert!(matches!(&error, Error::Checkpoint { problem, .. } if unwritten(problem)), "{error}");
    let stopped = pending().try_copy_rest(&|_| false, &|_| Err(Error::Cancelled)).unwrap_err();
    assert!(matches!(stopped, Error::Cancelled));
    assert!(!temp.path().join("new").exists());

    // A file to be copied at the end is gone: what was there before stays, the new folder goes.
    let late = pending();
    late.copy_rest(&|_| false, &|_| {}).unwrap();
    fs::remove_file(input.join("config.json")).unwrap();
    assert!(matches!(late.commit().unwrap_err(), Error::Io { .. }));
    assert!(!temp.path().join("new").exists());

    // One final name is taken while the output is written: those renamed before it go again, the stranger stays.
    let raced = pending();
    raced.copy_rest(&|_| false, &|_| {}).unwrap();
    fs::write(output.join("b.safetensors"), "a stranger's").unwrap();
    assert!(matches!(raced.commit().unwrap_err(), Error::Output { .. }));
    assert_eq!(listing(&output), ["b.safetensors"]);
    assert_eq!(fs::read(output.join("b.safetensors")).unwrap(), b"a stranger's");
}

#[test]
fn an_abandoned_output_is_gone_or_whole_and_whoever_writes_it_waits() {
    let temp = tempfile::tempdir().unwrap();
    let (input, output) = (temp.path().join("in"), temp.path().join("new/out"));
    sharded(&input);
    let checkpoint = Checkpoint::open(&input).unwrap();
    let pending = |unfinished| {
        let pending = Output::create_noting(&checkpoint, &output, false, unfinished).unwrap();
        pending.copy_rest(&|_| false, &|_| {}).unwrap();
        pending
    };
    // Nothing was made yet.
    assert!(!Unfinished::default().abandon());

    let unfinished = Unfinished::default();
    let half = pending(&unfinished);
    assert!(!unfinished.clone().abandon());
    assert_eq!(listing(temp.path()), ["in"]);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = half.commit();
        let _ = tell.send(());
    });
    let waits = told.recv_timeout(std::time::Duration::from_millis(100));
    assert_eq!(waits, Err(std::sync::mpsc::RecvTimeoutError::Timeout));
    assert_eq!(listing(temp.path()), ["in"]);

    let unfinished = Unfinished::default();
    pending(&unfinished).commit().unwrap();
    assert!(unfinished.abandon());
    assert_eq!(listing(&output).len(), 5);
}

#[test]
fn single_files_go_where_they_are_told() {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name);
    fs::write(path("in.safetensors"), shard_a()).unwrap();
    fs::create_dir(path("there")).unwrap();
    let checkpoint = Checkpoint::open(&path("in.safetensors")).unwrap();
    let cases =
        [("out.safetensors", "out.safetensors"), ("there", "there/in.safetensors"), ("new/", "new/in.safetensors")];
    for (output, at) in cases {
        let pending = Output::create(&checkpoint, &PathBuf::from(format!("{}/{output}", temp.path().display())), false);
        let pending = pending.unwrap();
        pending.copy_rest(&|_| false, &|_| {}).unwrap();
        assert!(!path(at).exists());
        assert_eq!(pending.commit().unwrap().path, fs::canonicalize(path(at)).unwrap());
        assert_eq!(fs::read(path(at)).unwrap(), shard_a());
    }
    assert_eq!(listing(temp.path()), ["in.safetensors", "new", "out.safetensors", "there"]);

    assert!(output_reason(&checkpoint, &path("out.safetensors"), false).contains("it exists"));
    assert!(output_reason(&checkpoint, &path("there"), false).contains("it exists"));
    fs::write(path("out.safetensors"), "old").unwrap();
    let forced = Output::create(&checkpoint, &path("out.safetensors"), true).unwrap();
    forced.copy_rest(&|_| false, &|_| {}).unwrap();
    assert_eq!(fs::read(path("out.safetensors")).unwrap(), b"old");
    forced.commit().unwrap();
    assert_eq!(fs::read(path("out.safetensors")).unwrap(), shard_a());
    assert!(output_reason(&checkpoint, &path("in.safetensors"), true).contains("of the input"));
    assert!(output_reason(&checkpoint, temp.path(), true).contains("of the input"));
    assert!(output_reason(&checkpoint, &path("nowhere/../in.safetensors"), true).contains(".."));
}

#[test]
fn folders_are_not_overwritten_nor_nested() {
    let temp = tempfile::tempdir().unwrap();
    let (input, output) = (temp.path().join("in"), temp.path().join("out"));
    sharded(&input);
    let checkpoint = Checkpoint::open(&input).unwrap();
    for inside in [input.clone(), input.join("sub"), input.join("new/deep"), temp.path().join("in/../in/x")] {
        assert!(output_reason(&checkpoint, &inside, true).contains("inside the input"));
    }
    assert_eq!(listing(&input.join("sub")), ["file"]);

    fs::create_dir(&output).unwrap();
    fs::write(output.join(".lopper-left"), "by a killed run").unwrap();
    drop(Output::create(&checkpoint, &output, false).unwrap());
    assert!(output.is_dir(), "it was there before");
    fs::write(output.join("mine"), "stays").unwrap();
    fs::write(output.join("config.json"), "old").unwrap();
    assert!(output_reason(&checkpoint, &output, false).contains("not empty"));
    let forced = Output::create(&checkpoint, &output, true).unwrap();
    forced.copy_rest(&|_| false, &|_| {}).unwrap();
    forced.commit().unwrap();
    assert_eq!(fs::read(output.join("mine")).unwrap(), b"stays");
    assert_eq!(fs::read(output.join("config.json")).unwrap(), b"{}");
    fs::remove_file(output.join("config.json")).unwrap();
    fs::create_dir(output.join("config.json")).unwrap();
    assert!(output_reason(&checkpoint, &output, true).contains("not a regular file"));
    assert!(output_reason(&checkpoint, &output.join("mine"), true).contains("it is a file"));
}

#[test]
fn an_index_must_agree_with_its_shards() {
    use CheckpointProblem as P;
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("in");
    sharded(&folder);
    let index = folder.join("model.safetensors.index.json");
    fs::copy(folder.join("a.safetensors"), temp.path().join("a.safetensors")).unwrap();
    macro_rules! refused {
        ($text:expr, $pattern:pat) => {{
            fs::write(&index, $text).unwrap();
            let problem = checkpoint_problem(&folder);
            assert!(matches!(problem, $pattern), "{problem:?} at line {}", line!());
            assert_eq!(problem, checkpoint_problem(&index));
        }};
    }
    refused!("{", P::IndexJson { .. });
    refused!("{}", P::NoWeightMap);
    refused!(INDEX.replace(r#""v":"#, r#""w":"#), P::DuplicateInIndex { .. });
    for name in ["../a.safetensors", "", ".", "..", "sub/a.safetensors", "/etc/passwd", "..\\\\a.safetensors"] {
        refused!(INDEX.replace("a.safetensors", name), P::ShardName { .. });
    }
    refused!(INDEX.replace("b.safetensors", "c.safetensors"), P::MissingShard { .. });
    refused!(INDEX.replace("b.safetensors", "sub"), P::ShardNotAFile { .. });
    refused!(INDEX.replace(r#""m":"#, r#""n":"#), P::NotInIndex { .. });
    refused!(INDEX.replace(r#""m":"#, r#""n": "a.safetensors", "m":"#), P::NotInShard { .. });
    refused!(INDEX.replace(r#""m": "a."#, r#""m": "b."#), P::NotInIndex { .. });
    fs::write(folder.join("b.safetensors"), shard_a()).unwrap();
    refused!(INDEX, P::InTwoShards { .. });
    fs::write(folder.join("model.fp16.safetensors.index.json"), INDEX).unwrap();
    assert!(matches!(checkpoint_problem(&folder), P::SeveralIndexes { names } if names.len() == 2));
    assert!(matches!(checkpoint_problem(&folder.join("sub")), P::NoSafetensors));
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_input_is_recognised_under_other_names() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        fs::write(path("in.safetensors"), shard_a()).unwrap();
        let checkpoint = Checkpoint::open(&path("in.safetensors")).unwrap();
        symlink("in.safetensors", path("soft")).unwrap();
        fs::hard_link(path("in.safetensors"), path("hard")).unwrap();
        symlink(temp.path(), path("loop")).unwrap();
        for name in ["soft", "hard", "loop/in.safetensors", "loop/hard", "loop"] {
            assert!(output_reason(&checkpoint, &path(name), true).contains("of the input"), "{name}");
        }
        // The other way round: the input is a link.
        let checkpoint = Checkpoint::open(&path("soft")).unwrap();
        assert!(output_reason(&checkpoint, &path("in.safetensors"), true).contains("of the input"));

        sharded(&path("folder"));
        symlink(path("folder"), path("alias")).unwrap();
        let checkpoint = Checkpoint::open(&path("alias")).unwrap();
        assert!(output_reason(&checkpoint, &path("folder/x"), true).contains("inside the input"));
        let checkpoint = Checkpoint::open(&path("folder")).unwrap();
        assert!(output_reason(&checkpoint, &path("alias/sub/x"), true).contains("inside the input"));
        for name in ["a.safetensors", "config.json"] {
            let _ = fs::remove_dir_all(path("other"));
            fs::create_dir(path("other")).unwrap();
            fs::hard_link(path("folder").join(name), path("other").join(name)).unwrap();
            assert!(output_reason(&checkpoint, &path("other"), true).contains("of the input"));
        }
    }

    #[test]
    fn a_forced_output_replaces_a_link_not_its_target() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        fs::write(path("in.safetensors"), shard_a()).unwrap();
        fs::write(path("target"), "precious").unwrap();
        symlink("target", path("out")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        let checkpoint = Checkpoint::open(&path("in.safetensors")).unwrap();
        for name in ["out", "dangling"] {
            assert!(output_reason(&checkpoint, &path(name), false).contains("it exists"));
            let forced = Output::create(&checkpoint, &path(name), true).unwrap();
            forced.copy_rest(&|_| false, &|_| {}).unwrap();
            forced.commit().unwrap();
            assert!(path(name).symlink_metadata().unwrap().is_file());
        }
        assert_eq!(fs::read(path("target")).unwrap(), b"precious");
        assert!(!path("nowhere").exists());
        assert!(output_reason(&checkpoint, Path::new("/dev/null"), true).contains("not a regular file"));
    }

    #[test]
    fn links_out_of_the_folder_are_refused_and_those_of_the_cache_followed() {
        let temp = tempfile::tempdir().unwrap();
        let (repo, output) = (temp.path().join("models--x"), temp.path().join("out"));
        let snapshot = repo.join("snapshots/main");
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(repo.join("blobs")).unwrap();
        fs::write(repo.join("blobs/1"), shard_a()).unwrap();
        fs::write(repo.join("blobs/2"), "{}").unwrap();
        symlink("../../blobs/1", snapshot.join("model.safetensors")).unwrap();
        symlink("../../blobs/2", snapshot.join("config.json")).unwrap();
        fs::write(temp.path().join("secret"), "secret").unwrap();
        symlink("../../../secret", snapshot.join("README.md")).unwrap();
        let checkpoint = Checkpoint::open(&snapshot).unwrap();
        let pending = Output::create(&checkpoint, &output, false).unwrap();
        pending.copy_rest(&|_| false, &|_| {}).unwrap();
        assert_eq!(pending.commit().unwrap().skipped, ["README.md"]);
        assert_eq!(listing(&output), ["config.json", "model.safetensors"]);
        assert!(output.join("model.safetensors").symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read(output.join("model.safetensors")).unwrap(), shard_a());

        fs::write(temp.path().join("b.safetensors"), shard_b()).unwrap();
        symlink("../../../b.safetensors", snapshot.join("b.safetensors")).unwrap();
        assert!(matches!(checkpoint_problem(&snapshot), CheckpointProblem::LinkLeadsOut { .. }));
        // Given by the user, the same link is followed.
        assert_eq!(Checkpoint::open(&snapshot.join("b.safetensors")).unwrap().tensors().len(), 1);
    }

    #[test]
    fn an_exchanged_input_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.safetensors");
        fs::write(&path, shard_b()).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        fs::write(temp.path().join("new"), shard_b()).unwrap();
        fs::rename(temp.path().join("new"), &path).unwrap();
        let error = checkpoint.read_at(0, 0, &mut [0]).unwrap_err();
        assert!(matches!(error, Error::Checkpoint { problem: CheckpointProblem::Replaced, .. }), "{error}");
    }

    #[test]
    fn permissions_are_those_of_any_new_file() {
        let temp = tempfile::tempdir().unwrap();
        let (input, output) = (temp.path().join("in"), temp.path().join("out"));
        sharded(&input);
        fs::write(temp.path().join("plain"), "").unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode();
        let checkpoint = Checkpoint::open(&input).unwrap();
        let pending = Output::create(&checkpoint, &output, false).unwrap();
        pending.copy_rest(&|_| false, &|_| {}).unwrap();
        pending.commit().unwrap();
        for name in listing(&output) {
            assert_eq!(mode(output.join(&name)), mode(temp.path().join("plain")), "{name}");
        }
    }
}
