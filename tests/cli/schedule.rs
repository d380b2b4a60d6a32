//! `lopper schedule`, and `prune --schedule`.

use super::harness::{Folder, MODEL, adapter, gpu, lopper};

const CUBIC: &str = "polynomial:0:0.8:begin=100:end=1000";

#[test]
fn a_schedule_is_printed_step_by_step() {
    let shown = lopper(&["schedule", CUBIC]);
    let lines: Vec<&str> = shown.works().out.lines().collect();
    assert!(lines.len() > 15 && lines[0].contains("0.0000"), "{}", shown.out);
    assert!(shown.out.contains("1,000  0.8000 prunes"), "{}", shown.out);
    let one = lopper(&["schedule", CUBIC, "--step", "550", "--step", "5"]);
    let printed: Vec<f64> = one.works().out.lines().map(|line| line.parse().unwrap()).collect();
    assert!((printed[0] - 0.7).abs() < 1e-12 && printed[1] == 0.0 && printed.len() == 2, "{}", one.out);
    let json = lopper(&["schedule", "steps:10=0.5:20=0.75", "--json"]).works().json();
    let at = |step: u64| json.as_array().unwrap().iter().find(|at| at["step"] == step).unwrap().clone();
    assert_eq!((&at(10)["sparsity"], &at(20)["sparsity"]), (&0.5.into(), &0.75.into()));
    assert_eq!((&at(0)["acts"], &at(20)["acts"]), (&false.into(), &true.into()));
    lopper(&["schedule", "linear:0:0.8:begin=9:end=3"]).fails(2, &["ends at step 3, before it begins at 9"]);
    lopper(&["schedule", "polinomial:0:1:end=3"]).fails(2, &["polynomial?"]);
}

#[test]
fn a_step_of_a_schedule_is_a_sparsity() {
    let prune = |args: &[&str]| lopper(&[&["prune", MODEL, "--dry-run"], args].concat());
    let scheduled = prune(&["--schedule", CUBIC, "--step", "550"]);
    assert_eq!(scheduled.works().out, prune(&["--sparsity", "0.7"]).works().out);
    prune(&["--schedule", CUBIC]).fails(2, &["--step"]);
    prune(&["--schedule", CUBIC, "--step", "1", "--sparsity", "0.5"]).fails(2, &["cannot be used with"]);
    if !gpu() {
        return;
    }
    let folder = Folder::new();
    let (output, report) = (folder.at("out.safetensors"), folder.at("report.json"));
    let args = ["prune", MODEL, "-o", &output, "--schedule", CUBIC, "--step", "5", "--report", &report, "-q"];
    lopper(&args.iter().map(|arg| arg.to_string()).chain(adapter()).collect::<Vec<_>>()).works();
    // Before it begins nothing is pruned.
    let report = std::fs::read_to_string(&report).unwrap();
    assert!(report.contains("sparsity = 0.0"), "{report}");
    lopper(&["compare", MODEL, &output]).works();
}
