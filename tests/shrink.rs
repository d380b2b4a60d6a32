//! Checkpoints that are made smaller, against plain loops over what was there.

#[path = "shrink/bad_input.rs"]
mod bad_input;
mod common;
#[path = "shrink/compensate.rs"]
mod compensate;
#[path = "shrink/models.rs"]
mod models;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use lopper::checkpoint::{Checkpoint, Unfinished};
use lopper::shrink::{
    Amount, Combine, Config, Couplings, Kind, Options, Report, Score, Side, by_names, of_couples, outlook, recipe,
    shrink,
};
use lopper::{Dtype, Norm, Result, Target};
use models::{BERT_CONFIG, LLAMA_CONFIG, Model, bert, llama, places, stay};

const TWO: [&str; 2] = ["model-1.safetensors", "model-2.safetensors"];

fn named(kind: Kind, checkpoint: &Checkpoint) -> Result<Couplings> {
    Ok(by_names(kind, checkpoint.tensors(), Config::of(checkpoint)?.as_ref())?)
}

fn run(checkpoint: &Checkpoint, couplings: &Couplings, output: &Path, options: &Options) -> Result<Report> {
    let progress = |_, done, all| {
        assert!(done <= all);
        ControlFlow::Continue(())
    };
    shrink(checkpoint, couplings, output, options, &Unfinished::default(), &progress)
}

/// A folder with a model in two shards, its `config.json` and another file.
fn folder(model: &Model, config: &str) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    model.write(&temp.path().join("in"), &TWO);
    fs::write(temp.path().join("in/config.json"), config).unwrap();
    fs::write(temp.path().join("in/tokenizer.json"), "[1]").unwrap();
    temp
}

fn read_config(temp: &tempfile::TempDir) -> String {
    fs::read_to_string(temp.path().join("out/config.json")).unwrap()
}

#[test]
fn neurons_of_gated_mlps_go_with_all_that_hangs_on_them() {
    for dtype in Dtype::ALL {
        let mut model = llama(dtype);
        let temp = folder(&model, LLAMA_CONFIG);
        let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
        let couplings = named(Kind::Neuron, &checkpoint).unwrap();
        let options = Options::new(Amount { round_to: 4, ..Amount::new(Target::Sparsity(0.3)) });
        let outlook = outlook(&checkpoint, &couplings, &options.amount).unwrap().unwrap();
        let report = run(&checkpoint, &couplings, &temp.path().join("out"), &options).unwrap();
        assert_eq!((outlook.kept, outlook.tensor_bytes), (vec![16; 3], report.tensor_bytes[1]));
        for (layer, coupling) in report.couplings.iter().enumerate() {
            let name = |part: &str| format!("model.layers.{layer}.mlp.{part}_proj.weight");
            let parts = [("gate", 0), ("up", 0), ("down", 1)];
            let squares: Vec<_> = parts.iter().map(|(part, d)| model.squares(&name(part), *d, 1)).collect();
            let scores: Vec<f64> = (0..20).map(|n| squares.iter().map(|s| s[n]).sum()).collect();
            // 6 of 20 would go, 14 stay: 16 is the multiple of 4.
            let stay = stay(&scores, 4);
            let removed: Vec<u64> = (0..20).filter(|n| !stay.contains(n)).map(|n| n as u64).collect();
            assert_eq!((&coupling.removed, coupling.kept), (&removed, 16), "{dtype}");
            parts.iter().for_each(|(part, dimension)| model.keep(&name(part), *dimension, &stay));
        }
        Model::read(dtype, &temp.path().join("out"), &TWO).assert_is(&model);
        assert_eq!(read_config(&temp), LLAMA_CONFIG.replace("\"intermediate_size\": 20", "\"intermediate_size\": 16"));
        assert_eq!(fs::read_to_string(temp.path().join("out/tokenizer.json")).unwrap(), "[1]");
        let smaller = Checkpoint::open(&temp.path().join("out")).unwrap();
        assert_eq!(smaller.metadata("format").unwrap().as_deref(), Some("pt"));
        assert!(smaller.metadata(lopper::shrink::METADATA_KEY).unwrap().unwrap().contains("neuron"));
        let bytes: usize = model.tensors.values().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(report.tensor_bytes[1], bytes as u64);
    }
}

#[test]
fn a_single_file_has_its_configuration_left_alone_which_is_said() {
    let model = llama(Dtype::F32);
    let temp = tempfile::tempdir().unwrap();
    model.write(&temp.path().join("in"), &["model.safetensors"]);
    let checkpoint = Checkpoint::open(&temp.path().join("in/model.safetensors")).unwrap();
    let couplings = named(Kind::Neuron, &checkpoint).unwrap();
    let options = Options::new(Amount::new(Target::Keep(12)));
    let notes = |output: &str| run(&checkpoint, &couplings, &temp.path().join(output), &options).unwrap().notes;
    assert!(notes("alone.safetensors").is_empty());
    fs::write(temp.path().join("in/config.json"), LLAMA_CONFIG).unwrap();
    let notes = notes("beside.safetensors");
    assert!(notes.len() == 1 && notes[0].contains("in/config.json is neither read nor copied"), "{notes:?}");
    assert_eq!(fs::read_to_string(temp.path().join("in/config.json")).unwrap(), LLAMA_CONFIG);
}

#[test]
fn query_heads_go_with_the_heads_that_they_share() {
    let mut model = llama(Dtype::BF16);
    let temp = folder(&model, LLAMA_CONFIG);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let couplings = named(Kind::Head, &checkpoint).unwrap();
    let report =
        run(&checkpoint, &couplings, &temp.path().join("out"), &Options::new(Amount::new(Target::Keep(3)))).unwrap();
    assert_eq!((report.unit, report.per_unit), ("head", 3));
    for (layer, coupling) in report.couplings.iter().enumerate() {
        let name = |part: &str| format!("model.layers.{layer}.self_attn.{part}_proj.weight");
        let parts = [("q", 0, 12), ("k", 0, 4), ("v", 0, 4), ("o", 1, 12)];
        let squares: Vec<_> = parts.iter().map(|(part, d, group)| model.squares(&name(part), *d, *group)).collect();
        let scores: Vec<f64> = (0..2).map(|n| squares.iter().map(|s| s[n]).sum()).collect();
        let stay = stay(&scores, 1);
        assert_eq!(coupling.removed, [1 - stay[0] as u64]);
        parts.iter().for_each(|(part, d, group)| model.keep(&name(part), *d, &places(&stay, *group)));
    }
    Model::read(Dtype::BF16, &temp.path().join("out"), &TWO).assert_is(&model);
    let config = read_config(&temp);
    for said in ["\"head_dim\": 4", "\"num_attention_heads\": 3", "\"num_key_value_heads\": 1", "\"hidden_size\": 12"] {
        assert!(config.contains(said), "{config}");
    }
}

#[test]
fn layers_go_and_those_behind_them_move_up() {
    let mut model = llama(Dtype::F16);
    let temp = folder(&model, LLAMA_CONFIG);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let couplings = named(Kind::Layer, &checkpoint).unwrap();
    let scores = temp.path().join("scores.safetensors");
    let mut own = Model::of(Dtype::F32);
    own.tensors.insert("model.layers".into(), (vec![3], [3.0f32, -1.0, 2.0].map(f32::to_le_bytes).concat()));
    own.write(temp.path(), &["scores.safetensors"]);
    let score = Score::File { path: scores, norm: Norm::L2, combine: Combine::Squares };
    let options = Options { score, ..Options::new(Amount::new(Target::Keep(2))) };
    let report = run(&checkpoint, &couplings, &temp.path().join("out"), &options).unwrap();
    assert_eq!(report.couplings[0].removed, [1]);
    model.tensors.retain(|name, _| !name.starts_with("model.layers.1."));
    let moved = model.tensors.iter().map(|(name, tensor)| (name.replace("layers.2.", "layers.1."), tensor.clone()));
    model.tensors = moved.collect();
    Model::read(Dtype::F16, &temp.path().join("out"), &TWO).assert_is(&model);
    assert_eq!(read_config(&temp), LLAMA_CONFIG.replace("layers\": 3", "layers\": 2"));
    // By norms it is the one of the smallest.
    let scores: Vec<f64> = (0..3)
        .map(|layer| {
            let own = llama(Dtype::F16);
            let names: Vec<_> =
                own.tensors.keys().filter(|name| name.contains(&format!("layers.{layer}."))).cloned().collect();
            let matrices = names.iter().filter(|name| own.shape(name).len() == 2);
            matrices.map(|name| own.values(name).iter().map(|v| v * v).sum::<f64>()).sum()
        })
        .collect();
    let options = Options::new(Amount::new(Target::Sparsity(0.4)));
    let report = run(&checkpoint, &couplings, &temp.path().join("norms"), &options).unwrap();
    assert_eq!(report.couplings[0].kept, 2);
    assert!(!stay(&scores, 1).contains(&(report.couplings[0].removed[0] as usize)));
}

#[test]
fn heads_of_bert_compete_over_all_layers_and_are_listed() {
    let mut model = bert(Dtype::F32);
    let temp = folder(&model, BERT_CONFIG);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let couplings = named(Kind::Head, &checkpoint).unwrap();
    let options = Options::new(Amount { global: true, ..Amount::new(Target::Sparsity(0.5)) });
    let score = Score::Norm { norm: Norm::L1, combine: Combine::Sum, side: Side::Takes };
    let options = Options { score, ..options };
    let report = run(&checkpoint, &couplings, &temp.path().join("out"), &options).unwrap();
    assert!(report.notes[0].contains("transformers below 5"), "{:?}", report.notes);
    let name = |layer: usize, part: &str| format!("bert.encoder.layer.{layer}.attention.{part}");
    let mut scores = Vec::new();
    for layer in 0..2 {
        let values = model.values(&name(layer, "output.dense.weight"));
        for head in 0..3 {
            scores.push(values.iter().enumerate().filter(|(at, _)| at % 12 / 4 == head).map(|(_, v)| v.abs()).sum());
        }
    }
    let all = stay(&scores, 3);
    for layer in 0..2 {
        let stay: Vec<usize> = all.iter().filter(|head| **head / 3 == layer).map(|head| head % 3).collect();
        let removed: Vec<u64> = (0..3).filter(|head| !stay.contains(head)).map(|head| head as u64).collect();
        assert_eq!(report.couplings[layer].removed, removed);
        let list = removed.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        assert_eq!(!removed.is_empty(), read_config(&temp).contains(&format!("\"{layer}\":[{list}]")));
        for part in ["query", "key", "value"] {
            model.keep(&name(layer, &format!("self.{part}.weight")), 0, &places(&stay, 4));
            model.keep(&name(layer, &format!("self.{part}.bias")), 0, &places(&stay, 4));
        }
        model.keep(&name(layer, "output.dense.weight"), 1, &places(&stay, 4));
    }
    Model::read(Dtype::F32, &temp.path().join("out"), &TWO).assert_is(&model);
}

#[test]
fn a_recipe_couples_what_no_pattern_knows_and_ties_go_by_index() {
    let temp = tempfile::tempdir().unwrap();
    let mut model = Model::of(Dtype::F8E5M2);
    for layer in [2, 10] {
        model.add(&format!("h.{layer}.c_fc.weight"), &[5, 8]);
        model.add(&format!("h.{layer}.c_fc.bias"), &[8]);
        model.add(&format!("h.{layer}.c_proj.weight"), &[8, 5]);
    }
    // All alike: every unit's score is the same.
    model.tensors.values_mut().for_each(|(_, bytes)| bytes.fill(0x3c));
    model.write(temp.path(), &["in.safetensors"]);
    let checkpoint = Checkpoint::open(&temp.path().join("in.safetensors")).unwrap();
    let couples = recipe::from_toml(
        r#"
        [[couple]]
        members = [
            { tensor = "h.*.c_fc.weight", axis = "columns", takes = false, group = 2 },
            { tensor = "h.*.c_fc.bias", axis = "rows", group = 2 },
            { tensor = "h.*.c_proj.weight", axis = "rows", group = 2, takes = true },
        ]"#,
    );
    let couplings = of_couples(&couples.unwrap(), checkpoint.tensors()).unwrap();
    let output = temp.path().join("out.safetensors");
    let report = run(&checkpoint, &couplings, &output, &Options::new(Amount::new(Target::Sparsity(0.375)))).unwrap();
    for (layer, coupling) in [2, 10].into_iter().zip(&report.couplings) {
        // 1.5 of 4 is 2, half to even.
        assert_eq!(coupling.removed, [0, 1]);
        for (part, dimension) in [("c_fc.weight", 1), ("c_fc.bias", 0), ("c_proj.weight", 0)] {
            model.keep(&format!("h.{layer}.{part}"), dimension, &places(&[2, 3], 2));
        }
    }
    Model::read(Dtype::F8E5M2, temp.path(), &["out.safetensors"]).assert_is(&model);
}

#[test]
fn a_file_of_scores_may_have_a_number_for_each_row() {
    let temp = tempfile::tempdir().unwrap();
    let mut model = Model::of(Dtype::F32);
    model.add("a.weight", &[8, 5]);
    model.add("a.bias", &[8]);
    model.add("b.weight", &[5, 8]);
    model.write(temp.path(), &["in.safetensors"]);
    let mut own = Model::of(Dtype::F32);
    for name in ["a", "a.bias"] {
        let rows = [1.0f32, 1.0, 5.0, -5.0, 0.0, 3.0, 9.0, 9.0];
        own.tensors.insert(name.into(), (vec![8], rows.map(f32::to_le_bytes).concat()));
    }
    own.write(temp.path(), &["scores.safetensors"]);
    let checkpoint = Checkpoint::open(&temp.path().join("in.safetensors")).unwrap();
    let couples = recipe::from_toml(
        r#"
        [[couple]]
        members = [
            { tensor = "a.weight", axis = "rows", group = 2 },
            { tensor = "a.bias", axis = "rows", group = 2 },
            { tensor = "b.weight", axis = "columns", group = 2 },
        ]"#,
    );
    let couplings = of_couples(&couples.unwrap(), checkpoint.tensors()).unwrap();
    let path = temp.path().join("scores.safetensors");
    let score = Score::File { path, norm: Norm::L1, combine: Combine::Sum };
    let options = Options { score, ..Options::new(Amount::new(Target::Sparsity(0.5))) };
    let report = run(&checkpoint, &couplings, &temp.path().join("out.safetensors"), &options).unwrap();
    // Of each of both vectors 2, 10, 3 and 18, though they are alike.
    let coupling = &report.couplings[0];
    assert_eq!(coupling.removed, [0, 2]);
    assert_eq!((coupling.highest_removed, coupling.lowest_kept), (Some(6.0), Some(20.0)));
}

#[test]
fn an_output_that_exists_is_refused_before_anything_is_read() {
    let temp = folder(&llama(Dtype::F32), LLAMA_CONFIG);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let couplings = named(Kind::Neuron, &checkpoint).unwrap();
    fs::create_dir(temp.path().join("out")).unwrap();
    fs::write(temp.path().join("out/mine"), "").unwrap();
    let options = Options::new(Amount::new(Target::Keep(5)));
    let never = |_, _, _| -> ControlFlow<()> { panic!("it is at work") };
    let ended = shrink(&checkpoint, &couplings, &temp.path().join("out"), &options, &Unfinished::default(), &never);
    let message = ended.unwrap_err().to_string();
    assert!(message.contains("the folder is not empty"), "{message}");
}

#[test]
fn what_is_stopped_leaves_nothing() {
    let temp = folder(&llama(Dtype::F32), LLAMA_CONFIG);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let couplings = named(Kind::Neuron, &checkpoint).unwrap();
    let options = Options::new(Amount::new(Target::Keep(5)));
    use lopper::shrink::Pass;
    for at in [Pass::Score, Pass::Write, Pass::Commit] {
        let stop = |pass, _, _| if pass == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let ended = shrink(&checkpoint, &couplings, &temp.path().join("out"), &options, &Unfinished::default(), &stop);
        assert!(matches!(ended, Err(lopper::Error::Cancelled)), "{at:?}");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "{at:?}");
    }
}
