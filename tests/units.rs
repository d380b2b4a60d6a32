//! Units, scores, layouts and peers' counts from file to file, against indices and sums spelled out here: rows, columns,
//! blocks, groups; resident and streamed, direct and staged. `verify` must find all of it right, and any one weight of it
//! wrong.

mod common;
#[path = "units/expected.rs"]
mod expected;
#[path = "units/grow.rs"]
mod grow;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Fill, file_dtype, gpus};
use expected::{Tensor, expected, tensor, zoo};
use lopper::checkpoint::Checkpoint;
use lopper::gpu::Gpu;
use lopper::pruner::{
    self, Against, Compat, Layout, Norm, Options, Report, Rule, Scope, Score, Selection, Target, Unit, quota,
};
use lopper::{Dtype, Error};
use safetensors::tensor::{TensorView, serialize_to_file};
use safetensors::{Dtype as FileDtype, SafeTensors};

/// The least memory that works, and enough for all.
const MEMORIES: [u64; 2] = [520 << 10, 64 << 20];

fn view<'a>(dtype: FileDtype, shape: &[usize], bytes: &'a [u8]) -> TensorView<'a> {
    TensorView::new(dtype, shape.to_vec(), bytes).unwrap()
}

/// Tensors in a folder of their own, and the order in which they lie in the file.
struct Setup {
    folder: tempfile::TempDir,
    order: Vec<usize>,
    checks: AtomicUsize,
}

impl Setup {
    fn new(tensors: &[Tensor]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.safetensors");
        let views = tensors.iter().map(|t| (t.name, view(file_dtype(t.dtype), &t.shape, &t.bytes)));
        serialize_to_file(views, None, &input).unwrap();
        let checkpoint = Checkpoint::open(&input).unwrap();
        let number = |name: &str| tensors.iter().position(|t| t.name == name).unwrap();
        Self {
            folder,
            order: checkpoint.tensors().iter().map(|t| number(&t.name)).collect(),
            checks: AtomicUsize::new(0),
        }
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
        common::pruner(gpu).prune(&input, &output, &rule.into(), &options, &|_| ControlFlow::Continue(()))
    }

    /// Prunes in every way there is, and holds every result against the same expectation.
    fn check(&self, tensors: &[Tensor], rule: &Rule, score: &dyn Fn(usize, usize) -> f64) {
        let want = expected(tensors, &self.order, rule, score);
        // Little memory with one kind of slots and much with the other, in turns.
        let turn = self.checks.fetch_add(1, Ordering::Relaxed);
        for (i, (how, gpu)) in gpus().into_iter().enumerate() {
            let memory = MEMORIES[(i + turn) % 2];
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
                    "{} bytes of {} differ ({}, {} zeros): {about}",
                    differ,
                    tensor.name,
                    zeros(&got),
                    zeros(want)
                );
                let reported = report.tensors.iter().find(|r| r.name == tensor.name).unwrap();
                assert_eq!(reported.zeros_before, Some(zeros(&tensor.bytes)), "{about}: zeros before");
                assert_eq!(reported.zeros, Some(zeros(want)), "{about}: zeros after");
            }
            if i == 0 {
                self.check_verify(tensors, &want, rule);
            }
        }
    }

    /// Holds the output against its rule; and, with one weight that went put back, or one that stayed taken away, too.
    fn check_verify(&self, tensors: &[Tensor], want: &[Vec<u8>], rule: &Rule) {
        let (input, output) = (self.file("in.safetensors"), self.file("out.safetensors"));
        let recipe = rule.into();
        let verify = |path: &Path, against| pruner::verify(&input, path, against, &|_, _| {}).unwrap();
        for against in [Against::Recipe(&recipe), Against::Own] {
            let found = verify(&output, against);
            assert!(found.ok(), "{rule:?}: {}", found.mismatches[0]);
            let scores_unknown =
                matches!((&against, &rule.score), (Against::Own, Score::Wanda { .. } | Score::File { .. }));
            assert_eq!(found.recipe.is_some() && found.unchecked.is_empty(), !scores_unknown, "{rule:?}");
        }
        let doctored = self.file("doctored.safetensors");
        let (mut file, mut doctored_weights) = (std::fs::read(&output).unwrap(), 0);
        let start = |name: &str| {
            let checkpoint = Checkpoint::open(&output).unwrap();
            checkpoint.tensors().iter().find(|t| t.name == name).unwrap().range.start as usize
        };
        for (tensor, want) in tensors.iter().zip(want) {
            let size = tensor.dtype.size();
            let weight = |bytes: &[u8], i: usize| bytes[i * size..(i + 1) * size].to_vec();
            // Of what was zero before no one can tell, unless it goes first.
            let zero = |i: usize| tensor.dtype.bits(&tensor.bytes, i) == 0;
            if rule.score != Score::Magnitude && (0..tensor.len()).any(zero) {
                continue;
            }
            let middle_out = |goes: bool| {
                let goes = |i: &usize| (tensor.dtype.bits(want, *i) == 0) == goes && tensor.magnitude(*i) > 0.0;
                (tensor.len() / 2..tensor.len()).chain(0..tensor.len() / 2).find(goes)
            };
            for (i, wrong) in [(middle_out(true), true), (middle_out(false), false)] {
                let Some(i) = i else { continue };
                let at = start(tensor.name) + i * size;
                let right = file[at..at + size].to_vec();
                let other = if wrong { weight(&tensor.bytes, i) } else { vec![0; size] };
                file[at..at + size].copy_from_slice(&other);
                std::fs::write(&doctored, &file).unwrap();
                let found = verify(&doctored, Against::Recipe(&recipe));
                assert!(!found.ok(), "{rule:?}: weight {i} of {} {wrong}", tensor.name);
                doctored_weights += 1;
                file[at..at + size].copy_from_slice(&right);
            }
        }
        assert!(doctored_weights > 0, "{rule:?}: {doctored_weights}");
    }
}

fn contents(path: &Path, tensors: &[Tensor]) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    tensors.iter().map(|t| read.tensor(t.name).unwrap().data().to_vec()).collect()
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
    let blocks = [Unit::Block { rows: 2, cols: 3 }, Unit::Block { rows: 3, cols: 4 }];
    let units = [Unit::Row, Unit::Column, Unit::Kernel].into_iter().chain(blocks);
    for (number, unit) in units.enumerate() {
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
