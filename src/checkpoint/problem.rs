//! What can be wrong with a file, an index or a folder, one variant for each rule.
//!
//! Names in messages come from hostile files: they are quoted, escaped and cut short.

use std::path::PathBuf;

/// Which rule of the safetensors format a file, or a list of tensors, breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum HeaderProblem {
    /// There is no room for the header's length.
    #[error("it has {len} bytes, a safetensors file has at least 8: it is damaged or not fully downloaded")]
    TooShort { len: u64 },
    /// The header's length is above the official limit.
    #[error("its header would have {header} bytes, the format allows {max}: it is damaged, or not a safetensors file")]
    TooLong { header: u64, max: u64 },
    /// The header ends after the file does.
    #[error("its header would end at byte {end}, the file has {len} bytes: it is damaged or not fully downloaded")]
    PastEnd { end: u64, len: u64 },
    /// The header is not text.
    #[error("its header is not UTF-8 from byte {at} of the header on: it is damaged, or not a safetensors file")]
    NotUtf8 { at: usize },
    /// The header does not begin with `{`.
    #[error("its header does not begin with `{{`: it is damaged, or not a safetensors file")]
    NotAnObject,
    /// The header is not JSON.
    #[error("its header is not valid JSON: {}", cut(.message))]
    Json { message: String },
    /// A tensor's entry is not an object of the right types.
    #[error("tensor {}: its entry in the header is malformed: {}", quoted(.tensor), cut(.message))]
    Entry { tensor: String, message: String },
    /// `__metadata__` is not an object of strings.
    #[error("its `__metadata__` must map strings to strings: {}", cut(.message))]
    Metadata { message: String },
    /// A tensor's name, `__metadata__`, or a key of it stands in the header twice.
    #[error("its header has {} twice: write it anew with the names made unique", quoted(.name))]
    DuplicateName { name: String },
    /// A key stands twice in one entry.
    #[error("tensor {}: its entry has the key {} twice", quoted(.tensor), quoted(.key))]
    DuplicateKey { tensor: String, key: String },
    /// An entry lacks one of its three keys.
    #[error("tensor {}: its entry has no `{key}`", quoted(.tensor))]
    MissingKey { tensor: String, key: &'static str },
    /// A dtype that the safetensors crate does not know.
    #[error("tensor {}: unknown dtype {}: a newer lopper may know it", quoted(.tensor), quoted(.dtype))]
    UnknownDtype { tensor: String, dtype: String },
    /// The dimensions, multiplied, do not fit 64 bits.
    #[error("tensor {}: the bits of {rank} dimensions of {dtype} overflow 64 bits", quoted(.tensor))]
    Overflow { tensor: String, dtype: String, rank: usize },
    /// A tensor of a type below 8 bits does not end on a byte.
    #[error("tensor {}: its {bits} bits do not fill whole bytes", quoted(.tensor))]
    PartialByte { tensor: String, bits: u64 },
    /// The offsets are the wrong way round.
    #[error("tensor {}: its data begins at {begin}, after its end at {end}", quoted(.tensor))]
    Reversed { tensor: String, begin: u64, end: u64 },
    /// The offsets do not agree with shape and dtype.
    #[error("tensor {}: its shape and dtype need {needed} bytes, its offsets give it {have}", quoted(.tensor))]
    Size { tensor: String, needed: u64, have: u64 },
    /// A tensor's data begins inside another's.
    #[error(
        "tensor {}: its data begins at {begin}, before the end of the data in front of it at {previous_end}",
        quoted(.tensor)
    )]
    Overlap { tensor: String, begin: u64, previous_end: u64 },
    /// There are bytes between two tensors, or before the first.
    #[error(
        "tensor {}: its data begins at {begin}, but the data in front of it ends at {previous_end}",
        quoted(.tensor)
    )]
    Hole { tensor: String, begin: u64, previous_end: u64 },
    /// A tensor's data ends after the file does.
    #[error(
        "tensor {}: its data ends at {end}, the file holds {data} bytes of data: it is damaged or not fully downloaded",
        quoted(.tensor)
    )]
    PastData { tensor: String, end: u64, data: u64 },
    /// Two tensors of a list have one name.
    #[error("tensor {} is in the list twice: names must be unique", quoted(.tensor))]
    SameName { tensor: String },
    /// The tensors of a list are longer than any address.
    #[error("tensor {}: with it, the tensors have more than 2^64 bytes", quoted(.tensor))]
    Sum { tensor: String },
    /// There are bytes after the last tensor.
    #[error("its tensors cover {covered} bytes, but it holds {data} bytes of data")]
    Trailing { covered: u64, data: u64 },
}

/// What does not add up in an index, in a folder of shards, or in how a checkpoint is used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum CheckpointProblem {
    /// Neither a regular file nor a folder.
    #[error("it is neither a regular file nor a folder")]
    NotAFile,
    /// The folder has nothing to prune.
    #[error("the folder has no *.safetensors file")]
    NoSafetensors,
    /// The folder has more than one index.
    #[error("the folder has {} indexes: give one of {} instead of the folder", .names.len(), list(.names))]
    SeveralIndexes { names: Vec<String> },
    /// A shard's name is not Unicode.
    #[error("the file name {} is not Unicode: rename it", quoted(.name))]
    NameNotUtf8 { name: String },
    /// The index is larger than a header may be.
    #[error("the index has {len} bytes, at most {max} are read: it is damaged, or not an index")]
    IndexTooLarge { len: u64, max: u64 },
    /// The index is not JSON, or not of the right types.
    #[error("the index is malformed: {}", cut(.message))]
    IndexJson { message: String },
    /// The index has no `weight_map`.
    #[error("the index has no `weight_map`, which says in which shard each tensor is")]
    NoWeightMap,
    /// A tensor, or `weight_map` itself, stands in the index twice.
    #[error("the index has {} twice", quoted(.name))]
    DuplicateInIndex { name: String },
    /// A shard's name is not that of a file beside the index.
    #[error(
        "the index names the shard {}, which is not a plain file name: shards must lie beside the index",
        quoted(.shard)
    )]
    ShardName { shard: String },
    /// A shard does not exist.
    #[error("the shard {} is missing: is the checkpoint fully downloaded?", quoted(.shard))]
    MissingShard { shard: String },
    /// A shard is a folder, a pipe or a device.
    #[error("the shard {} is not a regular file", quoted(.shard))]
    ShardNotAFile { shard: String },
    /// A symbolic link leads out of the folder, and not into the Hugging Face cache that the folder belongs to.
    #[error(
        "{} is a link that leads out of the folder, to {}: put the file itself there",
        quoted(.name), .target.display()
    )]
    LinkLeadsOut { name: String, target: PathBuf },
    /// The index places a tensor in a shard that lacks it.
    #[error("the index places tensor {} in {}, which does not have it", quoted(.tensor), quoted(.shard))]
    NotInShard { tensor: String, shard: String },
    /// A shard has a tensor that the index lacks, or places elsewhere.
    #[error("{} has tensor {}, which the index does not place there", quoted(.shard), quoted(.tensor))]
    NotInIndex { tensor: String, shard: String },
    /// Two shards have a tensor of the same name.
    #[error(
        "tensor {} is both in {} and in {}: give an index, or one of the files",
        quoted(.tensor), quoted(.first), quoted(.second)
    )]
    InTwoShards { tensor: String, first: String, second: String },
    /// A file was exchanged for another while it was in use.
    #[error("it was replaced by another file while it was in use: run again when nothing else writes there")]
    Replaced,
    /// A shard was written to after it was opened.
    #[error(
        "it was written to while it was read (it had {len} bytes, it now has {now}): run again when nothing else writes \
         there"
    )]
    Changed { len: u64, now: u64 },
    /// A header would be too long with an entry that is added to it.
    #[error("its header would have {header} bytes with {key} in its metadata, and the format allows {max}")]
    HeaderGrows { key: &'static str, header: u64, max: u64 },
    /// A header would be longer than the format allows.
    #[error("its header would have {header} bytes, and the format allows {max}")]
    HeaderTooLong { header: u64, max: u64 },
    /// A tensor cannot have the name of a header's metadata.
    #[error("no tensor can have the reserved name `__metadata__`")]
    ReservedName,
    /// There is no tensor of that number.
    #[error("there is no tensor {index}, the checkpoint has {count}")]
    NoSuchTensor { index: usize, count: usize },
    /// A range leaves its tensor.
    #[error("tensor {} has {len} bytes, {wanted} were asked for at {offset}", quoted(.tensor))]
    OutOfTensor { tensor: String, len: u64, offset: u64, wanted: u64 },
    /// The output was committed before [`Output::copy_rest`](super::Output::copy_rest) was done.
    #[error("the rest of the checkpoint was not copied before the output was committed")]
    RestNotCopied,
    /// The output was committed before a tensor was written in full.
    #[error("tensor {}: {written} of {len} bytes were written when the output was committed", quoted(.tensor))]
    Unwritten { tensor: String, written: u64, len: u64 },
}

/// The most characters of a hostile text that a message shows.
const SHOWN: usize = 200;

/// The text between backticks, control characters escaped, cut short.
pub(crate) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() { format!("`{shown}…`") } else { format!("`{shown}`") }
}

/// The text, cut short: for messages of serde_json, which escapes but does not cut.
pub(crate) fn cut(text: &str) -> String {
    let end = text.char_indices().nth(2 * SHOWN).map(|(at, _)| at);
    end.map_or_else(|| text.to_owned(), |end| format!("{}…", &text[..end]))
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_escaped_and_cut() {
        assert_eq!(quoted("a\x1b[31m\n"), "`a\\u{1b}[31m\\n`");
        let message = HeaderProblem::DuplicateName { name: "é".repeat(100_000) }.to_string();
        assert!(message.chars().count() < 300 && message.contains('…'));
        assert!(cut(&"é".repeat(100_000)).chars().count() == 401);
    }
}
