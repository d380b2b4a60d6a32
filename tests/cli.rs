//! The command line as a user meets it: exit codes, what is printed, what is written and what is not.
//!
//! Tests that prune run on the adapter that `LOPPER_ADAPTER` names, or on the best there is. They need one and fail
//! without, unless `LOPPER_TEST_NO_GPU` is set.

#![cfg(feature = "cli")]

#[path = "cli/convert.rs"]
mod convert;
#[path = "cli/harness.rs"]
mod harness;
#[path = "cli/infer.rs"]
mod infer;
#[path = "cli/inspect.rs"]
mod inspect;
#[path = "cli/masks.rs"]
mod masks;
#[path = "cli/recipes.rs"]
mod recipes;
#[path = "cli/schedule.rs"]
mod schedule;
#[path = "cli/shrink.rs"]
mod shrink;
#[cfg(unix)]
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/tune.rs"]
mod tune;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use harness::{Folder, MODEL, TOOL, adapter, gpu, lopper, tampered};

#[test]
fn help_tells_exit_codes_and_examples() {
    let help = lopper(&["--help"]);
    for line in ["0  done", "1  failed", "2  the command line", "3  `verify` found a mismatch"] {
        assert!(help.works().out.contains(line), "{}", help.out);
    }
    for command in ["prune", "recipe", "verify", "schedule", "infer", "activations", "bench", "devices", "shrink"] {
        let help = lopper(&[command, "--help"]);
        assert!(help.works().out.contains("Examples:") && help.out.contains("Exit codes:"), "{}", help.out);
    }
}

#[test]
fn senseless_command_lines_exit_with_2() {
    let prune = |args: &[&str]| lopper(&[&["prune", MODEL, "-o", "never-written"], args].concat());
    lopper::<&str>(&[]).fails(2, &["Usage"]);
    lopper(&["prune", MODEL, "--sparsity", "0.5"]).fails(2, &["--output"]);
    prune(&[]).fails(2, &["--sparsity", "--threshold", "--keep"]);
    prune(&["--sparsity", "0.5", "--keep", "3"]).fails(2, &["cannot be used with"]);
    prune(&["--sparsity", "50"]).fails(2, &["50 % is 0.5"]);
    prune(&["--threshold=-1"]).fails(2, &["magnitude"]);
    prune(&["--keep", "many"]).fails(2, &["many"]);
    prune(&["--sparsity", "0.5", "--scope", "layer"]).fails(2, &["possible values: tensor, row, global"]);
    lopper(&["bench", "--shape", "4096"]).fails(2, &["ROWSxCOLS"]);
    lopper(&["bench", "--format", "dense"]).fails(2, &["bitmask"]);
    lopper(&["bench", "--pattern", "2:", "--dtype", "f8"]).fails(2, &["2:4"]);
    prune(&["--sparsity", "0.5", "--memory", "1XB"]).fails(2, &["512MiB"]);
    prune(&["--sparsity", "0.5", "--all", "--include", "*"]).fails(2, &["cannot be used with"]);
    prune(&["--sparsity", "0.5", "--sparsity-for", "conv"]).fails(2, &["GLOB=S"]);
    prune(&["--keep", "3", "--sparsity-for", "conv*=0.1"]).fails(2, &["needs a sparsity", "lopper prune"]);
    prune(&["--sparsity", "0.5", "--scope", "global", "--sparsity-for", "conv*=0.1"]).fails(2, &["global"]);
    assert!(!Path::new("never-written").exists());
}

#[test]
fn a_dry_run_tells_what_each_tensor_gets_and_writes_only_the_report() {
    let folder = Folder::new();
    let (report, output) = (folder.at("report.json"), folder.at("out.safetensors"));
    let args = ["--sparsity", "0.5", "--sparsity-for", "*_hh=0.25", "--dry-run", "--report", &report, "-o", &output];
    let ran = lopper(&[&["prune", MODEL], &args[..]].concat());
    let line = |name: &str| ran.out.lines().find(|l| l.trim().starts_with(name)).unwrap_or_default();
    assert!(ran.works().out.contains("8 of 15 tensors would be pruned, 308,224 weights"), "{}", ran.out);
    for (tensor, says) in [
        ("stft_conv.weight", "33,024"),
        ("lstm_cell.weight_hh", "sparsity 0.25 by `*_hh`"),
        ("lstm_cell.weight_hh", "16,384"),
        ("lstm_cell.bias_hh", "rank 1, below 2"),
        ("conv2.bias", "copied"),
    ] {
        assert!(line(tensor).contains(says), "{tensor}: {}", ran.out);
    }
    assert_eq!(folder.files(), [PathBuf::from(&report)]);
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!((&report["adapter"], &report["tensors"][0]["zeros"]), (&Value::Null, &Value::Null));
    assert_eq!(report["tensors"][2]["action"], "copy");
}

#[test]
fn a_dry_run_knows_how_many_go() {
    let goes = |args: &[&str]| {
        let ran = lopper(&[&["prune", MODEL, "--dry-run", "--include", "conv3.weight"], args].concat());
        ran.works().out.lines().find(|l| l.trim().starts_with("conv3.weight")).unwrap().to_string()
    };
    assert!(goes(&["--keep", "10"]).contains("12,278"));
    assert!(goes(&["--keep", "10", "--scope", "row"]).contains("11,648"));
    // 64 rows of 192 weights.
    assert!(goes(&["--sparsity", "0.01", "--scope", "row"]).contains("128"));
    assert!(goes(&["--threshold", "0.25"]).contains("up to 0.25"));
    assert!(goes(&["--sparsity", "0.5", "--scope", "global"]).contains("by the global cut"));
}

#[test]
fn rules_that_do_not_fit_the_checkpoint_are_refused_without_a_gpu() {
    let folder = Folder::new();
    let output = folder.at("out.safetensors");
    let prune = |args: &[&str]| lopper(&[&["prune", MODEL, "-o", &output], args].concat());
    prune(&["--sparsity", "0.5", "--include", "*.mlp.*"])
        .fails(1, &["lopper: error: `*.mlp.*` matches no tensor", "hint"]);
    prune(&["--sparsity", "0.5", "--exclude", "["]).fails(1, &["`[` is no glob"]);
    prune(&["--sparsity", "0.5", "--exclude", "*"]).fails(1, &["nothing is selected"]);
    prune(&["--keep", "129"]).fails(1, &["129", "final_conv.weight", "only 128"]);
    prune(&["--keep", "308225", "--scope", "global"]).fails(1, &["308225", "only 308224"]);
    lopper(&["prune", &folder.at("none"), "-o", &output, "--keep", "1"]).fails(1, &["none"]);
    assert_eq!(folder.files(), [] as [PathBuf; 0]);
}

#[test]
fn a_report_may_not_replace_the_input() {
    let folder = Folder::new();
    let model = folder.at("model.safetensors");
    fs::copy(MODEL, &model).unwrap();
    let ran = lopper(&["prune", &model, "--sparsity", "0.5", "--dry-run", "--report", &model]);
    ran.fails(1, &["will not write", "in the input"]);
    assert_eq!(fs::read(&model).unwrap(), fs::read(MODEL).unwrap());
}

#[test]
fn adapters_that_do_not_exist_are_refused() {
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let output = folder.at("out.safetensors");
    let on = |adapter: &str| lopper(&["prune", MODEL, "-o", &output, "--sparsity", "0.5", "--adapter", adapter]);
    on("no such adapter").fails(1, &["no such adapter", "lopper devices"]);
    on("4096").fails(1, &["4096", "lopper devices"]);
    let adapters = lopper(&["devices", "--json"]).json();
    let names: Vec<&str> = adapters.as_array().unwrap().iter().filter_map(|a| a["name"].as_str()).collect();
    // A letter that two names share: found in every machine that has two adapters.
    let shared = ('a'..='z').find(|c| names.iter().filter(|n| n.to_lowercase().contains(*c)).count() > 1);
    match shared {
        Some(letter) => on(&letter.to_string()).fails(1, &["lopper: error:"]),
        None => eprintln!("not tested: a name that matches several of {names:?}"),
    }
    assert_eq!(folder.files(), [] as [PathBuf; 0]);
}

#[test]
fn devices_are_listed_and_json_has_limits() {
    let (table, json) = (lopper(&["devices"]), lopper(&["devices", "--json"]));
    let adapters = json.json();
    let fit = adapters.as_array().unwrap().iter().any(|a| a["unfit"].is_null());
    assert_eq!((table.code, json.code), if fit { (Some(0), Some(0)) } else { (Some(1), Some(1)) });
    for adapter in adapters.as_array().unwrap() {
        assert!(adapter["limits"].is_array() && adapter["backend"].is_string(), "{adapter}");
    }
    assert!(fit || table.err.contains("adapter"), "{}", table.err);
}

#[test]
fn what_is_pruned_verifies_and_what_is_tampered_with_does_not() {
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let (output, report) = (folder.at("out.safetensors"), folder.at("report.json"));
    let adapter = adapter();
    let mut args = vec!["prune", MODEL, "-o", &output, "--sparsity", "0.5", "--report", &report];
    args.extend(adapter.iter().map(String::as_str));
    let ran = lopper(&args);
    assert!(ran.works().out.contains("308,224 weights, 154,112 zeros (50.0000 %)"), "{}", ran.out);
    // Some drivers write to stderr of their own accord, so it need not be empty.
    assert!(!ran.err.contains(" left"), "no progress bar where stderr is no terminal: {}", ran.err);

    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    for field in ["lopper", "recipe", "rules", "adapter", "tensors", "totals", "seconds", "bytes_read", "bytes_written"]
    {
        assert!(!report[field].is_null(), "{field}");
    }
    assert_eq!((&report["totals"]["zeros"], &report["rules"][0]["sparsity"]), (&154_112.into(), &0.5.into()));
    assert_eq!(report["tensors"].as_array().unwrap().len(), 15);
    assert_eq!(report["tensors"][0]["zeros"], 33_024);

    let verified = lopper(&["verify", MODEL, &output, "--json"]).works().json();
    assert_eq!((&verified["ok"], &verified["zeros"]), (&true.into(), &154_112.into()));
    assert_eq!(
        (&verified["tensors"][0]["scope"], &verified["tensors"][0]["cut"]),
        (&"tensor".into(), &report["tensors"][0]["cut"])
    );
    assert!(lopper(&["verify", MODEL, &output]).works().out.contains("ok: 309,633 weights"));

    let wrong = folder.at("wrong.safetensors");
    tampered(&output, &wrong, 0.123);
    let ran = lopper(&["verify", MODEL, &wrong]);
    ran.fails(3, &[]);
    assert!(
        ran.out.contains("\"final_conv.weight\": weight 127 was") && ran.out.contains("MISMATCH: 1"),
        "{}",
        ran.out
    );
    assert_eq!(lopper(&["verify", MODEL, &wrong, "--json"]).json()["mismatches"][0]["kind"], "weight");
}

#[test]
fn the_input_and_files_that_exist_are_not_overwritten() {
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let (model, output) = (folder.at("model.safetensors"), folder.at("out.safetensors"));
    fs::copy(MODEL, &model).unwrap();
    fs::write(&output, "precious").unwrap();
    let prune = |output: &str, more: &[&str]| {
        let args = ["prune", &model, "-o", output, "--sparsity", "0.5", "--quiet"];
        let args = args.iter().chain(more).map(|arg| arg.to_string()).chain(adapter());
        lopper(&args.collect::<Vec<_>>())
    };
    prune(&model, &[]).fails(1, &["will not write to"]);
    prune(&model, &["--force"]).fails(1, &["will not write to"]);
    assert_eq!(fs::read(&model).unwrap(), fs::read(MODEL).unwrap());
    prune(&output, &[]).fails(1, &["will not write to"]);
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    let ran = prune(&output, &["--force"]);
    assert_eq!(ran.works().out, "");
    lopper(&["verify", &model, &output]).works();
    assert_eq!(folder.files().len(), 2, "nothing is left over");
}

#[test]
fn verify_needs_no_gpu_and_tells_a_cut_that_does_not_hold() {
    assert!(lopper(&["verify", MODEL, MODEL]).works().out.contains("nothing was pruned"));
    let folder = Folder::new();
    let (model, pruned) = (folder.at("model.safetensors"), folder.at("pruned.safetensors"));
    tampered(MODEL, &model, 1e9);
    tampered(MODEL, &pruned, 0.0);
    let ran = lopper(&["verify", &model, &pruned]);
    ran.fails(3, &[]);
    assert!(
        ran.out.contains("\"final_conv.weight\": in row 0, weight 127 of magnitude 1e9 was pruned away"),
        "{}",
        ran.out
    );
    lopper(&["verify", MODEL, &folder.at("none")]).fails(1, &["lopper: error:", "none"]);
}

#[test]
fn a_benchmark_prints_what_it_writes() {
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let file = folder.at("bench.json");
    let args =
        ["bench", "--shape", "64x128", "--batch", "2", "--sparsity", "0.9", "--format", "bitmask,csr", "--time", "20"];
    let more = ["--json".to_string(), file.clone()].into_iter().chain(adapter());
    let ran = lopper(&args.iter().map(|arg| arg.to_string()).chain(more).collect::<Vec<_>>());
    let json: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let cases = json["cases"].as_array().unwrap();
    assert!(!cases.is_empty() && json["roofs"]["read"].as_f64().unwrap() > 0.0, "{json}");
    for case in cases {
        let format = case["format"].as_str().unwrap();
        assert!(ran.works().out.contains(format) && case["error"].as_f64().unwrap() <= 1e-5, "{}", ran.out);
    }
    assert!(ran.out.contains("roofs: read") && ran.out.contains(&format!("{} products", cases.len())), "{}", ran.out);
    let large = lopper(&["bench", "--shape", "65536x65535", "--quiet"]);
    large.fails(1, &["8589803520 bytes", "the device binds"]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(TOOL)
        .args(["prune", MODEL, "--sparsity", "0.5", "--dry-run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
