//! `inspect`, `sweep` and `compare` as a user meets them, and what is generated from the command line's definition.

use std::collections::BTreeMap;
use std::fs;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::Value;

use super::harness::{Folder, MODEL, lopper, lopper_with, tampered};

/// Weights of the model's tensors, by name, with the length of a row.
fn weights() -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(MODEL).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let of = |(name, view): (String, TensorView<'_>)| {
        let values = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (name, (view.shape().to_vec(), values))
    };
    file.tensors().into_iter().map(of).collect()
}

#[test]
fn inspect_says_the_same_in_json_as_in_words() {
    let ran = lopper(&["inspect", MODEL]);
    let out = &ran.works().out;
    let json = lopper(&["inspect", MODEL, "--json"]).works().json();
    for (name, (_, values)) in weights() {
        let tensor = json["tensors"].as_array().unwrap().iter().find(|t| t["name"] == name).unwrap();
        let zeros = values.iter().filter(|v| **v == 0.0).count();
        let max = values.iter().fold(0.0f32, |max, v| max.max(v.abs()));
        assert_eq!((&tensor["weights"], &tensor["values"]["zeros"]), (&values.len().into(), &zeros.into()), "{name}");
        // What reads JSON here may be one part in 2^53 off.
        let printed = tensor["values"]["max"].as_f64().unwrap_or(0.0);
        assert!((printed - f64::from(max)).abs() <= 1e-12 * printed, "{name}");
    }
    let (kinds, all) = (json["kinds"].as_array().unwrap(), &json["weights"]);
    assert_eq!(kinds.iter().map(|k| k["weights"].as_u64().unwrap()).sum::<u64>(), all.as_u64().unwrap());
    for kind in kinds {
        assert!(out.contains(kind["name"].as_str().unwrap()), "{kind}");
    }
    assert!(out.contains("309,633 weights") && out.contains("log |w|") && out.contains("cut for"), "{out}");
    let each = lopper(&["inspect", MODEL, "--tensors"]);
    assert!(each.works().out.lines().count() >= out.lines().count());
    lopper(&["inspect", "no such file"]).fails(1, &["no such file"]);
}

#[test]
fn a_sparsity_is_shared_out_exactly_into_a_recipe_that_prune_takes() {
    let folder = Folder::new();
    let recipe = folder.at("recipe.toml");
    let selected = ["--exclude", "final_conv*"];
    let norms = folder.at("norms.safetensors");
    let all = weights();
    let data: Vec<_> = all
        .iter()
        .filter(|(_, (shape, _))| shape.len() > 1)
        .map(|(name, (shape, _))| {
            let norms: Vec<u8> = (0..shape[1]).flat_map(|i| (0.5 + (i % 7) as f32).to_le_bytes()).collect();
            (name.clone(), shape[1], norms)
        })
        .collect();
    let views = data
        .iter()
        .map(|(name, inputs, norms)| (name.clone(), TensorView::new(Dtype::F32, vec![*inputs], norms).unwrap()));
    serialize_to_file(views, None, norms.as_ref()).unwrap();
    for (way, more) in [("uniform", vec![]), ("error", vec!["--max", "0.7"]), ("owl", vec!["--activations", &norms])] {
        let args =
            [&["sweep", MODEL, "--allocate", way, "--sparsity", "0.5", "--json", "-o", &recipe], &selected[..], &more]
                .concat();
        let found = lopper(&args).works().json();
        let tensors = found["tensors"].as_array().unwrap();
        let weights: u64 = tensors.iter().map(|t| t["weights"].as_u64().unwrap()).sum();
        let checked = lopper(&["recipe", "check", &recipe, MODEL, "--json"]).works().json();
        let go = |t: &Value| t["go"].as_u64();
        let lines = checked["tensors"].as_array().unwrap();
        assert_eq!(lines.iter().filter_map(go).sum::<u64>(), (weights as f64 / 2.0).round_ties_even() as u64, "{way}");
        for tensor in tensors {
            let line = lines.iter().find(|line| line["name"] == tensor["name"]).unwrap();
            let share = go(line).unwrap() as f64 / tensor["weights"].as_f64().unwrap();
            assert!((share - tensor["allocated"]["sparsity"].as_f64().unwrap()).abs() < 1e-12, "{way} {tensor}");
            assert!(way != "error" || share <= 0.7, "{share}");
        }
        if way == "owl" {
            for tensor in tensors {
                let name = tensor["name"].as_str().unwrap();
                let (shape, values) = &all[name];
                let kernel: usize = shape[2..].iter().product();
                let scores: Vec<f64> = values
                    .iter()
                    .enumerate()
                    .map(|(i, w)| f64::from(w.abs() * (0.5 + (i / kernel % shape[1] % 7) as f32)))
                    .collect();
                let most = 5.0 * scores.iter().sum::<f64>() / scores.len() as f64;
                let share = scores.iter().filter(|score| **score > most).count() as f64 / scores.len() as f64;
                assert!((tensor["outliers"].as_f64().unwrap() - share).abs() < 1e-12, "{name}: {share} {tensor}");
            }
        }
    }
    let error = |tensor: &Value| {
        tensor["curve"].as_array().unwrap().iter().map(|p| p["error"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    let found = lopper(&["sweep", MODEL, "--json"]).works().json();
    assert!(found["tensors"].as_array().unwrap().iter().all(|t| error(t).is_sorted() && error(t)[0] == 0.0));
    assert!(lopper(&["sweep", MODEL]).works().out.contains("90 %"));
    let printed = lopper(&["sweep", MODEL, "--allocate", "uniform", "--sparsity", "0.5"]);
    assert!(printed.works().out.contains("[[rule]]"));

    lopper(&["sweep", MODEL, "--allocate", "error"]).fails(2, &["--sparsity"]);
    lopper(&["sweep", MODEL, "--allocate", "owl", "--sparsity", "0.5"]).fails(2, &["--activations"]);
    let impossible = ["sweep", MODEL, "--allocate", "error", "--sparsity", "0.5", "--max", "0.4"];
    lopper(&impossible).fails(1, &["sparsity of 0.5", "between 0 and 0.4", "0.39"]);
}

#[test]
fn compare_finds_the_one_weight_that_differs() {
    let folder = Folder::new();
    let other = folder.at("other.safetensors");
    tampered(MODEL, &other, 0.0);
    let same = lopper(&["compare", MODEL, MODEL]);
    assert!(same.works().out.contains("309,633 weights") && same.out.contains(" 0 differ"), "{}", same.out);
    let found = lopper(&["compare", MODEL, &other, "--json"]).works().json();
    let differ = |t: &&Value| t["differ"] != 0;
    let tensors: Vec<_> = found["tensors"].as_array().unwrap().iter().filter(differ).collect();
    assert_eq!(
        (tensors.len(), &tensors[0]["name"], &tensors[0]["differ"]),
        (1, &"final_conv.weight".into(), &1.into())
    );
    assert!(tensors[0]["error"].as_f64().unwrap() > 0.0 && tensors[0]["agreement"].as_f64().unwrap() < 1.0);
}

#[test]
fn hostile_names_are_inert() {
    let folder = Folder::new();
    let model = folder.at("hostile.safetensors");
    let name = "a\u{1b}[2J\u{9b}31m<script>*[x]{y}\\w.weight";
    let data = [1u8; 64];
    serialize_to_file([(name, TensorView::new(Dtype::F32, vec![4, 4], &data).unwrap())], None, model.as_ref()).unwrap();
    let recipe = folder.at("recipe.toml");
    let sweep = ["sweep", &model, "--allocate", "error", "--sparsity", "0.5", "-o", &recipe];
    for args in [&["inspect", &model][..], &["inspect", &model, "--tensors"], &["compare", &model, &model], &sweep] {
        let ran = lopper(args);
        assert!(!ran.works().out.contains('\u{1b}') && ran.out.contains("<script>"), "{}", ran.out);
    }
    let json = lopper(&["inspect", &model, "--json"]).works().out.clone();
    assert!(json.contains("\\u009b31m") && !json.contains('\u{9b}'), "{json}");
    let checked = lopper(&["recipe", "check", &recipe, &model, "--json"]).works().json();
    assert_eq!(checked["tensors"][0]["go"], 8, "the name is a glob that matches itself");
}

#[test]
fn completions_and_pages_name_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = lopper(&["completions", shell]);
        assert!(["prune", "inspect", "sweep", "compare"].iter().all(|c| script.works().out.contains(c)), "{shell}");
    }
    assert!(lopper(&["man"]).works().out.contains(".TH lopper 1"));
    lopper(&["man", "-o", &folder.at("")]).works();
    let pages: Vec<_> = folder.files().iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(pages.contains(&"lopper.1".into()) && pages.contains(&"lopper-prune.1".into()), "{pages:?}");
    lopper(&["man", "-o", &folder.at("none")]).fails(1, &["cannot write"]);
}

#[test]
fn colours_and_blocks_are_there_where_they_are_wanted_alone() {
    let folder = Folder::new();
    let model = folder.at("hostile.safetensors");
    let name = "a\u{1b}[2J\u{9b}31m.weight";
    let data = [0x7fu8; 64];
    serialize_to_file([(name, TensorView::new(Dtype::F16, vec![4, 8], &data).unwrap())], None, model.as_ref()).unwrap();
    let plain = lopper(&["inspect", &model]);
    for command in
        [&["inspect", &model][..], &["sweep", &model], &["compare", &model, &model], &["verify", &model, &model]]
    {
        let with =
            |more: &[&str], vars: &[(&str, &str)]| lopper_with(&[command, more].concat(), vars).works().out.clone();
        // Stdout is a pipe here.
        for (more, vars) in
            [(&[][..], &[][..]), (&["--color", "auto"], &[("TERM", "xterm")]), (&["--color", "never"], &[])]
        {
            let out = with(more, vars);
            assert!(!out.contains('\u{1b}'), "{command:?} {more:?}: {out}");
        }
        let coloured = with(&["--color", "always"], &[("NO_COLOR", "1"), ("TERM", "dumb")]);
        assert!(coloured.contains("\u{1b}[1mtensor") && coloured.contains("\u{1b}[2m---"), "{command:?}: {coloured}");
        // Of our codes, which end where they began, no other is left; and the name is inert still.
        let without = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[33m", "\u{1b}[1;32m", "\u{1b}[1;31m"]
            .into_iter()
            .fold(coloured.clone(), |text, code| text.replace(code, ""));
        assert_eq!(without, with(&[], &[]), "{command:?}");
        assert_eq!(coloured.matches("\u{1b}[0m").count() * 2, coloured.matches('\u{1b}').count(), "{command:?}");
    }
    let json = lopper(&["inspect", &model, "--json", "--color", "always"]);
    assert!(!json.works().out.contains('\u{1b}') && json.json()["tensors"].is_array());
    lopper(&["inspect", &model, "--color", "blue"]).fails(2, &["auto, always, never"]);

    let spark = |locale: &str| lopper_with(&["inspect", MODEL], &[("LC_ALL", locale)]).works().out.clone();
    assert!(spark("C").is_ascii() && spark("C").contains("@"), "{}", spark("C"));
    assert!(spark("C.UTF-8").contains('█') && !spark("C.UTF-8").contains('@'), "{}", spark("C.UTF-8"));
    assert!(plain.works().out.contains("\\u{1b}[2J\\u{9b}31m"), "{}", plain.out);
}

#[test]
fn tensors_of_nothing_but_odd_values_are_looked_at_like_others() {
    let folder = Folder::new();
    let model = folder.at("odd.safetensors");
    let odd = [
        ("nan", vec![f32::NAN; 32]),
        ("zero", vec![0.0; 32]),
        ("equal", vec![0.5; 32]),
        ("infinite", vec![f32::NEG_INFINITY; 32]),
        ("some", [f32::NAN, 1.0, f32::INFINITY, 0.0].repeat(8)),
        ("subnormal", vec![1e-42; 32]),
        ("one", vec![-3.0]),
        ("none", vec![]),
    ];
    let data: Vec<(&str, Vec<usize>, Vec<u8>)> = odd
        .iter()
        .map(|(name, values)| {
            let shape = if values.len() == 32 { vec![4, 8] } else { vec![values.len(), 1] };
            (*name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views =
        data.iter().map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    serialize_to_file(views.collect::<Vec<_>>(), None, model.as_ref()).unwrap();

    let found = lopper(&["inspect", &model, "--json", "--html", &folder.at("page.html")]).works().json();
    let of =
        |name: &str| found["tensors"].as_array().unwrap().iter().find(|t| t["name"] == name).unwrap()["values"].clone();
    let counts = |name: &str| ["zeros", "nan", "infinite"].map(|key| of(name)[key].as_u64().unwrap());
    let all = ["nan", "zero", "equal", "infinite", "some", "subnormal", "one"].map(counts);
    assert_eq!(all, [[0, 32, 0], [32, 0, 0], [0; 3], [0, 0, 32], [8, 8, 8], [0; 3], [0; 3]]);
    for (name, value) in [("equal", 0.5), ("one", 3.0), ("subnormal", f64::from(1e-42f32))] {
        let [min, median, max] = ["min", "median", "max"].map(|key| of(name)[key].as_f64().unwrap());
        assert!([min, median, max].iter().all(|v| (v - value).abs() <= 1e-12 * value), "{name}: {min} {median} {max}");
        assert_eq!(of(name)["cuts"][9]["cut"].as_f64(), Some(median), "{name}");
    }
    assert!(of("none").is_null() && of("nan")["max"].is_null() && of("some")["max"] == 1.0);
    let shown = lopper(&["inspect", &model]).works().out.clone();
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().to_string();
    assert!(line("nan ").contains("NaN .. NaN") && line("infinite ").contains("inf .. inf"), "{shown}");

    lopper(&["sweep", &model, "--all", "--html", &folder.at("page.html")]).works();
    for allocate in ["uniform", "error"] {
        let recipe = folder.at("recipe.toml");
        lopper(&["sweep", &model, "--all", "--allocate", allocate, "--sparsity", "0.7", "-o", &recipe]).works();
        lopper(&["recipe", "check", &recipe, &model]).works();
    }
    let same = lopper(&["compare", &model, &model, "--html", &folder.at("page.html")]);
    assert!(same.works().out.contains("193 weights, 40 zeros in A") && same.out.contains(" 0 differ"), "{}", same.out);
}
