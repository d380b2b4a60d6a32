//! Kernels at their limits: the smallest buffers there are, and loops that go round as often as a software adapter lets them,
//! which ends a thread after 65,535 turns as if it were done.

use lopper::gpu::Tuning;
use lopper::kernels::{
    BOUNDARY_BYTES, CUT_BYTES, Epilogue, GroupRule, Kernels, MatrixView, NONZERO_BYTES, PoolRule, RowRule, SamplePlan,
    ScaleRule, WINDOW_BYTES, counts_bytes, read_counts, tiles_bytes,
};
use lopper::reference::{self, Matrix, Quota, Window};
use lopper::{Dtype, Norm, Shape};

use super::common::case::{Case, sorted_cut};
use super::common::product::{distance, exact, floats, vectors};
use super::common::{Fill, both_tunings, buffer, gpu, poisoned, read, read_words, run_pass};
use super::window_buffer;

#[test]
fn matrices_in_buffers_of_a_word_or_two() {
    for kernels in both_tunings() {
        for (dtype, cols) in Dtype::ALL.into_iter().flat_map(|dtype| [(dtype, 1), (dtype, 2)]) {
            let case = Case::new(dtype, (1, cols, 0, 0), Fill::Normal, 1);
            let weights = buffer(&case.bytes);
            let view = case.view(&weights);
            let name = format!("{dtype}, {cols} columns in {} bytes", weights.size());

            let keys = poisoned(4 * u64::from(cols));
            run_pass(|pass| kernels.score(pass, &view, &keys).unwrap());
            assert_eq!(read_words(&keys), reference::score(case.matrix()), "{name}");

            let window = Window::over(0, 1, kernels.tuning().capacity);
            let counts = buffer(&vec![0; counts_bytes(kernels.tuning().capacity) as usize]);
            run_pass(|pass| kernels.histogram(pass, &view, &window_buffer(window), &counts).unwrap());
            let counted = read_counts(&read_words(&counts), window, cols.into());
            assert_eq!(counted, reference::histogram(case.matrix().keys(), window), "{name}");

            let k = 1;
            let mut cut = sorted_cut(&case, k);
            let (window, cut_buffer) = (buffer(&[0; WINDOW_BYTES as usize]), poisoned(CUT_BYTES));
            let (mask, tiles) = (poisoned(4), buffer(&vec![0; tiles_bytes(&view) as usize]));
            let words = lopper::kernels::window_words(Window::over(cut.key, 1, kernels.tuning().capacity));
            gpu().queue().write_buffer(&window, 0, bytemuck::cast_slice(&words));
            let counts = buffer(&vec![0; counts_bytes(kernels.tuning().capacity) as usize]);
            run_pass(|pass| {
                kernels.histogram(pass, &view, &window, &counts).unwrap();
                kernels.threshold(pass, case.rule(Quota::Count(k)), &window, &counts, &cut_buffer).unwrap();
                kernels.mask(pass, &view, &cut_buffer, &mask, &tiles).unwrap();
                kernels.settle(pass, &view, &cut_buffer, &mask, &tiles, &poisoned(BOUNDARY_BYTES)).unwrap();
            });
            let want = reference::mask(case.matrix(), &mut cut);
            assert_eq!(read_words(&mask), want, "{name}");

            let sums = poisoned(8);
            run_pass(|pass| kernels.count(pass, &view, &mask, &buffer(&[0; NONZERO_BYTES as usize]), &sums).unwrap());
            let (nonzero, kept) = reference::count(case.matrix(), &want);
            assert_eq!(read_words(&sums), [nonzero as u32, kept as u32], "{name}");

            let rule = GroupRule { keep: 1, of: 2 };
            run_pass(|pass| kernels.group(pass, &view, rule, &mask, &buffer(&[0; NONZERO_BYTES as usize])).unwrap());
            assert_eq!(read_words(&mask), reference::group(case.matrix(), 1, 2), "{name}");

            for unit in [1, 300] {
                let rule = PoolRule { rows: 1, cols: unit, norm: Norm::L1 };
                let want = reference::pool(case.matrix(), 1, unit.into(), Norm::L1);
                let keys = poisoned(4 * want.len() as u64);
                run_pass(|pass| kernels.pool(pass, &view, rule, &keys).unwrap());
                assert_eq!(read_words(&keys), want, "{name}, units of {unit}");
            }

            let (scales, scores) = (vec![2.0_f32; cols as usize], poisoned(4 * u64::from(cols)));
            let (rule, scales_buffer) = (ScaleRule { first: 0, period: cols }, buffer(bytemuck::cast_slice(&scales)));
            run_pass(|pass| kernels.scale(pass, &view, rule, &scales_buffer, &scores).unwrap());
            assert_eq!(read_words(&scores), reference::scale(case.matrix(), &scales, 0), "{name}");

            let before = read(&weights);
            run_pass(|pass| kernels.apply(pass, &view, &buffer(&[0, 0, 0, 0])).unwrap());
            let all = cols as usize * dtype.size();
            assert_eq!(read(&weights)[..all], vec![0; all], "{name}");
            assert_eq!(read(&weights)[all..], before[all..], "{name}");
            gpu().check().unwrap();
        }
    }
}

/// Kernels of a software adapter that share everything out among as few threads as they may.
fn few_threads() -> Kernels {
    Kernels::new(gpu().device(), Tuning { workgroups: 1, ..Tuning::CPU })
}

#[test]
fn few_threads_see_all_weights() {
    let kernels = few_threads();
    let case = Case::new(Dtype::F8E4M3, (1, 33 << 15, 0, 0), Fill::Normal, 5);
    let weights = case.upload();
    let view = case.view(&weights);
    // All of them are counted bin by bin: 32 turns for each word.
    let window = Window::over(0, case.dtype.max_key() + 1, kernels.tuning().capacity);
    let counts = buffer(&vec![0; counts_bytes(kernels.tuning().capacity) as usize]);
    run_pass(|pass| kernels.histogram(pass, &view, &window_buffer(window), &counts).unwrap());
    let got = read_counts(&read_words(&counts), window, case.weights().into());
    assert!(got == reference::histogram(case.matrix().keys(), window));

    let mask = poisoned(4 * view.mask_words());
    let rule = GroupRule { keep: 1, of: 3 };
    run_pass(|pass| kernels.group(pass, &view, rule, &mask, &buffer(&[0; NONZERO_BYTES as usize])).unwrap());
    assert!(read_words(&mask) == reference::group(case.matrix(), 1, 3));

    // A period of 3: a weight at a time.
    let (scales, scores) = ([1.0_f32, 0.5, 2.0], poisoned(4 * view.weights()));
    let rule = ScaleRule { first: 0, period: 3 };
    run_pass(|pass| kernels.scale(pass, &view, rule, &buffer(bytemuck::cast_slice(&scales)), &scores).unwrap());
    assert!(read_words(&scores) == reference::scale(case.matrix(), &scales, 0));
}

#[test]
fn units_may_be_taller_than_loops_are_long() {
    let kernels = Kernels::new(gpu().device(), Tuning::CPU);
    let case = Case::new(Dtype::BF16, (70_000, 3, 0, 0), Fill::Normal, 5);
    let weights = case.upload();
    let rule = PoolRule { rows: 70_000, cols: 1, norm: Norm::L2 };
    let keys = poisoned(12);
    run_pass(|pass| kernels.pool(pass, &case.view(&weights), rule, &keys).unwrap());
    assert_eq!(read_words(&keys), reference::pool(case.matrix(), 70_000, 1, Norm::L2));
}

#[test]
fn products_of_many_columns_are_right_or_refused() {
    let kernels = Kernels::new(gpu().device(), Tuning::CPU);
    for (cols, refused) in [(199_996, false), (260_004, true)] {
        let bytes = super::common::weights(Dtype::BF16, 2, cols as usize, Fill::Normal, 3);
        let x = vectors(2 * cols as usize, 4);
        let (weights, x_buffer, y) = (buffer(&bytes), buffer(bytemuck::cast_slice(&x)), poisoned(16));
        let view = MatrixView::dense(&weights, 0, Dtype::BF16, 2, cols);
        let mut done = Ok(());
        run_pass(|pass| done = kernels.gemm(pass, &view, 2, &x_buffer, &y, Epilogue::default()));
        if refused {
            let error = done.unwrap_err().to_string();
            assert!(error.contains("260004 columns, the loops of a software adapter hold 200000"), "{error}");
            continue;
        }
        done.unwrap();
        let matrix =
            Matrix { dtype: Dtype::BF16, shape: Shape::new(2, cols.into()), stride: cols as usize, bytes: &bytes };
        assert!(distance(&floats(&y), &exact(matrix, &x, None)) < 1e-5);
    }
}

#[test]
fn what_no_loop_holds_is_refused_with_both_numbers() {
    let kernels = Kernels::new(gpu().device(), Tuning::CPU);
    let refused = |result: lopper::Result<()>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let to = &mut Vec::new();
    let (big, small) = (poisoned(36 << 20), poisoned(64));
    refused(kernels.scan(to, 9_000_000, &big), "9000000 counts, one for each row, slice or tile");
    let plan = SamplePlan { taken: 70_000, low_rank: 0, high_rank: 1 };
    refused(
        kernels.place(to, Dtype::F32, plan, &big, &small),
        "70000 sampled weights, the loops of a software adapter hold 65536",
    );
    let view = MatrixView::dense(&big, 0, Dtype::F8E4M3, 36 << 20, 1);
    let rule = PoolRule { rows: 36 << 20, cols: 1, norm: Norm::L1 };
    refused(kernels.pool(to, &view, rule, &small), "37748736 times 32 weights");
}

#[test]
fn rows_are_pruned_as_long_as_they_are_or_refused() {
    let kernels = Kernels::new(gpu().device(), Tuning::CPU);
    // Ties all over, and none.
    for (cols, fill) in
        [(1 << 20, Fill::Equal), (1 << 22, Fill::Normal), (7_200_000, Fill::Equal), (8 << 20, Fill::Normal)]
    {
        let case = Case::new(Dtype::F8E4M3, (1, cols, 0, 0), fill, 3);
        let (weights, rule) = (buffer(&case.bytes), RowRule { k: cols / 2 });
        let (mask, nonzero) = (poisoned(u64::from(cols) / 8), buffer(&[0; NONZERO_BYTES as usize]));
        let window = window_buffer(Window::over(0, 1, kernels.tuning().capacity));
        let mut done = Ok(());
        run_pass(|pass| done = kernels.row(pass, &case.view(&weights), rule, &window, &mask, &nonzero));
        if cols > 7_300_000 {
            let error = done.unwrap_err().to_string();
            assert!(error.contains("8388608 columns, the loops of a software adapter hold 7294976"), "{error}");
            continue;
        }
        done.unwrap();
        assert!(read_words(&mask) == reference::row(case.matrix(), u64::from(cols) / 2), "{cols} columns");
    }
    // A thread for each of several rows, up to what it goes over.
    for cols in [50_000, 60_000] {
        for fill in [Fill::Equal, Fill::Bits] {
            let case = Case::new(Dtype::BF16, (9, cols, 0, 0), fill, 4);
            let (weights, rule) = (case.upload(), RowRule { k: cols / 3 });
            let view = case.view(&weights);
            let (mask, nonzero) = (poisoned(4 * view.mask_words()), buffer(&[0; NONZERO_BYTES as usize]));
            let window = window_buffer(Window::over(0, 1, kernels.tuning().capacity));
            run_pass(|pass| kernels.row(pass, &view, rule, &window, &mask, &nonzero).unwrap());
            assert!(read_words(&mask) == reference::row(case.matrix(), u64::from(cols) / 3), "{cols}, {fill:?}");
        }
    }
}
