//! `mask`, `pack` and `unpack` as a user meets them.

use std::fs;

use super::harness::{Folder, MODEL, adapter, gpu, lopper};

#[test]
fn masks_are_taken_combined_and_compared_without_a_gpu() {
    let folder = Folder::new();
    let at = |name: &str| folder.at(name);
    let (mask, inverse) = (at("mask.safetensors"), at("inverse.safetensors"));
    let out = lopper(&["mask", "extract", MODEL, "-o", &mask]).works().out.clone();
    assert!(out.contains("kept") && out.contains("masks of"), "{out}");
    lopper(&["mask", "extract", MODEL, "-o", &mask]).fails(1, &["exists"]);
    let json = lopper(&["mask", "invert", &mask, "-o", &inverse, "--json"]).works().json();
    let stats = lopper(&["mask", "stats", &inverse, "--json"]).works().json();
    let sum = |json: &serde_json::Value, key: &str| {
        json.as_array().unwrap().iter().map(|t| t[key].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(sum(&json["tensors"], "kept"), sum(&stats, "kept"));
    let found = lopper(&["mask", "diff", &mask, &inverse, "--json"]).works().json();
    assert!(found["tensors"].as_array().unwrap().iter().all(|t| t["agreement"] == 0.0 && t["both"] == 0));
    assert!(lopper(&["mask", "diff", &mask, MODEL]).works().out.contains("masks agree on 100.0000 %"));
    lopper(&["mask", "or", &mask, &inverse, "-o", &at("all.safetensors")]).works();
    let all = lopper(&["mask", "stats", &at("all.safetensors")]).works().out.clone();
    assert!(all.contains("(0.0000 % pruned)"), "{all}");
    lopper(&["mask", "xor", &mask, "-o", &at("no.safetensors")]).fails(2, &["2"]);
    lopper(&["mask", "apply", &mask, MODEL, "-o", MODEL, "--force"]).fails(1, &["input"]);
    lopper(&["mask", "apply", &mask, MODEL, "-o", &at("no.safetensors"), "--as", "{}.exp_avg"])
        .fails(1, &["no tensor here"]);
    lopper(&["pack", MODEL, "-o", &at("no.safetensors"), "--format", "tiled-bitmask"])
        .fails(1, &["1239748 bytes of shards would become", "unless growth is forced"]);
    lopper(&["pack", MODEL, "-o", &at("no.safetensors"), "--format", "zip"]).fails(2, &["sparse-24-bitmask"]);
    lopper(&["unpack", MODEL, "-o", &at("no.safetensors")]).fails(1, &["nothing in this checkpoint is packed"]);
    assert_eq!(folder.files().len(), 3, "{:?}", folder.files());
}

#[test]
fn what_is_pruned_is_packed_in_one_step_or_two_and_comes_back() {
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let at = |name: &str| folder.at(name);
    let prune = |more: &[&str]| {
        let mut args = vec!["prune".to_string(), MODEL.into(), "--sparsity".into(), "0.8".into()];
        args.extend(adapter());
        args.extend(more.iter().map(|more| (*more).to_string()));
        lopper(&args)
    };
    let [pruned, packed, once, back, mask, again] =
        ["pruned", "packed", "once", "back", "mask", "again"].map(|name| at(&format!("{name}.safetensors")));
    prune(&["-o", &pruned]).works();
    let out = lopper(&["pack", &pruned, "-o", &packed, "--format", "tiled-bitmask"]).works().out.clone();
    assert!(out.contains("packed as tiled-bitmask") && out.contains("became"), "{out}");
    let out = prune(&["-o", &once, "--pack", "tiled-bitmask"]).works().out.clone();
    assert!(out.contains("became"), "{out}");
    assert!(fs::read(&once).unwrap() == fs::read(&packed).unwrap());
    assert!(fs::metadata(&packed).unwrap().len() * 5 < fs::metadata(&pruned).unwrap().len() * 2);
    prune(&["-o", &once, "--pack", "tiled-bitmask"]).fails(1, &["exists"]);
    lopper(&["unpack", &packed, "-o", &back]).works();
    assert!(fs::read(&back).unwrap() == fs::read(&pruned).unwrap());
    // The recipe in the metadata says which weights have a mask.
    lopper(&["mask", "extract", &pruned, "-o", &mask]).works();
    lopper(&["mask", "apply", &mask, MODEL, "-o", &again]).works();
    let [a, b] = [&again, &pruned].map(|path| {
        let bytes = fs::read(path).unwrap();
        let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[start..].to_vec()
    });
    assert!(a == b, "a mask applied to the weights that were pruned prunes them");
    assert!(folder.files().iter().all(|path| !path.to_string_lossy().contains(".lopper-")), "{:?}", folder.files());
}
