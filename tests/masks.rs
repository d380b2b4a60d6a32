//! Masks as files, against plain loops over weights.

#[path = "masks/apply.rs"]
mod applied;
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::files::{Tensors, write};
use common::{Fill, Random, encode, file_dtype, weights};
use lopper::checkpoint::{Checkpoint, Unfinished};
use lopper::masks::{self, ApplyOptions, MaskTo, Masks, Operation, Regrow, Written};
use lopper::pruner::Selection;
use lopper::{Dtype, Result};
use safetensors::Dtype as FileDtype;
use safetensors::SafeTensors;

fn to<T>(output: &Path, work: impl FnOnce(&MaskTo<'_>) -> Result<T>) -> Result<T> {
    let progress = |done, all| {
        assert!(done <= all, "{done} of {all}");
        ControlFlow::Continue(())
    };
    work(&MaskTo { output, force: false, unfinished: &Unfinished::default(), progress: &progress })
}

/// What a mask file keeps, by weight, as the documents say it lies there.
fn read(path: &Path) -> BTreeMap<String, (Vec<i64>, Vec<bool>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let masks = file.names().into_iter().filter_map(|name| name.strip_suffix(".mask").map(str::to_owned));
    let read = |name: String| {
        let shape = file.tensor(&format!("{name}.shape")).unwrap();
        let shape: Vec<i64> = shape.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
        let bits = file.tensor(&format!("{name}.mask")).unwrap();
        let n = shape.iter().product::<i64>() as usize;
        assert_eq!((bits.dtype(), bits.shape()), (FileDtype::U8, &[n.div_ceil(8)][..]));
        let all: Vec<bool> = bits.data().iter().flat_map(|b| (0..8).map(move |i| b >> i & 1 == 1)).collect();
        assert!(all[n..].iter().all(|bit| !bit), "bits behind the last weight are 0");
        (name, (shape, all[..n].to_vec()))
    };
    masks.map(read).collect()
}

fn not_zero(dtype: Dtype, bytes: &[u8]) -> Vec<bool> {
    (0..bytes.len() / dtype.size()).map(|i| dtype.key(bytes, i) != 0).collect()
}

/// Sparse weights of awkward shapes and every type, one of more than a piece.
fn model(seed: u64) -> (Tensors, BTreeMap<String, Vec<bool>>) {
    let shapes: [(&str, Dtype, &[usize]); 7] = [
        ("a.weight", Dtype::F32, &[5, 7]),
        ("b.weight", Dtype::BF16, &[3, 2, 3, 3]),
        ("c.weight", Dtype::F8E4M3, &[1, 1]),
        ("d.weight", Dtype::F16, &[700, 1001]),
        ("e.weight", Dtype::F8E5M2, &[9]),
        ("f.weight", Dtype::F32, &[0, 4]),
        ("g.weight", Dtype::F32, &[600, 512]),
    ];
    let mut masks = BTreeMap::new();
    let tensors = shapes.into_iter().map(|(name, dtype, shape)| {
        let bytes =
            weights(dtype, 1, shape.iter().product(), Fill::Sparse, seed + name.len() as u64 + shape.len() as u64);
        masks.insert(name.to_owned(), not_zero(dtype, &bytes));
        (name, file_dtype(dtype), shape.to_vec(), bytes)
    });
    (tensors.collect(), masks)
}

fn all() -> Selection {
    Selection { all: true, ..Selection::default() }
}

fn extracted(folder: &Path, name: &str, seed: u64) -> (PathBuf, BTreeMap<String, Vec<bool>>, Written) {
    let (tensors, mut expected) = model(seed);
    let model = write(folder.join(format!("{name}.model.safetensors")), &tensors, &[]);
    let masks = Masks::open(&model, Some(&all())).unwrap();
    assert_eq!(masks.kind(), "zeros of a checkpoint");
    expected.remove("f.weight"); // it has no weights
    let path = folder.join(format!("{name}.mask.safetensors"));
    let written = to(&path, |to| masks::extract(&masks, to)).unwrap();
    (path, expected, written)
}

#[test]
fn masks_are_the_zeros_and_operations_are_those_of_plain_loops() {
    let folder = tempfile::tempdir().unwrap();
    let (a, in_a, written) = extracted(folder.path(), "a", 1);
    let (b, in_b, _) = extracted(folder.path(), "b", 2);
    let (c, in_c, _) = extracted(folder.path(), "c", 3);
    let shapes = |path: &Path| read(path).into_iter().map(|(name, (shape, _))| (name, shape)).collect::<Vec<_>>();
    let bits = |path: &Path| read(path).into_iter().map(|(name, (_, bits))| (name, bits)).collect::<BTreeMap<_, _>>();
    assert_eq!(bits(&a), in_a);
    assert!(shapes(&a).contains(&("b.weight".into(), vec![3, 2, 3, 3])));
    for tensor in &written.tensors {
        assert_eq!(tensor.kept, in_a[&tensor.name].iter().filter(|kept| **kept).count() as u64, "{}", tensor.name);
    }
    let masks = [&a, &b, &c].map(|path| Masks::open(path, None).unwrap());
    assert_eq!(masks[0].kind(), "mask file");
    let less = Selection { exclude: vec!["a.*".into()], ..Selection::default() };
    let less = Masks::open(&a, Some(&less)).unwrap();
    assert_eq!(less.masks().len(), in_a.len() - 1, "vectors and all, but for the one that is excluded");
    // Of a checkpoint that says which tensors were pruned: those of them that are not excluded, vectors too.
    let recipe = [("lopper.recipe", "[[rule]]\nall = true\nsparsity = 0.5\n")];
    let pruned = write(folder.path().join("pruned.safetensors"), &model(1).0, &recipe);
    let without = Selection { exclude: vec!["b.*".into()], ..Selection::default() };
    let meant = Masks::open(&pruned, Some(&without)).unwrap();
    let names: Vec<&str> = meant.masks().iter().map(|mask| mask.name.as_str()).collect();
    assert_eq!((names.len(), names.contains(&"e.weight"), names.contains(&"b.weight")), (5, true, false), "{names:?}");
    let three: Vec<&Masks> = masks.iter().collect();
    type Expected = fn([bool; 3]) -> bool;
    let cases: [(Operation, Expected); 3] = [
        (Operation::And, |[a, b, c]| a && b && c),
        (Operation::Or, |[a, b, c]| a || b || c),
        (Operation::Xor, |[a, b, c]| a ^ b ^ c),
    ];
    for (number, (operation, expected)) in cases.into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.safetensors"));
        to(&path, |to| masks::combine(operation, &three, to)).unwrap();
        for (name, bits) in bits(&path) {
            let all: Vec<bool> =
                (0..bits.len()).map(|i| expected([in_a[&name][i], in_b[&name][i], in_c[&name][i]])).collect();
            assert!(bits == all, "{operation:?} {name}");
        }
    }
    let inverse = folder.path().join("i.safetensors");
    to(&inverse, |to| masks::invert(&masks[0], to)).unwrap();
    assert!(bits(&inverse).into_iter().all(|(name, bits)| bits.iter().zip(&in_a[&name]).all(|(i, a)| i != a)));
    let again = folder.path().join("j.safetensors");
    to(&again, |to| masks::invert(&Masks::open(&inverse, None).unwrap(), to)).unwrap();
    assert_eq!(fs::read(&again).unwrap(), fs::read(&a).unwrap(), "twice is nothing");

    let found = masks::diff(&masks[0], &masks[1], &|_, _| ControlFlow::Continue(())).unwrap();
    assert!(found.others.is_empty() && found.tensors.len() == in_a.len());
    for tensor in found.tensors {
        let (a, b) = (&in_a[&tensor.name], &in_b[&tensor.name]);
        let count = |of: fn(bool, bool) -> bool| a.iter().zip(b).filter(|(a, b)| of(**a, **b)).count();
        assert_eq!(tensor.kept, [count(|a, _| a) as u64, count(|_, b| b) as u64]);
        assert_eq!(tensor.both, count(|a, b| a && b) as u64);
        assert_eq!(tensor.agreement, count(|a, b| a == b) as f64 / a.len() as f64);
        let either = count(|a, b| a || b);
        let overlap = if either == 0 { 1.0 } else { tensor.both as f64 / either as f64 };
        assert_eq!(tensor.overlap, overlap, "{}", tensor.name);
    }
    for tensor in masks::stats(&masks[2], &|_, _| ControlFlow::Continue(())).unwrap() {
        let mask = &in_c[&tensor.name];
        let cols = match &tensor.shape[..] {
            [_, rest @ ..] if !rest.is_empty() => rest.iter().product::<u64>() as usize,
            _ => mask.len(),
        };
        assert_eq!(tensor.kept, mask.iter().filter(|kept| **kept).count() as u64);
        assert_eq!(tensor.rows as usize, mask.len() / cols);
        assert_eq!(tensor.empty_rows as usize, mask.chunks(cols).filter(|row| row.iter().all(|kept| !kept)).count());
        let groups: Vec<_> = mask.chunks(4).filter(|group| group.iter().filter(|kept| **kept).count() <= 2).collect();
        let share = cols.is_multiple_of(4).then(|| groups.len() as f64 / (mask.len() / 4) as f64);
        assert!(share.zip(tensor.two_of_four).is_none_or(|(a, b)| (a - b).abs() < 1e-12), "{}", tensor.name);
        assert_eq!(share.is_some(), tensor.two_of_four.is_some());
    }
}

#[test]
fn masks_of_torch_are_read_in_any_type() {
    let folder = tempfile::tempdir().unwrap();
    let kept = [true, false, false, true, true, false];
    type Number = fn(bool) -> Vec<u8>;
    let numbers: [(&str, FileDtype, Number); 6] = [
        ("a.weight_mask", FileDtype::F32, |k| f32::from(u8::from(k)).to_le_bytes().into()),
        ("b.weight_mask", FileDtype::BOOL, |k| vec![k.into()]),
        ("c.weight_mask", FileDtype::U8, |k| vec![k.into()]),
        ("d.weight_mask", FileDtype::BF16, |k| half::bf16::from_f32(f32::from(u8::from(k))).to_le_bytes().into()),
        ("e.weight_mask", FileDtype::F16, |k| half::f16::from_f32(f32::from(u8::from(k))).to_le_bytes().into()),
        ("f.weight_mask", FileDtype::I64, |k| i64::from(k).to_le_bytes().into()),
    ];
    let mask = |(name, dtype, of): (_, _, Number)| (name, dtype, vec![2, 3], kept.into_iter().flat_map(of).collect());
    let alone: Tensors = numbers.into_iter().map(mask).collect();
    let path = write(folder.path().join("alone.safetensors"), &alone, &[]);
    let masks = Masks::open(&path, None).unwrap();
    assert_eq!((masks.kind(), masks.masks().len()), ("torch's masks", 6));
    let output = folder.path().join("out.safetensors");
    to(&output, |to| masks::extract(&masks, to)).unwrap();
    let found = read(&output);
    assert!(found.len() == 6 && found.values().all(|(shape, bits)| *shape == [2, 3] && *bits == kept));
    assert!(found.contains_key("a.weight"));

    // A module with masks, and a buffer that only sounds like one.
    let six = |value: f32| value.to_le_bytes().repeat(6);
    let mut module: Tensors = vec![
        ("l.weight_orig", FileDtype::F32, vec![2, 3], six(0.5)),
        (
            "l.weight_mask",
            FileDtype::F32,
            vec![2, 3],
            kept.iter().flat_map(|k| f32::from(u8::from(*k)).to_le_bytes()).collect(),
        ),
        ("attn_mask", FileDtype::F32, vec![2, 3], six(-100.0)),
    ];
    let path = write(folder.path().join("module.safetensors"), &module, &[]);
    let masks = Masks::open(&path, None).unwrap();
    assert_eq!((masks.kind(), &*masks.masks()[0].name, masks.masks().len()), ("torch's masks", "l.weight", 1));
    let names = vec!["{}_orig".to_owned()];
    let applied =
        apply(&masks, &path, &folder.path().join("masked.safetensors"), ApplyOptions { names, ..Default::default() });
    assert_eq!((applied.unwrap().tensors[0].cleared, masks.masks()[0].weights), (3, 6));

    module[1].3[0..4].copy_from_slice(&2f32.to_le_bytes());
    let path = write(folder.path().join("two.safetensors"), &module, &[]);
    let refused = to(&folder.path().join("no.safetensors"), |to| masks::extract(&Masks::open(&path, None)?, to));
    assert!(refused.unwrap_err().to_string().contains("`l.weight_mask`: number 0 is neither 0 nor 1"));
    module[1].2 = vec![3, 2];
    let path = write(folder.path().join("shape.safetensors"), &module, &[]);
    assert!(Masks::open(&path, None).unwrap_err().to_string().contains("it has the shape [3, 2], its weight"));
    assert!(!folder.path().join("no.safetensors").exists());
}

fn apply(masks: &Masks, input: &Path, output: &Path, options: ApplyOptions) -> Result<masks::Applied> {
    let input = Checkpoint::open(input).unwrap();
    masks::apply(masks, &input, output, &options, &Unfinished::default(), &|done, all| {
        assert!(done <= all);
        ControlFlow::Continue(())
    })
}

/// RigL's step as its authors' program does it, by sorting; ties lowest index first.
fn rigl(mask: &[bool], weights: &[f64], scores: &[f64], fraction: f64) -> Vec<bool> {
    let kept = mask.iter().filter(|kept| **kept).count();
    let k = (fraction * kept as f64).floor() as usize;
    let mut now = mask.to_vec();
    let mut order: Vec<usize> = (0..mask.len()).filter(|i| mask[*i]).collect();
    order.sort_by(|a, b| weights[*a].total_cmp(&weights[*b]).then(a.cmp(b)));
    order[..k].iter().for_each(|i| now[*i] = false);
    let mut order: Vec<usize> = (0..mask.len()).filter(|i| !now[*i]).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order[..k].iter().for_each(|i| now[*i] = true);
    now
}

#[test]
fn regrowth_is_that_of_sorting() {
    let folder = tempfile::tempdir().unwrap();
    let (path, masks, _) = extracted(folder.path(), "a", 1);
    let opened = Masks::open(&path, None).unwrap();
    let (shapes, _) = model(1);
    let of = |fill: Fill, types: [Dtype; 3], seed: u64| -> (Tensors, BTreeMap<&'static str, Vec<f64>>) {
        let mut values = BTreeMap::new();
        let tensors = shapes.iter().filter(|t| masks.contains_key(t.0)).enumerate().map(|(i, (name, _, shape, _))| {
            let dtype = types[i % 3];
            let bytes = weights(dtype, 1, shape.iter().product(), fill, seed + i as u64);
            let magnitude = |i| dtype.magnitude(dtype.key(&bytes, i));
            values.insert(*name, (0..bytes.len() / dtype.size()).map(magnitude).collect());
            (*name, file_dtype(dtype), shape.clone(), bytes)
        });
        (tensors.collect(), values)
    };
    let types = [Dtype::F32, Dtype::BF16, Dtype::F8E4M3];
    for (number, (fill, fraction)) in
        [(Fill::Normal, 0.3), (Fill::Coarse, 0.5), (Fill::Equal, 0.1), (Fill::Sparse, 1.0), (Fill::Normal, 0.0)]
            .into_iter()
            .enumerate()
    {
        let (w, magnitudes) = of(fill, types, 40);
        let (g, scores) = of(fill, [Dtype::F32, Dtype::BF16, Dtype::F16], 90);
        let w = Checkpoint::open(&write(folder.path().join(format!("w{number}.safetensors")), &w, &[])).unwrap();
        let g = Checkpoint::open(&write(folder.path().join(format!("g{number}.safetensors")), &g, &[])).unwrap();
        let output = folder.path().join(format!("{number}.safetensors"));
        let by = Regrow { weights: &w, scores: &g, fraction };
        let regrown = to(&output, |to| masks::regrow(&opened, &by, to)).unwrap();
        let found = read(&output);
        for (tensor, exchanged) in regrown.written.tensors.iter().zip(&regrown.exchanged) {
            let name = tensor.name.as_str();
            let before = &masks[name];
            let expected = rigl(before, &magnitudes[name], &scores[name], fraction);
            assert!(found[name].1 == expected, "{fill:?} {fraction} {name}");
            assert_eq!(tensor.kept, before.iter().filter(|kept| **kept).count() as u64, "as many as before");
            assert_eq!(
                exchanged.grown,
                expected.iter().zip(before).filter(|(now, before)| **now && !**before).count() as u64
            );
        }
    }
    let (w, _) = of(Fill::Normal, types, 40);
    let (g, _) = of(Fill::Nan, types, 40);
    let w = Checkpoint::open(&write(folder.path().join("w.safetensors"), &w, &[])).unwrap();
    let nan = Checkpoint::open(&write(folder.path().join("nan.safetensors"), &g, &[])).unwrap();
    let lacks = Checkpoint::open(&write(folder.path().join("lacks.safetensors"), &g[..1].to_vec(), &[])).unwrap();
    let refused = |scores: &Checkpoint, fraction: f64| {
        let by = Regrow { weights: &w, scores, fraction };
        to(&folder.path().join("no.safetensors"), |to| masks::regrow(&opened, &by, to)).unwrap_err().to_string()
    };
    assert!(refused(&nan, 0.5).contains("is NaN"));
    assert!(refused(&lacks, 0.5).contains("it is not here, but has a mask"));
    assert!(refused(&w, 1.5).contains("1.5") && refused(&w, f64::NAN).contains("NaN"));
    assert!(!folder.path().join("no.safetensors").exists());
}

#[test]
fn what_is_no_mask_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shape = |dims: &[i64]| dims.iter().flat_map(|d| d.to_le_bytes()).collect::<Vec<u8>>();
    let refused = |name: &str, tensors: Tensors, version: &str, says: &str| {
        let path = write(folder.path().join(format!("{name}.safetensors")), &tensors, &[("lopper.mask", version)]);
        let output = folder.path().join("no.safetensors");
        let error = to(&output, |to| masks::extract(&Masks::open(&path, None)?, to)).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(&format!("{name}.safetensors")), "{error}");
        assert!(!output.exists());
    };
    let mask = |bits: Vec<u8>, shape: Vec<u8>| -> Tensors {
        vec![
            ("w.mask", FileDtype::U8, vec![bits.len()], bits),
            ("w.shape", FileDtype::I64, vec![shape.len() / 8], shape),
        ]
    };
    refused("stray", mask(vec![1, 0x80], shape(&[3, 3])), "1", "bits are set behind its last weight, number 8");
    refused("short", mask(vec![1], shape(&[3, 3])), "1", "the mask of 9 weights is U8 [2], this is U8 [1]");
    refused("long", mask(vec![1; 3], shape(&[3, 3])), "1", "this is U8 [3]");
    refused("negative", mask(vec![1], shape(&[-3, 3])), "1", "no dimension of -3");
    refused("overflow", mask(vec![1], shape(&[i64::MAX, 0, i64::MAX])), "1", "overflow 64 bits");
    refused("deep", mask(vec![1], shape(&[1; 65])), "1", "at most 64 dimensions");
    refused("newer", mask(vec![1], shape(&[3])), "2", "version `2`");
    refused("lone", mask(vec![1], shape(&[3])).into_iter().take(1).collect(), "1", "its shape is missing");
    let mut stranger = mask(vec![1], shape(&[3]));
    stranger.push(("bias", FileDtype::U8, vec![1], vec![1]));
    refused("stranger", stranger, "1", "this is neither");
    let mut wrong = mask(vec![1], shape(&[3]));
    (wrong[0].1, wrong[1].1) = (FileDtype::I8, FileDtype::I64);
    refused("signed", wrong, "1", "this is I8 [1]");

    let file = |name: &str, tensors: Tensors| {
        Masks::open(&write(folder.path().join(name), &tensors, &[("lopper.mask", "1")]), None).unwrap()
    };
    let a = file("a.safetensors", mask(vec![1], shape(&[2, 4])));
    let b = file("b.safetensors", mask(vec![1], shape(&[4, 2])));
    let mut two = mask(vec![1], shape(&[2, 4]));
    two.extend([("v.mask", FileDtype::U8, vec![1], vec![1]), ("v.shape", FileDtype::I64, vec![1], shape(&[8]))]);
    let c = file("c.safetensors", two);
    let combined = |masks: &[&Masks]| {
        let output = folder.path().join("no.safetensors");
        to(&output, |to| masks::combine(Operation::And, masks, to)).unwrap_err().to_string()
    };
    assert!(combined(&[&a, &b]).contains("its mask has the shape [4, 2], in"));
    assert!(combined(&[&a, &c]).contains("`v`: it has no mask here, but one in"));
    assert!(combined(&[&c, &a]).contains("`v`: it has no mask here, but one in"));
    let found = masks::diff(&a, &c, &|_, _| ControlFlow::Continue(())).unwrap();
    assert!(found.tensors.len() == 1 && found.others[0].why == "only in the second");
    assert!(
        masks::diff(&a, &b, &|_, _| ControlFlow::Continue(())).unwrap().others[0].why.contains("the shapes differ")
    );
}
