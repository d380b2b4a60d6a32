//! The patterns.

use super::Along::{Columns, Rows};
use super::{Along, Beside, Part, Pattern, Per, Sized};
use crate::shrink::Kind;

const fn needed(name: &'static str, along: Along, per: Per) -> Part {
    Part { name, along, per, needed: true }
}

const fn maybe(name: &'static str, along: Along, per: Per) -> Part {
    Part { name, along, per, needed: false }
}

const fn beside(name: &'static str) -> Beside {
    Beside { name, head: false }
}

const fn per_head(name: &'static str) -> Beside {
    Beside { name, head: true }
}

/// Ends of the names of tensors by which a layer of any pattern is known.
pub(super) const LAYERS: [&str; 2] = ["self_attn.q_proj.weight", "attention.self.query.weight"];

/// All of them: gated MLPs and attention with grouped queries as in LLaMA, Mistral, Qwen and SmolLM; BERT, RoBERTa and what is
/// built like them.
pub(super) const PATTERNS: [Pattern; 4] = [
    Pattern {
        name: "LLaMA-like MLPs",
        kind: Kind::Neuron,
        parts: &[
            needed("mlp.gate_proj.weight", Rows, Per::One),
            needed("mlp.up_proj.weight", Rows, Per::One),
            maybe("mlp.gate_proj.bias", Rows, Per::One),
            maybe("mlp.up_proj.bias", Rows, Per::One),
            needed("mlp.down_proj.weight", Columns, Per::One),
        ],
        beside: &[beside("mlp.down_proj.bias")],
        own: &["mlp."],
        config: Sized::Width("intermediate_size"),
        new_biases: Some(("mlp_bias", "llama")),
    },
    Pattern {
        name: "LLaMA-like attention",
        kind: Kind::Head,
        parts: &[
            needed("self_attn.q_proj.weight", Rows, Per::Group),
            needed("self_attn.k_proj.weight", Rows, Per::Head),
            needed("self_attn.v_proj.weight", Rows, Per::Head),
            maybe("self_attn.q_proj.bias", Rows, Per::Group),
            maybe("self_attn.k_proj.bias", Rows, Per::Head),
            maybe("self_attn.v_proj.bias", Rows, Per::Head),
            needed("self_attn.o_proj.weight", Columns, Per::Group),
        ],
        beside: &[
            beside("self_attn.o_proj.bias"),
            beside("self_attn.rotary_emb.inv_freq"),
            per_head("self_attn.q_norm.weight"),
            per_head("self_attn.k_norm.weight"),
        ],
        own: &["self_attn."],
        config: Sized::Heads,
        new_biases: Some(("attention_bias", "llama")),
    },
    Pattern {
        name: "BERT-like MLPs",
        kind: Kind::Neuron,
        parts: &[
            needed("intermediate.dense.weight", Rows, Per::One),
            maybe("intermediate.dense.bias", Rows, Per::One),
            needed("output.dense.weight", Columns, Per::One),
        ],
        beside: &[
            beside("output.dense.bias"),
            beside("output.LayerNorm.weight"),
            beside("output.LayerNorm.bias"),
            beside("output.LayerNorm.gamma"),
            beside("output.LayerNorm.beta"),
        ],
        own: &["intermediate.", "output."],
        config: Sized::Width("intermediate_size"),
        new_biases: None,
    },
    Pattern {
        name: "BERT-like attention",
        kind: Kind::Head,
        parts: &[
            needed("attention.self.query.weight", Rows, Per::Head),
            needed("attention.self.key.weight", Rows, Per::Head),
            needed("attention.self.value.weight", Rows, Per::Head),
            maybe("attention.self.query.bias", Rows, Per::Head),
            maybe("attention.self.key.bias", Rows, Per::Head),
            maybe("attention.self.value.bias", Rows, Per::Head),
            needed("attention.output.dense.weight", Columns, Per::Head),
        ],
        beside: &[
            beside("attention.output.dense.bias"),
            beside("attention.output.LayerNorm.weight"),
            beside("attention.output.LayerNorm.bias"),
            beside("attention.output.LayerNorm.gamma"),
            beside("attention.output.LayerNorm.beta"),
            beside("attention.self.distance_embedding.weight"),
        ],
        own: &["attention."],
        config: Sized::PrunedHeads,
        new_biases: None,
    },
];
