//! The kernels that are small: whole matrices by one workgroup, quotas from a buffer, counts.

use lopper::kernels::{ASKED_BYTES, CUT_BYTES, Kernels, NONZERO_BYTES, QuotaRule, RowRule, WHOLE_WEIGHTS, mask_bytes};
use lopper::reference::{self, Window};
use lopper::{Dtype, wgpu};

use super::common::case::{Case, sorted_cut};
use super::common::{both_tunings, buffer, gpu, poisoned, read, read_words, run_pass};

#[test]
fn small_matrices_are_pruned_whole_as_by_the_twin() {
    for kernels in both_tunings() {
        for case in Case::all().filter(|case| u64::from(case.weights()) <= WHOLE_WEIGHTS) {
            let weights = case.upload();
            let view = case.view(&weights);
            let window = Window::over(0, case.dtype.max_key() + 1, kernels.tuning().capacity);
            for quota in case.quotas() {
                let reference::Quota::Count(k) = quota else { unreachable!() };
                let (mask, cut, window) =
                    (poisoned(mask_bytes(&view)), poisoned(CUT_BYTES), super::window_buffer(window));
                let rule = RowRule { k: k as u32 };
                run_pass(|pass| kernels.whole(pass, &view, rule, &window, &mask, &cut).unwrap());
                let mut want_cut = sorted_cut(&case, k);
                let found = read_words(&cut);
                assert_eq!(super::found(&found), want_cut, "{} k = {k}", case.name());
                assert_eq!(found[11], k as u32, "{} k = {k}", case.name());
                let want = reference::mask(case.matrix(), &mut want_cut);
                assert_eq!(read_words(&mask), want, "{} k = {k}", case.name());
            }
        }
    }
}

#[test]
fn quotas_in_a_buffer_are_those_of_the_twin() {
    let kernels = Kernels::new(gpu().device(), gpu().tuning());
    let mut sparsities = vec![0.0f32, -0.0, 1.0, 0.5, 0.25, 0.1, 0.9, 0.999_999_94, 1.5, -1.0];
    sparsities.extend([f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-10, 1e-30, f32::from_bits(1)]);
    sparsities.extend((1..40).map(|i| 1.0 / (i * i * 7) as f32));
    sparsities.extend((1..34).map(|i| 0.5f32.powi(i)));
    let words: Vec<u8> = sparsities.iter().flat_map(|s| s.to_le_bytes()).collect();
    let given = buffer(&words);
    for n in [1, 2, 3, 5, 1000, 4096 * 4096, 0x7fff_ffff, 0xffff_fffe] {
        for (at, &sparsity) in sparsities.iter().enumerate() {
            let asked = gpu().device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: ASKED_BYTES,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let rule = QuotaRule { dtype: Dtype::F16, n, weights: n, taken: 4096, at: at as u32 };
            run_pass(|pass| kernels.quota(pass, rule, &given, &asked).unwrap());
            let got = read_words(&asked);
            let want = reference::quota(sparsity, n);
            assert_eq!((got[64], got[65], got[128]), (n, want, want), "{sparsity} of {n}");
            let rank = f64::from(want) / f64::from(n) * 4096.0;
            assert_eq!((got[0], got[2]), (4096, 4096));
            assert!(f64::from(got[3]) <= rank && rank <= f64::from(got[4]) && got[4] <= 4096, "{sparsity} of {n}");
            if n < 1 << 29 && (0.0..=1.0).contains(&sparsity) {
                assert_eq!(u64::from(want), lopper::quota(sparsity.into(), n.into()), "{sparsity} of {n}");
            }
        }
    }
}

#[test]
fn counts_are_those_of_the_twin_and_leave_the_counters_zero() {
    for kernels in both_tunings() {
        let counters = buffer(&[0; NONZERO_BYTES as usize]);
        for case in Case::all() {
            let weights = case.upload();
            let view = case.view(&weights);
            let mask = poisoned(mask_bytes(&view));
            let sums = poisoned(8);
            run_pass(|pass| kernels.count(pass, &view, &mask, &counters, &sums).unwrap());
            let (nonzero, kept) = reference::count(case.matrix(), &read_words(&mask));
            assert_eq!(read_words(&sums), [nonzero as u32, kept as u32], "{}", case.name());
            assert!(read(&counters).iter().all(|&b| b == 0), "{}", case.name());
        }
    }
}
