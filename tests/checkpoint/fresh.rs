//! Checkpoints with tensors of their own appear whole or not at all, and are what the `safetensors` crate reads.

use std::collections::BTreeMap;

use lopper::Result;
use lopper::safetensors::Dtype;

use super::*;

fn info(name: &str, dtype: Dtype, shape: &[u64]) -> TensorInfo {
    TensorInfo::new(name, dtype, shape).unwrap()
}

/// A checkpoint of one tensor, as a file or as a folder with an index and a configuration.
fn made(folder: &Path, sharded: bool) -> Checkpoint {
    let header = r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}   "#;
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[1, 2, 3, 4]].concat();
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("a.safetensors"), bytes).unwrap();
    if !sharded {
        return Checkpoint::open(&folder.join("a.safetensors")).unwrap();
    }
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join("tokenizer.json"), "[]").unwrap();
    let index = r#"{"metadata":{"total_size":4,"format":"pt"},"weight_map":{"w":"a.safetensors"}}"#;
    fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    Checkpoint::open(folder).unwrap()
}

fn begin(from: &Checkpoint, shards: Vec<NewShard>, output: &Path) -> Result<Fresh> {
    let folder = from.shards()[0].path().with_file_name("config.json").exists();
    let others = if folder { vec![("config.json".to_owned(), b"{1}".to_vec())] } else { vec![] };
    let what = FreshDescriptor { from, sources: Sources::default(), shards, others };
    Fresh::create(what, output, false, &Unfinished::default())
}

fn shard(name: &str, tensors: Vec<TensorInfo>) -> NewShard {
    NewShard { name: name.into(), tensors, metadata: BTreeMap::from([("k\"".into(), "v\n".into())]) }
}

#[test]
fn tensors_of_any_order_are_aligned_and_read_back_by_the_crate() {
    let temp = tempfile::tempdir().unwrap();
    let (from, output) = (made(&temp.path().join("in"), false), temp.path().join("out.safetensors"));
    let tensors = vec![
        info("b", Dtype::U8, &[3]),
        info("a\"", Dtype::F32, &[1, 2]),
        info("w", Dtype::U8, &[4]),
        info("e", Dtype::I64, &[0]),
    ];
    let fresh = begin(&from, vec![shard("x", tensors)], &output).unwrap();
    assert_eq!(fresh.tensors()[1].range.start % 8, 0);
    fresh.write_at(0, 0, &[7; 3]).unwrap();
    fresh.write_at(1, 4, &[9; 4]).unwrap();
    fresh.copy(2, &from, 0, &|_| Ok(())).unwrap();
    assert!(fresh.copy(0, &from, 0, &|_| Ok(())).unwrap_err().to_string().contains("has 3 bytes, 4 were asked for"));
    assert!(fresh.write_at(1, 5, &[9; 4]).is_err() && fresh.write_at(4, 0, &[]).is_err());
    fresh.write_at(1, 0, &[8; 4]).unwrap();
    assert!(!output.exists());
    assert_eq!(fresh.commit().unwrap().files, 1);
    let bytes = fs::read(&output).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.tensor("a\"").unwrap().data(), [8, 8, 8, 8, 9, 9, 9, 9]);
    assert_eq!(read.tensor("b").unwrap().data(), [7; 3]);
    assert_eq!(read.tensor("w").unwrap().data(), [1, 2, 3, 4]);
    assert_eq!(read.tensor("e").unwrap().shape(), [0]);
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["k\""], "v\n");
    assert_eq!(Checkpoint::open(&output).unwrap().tensors().len(), 4);
}

#[test]
fn a_folder_gets_its_index_and_its_other_files() {
    let temp = tempfile::tempdir().unwrap();
    let (from, output) = (made(&temp.path().join("in"), true), temp.path().join("out"));
    let shards = vec![
        shard("a.safetensors", vec![info("w", Dtype::U8, &[4])]),
        shard("b.safetensors", vec![info("v", Dtype::F16, &[2])]),
    ];
    let fresh = begin(&from, shards, &output).unwrap();
    fresh.copy(0, &from, 0, &|_| Ok(())).unwrap();
    fresh.write_at(1, 0, &[0; 4]).unwrap();
    assert_eq!(fresh.commit().unwrap().files, 5);
    let checkpoint = Checkpoint::open(&output).unwrap();
    assert_eq!(checkpoint.tensors().iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["w", "v"]);
    assert_eq!(fs::read(output.join("config.json")).unwrap(), b"{1}");
    assert_eq!(fs::read(output.join("tokenizer.json")).unwrap(), b"[]");
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(output.join("model.safetensors.index.json")).unwrap()).unwrap();
    assert_eq!(index["metadata"], serde_json::json!({"total_size": 8, "format": "pt"}));
}

#[test]
fn what_is_not_whole_or_not_allowed_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("in");
    let (from, output) = (made(&folder, true), temp.path().join("out"));
    let one = |name: &str| vec![shard(name, vec![info("w", Dtype::U8, &[4])])];
    let short = begin(&from, one("a.safetensors"), &output).unwrap();
    short.write_at(0, 0, &[1; 3]).unwrap();
    assert!(short.commit().unwrap_err().to_string().contains("3 of 4 bytes"));
    assert!(!output.exists());
    let refused = |shards, output: &Path| begin(&from, shards, output).unwrap_err().to_string();
    assert!(refused(one("config.json"), &output).contains("two files"));
    assert!(refused(one("../x"), &output).contains("plain"));
    assert!(refused(one("a.safetensors"), &folder).contains("inside the input"));
    assert!(refused(one("a.safetensors"), &folder.join("new")).contains("inside the input"));
    assert!(refused([one("a"), one("b")].concat(), &output).contains("twice"));
    assert!(refused(vec![shard("a", vec![info("__metadata__", Dtype::U8, &[1])])], &output).contains("reserved"));
    fs::create_dir(&output).unwrap();
    fs::write(output.join("x"), "mine").unwrap();
    assert!(refused(one("a"), &output).contains("not empty"));
    assert_eq!(fs::read_dir(&output).unwrap().count(), 1);
    let path = folder.join("a.safetensors");
    let file = Checkpoint::open(&path).unwrap();
    let what = |sources| FreshDescriptor { from: &file, sources, shards: one("a"), others: vec![] };
    let create = |what, output: &Path| Fresh::create(what, output, true, &Unfinished::default());
    let error = create(what(Sources::default()), &path).unwrap_err().to_string();
    assert!(error.contains("file of the input"), "{error}");
    let mut sources = Sources::default();
    sources.add_file(&output.join("x")).unwrap();
    let error = create(what(sources), &output.join("x")).unwrap_err().to_string();
    assert!(error.contains("file of the input"), "{error}");
    assert_eq!(fs::read(output.join("x")).unwrap(), b"mine");
}
