//! Products against their CPU twins and against f64, on awkward shapes and values, with poisoned results.

mod common;

use common::product::{DTYPES, all_kernels, check, distance, exact, floats, kind, vectors};
use common::{Fill, buffer, gpu, poisoned, run_pass, weights};
use lopper::gpu::Tuning;
use lopper::kernels::{Epilogue, Kernels, MatrixView};
use lopper::reference::{self, Matrix};
use lopper::{Activation, Dtype, Shape, wgpu};

/// `(rows, cols, gap between rows, offset in bytes)`: around every size at which a product changes its ways.
const SHAPES: &[(u32, u32, u32, u64)] = &[
    (1, 1, 0, 0),
    (1, 1031, 0, 0),
    (1031, 1, 0, 0),
    (3, 7, 0, 0),
    (4, 8, 0, 0),
    (5, 64, 0, 0),
    (13, 127, 0, 4),
    (63, 128, 0, 0),
    (64, 129, 0, 0),
    (65, 136, 8, 16),
    (67, 1024, 0, 256),
    (129, 512, 0, 272),
    (31, 1040, 3, 12),
];

#[test]
fn gemv_and_gemm_are_near_the_twin_and_f64() {
    let all = all_kernels();
    for dtype in DTYPES {
        for (i, &(rows, cols, gap, offset)) in SHAPES.iter().enumerate() {
            let bytes = weights(dtype, rows as usize, (cols + gap) as usize, Fill::Normal, i as u64 + 1);
            let padded: Vec<u8> = std::iter::repeat_n(0x7f, offset as usize).chain(bytes.iter().copied()).collect();
            let uploaded = buffer(&padded);
            let view = MatrixView { buffer: &uploaded, offset, dtype, rows, cols, stride: cols + gap };
            let shape = Shape::new(rows.into(), cols.into());
            let matrix = Matrix { dtype, shape, stride: (cols + gap) as usize, bytes: &bytes };
            let bias = vectors(rows as usize, 9);
            let bias_buffer = buffer(bytemuck::cast_slice(&bias));
            for (columns, with_bias) in
                [(1, false), (1, true), (2, false), (3, true), (16, false), (17, true), (65, false)]
            {
                let x = vectors((cols * columns) as usize, 7);
                let x_buffer = buffer(bytemuck::cast_slice(&x));
                let epilogue = Epilogue { bias: with_bias.then_some((&bias_buffer).into()), ..Default::default() };
                let want = exact(matrix, &x, with_bias.then_some(&bias[..]));
                let twin = reference::gemm(matrix, &x, with_bias.then_some(&bias[..]), Activation::None);
                assert!(distance(&twin, &want) <= 1e-5, "twin of {dtype} {rows} x {cols} x {columns}");
                for (name, kernels) in &all {
                    let y = poisoned(4 * u64::from(rows * columns));
                    run_pass(|pass| kernels.gemm(pass, &view, columns, &x_buffer, &y, epilogue).unwrap());
                    check();
                    let apart = distance(&floats(&y), &want);
                    assert!(apart <= 1e-5, "{name} {dtype} {rows} x {cols} x {columns}: {apart:e}");
                }
            }
        }
    }
}

/// Numbers of vectors around every size at which GPUs change their ways.
const SEVERAL: &[u32] = &[2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 21, 33, 47, 48, 49, 50, 64, 127, 128, 129, 130];

/// `(rows, cols, gap, offset)`: tiles of 128 and less, in whole and in part, aligned and not.
const SEVERAL_SHAPES: &[(u32, u32, u32, u64)] = &[
    (3, 8, 0, 0),
    (7, 520, 0, 16),
    (128, 32, 0, 0),
    (130, 76, 4, 272),
    (131, 45, 0, 4),
    (129, 36, 5, 12),
    (259, 17, 0, 0),
];

#[test]
fn several_vectors_are_near_f64_on_gpus() {
    let new = |tuning| Kernels::new(gpu().device(), tuning);
    let mut all = vec![
        ("as it is", new(Tuning::GPU)),
        ("without subgroups", new(Tuning::GPU).without_subgroups()),
        ("16 lanes", new(Tuning { lanes: 16, ..Tuning::GPU })),
    ];
    let size = gpu().device().adapter_info().subgroup_max_size;
    if (8..=256).contains(&size) && size.is_power_of_two() {
        all.push(("one subgroup", new(Tuning { lanes: size, ..Tuning::GPU })));
    }
    for dtype in DTYPES {
        for (i, &(rows, cols, gap, offset)) in SEVERAL_SHAPES.iter().enumerate() {
            let bytes = weights(dtype, rows as usize, (cols + gap) as usize, Fill::Normal, i as u64 + 1);
            let padded: Vec<u8> = std::iter::repeat_n(0x7f, offset as usize).chain(bytes.iter().copied()).collect();
            let uploaded = buffer(&padded);
            let view = MatrixView { buffer: &uploaded, offset, dtype, rows, cols, stride: cols + gap };
            let shape = Shape::new(rows.into(), cols.into());
            let matrix = Matrix { dtype, shape, stride: (cols + gap) as usize, bytes: &bytes };
            let bias = vectors(rows as usize, 9);
            let bias_buffer = buffer(bytemuck::cast_slice(&bias));
            let epilogue = Epilogue { bias: Some((&bias_buffer).into()), ..Default::default() };
            let most = *SEVERAL.last().expect("there are some");
            let x = vectors((cols * most) as usize, 7);
            let want = exact(matrix, &x, Some(&bias));
            for &columns in SEVERAL {
                let x_buffer = buffer(bytemuck::cast_slice(&x[..(cols * columns) as usize]));
                let want = &want[..(rows * columns) as usize];
                for (name, kernels) in &all {
                    let y = poisoned(4 * u64::from(rows * (columns + 1)));
                    let behind = floats(&y).split_off((rows * columns) as usize);
                    run_pass(|pass| kernels.gemm(pass, &view, columns, &x_buffer, &y, epilogue).unwrap());
                    check();
                    let mut got = floats(&y);
                    assert!(same(&got.split_off((rows * columns) as usize), &behind), "{name}: behind the last vector");
                    let apart = distance(&got, want);
                    assert!(apart <= 1e-5, "{name} {dtype} {rows} x {cols} x {columns}: {apart:e}");
                }
            }
        }
    }
}

fn same(a: &[f32], b: &[f32]) -> bool {
    bytemuck::cast_slice::<f32, u32>(a) == bytemuck::cast_slice::<f32, u32>(b)
}

#[test]
fn many_vectors_are_near_f64_on_gpus() {
    // Enough of both for tiles of 128, the last of which are not full.
    let (rows, columns) = (1_410_u32, 1_395_u32);
    let kernels = Kernels::new(gpu().device(), Tuning::GPU);
    let bias = vectors(rows as usize, 9);
    let bias_buffer = buffer(bytemuck::cast_slice(&bias));
    let epilogue = Epilogue { bias: Some((&bias_buffer).into()), ..Default::default() };
    for dtype in DTYPES {
        let sizes = [(32_u32, 0_u32, 0_u64, true), (48, 8, 16, true), (36, 4, 16, false), (13, 0, 4, false)];
        for (cols, gap, offset, whole) in sizes {
            let bytes = weights(dtype, rows as usize, (cols + gap) as usize, Fill::Normal, cols.into());
            let padded: Vec<u8> = std::iter::repeat_n(0x7f, offset as usize).chain(bytes.iter().copied()).collect();
            let uploaded = buffer(&padded);
            let view = MatrixView { buffer: &uploaded, offset, dtype, rows, cols, stride: cols + gap };
            let shape = Shape::new(rows.into(), cols.into());
            let matrix = Matrix { dtype, shape, stride: (cols + gap) as usize, bytes: &bytes };
            let x = vectors((cols * columns) as usize, 7);
            let (x_buffer, y) = (buffer(bytemuck::cast_slice(&x)), poisoned(4 * u64::from(rows * (columns + 1))));
            let behind = floats(&y).split_off((rows * columns) as usize);
            let mut dispatches: Vec<lopper::gpu::Dispatch> = Vec::new();
            kernels.gemm(&mut dispatches, &view, columns, &x_buffer, &y, epilogue).unwrap();
            assert_eq!(dispatches[0].label(), if whole { "wide gemm of whole steps" } else { "wide gemm" });
            run_pass(|pass| dispatches[0].replay(pass));
            check();
            let mut got = floats(&y);
            assert!(same(&got.split_off((rows * columns) as usize), &behind), "behind the last vector");
            let apart = distance(&got, &exact(matrix, &x, Some(&bias)));
            assert!(apart <= 1e-5, "{dtype} {rows} x {cols} x {columns}: {apart:e}");
        }
    }
}

#[test]
fn every_half_is_decoded_with_and_without_the_builtin() {
    // Each of them in a row of its own.
    let bits: Vec<u16> = (0..=u16::MAX).collect();
    let x = buffer(bytemuck::cast_slice(&[1.0_f32]));
    let weights = buffer(bytemuck::cast_slice(&bits));
    let view = MatrixView::dense(&weights, 0, Dtype::F16, 1 << 16, 1);
    let kernels = Kernels::new(gpu().device(), gpu().tuning());
    for (name, kernels) in [("builtin", kernels.clone()), ("integers", kernels.without_half_builtin())] {
        let y = poisoned(4 << 16);
        run_pass(|pass| kernels.gemv(pass, &view, &x, &y, Epilogue::default()).unwrap());
        for (&bits, got) in bits.iter().zip(floats(&y)) {
            let want = half::f16::from_bits(bits).to_f32();
            assert!(got == want || got.is_nan() && want.is_nan(), "{name} {bits:#06x}: {got} {want}");
        }
    }
    check();
}

#[test]
fn activations_follow_the_bias() {
    for (name, kernels) in all_kernels() {
        let (rows, cols) = (70, 36);
        let bytes = weights(Dtype::F32, rows, cols, Fill::Sparse, 3);
        let uploaded = buffer(&bytes);
        let view = MatrixView::dense(&uploaded, 0, Dtype::F32, rows as u32, cols as u32);
        let matrix = Matrix::dense(Dtype::F32, Shape::new(rows as u64, cols as u64), &bytes);
        let bias = vectors(rows, 4);
        let bias_buffer = buffer(bytemuck::cast_slice(&bias));
        for columns in [1, 5] {
            let x = vectors(cols * columns, 5);
            let x_buffer = buffer(bytemuck::cast_slice(&x));
            for activation in Activation::ALL {
                let y = poisoned(4 * (rows * columns) as u64);
                let epilogue = Epilogue { bias: Some((&bias_buffer).into()), activation };
                run_pass(|pass| kernels.gemm(pass, &view, columns as u32, &x_buffer, &y, epilogue).unwrap());
                let want: Vec<f64> =
                    exact(matrix, &x, Some(&bias)).into_iter().map(|v| exact_activation(v, activation)).collect();
                let apart = distance(&floats(&y), &want);
                assert!(apart <= 1e-5, "{name} {columns} {activation:?}: {apart:e}");
                let twin = reference::gemm(matrix, &x, Some(&bias), activation);
                assert!(distance(&twin, &want) <= 1e-5, "twin of {activation:?}");
            }
        }
    }
}

fn exact_activation(v: f64, activation: Activation) -> f64 {
    match activation {
        Activation::None => v,
        Activation::Relu => v.max(0.0),
        Activation::Silu => v / (1.0 + (-v).exp()),
        Activation::Gelu => {
            // erf by its series, which converges everywhere; past 6 it is 1.
            let z = (v / 2f64.sqrt()).abs().min(6.0);
            let (mut term, mut sum) = (z, z);
            for n in 1..200 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            0.5 * v * (1.0 + (2.0 / std::f64::consts::PI.sqrt() * sum).copysign(v))
        }
    }
}

#[test]
fn what_is_not_finite_stays_so() {
    for (name, kernels) in all_kernels() {
        for columns in [1, 20] {
            let (rows, cols) = (6, 8);
            let mut values = vec![0.5_f32; rows * cols];
            (values[3], values[cols + 2], values[2 * cols + 1]) = (f32::INFINITY, f32::NEG_INFINITY, f32::NAN);
            values[3 * cols] = 0.0; // times Inf: NaN
            let mut x = vec![1.0_f32; cols * columns];
            x[(columns - 1) * cols] = f32::INFINITY;
            let (uploaded, x_buffer) = (buffer(bytemuck::cast_slice(&values)), buffer(bytemuck::cast_slice(&x)));
            let y = poisoned(4 * (rows * columns) as u64);
            let view = MatrixView::dense(&uploaded, 0, Dtype::F32, rows as u32, cols as u32);
            run_pass(|pass| kernels.gemm(pass, &view, columns as u32, &x_buffer, &y, Epilogue::default()).unwrap());
            let matrix = Matrix::dense(Dtype::F32, Shape::new(rows as u64, cols as u64), bytemuck::cast_slice(&values));
            let want = reference::gemm(matrix, &x, None, Activation::None);
            let kinds = |values: &[f32]| values.iter().map(|&v| kind(v)).collect::<Vec<_>>();
            assert_eq!(kinds(&floats(&y)), kinds(&want), "{name} {columns}");
        }
    }
}

#[test]
fn bad_input_is_refused_with_both_numbers() {
    let kernels = Kernels::new(gpu().device(), gpu().tuning());
    let (w, x, y) = (poisoned(4 * 64 * 32), poisoned(4 * 32), poisoned(4 * 64));
    let refuse = |view: MatrixView<'_>, columns: u32, x: &wgpu::Buffer, y: &wgpu::Buffer, part: &str| {
        run_pass(|pass| {
            let error = kernels.gemm(pass, &view, columns, x, y, Epilogue::default()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        });
    };
    let view = MatrixView::dense(&w, 0, Dtype::F32, 64, 32);
    refuse(view, 0, &x, &y, "0 vectors");
    refuse(view, 2, &x, &y, "x: 128 bytes, 256 are needed");
    refuse(MatrixView { rows: 32, cols: 64, stride: 64, ..view }, 1, &x, &y, "x: 128 bytes, 256 are needed");
    refuse(view, 1, &x, &x, "y: 128 bytes, 256 are needed");
    refuse(MatrixView { rows: 32, ..view }, 1, &x, &x, "the buffer of x");
    refuse(view, 1, &x, &w, "the buffer of weights");
    refuse(MatrixView { rows: 0, ..view }, 1, &x, &y, "no weights");
    refuse(MatrixView { cols: 0, ..view }, 1, &x, &y, "no weights");
    refuse(MatrixView { rows: 65, ..view }, 1, &x, &y, "ends at byte 8320 of a buffer of 8192");
    refuse(MatrixView { dtype: Dtype::F8E4M3, ..view }, 1, &x, &y, "F8_E4M3");
    let short = Epilogue { bias: Some((&x).into()), ..Default::default() };
    run_pass(|pass| {
        let error = kernels.gemv(pass, &view, &x, &y, short).unwrap_err().to_string();
        assert!(error.contains("bias: 128 bytes, 256 are needed"), "{error}");
    });
}

#[test]
fn matrices_larger_than_a_binding_are_multiplied_by_rows() {
    let small = small_device();
    let (device, queue) = (small.device(), small.queue());
    let (rows, cols, columns) = (4500_u32, 1001_u32, 5_u32);
    let bytes = weights(Dtype::F32, rows as usize, cols as usize, Fill::Normal, 2);
    let buffer = |contents: &[u8]| {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let (label, size) = (None, contents.len() as u64);
        let buffer = device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false });
        queue.write_buffer(&buffer, 0, contents);
        buffer
    };
    let uploaded = buffer(&bytes);
    assert!(uploaded.size() > device.limits().max_storage_buffer_binding_size);
    let matrix = Matrix::dense(Dtype::F32, Shape::new(rows.into(), cols.into()), &bytes);
    let view = MatrixView::dense(&uploaded, 0, Dtype::F32, rows, cols);
    for tuning in [Tuning::CPU, Tuning::GPU] {
        let kernels = Kernels::new(device, tuning);
        for columns in [1, columns, 520] {
            let x = vectors((cols * columns) as usize, 6);
            let (x_buffer, y) = (buffer(bytemuck::cast_slice(&x)), buffer(&vec![0x7f; (4 * rows * columns) as usize]));
            let staging = device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: y.size(),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = device.create_command_encoder(&Default::default());
            kernels
                .gemm(
                    &mut encoder.begin_compute_pass(&Default::default()),
                    &view,
                    columns,
                    &x_buffer,
                    &y,
                    Epilogue::default(),
                )
                .unwrap();
            encoder.copy_buffer_to_buffer(&y, 0, &staging, 0, y.size());
            queue.submit([encoder.finish()]);
            staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("a fresh buffer maps"));
            device.poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
            let got: Vec<f32> = bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..).unwrap());
            // The last of them will do.
            let before = columns.saturating_sub(5);
            let want = exact(matrix, &x[(before * cols) as usize..], None);
            let apart = distance(&got[(before * rows) as usize..], &want);
            assert!(apart <= 1e-5, "{columns}: {apart:e}");
        }
        // One row alone is too large.
        let wide = MatrixView::dense(&uploaded, 0, Dtype::F32, 1, 4_500_000);
        let (x_buffer, y) = (buffer(&vec![0; 18_000_000]), buffer(&[0; 4]));
        let mut encoder = device.create_command_encoder(&Default::default());
        let pass = &mut encoder.begin_compute_pass(&Default::default());
        let error = kernels.gemv(pass, &wide, &x_buffer, &y, Epilogue::default()).unwrap_err().to_string();
        let problem = match tuning.simd {
            true => "4500000 columns, the loops of a software adapter hold 3840000",
            false => "18000000 bytes, the device binds 16777216",
        };
        assert!(error.contains(problem), "{error}");
    }
}

/// The adapter under test with the smallest bindings that will do.
fn small_device() -> lopper::gpu::Gpu {
    let instance = wgpu::Instance::default();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let name = &gpu().info().name;
    let backend = &gpu().info().backend;
    let adapter = adapters
        .into_iter()
        .find(|adapter| adapter.get_info().name == *name && adapter.get_info().backend.to_string() == *backend)
        .expect("it was there before");
    let required_limits = wgpu::Limits { max_storage_buffer_binding_size: 1 << 24, ..adapter.limits() };
    let required_features = adapter.features() & wgpu::Features::SUBGROUP;
    let descriptor = wgpu::DeviceDescriptor { required_limits, required_features, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("it opens");
    lopper::gpu::Gpu::from_device(device, queue).expect("it will do")
}
