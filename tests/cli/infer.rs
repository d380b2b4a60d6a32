//! `lopper infer` and `lopper activations`.

use std::fs;

use lopper::safetensors::SafeTensors;

use super::harness::{Folder, adapter, gpu, lopper};

const DIGITS: &str = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits/digits.toml");
const DATA: &str = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits/digits.safetensors");
const MLP: &str = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits/mlp.safetensors");

fn with<'a>(first: &[&'a str], rest: &[&'a str]) -> Vec<String> {
    first.iter().chain(rest).map(|word| word.to_string()).chain(adapter()).collect()
}

#[test]
fn a_network_runs_as_it_is_and_pruned() {
    if !gpu() {
        return;
    }
    let test = ["infer", DIGITS, "--data", DATA, "--inputs", "test.images"];
    let ran =
        lopper(&with(&test, &["--sparsity", "0.5", "--keep", "2", "--of", "4", "--form", "bitmask,dense", "--json"]));
    let found = ran.works().json();
    assert_eq!((&found["vectors"], &found["labels"]), (&500.into(), &true.into()));
    let runs = found["runs"].as_array().unwrap();
    let of = |key: &str| runs.iter().map(|run| run[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("right"), [494, 481, 481, 421, 421]);
    assert_eq!(of("zeros"), [0, 8512, 8512, 8512, 8512]);
    assert_eq!(of("bytes")[0], 68_904);
    assert!(of("bytes")[1].as_u64().unwrap() < 40_000 && runs[0]["difference"] == 0.0 && runs[1]["difference"] != 0.0);
    let table = lopper(&with(&test, &["--against", MLP]));
    assert!(table.works().out.contains("494 (98.8 %)") && table.out.contains("500 vectors"), "{}", table.out);
}

#[test]
fn what_cannot_be_run_is_said() {
    let test = ["infer", DIGITS, "--data", DATA];
    lopper(&[&test[..], &["--sparsity", "1.5"]].concat()).fails(2, &["50 % is 0.5"]);
    lopper(&[&test[..], &["--keep", "2"]].concat()).fails(2, &["--of"]);
    lopper(&["activations", DIGITS, "--data", DATA]).fails(2, &["--norms"]);
    let folder = Folder::new();
    let network = folder.at("network.toml");
    let fails = |toml: &str, says: &[&str]| {
        fs::write(&network, toml).unwrap();
        lopper(&with(&["infer", &network, "--data", DATA, "--inputs", "test.images"], &[])).fails(1, says);
    };
    fails("[[layer]]\nweight = \"fc1.weight\"\n", &["names no checkpoint", "network.toml"]);
    fails("[[layer]]\nwheight = \"fc1.weight\"\n", &["network.toml", "line 1", "wheight"]);
    fails(&"#".repeat(1 << 21), &["network.toml", "longer than 1048576 bytes"]);
    fails("checkpoint = 3\n[[layer]]\nweight = \"a\"\n", &["is to be a path"]);
    if !gpu() {
        return;
    }
    // In a network's file paths start from its folder.
    let mlp = fs::canonicalize(MLP).unwrap();
    let from = |layers: &str| format!("checkpoint = '{}'\n{layers}", mlp.display());
    fails(&from("[[layer]]\nweight = \"fc9.weight\"\n"), &["fc9.weight", "none of this name"]);
    fails(
        &from("[[layer]]\nweight = \"fc1.weight\"\n[[layer]]\nweight = \"fc3.weight\"\n"),
        &["gives 128", "takes 64"],
    );
    fails(&from("[[layer]]\nweight = \"fc2.weight\"\n"), &["vectors of 64 numbers, the network takes 128"]);
    lopper(&with(&test, &[])).fails(1, &["several tensors", "`test.images`"]);
    let images = ["infer", DIGITS, "--data", DATA, "--inputs", "test.images"];
    lopper(&with(&images, &["--sparsity", "0.5", "--form", "2:4"])).fails(1, &["pruned by sparsity 0.5"]);
    lopper(&with(&images, &["--form", "sparse"])).fails(2, &["give auto, all, dense"]);
    lopper(&with(&images, &["--labels", "train.labels"])).fails(1, &["[1297]", "[500]"]);
}

#[test]
fn activations_become_scores() {
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let (norms, means) = (folder.at("norms.safetensors"), folder.at("means.safetensors"));
    let train = ["activations", DIGITS, "--data", DATA, "--inputs", "train.images"];
    lopper(&with(&train, &["--norms", &norms, "--means", &means])).works();
    lopper(&with(&train, &["--norms", &norms])).fails(1, &["it exists"]);
    // What stays of a layer are the rows of neurons that act.
    let output = folder.at("pruned.safetensors");
    let scored = ["--score", "activation", "--activations", &means];
    let prune = [&["prune", MLP, "-o", &output, "--unit", "row", "--threshold", "0", "-q"], &scored[..]].concat();
    lopper(&with(&prune, &[])).works();
    let (means, pruned) = (fs::read(&means).unwrap(), fs::read(&output).unwrap());
    let (means, pruned) = (SafeTensors::deserialize(&means).unwrap(), SafeTensors::deserialize(&pruned).unwrap());
    let mut gone = 0;
    for (name, columns) in [("fc1.weight", 64), ("fc2.weight", 128), ("fc3.weight", 64)] {
        let mean = means
            .tensor(name)
            .unwrap()
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect::<Vec<_>>();
        let rows = pruned.tensor(name).unwrap().data().to_vec();
        for (mean, row) in mean.into_iter().zip(rows.chunks_exact(4 * columns)) {
            assert_eq!(mean == 0.0, row.iter().all(|byte| *byte == 0), "{name}");
            gone += usize::from(mean == 0.0);
        }
    }
    assert_eq!(gone, 10);
    // Neurons that never act say nothing: the network is as right without them.
    let ran =
        lopper(&with(&["infer", DIGITS, "--data", DATA, "--inputs", "test.images"], &["--against", &output, "--json"]));
    assert_eq!(ran.works().json()["runs"][1]["right"], 494);
    // Wanda's score takes the norms.
    let wanda = folder.at("wanda.safetensors");
    let scored = ["--score", "wanda", "--activations", &norms, "--scope", "row", "--sparsity", "0.5", "-q"];
    lopper(&with(&[&["prune", MLP, "-o", &wanda], &scored[..]].concat(), &[])).works();
    lopper(&[&["verify", MLP, &wanda, "--score", "wanda", "--activations", &norms], &scored[4..8]].concat()).works();
}
