//! Networks run on data, against `f64` on the host and known counts.

mod common;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{file_dtype, gpu};
use lopper::checkpoint::Checkpoint;
use lopper::infer::{Data, Runner, accuracy, distance};
use lopper::network::{Chain, Network, Storage};
use lopper::pruner::{Options, Recipe, Rule, Scope};
use lopper::safetensors::{self, Dtype as Stored, tensor::TensorView};
use lopper::{Dtype, Format, Target};

const DIGITS: &str = concat!(env!("LOPPER_TEST_ROOT"), "/examples/digits");

fn digits() -> (Chain, Checkpoint, Data) {
    let folder = Path::new(DIGITS);
    let chain = Chain::read(&folder.join("digits.toml")).unwrap();
    let checkpoint = Checkpoint::open(chain.checkpoint.as_ref().unwrap()).unwrap();
    let file = Checkpoint::open(&folder.join("digits.safetensors")).unwrap();
    let data = Data::load(&file, 64, Some("test.images"), None).unwrap();
    assert_eq!((data.count(), data.labels.as_ref().map(Vec::len)), (500, Some(500)));
    (chain, checkpoint, data)
}

fn floats(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let place = checkpoint.tensors().iter().position(|info| info.name == name).unwrap();
    let mut bytes = vec![0; checkpoint.tensors()[place].bytes() as usize];
    checkpoint.read_at(place, 0, &mut bytes).unwrap();
    bytemuck::pod_collect_to_vec(&bytes)
}

/// The outputs of each layer for one vector, in `f64`.
fn outputs(checkpoint: &Checkpoint, x: &[f32]) -> Vec<Vec<f64>> {
    let mut x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let layers = (1..=3).map(|n| {
        let (weights, bias) =
            (floats(checkpoint, &format!("fc{n}.weight")), floats(checkpoint, &format!("fc{n}.bias")));
        let y = weights.chunks_exact(x.len()).zip(bias).map(|(row, bias)| {
            let y = row.iter().zip(&x).map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(bias);
            if n < 3 { y.max(0.0) } else { y }
        });
        x = y.collect();
        x.clone()
    });
    layers.collect()
}

fn prune(from: &Path, rule: Rule) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("pruned.safetensors");
    let (recipe, options) = (Recipe::from(rule), Options::default());
    let pruner = common::pruner(gpu());
    pruner.prune(from, &output, &recipe, &options, &|_| ControlFlow::Continue(())).unwrap();
    (folder, output)
}

#[test]
fn a_classifier_is_as_right_as_it_is_known_to_be_in_every_form() {
    let (chain, checkpoint, data) = digits();
    let runner = Runner::new(gpu().clone());
    let (device, tuning) = (gpu().device(), gpu().tuning());
    let labels = data.labels.as_ref().unwrap();
    let right = |checkpoint: &Checkpoint, storage| {
        let (network, _) = Network::load(device, tuning, &chain, checkpoint, storage).unwrap();
        let given = runner.run(&network, &data.vectors).unwrap();
        let expected: Vec<f32> = data
            .vectors
            .chunks_exact(64)
            .flat_map(|x| outputs(checkpoint, x).pop().unwrap())
            .map(|y| y as f32)
            .collect();
        assert!(distance(&given, &expected) < 1e-5, "{storage:?}");
        assert_eq!(accuracy(&expected, 10, labels).unwrap(), accuracy(&given, 10, labels).unwrap(), "{storage:?}");
        accuracy(&given, 10, labels).unwrap()
    };
    assert_eq!(right(&checkpoint, Storage::Dense), 494);
    let sparse = [
        Format::Bitmask,
        Format::SlicedEll { slice: 8 },
        Format::Csr,
        Format::Macko,
        Format::Block { rows: 4, cols: 4 },
    ];
    let path = chain.checkpoint.as_ref().unwrap();
    for (sparsity, expected) in [(0.3, 496), (0.5, 481), (0.7, 444), (0.8, 291)] {
        let (_folder, pruned) = prune(path, Rule::new(Target::Sparsity(sparsity)));
        let pruned = Checkpoint::open(&pruned).unwrap();
        let forms = sparse.into_iter().map(Storage::Sparse).chain([Storage::Dense]);
        for storage in forms {
            assert_eq!(right(&pruned, storage), expected, "{sparsity} {storage:?}");
        }
        let place = pruned.tensors().iter().position(|info| info.name == "fc1.weight").unwrap();
        let (found, of) = pruned.zeros(place).unwrap();
        assert_eq!((found, of), ((8192.0 * sparsity).round() as u64, 8192));
    }
    let (_folder, pruned) = prune(path, Rule { scope: Scope::Group(4), ..Rule::new(Target::Keep(2)) });
    let pruned = Checkpoint::open(&pruned).unwrap();
    for storage in [Storage::Dense, Storage::Sparse(Format::Nm { keep: 2, of: 4 })] {
        assert_eq!(right(&pruned, storage), 421, "2:4 {storage:?}");
    }
}

#[test]
fn activations_are_those_of_every_layer() {
    let (chain, checkpoint, data) = digits();
    let runner = Runner::new(gpu().clone());
    let (network, _) = Network::load(gpu().device(), gpu().tuning(), &chain, &checkpoint, Storage::Dense).unwrap();
    let found = runner.activations(&network, &data.vectors).unwrap();
    let mut ins = [vec![0.0; 64], vec![0.0; 128], vec![0.0; 64]];
    let mut outs = [vec![0.0; 128], vec![0.0; 64], vec![0.0; 10]];
    for x in data.vectors.chunks_exact(64) {
        let mut x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let layers = outputs(&checkpoint, &x.iter().map(|x| *x as f32).collect::<Vec<_>>());
        for (layer, y) in layers.into_iter().enumerate() {
            ins[layer].iter_mut().zip(&x).for_each(|(sum, x)| *sum += x * x / 500.0);
            outs[layer].iter_mut().zip(&y).for_each(|(sum, y)| *sum += y.abs() / 500.0);
            x = y;
        }
    }
    for (layer, found) in found.iter().enumerate() {
        let close = |found: Vec<f32>, expected: Vec<f64>| {
            let expected: Vec<f32> = expected.into_iter().map(|x| x as f32).collect();
            assert_eq!(found.len(), expected.len());
            assert!(distance(&found, &expected) < 1e-5, "layer {layer}");
            assert!(found.iter().zip(&expected).all(|(a, b)| (*a == 0.0) == (*b == 0.0)), "layer {layer}");
        };
        close(found.norms(), ins[layer].iter().map(|sum: &f64| sum.sqrt()).collect());
        close(found.means(), outs[layer].clone());
    }
}

#[test]
fn passes_of_a_single_vector_and_of_many_say_the_same() {
    let (chain, checkpoint, data) = digits();
    let runner = Runner::new(gpu().clone());
    let (network, _) = Network::load(gpu().device(), gpu().tuning(), &chain, &checkpoint, Storage::Dense).unwrap();
    let many = runner.run(&network, &data.vectors[..64 * 5]).unwrap();
    for (i, x) in data.vectors.chunks_exact(64).take(5).enumerate() {
        let one = runner.run(&network, x).unwrap();
        assert!(distance(&one, &many[10 * i..10 * (i + 1)]) < 1e-6, "vector {i}");
    }
    assert!(runner.seconds(&network, &data.vectors[..128], 2, 3).unwrap() > 0.0);
    let wrong = [
        runner.run(&network, &[]).unwrap_err().to_string(),
        runner.run(&network, &data.vectors[..65]).unwrap_err().to_string(),
        runner.seconds(&network, &data.vectors[..65], 1, 1).unwrap_err().to_string(),
        runner.seconds(&network, &[], 0, 1).unwrap_err().to_string(),
    ];
    for message in wrong {
        assert!(message.starts_with("vectors: "), "{message}");
    }
}

#[test]
fn data_that_no_network_can_take_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.safetensors");
    let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let i32s = |values: &[i32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let tensors: Vec<(&str, Stored, Vec<usize>, Vec<u8>)> = vec![
        ("good", Stored::F32, vec![2, 3], f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        ("images", Stored::BF16, vec![1, 3, 2], vec![0; 12]),
        ("nan", Stored::F32, vec![1, 4], f32s(&[1.0, 2.0, f32::NAN, 0.0])),
        ("none", Stored::F32, vec![0, 5], vec![]),
        ("scalar", Stored::F32, vec![], f32s(&[1.0])),
        ("bytes", file_dtype(Dtype::F8E4M3), vec![2, 3], vec![0; 6]),
        ("labels", Stored::I32, vec![2], i32s(&[2, 0])),
        ("wide", Stored::I64, vec![2], [7i64, 1 << 40].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("negative", Stored::I32, vec![2], i32s(&[1, -1])),
        ("long", Stored::U8, vec![3], vec![1, 2, 3]),
    ];
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let file = Checkpoint::open(&path).unwrap();
    let data = Data::load(&file, 3, None, Some("labels")).unwrap();
    assert_eq!((data.count(), data.labels), (2, Some(vec![2, 0])));
    // Three tensors would do as labels: none is taken.
    assert_eq!(Data::load(&file, 3, None, None).unwrap().labels, None);
    assert_eq!(Data::load(&file, 6, Some("images"), None).unwrap().vectors, [0.0; 6]);
    let cases = [
        (3, Some("other"), None, "`other`: there is none of this name"),
        (3, Some("images"), None, "vectors of 6 numbers, the network takes 3"),
        (4, Some("nan"), None, "number 2 is NaN"),
        (5, Some("none"), None, "no vectors"),
        (1, Some("scalar"), None, "a scalar"),
        (3, Some("bytes"), None, "vectors are F32, F16 or BF16"),
        (7, None, None, "no tensor holds vectors of 7 numbers"),
        (3, None, Some("good"), "labels are integers"),
        (3, None, Some("long"), "shape [3], labels of 2 vectors are [2]"),
        (3, None, Some("negative"), "label 1 is no class"),
        (3, None, Some("wide"), "label 1 is no class"),
    ];
    for (width, inputs, labels, expected) in cases {
        let message = Data::load(&file, width, inputs, labels).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("data.safetensors"), "{message}");
    }
}
