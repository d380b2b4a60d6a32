//! What cannot be shrunk is refused with names and numbers, and nothing is written.

use lopper::network::Chain;
use lopper::shrink::of_chain;

use super::*;

/// What is said of a model, once nothing was written.
#[track_caller]
fn refused(model: &Model, config: &str, kind: Kind, amount: Amount) -> String {
    let temp = folder(model, config);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let ended = named(kind, &checkpoint)
        .and_then(|couplings| run(&checkpoint, &couplings, &temp.path().join("out"), &Options::new(amount)));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    ended.unwrap_err().to_string()
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} is missing in: {message}"));
}

fn half() -> Amount {
    Amount::new(Target::Sparsity(0.5))
}

fn other(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = llama(Dtype::F32);
    change(&mut model);
    model
}

#[test]
fn models_that_do_not_fit_the_pattern() {
    let of = |change: fn(&mut Model)| refused(&other(change), LLAMA_CONFIG, Kind::Neuron, half());
    says(
        &of(|m| m.add("model.layers.1.mlp.up_proj.weight", &[19, 12])),
        &["`model.layers.1.mlp.gate_proj.weight` has 20 units", "`model.layers.1.mlp.up_proj.weight`", "has 19"],
    );
    says(
        &of(|m| drop(m.tensors.remove("model.layers.1.mlp.up_proj.weight"))),
        &["2 of 3 layers", "`model.layers.1.mlp.up_proj.weight` is missing"],
    );
    says(
        &of(|m| m.tensors.retain(|name, _| !name.starts_with("model.layers.2.mlp."))),
        &[
            "2 of 3 layers have `model.layers.*.mlp.gate_proj.weight`",
            "`model.layers.2.mlp.gate_proj.weight` is missing",
        ],
    );
    says(
        &of(|m| m.tensors.retain(|name, _| !name.starts_with("model.layers.1."))),
        &["`model.layers.1.", "is missing"],
    );
    says(
        &of(|m| m.add("model.layers.0.mlp.gate_proj.weight_scale", &[20])),
        &["`model.layers.0.mlp.gate_proj.weight_scale` lies beside `model.layers.0.mlp.gate_proj.weight`"],
    );
    says(&of(|m| m.add("model.layers.1.mlp.gate_proj.bias", &[20])), &["1 of 3 layers", "gate_proj.bias"]);
    says(
        &of(|m| {
            for part in ["gate", "up"] {
                m.add(&format!("model.layers.1.mlp.{part}_proj.weight"), &[16, 12]);
            }
            m.add("model.layers.1.mlp.down_proj.weight", &[12, 16]);
        }),
        &["`model.layers.0.mlp` would keep 20", "`model.layers.1.mlp` 16", "`intermediate_size`"],
    );
    says(&of(|m| m.tensors.retain(|name, _| !name.contains(".mlp."))), &["nothing is known", "mlp.gate_proj.weight"]);
    says(
        &of(|m| m.add("vision.layers.0.mlp.gate_proj.weight", &[20, 12])),
        &["both `model.layers.*", "`vision.layers.*"],
    );
}

#[test]
fn configurations_that_say_something_else() {
    let of = |from: &str, to: &str, kind| refused(&llama(Dtype::F32), &LLAMA_CONFIG.replace(from, to), kind, half());
    says(&of("20", "24", Kind::Neuron), &["`intermediate_size` is 24", "has 20 rows"]);
    says(&of("\"intermediate_size\": 20,", "", Kind::Neuron), &["config.json: it has no `intermediate_size`"]);
    says(&of("heads\": 6", "heads\": 5", Kind::Head), &["5 heads are no multiple of 2"]);
    says(&of("heads\": 6", "heads\": 10", Kind::Head), &["`num_attention_heads` is 10", "24 rows"]);
    says(&of("layers\": 3", "layers\": 4", Kind::Layer), &["`num_hidden_layers` is 4", "3 layers"]);
    says(&of("{", "[", Kind::Neuron), &["config.json: it is malformed"]);
    let named = other(|m| m.add("model.layers.0.self_attn.q_norm.weight", &[24]));
    says(&refused(&named, LLAMA_CONFIG, Kind::Head, half()), &["q_norm.weight` has 24 places, and only one of 4"]);
    let temp = tempfile::tempdir().unwrap();
    llama(Dtype::F32).write(temp.path(), &["m.safetensors"]);
    let alone = Checkpoint::open(&temp.path().join("m.safetensors")).unwrap();
    says(&super::named(Kind::Head, &alone).unwrap_err().to_string(), &["give the checkpoint's folder"]);
    let pruned = BERT_CONFIG.replace('}', ", \"pruned_heads\": {\"0\": [1]}}");
    says(
        &refused(&bert(Dtype::F32), &pruned, Kind::Head, half()),
        &["`pruned_heads` says that heads are gone already"],
    );
}

#[test]
fn amounts_that_cannot_be() {
    let of = |kind, amount| refused(&llama(Dtype::F32), LLAMA_CONFIG, kind, amount);
    let keep = |width| Amount::new(Target::Keep(width));
    says(
        &of(Kind::Neuron, Amount::new(Target::Sparsity(0.99))),
        &["`model.layers.0.mlp` would keep none of its 20 neurons"],
    );
    says(&of(Kind::Neuron, keep(0)), &["none of its 20 neurons"]);
    says(&of(Kind::Neuron, keep(21)), &["`model.layers.0.mlp` has 20 neurons, 21 cannot stay"]);
    says(&of(Kind::Neuron, Amount { round_to: 8, ..keep(12) }), &["a width of 12 is no multiple of 8", "--round-to"]);
    says(&of(Kind::Neuron, Amount { round_to: 32, ..half() }), &["keep 10 of 20, and no multiple of 32 lies between"]);
    says(&of(Kind::Head, keep(4)), &["a width of 4 is no multiple of 3", "share a key and a value head"]);
    says(
        &of(Kind::Neuron, Amount { global: true, ..half() }),
        &["cannot compete", "`intermediate_size` of config.json is one for all"],
    );
    says(&of(Kind::Neuron, Amount::new(Target::Threshold(1e9))), &["would keep none"]);
    let message = refused(&bert(Dtype::F32), BERT_CONFIG, Kind::Head, Amount { global: true, ..keep(7) });
    says(&message, &["all 2 couplings together have 6 heads, 7 cannot stay"]);
    // Layers are of different scales, and so are their numbers below a threshold.
    let mut model = llama(Dtype::F32);
    for part in ["gate", "up", "down"] {
        let (_, bytes) = model.tensors.get_mut(&format!("model.layers.1.mlp.{part}_proj.weight")).unwrap();
        bytes.fill(0);
    }
    model.keep("model.layers.1.mlp.down_proj.weight", 0, &(0..12).collect::<Vec<_>>());
    let (_, bytes) = model.tensors.get_mut("model.layers.1.mlp.down_proj.weight").unwrap();
    bytes[..4].copy_from_slice(&1f32.to_le_bytes());
    let message = refused(&model, LLAMA_CONFIG, Kind::Neuron, Amount::new(Target::Threshold(0.0)));
    says(&message, &["`model.layers.0.mlp` would keep 20", "`model.layers.1.mlp` 1"]);
}

#[test]
fn layers_without_norms() {
    let no_matrix = |name: &String| !name.starts_with("model.layers.1.") || name.contains("layernorm");
    let model = other(|m| m.tensors.retain(|name, _| no_matrix(name)));
    says(
        &refused(&model, LLAMA_CONFIG, Kind::Layer, half()),
        &["`model.layers.1.input_layernorm.weight`", "no tensor of unit 1 of `model.layers`", "give --score file"],
    );
}

#[test]
fn networks_and_recipes_with_tied_weights() {
    let temp = tempfile::tempdir().unwrap();
    let mut model = Model::of(Dtype::F32);
    model.add("a", &[6, 6]);
    model.add("b", &[6, 6]);
    model.add("v", &[6]);
    model.write(temp.path(), &["in.safetensors"]);
    let checkpoint = Checkpoint::open(&temp.path().join("in.safetensors")).unwrap();
    let chain = |names: &[&str]| {
        let layers: Vec<_> = names.iter().map(|name| format!("[[layer]]\nweight = \"{name}\"\n")).collect();
        of_chain(&Chain::from_toml(&layers.concat()).unwrap(), checkpoint.tensors()).unwrap_err().to_string()
    };
    says(&chain(&["a", "b", "a"]), &["`a` is both in layer 1 and in layer 3"]);
    says(&chain(&["a"]), &["one layer"]);
    says(&chain(&["a", "c"]), &["no tensor `c`"]);
    says(&chain(&["a", "v"]), &["`v` has 1 dimensions, 2 are needed"]);
    let couple = |members: &str| {
        let couples = recipe::from_toml(&format!("[[couple]]\nmembers = [{members}]")).unwrap();
        of_couples(&couples, checkpoint.tensors()).unwrap_err().to_string()
    };
    let member =
        |name: &str, axis: &str, group: u32| format!("{{tensor = '{name}', axis = '{axis}', group = {group}}},");
    let tied = [member("a", "rows", 1), member("b", "columns", 1), member("a", "rows", 1)].concat();
    says(&couple(&tied), &["the rows of tensor `a` are both in"]);
    let uneven = [member("a", "rows", 4), member("b", "columns", 1)].concat();
    says(&couple(&uneven), &["`a` has 6 rows, no multiple of the 4"]);
}

#[test]
fn files_of_scores_that_do_not_fit() {
    let temp = folder(&llama(Dtype::F32), LLAMA_CONFIG);
    let checkpoint = Checkpoint::open(&temp.path().join("in")).unwrap();
    let couplings = named(Kind::Neuron, &checkpoint).unwrap();
    let path = temp.path().join("scores.safetensors");
    let scored = |tensors: &[(&str, Vec<f32>)]| {
        let mut model = Model::of(Dtype::F32);
        for (name, values) in tensors {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            model.tensors.insert((*name).into(), (vec![values.len()], bytes));
        }
        model.write(temp.path(), &["scores.safetensors"]);
        let score = Score::File { path: path.clone(), norm: Norm::L2, combine: Combine::Squares };
        let options = Options { score, ..Options::new(half()) };
        let message = run(&checkpoint, &couplings, &temp.path().join("out"), &options).unwrap_err().to_string();
        assert!(!temp.path().join("out").exists());
        message
    };
    says(&scored(&[("other", vec![1.0])]), &["scores.safetensors", "no scores for `model.layers.0.mlp`"]);
    says(&scored(&[("model.layers.0.mlp", vec![1.0; 7])]), &["`model.layers.0.mlp` has 7 numbers", "20 units"]);
    let nan = [("model.layers.0.mlp.up_proj", vec![f32::NAN; 20])];
    says(&scored(&nan), &["`model.layers.0.mlp.up_proj`: number 0 is NaN"]);
}
