//! Two threads prune at once: first with one device and a shared [`Lopper`], then with a device each.
//!
//! ```sh
//! cargo run --example two_threads
//! ```
//!
//! `Lopper` is `Send + Sync` and cheap to clone; clones share their pipelines, each built once. A pruning without scratch of
//! the caller's makes its own, so recordings of different threads never meet. (Prunings that share a scratch buffer are for
//! one queue, one after the other.)

use std::thread;

use anyhow::{Context, Result, ensure};
use lopper::kernels::MatrixView;
use lopper::record::PruneDescriptor;
use lopper::{Dtype, Lopper, Scope, Target, wgpu};

const ROWS: u32 = 512;
const COLS: u32 = 768;

fn main() -> Result<()> {
    let (device, queue) = pollster::block_on(open())?;
    let lopper = Lopper::new(&device)?;
    thread::scope(|scope| {
        // Queues can be shared, too: submissions are taken one after the other.
        let works = [Scope::Tensor, Scope::Row].map(|rule| {
            let (lopper, queue) = (lopper.clone(), queue.clone());
            scope.spawn(move || prune("one device", &lopper, &queue, rule))
        });
        works.into_iter().try_for_each(|work| work.join().expect("no panic"))
    })?;
    thread::scope(|scope| {
        let works = [Scope::Tensor, Scope::Row].map(|rule| {
            scope.spawn(move || {
                let (device, queue) = pollster::block_on(open())?;
                prune("own device", &Lopper::new(&device)?, &queue, rule)
            })
        });
        works.into_iter().try_for_each(|work| work.join().expect("no panic"))
    })
}

/// Any adapter will do, and lopper asks for no more than wgpu's default limits.
async fn open() -> Result<(wgpu::Device, wgpu::Queue)> {
    let instance = wgpu::Instance::default();
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.context("no adapter")?;
    let required_limits = Lopper::required_limits(&adapter)?;
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    Ok(adapter.request_device(&descriptor).await?)
}

/// Ten frames of the same pruning, at rising sparsity; the last one is checked.
fn prune(what: &str, lopper: &Lopper, queue: &wgpu::Queue, scope: Scope) -> Result<()> {
    let device = lopper.device();
    let weights = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("weights"),
        size: u64::from(ROWS * COLS) * 4,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let values: Vec<f32> = (0..ROWS * COLS).map(|i| (i as f32 * 0.618).sin()).collect();
    queue.write_buffer(&weights, 0, bytemuck::cast_slice(&values));

    let matrices = [MatrixView::dense(&weights, 0, Dtype::F32, ROWS, COLS)];
    let mut last = None;
    for frame in 1..=10 {
        let sparsity = Target::Sparsity(f64::from(frame) * 0.08);
        let pruning = lopper.prepare(&PruneDescriptor { scope, ..PruneDescriptor::new(&matrices, sparsity) })?;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        pruning.record(&mut encoder);
        last = Some(pruning.stats(&mut encoder));
        queue.submit([encoder.finish()]);
    }
    let stats = last.expect("ten frames").wait(device)?;
    println!("{what:<10} scope {:<6} {:.4} of the weights are zero", scope.name(), stats.sparsity());
    ensure!((stats.sparsity() - 0.8).abs() < 0.001, "{what}: {stats:?}");
    Ok(())
}
