//! Prunes under an async executor, on one thread, without blocking it: several prunings are in flight while other tasks
//! go on.
//!
//! ```sh
//! cargo run --example headless_async
//! ```
//!
//! lopper's future only waits to be told; what tells it is a poll of the device, which a program of this kind has
//! anyway. Here a task does that whenever the others have nothing to do. Any executor will do.

use std::cell::Cell;

use anyhow::{Context, Result, ensure};
use async_executor::LocalExecutor;
use futures_lite::future;
use lopper::kernels::MatrixView;
use lopper::record::{PruneDescriptor, Stats};
use lopper::{Dtype, Lopper, Target, wgpu};

const SIDE: u32 = 512;

fn main() -> Result<()> {
    let executor = LocalExecutor::new();
    future::block_on(executor.run(run(&executor)))
}

async fn run<'a>(executor: &LocalExecutor<'a>) -> Result<()> {
    let instance = wgpu::Instance::default();
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.context("no adapter")?;
    let required_limits = Lopper::required_limits(&adapter)?;
    let (device, queue) =
        adapter.request_device(&wgpu::DeviceDescriptor { required_limits, ..Default::default() }).await?;
    let lopper = Lopper::new(&device)?;

    // What polls. It never waits, and gives way at once.
    let polled = std::rc::Rc::new(Cell::new(0_u64));
    let (count, ticking) = (polled.clone(), device.clone());
    let ticker = executor.spawn(async move {
        loop {
            ticking.poll(wgpu::PollType::Poll).expect("polling does not fail");
            count.set(count.get() + 1);
            future::yield_now().await;
        }
    });
    let prunings: Vec<_> = [0.25, 0.5, 0.75]
        .map(|sparsity| executor.spawn(prune(lopper.clone(), queue.clone(), sparsity)))
        .into_iter()
        .collect();
    for pruning in prunings {
        let (sparsity, stats) = pruning.await?;
        println!("asked {sparsity}, got {:.6}, cut at {:?}", stats.sparsity(), stats.units[0].cut);
        ensure!(stats.sparsity() == sparsity, "{stats:?}");
    }
    println!("polled {} times meanwhile, without waiting once", polled.get());
    ticker.cancel().await;
    Ok(())
}

async fn prune(lopper: Lopper, queue: wgpu::Queue, sparsity: f64) -> Result<(f64, Stats)> {
    let device = lopper.device();
    let weights = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("weights"),
        size: u64::from(SIDE * SIDE) * 4,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let values: Vec<f32> = (0..SIDE * SIDE).map(|i| (i as f32 * 0.618).sin()).collect();
    queue.write_buffer(&weights, 0, bytemuck::cast_slice(&values));
    let matrices = [MatrixView::dense(&weights, 0, Dtype::F32, SIDE, SIDE)];
    let pruning = lopper.prepare(&PruneDescriptor::new(&matrices, Target::Sparsity(sparsity)))?;
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    pruning.record(&mut encoder);
    let stats = pruning.stats(&mut encoder);
    queue.submit([encoder.finish()]);
    Ok((sparsity, stats.await?))
}
