//! The benchmark: what it says it measured, what it skipped, and what it refuses. Times are not looked at.

mod common;

use std::cell::Cell;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use lopper::bench::{Asked, Case, Contrast, FASTEST, Model, Pair, Pattern, Results, run, run_model};
use lopper::checkpoint::Checkpoint;
use lopper::{Dtype, Error, Format, Shape};

/// Few and small; slow machines have time, and nothing is left out for being slow.
fn small() -> Asked {
    Asked {
        shapes: vec![Shape::new(64, 128)],
        sparsities: vec![0.5, 0.9],
        batches: vec![1, 3],
        formats: vec![Format::Bitmask],
        give_up: 0.0,
        rounds: 1,
        time: Duration::from_secs(600),
        ..Asked::default()
    }
}

fn ran(asked: &Asked) -> Results {
    run(common::gpu(), asked, &|_, _, _| ControlFlow::Continue(())).unwrap()
}

#[test]
fn every_combination_is_measured_after_it_was_right() {
    for (pattern, formats) in [
        (Pattern::Magnitude, vec![Format::Bitmask]),
        (Pattern::Group { keep: 2, of: 4 }, vec![Format::Nm { keep: 2, of: 4 }]),
    ] {
        let results = ran(&Asked { pattern, formats, ..small() });
        assert_eq!(results.skipped, []);
        let sparsities = if matches!(pattern, Pattern::Group { .. }) { 1 } else { 2 };
        // Dense and sparse; for three vectors also dense by vector.
        assert_eq!(results.cases.len(), sparsities * (2 + 3), "{pattern}");
        for case in &results.cases {
            assert!(case.error <= 1e-5 && case.time.seconds > 0.0 && case.time.rounds == 1, "{case:?}");
            let values = case.matrix_bytes as f64 / (64.0 * 128.0 * 2.0);
            assert!((case.memory * values - 1.0).abs() < 1e-9 && case.speedup > 0.0 && case.of_roof > 0.0, "{case:?}");
            assert_eq!(case.bytes, case.matrix_bytes + 4 * (64 + 128) * u64::from(case.batch));
            if pattern == Pattern::Magnitude {
                assert!([0.5, 0.9].iter().any(|s| (case.sparsity - s).abs() < 1e-4), "{case:?}");
            }
        }
        assert_eq!(results.break_even.len(), 2, "{pattern}");
        assert!(results.roofs.read > 0.0 && results.roofs.copy > 0.0 && results.roofs.fma > 0.0);
        assert!(results.measuring > 0.0 && results.measuring < results.seconds && !results.stopped);
    }
}

#[test]
fn what_there_was_no_time_for_is_said_and_a_run_that_is_stopped_gives_what_it_has() {
    let slow = ran(&Asked { give_up: f64::INFINITY, batches: vec![1], ..small() });
    assert!(slow.cases.len() == 3 && slow.skipped[0].why.contains("with less it is slower"), "{:?}", slow.skipped);
    let results = ran(&Asked { time: Duration::ZERO, ..small() });
    assert_eq!((results.cases.len(), results.skipped.len()), (0, 2), "{:?}", results.skipped);
    assert!(results.skipped.iter().all(|skip| skip.why.contains("the time was up: 0 s") && !skip.wrong));
    let calls = Cell::new(0);
    let stopped = run(common::gpu(), &small(), &|_, done, of| {
        calls.set(calls.get() + 1);
        assert!(done < of && of == 4);
        if calls.get() == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = stopped.unwrap();
    assert!(stopped.stopped && stopped.cases.len() < 10, "{}", stopped.cases.len());
}

#[test]
fn what_cannot_be_measured_is_refused_with_both_numbers() {
    let most = common::gpu().max_binding();
    let refused = |asked: Asked, says: &[&str]| {
        let error = run(common::gpu(), &asked, &|_, _, _| panic!("nothing is begun")).unwrap_err();
        assert!(matches!(error, Error::View { .. }), "{error:?}");
        let said = error.to_string();
        assert!(says.iter().all(|text| said.contains(text)), "{said}");
    };
    refused(Asked { dtype: Dtype::F8E4M3, ..small() }, &["F8_E4M3", "BF16"]);
    refused(Asked { batches: vec![5000], ..small() }, &["5000", "4096"]);
    refused(Asked { batches: vec![], ..small() }, &["nothing to measure"]);
    refused(Asked { sparsities: vec![1.5], ..small() }, &["1.5"]);
    refused(Asked { shapes: vec![Shape::new(0, 7)], ..small() }, &["0 weights"]);
    let large = Shape::new(1 << 16, (1 << 16) - 1);
    refused(Asked { shapes: vec![large], ..small() }, &["8589803520 bytes", &most.to_string()]);
    let wide = Asked { shapes: vec![Shape::new(2, 100_000)], formats: vec![Format::Csr], ..small() };
    refused(wide, &["100000", "65536"]);
    refused(Asked { formats: vec![Format::Nm { keep: 2, of: 4 }], ..small() }, &["2:4", "random"]);
    refused(Asked { pattern: Pattern::Group { keep: 5, of: 4 }, ..small() }, &["5 of every 4"]);
}

fn digits() -> Checkpoint {
    let path = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits/mlp.safetensors");
    Checkpoint::open(Path::new(path)).unwrap()
}

/// Places of the tensors with these names.
fn places(checkpoint: &Checkpoint, names: &[&str]) -> Vec<usize> {
    let place = |name: &&str| checkpoint.tensors().iter().position(|info| info.name == **name).unwrap();
    names.iter().map(place).collect()
}

const LAYERS: [&str; 3] = ["fc1.weight", "fc2.weight", "fc3.weight"];

#[test]
fn the_layers_of_a_model_are_measured_with_their_own_weights_and_added_up() {
    let checkpoint = digits();
    let model = Model::new(&checkpoint, &places(&checkpoint, &LAYERS)).unwrap();
    let whole = |_: &str, _: usize, _: usize| ControlFlow::Continue(());
    let asked = Asked { pattern: Pattern::Magnitude, sparsities: vec![0.5], batches: vec![1], ..small() };
    let results = run_model(common::gpu(), &model, &asked, &whole).unwrap();
    assert_eq!((results.skipped.len(), results.cases.len(), results.break_even.len()), (0, 6, 0));
    let shapes: Vec<_> = results.cases.iter().map(|case| (case.layer.as_deref(), case.rows, case.cols)).collect();
    let each = [(LAYERS[0], 128, 64), (LAYERS[1], 64, 128), (LAYERS[2], 10, 64)];
    let want: Vec<_> = each.iter().flat_map(|&(name, rows, cols)| [(Some(name), rows, cols); 2]).collect();
    assert_eq!(shapes, want);
    assert!(results.cases.iter().all(|case| case.sparsity == 0.5 && case.asked == Some(0.5) && case.dtype == "F32"));
    // The sums of what was measured.
    for total in &results.totals {
        let of = |name: &&str| {
            let own = results.cases.iter().filter(|case| case.layer.as_deref() == Some(*name));
            let own = own.filter(|case| total.format == FASTEST || case.format == total.format);
            own.min_by(|a, b| a.time.seconds.total_cmp(&b.time.seconds)).unwrap()
        };
        let (seconds, bytes) = LAYERS
            .iter()
            .map(of)
            .fold((0.0, 0), |(seconds, bytes), case| (seconds + case.time.seconds, bytes + case.matrix_bytes));
        assert!((total.seconds - seconds).abs() < 1e-12 && total.bytes == bytes, "{total:?}");
        assert_eq!((total.measured, total.layers, total.batch, total.sparsity), (3, 3, 1, 0.5));
    }
    let formats: Vec<&str> = results.totals.iter().map(|total| &*total.format).collect();
    assert_eq!(formats, ["dense", "bitmask", FASTEST]);
    // As they are: a trained network has no zeros, and here a few by chance at most.
    let given = Asked { pattern: Pattern::Given, ..asked.clone() };
    let results = run_model(common::gpu(), &model, &given, &whole).unwrap();
    assert!(results.cases.iter().all(|case| case.sparsity < 0.01 && case.asked.is_none()));
    // Without time, each is skipped by its name, and nothing is added up.
    let late = Asked { time: Duration::ZERO, ..asked };
    let results = run_model(common::gpu(), &model, &late, &whole).unwrap();
    let skipped: Vec<&str> = results.skipped.iter().map(|skip| &*skip.what).collect();
    assert!(skipped == LAYERS && results.totals.is_empty(), "{:?}", results.skipped);
}

#[test]
fn what_is_no_linear_layer_is_refused() {
    let checkpoint = digits();
    let refused = |tensors: &[usize], says: &[&str]| {
        let said = Model::new(&checkpoint, tensors).err().unwrap().to_string();
        assert!(says.iter().all(|text| said.contains(text)), "{said}");
    };
    refused(&[], &["no linear layers"]);
    refused(&places(&checkpoint, &["fc1.bias"]), &["`fc1.bias`", "1 dimensions", "has 2"]);
    refused(&[99], &["no tensor 99", "has 6"]);
    let made_up = Asked { pattern: Pattern::Given, ..small() };
    let error = run(common::gpu(), &made_up, &|_, _, _| panic!("nothing is begun")).unwrap_err();
    assert!(error.to_string().contains("as given"), "{error}");
}

#[test]
fn results_are_read_again_and_compared_product_by_product() {
    let first = ran(&small());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, serde_json::to_vec(&first).unwrap()).unwrap();
    let read = Results::read(&path).unwrap();
    // The last digit may differ.
    let near = |pair: &Pair| (pair.ratio - 1.0).abs() < 1e-12 && !pair.clear;
    let again = Contrast::new(&first, &read);
    assert!(again.pairs.len() == first.cases.len() && again.pairs.iter().all(near), "{again:?}");
    assert_eq!((&read.adapter, &read.clock_why, &read.skipped), (&first.adapter, &first.clock_why, &first.skipped));
    let mut second = first.clone();
    second.roofs.read *= 2.0;
    for case in &mut second.cases {
        case.time.seconds /= 4.0;
        case.time.spread = 0.0;
    }
    let gone = second.cases.pop().unwrap();
    second.cases.push(Case { batch: 7, ..gone });
    let found = Contrast::new(&first, &second);
    assert_eq!((found.pairs.len(), found.alone), (first.cases.len() - 1, [1, 1]));
    assert!((found.median.unwrap() - 4.0).abs() < 1e-9 && found.roofs == [2.0, 1.0, 1.0]);
    assert!(found.pairs.iter().all(|pair| (pair.ratio - 4.0).abs() < 1e-9));
    let same = Contrast::new(&first, &first);
    assert!(same.pairs.iter().all(|pair| pair.ratio == 1.0 && !pair.clear) && same.alone == [0, 0]);
    second.cases.clear();
    let other = Contrast::new(&first, &second);
    assert_eq!((other.pairs.len(), other.median, other.alone), (0, None, [first.cases.len(), 0]));
}

#[test]
fn files_that_hold_no_results_are_refused_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.json");
    for text in ["", "{}", "[1, 2", "{\"lopper\": \"0\", \"cases\": 3}"] {
        fs::write(&path, text).unwrap();
        let error = Results::read(&path).unwrap_err();
        let said = error.to_string();
        assert!(
            matches!(error, Error::Data { .. }) && said.contains("b.json") && said.contains("bench --json"),
            "{said}"
        );
    }
    File::create(&path).unwrap().set_len(65 << 20).unwrap();
    assert!(Results::read(&path).unwrap_err().to_string().contains("longer than 67108864 bytes"));
    assert!(matches!(Results::read(&folder.path().join("none.json")), Err(Error::Io { .. })));
}
