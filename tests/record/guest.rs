//! How a pruning behaves in another program's commands.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use lopper::kernels::MatrixView;
use lopper::record::{Amount, Arena, PruneDescriptor};
use lopper::{Dtype, Lopper, Scope, Target, wgpu};

use super::common::case::Case;
use super::common::{Fill, buffer, gpu, read, run, run_pass};

fn lopper() -> Lopper {
    Lopper::new(gpu().device()).unwrap()
}

#[test]
fn it_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Lopper>();
    shared::<lopper::record::Pruning>();
    shared::<lopper::record::Readback<lopper::record::Stats>>();
    fn cheap<T: Clone>() {}
    cheap::<Lopper>();
}

#[test]
fn one_recording_serves_every_step_while_the_sparsity_changes() {
    let case = Case::new(Dtype::F32, (64, 1024, 0, 0), Fill::Normal, 1);
    let (weights, sparsity) = (case.upload(), buffer(&[0; 4]));
    let views = [case.view(&weights)];
    let amount = Amount::SparsityIn { buffer: &sparsity, offset: 0 };
    let pruning = lopper().prepare(&PruneDescriptor::new(&views, amount)).unwrap();
    for step in 1..=8 {
        let s = step as f32 / 10.0;
        gpu().queue().write_buffer(&sparsity, 0, &s.to_le_bytes());
        let mut stats = None;
        // In an open pass, among the caller's own work.
        run(|encoder| {
            pruning.record_in(&mut encoder.begin_compute_pass(&Default::default()));
            stats = Some(pruning.stats(encoder));
        });
        let stats = stats.unwrap().wait(gpu().device()).unwrap();
        assert_eq!(stats.units[0].zeros, lopper::quota(s.into(), 65_536), "step {step}");
    }
}

/// Everything that wgpu's backend holds for this device, by its own counters.
fn held(device: &wgpu::Device) -> Vec<isize> {
    let counters = device.get_internal_counters().hal;
    [
        counters.buffers,
        counters.bind_groups,
        counters.bind_group_layouts,
        counters.pipeline_layouts,
        counters.compute_pipelines,
        counters.query_sets,
        counters.buffer_memory,
        counters.memory_allocations,
    ]
    .map(|counter| counter.read())
    .to_vec()
}

#[test]
fn nothing_is_allocated_after_the_first_frame() {
    // A device of its own: other tests allocate meanwhile.
    let gpu = pollster::block_on(lopper::gpu::Gpu::open(std::env::var("LOPPER_ADAPTER").ok().as_deref())).unwrap();
    let (device, queue) = (gpu.device(), gpu.queue());
    let sized = |size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let weights = sized(64 * 128 * 256 * 2, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    let sparsity = sized(4, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    let views: Vec<_> =
        (0..64).map(|i| MatrixView::dense(&weights, i * 128 * 256 * 2, Dtype::BF16, 128, 256)).collect();
    let lopper = Lopper::new(device).unwrap();
    let mut arena = Arena::new(&lopper);
    let mut seen = Vec::new();
    for frame in 0..6 {
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pending = Vec::new();
        for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
            for amount in [Target::Sparsity(0.5).into(), Amount::SparsityIn { buffer: &sparsity, offset: 0 }] {
                let descriptor = PruneDescriptor { scope, ..PruneDescriptor::new(&views, amount) };
                let pruning = arena.prune(&mut encoder, &descriptor).unwrap();
                pending.push(pruning.stats(&mut encoder));
            }
        }
        arena.end_frame();
        assert_eq!(arena.len(), 6);
        queue.submit([encoder.finish()]);
        pending.into_iter().for_each(|stats| drop(stats.wait(device).unwrap()));
        seen.push((frame, held(device)));
    }
    // The first frames make things; wgpu itself frees some a frame later.
    assert_eq!(seen[3].1, seen[5].1, "{seen:?}");
    assert!(seen[5].1[0] > 0, "wgpu counts nothing: {seen:?}");
    arena.end_frame();
    arena.end_frame();
    assert!(arena.is_empty());
}

#[test]
fn a_thousand_tiny_matrices_take_five_dispatches_each_at_most() {
    let sparsity = buffer(&0.5f32.to_le_bytes());
    for scope in [Scope::Tensor, Scope::Row] {
        for amount in [Target::Sparsity(0.5).into(), Amount::SparsityIn { buffer: &sparsity, offset: 0 }] {
            let weights = buffer(&vec![1; 1000 * 64 * 64 * 4]);
            let view = |i: u64| MatrixView::dense(&weights, i * 64 * 64 * 4, Dtype::F32, 64, 64);
            let views: Vec<_> = (0..1000).map(view).collect();
            let descriptor = PruneDescriptor { scope, ..PruneDescriptor::new(&views, amount) };
            let pruning = lopper().prepare(&descriptor).unwrap();
            assert!(pruning.dispatches() <= 5000, "{} dispatches", pruning.dispatches());
            let mut stats = None;
            run(|encoder| {
                pruning.record(encoder);
                stats = Some(pruning.stats(encoder));
            });
            let stats = stats.unwrap().wait(gpu().device()).unwrap();
            assert_eq!(stats.units.len(), 1000);
            let wrong = stats.units.iter().find(|unit| unit.zeros != 2048);
            assert_eq!(wrong, None, "{scope:?} {amount:?}");
        }
    }
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn stats_complete_when_the_caller_polls_and_wake_its_executor() {
    let case = Case::new(Dtype::BF16, (64, 1024, 0, 0), Fill::Normal, 2);
    let weights = case.upload();
    let views = [case.view(&weights)];
    let pruning = lopper().prepare(&PruneDescriptor::new(&views, Target::Sparsity(0.5))).unwrap();
    let device = gpu().device();
    let mut encoder = device.create_command_encoder(&Default::default());
    pruning.record(&mut encoder);
    let mut stats = pin!(pruning.stats(&mut encoder));

    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    assert!(stats.as_mut().poll(&mut context).is_pending(), "it has not been submitted");
    gpu().queue().submit([encoder.finish()]);
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    // Another test's poll may run the callback.
    while woken.0.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let Poll::Ready(found) = stats.as_mut().poll(&mut context) else { panic!("it was woken and is not ready") };
    assert_eq!(found.unwrap().units[0].zeros, 32 * 1024);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
}

#[test]
fn stats_of_commands_that_never_run_fail_instead_of_waiting() {
    let case = Case::new(Dtype::BF16, (64, 1024, 0, 0), Fill::Normal, 2);
    let weights = case.upload();
    let views = [case.view(&weights)];
    let pruning = lopper().prepare(&PruneDescriptor::new(&views, Target::Sparsity(0.5))).unwrap();
    let mut encoder = gpu().device().create_command_encoder(&Default::default());
    let stats = pruning.stats(&mut encoder);
    drop(encoder);
    let error = stats.wait(gpu().device()).unwrap_err().to_string();
    assert!(error.contains("dropped before they ran"), "{error}");
    let mut encoder = gpu().device().create_command_encoder(&Default::default());
    let stats = pruning.stats(&mut encoder);
    let error = stats.wait(gpu().device()).unwrap_err().to_string();
    assert!(error.contains("has not been submitted"), "{error}");
}

#[test]
fn a_pruning_holds_its_buffers_and_the_arena_its_scratch() {
    let case = Case::new(Dtype::F16, (64, 1024, 0, 0), Fill::Normal, 2);
    let weights = case.upload();
    let kept = weights.clone();
    let pruning = {
        let views = [case.view(&weights)];
        let mut arena = Arena::new(&lopper());
        arena.prepare(&PruneDescriptor::new(&views, Target::Sparsity(0.5))).unwrap()
    };
    drop(weights);
    run_pass(|pass| pruning.record_in(pass));
    let zeros = read(&kept).chunks_exact(2).filter(|pair| pair == &[0, 0]).count();
    assert!(zeros >= 32 * 1024);
}

#[test]
fn a_profile_names_every_stage() {
    // Without the feature it says so; with it, on whichever adapter has it, it tells times.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let (plain, queue) = pollster::block_on(adapters[0].request_device(&Default::default())).unwrap();
    let mut encoder = plain.create_command_encoder(&Default::default());
    let nothing = Lopper::new(&plain).unwrap().prepare(&PruneDescriptor::new(&[], Target::Keep(5))).unwrap();
    let error = nothing.profile(&mut encoder, &queue).unwrap_err().to_string();
    assert!(error.contains("TIMESTAMP_QUERY"), "{error}");

    let timed = adapters.into_iter().find(|adapter| adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY));
    let Some(adapter) = timed else {
        eprintln!("no adapter here has TIMESTAMP_QUERY: nothing to profile with");
        return;
    };
    let descriptor =
        wgpu::DeviceDescriptor { required_features: wgpu::Features::TIMESTAMP_QUERY, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let weights = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 1 << 20,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let views = [MatrixView::dense(&weights, 0, Dtype::F32, 512, 512)];
    let lopper = Lopper::new(&device).unwrap();
    let mut encoder = device.create_command_encoder(&Default::default());
    let nothing = lopper.prepare(&PruneDescriptor::new(&[], Target::Keep(5))).unwrap();
    let profile = nothing.profile(&mut encoder, &queue).unwrap();
    queue.submit([encoder.finish()]);
    assert_eq!(profile.wait(&device).unwrap(), []);

    let pruning = lopper.prepare(&PruneDescriptor::new(&views, Target::Keep(5))).unwrap();
    let mut encoder = device.create_command_encoder(&Default::default());
    let profile = pruning.profile(&mut encoder, &queue).unwrap();
    queue.submit([encoder.finish()]);
    let stages = profile.wait(&device).unwrap();
    assert_eq!(stages.iter().map(|stage| stage.dispatches).sum::<usize>(), pruning.dispatches());
    for label in ["bracket sample", "histogram", "threshold", "mask", "apply"] {
        assert!(stages.iter().any(|stage| stage.label == label), "{label} in {stages:?}");
    }
    assert!(stages.iter().all(|stage| stage.seconds >= 0.0 && stage.seconds < 60.0), "{stages:?}");
}
