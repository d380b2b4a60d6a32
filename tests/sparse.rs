//! Sparse matrices (ell, bitmask, csr, nm, block) against their CPU twins: packed words exactly, products against f64, on awkward shapes and sparsities.

mod common;

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
    Format::Nm { keep: 2, of: 4 },
    Format::Nm { keep: 7, of: 13 },
    Format::Block { rows: 4, cols: 4 },
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
            for bit in 0..32 {
                let col = 32 * word + bit;
                let kept = match keep {
                    Keep::All => true,
                    Keep::None => col >= cols,
                    Keep::Share(share) => random.unit() < share,
                    Keep::Rows => row % 3 == 0,
                    Keep::Ramp => random.unit() * f64::from(rows) < f64::from(row),
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
            if !matches!(format, Format::SlicedEll { .. }) {
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
                for &format in FORMATS {
                    let sample = Sample::new(dtype, shape, Fill::Normal, keep, format);
                    for (columns, with_bias) in [(1, false), (2, true), (6, false), (17, true)] {
                        let few = matches!(keep, Keep::Share(0.3) | Keep::Ramp);
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

#[test]
fn bytes_per_weight_are_those_of_the_table() {
    // 16-bit weights, as in docs: bits, kept weights, and 4 bytes per tile of 1,024.
    let (rows, cols) = (256, 4096);
    for (sparsity, want) in [(0.5, 1.129), (0.7, 0.729), (0.8, 0.529), (0.9, 0.329), (0.95, 0.229)] {
        let sample =
            Sample::new(Dtype::BF16, (rows, cols, 0, 0), Fill::Normal, Keep::Share(1.0 - sparsity), Format::Bitmask);
        let packed = Packed::pack(sample.matrix(), &sample.mask, Format::Bitmask).unwrap();
        let uploaded = SparseMatrix::upload(gpu().device(), &packed).unwrap();
        let got = uploaded.bytes() as f64 / f64::from(rows * cols);
        assert!((got / want - 1.0).abs() < 0.01, "{sparsity}: {got} bytes per weight, {want} are due");
    }
    for (sparsity, want) in [(0.5, 2.0), (0.7, 1.2), (0.8, 0.8), (0.9, 0.4), (0.95, 0.2)] {
        let sample =
            Sample::new(Dtype::F16, (rows, cols, 0, 0), Fill::Normal, Keep::Share(1.0 - sparsity), Format::Csr);
        let packed = Packed::pack(sample.matrix(), &sample.mask, Format::Csr).unwrap();
        let got = SparseMatrix::upload(gpu().device(), &packed).unwrap().bytes() as f64 / f64::from(rows * cols);
        assert!((got / want - 1.0).abs() < 0.01, "CSR at {sparsity}: {got} bytes per weight, {want} are due");
    }
    let two_of_four = Format::Nm { keep: 2, of: 4 };
    let sample = Sample::new(Dtype::F16, (rows, cols, 0, 0), Fill::Normal, Keep::All, two_of_four);
    let packed = Packed::pack(sample.matrix(), &sample.mask, two_of_four).unwrap();
    let got = SparseMatrix::upload(gpu().device(), &packed).unwrap().bytes() as f64 / f64::from(rows * cols);
    assert!((got / 1.125 - 1.0).abs() < 0.01, "2:4: {got} bytes per weight");
}

/// Which weights are left of a tensor once a share of it, the smallest, is pruned; ties go by index.
fn pruned(matrix: Matrix<'_>, sparsity: f64) -> Vec<u32> {
    let mut order: Vec<(u32, usize)> = matrix.keys().enumerate().map(|(i, key)| (key, i)).collect();
    order.sort_unstable();
    let (cols, words) = (matrix.shape.cols as usize, matrix.shape.cols.div_ceil(32) as usize);
    let mut mask = vec![0; matrix.shape.rows as usize * words];
    for &(_, i) in &order[lopper::quota(sparsity, order.len() as u64) as usize..] {
        mask[i / cols * words + i % cols / 32] |= 1 << (i % cols % 32);
    }
    mask
}

#[test]
fn bytes_per_weight_of_a_real_model_are_those_of_the_table() {
    let file = std::fs::read("tests/data/silero_vad_16k.safetensors").unwrap();
    let model = safetensors::SafeTensors::deserialize(&file).unwrap();
    for (sparsity, table) in [(0.5, [1.129, 2.0]), (0.7, [0.729, 1.2]), (0.9, [0.329, 0.4])] {
        let (mut weights, mut bytes, mut due) = (0.0, [0.0; 2], [0.0; 2]);
        for (_, tensor) in model.tensors().into_iter().filter(|(_, tensor)| tensor.shape().len() > 1) {
            let (rows, all) = (tensor.shape()[0] as u64, tensor.shape().iter().product::<usize>() as u64);
            // As it is, and the same mask in rows of 4,096, if it has as many.
            for (cols, long) in [(all / rows, false), (4096, true)] {
                if long && !all.is_multiple_of(cols) {
                    continue;
                }
                let shape = Shape::new(all / cols, cols);
                let matrix = Matrix { dtype: Dtype::F32, shape, stride: cols as usize, bytes: tensor.data() };
                let mask = pruned(matrix, sparsity);
                // The table is of 16 bits; what they are does not matter.
                let zeros = vec![0; 2 * all as usize];
                let halves = Matrix { dtype: Dtype::F16, bytes: &zeros, ..matrix };
                for (f, format) in [Format::Bitmask, Format::Csr].into_iter().enumerate() {
                    let packed = Packed::pack(halves, &mask, format).unwrap();
                    let got = SparseMatrix::upload(gpu().device(), &packed).unwrap().bytes() as f64;
                    if long {
                        let got = got / all as f64;
                        assert!((got / table[f] - 1.0).abs() < 0.01, "{format} at {sparsity}: {got}, {}", table[f]);
                        continue;
                    }
                    // Short rows have a tile of their own, where the table has a 1,024th for each weight, and a row pointer.
                    let own = 4.0 * (all / cols) as f64;
                    bytes[f] += got;
                    due[f] += table[f] * all as f64 + own - if f == 0 { 4.0 / 1024.0 * all as f64 } else { 0.0 };
                }
                if !long {
                    weights += all as f64;
                }
            }
        }
        for f in 0..2 {
            let (got, due) = (bytes[f] / weights, due[f] / weights);
            assert!((got / due - 1.0).abs() < 0.01, "{sparsity}: {got} bytes per weight, {due} are due");
        }
    }
}

#[test]
fn bad_input_is_refused_with_both_numbers() {
    let kernels = Kernels::new(gpu().device(), gpu().tuning());
    let sample = Sample::new(Dtype::F32, (4, 96, 0, 0), Fill::Normal, Keep::Share(0.5), Format::Csr);
    let ell = Format::SlicedEll { slice: 8 };
    let refuse = |view: MatrixView<'_>, mask: &wgpu::Buffer, format, part: &str| {
        let error = SparseMatrix::pack(gpu(), &kernels, &view, mask, format).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let view = sample.view();
    refuse(view, &poisoned(44), Format::Bitmask, "mask: 44 bytes, 48 are needed");
    refuse(MatrixView { rows: 0, ..view }, &sample.mask_buffer, ell, "no weights");
    refuse(MatrixView { dtype: Dtype::F8E5M2, ..view }, &sample.mask_buffer, Format::Bitmask, "F8_E5M2");
    refuse(view, &sample.mask_buffer, Format::SlicedEll { slice: 12 }, "slices of 12 rows");
    refuse(view, &sample.mask_buffer, Format::Nm { keep: 5, of: 4 }, "5:4");
    refuse(view, &sample.mask_buffer, Format::Nm { keep: 2, of: 17 }, "2:17");
    refuse(view, &sample.mask_buffer, Format::Nm { keep: 1, of: 16 }, "groups keep more than 1 of 16");
    refuse(view, &sample.mask_buffer, Format::Block { rows: 0, cols: 4 }, "1 to 32 rows");
    refuse(view, &sample.mask_buffer, Format::Block { rows: 4, cols: 33 }, "1 to 32 rows");
    let wide = poisoned(4 * 65_537);
    refuse(MatrixView::dense(&wide, 0, Dtype::F32, 1, 65_537), &wide, ell, "65537 columns");
    // Where a buffer holds more than is bound at once.
    let most = gpu().device().limits().max_storage_buffer_binding_size;
    let (size, usage) = (most + (1 << 18), wgpu::BufferUsages::STORAGE);
    if size <= gpu().device().limits().max_buffer_size.min(1 << 28) {
        let large = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let large = gpu().device().create_buffer(&large);
        let rows = (size >> 18) as u32;
        let all = MatrixView::dense(&large, 0, Dtype::F32, rows, 65_536);
        refuse(all, &sample.mask_buffer, Format::Bitmask, &format!("binding of {size} bytes, the device binds {most}"));
    }
    run_pass(|pass| {
        let what = |kept, format| (kept, format);
        let pack = |pass: &mut wgpu::ComputePass<'_>, what| {
            let packed = SparseMatrix::pack_counted(&kernels, gpu().device(), pass, &view, &sample.mask_buffer, what);
            packed.unwrap_err().to_string()
        };
        assert!(pack(pass, what(385, Format::Bitmask)).contains("385 of 384"));
        assert!(pack(pass, what(10, ell)).contains("read back"));
    });

    let packed = Packed::pack(sample.matrix(), &sample.mask, ell).unwrap();
    let upload = |packed: &Packed| SparseMatrix::upload(gpu().device(), packed).unwrap_err().to_string();
    for format in [ell, Format::Bitmask] {
        let packed = Packed::pack(sample.matrix(), &sample.mask, format).unwrap();
        let broken = |change: &dyn Fn(&mut Packed)| {
            let mut packed = packed.clone();
            change(&mut packed);
            upload(&packed)
        };
        assert!(broken(&|p| p.index.truncate(p.index.len() - 1)).contains("contradict"));
        assert!(broken(&|p| p.values.truncate(p.values.len() - 1)).contains("contradict"));
        assert!(broken(&|p| p.index[1] += 1).contains("contradict"));
        assert!(broken(&|p| *p.index.last_mut().unwrap() |= 0x8000_0000).contains("contradict"), "{format}");
        assert!(broken(&|p| p.shape.rows = 5).contains("contradict"));
    }
    let mut column = packed.clone();
    column.values[0] |= 96;
    assert!(upload(&column).contains("do not rise to below 96"));

    let uploaded = SparseMatrix::upload(gpu().device(), &packed).unwrap();
    let (x, y) = (poisoned(4 * 96), poisoned(4 * 4));
    run_pass(|pass| {
        let mut refuse = |columns, x: &wgpu::Buffer, y: &wgpu::Buffer, part: &str| {
            let error = uploaded.matmul(&kernels, pass, columns, x, y, Epilogue::default()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refuse(0, &x, &y, "0 vectors");
        refuse(2, &x, &y, "x: 384 bytes, 768 are needed");
        refuse(1, &x, &x, "the buffer of x");
        refuse(1, &x, &poisoned(12), "y: 12 bytes, 16 are needed");
        let error = uploaded.unpack(&kernels, pass, &y).unwrap_err().to_string();
        assert!(error.contains("weights: 16 bytes, 1536 are needed"), "{error}");
    });
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn unpack_is_the_inverse_of_pack(
        rows in 1_u32..70,
        cols in 1_u32..300,
        gap in 0_u32..9,
        dtype in 0_usize..3,
        format in 0_usize..FORMATS.len(),
        share in 0.0_f64..=1.0,
    ) {
        let (dtype, format) = (DTYPES[dtype], FORMATS[format]);
        let sample = Sample::new(dtype, (rows, cols, gap, 0), Fill::Bits, Keep::Share(share), format);
        let kernels = Kernels::new(gpu().device(), gpu().tuning());
        let packed = SparseMatrix::pack(gpu(), &kernels, &sample.view(), &sample.mask_buffer, format).unwrap();
        let downloaded = packed.download(gpu()).unwrap();
        let masked = sample.masked();
        assert_eq!(downloaded.unpack().unwrap(), masked);
        assert_eq!(downloaded, Packed::pack(sample.matrix(), &sample.mask, format).unwrap());
        let unpacked = poisoned((masked.len() as u64).next_multiple_of(4));
        run_pass(|pass| packed.unpack(&kernels, pass, &unpacked).unwrap());
        assert_eq!(&read(&unpacked)[..masked.len()], &masked[..]);
        check();
    }
}
