//! Outputs appear whole or not at all, and only where they may.

use super::*;

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
    assert_eq!(listing(&output).len(), 1);
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
    let stopped = pending().try_copy_rest(&|_| false, &|_, _| Err(Error::Cancelled)).unwrap_err();
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
    assert!(!Unfinished::default().abandon().placed);

    let unfinished = Unfinished::default();
    let half = pending(&unfinished);
    let abandoned = unfinished.clone().abandon();
    assert!(!abandoned.placed && abandoned.kept.is_none());
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
    assert!(unfinished.abandon().placed);
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
