//! Sparse matrices (ell, bitmask, csr, macko, nm, block) against their CPU twins: packed words exactly, products against f64, on awkward shapes and sparsities.

#[path = "sparse/bad_input.rs"]
mod bad_input;
mod common;
#[path = "sparse/size.rs"]
mod size;

use common::product::{DTYPES, all_kernels, check, distance, exact, floats, kind, vectors};
use common::{Fill, Random, buffer, gpu, poisoned, read, read_words, run_pass, weights};
use lopper::gpu::Tuning;
use lopper::kernels::{Epilogue, Kernels, MatrixView};
use lopper::reference::{self, Matrix, Packed};
use lopper::sparse::{Format, SparseMatrix};
use lopper::{Activation, Dtype, Shape, wgpu};

const FORMATS: &[Format] = &[
    Format::Bitmask,
    Format::SlicedEll { slice: 8 },
    Format::SlicedEll { slice: 32 },
    Format::Csr,
    Format::Macko,
    Format::Nm { keep: 2, of: 4 },
    Format::Nm { keep: 1, of: 4 },
    Format::Nm { keep: 3, of: 4 },
    Format::Nm { keep: 7, of: 13 },
    Format::Block { rows: 4, cols: 4 },
    Format::Block { rows: 8, cols: 16 },
    Format::Block { rows: 12, cols: 24 },
    Format::Block { rows: 3, cols: 32 },
    Format::Block { rows: 1, cols: 7 },
];

/// The mask with as many weights of each whole group as the format keeps, those of lowest index.
fn fitted(mask: &[u32], cols: u32, format: Format) -> Vec<u32> {
    let Format::Nm { keep, of } = format else { return mask.to_vec() };
    let words = cols.div_ceil(32) as usize;
    let mut mask = mask.to_vec();
    for row in mask.chunks_mut(words) {
        let (mut group, mut n) = (0, 0);
        for col in 0..cols / of * of {
            if col / of != group {
                (group, n) = (col / of, 0);
            }
            if row[col as usize / 32] >> (col % 32) & 1 == 1 {
                n += 1;
                if n > keep {
                    row[col as usize / 32] &= !(1 << (col % 32));
                }
            }
        }
    }
    mask
}

/// `(rows, cols, gap between rows, offset in bytes)`: around words, steps, slices and tiles.
const SHAPES: &[(u32, u32, u32, u64)] = &[
    (1, 1, 0, 0),
    (1, 2053, 0, 0),
    (521, 1, 0, 0),
    (7, 8, 0, 0),
    (8, 9, 0, 0),
    (9, 31, 0, 4),
    (31, 32, 0, 0),
    (33, 67, 3, 12),
    (65, 129, 0, 0),
    (5, 1023, 0, 0),
    (6, 1024, 0, 256),
    (4, 1025, 7, 0),
    (130, 260, 0, 0),
    (3, 20_001, 0, 0),
];

/// Which weights are kept.
#[derive(Debug, Clone, Copy)]
enum Keep {
    All,
    None,
    /// About this share.
    Share(f64),
    /// Every third row whole, the others not at all.
    Rows,
    /// Rows of very different lengths.
    Ramp,
    /// Two of every four neighbours, any two.
    Pairs,
}

const KEEPS: &[Keep] =
    &[Keep::All, Keep::None, Keep::Share(0.5), Keep::Share(0.3), Keep::Share(0.05), Keep::Rows, Keep::Ramp];

/// A mask; bits past the end of a row are noise, and mean nothing.
fn mask(rows: u32, cols: u32, keep: Keep) -> Vec<u32> {
    let mut random = Random::new(11);
    let words = cols.div_ceil(32);
    let mut mask = Vec::new();
    for row in 0..rows {
        for word in 0..words {
            let mut bits = 0;
            let mut pair = || [3, 5, 6, 9, 10, 12][random.next() as usize % 6];
            let pairs = if matches!(keep, Keep::Pairs) { (0..8).fold(0_u32, |bits, _| bits << 4 | pair()) } else { 0 };
            for bit in 0..32 {
                let col = 32 * word + bit;
                let kept = match keep {
                    Keep::All => true,
                    Keep::None => col >= cols,
                    Keep::Share(share) => random.unit() < share,
                    Keep::Rows => row % 3 == 0,
                    Keep::Ramp => random.unit() * f64::from(rows) < f64::from(row),
                    Keep::Pairs => pairs >> bit & 1 == 1,
                };
                bits |= u32::from(kept) << bit;
            }
            mask.push(bits);
        }
    }
    mask
}

/// The mask without the noise.
fn cleared(mask: &[u32], cols: u32) -> Vec<u32> {
    let words = cols.div_ceil(32) as usize;
    let last = u32::MAX >> ((32 - cols % 32) % 32);
    mask.iter().enumerate().map(|(i, word)| if i % words == words - 1 { word & last } else { *word }).collect()
}

#[test]
fn scan_gives_the_sums_of_its_twin() {
    let kernels = Kernels::new(gpu().device(), gpu().tuning());
    for n in [1, 2, 255, 256, 257, 5000] {
        let counts: Vec<u32> = (0..n).map(|i| i * 7919 % 1000).collect();
        let placed = buffer(bytemuck::cast_slice(&[&counts[..], &[u32::MAX]].concat()));
        run_pass(|pass| kernels.scan(pass, n, &placed).unwrap());
        assert_eq!(read_words(&placed), reference::scan(&counts), "{n}");
    }
}

#[test]
fn lend_puts_vectors_side_by_side() {
    // What the kernel does is seen through products alone; the twin says what it is to do.
    assert_eq!(reference::lend(&[1.0, 2.0, 3.0, 4.0], 2, 0, 4), [1.0, 3.0, 3.0, 3.0, 2.0, 4.0, 4.0, 4.0]);
    assert_eq!(reference::lend(&[1.0, 2.0, 3.0, 4.0], 2, 1, 1), [3.0, 4.0]);
}

struct Sample {
    dtype: Dtype,
    shape: (u32, u32, u32, u64),
    bytes: Vec<u8>,
    weights: wgpu::Buffer,
    mask: Vec<u32>,
    mask_buffer: wgpu::Buffer,
}

impl Sample {
    fn new(dtype: Dtype, shape: (u32, u32, u32, u64), fill: Fill, keep: Keep, format: Format) -> Self {
        let (rows, cols, gap, offset) = shape;
        let bytes = weights(dtype, rows as usize, (cols + gap) as usize, fill, 5);
        let mut padded = vec![0x5a; offset as usize];
        padded.extend(&bytes);
        padded.extend([0x5a; 64]);
        let mask = fitted(&mask(rows, cols, keep), cols, format);
        let mask_buffer = buffer(bytemuck::cast_slice(&mask));
        Self { dtype, shape, bytes, weights: buffer(&padded), mask: cleared(&mask, cols), mask_buffer }
    }

    fn view(&self) -> MatrixView<'_> {
        let (rows, cols, gap, offset) = self.shape;
        MatrixView { buffer: &self.weights, offset, dtype: self.dtype, rows, cols, stride: cols + gap }
    }

    fn matrix(&self) -> Matrix<'_> {
        let (rows, cols, gap, _) = self.shape;
        let shape = Shape::new(rows.into(), cols.into());
        Matrix { dtype: self.dtype, shape, stride: (cols + gap) as usize, bytes: &self.bytes }
    }

    /// The weights with zeros, rows without gaps.
    fn masked(&self) -> Vec<u8> {
        let (rows, cols, gap, _) = self.shape;
        let mut bytes = self.bytes.clone();
        let shape = Shape::new(rows.into(), cols.into());
        reference::apply(self.dtype, shape, (cols + gap) as usize, &self.mask, &mut bytes);
        let size = self.dtype.size();
        bytes.chunks((cols + gap) as usize * size).flat_map(|row| row[..cols as usize * size].to_vec()).collect()
    }

    fn kept(&self) -> u64 {
        self.mask.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

fn each(mut work: impl FnMut(&Sample, Format, &str)) {
    for dtype in DTYPES {
        for &shape in SHAPES {
            for &keep in
                KEEPS.iter().filter(|keep| dtype == Dtype::F32 || matches!(keep, Keep::Share(0.3) | Keep::Ramp))
            {
                for &format in FORMATS {
                    let sample = Sample::new(dtype, shape, Fill::Bits, keep, format);
                    work(&sample, format, &format!("{dtype} {shape:?} {keep:?} {format}"));
                }
            }
        }
    }
}

#[test]
fn packed_words_are_those_of_the_twin_and_unpack_bit_for_bit() {
    for tuning in [Tuning::CPU, Tuning::GPU] {
        let kernels = Kernels::new(gpu().device(), tuning);
        each(|sample, format, name| {
            let want = Packed::pack(sample.matrix(), &sample.mask, format).unwrap();
            let packed = SparseMatrix::pack(gpu(), &kernels, &sample.view(), &sample.mask_buffer, format).unwrap();
            check();
            assert_eq!(packed.download(gpu()).unwrap(), want, "{name}");
            let bytes = 4 * (want.index.len() + want.values.len()) as u64;
            assert_eq!(packed.bytes(), bytes, "{name}");
            let masked = sample.masked();
            assert_eq!(want.unpack().unwrap(), masked, "twin of {name}");
            let unpacked = poisoned((masked.len() as u64).next_multiple_of(4));
            run_pass(|pass| packed.unpack(&kernels, pass, &unpacked).unwrap());
            assert_eq!(read(&unpacked)[..masked.len()], masked, "{name}");
            let again = SparseMatrix::upload(gpu().device(), &want).unwrap();
            assert_eq!(again.download(gpu()).unwrap(), want, "{name} uploaded");
            if !matches!(format, Format::SlicedEll { .. } | Format::Macko) {
                let mut recorded = None;
                run_pass(|pass| {
                    let blocks = want.index[sample.shape.0.div_ceil(match format {
                        Format::Block { rows, .. } => rows,
                        _ => sample.shape.0,
                    }) as usize];
                    let kept = if matches!(format, Format::Block { .. }) { blocks.into() } else { sample.kept() };
                    let what = (kept, format);
                    let (view, mask) = (sample.view(), &sample.mask_buffer);
                    recorded =
                        Some(SparseMatrix::pack_counted(&kernels, gpu().device(), pass, &view, mask, what).unwrap());
                });
                assert_eq!(recorded.unwrap().download(gpu()).unwrap(), want, "{name} recorded");
            }
            check();
        });
    }
}

#[test]
fn products_are_near_the_twin_and_f64() {
    let all = all_kernels();
    for dtype in DTYPES {
        for &shape in SHAPES {
            for &keep in
                KEEPS.iter().filter(|keep| dtype == Dtype::F32 || matches!(keep, Keep::Share(0.3) | Keep::Ramp))
            {
                // The three long rows of these nearly cancel out: their sums say nothing of the kernel.
                let cancels = |format: &Format| matches!(format, Format::Nm { keep: 1 | 3, of: 4 }) && shape.1 > 20_000;
                let few = matches!(keep, Keep::Share(0.3) | Keep::Ramp);
                // One of the larger blocks goes through everything.
                let asked = |format: &Format| few || !matches!(format, Format::Block { rows: 12, .. });
                for &format in FORMATS.iter().filter(|format| !cancels(format) && asked(format)) {
                    let sample = Sample::new(dtype, shape, Fill::Normal, keep, format);
                    for (columns, with_bias) in [(1, false), (2, true), (6, false), (17, true)] {
                        if columns == 1 || few && shape.0 <= 200 && shape.1 <= 3000 {
                            product(&all, &sample, format, (columns, with_bias), &format!("{shape:?} {keep:?}"));
                        }
                    }
                }
            }
        }
    }
}

fn product(all: &[(String, Kernels)], sample: &Sample, format: Format, (columns, with_bias): (u32, bool), name: &str) {
    let name = format!("{} {name} {format} x {columns}", sample.dtype);
    let (rows, cols, ..) = sample.shape;
    let masked = sample.masked();
    let matrix = Matrix::dense(sample.dtype, sample.matrix().shape, &masked);
    let bias = vectors(rows as usize, 8);
    let bias_buffer = buffer(bytemuck::cast_slice(&bias));
    let x = vectors((cols * columns) as usize, 7);
    let x_buffer = buffer(bytemuck::cast_slice(&x));
    let bias = with_bias.then_some(&bias[..]);
    let want = exact(matrix, &x, bias);
    let packed = Packed::pack(sample.matrix(), &sample.mask, format).unwrap();
    let twin = packed.product(&x, bias, Activation::None).unwrap();
    assert!(distance(&twin, &want) <= 1e-5, "twin of {name}");
    let uploaded = SparseMatrix::upload(gpu().device(), &packed).unwrap();
    for (how, kernels) in all {
        let y = poisoned(4 * u64::from(rows * columns));
        let epilogue = Epilogue { bias: with_bias.then_some((&bias_buffer).into()), ..Default::default() };
        run_pass(|pass| uploaded.matmul(kernels, pass, columns, &x_buffer, &y, epilogue).unwrap());
        check();
        let apart = distance(&floats(&y), &want);
        assert!(apart <= 1e-5, "{how} {name}: {apart:e}");
    }
}

/// Kernels are kept from one matrix to the next, which may differ in what a kernel is made for: first of even width, then of odd.
#[test]
fn a_kernel_for_one_width_is_not_taken_for_another() {
    let kernels = vec![("GPU".to_string(), Kernels::new(gpu().device(), Tuning::GPU))];
    for format in FORMATS {
        for cols in [64, 67, 2048, 2051] {
            let sample = Sample::new(Dtype::F16, (5, cols, 0, 0), Fill::Normal, Keep::Share(0.3), *format);
            product(&kernels, &sample, *format, (1, false), "in turn");
        }
    }
}

/// Kernels have a shorter way where every group keeps two.
#[test]
fn two_of_four_may_be_any_two() {
    let all = all_kernels();
    let format = Format::Nm { keep: 2, of: 4 };
    for dtype in DTYPES {
        for cols in [128, 2048, 2051] {
            let sample = Sample::new(dtype, (9, cols, 0, 0), Fill::Normal, Keep::Pairs, format);
            product(&all, &sample, format, (1, true), "pairs");
        }
    }
}

#[test]
fn what_is_not_kept_is_not_multiplied() {
    let (rows, cols) = (9, 40);
    let mut values = vec![1.0_f32; rows * cols];
    values[3] = f32::NAN; // pruned
    values[cols + 8] = f32::INFINITY; // kept
    values[2 * cols + 8] = -0.0; // kept: times infinity it is NaN
    let mut bits = vec![0_u32; rows * 2];
    for (row, kept) in [(0, 0x10), (1, 0x101), (2, 0x100), (3, 0x1ff), (5, 1), (8, 0x55)] {
        bits[2 * row] = kept;
    }
    for x_at in [0, 3, 8, 39] {
        for columns in [1, 5] {
            let mut x = vec![1.0_f32; cols * columns];
            x[(columns - 1) * cols + x_at] = f32::INFINITY;
            let matrix = Matrix::dense(Dtype::F32, Shape::new(rows as u64, cols as u64), bytemuck::cast_slice(&values));
            let x_buffer = buffer(bytemuck::cast_slice(&x));
            for &format in FORMATS {
                let packed = Packed::pack(matrix, &fitted(&bits, cols as u32, format), format).unwrap();
                let want = packed.product(&x, None, Activation::None).unwrap();
                let uploaded = SparseMatrix::upload(gpu().device(), &packed).unwrap();
                for (how, kernels) in all_kernels() {
                    // Expanded tiles are multiplied whole.
                    if columns > 4 && matches!(format, Format::Bitmask | Format::Nm { .. }) {
                        continue;
                    }
                    let y = poisoned(4 * (rows * columns) as u64);
                    run_pass(|pass| {
                        uploaded.matmul(&kernels, pass, columns as u32, &x_buffer, &y, Epilogue::default()).unwrap()
                    });
                    let kinds = |values: &[f32]| values.iter().map(|&v| kind(v)).collect::<Vec<_>>();
                    assert_eq!(kinds(&floats(&y)), kinds(&want), "{how} {format} x[{x_at}] of {columns}");
                }
            }
        }
    }
}
