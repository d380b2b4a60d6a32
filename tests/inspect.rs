//! What `inspect` says of weights, against sorting them and sums in `f64`.

mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{Fill, file_dtype, weights};
use lopper::Dtype;
use lopper::checkpoint::Checkpoint;
use lopper::inspect::{SHARES, SPARSITIES, TensorSurvey, compare, survey};
use lopper::pruner::quota;
use safetensors::tensor::{TensorView, serialize_to_file};

struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn new(name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        Self { name: name.into(), dtype, shape: shape.into(), bytes }
    }

    fn magnitudes(&self) -> Vec<f64> {
        let n: usize = self.shape.iter().product();
        (0..n).map(|i| self.dtype.magnitude(self.dtype.key(&self.bytes, i))).collect()
    }
}

fn write(folder: &Path, file: &str, tensors: &[Tensor]) -> PathBuf {
    let path = folder.join(file);
    let view = |t: &Tensor| TensorView::new(file_dtype(t.dtype), t.shape.clone(), &t.bytes).unwrap().data().to_vec();
    let data: Vec<Vec<u8>> = tensors.iter().map(view).collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|(t, data)| (t.name.clone(), TensorView::new(file_dtype(t.dtype), t.shape.clone(), data).unwrap()));
    serialize_to_file(views, None, &path).unwrap();
    path
}

fn surveyed(tensors: &[Tensor]) -> Vec<TensorSurvey> {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&write(folder.path(), "in.safetensors", tensors)).unwrap();
    let found = survey(&checkpoint, &|done, all| {
        assert!(done <= all);
        ControlFlow::Continue(())
    });
    let mut found = found.unwrap();
    found.sort_by_key(|f| tensors.iter().position(|t| t.name == f.name));
    found
}

fn close(a: f64, b: f64, part: f64) -> bool {
    a == b || (a - b).abs() <= part * b.abs() || a.is_nan() && b.is_nan()
}

fn check(tensor: &Tensor, found: &TensorSurvey) {
    let about = format!("{} {} {:?}", tensor.name, tensor.dtype, tensor.shape);
    let (values, magnitudes) = (found.values.as_ref().unwrap(), found.magnitudes.as_ref().unwrap());
    let all = tensor.magnitudes();
    let mut sorted = all.clone();
    sorted.sort_by(f64::total_cmp);
    let n = all.len();
    // Of F32, a cut is off by at most 1 part in 256.
    let part = if tensor.dtype == Dtype::F32 { 1.0 / 256.0 } else { 0.0 };
    let near = |a: Option<f64>, b: f64| {
        let a = a.unwrap();
        // An F32's infinity shares its bin with NaN, and what is below the smallest normal number is spread out.
        close(a, b, part) || part > 0.0 && (b.is_nan() && a.is_infinite() || b < 1e-38 && a < 1e-38)
    };
    let count = |of: fn(&f64) -> bool| all.iter().filter(|m| of(m)).count() as u64;
    assert_eq!(
        (values.zeros, values.nan, values.infinite),
        (count(|m| *m == 0.0), count(|m| m.is_nan()), count(|m| m.is_infinite())),
        "{about}"
    );
    let numbers = || sorted.iter().copied().filter(|m| *m > 0.0 && m.is_finite());
    assert_eq!((values.min, values.max), (numbers().next(), numbers().next_back()), "{about}");
    let energy: f64 = numbers().map(|m| m * m).sum();
    assert!(close(magnitudes.energy(), energy, if part > 0.0 { 0.01 } else { 1e-12 }), "{about}: energy");
    for (quantile, share) in values.quantiles.iter().zip(SHARES) {
        let rank = quota(share, n as u64).max(1) as usize;
        assert!(near(quantile.magnitude, sorted[rank - 1]), "{about}: {share} {quantile:?} {}", sorted[rank - 1]);
    }
    for (point, sparsity) in values.cuts.iter().zip(SPARSITIES) {
        let k = quota(sparsity, n as u64) as usize;
        assert!(k == 0 && point.cut.is_none() || near(point.cut, sorted[k - 1]), "{about}: {sparsity} {point:?}");
        let lost: f64 = sorted[..k].iter().filter(|m| m.is_finite()).map(|m| m * m).sum();
        let error = if energy > 0.0 { (lost / energy).sqrt() } else { 0.0 };
        // Subnormals, of which bins of F32 are coarser, only count where there is nothing else.
        let near = close(point.error, error, 0.01) || tensor.name == "tiny" && (point.error - error).abs() < 0.01;
        assert!(near, "{about}: error at {sparsity}: {} and {error}", point.error);
    }
    let counted: u64 = values.binades.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, n as u64 - values.zeros - values.nan - values.infinite, "{about}: binades");
    for (exponent, count) in &values.binades {
        let (low, high) = (2f64.powi(*exponent), 2f64.powi(*exponent + 1));
        // An F32's smallest bin spans many.
        if low > 1e-37 {
            assert_eq!(*count, numbers().filter(|m| *m >= low && *m < high).count() as u64, "{about}: 2^{exponent}");
        }
    }

    let rows = if tensor.shape.len() < 2 { 1 } else { tensor.shape[0] };
    let cols = n / rows;
    // Without the sign that a NaN may have.
    let norm = |of: &mut dyn Iterator<Item = f64>| of.map(|m| m * m).sum::<f64>().sqrt().abs();
    let mut row_norms: Vec<f64> = all.chunks(cols).map(|row| norm(&mut row.iter().copied())).collect();
    let mut col_norms: Vec<f64> = (0..cols).map(|c| norm(&mut all.iter().copied().skip(c).step_by(cols))).collect();
    for (norms, found) in [(&mut row_norms, Some(values.rows)), (&mut col_norms, values.columns)] {
        norms.sort_by(f64::total_cmp);
        let found = found.unwrap();
        assert_eq!(found.count, norms.len() as u64, "{about}");
        let same = |a: f64, b: f64| close(a, b, 1e-9) || a.is_nan() && !b.is_finite() || b.is_nan() && !a.is_finite();
        assert!(same(found.min, norms[0]) && same(found.max, norms[norms.len() - 1]), "{about}: {found:?}");
        assert!(same(found.median.unwrap(), norms[norms.len() / 2]), "{about}: {found:?}");
        assert_eq!(found.zeros, norms.iter().filter(|norm| **norm == 0.0).count() as u64, "{about}");
    }
    for (of, found) in [(4, values.two_of_four), (8, values.four_of_eight)] {
        let groups: Vec<&[f64]> = all.chunks(cols).flat_map(|row| row.chunks_exact(of)).collect();
        let good = groups.iter().filter(|group| group.iter().filter(|m| **m == 0.0).count() >= of / 2).count();
        assert_eq!(found, (!groups.is_empty()).then(|| good as f64 / groups.len() as f64), "{about}: {of}");
    }
}

#[test]
fn every_number_is_what_sorting_and_summing_give() {
    let shapes: [&[usize]; 9] =
        [&[1], &[1, 1], &[7], &[37, 129], &[64, 640], &[5, 3, 2, 2], &[3, 140_001], &[2000, 3], &[1, 12]];
    for fill in Fill::ALL {
        let mut tensors = Vec::new();
        for dtype in Dtype::ALL {
            for (number, shape) in shapes.iter().enumerate() {
                let rows = if shape.len() < 2 { 1 } else { shape[0] };
                let cols = shape.iter().product::<usize>() / rows;
                let bytes = weights(dtype, rows, cols, fill, number as u64);
                tensors.push(Tensor::new(&format!("{dtype}.{number}"), dtype, shape, bytes));
            }
        }
        for (tensor, found) in tensors.iter().zip(surveyed(&tensors)) {
            check(tensor, &found);
        }
    }
}

#[test]
fn all_zero_all_equal_all_nan_and_infinity_are_no_trouble() {
    let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let halves = |bits: u16| bits.to_le_bytes().repeat(24);
    let tensors = [
        Tensor::new("zeros", Dtype::F32, &[4, 6], vec![0; 96]),
        Tensor::new("equal", Dtype::F32, &[4, 6], f32s(&[-1.5; 24])),
        Tensor::new("nan", Dtype::F32, &[4, 6], f32s(&[f32::NAN; 24])),
        Tensor::new("infinite", Dtype::F32, &[2, 2], f32s(&[f32::INFINITY, -0.0, f32::NEG_INFINITY, 2.0])),
        Tensor::new("tiny", Dtype::F32, &[2, 2], f32s(&[1e-45, -1e-40, 0.0, f32::MIN_POSITIVE])),
        Tensor::new("huge", Dtype::F32, &[2, 2], f32s(&[f32::MAX, -f32::MAX, 1.0, f32::MAX])),
        Tensor::new("half nan", Dtype::F16, &[4, 6], halves(0x7e01)),
        Tensor::new("half inf", Dtype::BF16, &[4, 6], halves(0xff80)),
    ];
    for (tensor, found) in tensors.iter().zip(surveyed(&tensors)) {
        check(tensor, &found);
        serde_json::to_string(&found).unwrap();
    }
}

#[test]
fn tensors_without_weights_and_of_other_types_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.safetensors");
    let bytes = [1u8; 8];
    let views = [
        ("empty", TensorView::new(safetensors::Dtype::F32, vec![0, 3], &[]).unwrap()),
        ("ints", TensorView::new(safetensors::Dtype::I64, vec![1], &bytes).unwrap()),
        ("scalar", TensorView::new(safetensors::Dtype::F32, vec![], &bytes[..4]).unwrap()),
    ];
    serialize_to_file(views, None, &path).unwrap();
    let found = survey(&Checkpoint::open(&path).unwrap(), &|_, _| ControlFlow::Continue(())).unwrap();
    let has = |name: &str| found.iter().find(|f| f.name == name).unwrap().values.is_some();
    assert_eq!([has("empty"), has("ints"), has("scalar")], [false, false, true]);
    let stopped = survey(&Checkpoint::open(&path).unwrap(), &|_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(lopper::Error::Cancelled)));
}

#[test]
fn two_checkpoints_are_compared_by_value() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |dtype, seed| weights(dtype, 300, 1000, Fill::Coarse, seed);
    let narrow = |bytes: &[u8]| bytes.chunks(2).flat_map(|b| [0, 0, b[0], b[1]]).collect::<Vec<u8>>();
    let a = bytes(Dtype::BF16, 1);
    let first = [
        Tensor::new("same", Dtype::BF16, &[300, 1000], a.clone()),
        Tensor::new("other", Dtype::F16, &[300, 1000], bytes(Dtype::F16, 2)),
        Tensor::new("shape", Dtype::F16, &[300, 1000], bytes(Dtype::F16, 2)),
        Tensor::new("only a", Dtype::F16, &[1, 1], vec![0, 0]),
    ];
    let second = [
        Tensor::new("same", Dtype::F32, &[300, 1000], narrow(&a)),
        Tensor::new("other", Dtype::F8E4M3, &[300, 1000], bytes(Dtype::F8E4M3, 3)),
        Tensor::new("shape", Dtype::F16, &[1000, 300], bytes(Dtype::F16, 2)),
        Tensor::new("only b", Dtype::F16, &[1, 1], vec![0, 0]),
    ];
    let open = |name, tensors: &[Tensor]| Checkpoint::open(&write(folder.path(), name, tensors)).unwrap();
    let (a, b) = (open("a.safetensors", &first), open("b.safetensors", &second));
    let found = compare(&a, &b, &|_, _| ControlFlow::Continue(())).unwrap();
    let of = |name: &str| found.tensors.iter().find(|t| t.name == name).unwrap();
    assert_eq!((of("same").differ, of("same").error, of("same").agreement), (0, 0.0, 1.0));
    let signed = |t: &Tensor| {
        let n = t.shape.iter().product();
        let sign = |i: usize| if t.dtype.bits(&t.bytes, i) > t.dtype.max_key() { -1.0 } else { 1.0 };
        t.magnitudes().iter().enumerate().map(|(i, m)| m * sign(i)).take(n).collect::<Vec<f64>>()
    };
    let (x, y) = (signed(&first[1]), signed(&second[1]));
    let pairs = || x.iter().zip(&y);
    let norm = |sum: f64| sum.sqrt();
    let error = norm(pairs().map(|(x, y)| (x - y) * (x - y)).sum()) / norm(x.iter().map(|x| x * x).sum());
    let other = of("other");
    assert!(close(other.error, error, 1e-9), "{} {error}", other.error);
    let agree = pairs().filter(|(x, y)| (**x == 0.0) == (**y == 0.0)).count();
    assert_eq!(other.agreement, agree as f64 / 300_000.0);
    assert_eq!(other.both_zero, pairs().filter(|(x, y)| **x == 0.0 && **y == 0.0).count() as u64);
    assert_eq!(other.differ, pairs().filter(|(x, y)| x != y).count() as u64);
    let mut others: Vec<_> = found.others.iter().map(|o| (o.name.as_str(), o.why.as_str())).collect();
    others.sort();
    assert_eq!(
        others,
        [("only a", "only in the first"), ("only b", "only in the second"), ("shape", "the shapes differ")]
    );
}
