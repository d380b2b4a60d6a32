//! The caller's own device: what lopper asks of it, and what it leaves alone.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use lopper::checkpoint::TensorInfo;
use lopper::gpu::{Gpu, REQUIRED};
use lopper::pruner::{Options, Progress, Pruner, Scope};
use lopper::safetensors::Dtype;
use lopper::{Error, wgpu};

use super::memory::{Memory, Store};
use super::{ROOMY, SCOPES, TINY, common, go_on, prune, rule};

/// The limits of most programs.
pub fn limits() -> wgpu::Limits {
    wgpu::Limits::default()
}

/// The adapter under test, found once.
fn adapter() -> &'static wgpu::Adapter {
    static ADAPTER: OnceLock<wgpu::Adapter> = OnceLock::new();
    ADAPTER.get_or_init(|| {
        let backends = wgpu::Backends::all();
        let flags = wgpu::InstanceFlags::default().with_env();
        let descriptor =
            wgpu::InstanceDescriptor { backends, flags, ..wgpu::InstanceDescriptor::new_without_display_handle() };
        let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
        let tested = common::gpu().info();
        let named = |a: &wgpu::Adapter| (a.get_info().name, a.get_info().backend.to_string());
        let same = |a: &wgpu::Adapter| named(a) == (tested.name.clone(), tested.backend.clone());
        adapters.into_iter().find(same).expect("the adapter under test is there")
    })
}

/// A device of the caller's on it.
pub fn open(direct: bool, required_limits: wgpu::Limits) -> (wgpu::Device, wgpu::Queue) {
    let wanted = if direct { wgpu::Features::MAPPABLE_PRIMARY_BUFFERS } else { wgpu::Features::empty() };
    let required_features = adapter().features() & wanted;
    let descriptor = wgpu::DeviceDescriptor { required_features, required_limits, ..Default::default() };
    pollster::block_on(adapter().request_device(&descriptor)).unwrap()
}

/// A device with a handler that notes what it is told.
fn noting(direct: bool, limits: wgpu::Limits) -> (wgpu::Device, wgpu::Queue, Arc<Mutex<Vec<String>>>) {
    let (device, queue) = open(direct, limits);
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = told.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| notes.lock().unwrap().push(error.to_string())));
    (device, queue, told)
}

/// An error of the caller's own, which mentions `label`.
fn blunder(device: &wgpu::Device, label: &str) {
    let _ = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: device.limits().max_buffer_size + 4,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
}

#[test]
fn the_callers_handler_stays_and_hears_of_the_callers_errors_alone() {
    for direct in [true, false] {
        let (device, queue, told) = noting(direct, limits());
        let gpu = Gpu::from_device(device.clone(), queue).unwrap();
        let source = Memory::model();
        let mut sink = Store::new(&source.infos);
        let inside = device.clone();
        sink.at(3, move |_| {
            blunder(&inside, "inside");
            Ok(())
        });
        // The caller's scopes stay the caller's too.
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        prune(&gpu, &source, &sink, Scope::Tensor, ROOMY).unwrap();
        blunder(&device, "in a scope");
        let caught = pollster::block_on(scope.pop()).expect("it is caught").to_string();
        assert!(caught.contains("in a scope"), "{caught}");
        blunder(&device, "afterwards");
        let told = told.lock().unwrap();
        assert!(told.len() == 2 && told[0].contains("inside") && told[1].contains("afterwards"), "{told:?}");
    }
}

#[test]
fn an_error_of_loppers_is_an_error_and_not_told_to_the_handler() {
    let most = REQUIRED.iter().find(|(what, _)| *what == "max_buffer_size").unwrap().1;
    let (device, queue, told) =
        noting(true, wgpu::Limits { max_buffer_size: most, max_storage_buffer_binding_size: most, ..limits() });
    let gpu = Gpu::from_device(device, queue).unwrap();
    // So many tensors that what is counted of a pool, 512 bytes each, does not fit a buffer of that device.
    let count = most / 512 + 1;
    let infos = (0..count).map(|i| TensorInfo::new(i.to_string(), Dtype::F32, [1, 1]).unwrap()).collect();
    let source = Memory::new(infos, vec![vec![0; 4]; count as usize]);
    let sink = Store::new(&source.infos);
    let error = prune(&gpu, &source, &sink, Scope::Global, TINY).map(|report| report.totals).unwrap_err();
    assert!(matches!(&error, Error::Gpu { message, .. } if message.contains("results")), "{error}");
    assert_eq!((sink.commits(), told.lock().unwrap().len()), (0, 0));
}

#[test]
fn too_small_limits_are_refused_with_both_numbers() {
    let need = |name: &str| REQUIRED.iter().find(|(what, _)| *what == name).unwrap().1;
    let name = "max_storage_buffers_per_shader_stage";
    let (device, queue) = open(false, wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..limits() });
    let adapter_name = device.adapter_info().name;
    match Gpu::from_device(device, queue).unwrap_err() {
        Error::Limit { adapter, what, have, need: needed } => {
            assert_eq!((adapter, what, have, needed), (adapter_name, name, 4, need(name)));
        }
        other => panic!("{other}"),
    }
    let name = "max_compute_workgroup_storage_size";
    let (device, queue) = open(false, wgpu::Limits { max_compute_workgroup_storage_size: 8192, ..limits() });
    let error = Gpu::from_device(device, queue).unwrap_err().to_string();
    assert!(error.contains(&format!("{name} is 8192, lopper needs at least {}", need(name))), "{error}");
}

#[test]
fn a_device_that_goes_away_ends_the_run() {
    let source = Memory::model();
    for (direct, scope, memory) in
        [(true, Scope::Tensor, ROOMY), (false, Scope::Row, TINY), (true, Scope::Global, TINY)]
    {
        for share in 0..4 {
            let (device, queue, told) = noting(direct, limits());
            let gpu = Gpu::from_device(device.clone(), queue).unwrap();
            let gone = AtomicBool::new(false);
            let progress = |&Progress { done, all: total, .. }: &Progress| {
                if done >= total * share / 4 && !gone.swap(true, Ordering::Relaxed) {
                    device.destroy();
                }
                ControlFlow::Continue(())
            };
            let sink = Store::new(&source.infos);
            let options = Options { memory, force: false, ..Options::default() };
            let run = Pruner::new(gpu).prune_tensors(&source.infos, &source, &sink, &rule(scope), &options, &progress);
            let about = format!("{direct} {scope:?} {share}: {run:?}, {:?}", told.lock().unwrap());
            assert!(matches!(run, Err(Error::Gpu { .. })), "{about}");
            assert!(sink.commits() == 0 && told.lock().unwrap().is_empty(), "{about}");
        }
    }
}

#[test]
fn runs_share_a_device_with_each_other_and_with_the_caller() {
    let (device, queue, told) = noting(true, limits());
    let gpu = Gpu::from_device(device.clone(), queue.clone()).unwrap();
    let source = Memory::model();
    let alone = SCOPES.map(|scope| {
        let sink = Store::new(&source.infos);
        prune(common::gpu(), &source, &sink, scope, ROOMY).unwrap();
        sink.tensors()
    });
    let options = Options { memory: TINY, force: false, ..Options::default() };
    let pruner = Pruner::new(gpu);
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        // The caller's own work, whose errors are the caller's.
        let caller = threads.spawn(|| {
            let mut blunders = 0;
            while !done.load(Ordering::Relaxed) {
                blunder(&device, "the caller's");
                blunders += 1;
                queue.submit([]);
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            blunders
        });
        let runs = SCOPES.map(|scope| {
            let (pruner, source, options) = (&pruner, &source, &options);
            threads.spawn(move || {
                let sink = Store::new(&source.infos);
                pruner
                    .prune_tensors(&source.infos, source, &sink, &rule(scope), options, &go_on)
                    .map(|_| sink.tensors())
            })
        });
        for (run, alone) in runs.into_iter().zip(&alone) {
            assert!(run.join().unwrap().unwrap() == *alone);
        }
        done.store(true, Ordering::Relaxed);
        let told = (caller.join().unwrap(), told.lock().unwrap());
        assert!(told.0 == told.1.len() && told.1.iter().all(|error| error.contains("the caller's")));
    });
}
