//! `lopper shrink`.

use std::fs;

use super::harness::{Folder, adapter, gpu, lopper, lopper_with};

const DIGITS: &str = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits/digits.toml");
const DATA: &str = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits/digits.safetensors");
const MLP: &str = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits/mlp.safetensors");

#[test]
fn what_hangs_together_is_drawn_before_anything_is_written() {
    let folder = Folder::new();
    let page = folder.at("page.html");
    let explain = ["shrink", MLP, "--network", DIGITS, "--explain", "--sparsity", "0.5", "--html", &page];
    let ran = lopper_with(&explain, &[("LC_ALL", "C")]);
    let expected = "\
fc1.weight: 128 neurons
  makes  fc1.weight  [128, 64]  rows           --+
  makes  fc1.bias    [128]      rows           --+
  takes  fc2.weight  [64, 128]  columns        <-+

fc2.weight: 64 neurons
  makes  fc2.weight  [64, 128]  rows           --+
  makes  fc2.bias    [64]       rows           --+
  takes  fc3.weight  [10, 64]   columns        <-+
";
    assert!(ran.works().out.contains(expected), "{}", ran.out);
    assert!(
        ran.out.contains("32 .. 64 neurons would stay") && ran.out.ends_with("nothing was written\n"),
        "{}",
        ran.out
    );
    let page = fs::read_to_string(page).unwrap();
    assert!(page.matches("<svg").count() == 2 && page.contains("fc2.weight F32 [64, 128], columns"), "{page}");
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn half_of_the_neurons_go_and_what_is_left_runs() {
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let at = |name: &str| folder.at(name);
    let (means, moments, smaller, report) =
        (at("means.st"), at("moments.st"), at("small.safetensors"), at("report.json"));
    let with = |args: &[&str]| args.iter().map(|arg| arg.to_string()).chain(adapter()).collect::<Vec<_>>();
    let train = ["activations", DIGITS, "--data", DATA, "--inputs", "train.images"];
    lopper(&with(&[&train[..], &["--means", &means, "--moments", &moments]].concat())).works();
    let half = ["shrink", MLP, "-o", &smaller, "--network", DIGITS, "--sparsity", "0.5"];
    let score = ["--score", "activation", "--activations", &means];
    let biases = ["--compensate", "bias", "--moments", &moments, "--report", &report];
    let ran = lopper(&[&half[..], &score, &biases].concat());
    assert!(ran.works().out.contains("compensated") && ran.out.contains("fc2.weight"), "{}", ran.out);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!((&report["couplings"][0]["kept"], &report["couplings"][1]["kept"]), (&64.into(), &32.into()));
    for consumer in report["compensated"].as_array().unwrap() {
        assert!(consumer["error"].as_f64() < consumer["error_uncompensated"].as_f64(), "{consumer}");
    }
    // 4 bytes for each number of layers 64, 64, 32 and 10 wide.
    assert_eq!(report["tensor_bytes"][1], 4 * (64 * 64 + 64 + 32 * 64 + 32 + 10 * 32 + 10));
    let test = ["infer", DIGITS, "--data", DATA, "--inputs", "test.images", "--json", "--against", &smaller];
    let runs = lopper(&with(&test)).works().json();
    assert!(runs["runs"][1]["right"].as_u64().unwrap() > 400, "{runs}");
    lopper(&half).fails(1, &["small.safetensors", "it exists"]);
}

#[test]
fn what_is_read_is_never_replaced() {
    let folder = Folder::new();
    let network = folder.at("n.toml");
    fs::copy(DIGITS, &network).unwrap();
    let before = fs::read(&network).unwrap();
    let half = ["shrink", MLP, "--network", &network, "--sparsity", "0.5", "--force", "-o"];
    lopper(&[&half[..], &[&network]].concat()).fails(1, &["n.toml", "a file of the input"]);
    let out = folder.at("out.safetensors");
    for option in ["--report", "--html"] {
        lopper(&[&half[..], &[&out, option, &network]].concat()).fails(1, &["n.toml is read"]);
    }
    assert!(fs::read(&network).unwrap() == before && folder.files().len() == 1);
}

#[test]
fn what_cannot_be_shrunk_is_said() {
    let shrink = |args: &[&str]| lopper(&[&["shrink", MLP, "-o", "never-written"], args].concat());
    shrink(&[]).fails(2, &["--sparsity"]);
    shrink(&["--sparsity", "0.5", "--width", "3"]).fails(2, &["cannot be used with"]);
    shrink(&["--sparsity", "0.5", "--network", DIGITS, "--unit", "head"]).fails(2, &["cannot be used with"]);
    shrink(&["--sparsity", "0.5", "--compensate", "bias"]).fails(2, &["--moments"]);
    shrink(&["--sparsity", "0.5", "--score", "activation"]).fails(2, &["--activations"]);
    shrink(&["--sparsity", "0.5"]).fails(1, &["nothing is known", "--network", "[[couple]]", "--explain"]);
    let chain = |args: &[&str]| shrink(&[&["--network", DIGITS], args].concat());
    chain(&["--width", "100"]).fails(1, &["`fc2.weight` has 64 neurons, 100 cannot stay"]);
    chain(&["--width", "30", "--round-to", "8"]).fails(1, &["30 is no multiple of 8"]);
    lopper(&["shrink", MLP, "-o", MLP, "--force", "--network", DIGITS, "--width", "8"]).fails(1, &["input"]);
}
