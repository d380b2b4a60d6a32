//! Products as shares of the adapter's own roofs, and sparse ones against dense ones, in one run.
//!
//! `cargo bench --bench products [-- ADAPTER] [--only=gemv|gemm|sparse|pack] [--lanes=N]`. Under `cargo test` everything runs once, on small
//! matrices.
//!
//! Sizes: 4096 × 4096 is an attention matrix of a 7B model and 11008 × 4096 one of its MLP; both are past every cache in
//! f32, and the latter is past a binding of 128 MiB, so it is multiplied in two dispatches. The batch of 1024 vectors
//! makes a cube, as is usual for GEMM. GPUs, whose caches are larger and which take next to no time for these, get 16384 × 4096,
//! and 28672 × 8192, one of the MLP of a 70B model, and a cube of 4096. Everything is timed in turn, round after round; ratios are medians over rounds.

mod common;
#[path = "common/race.rs"]
mod race;

use common::bell;
use lopper::gpu::{Binding, Gpu, Kernel, KernelSpec, Tuning, dispatch};
use lopper::kernels::{Epilogue, Kernels, MatrixView};
use lopper::sparse::{Format, SparseMatrix};
use lopper::{Dtype, wgpu};
use race::Race;
use wgpu::BufferUsages as Usage;

fn main() -> anyhow::Result<()> {
    let (gpu, measuring) = common::open()?;
    let lanes = std::env::args().find_map(|a| a.strip_prefix("--lanes=").and_then(|n| n.parse().ok()));
    let gpu = match lanes {
        Some(lanes) => gpu.clone().with_tuning(Tuning { lanes, ..gpu.tuning() })?,
        None => gpu,
    };
    let bench =
        Bench { kernels: Kernels::new(gpu.device(), gpu.tuning()), gpu, rounds: if measuring { 15 } else { 1 } };
    let args: Vec<String> = std::env::args().collect();
    let only = args.iter().find_map(|a| a.strip_prefix("--only="));
    let asked = |what: &str| only.is_none_or(|only| only == what);
    let sizes: &[(u32, u32)] = match (measuring, bench.gpu.tuning().simd) {
        (true, true) => &[(4096, 4096), (11008, 4096)],
        (true, false) => &[(16384, 4096), (28672, 8192)],
        (false, _) => &[(64, 256)],
    };
    let (rows, cols) = sizes[0];
    if asked("gemv") {
        for (&(rows, cols), dtype) in sizes.iter().flat_map(|s| [Dtype::F32, Dtype::F16, Dtype::BF16].map(|d| (s, d))) {
            bench.gemv(dtype, rows, cols);
        }
    }
    let cube = match (measuring, bench.gpu.tuning().simd) {
        (true, true) => 1024,
        (true, false) => 4096,
        (false, _) => 64,
    };
    if asked("gemm") {
        for dtype in [Dtype::F32, Dtype::BF16] {
            bench.gemm(dtype, cube, cube, cube);
            bench.gemm(dtype, cube, cube, 16);
        }
    }
    if asked("pack") {
        for dtype in [Dtype::F32, Dtype::BF16] {
            bench.pack(dtype, rows, cols)?;
        }
    }
    if asked("sparse") {
        for (dtype, columns) in [(Dtype::F32, 1), (Dtype::BF16, 1), (Dtype::F32, 4), (Dtype::F32, 16)] {
            bench.sparse(dtype, rows, cols, columns)?;
            bench.structured(dtype, rows, cols, columns)?;
        }
    }
    bench.gpu.check()?;
    Ok(())
}

/// From where it pays to 95 %; the bar of 30 % is MACKO-SpMV's break-even.
const SPARSITIES: [f64; 7] = [0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 0.95];

/// What has a shape of its own: `nm` at 50 %, and `block` with as many blocks gone.
const STRUCTURED: [Format; 3] =
    [Format::Nm { keep: 2, of: 4 }, Format::Block { rows: 4, cols: 4 }, Format::Block { rows: 16, cols: 16 }];

/// A mask of that shape: every other weight, or the blocks of a chessboard.
fn structured_mask(rows: u32, cols: u32, format: Format) -> Vec<u32> {
    let Format::Block { cols: width, rows: height } = format else {
        return vec![0x5555_5555; (rows * cols / 32) as usize];
    };
    let word = |row: u32, word: u32| {
        (0..32).fold(0, |bits, i| bits | u32::from((row / height + (32 * word + i) / width).is_multiple_of(2)) << i)
    };
    (0..rows).flat_map(|row| (0..cols / 32).map(move |w| word(row, w))).collect()
}

/// A random mask of whole words.
fn mask(words: usize, sparsity: f64) -> Vec<u32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bit = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::from((state >> 11) as f64 / (1u64 << 53) as f64 >= sparsity)
    };
    (0..words).map(|_| (0..32).fold(0, |word, i| word | bit() << i)).collect()
}

struct Bench {
    gpu: Gpu,
    kernels: Kernels,
    rounds: usize,
}

impl Bench {
    fn buffer(&self, contents: &[u8]) -> wgpu::Buffer {
        let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC | Usage::UNIFORM;
        let (label, size) = (Some("bench"), contents.len() as u64);
        let buffer =
            self.gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
        self.gpu.queue().write_buffer(&buffer, 0, contents);
        self.gpu.queue().submit([]);
        buffer
    }

    fn zeros(&self, words: u32) -> wgpu::Buffer {
        self.buffer(&vec![0; 4 * words as usize])
    }

    /// A roof of `roofs.wgsl`, over as much of a buffer as one binding holds; and how many bytes that is.
    fn roof<'a>(&'a self, race: &mut Race<'a>, entry: &'static str, from: &'a wgpu::Buffer) -> u64 {
        let bindings = &[(0, Binding::Uniform), (1, Binding::Read), (2, Binding::ReadWrite)];
        let spec = KernelSpec { label: entry, source: include_str!("../shaders/roofs.wgsl"), entry, bindings };
        let tuning = self.gpu.tuning();
        let kernel = Kernel::new(self.gpu.device(), spec, &[("WORKGROUP", tuning.workgroup.into())]);
        let bytes = from.size().min(self.gpu.max_binding()) & !63;
        let share = dispatch::share((bytes / 64) as u32, tuning.workgroup, tuning.workgroups);
        let size = self.buffer(bytemuck::cast_slice(&[(bytes / 64) as u32, share.span, 0, 0]));
        let to = self.zeros(64);
        let workgroups = if entry.starts_with("fma") { tuning.workgroups } else { share.workgroups };
        race.enter(entry, move |pass| {
            let mut buffers = [&size, from, &to].map(wgpu::Buffer::as_entire_buffer_binding);
            buffers[1].size = std::num::NonZero::new(bytes);
            kernel.dispatch(self.gpu.device(), pass, &buffers, workgroups);
        });
        bytes
    }

    fn gemv(&self, dtype: Dtype, rows: u32, cols: u32) {
        let weights = self.buffer(&bell(dtype, rows as usize * cols as usize));
        let (x, y) = (self.buffer(&bell(Dtype::F32, cols as usize)), self.zeros(rows));
        let view = MatrixView::dense(&weights, 0, dtype, rows, cols);
        let plain = self.kernels.clone().without_subgroups();
        let mut race = Race::new(&self.gpu);
        let read = self.roof(&mut race, "read_all", &weights);
        self.roof(&mut race, "read_near", &weights);
        for (name, kernels) in [("gemv", &self.kernels), ("gemv without subgroups", &plain)] {
            let (x, y) = (&x, &y);
            race.enter(name, move |pass| kernels.gemv(pass, &view, x, y, Epilogue::default()).expect("good"));
        }
        let times = race.run(self.rounds);
        println!("\n{dtype} {rows} x {cols}, one vector, {} MB", weights.size() / 1_000_000);
        let share = weights.size() as f64 / read as f64;
        let roof = if times.seconds("read_near") < times.seconds("read_all") { "read_near" } else { "read_all" };
        for name in times.names() {
            let seconds = times.seconds(name);
            let is_roof = name.starts_with("read");
            let bytes = if is_roof { read } else { weights.size() };
            let of_roof = 100.0 * times.speedup(name, roof) * if is_roof { 1.0 } else { share };
            println!(
                "  {name:<24} {:>8.3} ms {:>7.2} GB/s {of_roof:>6.1} % of the read roof",
                seconds * 1e3,
                bytes as f64 / seconds / 1e9
            );
        }
    }

    fn gemm(&self, dtype: Dtype, rows: u32, cols: u32, columns: u32) {
        let weights = self.buffer(&bell(dtype, rows as usize * cols as usize));
        let (x, y) = (self.buffer(&bell(Dtype::F32, (cols * columns) as usize)), self.zeros(rows * columns));
        let view = MatrixView::dense(&weights, 0, dtype, rows, cols);
        let plain = self.kernels.clone().without_subgroups();
        let mut race = Race::new(&self.gpu);
        self.roof(&mut race, "fma_all", &weights);
        self.roof(&mut race, "fma_wide", &weights);
        for (name, kernels) in [("gemm", &self.kernels), ("gemm without subgroups", &plain)] {
            // A second each on a software adapter.
            if name != "gemm" && self.gpu.tuning().simd && columns > 16 {
                continue;
            }
            let (x, y) = (&x, &y);
            race.enter(name, move |pass| kernels.gemm(pass, &view, columns, x, y, Epilogue::default()).expect("good"));
        }
        let times = race.run(self.rounds);
        println!("\n{dtype} {rows} x {cols}, {columns} vectors, FMA path");
        let tuning = self.gpu.tuning();
        let roof = f64::from(tuning.workgroup) * f64::from(tuning.workgroups) * 196_608.0;
        let flops = 2.0 * f64::from(rows) * f64::from(cols) * f64::from(columns);
        let fastest = if times.seconds("fma_wide") < times.seconds("fma_all") { "fma_wide" } else { "fma_all" };
        for name in times.names() {
            let seconds = times.seconds(name);
            let work = if name.starts_with("fma") { roof } else { flops };
            let of_roof = 100.0 * times.speedup(name, fastest) * work / roof;
            println!(
                "  {name:<24} {:>8.3} ms {:>7.1} GFLOPS {of_roof:>6.1} % of the FMA roof",
                seconds * 1e3,
                work / seconds / 1e9
            );
        }
    }

    /// Packing, from a mask on the device to a matrix that is there, against reading the weights once.
    fn pack(&self, dtype: Dtype, rows: u32, cols: u32) -> anyhow::Result<()> {
        let weights = self.buffer(&bell(dtype, rows as usize * cols as usize));
        let view = MatrixView::dense(&weights, 0, dtype, rows, cols);
        let slice = if self.gpu.tuning().simd { 8 } else { 32 };
        println!(
            "\n{dtype} {rows} x {cols}: packing, in ms and times as long as reading the weights; the first with compiling"
        );
        let half = 0.5;
        let random = [Format::SlicedEll { slice }, Format::Macko, Format::Bitmask, Format::Csr];
        let random = random.into_iter().flat_map(|format| [half, 0.9].map(|sparsity| (format, sparsity)));
        for (format, sparsity) in random.chain(STRUCTURED.map(|format| (format, half))) {
            let bits = match format {
                Format::Nm { .. } | Format::Block { .. } => structured_mask(rows, cols, format),
                _ => mask(rows as usize * cols as usize / 32, sparsity),
            };
            let mask = self.buffer(bytemuck::cast_slice(&bits));
            let (mut first, mut packed, mut reads) = (None, Vec::new(), Vec::new());
            for _ in 0..=self.rounds.div_ceil(2) {
                let start = std::time::Instant::now();
                SparseMatrix::pack(&self.gpu, &self.kernels, &view, &mask, format)?;
                self.gpu.device().poll(wgpu::PollType::wait_indefinitely())?;
                let seconds = start.elapsed().as_secs_f64();
                if first.replace(first.unwrap_or(seconds)).is_none() {
                    continue;
                }
                let mut race = Race::new(&self.gpu);
                self.roof(&mut race, "read_all", &weights);
                let read = race.run(1).seconds("read_all");
                packed.push(seconds);
                reads.push(seconds / read);
            }
            let (first, times) = (first.unwrap_or_default(), race::median(reads));
            let name = format!("{format} at {:.0} %", 100.0 * sparsity);
            println!("  {name:<24} {:>8.1} ms {times:>6.1} x; first {:.1} ms", 1e3 * race::median(packed), 1e3 * first);
        }
        Ok(())
    }

    /// Formats for structured sparsity against our dense product, at 50 %.
    fn structured(&self, dtype: Dtype, rows: u32, cols: u32, columns: u32) -> anyhow::Result<()> {
        let weights = self.buffer(&bell(dtype, rows as usize * cols as usize));
        let (x, y) = (self.buffer(&bell(Dtype::F32, (cols * columns) as usize)), self.zeros(rows * columns));
        let view = MatrixView::dense(&weights, 0, dtype, rows, cols);
        let packed = STRUCTURED
            .iter()
            .map(|&format| {
                let mask = self.buffer(bytemuck::cast_slice(&structured_mask(rows, cols, format)));
                SparseMatrix::pack(&self.gpu, &self.kernels, &view, &mask, format)
            })
            .collect::<lopper::Result<Vec<_>>>()?;
        let mut race = Race::new(&self.gpu);
        let (k, x, y) = (&self.kernels, &x, &y);
        race.enter("dense", move |pass| k.gemm(pass, &view, columns, x, y, Epilogue::default()).expect("good"));
        for matrix in &packed {
            race.enter(matrix.format().to_string(), move |pass| {
                matrix.matmul(k, pass, columns, x, y, Epilogue::default()).expect("good");
            });
        }
        let times = race.run(self.rounds);
        println!("\n{dtype} {rows} x {cols}, {columns} vectors, half of it gone by shape: times as fast as dense");
        for matrix in &packed {
            let name = matrix.format().to_string();
            let bytes = matrix.bytes() as f64 / f64::from(rows) / f64::from(cols);
            println!("  {name:<20} {:>5.2} x, {bytes:.3} bytes per weight", times.speedup(&name, "dense"));
        }
        Ok(())
    }

    /// Every format against our dense product: `lend`, `ell`, `macko`, `bitmask` and `csr`, `gemv` or `gemm`. Packing is `scan`, and timed
    /// once.
    fn sparse(&self, dtype: Dtype, rows: u32, cols: u32, columns: u32) -> anyhow::Result<()> {
        println!("\n{dtype} {rows} x {cols}, {columns} vectors: times as fast as dense; bytes per weight");
        let weights = self.buffer(&bell(dtype, rows as usize * cols as usize));
        let (x, y) = (self.buffer(&bell(Dtype::F32, (cols * columns) as usize)), self.zeros(rows * columns));
        let view = MatrixView::dense(&weights, 0, dtype, rows, cols);
        let slice = if self.gpu.tuning().simd { 8 } else { 32 };
        let formats = [Format::SlicedEll { slice }, Format::Macko, Format::Bitmask, Format::Csr];
        let mut broken_even = formats.map(|_| None);
        let mut earlier = formats.map(|_| (0.0, 0.0));
        for sparsity in SPARSITIES {
            let mask = self.buffer(bytemuck::cast_slice(&mask(rows as usize * cols as usize / 32, sparsity)));
            let start = std::time::Instant::now();
            let packed = formats
                .iter()
                .map(|&format| SparseMatrix::pack(&self.gpu, &self.kernels, &view, &mask, format))
                .collect::<lopper::Result<Vec<_>>>()?;
            let packing = start.elapsed().as_secs_f64();
            let mut race = Race::new(&self.gpu);
            let (k, x, y) = (&self.kernels, &x, &y);
            race.enter("dense", move |pass| k.gemm(pass, &view, columns, x, y, Epilogue::default()).expect("good"));
            for (format, matrix) in formats.iter().zip(&packed) {
                let record = move |pass: &mut wgpu::ComputePass<'_>| {
                    matrix.matmul(k, pass, columns, x, y, Epilogue::default()).expect("good");
                };
                race.enter(format.to_string(), record);
            }
            let times = race.run(self.rounds);
            let dense = times.seconds("dense");
            print!("  {:>4.0} % dense {:>6.2} ms", 100.0 * sparsity, dense * 1e3);
            for (i, (format, matrix)) in formats.iter().zip(&packed).enumerate() {
                let speedup = times.speedup(&format.to_string(), "dense");
                let bytes = matrix.bytes() as f64 / f64::from(rows) / f64::from(cols);
                print!("; {format} {speedup:>5.2} x, {bytes:.3}");
                let (before, slower) = earlier[i];
                if speedup >= 1.0 && broken_even[i].is_none() {
                    let share = if slower == 0.0 { 1.0 } else { (1.0 - slower) / (speedup - slower) };
                    broken_even[i] = Some(before + share * (sparsity - before));
                }
                earlier[i] = (sparsity, speedup);
            }
            println!("; packed in {:.0} ms", packing * 1e3);
        }
        for (format, even) in formats.iter().zip(broken_even) {
            match even {
                Some(even) => println!("  {format} breaks even at {:.0} % or before", 100.0 * even),
                None => println!("  {format} does not break even"),
            }
        }
        Ok(())
    }
}
