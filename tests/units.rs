//! Units, scores, layouts and peers' counts from file to file, against indices and sums spelled out here: rows, columns,
//! blocks, groups; resident and streamed, direct and staged.

mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{Fill, weights};
use lopper::gpu::Gpu;
use lopper::pruner::{
    Compat, Layout, Norm, Options, Pruner, Report, Rule, Scope, Score, Selection, Target, Unit, quota,
};
use lopper::{Dtype, Error};
use safetensors::tensor::{TensorView, serialize_to_file};
use safetensors::{Dtype as FileDtype, SafeTensors};

/// The least memory that works, and enough for all.
const MEMORIES: [u64; 2] = [520 << 10, 64 << 20];

struct Tensor {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn tensor(name: &'static str, dtype: Dtype, shape: &[usize], fill: Fill, seed: u64) -> Tensor {
    let cols = shape[1..].iter().product();
    Tensor { name, dtype, shape: shape.into(), bytes: weights(dtype, shape[0], cols, fill, seed) }
}

fn zoo(fill: Fill) -> Vec<Tensor> {
    vec![
        tensor("a", Dtype::F32, &[37, 129], fill, 1),
        tensor("b", Dtype::BF16, &[96, 640], fill, 2),
        tensor("c", Dtype::F16, &[12, 6, 3, 3], fill, 3),
        tensor("d", Dtype::F8E4M3, &[3, 2, 20, 9], fill, 4),
        tensor("e", Dtype::F32, &[260, 500], fill, 5),
    ]
}

impl Tensor {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    fn magnitude(&self, i: usize) -> f64 {
        self.dtype.magnitude(self.dtype.key(&self.bytes, i))
    }

    /// Outputs, inputs, kernel places, and where each element lies.
    fn axes(&self, layout: Layout) -> ([usize; 3], impl Fn(usize, usize, usize) -> usize + use<>) {
        let (rank, s) = (self.shape.len(), &self.shape);
        let (o, i) = if layout == Layout::OutIn { (s[0], s[1]) } else { (s[rank - 1], s[rank - 2]) };
        let k = self.len() / o / i;
        let at = move |a: usize, b: usize, c: usize| match layout {
            Layout::OutIn => (a * i + b) * k + c,
            Layout::InOut => (c * i + b) * o + a,
        };
        ([o, i, k], at)
    }

    /// The rows of the matrix that a rule sees: places in the tensor.
    fn rows(&self, rule: &Rule) -> Vec<Vec<usize>> {
        let ([o, i, k], at) = self.axes(rule.layout);
        let all = |n: usize, m: usize, f: &dyn Fn(usize, usize) -> usize| {
            (0..n).flat_map(|x| (0..m).map(move |y| (x, y))).map(|(x, y)| f(x, y)).collect::<Vec<_>>()
        };
        match (rule.unit, rule.scope) {
            (Unit::Column, _) => (0..i).map(|b| all(o, k, &|a, c| at(a, b, c))).collect(),
            (_, Scope::Group(_)) => (0..o * k).map(|r| (0..i).map(|b| at(r / k, b, r % k)).collect()).collect(),
            _ => (0..o).map(|a| all(i, k, &|b, c| at(a, b, c))).collect(),
        }
    }

    /// The units, in rows of them.
    fn units(&self, rule: &Rule) -> Vec<Vec<Vec<usize>>> {
        let rows = self.rows(rule);
        match rule.unit {
            Unit::Weight => rows.into_iter().map(|row| row.into_iter().map(|i| vec![i]).collect()).collect(),
            Unit::Row | Unit::Column => rows.into_iter().map(|row| vec![row]).collect(),
            Unit::Block { rows: r, cols: c } => {
                let block = |rows: &[Vec<usize>], at: usize| {
                    rows.iter().flat_map(|row| row[at..row.len().min(at + c as usize)].to_vec()).collect::<Vec<_>>()
                };
                let across =
                    |rows: &[Vec<usize>]| (0..rows[0].len()).step_by(c as usize).map(|at| block(rows, at)).collect();
                rows.chunks(r as usize).map(across).collect()
            }
        }
    }
}

fn norm(norm: Norm, values: &[f64]) -> f64 {
    match norm {
        Norm::L1 => values.iter().sum(),
        Norm::L2 => values.iter().map(|v| v * v).sum::<f64>().sqrt(),
        Norm::Linf => values.iter().copied().fold(0.0, f64::max),
        Norm::Mean => values.iter().sum::<f64>() / values.len() as f64,
    }
}

/// What must come out, if weights score `score(tensor, place)`.
fn expected(tensors: &[Tensor], order: &[usize], rule: &Rule, score: &dyn Fn(usize, usize) -> f64) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = tensors.iter().map(|t| t.bytes.clone()).collect();
    let mut pools: Vec<Vec<(f64, usize, Vec<usize>)>> = vec![Vec::new()];
    for &t in order {
        for row in tensors[t].units(rule) {
            let scored = row.into_iter().map(|unit| {
                let values: Vec<f64> = unit.iter().map(|&i| score(t, i)).collect();
                (if unit.len() == 1 { values[0] } else { norm(rule.norm, &values) }, t, unit)
            });
            pools.last_mut().unwrap().extend(scored);
            if rule.scope == Scope::Row {
                pools.push(Vec::new());
            } else if let Scope::Group(of) = rule.scope {
                let row = pools.pop().unwrap();
                pools.extend(row.chunks_exact(of as usize).map(<[_]>::to_vec));
                pools.push(Vec::new());
            }
        }
        if rule.scope == Scope::Tensor {
            pools.push(Vec::new());
        }
    }
    for mut pool in pools.into_iter().filter(|pool| !pool.is_empty()) {
        pool.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = pool.len();
        let go = match (rule.target, rule.compat) {
            (Target::Keep(keep), _) => n - keep as usize,
            (Target::Threshold(t), _) => pool.iter().filter(|unit| unit.0 <= t).count(),
            (Target::Sparsity(s), Compat::Lopper | Compat::Torch) => quota(s, n as u64) as usize,
            (Target::Sparsity(s), Compat::Wanda) => (s * n as f64) as usize,
            (Target::Sparsity(s), Compat::WandaMagnitude) => {
                let cut = pool[((s * n as f64) as usize).min(n - 1)].0;
                pool.iter().filter(|unit| unit.0 <= cut).count()
            }
            (Target::Sparsity(s), Compat::LlmCompressor) => match (s * n as f64) as usize {
                0 => 0,
                k => pool.iter().filter(|unit| unit.0 <= pool[k - 1].0).count(),
            },
            (Target::Sparsity(s), Compat::Tfmot) => {
                let stay = ((n as f32 * (1.0 - s as f32)).round_ties_even() as usize).max(1);
                pool.iter().filter(|unit| unit.0 < pool[n - stay].0).count()
            }
        };
        for (_, t, unit) in &pool[..go] {
            let size = tensors[*t].dtype.size();
            unit.iter().for_each(|i| out[*t][i * size..(i + 1) * size].fill(0));
        }
    }
    out
}

fn file_dtype(dtype: Dtype) -> FileDtype {
    match dtype {
        Dtype::F32 => FileDtype::F32,
        Dtype::F16 => FileDtype::F16,
        Dtype::BF16 => FileDtype::BF16,
        Dtype::F8E4M3 => FileDtype::F8_E4M3,
        Dtype::F8E5M2 => FileDtype::F8_E5M2,
    }
}

fn view<'a>(dtype: FileDtype, shape: &[usize], bytes: &'a [u8]) -> TensorView<'a> {
    TensorView::new(dtype, shape.to_vec(), bytes).unwrap()
}

/// Tensors in a folder of their own, and the order in which they lie in the file.
struct Setup {
    folder: tempfile::TempDir,
    order: Vec<usize>,
}

impl Setup {
    fn new(tensors: &[Tensor]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.safetensors");
        let views = tensors.iter().map(|t| (t.name, view(file_dtype(t.dtype), &t.shape, &t.bytes)));
        serialize_to_file(views, None, &input).unwrap();
        let checkpoint = lopper::checkpoint::Checkpoint::open(&input).unwrap();
        let number = |name: &str| tensors.iter().position(|t| t.name == name).unwrap();
        Self { folder, order: checkpoint.tensors().iter().map(|t| number(&t.name)).collect() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `f32` tensors.
    fn scores(&self, name: &str, tensors: &[(&str, Vec<usize>, Vec<f32>)]) -> PathBuf {
        let path = self.file(name);
        let views = tensors.iter().map(|(n, s, v)| (n.to_string(), view(FileDtype::F32, s, bytemuck::cast_slice(v))));
        serialize_to_file(views, None, &path).unwrap();
        path
    }

    fn prune(&self, gpu: &Gpu, rule: &Rule, memory: u64) -> lopper::Result<Report> {
        let options = Options { memory, force: true, ..Options::default() };
        let (input, output) = (self.file("in.safetensors"), self.file("out.safetensors"));
        Pruner::new(gpu.clone()).prune(&input, &output, &rule.into(), &options, &|_, _| ControlFlow::Continue(()))
    }

    /// Prunes in every way there is, and holds every result against the same expectation.
    fn check(&self, tensors: &[Tensor], rule: &Rule, score: &dyn Fn(usize, usize) -> f64) {
        let want = expected(tensors, &self.order, rule, score);
        for (how, gpu) in gpus() {
            for memory in MEMORIES {
                let about = format!("{rule:?} {how} {memory}");
                let report = self.prune(&gpu, rule, memory).unwrap_or_else(|e| panic!("{about}: {e}"));
                let got = contents(&self.file("out.safetensors"), tensors);
                for ((tensor, want), got) in tensors.iter().zip(&want).zip(got) {
                    let zeros =
                        |bytes: &[u8]| (0..tensor.len()).filter(|&i| tensor.dtype.key(bytes, i) == 0).count() as u64;
                    let differ = (0..tensor.len() * tensor.dtype.size()).filter(|&i| got[i] != want[i]).count();
                    assert_eq!(
                        differ,
                        0,
                        "{} of {} bytes differ ({}, {} zeros): {about}",
                        differ,
                        tensor.name,
                        zeros(&got),
                        zeros(want)
                    );
                    let reported = report.tensors.iter().find(|r| r.name == tensor.name).unwrap();
                    assert_eq!(reported.zeros_before, Some(zeros(&tensor.bytes)), "{about}: zeros before");
                    assert_eq!(reported.zeros, Some(zeros(want)), "{about}: zeros after");
                }
            }
        }
    }
}

fn contents(path: &Path, tensors: &[Tensor]) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    tensors.iter().map(|t| read.tensor(t.name).unwrap().data().to_vec()).collect()
}

/// Adapters as they are, and as if they could not map storage buffers.
fn gpus() -> Vec<(&'static str, Gpu)> {
    let asked = std::env::var("LOPPER_ADAPTER").ok();
    let staged = pollster::block_on(Gpu::open_staged(asked.as_deref())).unwrap();
    vec![("direct where it can", common::gpu().clone()), ("staged", staged)]
}

fn rule(target: Target) -> Rule {
    Rule { selection: Selection { all: true, ..Selection::default() }, ..Rule::new(target) }
}

fn half() -> Rule {
    rule(Target::Sparsity(0.47))
}

#[test]
fn rows_columns_and_blocks_go_by_their_norms_in_either_layout() {
    let tensors = zoo(Fill::Normal);
    let setup = Setup::new(&tensors);
    let magnitude = |t: usize, i: usize| tensors[t].magnitude(i);
    let units = [Unit::Row, Unit::Column, Unit::Block { rows: 2, cols: 3 }, Unit::Block { rows: 3, cols: 4 }];
    for (number, unit) in units.into_iter().enumerate() {
        for layout in [Layout::OutIn, Layout::InOut] {
            let norm = Norm::ALL[(number + layout as usize) % 4];
            setup.check(&tensors, &Rule { unit, layout, norm, ..half() }, &magnitude);
        }
        setup.check(&tensors, &Rule { unit, norm: Norm::Mean, scope: Scope::Global, ..half() }, &magnitude);
    }
    let block = Unit::Block { rows: 2, cols: 3 };
    setup.check(&tensors, &Rule { unit: block, scope: Scope::Row, ..half() }, &magnitude);
    setup.check(&tensors, &Rule { unit: Unit::Row, ..rule(Target::Keep(2)) }, &magnitude);
    setup.check(&tensors, &Rule { unit: Unit::Row, norm: Norm::Mean, ..rule(Target::Threshold(0.02)) }, &magnitude);
}

#[test]
fn groups_keep_so_many_of_so_many_along_the_inputs() {
    let tensors = zoo(Fill::Coarse);
    let setup = Setup::new(&tensors);
    for (keep, of, layout) in
        [(2, 4, Layout::OutIn), (2, 4, Layout::InOut), (3, 7, Layout::OutIn), (1, 32, Layout::InOut)]
    {
        let rule = Rule { scope: Scope::Group(of), layout, ..rule(Target::Keep(keep)) };
        setup.check(&tensors, &rule, &|t, i| tensors[t].magnitude(i));
    }
}

#[test]
fn single_weights_of_the_other_layout_have_other_rows_and_other_ties() {
    let tensors = zoo(Fill::Coarse);
    let setup = Setup::new(&tensors);
    for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
        setup.check(&tensors, &Rule { scope, layout: Layout::InOut, ..half() }, &|t, i| tensors[t].magnitude(i));
    }
}

#[test]
fn wanda_scores_by_the_norms_of_inputs_in_f32() {
    let tensors = zoo(Fill::Normal);
    let setup = Setup::new(&tensors);
    for layout in [Layout::OutIn, Layout::InOut] {
        let norms: Vec<Vec<f32>> = tensors
            .iter()
            .enumerate()
            .map(|(t, tensor)| {
                (0..tensor.axes(layout).0[1]).map(|i| 0.01 + ((i * 37 + t * 11) % 101) as f32 * 0.37).collect()
            })
            .collect();
        let of: Vec<_> = tensors.iter().zip(&norms).map(|(t, n)| (t.name, vec![n.len()], n.clone())).collect();
        let activations = setup.scores("norms.safetensors", &of);
        let score = |t: usize, i: usize| {
            let ([_, inputs, k], _) = tensors[t].axes(layout);
            let input = match layout {
                Layout::OutIn => i / k % inputs,
                Layout::InOut => i / tensors[t].axes(layout).0[0] % inputs,
            };
            f64::from(tensors[t].magnitude(i) as f32 * norms[t][input])
        };
        let wanda = Rule { score: Score::Wanda { activations }, layout, ..half() };
        for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
            let compat = if scope == Scope::Global { Compat::Lopper } else { Compat::Wanda };
            setup.check(&tensors, &Rule { scope, compat, ..wanda.clone() }, &score);
        }
        let group = Rule { scope: Scope::Group(4), target: Target::Keep(2), ..wanda.clone() };
        setup.check(&tensors, &group, &score);
        setup.check(&tensors, &Rule { unit: Unit::Row, norm: Norm::L1, ..wanda.clone() }, &score);
        setup.check(&tensors, &Rule { unit: Unit::Block { rows: 2, cols: 2 }, ..wanda }, &score);
    }
}

#[test]
fn scores_of_the_users_own_decide_with_and_without_signs() {
    let tensors = zoo(Fill::Normal);
    let setup = Setup::new(&tensors);
    let value = |t: usize, i: usize| ((i * 7919 + t * 31) % 10_007) as f32 / 10_007.0;
    let all = |f: &dyn Fn(usize, usize) -> f32| -> Vec<_> {
        let of = |(t, tensor): (usize, &Tensor)| {
            (tensor.name, tensor.shape.clone(), (0..tensor.len()).map(|i| f(t, i)).collect::<Vec<_>>())
        };
        tensors.iter().enumerate().map(of).collect()
    };
    let file = |name: &str, signed, f: &dyn Fn(usize, usize) -> f32| Score::File {
        scores: setup.scores(name, &all(f)),
        signed,
    };
    let plain = file("plain.safetensors", false, &value);
    let score = |t, i| f64::from(value(t, i));
    for layout in [Layout::OutIn, Layout::InOut] {
        for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
            setup.check(&tensors, &Rule { score: plain.clone(), scope, layout, ..half() }, &score);
        }
        setup.check(&tensors, &Rule { score: plain.clone(), unit: Unit::Column, layout, ..half() }, &score);
    }
    let signed = |t: usize, i: usize| (value(t, i) - 0.5) * 1e-3;
    let with_signs = file("signed.safetensors", true, &signed);
    setup.check(&tensors, &Rule { score: with_signs, ..half() }, &|t, i| f64::from(signed(t, i)));
    let err =
        setup.prune(common::gpu(), &Rule { score: file("bad.safetensors", false, &signed), ..half() }, MEMORIES[1]);
    assert!(
        matches!(&err, Err(Error::Rule(why)) if why.contains("not negative") && why.contains("number 0")),
        "{err:?}"
    );
}

#[test]
fn neurons_go_by_scores_of_theirs() {
    let tensors = vec![
        tensor("fc1.weight", Dtype::F32, &[40, 30], Fill::Normal, 9),
        tensor("fc2.weight", Dtype::BF16, &[10, 40], Fill::Normal, 8),
    ];
    let setup = Setup::new(&tensors);
    let activity = |t: usize, row: usize| ((row * 17 + t * 3) % 23) as f32 * 0.1;
    let of = |t: usize, rows: usize| (0..rows).map(|row| activity(t, row)).collect::<Vec<_>>();
    let scores =
        setup.scores("activity.safetensors", &[("fc1", vec![40], of(0, 40)), ("fc2.weight", vec![10], of(1, 10))]);
    let neurons = |target| Rule {
        score: Score::File { scores: scores.clone(), signed: false },
        unit: Unit::Row,
        norm: Norm::Mean,
        ..rule(target)
    };
    // All weights of a row score as their neuron does, and so does their mean, but for rounding: a tie stays a tie.
    let score = |t: usize, i: usize| f64::from(activity(t, i / tensors[t].shape[1]));
    let rounded = |t: usize, i: usize| (score(t, i) * 1e4).round();
    setup.check(&tensors, &neurons(Target::Sparsity(0.3)), &rounded);
    let report = setup.prune(common::gpu(), &neurons(Target::Threshold(0.35)), MEMORIES[1]).unwrap();
    for (t, tensor) in tensors.iter().enumerate() {
        let quiet = (0..tensor.shape[0]).filter(|&row| activity(t, row) <= 0.35).count();
        let zeros = report.tensors.iter().find(|r| r.name == tensor.name).unwrap().zeros.unwrap() as usize;
        assert_eq!(zeros, quiet * tensor.shape[1]);
    }
}

#[test]
fn peers_counts_and_ties_are_theirs() {
    let tensors = zoo(Fill::Coarse);
    let setup = Setup::new(&tensors);
    for compat in Compat::ALL {
        for sparsity in [0.0, 0.333, 1.0] {
            setup
                .check(&tensors, &Rule { compat, ..rule(Target::Sparsity(sparsity)) }, &|t, i| tensors[t].magnitude(i));
        }
    }
}

#[test]
fn random_goes_by_seed_and_place_alone() {
    let mut tensors = zoo(Fill::Normal);
    tensors.retain(|t| (0..t.len()).all(|i| t.magnitude(i) > 0.0));
    assert!(tensors.len() > 2);
    let setup = Setup::new(&tensors);
    let pruned = |seed, gpu: &Gpu, memory, unit| {
        let rule = Rule { score: Score::Random { seed }, unit, ..half() };
        let report = setup.prune(gpu, &rule, memory).unwrap();
        for (t, tensor) in report.tensors.iter().zip(setup.order.iter().map(|&t| &tensors[t])) {
            if unit == Unit::Weight {
                assert_eq!(t.zeros, Some(quota(0.47, tensor.len() as u64)));
            }
        }
        contents(&setup.file("out.safetensors"), &tensors)
    };
    for unit in [Unit::Weight, Unit::Row, Unit::Block { rows: 2, cols: 2 }] {
        let one = pruned(7, common::gpu(), MEMORIES[0], unit);
        for (how, gpu) in gpus() {
            assert!(one == pruned(7, &gpu, MEMORIES[1], unit), "{how} {unit:?}");
        }
        assert!(one != pruned(8, common::gpu(), MEMORIES[1], unit));
    }
}

#[test]
fn files_of_scores_that_do_not_fit_are_refused_and_nothing_is_written() {
    let tensors =
        vec![tensor("a", Dtype::F32, &[6, 8], Fill::Normal, 1), tensor("b", Dtype::F32, &[4, 8], Fill::Normal, 2)];
    let setup = Setup::new(&tensors);
    let refused = |name: &str, of: &[(&str, Vec<usize>, Vec<f32>)], says: &[&str]| {
        let activations = setup.scores(name, of);
        let rule = Rule { score: Score::Wanda { activations }, ..half() };
        let error = setup.prune(common::gpu(), &rule, MEMORIES[1]).unwrap_err().to_string();
        says.iter().for_each(|part| assert!(error.contains(part), "{part}: {error}"));
        assert!(!setup.file("out.safetensors").exists());
    };
    let good = |name: &'static str| (name, vec![8], vec![1.0f32; 8]);
    refused("missing", &[good("a")], &["no norms of the inputs", "`b`"]);
    refused("short", &[good("a"), ("b", vec![7], vec![1.0; 7])], &["7 norms for 8 inputs", "`b`"]);
    let bad = |value: f32| ("b", vec![8], [vec![1.0f32; 5], vec![value; 3]].concat());
    refused("nan", &[good("a"), bad(f32::NAN)], &["number 5", "finite", "`b`"]);
    refused("negative", &[good("a"), bad(-1.0)], &["number 5", "not negative", "`b`"]);
}
