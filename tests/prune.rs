//! Whole checkpoints through every path of the scheduler, against a plain sort: resident and streamed, direct and
//! staged, every scope, every element type, from memory for a few kilobytes of weights up.

mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{Fill, file_dtype, gpus, weights};
use lopper::Dtype;
use lopper::gpu::Gpu;
use lopper::pruner::{
    Action, Against, Options, Progress, Report, Rule, Scope, Score, Selection, Target, Unit, quota, verify,
};
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize_to_file};

/// The least memory that works, and one in which a few chunks make a matrix.
const TINY: u64 = 128 << 10;
const SMALL: u64 = 400 << 10;

struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn tensor(name: &str, dtype: Dtype, shape: &[usize], fill: Fill, seed: u64) -> Tensor {
    let cols = shape[1..].iter().product();
    Tensor { name: name.into(), dtype, shape: shape.into(), bytes: weights(dtype, shape[0], cols, fill, seed) }
}

/// Writes the tensors with the official implementation, which puts them in an order of its own; returns that order.
fn save(tensors: &[Tensor], path: &Path) -> Vec<usize> {
    let views: Vec<_> = tensors
        .iter()
        .map(|t| (t.name.clone(), TensorView::new(file_dtype(t.dtype), t.shape.clone(), &t.bytes).unwrap()))
        .collect();
    serialize_to_file(views, None, path).unwrap();
    let checkpoint = lopper::checkpoint::Checkpoint::open(path).unwrap();
    let number = |name: &str| tensors.iter().position(|t| t.name == name).unwrap();
    checkpoint.tensors().iter().map(|t| number(&t.name)).collect()
}

/// What must come out: by sorting `(common key, place)` of all that compete.
fn expected(tensors: &[Tensor], order: &[usize], scope: Scope, target: Target) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = tensors.iter().map(|t| t.bytes.clone()).collect();
    let mut pools: Vec<Vec<(u32, usize, usize)>> = Vec::new();
    for &t in order {
        let tensor = &tensors[t];
        let keys = (0..tensor.bytes.len() / tensor.dtype.size())
            .map(|i| (tensor.dtype.common_key(tensor.dtype.key(&tensor.bytes, i)), t, i));
        match scope {
            Scope::Tensor => pools.push(keys.collect()),
            Scope::Row => {
                let cols = tensor.shape[1..].iter().product();
                pools.extend(keys.collect::<Vec<_>>().chunks(cols).map(<[_]>::to_vec));
            }
            Scope::Global if pools.is_empty() => pools.push(keys.collect()),
            Scope::Global => pools[0].extend(keys),
            Scope::Group(_) => unreachable!("not asked for here"),
        }
    }
    for mut pool in pools {
        let n = pool.len() as u64;
        // Stable: ties stay in the order of the file.
        pool.sort_by_key(|&(key, ..)| key);
        let go = match target {
            Target::Sparsity(s) => quota(s, n),
            Target::Keep(keep) => n - keep,
            Target::Threshold(t) => {
                pool.iter().filter(|&&(key, ..)| f64::from(f32::from_bits(key)) <= t).count() as u64
            }
        };
        for &(_, t, i) in &pool[..go as usize] {
            let size = tensors[t].dtype.size();
            out[t][i * size..(i + 1) * size].fill(0);
        }
    }
    out
}

fn prune(gpu: &Gpu, input: &Path, output: &Path, rule: &Rule, memory: u64) -> lopper::Result<Report> {
    let options = Options { memory, force: true, ..Options::default() };
    common::pruner(gpu).prune(input, output, &rule.into(), &options, &|_| ControlFlow::Continue(()))
}

fn rule(scope: Scope, target: Target) -> Rule {
    Rule { scope, selection: Selection { all: true, ..Selection::default() }, ..Rule::new(target) }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Prunes in every way there is, and holds every result against the same expectation.
fn check(tensors: &[Tensor], scope: Scope, target: Target, memories: &[u64]) {
    let folder = Folder::new();
    let (input, output) = (folder.file("in.safetensors"), folder.file("out.safetensors"));
    let order = save(tensors, &input);
    let want = expected(tensors, &order, scope, target);
    for (how, gpu) in gpus() {
        for &memory in memories {
            let report = prune(&gpu, &input, &output, &rule(scope, target), memory).unwrap();
            let bytes = std::fs::read(&output).unwrap();
            let read = SafeTensors::deserialize(&bytes).unwrap();
            for (tensor, want) in tensors.iter().zip(&want) {
                let about = format!("{} {scope:?} {target:?} {how} {memory}", tensor.name);
                let got = read.tensor(&tensor.name).unwrap();
                assert!(got.data() == want, "{about}: the weights differ");
                let reported = report.tensors.iter().find(|r| r.name == tensor.name).unwrap();
                let zeros = |bytes: &[u8]| {
                    let n = bytes.len() / tensor.dtype.size();
                    (0..n).filter(|&i| tensor.dtype.key(bytes, i) == 0).count() as u64
                };
                assert_eq!(reported.action, Action::Prune, "{about}");
                assert_eq!(reported.zeros_before, Some(zeros(&tensor.bytes)), "{about}: zeros before");
                assert_eq!(reported.zeros, Some(zeros(want)), "{about}: zeros after");
            }
            let found = verify(&input, &output, Against::Own, &|_, _| {}).unwrap();
            assert!(found.ok(), "{scope:?} {target:?} {how} {memory}: {:?}", found.mismatches);
        }
    }
}

fn zoo(fill: Fill) -> Vec<Tensor> {
    Dtype::ALL
        .into_iter()
        .enumerate()
        .flat_map(|(i, dtype)| {
            let seed = 10 * i as u64;
            [
                tensor(&format!("{dtype}.a"), dtype, &[37, 129], fill, seed + 1),
                tensor(&format!("{dtype}.b"), dtype, &[64, 640], fill, seed + 2),
                tensor(&format!("{dtype}.c"), dtype, &[5, 3, 2, 2], fill, seed + 3),
            ]
        })
        .collect()
}

const TARGETS: [Target; 4] =
    [Target::Sparsity(0.5), Target::Sparsity(0.0), Target::Sparsity(1.0), Target::Threshold(0.0123)];

#[test]
fn every_scope_target_and_type_is_exact_in_any_memory() {
    for fill in [Fill::Normal, Fill::Coarse, Fill::Sparse] {
        let tensors = zoo(fill);
        for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
            for target in TARGETS {
                check(&tensors, scope, target, &[TINY, SMALL, 64 << 20]);
            }
        }
    }
}

#[test]
fn any_bits_are_pruned_in_the_order_of_their_keys() {
    let tensors = zoo(Fill::Bits);
    for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
        check(&tensors, scope, Target::Sparsity(0.61), &[TINY, 64 << 20]);
    }
}

#[test]
fn so_many_are_kept_as_are_asked() {
    let tensors =
        [tensor("a", Dtype::BF16, &[64, 640], Fill::Coarse, 1), tensor("b", Dtype::F32, &[8, 77], Fill::Normal, 2)];
    check(&tensors, Scope::Tensor, Target::Keep(77), &[TINY, SMALL]);
    check(&tensors, Scope::Row, Target::Keep(76), &[TINY, SMALL]);
    check(&tensors, Scope::Global, Target::Keep(40_000), &[TINY, SMALL]);
}

#[test]
fn all_equal_and_all_nan_go_lowest_index_first() {
    for fill in [Fill::Equal, Fill::Nan] {
        let tensors = [tensor("a", Dtype::F16, &[64, 999], fill, 1), tensor("b", Dtype::F8E4M3, &[33, 1000], fill, 2)];
        for scope in [Scope::Tensor, Scope::Row, Scope::Global] {
            check(&tensors, scope, Target::Sparsity(0.37), &[TINY, SMALL]);
        }
    }
}

#[test]
fn rows_longer_than_a_chunk_are_pruned_each_by_itself() {
    let tensors = [tensor("long", Dtype::F32, &[3, 50_001], Fill::Coarse, 7)];
    check(&tensors, Scope::Row, Target::Sparsity(0.5), &[TINY, SMALL, 64 << 20]);
}

#[test]
fn a_report_says_what_the_cut_was() {
    let folder = Folder::new();
    let (input, output) = (folder.file("in.safetensors"), folder.file("out.safetensors"));
    let tensors = [tensor("w", Dtype::BF16, &[64, 1000], Fill::Normal, 3)];
    save(&tensors, &input);
    let mut keys: Vec<u32> = (0..64_000).map(|i| Dtype::BF16.key(&tensors[0].bytes, i)).collect();
    keys.sort_unstable();
    for (scope, memory) in [(Scope::Tensor, 64 << 20), (Scope::Tensor, TINY), (Scope::Global, SMALL)] {
        let report = prune(common::gpu(), &input, &output, &rule(scope, Target::Sparsity(0.3)), memory).unwrap();
        let reported = &report.tensors[0];
        let key = keys[19_199];
        let ties = keys.iter().filter(|&&other| other == key).count() as u64;
        let below = keys.iter().filter(|&&other| other < key).count() as u64;
        assert_eq!(reported.cut, Some(Dtype::BF16.magnitude(key)));
        assert_eq!((reported.ties, reported.ties_pruned), (Some(ties), Some(19_200 - below)));
        assert_eq!(report.totals.zeros, 19_200);
        assert_eq!(report.bytes_written, std::fs::metadata(&output).unwrap().len());
        assert!(report.bytes_read >= 128_000);
    }
}

#[test]
fn an_input_that_changes_or_shrinks_in_a_run_ends_it_and_nothing_is_written() {
    let folder = Folder::new();
    let (input, output) = (folder.file("in.safetensors"), folder.file("out.safetensors"));
    let open = || std::fs::File::options().write(true).open(&input).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    type Change<'a> = (&'a (dyn Fn() + Sync), &'a str);
    let changes: [Change<'_>; 3] = [
        (&|| open().set_modified(later).unwrap(), "written to while it was read"),
        (&|| open().set_len(1 << 22).unwrap(), "written to while it was read"),
        (&|| open().set_len(2000).unwrap(), "while it was read"),
    ];
    for (_, gpu) in gpus() {
        for (change, says) in changes {
            for scope in [Scope::Tensor, Scope::Global] {
                save(&zoo(Fill::Normal), &input);
                let once = std::sync::Once::new();
                let progress = |_: &Progress| {
                    once.call_once(change);
                    ControlFlow::Continue(())
                };
                let (rule, options) =
                    (rule(scope, Target::Sparsity(0.5)), Options { memory: TINY, ..Options::default() });
                let error =
                    common::pruner(&gpu).prune(&input, &output, &(&rule).into(), &options, &progress).unwrap_err();
                let error = error.to_string();
                assert!(once.is_completed() && error.contains(says) && error.contains("in.safetensors"), "{error}");
                assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 1, "only the input is there");
            }
        }
    }
}

#[test]
fn too_little_memory_is_refused_with_both_numbers() {
    let folder = Folder::new();
    let (input, output) = (folder.file("in.safetensors"), folder.file("out.safetensors"));
    save(&[tensor("w", Dtype::F32, &[4, 4], Fill::Normal, 1)], &input);
    let error = prune(common::gpu(), &input, &output, &rule(Scope::Tensor, Target::Sparsity(0.5)), 1000).unwrap_err();
    assert!(matches!(error, lopper::Error::Memory { have: 1000, need } if need > 1000), "{error}");
    assert!(!output.exists());
}

#[test]
fn every_adapter_writes_the_same_bytes() {
    let folder = Folder::new();
    let input = folder.file("in.safetensors");
    save(&zoo(Fill::Coarse), &input);
    let mut outputs: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
    for (index, info) in pollster::block_on(lopper::gpu::adapters()).into_iter().enumerate() {
        if let Some(why) = &info.unfit {
            eprintln!("not used: {why}");
            continue;
        }
        let gpu = pollster::block_on(Gpu::open(Some(&index.to_string()))).unwrap();
        let output = folder.file("out.safetensors");
        let by_scope = [Scope::Tensor, Scope::Row, Scope::Global].map(|scope| rule(scope, Target::Sparsity(0.42)));
        let [weights, ..] = by_scope.clone();
        let by_unit = [Unit::Row, Unit::Column, Unit::Block { rows: 2, cols: 2 }];
        let by_unit = by_unit.map(|unit| Rule { unit, ..weights.clone() });
        let random =
            [Unit::Weight, Unit::Row].map(|unit| Rule { unit, score: Score::Random { seed: 7 }, ..weights.clone() });
        let groups = Rule { target: Target::Keep(2), scope: Scope::Group(4), ..weights.clone() };
        let rules = by_scope.into_iter().chain(by_unit).chain(random).chain([groups]);
        let files = rules.map(|rule| {
            prune(&gpu, &input, &output, &rule, SMALL).unwrap();
            std::fs::read(&output).unwrap()
        });
        eprintln!("used: {} ({}, {})", info.name, info.backend, info.driver);
        outputs.push((info.name, files.collect()));
    }
    assert!(!outputs.is_empty(), "there is no adapter");
    for (name, files) in &outputs[1..] {
        assert!(*files == outputs[0].1, "{name} and {} differ", outputs[0].0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shapes_types_rules_and_memory(
        shapes in prop::collection::vec((0..5usize, 1..40usize, 1..3000usize, 0..6usize), 1..4),
        scope in 0..3usize,
        sparsity in 0.0..=1.0f64,
        memory in TINY..2 * SMALL,
        seed in any::<u64>(),
    ) {
        let tensors: Vec<Tensor> = shapes
            .iter()
            .enumerate()
            .map(|(i, &(dtype, rows, cols, fill))| {
                tensor(&format!("t{i}"), Dtype::ALL[dtype], &[rows, cols], Fill::ALL[fill], seed.wrapping_add(i as u64))
            })
            .collect();
        let scope = [Scope::Tensor, Scope::Row, Scope::Global][scope];
        check(&tensors, scope, Target::Sparsity(sparsity), &[memory]);
    }
}
