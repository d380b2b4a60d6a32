//! The search for knobs, and the table that keeps them. Times are not looked at.

mod common;

use std::cell::Cell;
use std::fs;
use std::ops::ControlFlow;
use std::time::Duration;

use lopper::gpu::Tuning;
use lopper::tune::{Table, Tuned, tune_at};
use lopper::{Error, Shape};

const SMALL: Shape = Shape::new(64, 256);

fn tuned(time: u64, on_step: &dyn Fn(&str, f64) -> ControlFlow<()>) -> Tuned {
    tune_at(common::gpu(), Duration::from_secs(time), SMALL, on_step).unwrap()
}

#[test]
fn what_is_kept_was_faster_and_what_is_found_differs_by_what_was_kept() {
    let found = tuned(5, &|_, share| {
        assert!((0.0..=1.0).contains(&share));
        ControlFlow::Continue(())
    });
    assert_eq!(found.before, common::gpu().class_tuning());
    assert!(!found.steps.is_empty() && found.adapter == *common::gpu().info());
    for step in &found.steps {
        assert!(step.from != step.to && step.kept == step.gain.is_some_and(|gain| gain >= 1.03), "{step:?}");
        assert_eq!(step.gain.is_none(), step.why.is_some(), "{step:?}");
    }
    let kept = found.steps.iter().filter(|step| step.kept).count();
    // All tasks are timed once more where something was kept, and only what is faster in all is an outcome.
    assert_eq!(found.gains.len(), if kept > 0 { 9 } else { 0 });
    assert_eq!(found.after != found.before, kept > 0 && found.gain >= 1.03, "{found:?}");
    common::gpu().clone().with_tuning(found.after).unwrap();
}

#[test]
fn a_search_that_is_stopped_says_so_and_finds_nothing() {
    let calls = Cell::new(0);
    let found = tuned(600, &|_, _| {
        calls.set(calls.get() + 1);
        ControlFlow::Break(())
    });
    assert!(found.cut_short && found.steps.is_empty() && found.after == found.before && calls.get() == 1);
    let none = tuned(0, &|_, _| panic!("there is no time for a step"));
    assert!(none.cut_short && none.gain == 1.0);
}

#[test]
fn a_table_knows_adapters_by_name_driver_and_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    let adapter = common::gpu().info();
    let own = Tuning { workgroups: 77, ..Tuning::CPU };
    let mut table = Table::default();
    assert_eq!(table.find(adapter), None);
    table.keep(adapter, Tuning::GPU);
    table.keep(adapter, own);
    assert_eq!((table.find(adapter), table.adapters().len()), (Some(own), 1));
    fs::write(&path, table.to_json()).unwrap();
    let mut read = Table::read(&path).unwrap();
    assert_eq!(read, table);
    let mut other = adapter.clone();
    other.driver += " of another day";
    assert_eq!((read.find(&other), read.forget(&other)), (None, false));
    // Kernels of another version have other best knobs.
    let old = table.to_json().replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    fs::write(&path, old).unwrap();
    let mut old = Table::read(&path).unwrap();
    assert_eq!(old.find(adapter), None);
    assert!(old.forget(adapter) && old.adapters().is_empty() && read.forget(adapter));
    let gpu = common::gpu().clone().with_tuning(own).unwrap();
    assert!(gpu.tuning() == own && gpu.class_tuning() != own);
    let bad = common::gpu().clone().with_tuning(Tuning { lanes: 12, ..own }).unwrap_err();
    assert!(bad.to_string().contains("lanes is 12"), "{bad}");
}

#[test]
fn what_is_no_table_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    let mut table = Table::default();
    table.keep(common::gpu().info(), Tuning::CPU);
    let json = table.to_json();
    let later = json.replace("\"version\": 1", "\"version\": 2");
    let wide = json.replace("\"workgroup\": 8", "\"workgroup\": 100000");
    let huge = json.replace("\"sample\": 32768", "\"sample\": 4294967295");
    let long = " ".repeat(2 << 20);
    let bad: [(&str, &str); 6] = [
        ("", "is not a table of `lopper tune`"),
        ("{\"version\": 1}", "adapters"),
        (&later, "version 2, this lopper knows 1"),
        (&wide, "workgroup is 100000"),
        (&huge, "sample is 4294967295"),
        (&long, "longer than 1048576 bytes"),
    ];
    for (text, says) in bad {
        fs::write(&path, text).unwrap();
        let error = Table::read(&path).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, Error::Data { .. }) && said.contains("tuning.json") && said.contains(says), "{said}");
    }
}
