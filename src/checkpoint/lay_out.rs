//! Headers and indexes of checkpoints that are made anew.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde_json::value::RawValue;

use super::fresh::{FreshDescriptor, NewShard};
use super::header::MAX_HEADER_BYTES;
use super::problem::CheckpointProblem as Problem;
use super::read::Layout;
use super::tensor::TensorInfo;
use crate::{Error, Result};

/// The first bytes of a shard, up to its data, and its tensors at their places.
pub(crate) fn lay_out(shard: &NewShard, number: usize, output: &Path) -> Result<(Vec<u8>, Vec<TensorInfo>)> {
    let mut order: Vec<usize> = (0..shard.tensors.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(shard.tensors[*at].dtype.bitsize()));
    let mut placed = shard.tensors.clone();
    let mut end = 0u64;
    let mut entries = Vec::new();
    if !shard.metadata.is_empty() {
        entries.push(format!("\"__metadata__\":{}", serde_json::json!(shard.metadata)));
    }
    for at in order {
        let info = &mut placed[at];
        let begin = end;
        end = end.saturating_add(info.bytes());
        let (name, shape) = (serde_json::Value::from(info.name.as_str()), serde_json::json!(info.shape));
        entries.push(format!(
            "{name}:{{\"dtype\":\"{}\",\"shape\":{shape},\"data_offsets\":[{begin},{end}]}}",
            info.dtype
        ));
        (info.shard, info.range) = (number, begin..end);
    }
    let refused = |problem| Error::Checkpoint { path: output.join(&shard.name), problem };
    if shard.tensors.iter().any(|info| info.name == "__metadata__") {
        return Err(refused(Problem::ReservedName));
    }
    let mut text = format!("{{{}}}", entries.join(","));
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    let header = text.len() as u64;
    if header > MAX_HEADER_BYTES {
        return Err(refused(Problem::HeaderTooLong { header, max: MAX_HEADER_BYTES }));
    }
    for info in &mut placed {
        info.range = 8 + header + info.range.start..8 + header + info.range.end;
    }
    Ok(([&header.to_le_bytes(), text.as_bytes()].concat(), placed))
}

/// The index's name and text, if the input has one: its other keys stay, but for totals, which are counted anew.
pub(super) fn index(what: &FreshDescriptor<'_>, tensors: &[TensorInfo]) -> Result<Option<(OsString, Vec<u8>)>> {
    #[derive(serde::Deserialize)]
    struct Old<'a> {
        #[serde(borrow, default)]
        metadata: Option<BTreeMap<String, &'a RawValue>>,
    }
    let Layout::Folder { index: Some(index), .. } = &what.from.0.layout else { return Ok(None) };
    let old = serde_json::from_slice::<Old>(&index.bytes).ok().and_then(|old| old.metadata).unwrap_or_default();
    let total: u64 = tensors.iter().map(TensorInfo::bytes).sum();
    let mut metadata = vec![format!("    \"total_size\": {total}")];
    let kept = old.iter().filter(|(key, _)| !key.starts_with("total_"));
    metadata.extend(kept.map(|(key, value)| format!("    {}: {}", serde_json::Value::from(key.as_str()), value.get())));
    let map: BTreeMap<&str, &str> =
        tensors.iter().map(|info| (info.name.as_str(), what.shards[info.shard].name.as_str())).collect();
    let line = |(tensor, shard): (&&str, &&str)| {
        format!("    {}: {}", serde_json::Value::from(*tensor), serde_json::Value::from(*shard))
    };
    let map: Vec<String> = map.iter().map(line).collect();
    let text = format!(
        "{{\n  \"metadata\": {{\n{}\n  }},\n  \"weight_map\": {{\n{}\n  }}\n}}\n",
        metadata.join(",\n"),
        map.join(",\n")
    );
    Ok(Some((index.name.clone(), text.into_bytes())))
}
