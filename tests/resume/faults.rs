//! Faults at the first, a middle and the last place where they can happen: the run goes on where it can, and else the
//! next one does. Nothing is lost, and nothing half-written has a final name.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use lopper::fault::{Fault, Faults, Point};
use lopper::gpu::Gpu;

use super::*;

/// Enough for a few chunks of each matrix.
const MEMORY: u64 = 400 << 10;

/// A device of its own: some of these tests lose it.
fn open() -> Gpu {
    pollster::block_on(Gpu::open(std::env::var("LOPPER_ADAPTER").ok().as_deref())).unwrap()
}

/// Places where a run may fail, and how often it comes by there.
fn places(setup: &Setup, rule: &Rule) -> HashMap<String, (Point, usize)> {
    let seen: Arc<Mutex<HashMap<String, (Point, usize)>>> = Arc::default();
    let counted = seen.clone();
    let faults = Faults::new(move |point| {
        let point = kind(point);
        counted.lock().unwrap().entry(format!("{point:?}")).or_insert((point, 0)).1 += 1;
        None
    });
    prune(setup, rule, open(), Earlier::Refuse, &faults).unwrap();
    seen.lock().unwrap().clone()
}

/// Reads are one place, however long they are.
fn kind(point: Point) -> Point {
    if let Point::Read(_) = point { Point::Read(0) } else { point }
}

/// Faults that happen once, the `at`-th time that a run comes by `place`.
fn once(place: Point, at: usize, fault: Fault) -> Faults {
    let left = Mutex::new(at);
    Faults::new(move |point| {
        let mut left = left.lock().unwrap();
        let now = kind(point) == place && *left > 0 && {
            *left -= 1;
            *left == 0
        };
        now.then(|| fault.clone())
    })
}

fn prune(setup: &Setup, rule: &Rule, gpu: Gpu, earlier: Earlier, faults: &Faults) -> lopper::Result<Report> {
    let pruner = Pruner::new(gpu.with_faults(faults.clone())).with_faults(faults.clone());
    let options = Options { memory: MEMORY, earlier, ..Options::default() };
    pruner.prune(&setup.input, &setup.output, &rule.into(), &options, &|_| ControlFlow::Continue(()))
}

#[test]
fn whatever_fails_wherever_nothing_is_lost() {
    let setup = Setup::new();
    let input = files(&setup.input);
    let rules = [(Scope::Tensor, Target::Sparsity(0.5)), (Scope::Global, Target::Sparsity(0.4))];
    for (scope, target) in rules {
        let rule = rule(scope, target);
        let places = places(&setup, &rule);
        let whole = setup.take_output();
        let gpu = places.keys().filter(|place| place.starts_with("Gpu")).count();
        assert!(gpu >= 4 && places.len() == gpu + 3, "{places:?}");
        for &(place, times) in places.values() {
            let faults = match place {
                Point::Read(_) => vec![Fault::Io(ErrorKind::UnexpectedEof), Fault::Io(ErrorKind::TimedOut)],
                Point::Write | Point::Copy => vec![Fault::Io(ErrorKind::StorageFull)],
                Point::Gpu("waiting for the GPU") => vec![Fault::Hangs, Fault::Lost],
                Point::Gpu(_) => vec![Fault::OutOfMemory, Fault::Rejected("the shader is too long"), Fault::Lost],
            };
            for fault in faults {
                let middle = times.div_ceil(2);
                // A pool begins and ends as a matrix does that is streamed.
                let all = [1, middle, times];
                for &at in if scope == Scope::Global { &all[1..2] } else { &all[..] } {
                    let context = format!("{fault:?} at {at} of {times} of {place:?}");
                    let first = prune(&setup, &rule, open(), Earlier::Refuse, &once(place, at, fault.clone()));
                    match (&fault, first) {
                        (Fault::OutOfMemory, Ok(report)) => {
                            assert!(report.retries[0].contains("half the memory"), "{context}: {:?}", report.retries);
                        }
                        // At the very end there may be nothing left to lose the device for.
                        (Fault::Lost, Ok(report)) => {
                            let retried = report.retries.iter().all(|retry| retry.contains("on a new device"));
                            assert!(retried && (at == times || report.retries.len() == 1), "{context}");
                        }
                        // Threads come by in another order: a point may not be reached so often.
                        (_, Ok(_)) => assert!(at == times, "{context}"),
                        (Fault::OutOfMemory | Fault::Lost, Err(error)) => panic!("{context}: {error}"),
                        (fault, Err(error)) => {
                            let text = error.to_string();
                            let says = match fault {
                                Fault::Io(_) => "0.safetensors",
                                Fault::Hangs => "the driver hangs",
                                _ => "the shader is too long",
                            };
                            assert!(text.contains(says), "{context}: {text}");
                            let named = fs::read_dir(&setup.output).into_iter().flatten().map(|e| e.unwrap().path());
                            assert!(named.into_iter().all(|path| path.is_dir()), "{context}");
                            prune(&setup, &rule, common::gpu().clone(), Earlier::Resume, &Faults::new(|_| None))
                                .unwrap();
                        }
                    }
                    assert!(setup.take_output() == whole, "{context}");
                }
            }
        }
    }
    assert!(files(&setup.input) == input);
}

#[test]
fn memory_that_never_suffices_is_an_error_that_says_so() {
    let setup = Setup::new();
    let tries = Arc::new(AtomicU64::new(0));
    let counted = tries.clone();
    let faults = Faults::new(move |point| {
        (point == Point::Gpu("allocating a slot")).then(|| {
            counted.fetch_add(1, Ordering::Relaxed);
            Fault::OutOfMemory
        })
    });
    let rule = rule(Scope::Tensor, Target::Sparsity(0.5));
    let error = prune(&setup, &rule, open(), Earlier::Refuse, &faults).unwrap_err();
    assert!(matches!(error, Error::GpuMemory { .. }), "{error}");
    assert!((2..10).contains(&tries.load(Ordering::Relaxed)), "it is tried with less, but not for ever");
    // Memory that is given back is used again.
    prune(&setup, &rule, open(), Earlier::Resume, &Faults::new(|_| None)).unwrap();
    setup.take_output();
}

/// What two runs read together beyond what one reads is what was done again.
#[test]
fn what_is_done_again_is_no_more_than_what_the_slots_hold_and_one_part() {
    let setup = Setup::new();
    let reads = |rule: &Rule, memory, earlier, stop_at: u64| {
        let (bytes, calls) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
        let counted = bytes.clone();
        let faults = Faults::new(move |point| {
            if let Point::Read(bytes) = point {
                counted.fetch_add(bytes, Ordering::Relaxed);
            }
            None
        });
        let progress = |_: &Progress| match calls.fetch_add(1, Ordering::Relaxed) {
            call if call + 1 >= stop_at => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let options = Options { memory, earlier, ..Options::default() };
        let pruner = Pruner::new(common::gpu().clone()).with_faults(faults);
        let done = pruner.prune(&setup.input, &setup.output, &rule.into(), &options, &progress);
        assert_eq!(done.is_ok(), stop_at == u64::MAX);
        (bytes.load(Ordering::Relaxed), calls.into_inner())
    };
    for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
        for memory in &MEMORIES[..2] {
            let rule = rule(scope, Target::Sparsity(0.5));
            let (all, calls) = reads(&rule, *memory, Earlier::Refuse, u64::MAX);
            setup.take_output();
            for stop_at in [calls / 4, calls / 2, calls * 3 / 4, calls - 1] {
                let (first, _) = reads(&rule, *memory, Earlier::Refuse, stop_at);
                let (rest, _) = reads(&rule, *memory, Earlier::Resume, u64::MAX);
                let again = (first + rest).saturating_sub(all);
                eprintln!("{scope:?} in {memory}: of {first} bytes, {again} again");
                // A chunk in each slot, and what was counted or masked since it was last written down: as much again, or a
                // row of `c.weight`, which no chunk holds, counted and masked.
                let part = if scope == Scope::Row { 2 * 2 * 40_000 } else { 0 };
                assert!(again <= memory + part.max(*memory), "{scope:?} in {memory}: of {first} bytes, {again} again");
                setup.take_output();
            }
        }
    }
}
