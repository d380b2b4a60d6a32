//! What wgpu would object to while recording is an error before anything is recorded, and the caller's handler never
//! hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lopper::gpu::Tuning;
use lopper::kernels::{MatrixView, Part};
use lopper::record::{Amount, Arena, Masks, PruneDescriptor};
use lopper::{Dtype, Error, Lopper, Scope, Target, wgpu};
use wgpu::BufferUsages as Usage;

use super::common::{buffer, gpu, poisoned};

#[track_caller]
fn refused(descriptor: &PruneDescriptor<'_>, says: &[&str]) {
    let lopper = Lopper::new(gpu().device()).unwrap();
    let encoder = &mut gpu().device().create_command_encoder(&Default::default());
    let in_arena = Arena::new(&lopper).prune(encoder, descriptor).unwrap_err();
    for error in [lopper.prepare(descriptor).unwrap_err(), in_arena] {
        let error = error.to_string();
        for part in says {
            assert!(error.contains(part), "{part:?} is missing in: {error}");
        }
    }
}

#[test]
fn views_that_do_not_fit() {
    let weights = poisoned(4096);
    let view = MatrixView::dense(&weights, 0, Dtype::F32, 32, 32);
    let one = |view: MatrixView<'_>, says: &[&str]| {
        refused(&PruneDescriptor::new(&[view], Target::Sparsity(0.5)), says);
        refused(
            &PruneDescriptor::new(
                &[MatrixView { cols: 1, rows: 1, stride: 1, offset: 0, ..view }, view],
                Target::Keep(1),
            ),
            says,
        );
    };
    one(MatrixView { rows: 33, ..view }, &["ends at byte 4224 of a buffer of 4096 bytes", "matrix"]);
    one(MatrixView { offset: u64::MAX - 3, ..view }, &["ends at byte", "4096"]);
    one(MatrixView { offset: 6, ..view }, &["offset 6 is no multiple of 4"]);
    one(MatrixView { rows: 0, ..view }, &["no weights"]);
    one(MatrixView { rows: u32::MAX, cols: u32::MAX, stride: u32::MAX, ..view }, &["4096"]);
    one(MatrixView { stride: 31, ..view }, &["stride is 31"]);

    let device = gpu().device();
    let sized = |size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let plain = sized(4096, Usage::COPY_DST);
    let view = MatrixView::dense(&plain, 0, Dtype::F32, 32, 32);
    refused(&PruneDescriptor::new(&[view], Target::Sparsity(0.5)), &["COPY_DST", "needs STORAGE"]);
    let odd = sized(4097, Usage::STORAGE);
    let view = MatrixView::dense(&odd, 0, Dtype::F8E4M3, 32, 32);
    refused(&PruneDescriptor::new(&[view], Target::Sparsity(0.5)), &["4097 bytes, no multiple of 4"]);
}

#[test]
fn numbers_that_make_no_sense() {
    let weights = poisoned(4096);
    let views = [MatrixView::dense(&weights, 0, Dtype::F32, 32, 32)];
    let amount = |amount: Amount<'_>, says: &[&str]| {
        refused(&PruneDescriptor { amount, ..PruneDescriptor::new(&views, Target::Keep(0)) }, says);
    };
    amount(Target::Sparsity(1.5).into(), &["1.5 is no share"]);
    amount(Target::Sparsity(f64::NAN).into(), &["NaN is no share"]);
    amount(Target::Threshold(-1.0).into(), &["-1 is no magnitude"]);
    let sparsity = buffer(&[0; 8]);
    amount(Amount::SparsityIn { buffer: &sparsity, offset: 8 }, &["byte 8 of a buffer of 8 bytes"]);
    amount(Amount::SparsityIn { buffer: &sparsity, offset: 2 }, &["byte 2"]);
    amount(Amount::SparsityIn { buffer: &sparsity, offset: u64::MAX - 3 }, &["of a buffer of 8 bytes"]);
}

#[test]
fn masks_and_scratch_that_do_not_fit() {
    let (weights, masks) = (poisoned(8192), poisoned(4096));
    let views =
        [MatrixView::dense(&weights, 0, Dtype::F32, 32, 32), MatrixView::dense(&weights, 4096, Dtype::F32, 32, 32)];
    let base = PruneDescriptor::new(&views, Target::Sparsity(0.5));
    let given =
        |parts: &[Part<'_>], says: &[&str]| refused(&PruneDescriptor { masks: Masks::Given(parts), ..base }, says);
    let part = Part { buffer: &masks, offset: 0, size: 128 };
    given(&[part], &["1 masks for 2 matrices"]);
    given(&[part, part], &["ends at byte 128, another starts at byte 0"]);
    given(&[part, Part { offset: 128, ..part }], &["mask 1", "multiples of 256"]);
    given(&[part, Part { offset: 256, size: 124, ..part }], &["mask 1: 124 bytes, 128 are needed"]);
    given(&[part, Part { offset: 4096, ..part }], &["128 bytes from byte 4096 on, of a buffer of 4096"]);
    given(&[part, Part { buffer: &weights, offset: 256, size: 128 }], &["lies in a buffer of weights"]);
    let in_scratch = [part, Part { offset: 256, ..part }];
    let shared = PruneDescriptor { scratch: Some(&masks), masks: Masks::Given(&in_scratch), ..base };
    refused(&shared, &["mask 0: it lies in the scratch buffer"]);
    refused(&PruneDescriptor { scratch: Some(&masks), ..base }, &["scratch: 4096 bytes"]);
    refused(&PruneDescriptor { scratch: Some(&weights), ..base }, &["lies in a buffer of weights"]);
}

#[test]
fn buffers_that_are_larger_than_what_is_bound_of_them() {
    let lopper = Lopper::new(gpu().device()).unwrap();
    let limits = gpu().device().limits();
    let size = (limits.max_storage_buffer_binding_size.min(1 << 28) + 65_536).min(limits.max_buffer_size);
    let large = gpu().device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: size & !255,
        usage: Usage::STORAGE,
        mapped_at_creation: false,
    });
    let weights = poisoned(4096);
    let views = [MatrixView::dense(&weights, 0, Dtype::F32, 32, 32)];
    let sparsity = Amount::SparsityIn { buffer: &large, offset: large.size() - 4 };
    let masks = [Part::from(&large)];
    let descriptor = PruneDescriptor { masks: Masks::Given(&masks), ..PruneDescriptor::new(&views, sparsity) };
    let pruning = lopper.prepare(&descriptor).unwrap();
    assert_eq!(pruning.masks().next().unwrap().size, 128);
    // A size that is no multiple of four.
    let odd = gpu().device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 18,
        usage: Usage::STORAGE,
        mapped_at_creation: false,
    });
    let amount = Amount::SparsityIn { buffer: &odd, offset: 12 };
    lopper.prepare(&PruneDescriptor { amount, ..descriptor }).unwrap();
    let amount = Amount::SparsityIn { buffer: &odd, offset: 16 };
    refused(&PruneDescriptor { amount, ..descriptor }, &["byte 16 of a buffer of 18 bytes"]);
}

#[test]
fn knobs_out_of_range() {
    let weights = poisoned(4096);
    let views = [MatrixView::dense(&weights, 0, Dtype::F32, 32, 32)];
    let descriptor = PruneDescriptor::new(&views, Target::Keep(1));
    let refused = |tuning: Tuning, says: &str| {
        let lopper = Lopper::new(gpu().device()).unwrap().with_tuning(tuning);
        for error in [lopper.prepare(&descriptor).unwrap_err(), Arena::new(&lopper).prepare(&descriptor).unwrap_err()] {
            assert!(matches!(&error, Error::Rule(message) if message.contains(says)), "{error}");
        }
    };
    for workgroup in [0, 257] {
        refused(Tuning { workgroup, ..Tuning::GPU }, &format!("workgroup is {workgroup}"));
    }
    for row_workgroup in [0, 3, 256] {
        refused(Tuning { row_workgroup, ..Tuning::GPU }, &format!("row_workgroup is {row_workgroup}"));
    }
    for capacity in [0, 1, 1000, 1 << 23] {
        refused(Tuning { capacity, ..Tuning::GPU }, &format!("capacity is {capacity}"));
    }
    refused(Tuning { workgroup: 2, ..Tuning::CPU }, "sample is 32768, 16384 weights for 2 threads will do");
}

#[test]
fn stages_refuse_parts_that_are_too_small() {
    let lopper = Lopper::new(gpu().device()).unwrap();
    let kernels = lopper.kernels();
    let (weights, enough, tiny) = (poisoned(4096), poisoned(4096), poisoned(4));
    let view = &MatrixView::dense(&weights, 0, Dtype::F32, 32, 32);
    let to = &mut Vec::new();
    let says = |result: lopper::Result<()>, message: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::View { .. }) && error.to_string().contains(message), "{error}");
    };
    says(kernels.mask(to, view, &tiny, &enough, &enough), "cut: 4 bytes, 48 are needed");
    says(kernels.settle(to, view, &tiny, &enough, &enough, &enough), "cut: 4 bytes, 48 are needed");
    says(kernels.settle(to, view, &enough, &enough, &enough, &tiny), "boundary: 4 bytes, 1040 are needed");
    assert!(to.is_empty());
}

#[test]
fn matrices_that_overlap_or_differ() {
    let weights = poisoned(65_536);
    let view = |offset, dtype, rows, cols, stride| MatrixView {
        stride,
        ..MatrixView::dense(&weights, offset, dtype, rows, cols)
    };
    let two = |views: [MatrixView<'_>; 2], says: &[&str]| {
        refused(&PruneDescriptor::new(&views, Target::Sparsity(0.5)), says);
    };
    let first = view(0, Dtype::F32, 32, 32, 64);
    two([first, first], &["matrices 0 and 1 overlap, from byte 0 on"]);
    two([first, view(4 * 31, Dtype::F32, 32, 32, 64)], &["overlap, from byte 124 on"]);
    two([first, view(4 * 33, Dtype::F32, 32, 32, 64)], &["overlap"]);
    two([first, view(4 * 32, Dtype::F32, 32, 32, 96)], &["overlap"]);
    two([view(4096, Dtype::F16, 32, 32, 32), first], &["matrices 1 and 0 overlap, from byte 4096 on"]);
    // Beside each other in one larger matrix, and reading only: nothing wrong with these.
    let lopper = Lopper::new(gpu().device()).unwrap();
    let beside = [first, view(4 * 32, Dtype::F32, 32, 32, 64)];
    lopper.prepare(&PruneDescriptor::new(&beside, Target::Sparsity(0.5))).unwrap();
    let same = [first, first];
    let masks_only =
        PruneDescriptor { apply: false, masks: Masks::Own, ..PruneDescriptor::new(&same, Target::Keep(1)) };
    lopper.prepare(&masks_only).unwrap();
    // Nothing to do is no error.
    assert_eq!(lopper.prepare(&PruneDescriptor::new(&[], Target::Keep(1))).unwrap().dispatches(), 0);

    let mixed = [first, view(16_384, Dtype::F16, 32, 32, 32)];
    let global = PruneDescriptor { scope: Scope::Global, ..PruneDescriptor::new(&mixed, Target::Sparsity(0.5)) };
    refused(&global, &["F32 and F16 under one cut"]);
}

#[test]
fn what_exceeds_the_device() {
    // A device with wgpu's smallest limits.
    let adapter = adapter();
    let mut required_limits = Lopper::required_limits(&adapter).unwrap();
    required_limits.max_storage_buffer_binding_size = required_limits.max_storage_buffer_binding_size.min(1 << 27);
    let bound = required_limits.max_storage_buffer_binding_size;
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, _) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let lopper = Lopper::new(&device).unwrap();
    let size = (bound + 65_536).min(device.limits().max_buffer_size);
    if size > bound {
        let big = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: Usage::STORAGE,
            mapped_at_creation: false,
        });
        let view = [MatrixView::dense(&big, 0, Dtype::F8E4M3, (size / 1024) as u32, 1024)];
        let error = lopper.prepare(&PruneDescriptor::new(&view, Target::Sparsity(0.5))).unwrap_err().to_string();
        assert!(error.contains(&format!("binds at most {bound}")), "{error}");
    }
    let mut short = Lopper::required_limits(&adapter).unwrap();
    short.max_storage_buffers_per_shader_stage = 4;
    let descriptor = wgpu::DeviceDescriptor { required_limits: short, ..Default::default() };
    let (device, _) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let error = Lopper::new(&device).unwrap_err();
    assert!(
        matches!(error, Error::Limit { what: "max_storage_buffers_per_shader_stage", have: 4, need: 6, .. }),
        "{error}"
    );
}

fn adapter() -> wgpu::Adapter {
    let name = &gpu().info().name;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let same = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        info.name == *name && info.backend.to_string() == gpu().info().backend
    };
    adapters.into_iter().find(same).expect("the adapter under test is among them")
}

#[test]
fn buffers_of_another_device_and_the_callers_handler() {
    // Of one instance: wgpu cannot tell the buffers of another.
    let adapter = adapter();
    let open = || pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap().0;
    let (device, other) = (open(), open());
    let heard = Arc::new(AtomicUsize::new(0));
    let hears = heard.clone();
    device.on_uncaptured_error(Arc::new(move |_| {
        hears.fetch_add(1, Ordering::SeqCst);
    }));
    let lopper = Lopper::new(&device).unwrap();
    let foreign = other.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4096,
        usage: Usage::STORAGE,
        mapped_at_creation: false,
    });
    let views = [MatrixView::dense(&foreign, 0, Dtype::F32, 32, 32)];
    let error = lopper.prepare(&PruneDescriptor::new(&views, Target::Sparsity(0.5))).unwrap_err();
    assert!(matches!(error, Error::Gpu { doing: "preparing a pruning", .. }), "{error}");
    assert_eq!(heard.load(Ordering::SeqCst), 0, "the caller's handler was called");
    // It is still the caller's.
    let _ = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4,
        usage: Usage::empty(),
        mapped_at_creation: false,
    });
    assert_eq!(heard.load(Ordering::SeqCst), 1);
}
