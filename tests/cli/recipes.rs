//! Rules as options and as recipes.

use std::fs;

use serde_json::Value;

use super::harness::{Folder, MODEL, adapter, gpu, lopper};

/// The recipe that a dry run with these options reports.
fn recipe(folder: &Folder, options: &[&str]) -> String {
    let report = folder.at("report.json");
    lopper(&[&["prune", MODEL, "--dry-run", "--report", &report], options].concat()).works();
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["rules"].as_array().unwrap().len(), 1);
    report["recipe"].as_str().unwrap().into()
}

#[test]
fn every_option_makes_its_part_of_the_rule() {
    let folder = Folder::new();
    let half = "[[rule]]\nsparsity = 0.5\n";
    for (options, toml) in [
        (&["--sparsity", "0.5"][..], half.to_string()),
        (&["--threshold", "inf"], "[[rule]]\nthreshold = inf\n".into()),
        (&["--keep", "2", "--of", "4"], "[[rule]]\nkeep = 2\nof = 4\n".into()),
        (&["--keep", "2", "--of", "4", "--unit", "nm"], "[[rule]]\nkeep = 2\nof = 4\n".into()),
        (&["--sparsity", "0.5", "--scope", "row"], format!("{half}scope = \"row\"\n")),
        (&["--sparsity", "0.5", "--scope", "global"], format!("{half}scope = \"global\"\n")),
        (&["--sparsity", "0.5", "--scope", "tensor", "--unit", "weight"], half.into()),
        (&["--sparsity", "0.5", "--unit", "row"], format!("{half}unit = \"row\"\n")),
        (&["--sparsity", "0.5", "--unit", "column"], format!("{half}unit = \"column\"\n")),
        (&["--sparsity", "0.5", "--unit", "1x4", "--norm", "max"], format!("{half}unit = \"1x4\"\nnorm = \"linf\"\n")),
        (&["--sparsity", "0.5", "--score", "random", "--seed", "7"], format!("{half}score = \"random\"\nseed = 7\n")),
        (
            &["--sparsity", "0.5", "--score", "wanda", "--activations", "a.safetensors"],
            format!("{half}score = \"wanda\"\nactivations = \"a.safetensors\"\n"),
        ),
        (
            &["--sparsity", "0.5", "--score", "activation", "--activations", "a.safetensors", "--unit", "row"],
            format!("{half}unit = \"row\"\nscore = \"file\"\nscores = \"a.safetensors\"\n"),
        ),
        (
            &["--sparsity", "0.5", "--score", "signed-file", "--scores", "s.safetensors"],
            format!("{half}score = \"signed-file\"\nscores = \"s.safetensors\"\n"),
        ),
        (&["--sparsity", "0.5", "--layout", "in-out"], format!("{half}layout = \"in-out\"\n")),
        (&["--sparsity", "0.5", "--compat", "llm-compressor"], format!("{half}compat = \"llm-compressor\"\n")),
        (&["--sparsity", "0.5", "--all"], "[[rule]]\nall = true\nsparsity = 0.5\n".into()),
        (
            &["--sparsity", "0.5", "--include", "*w*", "--exclude", "conv1*", "--sparsity-for", "conv2*=0.1"],
            "[[rule]]\ninclude = [\"*w*\"]\nexclude = [\"conv1*\"]\nsparsity = 0.5\nsparsity-for = [\"conv2*=0.1\"]\n"
                .into(),
        ),
    ] {
        assert_eq!(recipe(&folder, options), toml, "{options:?}");
    }
}

#[test]
fn options_that_contradict_each_other_exit_with_2_and_write_nothing() {
    let folder = Folder::new();
    let (output, report) = (folder.at("out.safetensors"), folder.at("report.json"));
    for (options, says) in [
        (&["--of", "4", "--sparsity", "0.5"][..], &["`of` needs `keep`"][..]),
        (&["--keep", "2", "--of", "4", "--scope", "row"], &["cannot be used with"]),
        (&["--keep", "5", "--of", "4"], &["5 of every 4"]),
        (&["--keep", "2", "--of", "33"], &["a group of 33", "1 to 32"]),
        (&["--keep", "2", "--of", "4", "--unit", "row"], &["unit `row`"]),
        (&["--keep", "2", "--unit", "nm"], &["`keep` and `of`"]),
        (&["--sparsity", "0.5", "--unit", "0x4"], &["no weights"]),
        (&["--sparsity", "0.5", "--unit", "colum"], &["did you mean `column`?"]),
        (&["--sparsity", "0.5", "--unit", "row", "--scope", "row"], &["scope `row` contradicts unit `row`"]),
        (&["--sparsity", "0.5", "--score", "wanda"], &["needs `activations`"]),
        (&["--sparsity", "0.5", "--score", "file"], &["needs `scores`"]),
        (&["--sparsity", "0.5", "--score", "activation", "--activations", "a"], &["unit `row`"]),
        (&["--sparsity", "0.5", "--score", "wanda", "--activations", "a", "--seed", "1"], &["`seed` means nothing"]),
        (&["--sparsity", "0.5", "--activations", "a"], &["--score"]),
        (&["--threshold", "1", "--score", "random"], &["random"]),
        (&["--threshold", "1", "--compat", "tfmot"], &["`tfmot`"]),
        (&["--sparsity", "0.5", "--compat", "wanda", "--scope", "global"], &["`wanda`", "`global`"]),
        (&["--sparsity", "0.5", "--recipe", "r.toml"], &["cannot be used with"]),
        (&["--recipe", "r.toml", "--unit", "row"], &["cannot be used with"]),
        (&["--recipe", "r.toml", "--all"], &["cannot be used with"]),
    ] {
        let ran = lopper(&[&["prune", MODEL, "-o", &output, "--report", &report], options].concat());
        ran.fails(2, says);
    }
    assert!(folder.files().is_empty());
}

#[test]
fn units_that_do_not_fit_the_checkpoint_are_refused_and_those_that_do_are_counted() {
    let folder = Folder::new();
    let output = folder.at("out.safetensors");
    let prune = |options: &[&str]| lopper(&[&["prune", MODEL, "-o", &output], options].concat());
    prune(&["--sparsity", "0.5", "--unit", "4x4"]).fails(1, &["a block of 4x4", "`final_conv.weight`", "1x128"]);
    prune(&["--keep", "2", "--unit", "row"]).fails(1, &["2 rows", "`final_conv.weight` has only 1"]);
    assert!(folder.files().is_empty());
    let goes = |tensor: &str, options: &[&str]| {
        let ran = lopper(&[&["prune", MODEL, "--dry-run", "--exclude", "final*"], options].concat());
        ran.works().out.lines().find(|line| line.starts_with(tensor)).unwrap().to_string()
    };
    assert!(goes("conv1.weight", &["--sparsity", "0.25", "--unit", "row"]).contains("32 of 128 rows"));
    assert!(goes("lstm_cell.weight_hh", &["--sparsity", "0.5", "--unit", "column"]).contains("64 of 128 columns"));
    let blocks = goes("lstm_cell.weight_hh", &["--sparsity", "0.5", "--unit", "4x4"]);
    assert!(blocks.contains("2,048 of 4,096 blocks of 4x4"), "{blocks}");
    let groups = goes("lstm_cell.weight_hh", &["--keep", "2", "--of", "3"]);
    assert!(groups.contains("21,504") && groups.contains("the last 2 of 128 inputs are no group of 3"), "{groups}");
    assert!(goes("conv1.weight", &["--sparsity", "0.5", "--compat", "tfmot"]).contains("at most 24,768"));
    assert!(goes("conv1.weight", &["--sparsity", "0.5", "--compat", "wanda-magnitude"]).contains("at least 24,769"));
    assert!(goes("conv1.weight", &["--threshold", "0.5", "--unit", "row"]).contains("rows up to 0.5"));
    let all = goes("conv1.weight", &["--sparsity", "0.5", "--unit", "row", "--scope", "global"]);
    assert!(all.contains("rows by the global cut"), "{all}");
}

const RECIPE: &str = "[[rule]]\nsparsity = 0.5\n\n[[rule]]\ninclude = 'conv*.weight'\nunit = 'row'\nsparsity = 0.25\n";

#[test]
fn a_recipe_is_explained_tensor_by_tensor() {
    let folder = Folder::new();
    let path = folder.at("recipe.toml");
    fs::write(&path, RECIPE).unwrap();
    let table = lopper(&["recipe", "check", &path, MODEL]);
    let line = |name: &str| table.works().out.lines().find(|line| line.starts_with(name)).unwrap();
    for (tensor, says) in [
        ("stft_conv.weight", &["1 ", "weight", "magnitude", "tensor", "33,024", "264 kB", "rule 1: rank 3"][..]),
        ("conv1.weight", &["2 ", "row", "32 of 128 rows", "rule 2: included by `conv*.weight`"]),
        ("conv1.bias", &["copied", "rank 1, below 2"]),
    ] {
        assert!(says.iter().all(|text| line(tensor).contains(text)), "{}", table.out);
    }
    assert!(table.out.contains("8 of 15 tensors would be pruned by 2 rules"), "{}", table.out);
    // What is larger than three quarters of the memory is read twice.
    let small = lopper(&["recipe", "check", &path, MODEL, "--memory", "300kB"]);
    assert!(small.works().out.lines().any(|line| line.starts_with("stft") && line.contains("2 x 264 kB")));
    let json = lopper(&["recipe", "check", &path, MODEL, "--json"]).works().json();
    let tensor = json["tensors"].as_array().unwrap().iter().find(|t| t["name"] == "conv1.weight").unwrap();
    assert_eq!((&tensor["rule"], &tensor["units"], &tensor["go"]), (&1.into(), &128.into(), &32.into()));
    assert_eq!((&json["rules"][1]["unit"], json["rules"].as_array().unwrap().len()), (&"row".into(), 2));
    // A dry run by the same recipe reports it.
    let report = folder.at("report.json");
    lopper(&["prune", MODEL, "--dry-run", "--recipe", &path, "--report", &report]).works();
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!((&report["recipe"], &report["rules"]), (&json["recipe"], &json["rules"]));
    assert_eq!(report["tensors"][1]["rule"], 1);
}

#[test]
fn a_recipe_that_cannot_be_is_refused_with_file_line_and_rule_and_nothing_is_written() {
    let folder = Folder::new();
    let (path, output) = (folder.at("recipe.toml"), folder.at("out.safetensors"));
    for (toml, says) in [
        ("[[rule]]\nsparcity = 0.5", &["line 2: rule 1: unknown key `sparcity`: did you mean `sparsity`?", "hint"][..]),
        ("[[rule]]\nsparsity = 0.5\nunit = 'rows'", &["line 3: rule 1: `unit`: unknown unit", "`row`?"]),
        ("[[rule]]\nsparsity = 0.5\n[[rule]]\nkeep = 5\nof = 4", &["line 3: rule 2: 5 of every 4"]),
        ("[[rule]\n", &["line 1: it is no TOML"]),
        ("", &["no rules"]),
        (
            "[[rule]]\nsparsity = 0.5\n[[rule]]\ninclude = '*.bias'\nkeep = 2",
            &["rule 2: 2 weights", "`final_conv.bias`"],
        ),
        (
            "[[rule]]\nsparsity = 0.5\n[[rule]]\ninclude = '*.biases'\nkeep = 2",
            &["rule 2: `*.biases` matches no tensor"],
        ),
        ("[[rule]]\nsparsity = 0.5\n[[rule]]\nsparsity = 0.6", &["rule 1 gets no tensor", "it selects 8"]),
    ] {
        fs::write(&path, toml).unwrap();
        lopper(&["recipe", "check", &path, MODEL]).fails(1, says);
        lopper(&["prune", MODEL, "-o", &output, "--recipe", &path]).fails(1, says);
    }
    lopper(&["recipe", "check", &folder.at("none"), MODEL]).fails(1, &["none"]);
    lopper(&["recipe", "check", &path]).fails(2, &["Usage"]);
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn verify_holds_a_checkpoint_against_its_own_rule_and_against_any_other() {
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let output = folder.at("2of4.safetensors");
    let (args, adapter) = (["prune", MODEL, "-o", &output, "--keep", "2", "--of", "4", "--quiet"], adapter());
    lopper(&args.iter().map(|arg| arg.to_string()).chain(adapter).collect::<Vec<_>>()).works();
    let found = lopper(&["verify", MODEL, &output, "--json"]).works().json();
    assert_eq!((&found["ok"], &found["recipe"]), (&true.into(), &"[[rule]]\nkeep = 2\nof = 4\n".into()));
    assert!(lopper(&["verify", MODEL, &output]).works().out.contains("held against its rule"));
    lopper(&["verify", MODEL, &output, "--keep", "2", "--of", "4"]).works();

    let ran = lopper(&["verify", MODEL, &output, "--keep", "1", "--of", "4"]);
    ran.fails(3, &[]);
    let group = "in the group of 4 from the weight of output 0, input 0";
    assert!(ran.out.contains(group) && ran.out.contains("exactly 3 were to go"), "{}", ran.out);
    let ran = lopper(&["verify", MODEL, &output, "--sparsity", "0.5", "--unit", "row", "--json"]);
    ran.fails(3, &[]);
    let kinds: Vec<Value> = ran.json()["mismatches"].as_array().unwrap().iter().map(|m| m["kind"].clone()).collect();
    assert!(kinds.contains(&"partly".into()), "{kinds:?}");
    let recipe = folder.at("recipe.toml");
    fs::write(&recipe, "[[rule]]\nkeep = 2\nof = 4\ninclude = \"final_conv.weight\"\n").unwrap();
    let ran = lopper(&["verify", MODEL, &output, "--recipe", &recipe]);
    ran.fails(3, &[]);
    assert!(ran.out.contains("is not pruned, yet its bytes differ"), "{}", ran.out);
    lopper(&["verify", MODEL, &output, "--scope", "row"])
        .fails(2, &["`sparsity`, `threshold` or `keep`", "lopper verify"]);
}
