//! `lopper convert`, and `lopper prune` of other programs' files.

use std::fs;

use super::harness::{Folder, MODEL, adapter, gpu, lopper};

fn fixture(name: &str) -> String {
    format!(concat!(env!("LOPPER_TEST_ROOT"), "/tests/data/containers/{}"), name)
}

#[test]
fn a_model_goes_to_numpy_and_back_with_every_bit() {
    let folder = Folder::new();
    let (there, back) = (folder.at("model.npz"), folder.at("back.safetensors"));
    let ran = lopper(&["convert", MODEL, "-o", &there]);
    assert!(ran.works().out.contains("15 tensors") && ran.out.contains("from safetensors to npz"), "{}", ran.out);
    assert_eq!(lopper(&["convert", &there, "-o", &back, "-q"]).works().out, "");
    let same = lopper(&["compare", MODEL, &back, "--json"]).works().json();
    assert!(same["tensors"].as_array().unwrap().iter().all(|tensor| tensor["differ"] == 0));
    lopper(&["convert", MODEL, "-o", &there]).fails(1, &["model.npz", "it exists"]);
    lopper(&["convert", MODEL, "-o", &there, "--force"]).works();
    assert_eq!(folder.files().len(), 2);
}

#[test]
fn what_cannot_be_converted_is_named_and_nothing_is_written() {
    let folder = Folder::new();
    let out = folder.at("out.safetensors");
    for (input, says) in [
        ("evil.pt", &["evil/data.pkl", "asks for `posix.system`", "nothing was run"][..]),
        ("module.pt", &["torch.nn.modules.container.Sequential", "state_dict()"]),
        ("legacy.pt", &["before 1.6"]),
        ("small.gguf", &["blk.0.ffn_down.weight", "GGUF type Q8_0"]),
    ] {
        lopper(&["convert", &fixture(input), "-o", &out]).fails(1, says);
    }
    lopper(&["convert", MODEL, "-o", &folder.at("out.pt")]).fails(1, &["PyTorch files are read, not written"]);
    lopper(&["convert", MODEL, "-o", &folder.at("out.what")]).fails(1, &["cannot tell the format"]);
    lopper(&["convert", MODEL]).fails(2, &["--output"]);
    assert!(folder.files().is_empty());
}

#[test]
fn files_of_other_programs_are_planned_and_pruned_like_checkpoints() {
    let (keras, quantised) = (fixture("network.keras"), fixture("small.gguf"));
    let plan = lopper(&["prune", &keras, "--sparsity", "0.5", "--dry-run"]);
    assert!(
        plan.works().out.contains("layout: in-out") && plan.out.contains("excluded by `optimizer/*`"),
        "{}",
        plan.out
    );
    let plan = lopper(&["prune", &quantised, "--sparsity", "0.5", "--dry-run"]);
    assert!(plan.works().out.contains("1 more copied as they are") && plan.out.contains("Q8_0"), "{}", plan.out);
    let folder = Folder::new();
    let out = folder.at("half.gguf");
    for option in ["--resume", "--restart", "--from-mask"] {
        lopper(&["prune", &quantised, "-o", &out, "--sparsity", "0.5", option]).fails(1, &[option, "lopper convert"]);
    }
    assert!(folder.files().is_empty());
    if !gpu() {
        return;
    }
    let prune = |input: &str, output: &str| {
        let mut args =
            vec!["prune".to_owned(), input.into(), "-o".into(), output.into(), "--sparsity".into(), "0.5".into()];
        args.extend(adapter());
        lopper(&args)
    };
    assert!(prune(&quantised, &out).works().out.contains("1 more copied"));
    assert_eq!(fs::metadata(&out).unwrap().len(), fs::metadata(&quantised).unwrap().len());
    // Into safetensors, where the recipe is in the metadata and `verify` finds it.
    let (plain, half) = (folder.at("plain.safetensors"), folder.at("half.safetensors"));
    lopper(&["convert", &fixture("state.pt"), "-o", &plain]).works();
    prune(&fixture("state.pt"), &half).works();
    assert!(lopper(&["verify", &plain, &half]).works().out.contains("ok"));
}
