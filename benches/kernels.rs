//! Each kernel as a share of the adapter's own roof, measured in the same run.
//!
//! `cargo bench --bench kernels [-- ADAPTER]`. Under `cargo test` everything runs once, on small matrices.
//!
//! Sizes: 4096 × 11008, an MLP matrix of a 7B model, is 90 MB in bf16: far past every cache, within a binding of
//! 128 MiB. In f32 it is 4096 × 8192, for the same reason. GPUs get four times as many rows, past their caches too, and what takes
//! them less time than asking for it is repeated within a submission. Weights are bell-shaped, the cut is the median: the most crowded place, so the worst for counting. Units are
//! rows, and blocks of the sizes in use: 4 x 4 and 16 x 16, and 1 x 8 for vectors.

mod common;

use std::time::Instant;

use common::{bell, repeats};
use lopper::gpu::{Binding, Gpu, Kernel, KernelSpec, dispatch};
use lopper::kernels::{
    BOUNDARY_BYTES, CUT_BYTES, GroupRule, Kernels, MatrixView, PoolRule, RandomRule, RowRule, SamplePlan, ScaleRule,
    Scaled, ThresholdRule, WINDOW_BYTES, counts_bytes, mask_bytes, rounds, tiles_bytes,
};
use lopper::reference::Quota;
use lopper::{Dtype, Norm, wgpu};
use wgpu::BufferUsages as Usage;

struct Bench {
    gpu: Gpu,
    kernels: Kernels,
    /// Repetitions, of which the median counts.
    times: usize,
}

fn main() -> anyhow::Result<()> {
    let (gpu, measuring) = common::open()?;
    let kernels = Kernels::new(gpu.device(), gpu.tuning());
    let bench = Bench { gpu, kernels, times: if measuring { 15 } else { 1 } };
    let rows = if bench.gpu.tuning().simd { 4096 } else { 16384 };
    for dtype in [Dtype::BF16, Dtype::F16, Dtype::F32, Dtype::F8E4M3] {
        let (rows, cols) = match (measuring, dtype) {
            (true, Dtype::F32) => (rows, 8192),
            (true, _) => (rows, 11008),
            (false, _) => (64, 1024),
        };
        bench.matrix(dtype, rows, cols)?;
    }
    Ok(())
}

impl Bench {
    fn buffer(&self, label: &str, size: u64) -> wgpu::Buffer {
        let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
        let label = Some(label);
        self.gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
    }

    /// Median seconds, of a submission of its own or of one of several.
    fn time(&self, record: impl Fn(&mut wgpu::CommandEncoder)) -> f64 {
        let once = |repeats: usize| {
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            (0..repeats).for_each(|_| record(&mut encoder));
            let commands = encoder.finish();
            let start = Instant::now();
            self.gpu.queue().submit([commands]);
            self.gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
            start.elapsed().as_secs_f64() / repeats as f64
        };
        once(1);
        let repeats = if self.times > 1 { repeats(once(1)) } else { 1 };
        let mut seconds: Vec<f64> = (0..self.times).map(|_| once(repeats)).collect();
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    }

    fn roof(&self, entry: &'static str, bytes: u64, from: &wgpu::Buffer, to: &wgpu::Buffer) -> f64 {
        let bindings = &[(0, Binding::Uniform), (1, Binding::Read), (2, Binding::ReadWrite)];
        let spec = KernelSpec { label: entry, source: include_str!("../shaders/roofs.wgsl"), entry, bindings };
        let tuning = self.gpu.tuning();
        let kernel = Kernel::new(self.gpu.device(), spec, &[("WORKGROUP", tuning.workgroup.into())]);
        let share = dispatch::share((bytes / 64) as u32, tuning.workgroup, tuning.workgroups);
        let size = self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: Usage::UNIFORM | Usage::COPY_DST,
            mapped_at_creation: false,
        });
        self.gpu.queue().write_buffer(&size, 0, bytemuck::cast_slice(&[(bytes / 64) as u32, share.span, 0, 0]));
        self.time(|encoder| {
            let buffers = [&size, from, to].map(wgpu::Buffer::as_entire_buffer_binding);
            kernel.dispatch(
                self.gpu.device(),
                &mut encoder.begin_compute_pass(&Default::default()),
                &buffers,
                share.workgroups,
            );
        })
    }

    fn matrix(&self, dtype: Dtype, rows: u32, cols: u32) -> anyhow::Result<()> {
        let (k, gpu) = (&self.kernels, &self.gpu);
        let n = u64::from(rows) * u64::from(cols);
        let bytes = n * dtype.size() as u64;
        let (weights, copy) = (self.buffer("weights", bytes), self.buffer("copy", bytes));
        gpu.queue().write_buffer(&weights, 0, &bell(dtype, n as usize));
        gpu.queue().submit([]);
        let view = MatrixView::dense(&weights, 0, dtype, rows, cols);
        let flat = MatrixView::dense(&weights, 0, dtype, 1, n as u32);
        let tuning = k.tuning();
        let plan = SamplePlan::new(n, n / 2, tuning.sample);
        let samples = self.buffer("samples", 4 * u64::from(tuning.sample.max(1024)));
        let window = self.buffer("window", WINDOW_BYTES);
        let counts = self.buffer("counts", counts_bytes(tuning.capacity));
        let cut = self.buffer("cut", CUT_BYTES);
        let (mask, tiles) = (self.buffer("mask", mask_bytes(&flat)), self.buffer("tiles", tiles_bytes(&flat)));
        let (boundary, nonzero) = (self.buffer("boundary", BOUNDARY_BYTES), self.buffer("nonzero", 512));

        // Twice, and the better: an adapter that had nothing to do is slower at first.
        let faster = |[all, near]: [&'static str; 2]| {
            [all, near, all, near]
                .map(|e| self.roof(e, bytes, &weights, &copy))
                .into_iter()
                .fold(f64::INFINITY, f64::min)
        };
        let (read, copied) = (faster(["read_all", "read_near"]), faster(["copy_all", "copy_near"]));
        let rate = |bytes: u64, seconds: f64| bytes as f64 / seconds / 1e9;
        println!("\n{dtype} {rows} x {cols}, {} MB", bytes / 1_000_000);
        println!("  {:<34} {:>8.3} ms {:>7.2} GB/s", "read roof", read * 1e3, rate(bytes, read));
        println!("  {:<34} {:>8.3} ms {:>7.2} GB/s", "copy roof", copied * 1e3, rate(2 * bytes, copied));
        let line = |name: &str, seconds: f64, bytes: u64, roof: (&str, f64)| {
            let share = 100.0 * rate(bytes, seconds) / roof.1;
            println!(
                "  {name:<34} {:>8.3} ms {:>7.2} GB/s {share:>6.1} % of the {} roof",
                seconds * 1e3,
                rate(bytes, seconds),
                roof.0
            );
        };
        let read_roof = ("read", rate(bytes, read));
        let copy_roof = ("copy", rate(2 * bytes, copied));

        let bracket = |pass: &mut wgpu::ComputePass<'_>| {
            k.sample(pass, &flat, plan.taken, 0, &samples).expect("the view is good");
            k.place(pass, dtype, plan, &samples, &window).expect("buffers are large enough");
        };
        let rule = ThresholdRule { dtype, weights: n as u32, quota: Quota::Count(n / 2) };
        let select = |encoder: &mut wgpu::CommandEncoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            bracket(&mut pass);
            for _ in 0..rounds(dtype, tuning.capacity) {
                k.histogram(&mut pass, &flat, &window, &counts).expect("the view is good");
                k.threshold(&mut pass, rule, &window, &counts, &cut).expect("buffers are large enough");
            }
        };
        let keys = self.buffer("keys", 4 * n.min(1 << 24));
        let some = MatrixView::dense(&weights, 0, dtype, 1, n.min(1 << 24) as u32);
        let scored =
            self.time(|e| k.score(&mut e.begin_compute_pass(&Default::default()), &some, &keys).expect("good"));
        line("score", scored, some.weights() * (dtype.size() as u64 + 4), copy_roof);
        let only_bracket = self.time(|encoder| bracket(&mut encoder.begin_compute_pass(&Default::default())));
        line("bracket", only_bracket, bytes, read_roof);
        self.time(|encoder| bracket(&mut encoder.begin_compute_pass(&Default::default())));
        let counted = self.time(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            k.histogram(&mut pass, &flat, &window, &counts).expect("the view is good");
        });
        line("histogram, one pass", counted, bytes, read_roof);
        // Threshold expects clear counts, and leaves them so.
        self.time(|encoder| encoder.clear_buffer(&counts, 0, None));
        let selected = self.time(select);
        line("threshold: bracket to cut", selected, bytes, read_roof);
        let masked = self.time(|encoder| {
            encoder.clear_buffer(&tiles, 0, None);
            let mut pass = encoder.begin_compute_pass(&Default::default());
            k.mask(&mut pass, &flat, &cut, &mask, &tiles).expect("the view is good");
        });
        line("mask", masked, bytes + n / 8, copy_roof);
        let settled = self.time(|encoder| {
            select(encoder);
            encoder.clear_buffer(&tiles, 0, None);
            let mut pass = encoder.begin_compute_pass(&Default::default());
            k.mask(&mut pass, &flat, &cut, &mask, &tiles).expect("the view is good");
            k.settle(&mut pass, &flat, &cut, &mask, &tiles, &boundary).expect("the view is good");
        });
        line("mask, settle", (settled - selected).max(1e-9), bytes + n / 8, copy_roof);
        let applied = self.time(|encoder| {
            k.apply(&mut encoder.begin_compute_pass(&Default::default()), &flat, &mask).expect("the view is good");
        });
        line("apply", applied, 2 * bytes + n / 8, copy_roof);
        gpu.queue().write_buffer(&weights, 0, &bell(dtype, n as usize));
        let by_row = self.time(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            bracket(&mut pass);
            k.row(&mut pass, &view, RowRule { k: cols / 2 }, &window, &mask, &nonzero).expect("the view is good");
        });
        line("row: bracket to mask", by_row, bytes + n / 8, read_roof);
        for (name, rows, cols, norm) in [
            ("pool rows, l1", 1, cols, Norm::L1),
            ("pool rows, l2", 1, cols, Norm::L2),
            ("pool rows, linf", 1, cols, Norm::Linf),
            ("pool 4 x 4, l1", 4, 4, Norm::L1),
            ("pool 4 x 4, l2", 4, 4, Norm::L2),
            ("pool 16 x 16, l1", 16, 16, Norm::L1),
            ("pool 16 x 16, mean", 16, 16, Norm::Mean),
            ("pool 1 x 8, l1", 1, 8, Norm::L1),
            ("pool 1 x 8, l2", 1, 8, Norm::L2),
            ("pool 64 x 64, l1", 64, 64, Norm::L1),
            ("pool columns, l2", view.rows, 1, Norm::L2),
        ] {
            let rule = PoolRule { rows, cols, norm };
            let (down, across) = (view.rows.div_ceil(rule.rows), view.cols.div_ceil(rule.cols));
            let keys = self.buffer("keys", 4 * u64::from(down) * u64::from(across));
            let pooled = self
                .time(|e| k.pool(&mut e.begin_compute_pass(&Default::default()), &view, rule, &keys).expect("good"));
            line(name, pooled, bytes, read_roof);
        }
        for (name, keep, of) in [("group 2:4", 2, 4), ("group 4:8", 4, 8), ("group 16:32", 16, 32), ("group 2:6", 2, 6)]
        {
            let rule = GroupRule { keep, of };
            let grouped = self.time(|e| {
                let pass = &mut e.begin_compute_pass(&Default::default());
                k.group(pass, &view, rule, &mask, &nonzero).expect("the view is good");
            });
            line(name, grouped, bytes + n / 8, read_roof);
        }
        let (scales, rule) = (self.buffer("scales", 4 * u64::from(cols)), ScaleRule { first: 0, period: cols });
        gpu.queue().write_buffer(
            &scales,
            0,
            &bell(Dtype::F32, cols as usize).iter().map(|b| b & 0x7f).collect::<Vec<_>>(),
        );
        let part = MatrixView { rows: (keys.size() / 4 / u64::from(cols)) as u32, ..view };
        let scaled = self.time(|e| {
            let pass = &mut e.begin_compute_pass(&Default::default());
            k.scale(pass, &part, rule, &scales, &keys).expect("the view is good");
        });
        line("scale", scaled, part.weights() * (dtype.size() as u64 + 4), copy_roof);
        // Wanda: half of each row goes, by scores.
        let scaled = Scaled { weights: view, scales: (&scales).into() };
        let doubts = self.buffer("doubts", 4 * u64::from(rows));
        let pruned = self.time(|e| {
            let pass = &mut e.begin_compute_pass(&Default::default());
            k.sample_scaled(pass, &scaled, plan.taken, 0, &samples).expect("the view is good");
            k.place(pass, Dtype::F32, plan, &samples, &window).expect("buffers are large enough");
            let rule = RowRule { k: cols / 2 };
            k.row_scaled(pass, &scaled, rule, &window, &mask, &doubts).expect("the view is good");
        });
        line("row scaled: bracket to mask", pruned, bytes + n / 8, read_roof);
        let rule = RandomRule { seed: 1, first: 0, count: (keys.size() / 4) as u32 };
        let made = self.time(|e| k.random(&mut e.begin_compute_pass(&Default::default()), rule, &keys).expect("good"));
        line("random", made, keys.size(), copy_roof);
        gpu.check()?;
        Ok(())
    }
}
