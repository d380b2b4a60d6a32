//! Runs that do not finish, wherever they are stopped: the next one goes on, and ends with the same bytes and the same
//! report, or says why it cannot.

mod common;
#[cfg(target_os = "linux")]
#[path = "resume/disk.rs"]
mod disk;
#[path = "resume/faults.rs"]
mod faults;
#[cfg(unix)]
#[path = "resume/kills.rs"]
mod kills;
#[path = "resume/progress.rs"]
mod progress;
#[path = "resume/refused.rs"]
mod refused;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Fill, weights};
use lopper::pruner::{
    Compat, Earlier, Layout, Options, Pass, Progress, Pruner, Report, Rule, Scope, Score, Target, Unit,
};
use lopper::{Dtype, Error};
use safetensors::Dtype as FileDtype;
use safetensors::tensor::{TensorView, serialize_to_file};

/// The least memory that works, one in which a few chunks make a matrix, and one in which all are resident.
const MEMORIES: [u64; 3] = [128 << 10, 400 << 10, 16 << 20];

/// Three shards: matrices of three types, some larger than little memory holds, and what is copied, tensors without
/// weights and without dimensions among it.
fn write_shards(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    type Tensor<'a> = (&'a str, Dtype, FileDtype, &'a [usize], Fill);
    let shards: [&[Tensor<'_>]; 3] = [
        &[
            ("a.weight", Dtype::F32, FileDtype::F32, &[70, 500], Fill::Normal),
            ("b.weight", Dtype::BF16, FileDtype::BF16, &[33, 1000], Fill::Coarse),
            ("b.bias", Dtype::BF16, FileDtype::BF16, &[33], Fill::Normal),
        ],
        &[
            ("c.weight", Dtype::BF16, FileDtype::BF16, &[3, 40_000], Fill::Normal),
            ("d.weight", Dtype::F16, FileDtype::F16, &[64, 64], Fill::Sparse),
            ("none.weight", Dtype::F32, FileDtype::F32, &[0, 7], Fill::Normal),
            ("scale", Dtype::F32, FileDtype::F32, &[], Fill::Equal),
        ],
        &[
            ("embed.weight", Dtype::F32, FileDtype::F32, &[400, 100], Fill::Normal),
            ("e.weight", Dtype::F16, FileDtype::F16, &[50, 700], Fill::Bits),
        ],
    ];
    for (number, tensors) in shards.iter().enumerate() {
        let data: Vec<(String, FileDtype, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|&(name, dtype, of, shape, fill)| {
                let all = shape.iter().product::<usize>();
                (name.to_string(), of, shape.to_vec(), weights(dtype, 1, all, fill, number as u64 + 3))
            })
            .collect();
        let views = data
            .iter()
            .map(|(name, of, shape, bytes)| (name.clone(), TensorView::new(*of, shape.clone(), bytes).unwrap()));
        serialize_to_file(views.collect::<Vec<_>>(), None, &folder.join(format!("{number}.safetensors"))).unwrap();
    }
    fs::write(folder.join("config.json"), "{}").unwrap();
}

fn rule(scope: Scope, target: Target) -> Rule {
    Rule { scope, ..Rule::new(target) }
}

struct Setup {
    temp: tempfile::TempDir,
    input: PathBuf,
    output: PathBuf,
}

impl Setup {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let (input, output) = (temp.path().join("in"), temp.path().join("out"));
        write_shards(&input);
        Self { temp, input, output }
    }

    /// A run that is stopped when `progress` has been called so often; how often it was called.
    fn run(&self, rule: &Rule, memory: u64, earlier: Earlier, stop_at: u64) -> (lopper::Result<Report>, u64) {
        let calls = AtomicU64::new(0);
        let progress = |_: &Progress| match calls.fetch_add(1, Ordering::Relaxed) {
            call if call + 1 >= stop_at => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let options = Options { memory, earlier, ..Options::default() };
        let report = common::pruner(common::gpu()).prune(&self.input, &self.output, &rule.into(), &options, &progress);
        (report, calls.into_inner())
    }

    /// The files of the output, which has no other; it is deleted.
    fn take_output(&self) -> Vec<(String, Vec<u8>)> {
        let files = files(&self.output);
        assert_eq!(files.len(), 4);
        fs::remove_dir_all(&self.output).unwrap();
        files
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_string(), fs::read(&path).unwrap())
    };
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(entry).collect();
    files.sort();
    files
}

/// The folder that a run left its work in.
fn left(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut left = entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".lopper-"));
    let first = left.next();
    assert!(left.next().is_none(), "one run leaves one folder");
    first
}

#[test]
fn a_run_goes_on_from_wherever_it_was_stopped() {
    let rules = [
        rule(Scope::Tensor, Target::Threshold(0.01)),
        rule(Scope::Tensor, Target::Sparsity(0.5)),
        rule(Scope::Row, Target::Sparsity(0.3)),
        rule(Scope::Global, Target::Sparsity(0.6)),
    ];
    goes_on_from_wherever_it_was_stopped(&rules, MEMORIES, 20);
}

#[test]
fn so_does_a_run_of_units() {
    let unit = |unit, scope| Rule { unit, ..rule(scope, Target::Sparsity(0.45)) };
    let rules = [
        rule(Scope::Group(4), Target::Keep(2)),
        unit(Unit::Row, Scope::Global),
        Rule { layout: Layout::InOut, ..unit(Unit::Column, Scope::Tensor) },
        unit(Unit::Block { rows: 2, cols: 3 }, Scope::Global),
        Rule { compat: Compat::WandaMagnitude, layout: Layout::InOut, ..unit(Unit::Weight, Scope::Tensor) },
        Rule { score: Score::Random { seed: 5 }, ..unit(Unit::Weight, Scope::Row) },
    ];
    goes_on_from_wherever_it_was_stopped(&rules, [1500 << 10, 2 << 20, 16 << 20], 20);
}

fn goes_on_from_wherever_it_was_stopped(rules: &[Rule], memories: [u64; 3], at_least: u64) {
    let setup = Setup::new();
    let mut resumed = 0;
    for rule in rules {
        let mut expected = None;
        for (i, memory) in memories.into_iter().enumerate() {
            let (report, calls) = setup.run(rule, memory, Earlier::Refuse, u64::MAX);
            // As text: a cut may be NaN.
            let whole = (setup.take_output(), format!("{:?}", report.unwrap().tensors));
            let (files, tensors) = expected.get_or_insert_with(|| whole.clone());
            assert!(*files == whole.0, "{rule:?} {memory}");
            assert_eq!(*tensors, whole.1, "{rule:?} {memory}");
            for stop_at in (1..=calls).step_by((calls / 3).max(1) as usize).chain([calls]) {
                let (stopped, _) = setup.run(rule, memory, Earlier::Refuse, stop_at);
                assert!(matches!(stopped.unwrap_err(), Error::Cancelled));
                let work = left(&setup.output);
                resumed += u64::from(work.is_some_and(|work| work.join("journal").exists()));
                // The next one may have another memory, and may be stopped too.
                let _ = setup.run(rule, memories[(i + 1) % 3], Earlier::Resume, stop_at / 2 + 1).0;
                if left(&setup.output).is_some() {
                    let (refused, calls) = setup.run(rule, memory, Earlier::Refuse, u64::MAX);
                    assert!(matches!(refused.unwrap_err(), Error::Output { .. }) && calls == 0);
                }
                if !setup.output.join("0.safetensors").exists() {
                    setup.run(rule, memories[(i + 2) % 3], Earlier::Resume, u64::MAX).0.unwrap();
                }
                assert!(setup.take_output() == whole.0, "{rule:?} {memory} stopped at {stop_at}");
            }
            // Reports too are the same.
            let half = setup.run(rule, memory, Earlier::Refuse, calls * 2 / 3).0.unwrap_err();
            assert!(matches!(half, Error::Cancelled));
            let report = setup.run(rule, memory, Earlier::Resume, u64::MAX).0.unwrap();
            assert_eq!((setup.take_output(), format!("{:?}", report.tensors)), whole);
        }
    }
    assert!(resumed > at_least, "{resumed} runs were resumed: this proves little");
    // The input is untouched, and nothing else is there.
    assert_eq!(fs::read_dir(setup.temp.path()).unwrap().count(), 1);
}
