//! `lopper tune`, and what other commands make of what it keeps.

use std::fs;

use lopper::gpu::Tuning;
use lopper::tune::Table;

use super::harness::{Folder, MODEL, adapter, lopper_with};

/// An adapter's table with knobs that no class has.
fn table(vars: &[(&str, &str)]) -> (String, Table) {
    let devices = lopper_with(&["devices", "--json"], vars).works().json();
    let asked = adapter();
    let asked = asked.get(1).map_or("", |asked| asked.as_str()).to_lowercase();
    let words = |d: &serde_json::Value| {
        ["name", "backend", "kind", "driver"].map(|k| d[k].as_str().unwrap().to_lowercase()).join(" ")
    };
    let fits = |d: &&serde_json::Value| match asked.parse::<u64>() {
        Ok(index) => d["index"] == index,
        Err(_) => asked.split_whitespace().all(|word| words(d).contains(word)) && d["unfit"].is_null(),
    };
    let device = devices.as_array().unwrap().iter().find(fits).unwrap().clone();
    let name = device["name"].as_str().unwrap().to_owned();
    let mut table = Table::default();
    table.keep(&serde_json::from_value(device).unwrap(), Tuning { workgroups: 77, ..Tuning::CPU });
    (name, table)
}

#[test]
fn what_is_kept_is_used_shown_and_forgotten() {
    let folder = Folder::new();
    let cache = folder.at("cache");
    let vars = [("XDG_CACHE_HOME", &*cache)];
    let run = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|arg| arg.to_string()).chain(adapter()).collect();
        lopper_with(&args, &vars)
    };
    let shown = lopper_with(&["tune", "--show"], &vars);
    assert!(shown.works().out.contains("nothing is known"), "{}", shown.out);
    let (name, table) = table(&vars);
    let path = folder.at("cache/lopper/tuning.json");
    fs::create_dir_all(folder.at("cache/lopper")).unwrap();
    fs::write(&path, table.to_json()).unwrap();
    let shown = lopper_with(&["tune", "--show"], &vars);
    assert!(shown.works().out.contains("77") && shown.out.contains(&name), "{}", shown.out);
    let results = folder.at("bench.json");
    let bench = [
        "bench",
        "--shape",
        "64x64",
        "--sparsity",
        "0.5",
        "--batch",
        "1",
        "--format",
        "bitmask",
        "-q",
        "--json",
        &results,
    ];
    run(&bench).works();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&results).unwrap()).unwrap();
    assert!(json["tuned"] == true && json["tuning"]["workgroups"] == 77, "{json}");
    // The same bytes with other knobs.
    let [own, other] = [folder.at("own.safetensors"), folder.at("other.safetensors")];
    run(&["prune", MODEL, "-o", &own, "--sparsity", "0.5", "-q"]).works();
    // A table that is broken changes nothing either, but is told of.
    fs::write(&path, "{").unwrap();
    let ran = run(&["prune", MODEL, "-o", &other, "--sparsity", "0.5", "-q"]);
    assert!(ran.works().err.contains("tuning.json") && ran.err.contains("passed over"), "{}", ran.err);
    assert!(fs::read(&own).unwrap() == fs::read(&other).unwrap());
    run(&["tune", "--forget"]).fails(1, &["tuning.json", "not a table"]);
    fs::write(&path, table.to_json()).unwrap();
    assert!(run(&["tune", "--forget"]).works().err.contains("forgotten"));
    assert!(run(&["tune", "--forget"]).works().err.contains("nothing was known"));
    assert_eq!(Table::read(path.as_ref()).unwrap(), Table::default());
}

#[test]
fn a_cache_that_cannot_be_written_is_found_before_the_search() {
    let folder = Folder::new();
    let file = folder.at("file");
    fs::write(&file, "").unwrap();
    let ran = lopper_with(&["tune", "--time", "86400"], &[("XDG_CACHE_HOME", &*file)]);
    ran.fails(1, &["cannot make the folder", &file, "XDG_CACHE_HOME", "--dry-run"]);
    lopper_with(&["tune", "--time", "0"], &[]).fails(2, &["--time"]);
}
