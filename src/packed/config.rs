//! The section of `config.json` that says how weights are packed: put in as text and taken out again, so that the rest stays
//! as it is, to the byte.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Packing;
use crate::Error;
use crate::checkpoint::Checkpoint;

/// Its file.
pub(super) const FILE: &str = "config.json";

/// Its length, at most.
pub(super) const MOST: u64 = 16 << 20;

const SECTION: &str = "quantization_config";
const SPARSITY: &str = "sparsity_config";

/// The last release of `compressed-tensors` that reads such files.
const VERSION: &str = "0.14.0";

/// The section for such a checkpoint: modules that are left dense, and the share of its weights that is zero in what is packed.
pub(super) fn section(packing: Packing, ignore: &[String], sparsity: f64) -> Value {
    let structure = if packing == Packing::Sparse24Bitmask { "2:4" } else { "unstructured" };
    json!({
        "quant_method": "compressed-tensors",
        "version": VERSION,
        "sparsity_config": {
            "format": packing.name(),
            "targets": ["Linear"],
            "ignore": ignore,
            "global_sparsity": sparsity,
            "sparsity_structure": structure,
        },
    })
}

/// What is wrong with a checkpoint's file.
pub(super) fn bad(checkpoint: &Checkpoint, problem: String) -> Error {
    let folder = checkpoint.shards()[0].path().parent().unwrap_or(Path::new(""));
    Error::Data { path: folder.join(FILE), tensor: None, problem }
}

/// Whether a text that a section can be put into has no other entries.
///
/// # Errors
/// Where it is no object, or has such a section.
pub(super) fn check(text: &str) -> Result<bool, String> {
    let entries = entries(text)?;
    match [SECTION, SPARSITY].into_iter().find(|section| entries.contains_key(*section)) {
        Some(section) => Err(format!(
            "its `{section}` says already that weights are quantized or packed: such a checkpoint is not packed"
        )),
        None => Ok(entries.is_empty()),
    }
}

/// The text with the section in front of its other entries.
///
/// # Errors
/// Where it is no object, or has such a section.
pub(super) fn with(text: &str, section: &Value) -> Result<String, String> {
    let empty = check(text)?;
    let start = text.find('{').ok_or("it is no object")? + 1;
    let section = serde_json::to_string_pretty(section).map_err(|error| error.to_string())?.replace('\n', "\n  ");
    let comma = if empty { "" } else { "," };
    Ok(format!("{}\n  \"{SECTION}\": {section}{comma}{}", &text[..start], &text[start..]))
}

/// The text without what says that weights are packed; what says that they are quantized stays. None where it says neither.
///
/// # Errors
/// Where it is no object.
pub(super) fn without(text: &str) -> Result<Option<String>, String> {
    // Python writes numbers that JSON has not; what has no section is not looked at further.
    if !text.contains(SECTION) && !text.contains(SPARSITY) {
        return Ok(None);
    }
    let all = entries(text)?;
    let mut now = text.to_owned();
    if let Some(section) = all.get(SECTION) {
        let inside = entries(section.get()).unwrap_or_default();
        let quantized = inside.get("config_groups").is_some_and(|groups| !matches!(groups.get(), "null" | "{}"));
        match (inside.contains_key(SPARSITY), quantized) {
            (false, _) => {}
            (true, false) => now = removed(text, SECTION, section)?,
            (true, true) => {
                let less = removed(section.get(), SPARSITY, inside[SPARSITY])?;
                now = text.replacen(section.get(), &less, 1);
            }
        }
    }
    let less = entries(&now)?.get(SPARSITY).map(|section| removed(&now, SPARSITY, section)).transpose()?;
    now = less.unwrap_or(now);
    Ok((now != text).then_some(now))
}

fn entries(text: &str) -> Result<BTreeMap<String, &RawValue>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no object in JSON: {error}"))
}

/// An object's text without one of its entries, whose value is a part of it.
fn removed(object: &str, key: &str, value: &RawValue) -> Result<String, String> {
    let at = value.get().as_ptr().addr() - object.as_ptr().addr();
    let name = object[..at].rfind(&format!("\"{key}\"")).ok_or("its keys are escaped")?;
    let (before, after) = (object[..name].trim_end(), &object[at + value.get().len()..]);
    Ok(match after.trim_start().strip_prefix(',') {
        Some(after) => format!("{before}{after}"),
        None => format!("{}{after}", before.strip_suffix(',').unwrap_or(before)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_put_in_and_taken_out_again() {
        let section = section(Packing::SparseBitmask, &["lm_head".into()], 0.25);
        for text in ["{}", "{\n  \"a\": 1\n}\n", "{\"a\": {\"b\": [1]}, \"c\": \"ü\"}", " { } "] {
            let packed = with(text, &section).unwrap();
            let parsed: Value = serde_json::from_str(&packed).unwrap();
            assert_eq!(parsed[SECTION][SPARSITY]["ignore"][0], "lm_head");
            assert!(with(&packed, &section).is_err());
            assert_eq!(without(&packed).unwrap().as_deref(), Some(text));
            assert_eq!(without(text).unwrap(), None);
        }
        assert!(with("[1]", &section).is_err() && without("{\"sparsity_config\":").is_err());
        assert_eq!(without("{\"limit\": [0.0, Infinity]}").unwrap(), None);
    }

    #[test]
    fn what_others_have_written_is_taken_out_wherever_it_is() {
        let all = [
            (r#"{"a": 1, "quantization_config": {"sparsity_config": {"format": "dense"}}}"#, r#"{"a": 1}"#),
            (r#"{"a": 1, "sparsity_config": {"x": 1}, "b": 2}"#, r#"{"a": 1, "b": 2}"#),
            (
                r#"{"quantization_config": {"config_groups": {"g": 1}, "sparsity_config": {}}, "b": 2}"#,
                r#"{"quantization_config": {"config_groups": {"g": 1}}, "b": 2}"#,
            ),
        ];
        for (text, expected) in all {
            assert_eq!(without(text).unwrap().as_deref(), Some(expected));
        }
        assert_eq!(without(r#"{"quantization_config": {"quant_method": "gptq"}}"#).unwrap(), None);
    }
}
