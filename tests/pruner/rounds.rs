//! Rounds of pruning: a sparsity of what is not zero yet.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use lopper::checkpoint::Checkpoint;
use lopper::pruner::{Against, Compat, Options, Recipe, Rule, Scope, Target, Unit, verify};

use super::common;

const MODEL: &str = concat!(env!("LOPPER_TEST_ROOT"), "/tests/data/silero_vad_16k.safetensors");

/// All matrices of the model, or what is left of it: F32.
fn matrices(path: &Path) -> Vec<Vec<f32>> {
    let checkpoint = Checkpoint::open(path).unwrap();
    let all = checkpoint.tensors().iter().enumerate().filter(|(_, info)| info.shape.len() > 1);
    let read = |(number, info): (usize, &lopper::checkpoint::TensorInfo)| {
        let mut bytes = vec![0; info.bytes() as usize];
        checkpoint.read_at(number, 0, &mut bytes).unwrap();
        bytemuck::pod_collect_to_vec(&bytes)
    };
    all.map(read).collect()
}

/// Zeroes the smallest of what is not zero in all of these together, ties by place.
fn round(matrices: &mut [&mut Vec<f32>], sparsity: f64) {
    let mut left: Vec<(f32, usize, usize)> = Vec::new();
    for (m, matrix) in matrices.iter().enumerate() {
        left.extend(matrix.iter().enumerate().filter(|(_, w)| **w != 0.0).map(|(i, w)| (w.abs(), m, i)));
    }
    left.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let goes = (sparsity * left.len() as f64).round_ties_even() as usize;
    left[..goes].iter().for_each(|&(_, m, i)| matrices[m][i] = 0.0);
}

#[test]
fn a_round_prunes_among_what_the_last_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: String| -> PathBuf { folder.path().join(name) };
    for scope in [Scope::Tensor, Scope::Global] {
        let recipe = Recipe::from(Rule { scope, ..Rule::new(Target::Sparsity(0.5)) });
        let (mut input, mut expected) = (PathBuf::from(MODEL), matrices(Path::new(MODEL)));
        for n in 0..3 {
            let output = at(format!("{scope:?}{n}.safetensors"));
            let again = recipe.among_remaining(&Checkpoint::open(&input).unwrap()).unwrap();
            let go_on = |_: &_| ControlFlow::Continue(());
            common::pruner(common::gpu()).prune(&input, &output, &again, &Options::default(), &go_on).unwrap();
            match scope {
                Scope::Global => round(&mut expected.iter_mut().collect::<Vec<_>>(), 0.5),
                _ => expected.iter_mut().for_each(|matrix| round(&mut [matrix], 0.5)),
            }
            let found = matrices(&output);
            let zeros = |all: &[Vec<f32>]| all.iter().flatten().filter(|w| **w == 0.0).count();
            assert_eq!(zeros(&found), zeros(&expected), "{scope:?}, round {n}");
            assert!(found == expected, "{scope:?}, round {n}");
            // What is in the metadata says the same.
            assert!(verify(&input, &output, Against::Own, &|_, _| {}).unwrap().ok());
            input = output;
        }
    }
}

#[test]
fn rounds_that_are_not_counted_are_refused() {
    let checkpoint = Checkpoint::open(Path::new(MODEL)).unwrap();
    let half = || Rule::new(Target::Sparsity(0.5));
    for (rule, why) in [
        (Rule { scope: Scope::Row, ..half() }, "scope row"),
        (Rule { unit: Unit::Row, ..half() }, "units"),
        (Rule { compat: Compat::Wanda, ..half() }, "this peer"),
    ] {
        let message = Recipe::from(rule).among_remaining(&checkpoint).unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
    }
    // Others stay what they are.
    let keep = Recipe::from(Rule::new(Target::Keep(7)));
    assert_eq!(keep.among_remaining(&checkpoint).unwrap(), keep);
}
