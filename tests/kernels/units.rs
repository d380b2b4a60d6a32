//! Scores and units: scale, random, pool and group against their twins, to the bit.

use lopper::kernels::{
    GroupRule, NONZERO_BYTES, PoolRule, RandomRule, RowRule, SamplePlan, ScaleRule, Scaled, WINDOW_BYTES,
};
use lopper::{Dtype, Norm, Shape, reference};

use super::common::case::Case;
use super::common::{both_tunings, buffer, poisoned, read_words, run_pass};

#[test]
fn pool_scores_units_as_its_twin_does() {
    for (t, kernels) in both_tunings().into_iter().enumerate() {
        for (i, case) in Case::all().enumerate() {
            let weights = case.upload();
            let (rows, cols, ..) = case.shape;
            let mut units = vec![(1, cols), (1, 1), (4, 4), (3, 5), (2, 300), (1, 257), (rows, 1), (16, 16)];
            units.extend([(1, 8), (5, 8), (8, 4), (2, 2), (1, 32), (7, 16), (3, 64), (64, 64), (128, 64), (5, 512)]);
            // Not each with each: there are many pipelines, and drivers take their time.
            for (j, (unit_rows, unit_cols)) in units.into_iter().enumerate().skip((i + 7 * t) % 15).step_by(15) {
                let norm = Norm::ALL[(j + i / 8) % 4];
                let rule = PoolRule { rows: unit_rows, cols: unit_cols, norm };
                let want = reference::pool(case.matrix(), unit_rows.into(), unit_cols.into(), norm);
                let keys = poisoned(4 * want.len() as u64);
                run_pass(|pass| kernels.pool(pass, &case.view(&weights), rule, &keys).unwrap());
                assert_eq!(read_words(&keys), want, "{} {rule:?}", case.name());
            }
        }
    }
}

#[test]
fn a_norm_is_that_of_f64_to_a_few_parts_in_a_million() {
    for case in Case::all().filter(|case| case.dtype == Dtype::F32 || case.dtype == Dtype::BF16) {
        let matrix = case.matrix();
        for norm in Norm::ALL {
            for (row, key) in reference::pool(matrix, 1, case.shape.1.into(), norm).into_iter().enumerate() {
                let values: Vec<f64> = matrix.row_keys(row).map(|key| case.dtype.magnitude(key)).collect();
                let want = match norm {
                    Norm::L1 => values.iter().sum::<f64>(),
                    Norm::L2 => values.iter().map(|v| v * v).sum(),
                    Norm::Linf => values.iter().copied().fold(0.0, f64::max),
                    Norm::Mean => values.iter().sum::<f64>() / values.len() as f64,
                };
                let got = f64::from(f32::from_bits(key));
                let sum: f64 = values.iter().sum();
                if sum.is_finite() && want.max(sum) < f64::from(f32::MAX) {
                    assert!(
                        (got - want).abs() <= 4e-6 * want + 1e-37 * values.len() as f64,
                        "{} {got} {want}",
                        case.name()
                    );
                }
            }
        }
    }
}

#[test]
fn group_keeps_what_its_twin_keeps() {
    for kernels in both_tunings() {
        for (i, case) in Case::all().enumerate() {
            let weights = case.upload();
            let ranked = [(2, 4), (1, 4), (3, 4), (4, 4), (4, 8), (1, 8), (7, 8), (0, 8), (1, 2), (0, 2), (1, 1)];
            let searched = [(2, 3), (5, 7), (3, 6), (8, 16), (16, 32), (30, 31), (0, 5), (24, 24), (3, 12)];
            for (keep, of) in ranked.into_iter().chain(searched).skip(i % 5).step_by(5) {
                let want = reference::group(case.matrix(), keep as usize, of as usize);
                let mask = poisoned(4 * want.len() as u64);
                let nonzero = buffer(&[0; NONZERO_BYTES as usize]);
                let rule = GroupRule { keep, of };
                run_pass(|pass| kernels.group(pass, &case.view(&weights), rule, &mask, &nonzero).unwrap());
                assert_eq!(read_words(&mask), want, "{} {rule:?}", case.name());
                let sums = read_words(&nonzero).chunks(2).fold((0, 0), |(a, b), pair| (a + pair[0], b + pair[1]));
                let words = case.matrix().shape.mask_words_per_row() as usize;
                let kept = |(i, key): &(usize, u32)| {
                    let (row, col) = (i / case.shape.1 as usize, i % case.shape.1 as usize);
                    *key != 0 && want[row * words + col / 32] >> (col % 32) & 1 == 1
                };
                let before = case.matrix().keys().filter(|&key| key != 0).count() as u32;
                let after = case.matrix().keys().enumerate().filter(kept).count() as u32;
                assert_eq!(sums, (before, after), "{} {rule:?}", case.name());
            }
        }
    }
}

#[test]
fn scale_rounds_as_its_twin_does_down_to_the_subnormals() {
    for kernels in both_tunings() {
        for case in Case::all() {
            let weights = case.upload();
            let (rows, cols, ..) = case.shape;
            // Whole rows of a matrix, or a stretch that starts and ends anywhere; scales by fours or not.
            let periods = if rows == 1 { vec![97, 100, 16] } else { vec![cols, 2 * cols, 36] };
            for (period, first) in periods.into_iter().flat_map(|p| [0, 8, 5, (1 << 33) + 1].map(|first| (p, first))) {
                let scales = awkward_scales(period, false);
                let rule = ScaleRule { first, period };
                let scores = poisoned(4 * u64::from(case.weights()));
                let placed = buffer(bytemuck::cast_slice(&scales));
                run_pass(|pass| kernels.scale(pass, &case.view(&weights), rule, &placed, &scores).unwrap());
                let want = reference::scale(case.matrix(), &scales, first);
                assert_eq!(read_words(&scores), want, "{} {rule:?}", case.name());
            }
        }
    }
}

/// Scales that leave nothing in doubt, and scales with which most products are subnormal, infinite, or of what is.
fn awkward_scales(columns: u32, tame: bool) -> Vec<f32> {
    let scale = |i| match (tame, i % 7) {
        (true, _) => 0.25 + (i % 61) as f32 / 16.0,
        (_, 0) => 0.0,
        (_, 1) => 1e-38,
        (_, 2) => 3.7e-42,
        (_, 3) => 1.0 / 3.0,
        (_, 4) => 2.3e30,
        (_, 5) => f32::MIN_POSITIVE * 1.7,
        _ => 0.001 * i as f32,
    };
    (0..columns).map(scale).collect()
}

#[test]
fn rows_by_scores_are_those_of_the_twins_of_scale_and_row() {
    for (t, kernels) in both_tunings().into_iter().enumerate() {
        // Not all with all: drivers take their time over integers' products.
        for (i, case) in Case::all().enumerate().skip(3 * t).step_by(7) {
            let weights = case.upload();
            let (rows, cols, ..) = case.shape;
            for tame in [true, false] {
                let scales = awkward_scales(cols, tame);
                let scores = reference::scale(case.matrix(), &scales, 0);
                let bytes: Vec<u8> = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
                let shape = Shape::new(rows.into(), cols.into());
                let scores = reference::Matrix::dense(Dtype::F32, shape, &bytes);
                let counts = [0, 1, cols / 3, cols / 2, cols - 1, cols];
                let k = counts[(i + t + usize::from(tame)) % counts.len()];
                let taken = SamplePlan::new(u64::from(rows * cols), u64::from(rows * k), 4096);
                let want = reference::row(scores, k.into());
                let [samples, window] = [4 * u64::from(taken.taken), WINDOW_BYTES].map(poisoned);
                let (mask, doubts) = (poisoned(4 * want.len() as u64), poisoned(4 * u64::from(rows)));
                let scales = buffer(bytemuck::cast_slice(&scales));
                let scaled = Scaled { weights: case.view(&weights), scales: (&scales).into() };
                run_pass(|pass| {
                    kernels.sample_scaled(pass, &scaled, taken.taken, 0, &samples).unwrap();
                    kernels.place(pass, Dtype::F32, taken, &samples, &window).unwrap();
                    kernels.row_scaled(pass, &scaled, RowRule { k }, &window, &mask, &doubts).unwrap();
                });
                assert_eq!(read_words(&mask), want, "{} {k} tame {tame}", case.name());
            }
        }
    }
}

#[test]
fn random_draws_what_its_twin_draws_in_any_pieces() {
    for kernels in both_tunings() {
        for (seed, first, count) in
            [(0, 0, 1), (7, 0, 70_001), (u64::MAX, u64::from(u32::MAX) - 5, 300), (1, 1 << 40, 999)]
        {
            let keys = poisoned(4 * u64::from(count));
            run_pass(|pass| kernels.random(pass, RandomRule { seed, first, count }, &keys).unwrap());
            assert_eq!(read_words(&keys), reference::random(seed, first, count));
        }
    }
    let whole = reference::random(3, 0, 1000);
    assert_eq!(whole[400..], reference::random(3, 400, 600));
    assert!(whole.iter().all(|&key| f32::from_bits(key).is_finite()));
    // Even to about three standard deviations.
    let many = reference::random(11, 0, 1 << 16);
    let low = many.iter().filter(|&&key| key < 1 << 29).count() as f64;
    assert!((low - 32768.0).abs() < 3.0 * 128.0, "{low}");
}
