//! Every kernel against its CPU twin, exactly, on awkward sizes and values, with poisoned buffers.

mod common;
#[path = "kernels/gather.rs"]
mod gather;
#[path = "kernels/limits.rs"]
mod limits;
#[path = "kernels/near.rs"]
mod near;
#[path = "kernels/small.rs"]
mod small;
#[path = "kernels/units.rs"]
mod units;

use common::case::{Case, sorted_cut};
use common::{Fill, both_tunings, buffer, gpu, poisoned, read, read_words, run, run_pass};
use lopper::kernels::{
    BOUNDARY_BYTES, CUT_BYTES, Kernels, MatrixView, RowRule, SamplePlan, WINDOW_BYTES, counts_bytes, mask_bytes,
    read_counts, rounds, tiles_bytes, window_words,
};
use lopper::reference::{self, Cut, Quota, Step, Window};
use lopper::{Dtype, wgpu};

fn window_buffer(window: Window) -> wgpu::Buffer {
    buffer(bytemuck::cast_slice(&window_words(window)))
}

#[test]
fn score_gives_the_keys_of_its_twin() {
    for kernels in both_tunings() {
        for case in Case::all() {
            let weights = case.upload();
            let keys = poisoned(4 * u64::from(case.weights()));
            run_pass(|pass| kernels.score(pass, &case.view(&weights), &keys).unwrap());
            assert_eq!(read_words(&keys), reference::score(case.matrix()), "{}", case.name());
        }
    }
}

#[test]
fn histogram_counts_as_its_twin_does() {
    for kernels in both_tunings() {
        for case in Case::all() {
            let weights = case.upload();
            let limit = case.dtype.max_key() + 1;
            let capacity = kernels.tuning().capacity;
            let middle = case.dtype.key_at_most(0.02);
            let windows = [
                Window::over(0, limit, capacity),
                Window::over(0, 1, capacity),
                Window::over(0, 7, capacity),
                Window::over(middle, 7.min(limit - middle), capacity),
                Window::over(middle, 8.min(limit - middle), capacity),
                Window::over(limit - 3, 3, capacity),
                Window::over(middle / 2, limit / 2, 16),
            ];
            for window in windows {
                let counts = buffer(&vec![0; counts_bytes(capacity) as usize]);
                let placed = window_buffer(window);
                run_pass(|pass| kernels.histogram(pass, &case.view(&weights), &placed, &counts).unwrap());
                let got = read_counts(&read_words(&counts), window, case.weights().into());
                let want = reference::histogram(case.matrix().keys(), window);
                assert_eq!(got, want, "{} {window:?}", case.name());
            }
        }
    }
}

#[test]
fn bracket_places_the_window_where_its_twin_does() {
    for kernels in both_tunings() {
        for case in Case::all().filter(|c| c.weights() > 2000) {
            let weights = case.upload();
            let n = u64::from(case.weights());
            for k in [0, n / 10, n / 2, n - 1, n] {
                let plan = SamplePlan::new(n, k, 4096);
                let samples = poisoned(4 * u64::from(plan.taken));
                let window = poisoned(WINDOW_BYTES);
                run_pass(|pass| {
                    kernels.sample(pass, &case.view(&weights), plan.taken, 0, &samples).unwrap();
                    kernels.place(pass, case.dtype, plan, &samples, &window).unwrap();
                });
                let sampled = read_words(&samples);
                let keys = reference::score(case.matrix());
                assert!(sampled.iter().all(|key| keys.contains(key)), "{}: a key that is no weight's", case.name());
                let (low, high) = (plan.low_rank as usize, plan.high_rank as usize);
                let want = reference::bracket(&sampled, low, high, case.dtype, kernels.tuning().capacity);
                assert_eq!(read_words(&window)[..4], window_words(want), "{} k = {k}", case.name());
            }
        }
    }
}

fn found(words: &[u32]) -> Cut {
    Cut { key: words[0], ties: words[1].into(), go: words[2].into(), zeros: words[3].into() }
}

/// Records all rounds from a first window on, and reads the cut.
fn select(kernels: &Kernels, case: &Case, weights: &wgpu::Buffer, first: Window, quota: Quota) -> (Cut, u32) {
    let tuning = kernels.tuning();
    let (window, cut) = (window_buffer(first), poisoned(CUT_BYTES));
    let counts = buffer(&vec![0; counts_bytes(tuning.capacity) as usize]);
    run_pass(|pass| {
        for _ in 0..rounds(case.dtype, tuning.capacity) {
            kernels.histogram(pass, &case.view(weights), &window, &counts).unwrap();
            kernels.threshold(pass, case.rule(quota), &window, &counts, &cut).unwrap();
        }
    });
    assert!(read(&counts).iter().all(|&b| b == 0), "{}: counts are left clear", case.name());
    (found(&read_words(&cut)), read_words(&window)[3])
}

#[test]
fn threshold_finds_the_cut_that_sorting_finds_from_any_window() {
    let mut turn = 0;
    for kernels in both_tunings() {
        let capacity = kernels.tuning().capacity;
        for case in Case::all() {
            let weights = case.upload();
            let limit = case.dtype.max_key() + 1;
            // The whole range, one that misses high, one that misses low: each with every third of them.
            let windows =
                [Window::over(0, limit, capacity), Window::over(0, 2, capacity), Window::over(limit - 2, 2, capacity)];
            for quota in case.quotas() {
                turn += 1;
                let window = windows[turn % 3];
                let (cut, done) = select(&kernels, &case, &weights, window, quota);
                let Quota::Count(k) = quota else { unreachable!() };
                assert_eq!((cut, done), (sorted_cut(&case, k), 1), "{} k = {k} {window:?}", case.name());
            }
            let key = case.dtype.key_at_most(0.02);
            let (cut, _) = select(&kernels, &case, &weights, Window::over(key, 1, capacity), Quota::UpTo(key));
            let ties = case.matrix().keys().filter(|&other| other == key).count() as u64;
            assert_eq!((cut.key, cut.ties, cut.go), (key, ties, ties), "{} up to {key}", case.name());
        }
    }
}

#[test]
fn threshold_steps_as_its_twin_does() {
    let kernels = &both_tunings()[1];
    let capacity = kernels.tuning().capacity;
    for case in Case::all() {
        let weights = case.upload();
        let window = Window::over(case.dtype.key_at_most(0.001), case.dtype.max_key() / 2, capacity);
        for quota in case.quotas() {
            let (placed, cut) = (window_buffer(window), poisoned(CUT_BYTES));
            let counts = buffer(&vec![0; counts_bytes(capacity) as usize]);
            run_pass(|pass| {
                kernels.histogram(pass, &case.view(&weights), &placed, &counts).unwrap();
                kernels.threshold(pass, case.rule(quota), &placed, &counts, &cut).unwrap();
            });
            let counted = reference::histogram(case.matrix().keys(), window);
            match reference::threshold(&counted, window, quota, case.dtype, capacity) {
                Step::Found(want) => assert_eq!(found(&read_words(&cut)), want, "{} {quota:?}", case.name()),
                Step::Count(next) => assert_eq!(read_words(&placed), window_words(next), "{} {quota:?}", case.name()),
            }
        }
    }
}

#[test]
fn masks_are_those_of_the_twin_whatever_the_guess() {
    let mut turn = 0;
    for kernels in both_tunings() {
        for case in Case::all() {
            let weights = case.upload();
            let view = case.view(&weights);
            for quota in case.quotas() {
                let Quota::Count(k) = quota else { unreachable!() };
                let mut want_cut = sorted_cut(&case, k);
                let (full, _) = (want_cut, ());
                let want = reference::mask(case.matrix(), &mut want_cut);
                // The share's tile, the first one, and one past the end: each with every third of them.
                turn += 1;
                let guess = [None, Some(0), Some(1 << 20)][turn % 3];
                let n = u64::from(case.weights());
                let mut words = [
                    full.key,
                    full.ties as u32,
                    full.go as u32,
                    full.zeros as u32,
                    full.go as u32,
                    0,
                    full.ties as u32,
                    0,
                    n as u32,
                    0,
                    0,
                    0,
                ];
                words[10] = guess.unwrap_or((full.go * n / full.ties.max(1) / 2048) as u32);
                let cut = buffer(bytemuck::cast_slice(&words));
                let mask = poisoned(mask_bytes(&view));
                let tiles = buffer(&vec![0; tiles_bytes(&view) as usize]);
                let boundary = poisoned(BOUNDARY_BYTES);
                run_pass(|pass| {
                    kernels.mask(pass, &view, &cut, &mask, &tiles).unwrap();
                    kernels.settle(pass, &view, &cut, &mask, &tiles, &boundary).unwrap();
                });
                assert_eq!(read_words(&mask), want, "{} k = {k} guess {guess:?}", case.name());
                assert!(read(&tiles).iter().all(|&b| b == 0), "{}: tiles are left zero", case.name());
                let left = read_words(&cut);
                assert_eq!([left[4], left[5], left[6], left[7], left[8]], [0; 5], "{}: carried over", case.name());
            }
        }
    }
}

#[test]
fn quotas_carry_over_from_chunk_to_chunk() {
    for kernels in both_tunings() {
        let case = Case::new(Dtype::F8E4M3, (6, 4096, 0, 0), Fill::Coarse, 5);
        let weights = case.upload();
        for k in [1, 5_000, 12_288, 20_000, 24_576] {
            let mut full = sorted_cut(&case, k);
            let words = [
                full.key,
                full.ties as u32,
                full.go as u32,
                0,
                full.go as u32,
                0,
                full.ties as u32,
                0,
                24_576,
                0,
                1,
                0,
            ];
            let cut = buffer(bytemuck::cast_slice(&words));
            let want = reference::mask(case.matrix(), &mut full);
            let mut got = Vec::new();
            for chunk in 0..3 {
                let view = MatrixView::dense(&weights, chunk * 8192, case.dtype, 1, 8192);
                let (mask, boundary) = (poisoned(mask_bytes(&view)), poisoned(BOUNDARY_BYTES));
                let tiles = buffer(&vec![0; tiles_bytes(&view) as usize]);
                run_pass(|pass| {
                    kernels.mask(pass, &view, &cut, &mask, &tiles).unwrap();
                    kernels.settle(pass, &view, &cut, &mask, &tiles, &boundary).unwrap();
                });
                got.extend(read_words(&mask));
            }
            assert_eq!(got, want, "k = {k}");
        }
    }
}

#[test]
fn rows_are_pruned_as_by_the_twin_from_any_window() {
    // Long enough to be sampled, with and without a tail.
    let long = |dtype| {
        [(17, 9000, 0, 0), (9, 4096, 16, 16)]
            .into_iter()
            .flat_map(move |shape| Fill::ALL.map(|fill| Case::new(dtype, shape, fill, 3)))
    };
    let mut turn = 0;
    for kernels in both_tunings() {
        for case in Case::all().chain(Dtype::ALL.into_iter().flat_map(long)) {
            let weights = case.upload();
            let view = case.view(&weights);
            let (cols, limit) = (case.shape.1, case.dtype.max_key() + 1);
            let words = cols.div_ceil(32) as usize;
            let mut ks = vec![0, 1.min(cols), cols / 2, cols - 1, cols];
            ks.dedup();
            let nonzero_want = case.matrix().keys().filter(|&key| key != 0).count() as u32;
            for k in ks {
                // Each window with every other of them.
                turn += 1;
                let windows = [Window::over(case.dtype.key_at_most(0.02), 4, 16), Window::over(limit - 1, 1, 16)];
                let first = windows[turn % 2];
                let (mask, window) = (poisoned(mask_bytes(&view)), window_buffer(first));
                let nonzero = buffer(&[0; 512]);
                run_pass(|pass| kernels.row(pass, &view, RowRule { k }, &window, &mask, &nonzero).unwrap());
                let want = reference::row(case.matrix(), k.into());
                assert_eq!(read_words(&mask), want, "{} k = {k}", case.name());
                let counted = read_words(&nonzero);
                let sum = |at: usize| counted.iter().skip(at).step_by(2).sum::<u32>();
                let kept = |(i, key): (usize, u32)| {
                    key != 0
                        && want[i / cols as usize * words + i % cols as usize / 32] >> (i % cols as usize % 32) & 1 == 1
                };
                let after = case.matrix().keys().enumerate().filter(|&pair| kept(pair)).count() as u32;
                assert_eq!((sum(0), sum(1)), (nonzero_want, after), "{} k = {k}", case.name());
            }
        }
    }
}

#[test]
fn apply_zeroes_the_pruned_and_touches_nothing_else() {
    for kernels in both_tunings() {
        for case in Case::all() {
            let weights = case.upload();
            let view = case.view(&weights);
            let before = read(&weights);
            let mask: Vec<u8> = common::weights(Dtype::F32, 1, view.mask_words() as usize, Fill::Bits, 9);
            let words: Vec<u32> = mask.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
            let bits = buffer(&mask);
            run(|encoder| {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                kernels.apply(&mut pass, &view, &bits).unwrap();
            });
            let mut want = before;
            let matrix = case.matrix();
            let start = case.shape.3 as usize;
            reference::apply(case.dtype, matrix.shape, matrix.stride, &words, &mut want[start..]);
            assert_eq!(read(&weights), want, "{}", case.name());
        }
    }
}

#[test]
fn bad_views_are_refused_before_anything_is_recorded() {
    let small = poisoned(1000);
    let kernels = Kernels::new(gpu().device(), gpu().tuning());
    let refuse = |view: MatrixView<'_>, part: &str| {
        run_pass(|pass| {
            let error = kernels.score(pass, &view, &small).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        });
    };
    let view = MatrixView::dense(&small, 0, Dtype::F32, 10, 10);
    refuse(MatrixView { rows: 26, ..view }, "ends at byte 1040 of a buffer of 1000 bytes");
    refuse(MatrixView { offset: 2, ..view }, "offset 2 is no multiple of 4");
    refuse(MatrixView { stride: 9, ..view }, "stride is 9, less than its 10 columns");
    refuse(MatrixView { rows: 0, ..view }, "no weights");
    refuse(MatrixView { rows: 90, dtype: Dtype::F8E4M3, ..view }, "1000 bytes, 3600 are needed");
}
