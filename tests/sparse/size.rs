//! Bytes per weight of each format, of random and of real masks.

use super::*;

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
    // Beside the table's: a place for each row, and its last step filled up, by three and a half weights on average.
    let filled = (4.0 + 3.5 * 2.5) / f64::from(cols);
    for (sparsity, want) in [(0.5, 1.25), (0.7, 0.753), (0.8, 0.514), (0.9, 0.307), (0.95, 0.223)] {
        let sample =
            Sample::new(Dtype::F16, (rows, cols, 0, 0), Fill::Normal, Keep::Share(1.0 - sparsity), Format::Macko);
        let packed = Packed::pack(sample.matrix(), &sample.mask, Format::Macko).unwrap();
        let got = SparseMatrix::upload(gpu().device(), &packed).unwrap().bytes() as f64 / f64::from(rows * cols);
        assert!((got / (want + filled) - 1.0).abs() < 0.01, "MACKO at {sparsity}: {got} bytes per weight");
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
