//! The benchmark: what it says it measured, what it skipped, and what it refuses. Times are not looked at.

mod common;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use lopper::bench::{Asked, Pattern, Results, run};
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
