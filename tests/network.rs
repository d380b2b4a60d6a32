//! Chains of layers, from TOML and a checkpoint to a forward pass, against the CPU twins.

mod common;

use common::product::{check, distance, floats, vectors};
use common::{Fill, buffer, gpu, poisoned, run, weights};
use lopper::checkpoint::Checkpoint;
use lopper::gpu::Tuning;
use lopper::kernels::Kernels;
use lopper::network::{Chain, Linear, Network, Storage};
use lopper::reference::{self, Matrix};
use lopper::safetensors::tensor::TensorView;
use lopper::sparse::Format;
use lopper::{Activation, Dtype, Shape};

const WIDTHS: [usize; 5] = [37, 64, 130, 9, 5];
const ACTIVATIONS: [&str; 4] = ["gelu", "relu", "silu", "none"];

struct Model {
    toml: String,
    checkpoint: Checkpoint,
    /// Weights and bias of each layer.
    layers: Vec<(Dtype, Vec<u8>, Option<Vec<f32>>)>,
    _folder: tempfile::TempDir,
}

fn model() -> Model {
    let (mut toml, mut layers) = (String::new(), Vec::new());
    let dtypes = [Dtype::F32, Dtype::BF16, Dtype::F16, Dtype::F32];
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (i, two) in WIDTHS.windows(2).enumerate() {
        let &[inputs, outputs] = two else { unreachable!() };
        let bytes = weights(dtypes[i], outputs, inputs, Fill::Sparse, i as u64 + 1);
        let bias = (i != 2).then(|| vectors(outputs, i as u64 + 20));
        toml += &format!("[[layer]]\nweight = \"fc{i}.weight\"\nactivation = \"{}\"\n", ACTIVATIONS[i]);
        tensors.push((format!("fc{i}.weight"), dtypes[i], vec![outputs, inputs], bytes.clone()));
        if let Some(bias) = &bias {
            toml += &format!("bias = \"fc{i}.bias\"\n");
            tensors.push((format!("fc{i}.bias"), Dtype::F32, vec![outputs], bytemuck::cast_slice(bias).to_vec()));
        }
        layers.push((dtypes[i], bytes, bias));
    }
    tensors.push(("bytes".into(), Dtype::F8E4M3, vec![5, 9], vec![1; 45]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.clone(), TensorView::new(common::file_dtype(*dtype), shape.clone(), bytes).unwrap())
    });
    std::fs::write(&path, lopper::safetensors::serialize(views, None).unwrap()).unwrap();
    Model { toml, checkpoint: Checkpoint::open(&path).unwrap(), layers, _folder: folder }
}

fn expected(model: &Model, x: &[f32]) -> Vec<f64> {
    let mut x = x.to_vec();
    for (i, (dtype, bytes, bias)) in model.layers.iter().enumerate() {
        let shape = Shape::new(WIDTHS[i + 1] as u64, WIDTHS[i] as u64);
        let activation = Activation::ALL.into_iter().find(|known| known.name() == ACTIVATIONS[i]).unwrap();
        x = reference::gemm(Matrix::dense(*dtype, shape, bytes), &x, bias.as_deref(), activation);
    }
    x.into_iter().map(f64::from).collect()
}

#[test]
fn forward_passes_are_those_of_the_twins_however_weights_are_stored() {
    let model = model();
    let chain = Chain::from_toml(&model.toml).unwrap();
    let storages = [
        Storage::Dense,
        Storage::Sparse(Format::Bitmask),
        Storage::Sparse(Format::SlicedEll { slice: 8 }),
        Storage::Sparse(Format::Csr),
        Storage::Sparse(Format::Block { rows: 4, cols: 4 }),
        Storage::Auto { columns: 1 },
    ];
    for tuning in [Tuning::CPU, Tuning::GPU] {
        let kernels = Kernels::new(gpu().device(), tuning);
        for storage in storages {
            let (network, reasons) = Network::load(gpu().device(), tuning, &chain, &model.checkpoint, storage).unwrap();
            assert_eq!((network.inputs(), network.outputs(), reasons.len()), (37, 5, 4), "{reasons:?}");
            for columns in [1, 3, 7] {
                let x = vectors(37 * columns, 3);
                let (x_buffer, y) = (buffer(bytemuck::cast_slice(&x)), poisoned(4 * 5 * columns as u64));
                let pass = network.prepare(gpu().device(), &kernels, columns as u32, &x_buffer, &y).unwrap();
                for _ in 0..2 {
                    run(|encoder| pass.record(encoder));
                    check();
                    let apart = distance(&floats(&y), &expected(&model, &x));
                    assert!(apart <= 1e-5, "{tuning:?} {storage:?} x {columns}: {apart:e}");
                }
            }
        }
    }
}

#[test]
fn auto_says_what_and_why() {
    let shape = Shape::new(4096, 4096);
    let auto = |tuning, dtype, gone: f64, columns| {
        Format::auto(tuning, dtype, shape, ((1.0 - gone) * shape.weights() as f64) as u64, columns)
    };
    for (tuning, dtype, gone, columns, want) in [
        (Tuning::CPU, Dtype::F32, 0.2, 1, None),
        (Tuning::CPU, Dtype::F32, 0.5, 1, Some(Format::SlicedEll { slice: 8 })),
        (Tuning::CPU, Dtype::F32, 0.5, 16, None),
        (Tuning::CPU, Dtype::F8E4M3, 0.9, 1, None),
        (Tuning::GPU, Dtype::F16, 0.1, 1, None),
        (Tuning::GPU, Dtype::F16, 0.5, 1, None),
        (Tuning::GPU, Dtype::F16, 0.7, 4, None),
        (Tuning::GPU, Dtype::F16, 0.7, 1, Some(Format::SlicedEll { slice: 32 })),
        (Tuning::GPU, Dtype::F16, 0.5, 16, None),
        (Tuning::GPU, Dtype::F32, 0.97, 16, Some(Format::SlicedEll { slice: 32 })),
        (Tuning::GPU, Dtype::F8E5M2, 0.9, 1, None),
    ] {
        let choice = auto(tuning, dtype, gone, columns);
        assert_eq!(choice.format, want, "{}", choice.why);
        assert!(!choice.why.is_empty());
    }
    let wide = Format::auto(Tuning::CPU, Dtype::F32, Shape::new(1, 70_000), 10, 1);
    assert!(wide.format.is_none() && wide.why.contains("70000 columns"), "{}", wide.why);
}

#[test]
fn bad_chains_are_refused() {
    for (toml, part) in [
        ("", "no layers"),
        ("[layer]\nweight = \"a\"", "list of `[[layer]]`"),
        ("layer = [1]", "layer 1: it is no table"),
        ("[[layer]]\nbias = \"a\"", "layer 1: it has no `weight`"),
        ("[[layer]]\nweight = 3", "`weight` is to be a word"),
        ("[[layer]]\nweight = \"a\"\nactivation = \"tanh\"", "unknown activation `tanh`"),
        ("[[layer]]\nweight = \"a\"\n\n[[layer]]\nweights = \"a\"", "line 4: layer 2: unknown key `weights`"),
        ("[[layer", "no TOML"),
    ] {
        let error = Chain::from_toml(toml).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let model = model();
    for (toml, storage, part) in [
        ("[[layer]]\nweight = \"nowhere\"", Storage::Dense, "`nowhere`: the checkpoint has none"),
        ("[[layer]]\nweight = \"fc0.bias\"", Storage::Dense, "1 dimensions, weights have 2"),
        ("[[layer]]\nweight = \"bytes\"", Storage::Dense, "F8_E4M3"),
        ("[[layer]]\nweight = \"fc0.weight\"\nbias = \"fc1.bias\"", Storage::Dense, "130 numbers"),
        ("[[layer]]\nweight = \"fc0.weight\"\nbias = \"fc3.weight\"", Storage::Dense, "a bias of 64"),
        (
            "[[layer]]\nweight = \"fc0.weight\"\n[[layer]]\nweight = \"fc2.weight\"",
            Storage::Dense,
            "layer 1 gives 64 numbers, layer 2 takes 130",
        ),
        (
            "[[layer]]\nweight = \"fc0.weight\"",
            Storage::Sparse(Format::Nm { keep: 1, of: 16 }),
            "groups keep more than 1 of 16",
        ),
    ] {
        let chain = Chain::from_toml(toml).unwrap();
        let loaded = Network::load(gpu().device(), gpu().tuning(), &chain, &model.checkpoint, storage);
        let error = loaded.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(Network::new(Vec::new()).unwrap_err().to_string().contains("no layers"));
}

#[test]
fn bad_passes_are_refused_with_both_numbers() {
    let kernels = Kernels::new(gpu().device(), gpu().tuning());
    let bytes = [0; 4 * 6];
    let matrix = Matrix::dense(Dtype::F32, Shape::new(2, 3), &bytes);
    let layer = |bias: Option<&[f32]>| Linear::dense(gpu().device(), matrix, bias, Activation::None);
    assert!(layer(Some(&[1.0])).unwrap_err().to_string().contains("1 numbers for 2 rows"));
    let short = Matrix { bytes: &bytes[..20], ..matrix };
    let error = Linear::dense(gpu().device(), short, None, Activation::None).unwrap_err().to_string();
    assert!(error.contains("20 bytes") && error.contains("24"), "{error}");
    let network = Network::new(vec![layer(None).unwrap()]).unwrap();
    let (x, y) = (poisoned(12), poisoned(8));
    let refuse = |columns, x, y, part: &str| {
        let error = network.prepare(gpu().device(), &kernels, columns, x, y).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refuse(0, &x, &y, "0 vectors");
    refuse(2, &x, &y, "x: 12 bytes, 24 are needed");
    refuse(1, &y, &x, "x: 8 bytes, 12 are needed");
    refuse(1, &x, &x, "the buffer of x");
}
