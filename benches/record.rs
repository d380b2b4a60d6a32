//! What it costs another program to prune in its own commands: recording, on the host and on the GPU.
//!
//! `cargo bench --bench record [-- ADAPTER]`. Under `cargo test` everything runs once, on small matrices.

mod common;

use std::time::Instant;

use common::bell;
use lopper::gpu::Gpu;
use lopper::kernels::{
    CUT_BYTES, MatrixView, SamplePlan, ThresholdRule, WINDOW_BYTES, counts_bytes, read_counts, rounds,
};
use lopper::record::{Amount, PruneDescriptor};
use lopper::reference::{self, Quota, Step, Window};
use lopper::{Dtype, Lopper, Scope, Target, wgpu};
use wgpu::BufferUsages as Usage;

struct Bench {
    gpu: Gpu,
    lopper: Lopper,
    times: usize,
}

fn main() -> anyhow::Result<()> {
    let (gpu, measuring) = common::open()?;
    let lopper = Lopper::new(gpu.device())?;
    let bench = Bench { gpu, lopper, times: if measuring { 15 } else { 1 } };
    let (count, side) = if measuring { (64, 4096) } else { (4, 256) };
    bench.resident(count, side)?;
    bench.tiny(if measuring { 1000 } else { 10 })?;
    for dtype in [Dtype::BF16, Dtype::F32] {
        let cols = if measuring { 8192 } else { 512 };
        bench.host_against_gpu(dtype, if measuring { 4096 } else { 64 }, cols)?;
    }
    Ok(())
}

impl Bench {
    fn buffer(&self, size: u64) -> wgpu::Buffer {
        let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        self.gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    }

    fn wait(&self) {
        self.gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
    }

    /// Median of several, after one to warm up.
    fn median(&self, times: usize, mut once: impl FnMut() -> f64) -> f64 {
        once();
        let mut seconds: Vec<f64> = (0..times.max(1)).map(|_| once()).collect();
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }

    /// Many matrices of a model, resident on the device: pruned with one submit.
    fn resident(&self, count: u64, side: u32) -> anyhow::Result<()> {
        let bytes = u64::from(side) * u64::from(side) * 2;
        let (device, queue) = (self.gpu.device(), self.gpu.queue());
        let weights: Vec<_> = (0..count).map(|_| self.buffer(bytes)).collect();
        let filling = bell(Dtype::BF16, (bytes / 2) as usize);
        for buffer in &weights {
            queue.write_buffer(buffer, 0, &filling);
            queue.submit([]);
            self.wait();
        }
        let views: Vec<_> = weights.iter().map(|b| MatrixView::dense(b, 0, Dtype::BF16, side, side)).collect();
        let sparsity = self.buffer(4);
        queue.write_buffer(&sparsity, 0, &0.5f32.to_le_bytes());
        println!("\n{count} matrices of {side} x {side} BF16, resident, in place");
        for (name, scope) in [("tensor", Scope::Tensor), ("row", Scope::Row), ("global", Scope::Global)] {
            let amount = Amount::SparsityIn { buffer: &sparsity, offset: 0 };
            let start = Instant::now();
            let pruning = self.lopper.prepare(&PruneDescriptor { scope, ..PruneDescriptor::new(&views, amount) })?;
            let prepared = start.elapsed().as_secs_f64();
            let recorded = self.median(15, || {
                let start = Instant::now();
                let mut encoder = device.create_command_encoder(&Default::default());
                pruning.record(&mut encoder);
                let commands = encoder.finish();
                let seconds = start.elapsed().as_secs_f64();
                drop(commands);
                seconds
            });
            let ran = self.median(2, || {
                let mut encoder = device.create_command_encoder(&Default::default());
                pruning.record(&mut encoder);
                let start = Instant::now();
                queue.submit([encoder.finish()]);
                self.wait();
                start.elapsed().as_secs_f64()
            });
            let each = recorded / count as f64 * 1e6;
            println!(
                "  {name:<8} {:>5} dispatches  record {each:>6.1} us per matrix  run {:>8.1} ms  prepare {:>6.1} ms",
                pruning.dispatches(),
                ran * 1e3,
                prepared * 1e3
            );
        }
        Ok(())
    }

    fn tiny(&self, count: u64) -> anyhow::Result<()> {
        let (device, queue) = (self.gpu.device(), self.gpu.queue());
        let weights = self.buffer(count * 64 * 64 * 4);
        queue.write_buffer(&weights, 0, &bell(Dtype::F32, (count * 64 * 64) as usize));
        let view = |i: u64| MatrixView::dense(&weights, i * 64 * 64 * 4, Dtype::F32, 64, 64);
        let views: Vec<_> = (0..count).map(view).collect();
        let pruning = self.lopper.prepare(&PruneDescriptor::new(&views, Target::Sparsity(0.5)))?;
        let ran = self.median(self.times, || {
            let start = Instant::now();
            let mut encoder = device.create_command_encoder(&Default::default());
            pruning.record(&mut encoder);
            queue.submit([encoder.finish()]);
            self.wait();
            start.elapsed().as_secs_f64()
        });
        let each = pruning.dispatches() as f64 / count as f64;
        println!("\n{count} matrices of 64 x 64 F32: {each:.1} dispatches each, {:.1} ms in all", ran * 1e3);
        Ok(())
    }

    /// The cut found on the GPU, against counts read back and the cut found on the host, window and all.
    fn host_against_gpu(&self, dtype: Dtype, rows: u32, cols: u32) -> anyhow::Result<()> {
        let (device, queue, kernels) = (self.gpu.device(), self.gpu.queue(), self.lopper.kernels());
        let n = u64::from(rows) * u64::from(cols);
        let weights = self.buffer(n * dtype.size() as u64);
        queue.write_buffer(&weights, 0, &bell(dtype, n as usize));
        let view = MatrixView::dense(&weights, 0, dtype, 1, n as u32);
        let tuning = kernels.tuning();
        let plan = SamplePlan::new(n, n / 2, tuning.sample);
        let (samples, window) = (self.buffer(4 * u64::from(tuning.sample)), self.buffer(WINDOW_BYTES));
        let (counts, cut) = (self.buffer(counts_bytes(tuning.capacity)), self.buffer(CUT_BYTES));
        let rule = ThresholdRule { dtype, weights: n as u32, quota: Quota::Count(n / 2) };
        let submit = |record: &dyn Fn(&mut wgpu::ComputePass<'_>)| {
            let mut encoder = device.create_command_encoder(&Default::default());
            record(&mut encoder.begin_compute_pass(&Default::default()));
            queue.submit([encoder.finish()]);
        };
        let bracket = |pass: &mut wgpu::ComputePass<'_>| {
            kernels.sample(pass, &view, plan.taken, 0, &samples).expect("good");
            kernels.place(pass, dtype, plan, &samples, &window).expect("good");
        };
        let on_gpu = || {
            let start = Instant::now();
            submit(&|pass| {
                bracket(pass);
                for _ in 0..rounds(dtype, tuning.capacity) {
                    kernels.histogram(pass, &view, &window, &counts).expect("good");
                    kernels.threshold(pass, rule, &window, &counts, &cut).expect("good");
                }
            });
            self.wait();
            start.elapsed().as_secs_f64()
        };
        let on_host = || {
            let start = Instant::now();
            submit(&|pass| {
                bracket(pass);
                kernels.histogram(pass, &view, &window, &counts).expect("good");
            });
            let words = self.read(&window);
            let placed = Window { low: words[0], shift: words[1], bins: words[2] };
            let counted = read_counts(&self.read(&counts), placed, n);
            let step = reference::threshold(&counted, placed, rule.quota, dtype, tuning.capacity);
            assert!(matches!(step, Step::Found(_)), "one round is enough here");
            let mut encoder = device.create_command_encoder(&Default::default());
            encoder.clear_buffer(&counts, 0, None);
            queue.submit([encoder.finish()]);
            self.wait();
            start.elapsed().as_secs_f64()
        };
        // In turn, so that both meet the same noise.
        let (mut gpu, mut host) = (Vec::new(), Vec::new());
        for _ in 0..self.times + 1 {
            gpu.push(on_gpu());
            host.push(on_host());
        }
        let median = |seconds: &mut Vec<f64>| {
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2] * 1e3
        };
        let (gpu, host) = (median(&mut gpu), median(&mut host));
        println!("\nthe cut of {rows} x {cols} {dtype}: GPU {gpu:.1} ms, host {host:.1} ms: {:.2} x", gpu / host);
        Ok(())
    }

    fn read(&self, buffer: &wgpu::Buffer) -> Vec<u32> {
        let staging = self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: buffer.size(),
            usage: Usage::MAP_READ | Usage::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        self.gpu.queue().submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("a fresh buffer maps"));
        self.wait();
        bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..).expect("it is mapped"))
    }
}
