use half::{bf16, f16};
use proptest::prelude::*;
use safetensors::Dtype as FileDtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use super::*;

type Tensor = (&'static str, FileDtype, Vec<usize>, Vec<u8>);

fn f32s(name: &'static str, shape: &[usize], values: &[f32]) -> Tensor {
    (name, FileDtype::F32, shape.to_vec(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn f16s(name: &'static str, values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
    (name, FileDtype::F16, vec![1, values.len()], bytes)
}

fn bf16s(name: &'static str, values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
    (name, FileDtype::BF16, vec![1, values.len()], bytes)
}

fn compare(before: &[Tensor], after: &[Tensor]) -> Verification {
    let folder = TempDir::new().unwrap();
    let write = |file: &str, tensors: &[Tensor]| {
        let views = tensors.iter().map(|(n, d, s, b)| (*n, TensorView::new(*d, s.clone(), b).unwrap()));
        let path = folder.path().join(file);
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        path
    };
    let (before, after) = (write("before.safetensors", before), write("after.safetensors", after));
    let last = std::cell::Cell::new((0, 0));
    let found = verify(&before, &after, Against::Own, &|done, all| {
        assert!(done >= last.get().0 && done <= all);
        last.set((done, all));
    });
    assert_eq!(last.get().0, last.get().1, "progress ends at the end");
    found.unwrap()
}

fn one(before: &[f32], after: &[f32], shape: &[usize]) -> (Verification, TensorVerification) {
    let found = compare(&[f32s("w", shape, before)], &[f32s("w", shape, after)]);
    let tensor = found.tensors[0].clone();
    (found, tensor)
}

#[test]
fn a_cut_within_the_tensor_is_found_and_counted() {
    let (found, w) = one(&[3.0, -1.0, -0.0, 0.0, 2.0, -1.0], &[3.0, 0.0, 0.0, 0.0, 2.0, -1.0], &[2, 3]);
    assert!(found.ok() && found.global, "{found:?}");
    assert_eq!((w.weights, w.zeros_before, w.zeros, w.changed), (6, 2, 3, 2));
    assert_eq!((w.cut, w.scope, w.ties_ordered), (Some(1.0), CutScope::Tensor, true));
    assert_eq!((found.weights, found.zeros_before, found.zeros, found.changed, found.bytes), (6, 2, 3, 2, 24));
}

#[test]
fn ties_pruned_after_kept_ones_are_not_ordered() {
    let (found, w) = one(&[1.0, -1.0, 2.0], &[1.0, 0.0, 2.0], &[3]);
    assert!(found.ok());
    assert_eq!((w.scope, w.ties_ordered), (CutScope::Tensor, false));
    let (_, w) = one(&[1.0, -1.0, 1.0], &[0.0, -1.0, 0.0], &[3]);
    assert!(!w.ties_ordered);
}

#[test]
fn a_cut_that_holds_only_within_rows_has_scope_row() {
    let (found, w) = one(&[1.0, 2.0, 10.0, 20.0], &[0.0, 2.0, 0.0, 20.0], &[2, 2]);
    assert!(found.ok() && !found.global);
    assert_eq!((w.cut, w.scope, w.ties_ordered), (Some(10.0), CutScope::Row, false));
    // The same weights in one row violate it.
    let (found, w) = one(&[1.0, 2.0, 10.0, 20.0], &[0.0, 2.0, 0.0, 20.0], &[4]);
    assert_eq!((found.ok(), w.scope), (false, CutScope::None));
    let cut = Mismatch::Cut { tensor: "w".into(), row: 0, pruned_index: 2, pruned: 10.0, kept_index: 1, kept: 2.0 };
    assert_eq!(found.mismatches, [cut]);
}

#[test]
fn nan_sorts_above_infinity() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let (found, w) = one(&[nan, inf, 1.0], &[nan, 0.0, 0.0], &[3]);
    assert!(found.ok() && found.global);
    assert_eq!((w.cut, w.scope), (Some(inf.into()), CutScope::Tensor));
    let (found, w) = one(&[nan, inf, 1.0], &[0.0, inf, 0.0], &[3]);
    assert!(!found.ok() && w.cut.unwrap().is_nan());
    serde_json::to_string(&found).unwrap();
}

#[test]
fn a_weight_that_is_neither_kept_nor_zero_is_named() {
    let (found, w) = one(&[1.0, 2.0, 3.0], &[-0.0, 2.0, -3.0], &[3]);
    assert_eq!((found.mismatch_count, w.scope, w.changed, w.zeros), (2, CutScope::Unchanged, 0, 1));
    let [first, second] = &found.mismatches[..] else { panic!("{found:?}") };
    assert_eq!(first.to_string(), "\"w\": weight 0 was 0x3f800000 and is 0x80000000, not 0");
    assert!(matches!(second, Mismatch::Weight { index: 2, .. }), "{second}");
}

#[test]
fn many_mismatches_are_counted_and_a_few_are_listed() {
    let (found, _) = one(&[1.0; 100], &[2.0; 100], &[10, 10]);
    assert_eq!((found.mismatch_count, found.mismatches.len()), (100, LISTED));
}

#[test]
fn tensors_that_are_missing_extra_or_of_another_form_are_named() {
    let before = [f32s("a", &[2], &[1.0, 2.0]), f32s("b", &[2], &[1.0, 2.0]), f32s("c", &[2], &[1.0, 2.0])];
    let after = [f32s("b", &[1, 2], &[1.0, 2.0]), f16s("c", &[1.0, 2.0]), f32s("d\n", &[2], &[1.0, 2.0])];
    let found = compare(&before, &after);
    let mut says: Vec<_> = found.mismatches.iter().map(|m| m.to_string()).collect();
    says.sort();
    let expected = [
        "\"a\" is missing",
        "\"b\" had the shape [2] and has [1, 2]",
        "\"c\" was F32 and is F16",
        "\"d\\n\" is not in the original",
    ];
    assert_eq!(says, expected);
    assert!(found.tensors.is_empty() && !found.global && found.bytes == 24);
}

#[test]
fn other_dtypes_must_be_the_same_to_the_byte() {
    let ints = |bytes: &[u8]| [("i", FileDtype::I16, vec![2], bytes.to_vec())];
    let same = compare(&ints(&[1, 2, 3, 4]), &ints(&[1, 2, 3, 4]));
    assert!(same.ok() && same.weights == 0);
    let found = compare(&ints(&[1, 2, 3, 4]), &ints(&[1, 2, 0, 0]));
    assert_eq!(found.mismatches, [Mismatch::Bytes { tensor: "i".into(), offset: 2 }]);
}

#[test]
fn global_cuts_are_compared_by_value_across_dtypes() {
    let before = [f16s("a", &[1.0, 4.0]), bf16s("b", &[2.0, 4.0]), f32s("c", &[2], &[2.5, 3.0])];
    let pruned = [f16s("a", &[0.0, 4.0]), bf16s("b", &[0.0, 4.0]), f32s("c", &[2], &[0.0, 3.0])];
    assert!(compare(&before, &pruned).global);
    // `a` loses all it has, up to 4, while `c` keeps 3.
    let uneven = [f16s("a", &[0.0, 0.0]), bf16s("b", &[0.0, 4.0]), f32s("c", &[2], &[0.0, 3.0])];
    let found = compare(&before, &uneven);
    assert!(found.ok() && !found.global);
    // A tensor that did not change does not count: it may not have been selected.
    let partly = [f16s("a", &[0.0, 0.0]), bf16s("b", &[2.0, 4.0]), f32s("c", &[2], &[2.5, 3.0])];
    assert!(compare(&before, &partly).global);
}

#[test]
fn empty_tensors_and_scalars_pass() {
    let tensors = [f32s("e", &[0, 3], &[]), f32s("n", &[3, 0], &[]), f32s("s", &[], &[1.0])];
    assert!(compare(&tensors, &tensors).ok());
}

#[test]
fn a_tensor_of_many_blocks_is_followed_across_them() {
    let count = 700_000;
    let before: Vec<f32> = (0..count).map(|i| (i % 1000) as f32 + 1.0).collect();
    let after: Vec<f32> = before.iter().map(|v| if *v <= 500.0 { 0.0 } else { *v }).collect();
    let (found, w) = one(&before, &after, &[7, 100_000]);
    assert!(found.ok() && w.cut == Some(500.0) && w.changed == count / 2 && w.scope == CutScope::Tensor);
}

proptest! {
    /// Against the definition, by brute force.
    #[test]
    fn scopes_agree_with_their_definition(
        weights in prop::collection::vec((prop::sample::select(vec![-2.0f32, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0]), any::<bool>()), 1..24),
        cols in 1usize..6,
    ) {
        let count = weights.len() / cols * cols;
        prop_assume!(count > 0);
        let before: Vec<f32> = weights[..count].iter().map(|w| w.0).collect();
        let after: Vec<f32> = weights[..count].iter().map(|w| if w.1 { 0.0 } else { w.0 }).collect();
        let (found, w) = one(&before, &after, &[count / cols, cols]);
        let all: Vec<usize> = (0..count).collect();
        let gone = |i: &usize| before[*i].to_bits() != after[*i].to_bits();
        let holds = |part: &[usize]| part.iter().filter(|i| gone(i)).all(|p| {
            part.iter().filter(|k| !gone(k) && before[**k] != 0.0).all(|k| before[*p].abs() <= before[*k].abs())
        });
        let scope = if !all.iter().any(gone) { CutScope::Unchanged }
            else if holds(&all) { CutScope::Tensor }
            else if all.chunks(cols).all(holds) { CutScope::Row }
            else { CutScope::None };
        prop_assert_eq!(w.scope, scope);
        prop_assert_eq!(found.ok(), scope != CutScope::None);
        prop_assert_eq!(w.changed as usize, all.iter().filter(|i| gone(i)).count());
        if let (CutScope::Tensor, Some(cut)) = (scope, w.cut) {
            let tie = |i: &usize| f64::from(before[*i].abs()) == cut && cut != 0.0;
            let last_gone = all.iter().filter(|i| tie(i) && gone(i)).max();
            let first_kept = all.iter().find(|i| tie(i) && !gone(i));
            prop_assert_eq!(w.ties_ordered, first_kept.is_none() || last_gone < first_kept);
        }
    }
}
