//! The model's `config.json`: numbers are read from it, and replaced as text, so that all else stays as it is.

use serde_json::{Map, Value};

use super::Problem;
use crate::Result;
use crate::checkpoint::{Checkpoint, value_of};

/// What depends on how many units stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sizes {
    /// Nothing.
    Nothing,
    /// One number, under this key.
    Width(&'static str),
    /// Heads, of which so many share a key and a value head, each of so many places.
    Heads { per_group: u64, dim: u64 },
    /// BERT's heads: those that went are listed by layer.
    PrunedHeads,
    /// The number of layers, and lists with an entry for each.
    Depth { prefix: String },
}

/// Name of the file.
pub(super) const NAME: &str = "config.json";

/// Keys that say that every so many layers are of another kind, and the list that says which, where there is one.
const PERIODS: &[(&str, Option<&str>)] = &[
    ("sliding_window_pattern", Some("layer_types")),
    ("full_attention_interval", Some("layer_types")),
    ("no_rope_layer_interval", Some("no_rope_layers")),
    ("decoder_sparse_step", None),
    ("interleave_moe_layer_step", None),
    ("attn_layer_period", None),
    ("expert_layer_period", None),
];

/// Bytes of it at most.
const MOST: u64 = 1 << 20;

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    text: String,
}

impl Config {
    /// The one beside a checkpoint's shards; none where the checkpoint is no folder, or the folder has none.
    ///
    /// # Errors
    /// Those of reading; [`Problem::Config`] where it is too long, or no JSON object.
    pub fn of(checkpoint: &Checkpoint) -> Result<Option<Self>> {
        Ok(checkpoint.other_file(NAME, MOST)?.map(Self::from_text).transpose()?)
    }

    /// One of this text.
    ///
    /// # Errors
    /// [`Problem::Config`] where it is no JSON object.
    pub fn from_text(text: String) -> Result<Self, Problem> {
        match serde_json::from_str(&text) {
            Ok(Value::Object(_)) => Ok(Self { text }),
            Ok(_) => Err(bad("it is no JSON object".into())),
            Err(error) => Err(bad(format!("it is malformed: {error}"))),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The value of a key at the top.
    pub(super) fn value(&self, key: &str) -> Option<Value> {
        serde_json::from_str(value_of(&self.text, key)?).ok()
    }

    /// A number; none where there is none, or null.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Problem> {
        match self.value(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) if number > 0 => Ok(Some(number)),
                _ => Err(bad(format!("`{key}` is no number of 1 or more"))),
            },
        }
    }

    /// A number that must be there.
    pub(super) fn needed(&self, key: &str) -> Result<u64, Problem> {
        self.number(key)?.ok_or_else(|| bad(format!("it has no `{key}`")))
    }

    /// Puts a value in, in place of what is there.
    pub(super) fn set(&mut self, key: &str, value: &Value) {
        let value = value.to_string();
        self.text = match value_of(&self.text, key) {
            Some(old) => {
                let start = old.as_ptr().addr() - self.text.as_ptr().addr();
                [&self.text[..start], &value, &self.text[start + old.len()..]].concat()
            }
            None => {
                // In front of the others, and as far from the brace as they are.
                let open = self.text.find('{').map_or(0, |at| at + 1);
                let rest = &self.text[open..];
                let indent = &rest[..rest.len() - rest.trim_start().len()];
                let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
                format!("{}{indent}\"{key}\": {value}{comma}{rest}", &self.text[..open])
            }
        };
    }

    /// The same for so many units that stay; `kept` are, for each coupling, those that stay, and `units` all of it.
    pub(super) fn shrunk(&self, sizes: &Sizes, kept: &[&[u64]], units: &[u64]) -> Result<Self, Problem> {
        let mut config = self.clone();
        let width = || kept.first().map_or(0, |kept| kept.len() as u64);
        match sizes {
            Sizes::Nothing => {}
            Sizes::Width(key) => config.set(key, &width().into()),
            Sizes::Heads { per_group, dim } => {
                config.check_heads(width() * per_group)?;
                config.set("num_attention_heads", &(width() * per_group).into());
                config.set("num_key_value_heads", &width().into());
                // Where it is not there, it is taken for the hidden size divided by the heads, which are fewer now.
                config.set("head_dim", &(*dim).into());
            }
            Sizes::PrunedHeads => {
                let lists = kept.iter().zip(units).enumerate().map(|(layer, (kept, units))| {
                    let gone: Vec<u64> = (0..*units).filter(|unit| kept.binary_search(unit).is_err()).collect();
                    (layer.to_string(), gone)
                });
                let lists = lists.filter(|(_, gone)| !gone.is_empty()).map(|(layer, gone)| (layer, Value::from(gone)));
                config.set("pruned_heads", &Value::Object(lists.collect()));
            }
            Sizes::Depth { .. } => config.keep_layers(kept[0], units[0])?,
        }
        Ok(config)
    }

    /// Refuses a number of heads that `transformers` does not load.
    fn check_heads(&self, heads: u64) -> Result<(), Problem> {
        let llama = self.value("model_type").is_some_and(|model| model == "llama");
        match self.number("hidden_size")?.filter(|_| llama) {
            Some(hidden) if heads > 0 && !hidden.is_multiple_of(heads) => {
                let problem =
                    format!("`hidden_size` is {hidden}, no multiple of the {heads} query heads that would stay");
                Err(bad(format!("{problem}: transformers loads no LLaMA like that")))
            }
            _ => Ok(()),
        }
    }

    /// The number of layers, and what has an entry or a key for each; of so many `layers` these stay.
    fn keep_layers(&mut self, kept: &[u64], layers: u64) -> Result<(), Problem> {
        self.set("num_hidden_layers", &(kept.len() as u64).into());
        if kept.len() as u64 == layers {
            return Ok(());
        }
        let all: Map<String, Value> = serde_json::from_str(&self.text).map_err(|error| bad(error.to_string()))?;
        let names_layers = |key: &str| bad(format!("`{key}` says something of layers by their numbers, which change"));
        let is_set = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        // Every so many layers are of another kind, unless a list says which.
        let listed = |list: &str| matches!(all.get(list), Some(Value::Array(list)) if !list.is_empty());
        let alike = |period: u64| kept.iter().zip(0..).all(|(old, new)| old % period == new % period);
        let two = matches!(all.get("model_type"), Some(Value::String(model)) if model == "gemma2");
        let period = |key: &str| all.get(key).and_then(Value::as_u64).filter(|period| *period > 1);
        for (key, list) in PERIODS {
            let every = period(key).or((two && *key == "sliding_window_pattern").then_some(2));
            if let Some(every) = every.filter(|every| !list.is_some_and(listed) && !alike(*every)) {
                let problem = format!("one of each {every} layers is of another kind (`{key}`)");
                return Err(bad(format!(
                    "{problem}, and the layers that stay would not be at such places: let whole rounds of {every} go, or layers at \
                     the end"
                )));
            }
        }
        for (key, value) in &all {
            match (key.as_str(), value) {
                ("layer_types" | "no_rope_layers", Value::Array(list)) if !list.is_empty() => {
                    if list.len() as u64 != layers {
                        return Err(bad(format!("`{key}` has {} entries for {layers} layers", list.len())));
                    }
                    let stay = kept.iter().map(|layer| list[*layer as usize].clone()).collect();
                    self.set(key, &Value::Array(stay));
                }
                ("pruned_heads", Value::Object(heads)) if !heads.is_empty() => {
                    let mut stay = Map::new();
                    for (layer, heads) in heads {
                        let number: u64 = layer.parse().map_err(|_| names_layers(key))?;
                        if let Ok(place) = kept.binary_search(&number) {
                            stay.insert(place.to_string(), heads.clone());
                        }
                    }
                    self.set(key, &Value::Object(stay));
                }
                ("mlp_only_layers" | "first_k_dense_replace", value) if is_set(value) => return Err(names_layers(key)),
                ("max_window_layers", value) if is_set(value) && all.get("use_sliding_window").is_some_and(is_set) => {
                    return Err(names_layers(key));
                }
                // Lists of other things.
                ("architectures" | "eos_token_id", _) => {}
                (_, Value::Array(list)) if list.len() as u64 == layers => {
                    let problem = format!("`{key}` has {} entries, as many as there are layers", list.len());
                    return Err(bad(format!("{problem}, and nothing is known of whether it is of them")));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn bad(problem: String) -> Problem {
    Problem::Config { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_text(text.into()).unwrap()
    }

    #[test]
    fn what_does_not_change_keeps_its_bytes() {
        let before =
            "{\n  \"a\": [1,  2],\n  \"intermediate_size\" : 1536,\n  \"rope\": {\"intermediate_size\": 7}\n}\n";
        let after = config(before).shrunk(&Sizes::Width("intermediate_size"), &[&[0, 2, 3]], &[5]).unwrap();
        assert_eq!(after.text, before.replacen("1536", "3", 1));
    }

    #[test]
    fn heads_get_their_length_where_it_is_not_said() {
        let sizes = Sizes::Heads { per_group: 3, dim: 64 };
        let before = "{\n \"num_attention_heads\": 9,\n \"num_key_value_heads\": 3\n}";
        let after = config(before).shrunk(&sizes, &[&[0, 2]], &[3]).unwrap();
        assert_eq!(after.text, "{\n \"head_dim\": 64,\n \"num_attention_heads\": 6,\n \"num_key_value_heads\": 2\n}");
        let said = config("{\"head_dim\": 64, \"num_attention_heads\": 9, \"num_key_value_heads\": 3}");
        assert!(said.shrunk(&sizes, &[&[1]], &[3]).unwrap().text.starts_with("{\"head_dim\": 64,"));
    }

    #[test]
    fn heads_of_llama_divide_its_width() {
        let sizes = Sizes::Heads { per_group: 1, dim: 64 };
        let of = |model: &str, kept: &[u64]| {
            let text = format!("{{\"model_type\":\"{model}\",\"hidden_size\":256}}");
            config(&text).shrunk(&sizes, &[kept], &[4])
        };
        assert!(of("llama", &[0, 3]).is_ok() && of("qwen2", &[0, 1, 3]).is_ok());
        let problem = of("llama", &[0, 1, 3]).unwrap_err().to_string();
        assert!(problem.contains("`hidden_size` is 256, no multiple of the 3 query heads"), "{problem}");
    }

    #[test]
    fn heads_and_layers_that_went_are_listed() {
        let after = config("{}").shrunk(&Sizes::PrunedHeads, &[&[0, 1], &[1]], &[2, 3]).unwrap();
        assert_eq!(after.text, "{\"pruned_heads\": {\"1\":[0,2]}}");
        let depth = Sizes::Depth { prefix: "model.layers".into() };
        let layers = "{\"num_hidden_layers\":3,\"layer_types\":[\"a\", \"b\", \"c\"]}";
        let after = config(layers).shrunk(&depth, &[&[0, 2]], &[3]).unwrap();
        assert_eq!(after.text, "{\"num_hidden_layers\":2,\"layer_types\":[\"a\",\"c\"]}");
        let problem = config(layers).shrunk(&depth, &[&[0]], &[4]).unwrap_err().to_string();
        assert!(problem.contains("3 entries for 4 layers"), "{problem}");
    }

    #[test]
    fn what_is_said_of_layers_goes_with_them_or_is_refused() {
        let depth = Sizes::Depth { prefix: "model.layers".into() };
        let of = |more: &str| {
            let text = format!("{{\"num_hidden_layers\":3,{more}}}");
            config(&text).shrunk(&depth, &[&[0, 2]], &[3]).map(|config| config.text)
        };
        for (before, after) in [
            ("\"no_rope_layers\":[1,0,1]", "\"no_rope_layers\":[1,1]"),
            ("\"no_rope_layers\":[]", "\"no_rope_layers\":[]"),
            ("\"pruned_heads\":{\"1\":[0],\"2\":[3]}", "\"pruned_heads\":{\"1\":[3]}"),
            (
                "\"mlp_only_layers\":[],\"first_k_dense_replace\":0",
                "\"mlp_only_layers\":[],\"first_k_dense_replace\":0",
            ),
            (
                "\"use_sliding_window\":false,\"max_window_layers\":2",
                "\"use_sliding_window\":false,\"max_window_layers\":2",
            ),
            ("\"eos_token_id\":[1,2,3],\"more\":[1,2]", "\"eos_token_id\":[1,2,3],\"more\":[1,2]"),
        ] {
            assert_eq!(of(before).unwrap(), format!("{{\"num_hidden_layers\":2,{after}}}"));
        }
        for (more, says) in [
            ("\"no_rope_layers\":[1]", "`no_rope_layers` has 1 entries for 3 layers"),
            ("\"mlp_only_layers\":[0]", "`mlp_only_layers`"),
            ("\"first_k_dense_replace\":1", "`first_k_dense_replace`"),
            ("\"use_sliding_window\":true,\"max_window_layers\":2", "`max_window_layers`"),
            ("\"pruned_heads\":{\"a\":[0]}", "`pruned_heads`"),
            ("\"scales\":[1,2,3]", "`scales` has 3 entries"),
            ("\"sliding_window_pattern\":2", "one of each 2 layers is of another kind (`sliding_window_pattern`)"),
            ("\"decoder_sparse_step\":2,\"layer_types\":[0,1,2]", "`decoder_sparse_step`"),
            ("\"model_type\":\"gemma2\"", "one of each 2 layers"),
        ] {
            let problem = of(more).unwrap_err().to_string();
            assert!(problem.contains(says), "{problem}");
        }
        // Places that are alike, lists that say it, and periods of one.
        for more in [
            "\"attn_layer_period\":1,\"decoder_sparse_step\":null",
            "\"sliding_window_pattern\":2,\"layer_types\":[\"a\",\"b\",\"a\"]",
        ] {
            of(more).unwrap();
        }
        let four = config("{\"num_hidden_layers\":4,\"model_type\":\"gemma2\",\"decoder_sparse_step\":2}");
        for kept in [&[0_u64, 1][..], &[2, 3], &[0, 3], &[0, 1, 2]] {
            four.shrunk(&depth, &[kept], &[4]).unwrap();
        }
        assert!(four.shrunk(&depth, &[&[1, 2]], &[4]).is_err());
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in ["", "[]", "{\"a\":1,}"] {
            assert!(Config::from_text(text.into()).is_err(), "{text}");
        }
        assert!(config("{\"n\": -1}").number("n").is_err() && config("{\"n\": 0}").number("n").is_err());
        assert_eq!(config("{\"n\": null}").number("n"), Ok(None));
        assert!(config("{}").needed("n").unwrap_err().to_string().contains("`n`"));
    }
}
