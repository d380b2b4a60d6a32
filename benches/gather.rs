//! Rows and columns that stay: the GPU's kernel against the host, where the weights lie in a buffer, and where they come from
//! memory and go back there, as a file's do.
//!
//! `cargo bench --bench gather [-- ADAPTER]`. Under `cargo test` everything runs once, on small matrices.
//!
//! Sizes: 4096 × 11008, an MLP matrix of a 7B model, past every cache. Every other row or column stays: no two lie together, which
//! is the worst for both.

mod common;

use std::hint::black_box;
use std::time::Instant;

use common::bell;
use lopper::gpu::Gpu;
use lopper::kernels::{GatherRule, Kernels, MatrixView, Part};
use lopper::{Dtype, wgpu};
use wgpu::BufferUsages as Usage;

fn main() -> anyhow::Result<()> {
    let (gpu, measuring) = common::open()?;
    let (rows, cols, times) = if measuring { (4096, 11008, 15) } else { (64, 1024, 1) };
    for dtype in [Dtype::BF16, Dtype::F32, Dtype::F8E4M3] {
        println!("\n{dtype} {rows} x {cols}, half of it stays, medians of {times}");
        println!("  {:<10} {:>16} {:>24} {:>10}", "", "GPU, in buffers", "GPU, from and to memory", "host");
        for (name, by_row) in [("rows", true), ("columns", false)] {
            measure(&gpu, dtype, (rows, cols), (name, by_row), times)?;
        }
    }
    Ok(())
}

fn measure(
    gpu: &Gpu,
    dtype: Dtype,
    (rows, cols): (u32, u32),
    (name, by_row): (&str, bool),
    times: usize,
) -> anyhow::Result<()> {
    let (device, queue) = (gpu.device(), gpu.queue());
    let kernels = Kernels::new(device, gpu.tuning());
    let weights = bell(dtype, rows as usize * cols as usize);
    let buffer = |size: u64, usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
    let there = buffer(weights.len() as u64, usage);
    queue.write_buffer(&there, 0, &weights);
    let list: Vec<u32> = (0..if by_row { rows } else { cols }).filter(|at| at % 2 == 0).collect();
    let listed = buffer(4 * list.len() as u64, usage);
    queue.write_buffer(&listed, 0, bytemuck::cast_slice(&list));
    let left = list.len() as u64 * if by_row { u64::from(cols) } else { u64::from(rows) } * dtype.size() as u64;
    let (result, back) = (buffer(left, usage), buffer(left, Usage::MAP_READ | Usage::COPY_DST));
    let given = Some((list.len() as u32, Part::from(&listed)));
    let rule =
        if by_row { GatherRule { rows: given, columns: None } } else { GatherRule { rows: None, columns: given } };
    let view = MatrixView::dense(&there, 0, dtype, rows, cols);
    let gathered = |encoder: &mut wgpu::CommandEncoder| {
        kernels.gather(&mut encoder.begin_compute_pass(&Default::default()), &view, rule, &result)
    };
    let submit = |copy: bool| -> anyhow::Result<()> {
        let mut encoder = device.create_command_encoder(&Default::default());
        gathered(&mut encoder)?;
        if copy {
            encoder.copy_buffer_to_buffer(&result, 0, &back, 0, left);
        }
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely())?;
        Ok(())
    };
    let size = dtype.size();
    let mut onto = vec![0u8; left as usize];
    let mut seconds: [Vec<f64>; 3] = Default::default();
    submit(false)?;
    for _ in 0..times {
        let start = Instant::now();
        submit(false)?;
        seconds[0].push(start.elapsed().as_secs_f64());

        let start = Instant::now();
        queue.write_buffer(&there, 0, &weights);
        submit(true)?;
        back.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("it maps"));
        device.poll(wgpu::PollType::wait_indefinitely())?;
        onto.copy_from_slice(&back.get_mapped_range(..).expect("it is mapped"));
        back.unmap();
        seconds[1].push(start.elapsed().as_secs_f64());

        let start = Instant::now();
        on_host(&weights, cols as usize * size, size, &list, by_row, &mut onto);
        black_box(&mut onto);
        seconds[2].push(start.elapsed().as_secs_f64());
    }
    let [buffers, memory, host] = seconds.map(|mut all| {
        all.sort_by(f64::total_cmp);
        weights.len() as f64 / all[all.len() / 2] / 1e9
    });
    println!("  {name:<10} {buffers:>11.2} GB/s {memory:>19.2} GB/s {host:>5.2} GB/s");
    Ok(())
}

/// As `lopper shrink` does it on one thread.
fn on_host(weights: &[u8], row: usize, size: usize, list: &[u32], by_row: bool, onto: &mut [u8]) {
    if by_row {
        for (to, from) in onto.chunks_exact_mut(row).zip(list) {
            to.copy_from_slice(&weights[*from as usize * row..][..row]);
        }
        return;
    }
    for (to, from) in onto.chunks_exact_mut(list.len() * size).zip(weights.chunks_exact(row)) {
        match size {
            1 => elements::<1>(from, list, to),
            2 => elements::<2>(from, list, to),
            _ => elements::<4>(from, list, to),
        }
    }
}

fn elements<const SIZE: usize>(row: &[u8], list: &[u32], to: &mut [u8]) {
    let (row, to) = (row.as_chunks::<SIZE>().0, to.as_chunks_mut::<SIZE>().0);
    to.iter_mut().zip(list).for_each(|(to, at)| *to = row[*at as usize]);
}
