//! Biases that make up for what went, against plain loops in `f64`.

use super::*;

/// Means of inputs, and means of their squares.
type Moments = (Vec<f64>, Vec<f64>);

/// A file of moments for all tensors that take units: means, and mean squares.
fn moments(folder: &Path, of: &[(String, usize)]) -> (std::path::PathBuf, Vec<Moments>) {
    let mut random = common::Random::new(3);
    let mut file = Model::of(Dtype::F32);
    let mut all = Vec::new();
    for (name, inputs) in of {
        let means: Vec<f32> = (0..*inputs).map(|_| random.normal() as f32).collect();
        let squares: Vec<f32> = means.iter().map(|mean| mean * mean + random.unit() as f32).collect();
        let bytes = means.iter().chain(&squares).flat_map(|v| v.to_le_bytes()).collect();
        file.tensors.insert(name.clone(), (vec![2, *inputs], bytes));
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        all.push((wide(means), wide(squares)));
    }
    file.write(folder, &["moments.safetensors"]);
    (folder.join("moments.safetensors"), all)
}

/// For each row, what the columns that go give on average.
fn gone(model: &Model, weight: &str, means: &[f64], removed: &[u64]) -> Vec<f64> {
    let rows = model.values(weight);
    let row = |row: &[f64]| removed.iter().map(|at| row[*at as usize] * means[*at as usize]).sum();
    rows.chunks(means.len()).map(row).collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1e-3), "{found} {expected}");
    }
}

#[test]
fn biases_take_up_what_went() {
    let model = bert(Dtype::F32);
    let temp = folder(&model, BERT_CONFIG);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let couplings = named(Kind::Neuron, &checkpoint).unwrap();
    let weight = |layer: usize| format!("bert.encoder.layer.{layer}.output.dense.weight");
    let (path, all) = moments(temp.path(), &[(weight(0), 20), (weight(1), 20)]);
    let options = Options { moments: Some(path), ..Options::new(Amount::new(Target::Sparsity(0.5))) };
    let report = run(&checkpoint, &couplings, &temp.path().join("out"), &options).unwrap();
    let smaller = Model::read(Dtype::F32, &temp.path().join("out"), &TWO);
    for (layer, (means, squares)) in all.iter().enumerate() {
        let removed = &report.couplings[layer].removed;
        let gone = gone(&model, &weight(layer), means, removed);
        let bias = weight(layer).replace("weight", "bias");
        let expected: Vec<f64> = model.values(&bias).iter().zip(&gone).map(|(old, more)| old + more).collect();
        close(&smaller.values(&bias), &expected);
        // What is to be expected: variances of what went, and with them what the bias did not take up.
        let weights = model.values(&weight(layer));
        let variance = |at: usize| squares[at] - means[at] * means[at];
        let varied = |inputs: &[usize]| -> f64 {
            weights.chunks(20).flat_map(|row| inputs.iter().map(|at| row[*at] * row[*at] * variance(*at))).sum()
        };
        let every: Vec<usize> = (0..20).collect();
        let went: Vec<usize> = removed.iter().map(|at| *at as usize).collect();
        let mean = |row: &[f64]| row.iter().zip(means).map(|(w, m)| w * m).sum::<f64>();
        let whole = varied(&every) + weights.chunks(20).map(|row| mean(row) * mean(row)).sum::<f64>();
        let lost: f64 = gone.iter().map(|g| g * g).sum();
        let expected = [(varied(&went) / whole).sqrt(), ((varied(&went) + lost) / whole).sqrt()];
        close(&[report.compensated[layer].error, report.compensated[layer].error_uncompensated], &expected);
    }
}

#[test]
fn llama_gets_biases_where_its_configuration_can_say_so() {
    let model = llama(Dtype::BF16);
    let temp = folder(&model, LLAMA_CONFIG);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let weight = |layer: usize| format!("model.layers.{layer}.mlp.down_proj.weight");
    let (path, all) = moments(temp.path(), &[(weight(0), 20), (weight(1), 20), (weight(2), 20)]);
    let options = Options { moments: Some(path), ..Options::new(Amount::new(Target::Keep(7))) };
    let couplings = named(Kind::Neuron, &checkpoint).unwrap();
    let report = run(&checkpoint, &couplings, &temp.path().join("out"), &options).unwrap();
    let smaller = Model::read(Dtype::BF16, &temp.path().join("out"), &TWO);
    for (layer, (means, _)) in all.iter().enumerate() {
        let gone = gone(&model, &weight(layer), means, &report.couplings[layer].removed);
        let rounded: Vec<f64> = gone.iter().map(|value| half::bf16::from_f64(*value).to_f64()).collect();
        assert_eq!(smaller.values(&weight(layer).replace("weight", "bias")), rounded);
        for part in ["gate", "up"] {
            assert_eq!(smaller.values(&format!("model.layers.{layer}.mlp.{part}_proj.bias")), [0.0; 7]);
        }
    }
    assert!(read_config(&temp).contains("\"mlp_bias\": true"));
    // Another architecture has no place for them.
    fs::write(temp.path().join("in/config.json"), LLAMA_CONFIG.replace("llama", "mistral")).unwrap();
    let couplings = named(Kind::Neuron, &checkpoint).unwrap();
    let refused = run(&checkpoint, &couplings, &temp.path().join("other"), &options).unwrap_err().to_string();
    assert!(refused.contains("`model.layers.0.mlp.down_proj.weight`: it has no bias"), "{refused}");
    assert!(!temp.path().join("other").exists());
}
