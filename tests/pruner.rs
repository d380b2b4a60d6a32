//! `Pruner` in other programs: between any source and sink, on the caller's own device, whatever goes wrong.

mod common;
#[path = "pruner/device.rs"]
mod device;
#[path = "pruner/memory.rs"]
mod memory;
#[path = "pruner/rounds.rs"]
mod rounds;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lopper::checkpoint::{Checkpoint, TensorInfo};
use lopper::gpu::Gpu;
use lopper::pruner::{Options, Progress, Recipe, Report, Rule, Scope, Target};
use lopper::safetensors::Dtype;
use lopper::{BoxError, Error};
use memory::{Call, Memory, Store, model};

/// The least memory that works: everything is cut into chunks, and what is not tiny is read twice.
const TINY: u64 = 128 << 10;
const ROOMY: u64 = 64 << 20;

const SCOPES: [Scope; 3] = [Scope::Tensor, Scope::Row, Scope::Global];

fn rule(scope: Scope) -> Recipe {
    Rule { scope, ..Rule::new(Target::Sparsity(0.4)) }.into()
}

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn prune(gpu: &Gpu, source: &Memory, sink: &Store, scope: Scope, memory: u64) -> lopper::Result<Report> {
    let options = Options { memory, force: false, ..Options::default() };
    common::pruner(gpu).prune_tensors(&source.infos, source, sink, &rule(scope), &options, &go_on)
}

/// On the adapter under test: lopper's device and the caller's, direct where it can be and staged.
fn gpus() -> Vec<(&'static str, Gpu)> {
    let asked = std::env::var("LOPPER_ADAPTER").ok();
    let staged = pollster::block_on(Gpu::open_staged(asked.as_deref())).unwrap();
    let own = |direct| {
        let (device, queue) = device::open(direct, device::limits());
        Gpu::from_device(device, queue).unwrap()
    };
    let (own_direct, own_staged) = (own(true), own(false));
    assert_eq!(own_direct.maps_storage(), common::gpu().maps_storage());
    assert!(!own_staged.maps_storage() && !staged.maps_storage());
    assert_eq!((own_direct.info().index, &own_direct.info().name), (None, &common::gpu().info().name));
    vec![
        ("lopper's, direct where it can", common::gpu().clone()),
        ("lopper's, staged", staged),
        ("the caller's, direct where it can", own_direct),
        ("the caller's, staged", own_staged),
    ]
}

#[test]
fn from_memory_to_memory_is_what_it_is_from_file_to_file() {
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["in.safetensors", "out.safetensors"].map(|name| folder.path().join(name));
    let source = model(&input);
    let gpus = gpus();
    for scope in SCOPES {
        let options = Options { memory: ROOMY, force: true, ..Options::default() };
        let by_path = common::pruner(common::gpu()).prune(&input, &output, &rule(scope), &options, &go_on).unwrap();
        let want = Memory::of(&Checkpoint::open(&output).unwrap());
        assert!(want.tensors != source.tensors);
        for (how, gpu) in &gpus {
            for memory in [TINY, ROOMY] {
                let about = format!("{scope:?}, {how}, {memory}");
                let sink = Store::new(&source.infos);
                let report = prune(gpu, &source, &sink, scope, memory).unwrap();
                assert!(sink.tensors() == want.tensors, "{about}: other bytes");
                assert_eq!(sink.commits(), 1, "{about}");
                assert_eq!((&report.tensors, report.totals), (&by_path.tensors, by_path.totals), "{about}");
                let bytes: u64 = source.infos.iter().map(TensorInfo::bytes).sum();
                assert_eq!(report.bytes_written, bytes, "{about}");
                assert!(report.bytes_read >= bytes && report.seconds.total > 0.0, "{about}");
            }
        }
        // A checkpoint is a source too.
        let (checkpoint, sink) = (Checkpoint::open(&input).unwrap(), Store::new(&source.infos));
        let pruner = common::pruner(common::gpu());
        pruner.prune_tensors(checkpoint.tensors(), &checkpoint, &sink, &rule(scope), &options, &go_on).unwrap();
        assert!(sink.tensors() == want.tensors);
    }
}

/// An error of the caller's.
#[derive(Debug, PartialEq)]
struct Broken(usize);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "call {} broke", self.0)
    }
}

impl std::error::Error for Broken {}

/// The first, a middle and the last call, and how the run ends that does `then` at each.
fn at_each(count: usize, then: impl Fn(usize)) {
    for at in [0, count / 3, count / 2, count - 1] {
        then(at);
    }
}

#[test]
fn an_error_of_the_source_comes_out_and_nothing_is_committed() {
    for (scope, memory) in [(Scope::Tensor, ROOMY), (Scope::Row, TINY), (Scope::Global, TINY)] {
        let mut source = Memory::model();
        prune(common::gpu(), &source, &Store::new(&source.infos), scope, memory).unwrap();
        at_each(source.calls(), |at| {
            let mut source = Memory::model();
            source.at(at, |call| Err(Broken(call.number).into()));
            let sink = Store::new(&source.infos);
            let error = prune(common::gpu(), &source, &sink, scope, memory).unwrap_err();
            let text = error.to_string();
            let Error::Source { tensor, range, source: own } = error else { panic!("{text}") };
            assert_eq!(own.downcast_ref(), Some(&Broken(at)));
            let call = source.broke().expect("it broke");
            assert_eq!((&tensor, range.start), (&source.infos[call.tensor].name, call.offset));
            let (start, end) = (range.start, range.end);
            assert_eq!(text, format!("cannot read bytes {start}..{end} of tensor `{tensor}`: call {at} broke"));
            assert_eq!(sink.commits(), 0);
        });
        source.at(5, |_| Err(Error::Cancelled.into()));
        source.restart();
        let error = prune(common::gpu(), &source, &Store::new(&source.infos), scope, memory).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "lopper's own errors come out as they are: {error}");
    }
}

#[test]
fn an_error_of_the_sink_comes_out_and_nothing_is_committed() {
    let source = Memory::model();
    for (scope, memory) in [(Scope::Tensor, ROOMY), (Scope::Row, TINY), (Scope::Global, TINY)] {
        let sink = Store::new(&source.infos);
        prune(common::gpu(), &source, &sink, scope, memory).unwrap();
        at_each(sink.calls(), |at| {
            let mut sink = Store::new(&source.infos);
            sink.at(at, |call| Err(Broken(call.number).into()));
            let error = prune(common::gpu(), &source, &sink, scope, memory).unwrap_err();
            let Error::Sink { tensor, range, source: own } = error else { panic!("{error}") };
            assert_eq!(own.downcast_ref(), Some(&Broken(at)));
            let call = sink.broke().expect("it broke");
            assert_eq!((&tensor, range.start), (&source.infos[call.tensor].name, call.offset));
            assert_eq!(sink.commits(), 0);
        });
        let mut sink = Store::new(&source.infos);
        sink.refuse_commit(|| Broken(0).into());
        let error = prune(common::gpu(), &source, &sink, scope, memory).unwrap_err();
        assert_eq!(error.to_string(), "cannot commit what was written: call 0 broke");
    }
}

#[test]
fn progress_tells_all_bytes_and_may_stop_the_run_at_any() {
    let source = Memory::model();
    for (scope, memory) in [(Scope::Tensor, ROOMY), (Scope::Global, TINY)] {
        let (most, all) = (AtomicU64::new(0), AtomicU64::new(0));
        let run = |stop_at: u64, sink: &Store| {
            let options = Options { memory, force: false, ..Options::default() };
            let stopped = AtomicBool::new(false);
            let progress = |&Progress { done, all: total, .. }: &Progress| {
                most.fetch_max(done, Ordering::Relaxed);
                all.store(total, Ordering::Relaxed);
                match done >= stop_at {
                    true if !stopped.swap(true, Ordering::Relaxed) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            };
            let pruner = common::pruner(common::gpu());
            pruner.prune_tensors(&source.infos, &source, sink, &rule(scope), &options, &progress)
        };
        run(u64::MAX, &Store::new(&source.infos)).unwrap();
        let total = all.load(Ordering::Relaxed);
        assert_eq!(most.load(Ordering::Relaxed), total);
        // Once is enough, wherever it is said.
        for stop_at in [1, total / 2, total] {
            let sink = Store::new(&source.infos);
            let error = run(stop_at, &sink).unwrap_err();
            assert!(matches!(error, Error::Cancelled), "{error}");
            assert_eq!(sink.commits(), 0);
        }
    }
}

#[test]
fn a_panic_of_the_callers_ends_the_run_and_goes_on_in_the_caller() {
    let panics = |run: &dyn Fn()| {
        let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&"the caller's"));
    };
    fn panic(_: Call) -> Result<(), BoxError> {
        panic!("the caller's")
    }
    for (scope, memory) in [(Scope::Tensor, ROOMY), (Scope::Row, TINY), (Scope::Global, TINY)] {
        let source = Memory::model();
        let sink = Store::new(&source.infos);
        prune(common::gpu(), &source, &sink, scope, memory).unwrap();
        at_each(source.calls(), |at| {
            let mut source = Memory::model();
            source.at(at, panic);
            panics(&|| drop(prune(common::gpu(), &source, &Store::new(&source.infos), scope, memory)));
        });
        at_each(sink.calls(), |at| {
            let mut sink = Store::new(&source.infos);
            sink.at(at, panic);
            panics(&|| drop(prune(common::gpu(), &source, &sink, scope, memory)));
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let [input, output] = ["in.safetensors", "out.safetensors"].map(|name| folder.path().join(name));
    model(&input);
    let progress = |_: &Progress| -> ControlFlow<()> { panic!("the caller's") };
    let options = Options { memory: TINY, force: false, ..Options::default() };
    let pruner = common::pruner(common::gpu());
    panics(&|| drop(pruner.prune(&input, &output, &rule(Scope::Tensor), &options, &progress)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the input is left");
}

#[test]
fn a_list_that_cannot_be_is_refused() {
    let source = Memory::model();
    let twice: Vec<_> = source.infos.iter().chain(&source.infos[..1]).cloned().collect();
    let mut longer = source.infos.clone();
    longer[2].range.end += 4;
    for list in [twice, longer] {
        let sink = Store::new(&list);
        let pruner = common::pruner(common::gpu());
        let run = pruner.prune_tensors(&list, &source, &sink, &rule(Scope::Tensor), &Options::default(), &go_on);
        assert!(matches!(run, Err(Error::Tensor { .. })), "{run:?}");
    }
    assert!(matches!(TensorInfo::new("w", Dtype::F32, [u64::MAX, 2]), Err(Error::Tensor { .. })));
}
