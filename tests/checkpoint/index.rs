//! Indexes that do not agree with their shards.

use super::*;

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
