//! What a tensor's name says about its role. A heuristic, with `--include`, `--exclude` and `--all` to overrule it.
//!
//! A name is taken apart at dots and slashes, each part in lower case, and a part into words at `_` and `-`:
//!
//! | role | a part contains | a word is | found in |
//! |---|---|---|---|
//! | embedding | `embed` | `emb`, `embd`, `wte`, `wpe` | `embed_tokens`, `word_embeddings`, `patch_embed`, `token_embd`, `wte` |
//! | output head | `lm_head` | | `lm_head`, `lm_head_0` |
//! | normalisation | `norm` | `ln` or `bn` and then digits or `f` | `input_layernorm`, `ln_1`, `ln1`, `ln_f`, `lnf`, `bn2` |
//!
//! Embeddings and heads are left alone because a row is one token: pruning them by magnitude erases rare tokens first.

/// The role of a tensor that is not pruned by default, as the reason calls it.
pub(super) fn role(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    name.split(['.', '/']).find_map(|part| {
        let word = |is: fn(&str) -> bool| part.split(['_', '-']).any(is);
        if part.contains("embed") || word(|w| matches!(w, "emb" | "embd" | "wte" | "wpe")) {
            Some("embedding")
        } else if part.contains("lm_head") {
            Some("output head")
        } else if part.contains("norm") || word(is_norm) {
            Some("normalisation")
        } else {
            None
        }
    })
}

fn is_norm(word: &str) -> bool {
    let number = word.strip_prefix("ln").or_else(|| word.strip_prefix("bn"));
    number.is_some_and(|n| n == "f" || n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_told_by_the_names_of_common_models() {
        let cases = [
            ("model.embed_tokens.weight", Some("embedding")),
            ("bert.embeddings.word_embeddings.weight", Some("embedding")),
            ("transformer.wte.weight", Some("embedding")),
            ("wpe.weight", Some("embedding")),
            ("token_embd.weight", Some("embedding")),
            ("emb.weight", Some("embedding")),
            ("vision.Patch_Embed.proj.weight", Some("embedding")),
            ("encoder/embeddings/weight", Some("embedding")),
            ("lm_head.weight", Some("output head")),
            ("model.layers.0.input_layernorm.weight", Some("normalisation")),
            ("model.layers.0.self_attn.q_norm.weight", Some("normalisation")),
            ("h.0.ln_1.weight", Some("normalisation")),
            ("blocks.0.ln2.weight", Some("normalisation")),
            ("transformer.ln_f.weight", Some("normalisation")),
            ("lnf.weight", Some("normalisation")),
            ("layer1.0.bn2.weight", Some("normalisation")),
            ("post_ln.weight", Some("normalisation")),
            ("model.layers.0.self_attn.q_proj.weight", None),
            ("model.layers.0.mlp.down_proj.weight", None),
            ("h.0.attn.c_attn.weight", None),
            ("lstm_cell.weight_ih", None),
            ("member.weight", None),
            ("lnet.weight", None),
            ("heads.0.weight", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(role(name), expected, "{name}");
        }
    }
}
