//! What kernels do otherwise on GPUs, at sizes at which they do it: tall columns, many tiles, long rows.

use lopper::gpu::Tuning;
use lopper::kernels::{
    BOUNDARY_BYTES, CUT_BYTES, GroupRule, Kernels, MatrixView, NONZERO_BYTES, PoolRule, counts_bytes, mask_bytes,
    read_counts, tiles_bytes,
};
use lopper::reference::{self, Quota, Window};
use lopper::{Dtype, Norm};

use super::common::case::{Case, sorted_cut};
use super::common::{Fill, buffer, gpu, poisoned, read, read_words, run_pass};
use super::{found, window_buffer};

fn kernels() -> Kernels {
    Kernels::new(gpu().device(), Tuning::GPU)
}

#[test]
fn columns_are_pooled_as_by_the_twin() {
    let kernels = kernels();
    let mut turn = 0;
    for dtype in Dtype::ALL {
        let size = dtype.size() as u64;
        for (shape, heights) in [
            // Words side by side and not, more than a workgroup takes, gaps, an offset of one element.
            ((4500, 70, 0, 0), vec![4500, 4097, u32::MAX]),
            ((4200, 33, 3, size), vec![5000]),
            ((4097, 64, 0, 4 * size), vec![4097]),
            ((300, 37, 0, 0), vec![300, 299, 64, 4097]),
            ((1100, 40, 8, size), vec![1000, 4096]),
        ] {
            let fill = Fill::ALL[turn % Fill::ALL.len()];
            for (case, rows) in [fill, Fill::Normal]
                .into_iter()
                .flat_map(|fill| heights.iter().map(move |&rows| (Case::new(dtype, shape, fill, 7), rows)))
            {
                turn += 1;
                let weights = case.upload();
                let norm = Norm::ALL[turn % 4];
                let rule = PoolRule { rows, cols: 1, norm };
                let want = reference::pool(case.matrix(), rows.into(), 1, norm);
                let keys = poisoned(4 * want.len() as u64);
                run_pass(|pass| kernels.pool(pass, &case.view(&weights), rule, &keys).unwrap());
                assert!(read_words(&keys) == want, "{} {rule:?}", case.name());
            }
        }
    }
}

#[test]
fn many_tiles_are_settled_whatever_the_guess() {
    let kernels = kernels();
    for (dtype, weights, fill) in
        [(Dtype::F8E4M3, 700 * 2048 + 5, Fill::Coarse), (Dtype::BF16, 520 * 2048, Fill::Normal)]
    {
        let case = Case::new(dtype, (1, weights, 0, 0), fill, 5);
        let uploaded = case.upload();
        let view = case.view(&uploaded);
        let n = u64::from(weights);
        for k in [1, n / 7, n / 2, n - n / 5, n] {
            for guess in [0, 300, 519, 1 << 20] {
                let mut cut = sorted_cut(&case, k);
                let [ties, go] = [cut.ties as u32, cut.go as u32];
                let words = [cut.key, ties, go, cut.zeros as u32, go, 0, ties, 0, weights, 0, guess, 0];
                let placed = buffer(bytemuck::cast_slice(&words));
                let (mask, boundary) = (poisoned(mask_bytes(&view)), poisoned(BOUNDARY_BYTES));
                let tiles = buffer(&vec![0; tiles_bytes(&view) as usize]);
                run_pass(|pass| {
                    kernels.mask(pass, &view, &placed, &mask, &tiles).unwrap();
                    kernels.settle(pass, &view, &placed, &mask, &tiles, &boundary).unwrap();
                });
                let want = reference::mask(case.matrix(), &mut cut);
                assert!(read_words(&mask) == want, "{} k = {k} guess {guess}", case.name());
                assert!(read(&tiles).iter().all(|&b| b == 0), "tiles are left zero");
                assert_eq!(read_words(&placed)[4..9], [0; 5], "{} k = {k}: carried over", case.name());
            }
        }
    }
}

#[test]
fn long_views_are_counted_bin_by_bin_and_cut() {
    let kernels = Kernels::new(gpu().device(), Tuning { workgroups: 3, ..Tuning::GPU });
    let capacity = kernels.tuning().capacity;
    for dtype in Dtype::ALL {
        for (shape, fill) in [
            ((1, 60_005, 0, 0), Fill::Normal),
            ((8, 8192, 0, 16), Fill::Bits),
            ((5, 8192, 32, 0), Fill::Sparse),
            ((1, 65_536, 0, 0), Fill::Equal),
        ] {
            let case = Case::new(dtype, shape, fill, 11);
            let weights = case.upload();
            let view: MatrixView<'_> = case.view(&weights);
            let limit = dtype.max_key() + 1;
            let middle = dtype.key_at_most(0.5).min(limit - 20);
            for window in [
                Window::over(0, limit, capacity),
                Window::over(0, limit.min(1 << 12), 1 << 12),
                Window::over(middle, 1, capacity),
                Window::over(middle, 2, capacity),
                Window::over(middle, 3, capacity),
                Window::over(middle, 20, capacity),
                Window::over(0, 3, capacity),
            ] {
                let counts = buffer(&vec![0; counts_bytes(capacity) as usize]);
                let placed = window_buffer(window);
                run_pass(|pass| kernels.histogram(pass, &view, &placed, &counts).unwrap());
                let got = read_counts(&read_words(&counts), window, case.weights().into());
                let want = reference::histogram(case.matrix().keys(), window);
                assert!(got == want, "{} {window:?}", case.name());
                let k = u64::from(case.weights()) / 3;
                let cut = poisoned(CUT_BYTES);
                let rule = case.rule(Quota::Count(k));
                run_pass(|pass| kernels.threshold(pass, rule, &placed, &counts, &cut).unwrap());
                match reference::threshold(&want, window, Quota::Count(k), dtype, capacity) {
                    reference::Step::Found(want) => assert_eq!(found(&read_words(&cut)), want, "{}", case.name()),
                    reference::Step::Count(next) => {
                        assert_eq!(read_words(&placed), lopper::kernels::window_words(next), "{}", case.name());
                    }
                }
                assert!(read(&counts).iter().all(|&b| b == 0), "{}: counts are left clear", case.name());
            }
        }
    }
}

#[test]
fn groups_that_divide_no_word_are_kept_as_by_the_twin_in_long_rows() {
    let kernels = kernels();
    let mut turn = 0;
    for dtype in Dtype::ALL {
        for (keep, of) in [(2, 6), (2, 3), (5, 7), (0, 5), (3, 5), (6, 6), (3, 12), (24, 24), (30, 31), (4, 9)] {
            // Whole stretches of 256 groups and not, rests, gaps and an offset.
            for (rows, cols, gap, offset) in [(3, 256 * of, 0, 0), (2, 256 * of + 1, 3, 4), (5, 300 * of - 1, 0, 8)] {
                turn += 1;
                let case = Case::new(dtype, (rows, cols, gap, offset), Fill::ALL[turn % Fill::ALL.len()], 3);
                let weights = case.upload();
                let want = reference::group(case.matrix(), keep as usize, of as usize);
                let (mask, nonzero) = (poisoned(4 * want.len() as u64), buffer(&[0; NONZERO_BYTES as usize]));
                let rule = GroupRule { keep, of };
                run_pass(|pass| kernels.group(pass, &case.view(&weights), rule, &mask, &nonzero).unwrap());
                assert!(read_words(&mask) == want, "{} {rule:?}", case.name());
                let sums = read_words(&nonzero).chunks(2).fold((0, 0), |(a, b), pair| (a + pair[0], b + pair[1]));
                let full: Vec<usize> =
                    case.matrix().keys().enumerate().filter_map(|(i, key)| (key != 0).then_some(i)).collect();
                let bit = |i: usize| (i / cols as usize * cols.div_ceil(32) as usize * 32) + i % cols as usize;
                let stay = full.iter().filter(|&&i| want[bit(i) / 32] >> (bit(i) % 32) & 1 == 1).count();
                assert_eq!(sums, (full.len() as u32, stay as u32), "{} {rule:?}", case.name());
            }
        }
    }
}

#[test]
fn wide_weights_are_read_together_and_masked_alike() {
    let kernels = Kernels::new(gpu().device(), Tuning { workgroups: 2, ..Tuning::GPU });
    for (i, shape) in
        [(1, 20_001, 0, 16), (1, 20_000, 0, 0), (7, 3200, 0, 256), (1, 64 * 32, 0, 0)].into_iter().enumerate()
    {
        for (j, fill) in Fill::ALL.into_iter().enumerate() {
            let case = Case::new(Dtype::F32, shape, fill, 9);
            let weights = case.upload();
            let view = case.view(&weights);
            let n = u64::from(case.weights());
            let mut cut = sorted_cut(&case, n / 3);
            let [ties, go] = [cut.ties as u32, cut.go as u32];
            let words = [cut.key, ties, go, cut.zeros as u32, go, 0, ties, 0, n as u32, 0, 3, 0];
            let placed = buffer(bytemuck::cast_slice(&words));
            let (mask, boundary) = (poisoned(mask_bytes(&view)), poisoned(BOUNDARY_BYTES));
            let tiles = buffer(&vec![0; tiles_bytes(&view) as usize]);
            run_pass(|pass| {
                kernels.mask(pass, &view, &placed, &mask, &tiles).unwrap();
                kernels.settle(pass, &view, &placed, &mask, &tiles, &boundary).unwrap();
            });
            assert!(read_words(&mask) == reference::mask(case.matrix(), &mut cut), "{}", case.name());

            let (keep, of) = [(2, 4), (4, 8), (16, 32), (1, 2), (5, 16)][(i + j) % 5];
            let (mask, nonzero) = (poisoned(mask_bytes(&view)), buffer(&[0; NONZERO_BYTES as usize]));
            run_pass(|pass| kernels.group(pass, &view, GroupRule { keep, of }, &mask, &nonzero).unwrap());
            let want = reference::group(case.matrix(), keep as usize, of as usize);
            assert!(read_words(&mask) == want, "{} {keep} of {of}", case.name());
        }
    }
}

#[test]
fn many_bins_lead_to_the_cut_that_sorting_finds() {
    for capacity in [1 << 17, 1 << 20] {
        let kernels = Kernels::new(gpu().device(), Tuning { capacity, ..Tuning::GPU });
        for (dtype, fill) in [Dtype::F32, Dtype::F16].into_iter().flat_map(|dtype| Fill::ALL.map(|fill| (dtype, fill)))
        {
            let case = Case::new(dtype, (1, 40_000, 0, 0), fill, 13);
            let weights = case.upload();
            let limit = dtype.max_key() + 1;
            let middle = dtype.key_at_most(0.3);
            for window in [
                Window::over(0, limit, capacity),
                Window::over(middle, (limit - middle) / 3, capacity),
                Window::over(limit - 5000, 5000, capacity),
            ] {
                for k in [1, 13_000, 20_000, 39_999, 40_000] {
                    let (cut, done) = super::select(&kernels, &case, &weights, window, Quota::Count(k));
                    assert_eq!((cut, done), (sorted_cut(&case, k), 1), "{} k = {k} {window:?}", case.name());
                }
            }
        }
    }
}
