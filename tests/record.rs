//! Prunings recorded into a caller's commands: exact, in every scope, without allocations, and refused where wgpu would
//! object.

#[path = "record/bad_input.rs"]
mod bad_input;
mod common;
#[path = "record/guest.rs"]
mod guest;

use common::case::{Case, sorted_cut};
use common::{Fill, buffer, gpu, poisoned, read, read_words, run};
use lopper::gpu::Tuning;
use lopper::kernels::{MatrixView, Part, mask_bytes};
use lopper::record::{Amount, Masks, PruneDescriptor, Stats};
use lopper::reference::{self, Cut};
use lopper::{Dtype, Lopper, Scope, Target, quota};

/// With the knobs of software adapters and with those of GPUs, and few bins, so that there are several rounds.
fn both() -> [Lopper; 2] {
    let lopper = Lopper::new(gpu().device()).unwrap();
    [Tuning { capacity: 1 << 9, ..Tuning::CPU }, Tuning { capacity: 1 << 12, ..Tuning::GPU }]
        .map(|tuning| lopper.clone().with_tuning(tuning))
}

fn prune(lopper: &Lopper, descriptor: &PruneDescriptor<'_>) -> Stats {
    let pruning = lopper.prepare(descriptor).unwrap();
    let mut stats = None;
    run(|encoder| {
        pruning.record(encoder);
        stats = Some(pruning.stats(encoder));
    });
    stats.unwrap().wait(gpu().device()).unwrap()
}

/// What the buffer of a case holds once its weights are masked.
fn masked(case: &Case, before: &[u8], mask: &[u32]) -> Vec<u8> {
    let mut want = before.to_vec();
    let matrix = case.matrix();
    reference::apply(case.dtype, matrix.shape, matrix.stride, mask, &mut want[case.shape.3 as usize..]);
    want
}

fn sparsity_buffer(sparsity: f32) -> lopper::wgpu::Buffer {
    buffer(&[7.0f32.to_le_bytes(), sparsity.to_le_bytes()].concat())
}

#[test]
fn matrices_are_pruned_in_place_by_number_and_by_buffer() {
    for lopper in both() {
        for case in Case::all() {
            for (s, by_buffer) in [(0.0f32, true), (0.5, false), (0.5, true), (0.9, false), (1.0, true)] {
                let weights = case.upload();
                let before = read(&weights);
                let views = [case.view(&weights)];
                let given = sparsity_buffer(s);
                let amount = match by_buffer {
                    true => Amount::SparsityIn { buffer: &given, offset: 4 },
                    false => Target::Sparsity(s.into()).into(),
                };
                let stats = prune(&lopper, &PruneDescriptor::new(&views, amount));
                let n = u64::from(case.weights());
                let k = quota(s.into(), n);
                let mut cut = sorted_cut(&case, k);
                let full = cut;
                let mask = reference::mask(case.matrix(), &mut cut);
                assert!(read(&weights) == masked(&case, &before, &mask), "{} {s}", case.name());
                let unit = &stats.units[0];
                assert_eq!((unit.weights, unit.zeros_before, unit.zeros), (n, full.zeros, full.zeros.max(k)));
                // NaN compares with nothing.
                let magnitude = (k > 0).then(|| case.dtype.magnitude(full.key).to_bits());
                assert_eq!(unit.cut.map(f64::to_bits), magnitude, "{} {s}", case.name());
                assert_eq!((unit.ties, unit.ties_pruned), (Some(full.ties), Some(full.go)), "{} {s}", case.name());
            }
        }
    }
}

#[test]
fn matrices_in_buffers_of_a_word_are_pruned() {
    for lopper in both() {
        for (dtype, cols) in Dtype::ALL.into_iter().flat_map(|dtype| [(dtype, 1), (dtype, 2)]) {
            let case = Case::new(dtype, (1, cols, 0, 0), Fill::Normal, 2);
            let weights = buffer(&case.bytes);
            let before = read(&weights);
            let views = [MatrixView::dense(&weights, 0, dtype, 1, cols)];
            let stats = prune(&lopper, &PruneDescriptor::new(&views, Target::Keep(cols as u64 - 1)));
            let mut cut = sorted_cut(&case, 1);
            let mask = reference::mask(case.matrix(), &mut cut);
            assert!(read(&weights) == masked(&case, &before, &mask), "{}", case.name());
            assert_eq!((stats.units[0].weights, stats.units[0].zeros), (cols.into(), 1), "{}", case.name());
        }
    }
}

#[test]
fn rows_and_thresholds_and_counts_are_those_of_the_twins() {
    for lopper in both() {
        for case in Case::all() {
            let cols = u64::from(case.shape.1);
            let given = sparsity_buffer(0.25);
            let rows: [(Amount<'_>, u64); 3] = [
                (Target::Sparsity(0.5).into(), quota(0.5, cols)),
                (Target::Keep(3).into(), cols.saturating_sub(3)),
                (Amount::SparsityIn { buffer: &given, offset: 4 }, quota(0.25, cols)),
            ];
            for (amount, k) in rows {
                let weights = case.upload();
                let before = read(&weights);
                let views = [case.view(&weights)];
                let descriptor = PruneDescriptor { scope: Scope::Row, ..PruneDescriptor::new(&views, amount) };
                let stats = prune(&lopper, &descriptor);
                let mask = reference::row(case.matrix(), k);
                let after = masked(&case, &before, &mask);
                assert!(read(&weights) == after, "{} rows, {amount:?}", case.name());
                let zeros = |bytes: &[u8]| {
                    let matrix = reference::Matrix { bytes: &bytes[case.shape.3 as usize..], ..case.matrix() };
                    matrix.keys().filter(|&key| key == 0).count() as u64
                };
                let unit = &stats.units[0];
                assert_eq!((unit.zeros_before, unit.zeros), (zeros(&before), zeros(&after)), "{} rows", case.name());
            }
            let weights = case.upload();
            let before = read(&weights);
            let views = [case.view(&weights)];
            let key = case.dtype.key_at_most(0.02);
            // Twice: a fixed window must serve again. The scope makes no difference.
            let found = [Scope::Tensor, Scope::Row, Scope::Global, Scope::Global].map(|scope| {
                gpu().queue().write_buffer(&weights, 0, &before);
                let descriptor = PruneDescriptor { scope, ..PruneDescriptor::new(&views, Target::Threshold(0.02)) };
                prune(&lopper, &descriptor)
            });
            let ties = case.matrix().keys().filter(|&other| other == key).count() as u64;
            let mut cut = Cut { key, ties, go: ties, zeros: 0 };
            let mask = reference::mask(case.matrix(), &mut cut);
            assert!(read(&weights) == masked(&case, &before, &mask), "{} threshold", case.name());
            let gone = case.matrix().keys().filter(|&other| other <= key).count() as u64;
            let zeros_before = case.matrix().keys().filter(|&other| other == 0).count() as u64;
            for unit in found.iter().map(|stats| &stats.units[0]) {
                assert_eq!((unit.zeros_before, unit.zeros), (zeros_before, gone), "{} threshold", case.name());
                assert_eq!(unit.cut, (gone > 0).then(|| case.dtype.magnitude(key)), "{} threshold", case.name());
                assert_eq!((unit.ties, unit.ties_pruned), (Some(ties), Some(ties)), "{} threshold", case.name());
            }
        }
    }
}

/// Matrices of several shapes, one after the other.
fn set(dtype: Dtype, fill: Fill) -> Vec<Case> {
    let shapes = [(64, 1024, 0, 0), (1, 33, 0, 0), (33, 257, 0, 12), (4, 96, 32, 512), (300, 200, 0, 0)];
    shapes.into_iter().enumerate().map(|(i, shape)| Case::new(dtype, shape, fill, i as u64 + 77)).collect()
}

#[test]
fn a_set_has_one_cut_and_its_ties_go_in_order() {
    for lopper in both() {
        for dtype in Dtype::ALL {
            for fill in [Fill::Normal, Fill::Coarse, Fill::Sparse, Fill::Equal] {
                for (s, by_buffer) in [(0.3f32, false), (0.8, true)] {
                    let cases = set(dtype, fill);
                    let buffers: Vec<_> = cases.iter().map(Case::upload).collect();
                    let before: Vec<_> = buffers.iter().map(read).collect();
                    let views: Vec<_> = cases.iter().zip(&buffers).map(|(case, buffer)| case.view(buffer)).collect();
                    let given = sparsity_buffer(s);
                    let amount = match by_buffer {
                        true => Amount::SparsityIn { buffer: &given, offset: 4 },
                        false => Target::Sparsity(s.into()).into(),
                    };
                    let descriptor = PruneDescriptor { scope: Scope::Global, ..PruneDescriptor::new(&views, amount) };
                    let stats = prune(&lopper, &descriptor);

                    let mut keys: Vec<u32> = cases.iter().flat_map(|case| reference::score(case.matrix())).collect();
                    let k = quota(s.into(), keys.len() as u64);
                    let zeros = keys.iter().filter(|&&key| key == 0).count() as u64;
                    keys.sort_unstable();
                    let key = keys[k as usize - 1];
                    let (below, ties) =
                        (keys.partition_point(|&other| other < key), keys.partition_point(|&other| other <= key));
                    let (ties, go) = ((ties - below) as u64, k - below as u64);
                    let mut cut = Cut { key, ties, go, zeros };
                    for ((case, before), buffer) in cases.iter().zip(&before).zip(&buffers) {
                        // The rest of the quota goes on to the next matrix.
                        let mask = reference::mask(case.matrix(), &mut cut);
                        assert!(read(buffer) == masked(case, before, &mask), "{} {s}", case.name());
                    }
                    assert_eq!(stats.units.len(), 1);
                    let unit = &stats.units[0];
                    assert_eq!((unit.matrices.clone(), unit.weights), (0..5, keys.len() as u64));
                    assert_eq!((unit.zeros_before, unit.zeros), (zeros, zeros.max(k)));
                    assert_eq!((unit.ties, unit.ties_pruned), (Some(ties), Some(go)));
                }
            }
        }
    }
}

#[test]
fn masks_come_out_and_weights_stay_where_that_is_asked() {
    let lopper = &both()[1];
    let case = Case::new(Dtype::BF16, (64, 1024, 0, 0), Fill::Coarse, 3);
    let weights = case.upload();
    let before = read(&weights);
    let views = [case.view(&weights)];
    let base = PruneDescriptor { apply: false, ..PruneDescriptor::new(&views, Target::Sparsity(0.5)) };
    let mut cut = sorted_cut(&case, 32 * 1024);
    let want = reference::mask(case.matrix(), &mut cut);

    let own = lopper.prepare(&PruneDescriptor { masks: Masks::Own, ..base }).unwrap();
    run(|encoder| own.record(encoder));
    let part = own.masks().next().unwrap();
    assert_eq!((part.offset, part.size), (0, mask_bytes(&views[0])));
    assert_eq!(read_words(part.buffer), want);

    let given = poisoned(512 + mask_bytes(&views[0]) + 256);
    let part = Part { buffer: &given, offset: 512, size: mask_bytes(&views[0]) };
    let noise = read_words(&given);
    let pruning = lopper.prepare(&PruneDescriptor { masks: Masks::Given(&[part]), ..base }).unwrap();
    run(|encoder| pruning.record(encoder));
    let got = read_words(&given);
    assert_eq!(got[128..128 + want.len()], want);
    assert_eq!((&got[..128], &got[128 + want.len()..]), (&noise[..128], &noise[128 + want.len()..]));
    assert!(read(&weights) == before, "weights stay");
}

#[test]
fn columns_of_one_matrix_can_be_pruned_side_by_side() {
    // Query, key and value projections, packed as they often are.
    let lopper = &both()[0];
    let (rows, cols) = (40, 96);
    let case = Case::new(Dtype::F16, (rows, 3 * cols, 0, 0), Fill::Normal, 9);
    let weights = case.upload();
    let part = |i: u32| MatrixView {
        offset: u64::from(2 * i * cols),
        cols,
        stride: 3 * cols,
        ..MatrixView::dense(&weights, 0, Dtype::F16, rows, cols)
    };
    let views = [part(0), part(1), part(2)];
    let mut want = read(&weights);
    prune(lopper, &PruneDescriptor::new(&views, Target::Sparsity(0.75)));
    for i in 0..3 {
        let start = (2 * i * cols) as usize;
        let shape = lopper::Shape::new(rows.into(), cols.into());
        let bytes = want[start..].to_vec();
        let matrix = reference::Matrix { dtype: Dtype::F16, shape, stride: 3 * cols as usize, bytes: &bytes };
        let mut keys: Vec<u32> = matrix.keys().collect();
        keys.sort_unstable();
        let k = keys.len() * 3 / 4;
        let key = keys[k - 1];
        let below = keys.partition_point(|&other| other < key) as u64;
        let ties = keys.partition_point(|&other| other <= key) as u64 - below;
        let mask = reference::mask(matrix, &mut Cut { key, ties, go: k as u64 - below, zeros: 0 });
        reference::apply(Dtype::F16, shape, 3 * cols as usize, &mask, &mut want[start..]);
    }
    assert!(read(&weights) == want);
}
