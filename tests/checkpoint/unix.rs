//! Links, permissions and other things that only some systems have.

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
fn links_of_an_index_and_in_one_are_followed_only_inside_the_folder() {
    use CheckpointProblem as P;
    let temp = tempfile::tempdir().unwrap();
    let (folder, index) = (temp.path().join("in"), temp.path().join("in/model.safetensors.index.json"));
    sharded(&folder);
    fs::create_dir(temp.path().join("out")).unwrap();
    let lead = |at: &Path, target: &str| {
        fs::remove_file(at).unwrap();
        symlink(target, at).unwrap();
    };
    // A shard that the index names: inside, over a second link and a folder's link out, to nothing, to itself.
    let b = folder.join("b.safetensors");
    fs::rename(&b, temp.path().join("out/b")).unwrap();
    fs::write(&b, shard_b()).unwrap();
    fs::rename(&b, folder.join("sub/b")).unwrap();
    symlink("sub/b", &b).unwrap();
    assert_eq!(Checkpoint::open(&folder).unwrap().tensors().len(), 5);
    symlink("../out", folder.join("away")).unwrap();
    symlink("away/b", folder.join("second")).unwrap();
    for target in ["../out/b", "away/b", "second", "/etc/passwd", "/dev/null", "/dev/zero"] {
        lead(&b, target);
        for input in [&folder, &index] {
            assert!(matches!(checkpoint_problem(input), P::LinkLeadsOut { .. }), "{target}");
        }
    }
    lead(&b, "nothing");
    assert!(matches!(checkpoint_problem(&folder), P::MissingShard { .. }));
    lead(&b, "sub");
    assert!(matches!(checkpoint_problem(&folder), P::ShardNotAFile { .. }));
    lead(&b, "b.safetensors");
    assert!(matches!(Checkpoint::open(&folder), Err(Error::Io { .. })));

    // The index itself.
    lead(&b, "sub/b");
    fs::write(folder.join("sub/index"), INDEX).unwrap();
    fs::write(temp.path().join("out/index"), INDEX).unwrap();
    lead(&index, "sub/index");
    assert_eq!(Checkpoint::open(&folder).unwrap().tensors().len(), 5);
    lead(&index, "../out/index");
    assert!(matches!(checkpoint_problem(&folder), P::LinkLeadsOut { .. }));
    // Given by the user, it is followed; its shards lie beside the link.
    assert_eq!(Checkpoint::open(&index).unwrap().tensors().len(), 5);
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
