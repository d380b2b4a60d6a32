//! lopper's products beside those of burn-wgpu and numr, in one process, on the same adapter, in turn.
//!
//! `cargo run --release [-- --json FILE --rounds N --adapter NAME --quick]`, in this folder. Every result is held against a product
//! in f64 before it is timed. Matrices exist several times, so that no cache holds those that are multiplied next.

mod burn;
mod data;
mod numr;
mod ours;
mod race;

use std::rc::Rc;

use anyhow::{Context, Result};
use data::{Data, Shape};
use lopper::gpu::Gpu;
use lopper::kernels::Kernels;
use lopper::sparse::Format;
use lopper::{Dtype, wgpu};
use race::Race;
use serde_json::json;

/// As far as f32 sums may be from the product in f64, and results that are stored in 16 bits.
const NEAR: f64 = 1e-5;
const NEAR_IN_16_BITS: f64 = 1e-2;

/// Bytes of all copies of a matrix.
const PAST_CACHES: usize = 256 << 20;

struct Peers {
    gpu: Gpu,
    kernels: Kernels,
    burn: Result<burn_tensor::Device>,
    numr: Result<::numr::runtime::wgpu::WgpuClient>,
    rounds: usize,
    records: Vec<serde_json::Value>,
    goals: Vec<String>,
}

fn main() -> Result<()> {
    race::quiet();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1)).cloned();
    let quick = args.iter().any(|a| a == "--quick");
    let rounds = value("--rounds").map_or(Ok(15), |n| n.parse()).context("--rounds takes a number")?;
    let gpu = pollster::block_on(Gpu::open(value("--adapter").as_deref()))?;
    let info = gpu.info().clone();
    println!("{} ({}, {})", info.name, info.backend, info.driver);
    let kind = match info.kind.as_str() {
        "DiscreteGpu" => wgpu::DeviceType::DiscreteGpu,
        "IntegratedGpu" => wgpu::DeviceType::IntegratedGpu,
        "VirtualGpu" => wgpu::DeviceType::VirtualGpu,
        "Cpu" => wgpu::DeviceType::Cpu,
        _ => wgpu::DeviceType::Other,
    };
    let mut peers = Peers {
        kernels: Kernels::new(gpu.device(), gpu.tuning()),
        burn: burn::device(kind),
        numr: race::guard(|| numr::client(&info.name, &info.backend)),
        gpu,
        rounds,
        records: Vec::new(),
        goals: Vec::new(),
    };
    for (who, error) in [("burn-wgpu", peers.burn.as_ref().err()), ("numr", peers.numr.as_ref().err())] {
        if let Some(error) = error {
            println!("{who} has no device: {error:#}");
        }
    }
    println!("\n| product | who | ms, median | least, most | times as fast as lopper's dense | from f64 |");
    println!("|---|---|---|---|---|---|");
    // What a GPU does in less time than it takes to ask for says nothing of its kernels.
    let small = peers.gpu.tuning().simd;
    let sizes: &[(usize, usize)] = match (quick, small) {
        (true, _) => &[(256, 512), (512, 256)],
        (false, true) => &[(4096, 4096), (11008, 4096)],
        (false, false) => &[(16384, 4096)],
    };
    for &(rows, cols) in sizes {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            peers.dense(Shape { dtype, rows, cols, columns: 1 }, 4.0)?;
        }
    }
    let (side, columns) = match (quick, small) {
        (true, _) => (128, 128),
        (false, true) => (1024, 1024),
        (false, false) => (4096, 256),
    };
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        peers.dense(Shape { dtype, rows: side, cols: side, columns }, 1.5)?;
    }
    for &(rows, cols) in sizes {
        for sparsity in [0.5, 0.9] {
            peers.sparse(Shape { dtype: Dtype::F32, rows, cols, columns: 1 }, sparsity)?;
        }
    }
    println!();
    for goal in &peers.goals {
        println!("{goal}");
    }
    if let Some(file) = value("--json") {
        let all = json!({ "adapter": info.name, "backend": info.backend, "driver": info.driver, "rounds": rounds,
            "measurements": peers.records });
        std::fs::write(&file, serde_json::to_string_pretty(&all)?).with_context(|| file)?;
    }
    peers.gpu.check()?;
    Ok(())
}

impl Peers {
    fn dense(&mut self, shape: Shape, goal: f64) -> Result<()> {
        let data = Rc::new(Data::new(shape, 0.0));
        let copies = PAST_CACHES.div_ceil(data.bytes.len()).min(if shape.columns == 1 { 4 } else { 1 });
        let ours = ours::Ours::new(&self.gpu, &self.kernels, &data);
        let mut race = Race::new(&data);
        race.enter("lopper, dense".into(), || Ok(ours.dense(copies)), NEAR);
        if let Ok(device) = &self.burn {
            let most = if shape.dtype == Dtype::F32 { NEAR } else { NEAR_IN_16_BITS };
            for way in burn::WAYS {
                // One row is what a transposed one is.
                if shape.columns == 1 && way == burn::Way::Across {
                    continue;
                }
                let product = || burn::product(device, &data, way, copies, self.gpu.max_binding());
                race.enter(format!("burn-wgpu, {way:?}"), product, most);
            }
        }
        self.finish(race, shape, None, &["burn-wgpu"], goal)
    }

    fn sparse(&mut self, shape: Shape, sparsity: f64) -> Result<()> {
        let data = Rc::new(Data::new(shape, sparsity));
        let kept = (1.0 - sparsity) * 8.0 * (shape.rows * shape.cols) as f64;
        let copies = (PAST_CACHES as f64 / kept).ceil().min(8.0) as usize;
        let whole = Rc::new(Data::new(shape, 0.0));
        let dense = ours::Ours::new(&self.gpu, &self.kernels, &whole);
        let ours = ours::Ours::new(&self.gpu, &self.kernels, &data);
        let slice = if self.gpu.tuning().simd { 8 } else { 32 };
        let mut race = Race::new(&whole);
        race.enter("lopper, dense".into(), || Ok(dense.dense(PAST_CACHES.div_ceil(whole.bytes.len()))), NEAR);
        race.judge(&data);
        for format in [Format::SlicedEll { slice }, Format::Bitmask, Format::Csr] {
            race.enter(format!("lopper, {format}"), || ours.sparse(format, copies), NEAR);
        }
        if let Ok(client) = &self.numr {
            for (name, tensor) in [("numr, CSR tensor", true), ("numr, CSR of i32", false)] {
                race.enter(name.into(), || numr::product(client, &data, copies, tensor), NEAR);
            }
        }
        self.finish(race, shape, Some(sparsity), &["numr, CSR tensor", "numr, CSR of i32"], 5.0)
    }

    /// Times all that entered, and compares the best of ours with the best of a peer.
    fn finish(
        &mut self,
        mut race: Race<'_>,
        shape: Shape,
        sparsity: Option<f64>,
        peers: &[&str],
        goal: f64,
    ) -> Result<()> {
        race.run(self.rounds)?;
        let Shape { dtype, rows, cols, columns } = shape;
        let vectors = if columns == 1 { String::new() } else { format!(", {columns} vectors") };
        let gone = sparsity.map_or(String::new(), |s| format!(", {:.0} % gone", 100.0 * s));
        let product = format!("{dtype} {rows} × {cols}{vectors}{gone}");
        for (name, why) in &race.failed {
            let line: String = why.replace(['\n', '|'], " ").chars().rev().take(120).collect();
            println!("| {product} | {name} | failed: … {} | | | |", line.chars().rev().collect::<String>());
            self.records.push(json!({ "product": product, "who": name, "failed": why }));
        }
        let Some(dense) = race.entries.iter().find(|e| e.name == "lopper, dense") else { return Ok(()) };
        for entry in &race.entries {
            let least = entry.seconds.iter().copied().fold(f64::INFINITY, f64::min);
            let most = entry.seconds.iter().copied().fold(0.0, f64::max);
            println!(
                "| {product} | {} | {:.2} | {:.2}, {:.2} | {:.2} | {:.1e} |",
                entry.name,
                1e3 * entry.median(),
                1e3 * least,
                1e3 * most,
                entry.speedup(dense),
                entry.distance
            );
            self.records.push(json!({ "product": product, "dtype": dtype.to_string(), "rows": rows, "cols": cols,
                "vectors": columns, "sparsity": sparsity, "who": entry.name, "seconds": entry.seconds,
                "distance_from_f64": entry.distance }));
        }
        let best = |of: &str, dense: bool| {
            let fit = race.entries.iter().filter(|e| e.name.starts_with(of) && e.name.ends_with("dense") == dense);
            fit.min_by(|a, b| a.median().total_cmp(&b.median()))
        };
        for peer in peers {
            if let (Some(own), Some(other)) = (best("lopper", sparsity.is_none()), best(peer, false)) {
                let (own, times, other) = (&own.name, own.speedup(other), &other.name);
                self.goals.push(format!("{product}: {own} is {times:.2} × as fast as {other}; the goal is {goal}"));
            }
        }
        Ok(())
    }
}
