//! Small models of known architectures, and what is read back of them, with the `safetensors` crate and plain loops.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use lopper::Dtype;
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize_to_file};

use super::common::{Fill, file_dtype, weights};

/// Tensors by name: shapes, and bits.
#[derive(Default)]
pub struct Model {
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
    pub dtype: Option<Dtype>,
}

impl Model {
    pub fn of(dtype: Dtype) -> Self {
        Self { dtype: Some(dtype), ..Self::default() }
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype.unwrap_or(Dtype::F32)
    }

    pub fn add(&mut self, name: &str, shape: &[usize]) {
        let seed = self.tensors.len() as u64 + 1;
        let bytes = weights(self.dtype(), 1, shape.iter().product(), Fill::Normal, seed);
        self.tensors.insert(name.into(), (shape.to_vec(), bytes));
    }

    /// Writes files, each with the tensors whose number, in order, leaves the file's number.
    pub fn write(&self, folder: &Path, files: &[&str]) {
        fs::create_dir_all(folder).unwrap();
        for (number, file) in files.iter().enumerate() {
            let own = self.tensors.iter().enumerate().filter(|(at, _)| at % files.len() == number);
            let views = own.map(|(_, (name, (shape, bytes)))| {
                (name.clone(), TensorView::new(file_dtype(self.dtype()), shape.clone(), bytes).unwrap())
            });
            let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
            serialize_to_file(views, Some(metadata), &folder.join(file)).unwrap();
        }
        if files.len() > 1 {
            let place = |(at, name): (usize, &String)| format!("\"{name}\":\"{}\"", files[at % files.len()]);
            let map: Vec<_> = self.tensors.keys().enumerate().map(place).collect();
            let index = format!("{{\"metadata\":{{}},\"weight_map\":{{{}}}}}", map.join(","));
            fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
        }
    }

    /// What is in these files.
    pub fn read(dtype: Dtype, folder: &Path, files: &[&str]) -> Self {
        let mut model = Self::of(dtype);
        for file in files {
            let bytes = fs::read(folder.join(file)).unwrap();
            for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
                assert_eq!(view.dtype(), file_dtype(dtype), "{name}");
                model.tensors.insert(name, (view.shape().to_vec(), view.data().to_vec()));
            }
        }
        model
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensors[name].0
    }

    /// A tensor as numbers.
    pub fn values(&self, name: &str) -> Vec<f64> {
        let (shape, bytes) = &self.tensors[name];
        let dtype = self.dtype();
        (0..shape.iter().product()).map(|i| dtype.value(dtype.bits(bytes, i)).into()).collect()
    }

    /// Squares of the weights of each unit along dimension 0 or 1 of a matrix.
    pub fn squares(&self, name: &str, dimension: usize, group: usize) -> Vec<f64> {
        let (shape, values) = (self.shape(name), self.values(name));
        let mut sums = vec![0.0; shape[dimension] / group];
        for (at, value) in values.iter().enumerate() {
            let place = [at / shape[1], at % shape[1]][dimension];
            sums[place / group] += value * value;
        }
        sums
    }

    /// What stays of a tensor of which only these places of a dimension do.
    pub fn kept(&self, name: &str, dimension: usize, places: &[usize]) -> (Vec<usize>, Vec<u8>) {
        let (shape, bytes) = &self.tensors[name];
        let size = self.dtype().size();
        let cols = shape.get(1).copied().unwrap_or(1);
        let mut left = Vec::new();
        for row in 0..shape[0] {
            for col in 0..cols {
                if places.contains(&[row, col][dimension]) {
                    let at = (row * cols + col) * size;
                    left.extend_from_slice(&bytes[at..at + size]);
                }
            }
        }
        let mut shape = shape.clone();
        shape[dimension] = places.len();
        (shape, left)
    }

    /// Puts what stays in its place.
    pub fn keep(&mut self, name: &str, dimension: usize, places: &[usize]) {
        let kept = self.kept(name, dimension, places);
        self.tensors.insert(name.into(), kept);
    }

    #[track_caller]
    pub fn assert_is(&self, other: &Model) {
        let names = |model: &Model| model.tensors.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other));
        for (name, tensor) in &self.tensors {
            assert_eq!(tensor.0, other.tensors[name].0, "{name}");
            assert!(tensor.1 == other.tensors[name].1, "{name}");
        }
    }
}

/// All places of units, of so many each.
pub fn places(units: &[usize], group: usize) -> Vec<usize> {
    units.iter().flat_map(|unit| unit * group..(unit + 1) * group).collect()
}

/// The units that stay if `go` of them go: those of the lowest score, of equal ones the lowest index first.
pub fn stay(scores: &[f64], go: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(a.cmp(b)));
    let mut stay = order[go..].to_vec();
    stay.sort_unstable();
    stay
}

pub const HIDDEN: usize = 12;
pub const WIDE: usize = 20;

/// Three layers, 6 query heads of 4 places that share 2 key and value heads.
pub fn llama(dtype: Dtype) -> Model {
    let mut model = Model::of(dtype);
    model.add("model.embed_tokens.weight", &[16, HIDDEN]);
    model.add("model.norm.weight", &[HIDDEN]);
    for layer in 0..3 {
        let mut add = |name: &str, shape: &[usize]| model.add(&format!("model.layers.{layer}.{name}"), shape);
        add("mlp.gate_proj.weight", &[WIDE, HIDDEN]);
        add("mlp.up_proj.weight", &[WIDE, HIDDEN]);
        add("mlp.down_proj.weight", &[HIDDEN, WIDE]);
        add("self_attn.q_proj.weight", &[24, HIDDEN]);
        add("self_attn.k_proj.weight", &[8, HIDDEN]);
        add("self_attn.v_proj.weight", &[8, HIDDEN]);
        add("self_attn.o_proj.weight", &[HIDDEN, 24]);
        add("input_layernorm.weight", &[HIDDEN]);
        add("post_attention_layernorm.weight", &[HIDDEN]);
    }
    model
}

pub const LLAMA_CONFIG: &str = "{\n  \"model_type\": \"llama\",\n  \"hidden_size\": 12,\n  \"intermediate_size\": 20,\n  \
                                \"num_attention_heads\": 6,\n  \"num_key_value_heads\": 2,\n  \"num_hidden_layers\": 3\n}\n";

/// Two layers, 3 heads of 4 places.
pub fn bert(dtype: Dtype) -> Model {
    let mut model = Model::of(dtype);
    for layer in 0..2 {
        let mut add = |name: &str, shape: &[usize]| model.add(&format!("bert.encoder.layer.{layer}.{name}"), shape);
        for part in ["query", "key", "value"] {
            add(&format!("attention.self.{part}.weight"), &[HIDDEN, HIDDEN]);
            add(&format!("attention.self.{part}.bias"), &[HIDDEN]);
        }
        add("attention.output.dense.weight", &[HIDDEN, HIDDEN]);
        add("attention.output.dense.bias", &[HIDDEN]);
        add("attention.output.LayerNorm.weight", &[HIDDEN]);
        add("intermediate.dense.weight", &[WIDE, HIDDEN]);
        add("intermediate.dense.bias", &[WIDE]);
        add("output.dense.weight", &[HIDDEN, WIDE]);
        add("output.dense.bias", &[HIDDEN]);
        add("output.LayerNorm.weight", &[HIDDEN]);
    }
    model
}

pub const BERT_CONFIG: &str =
    r#"{"model_type": "bert", "intermediate_size": 20, "num_attention_heads": 3, "num_hidden_layers": 2}"#;
