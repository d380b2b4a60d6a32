//! What can be wrong with a file of another program, one variant for each rule.
//!
//! Names and texts in messages come from hostile files: they are quoted, escaped and cut short.

use crate::checkpoint::{cut, quoted};

/// Which rule of its format a file breaks, or what of it lopper does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ContainerProblem {
    /// Neither contents nor name tell what it is.
    #[error(
        "it is of no format that lopper reads: safetensors, NumPy .npy or .npz, a PyTorch zip checkpoint, GGUF, ONNX, or Keras \
         .weights.h5 or .keras"
    )]
    Unknown,
    /// A PyTorch file of before 1.6.
    #[error(
        "it is a PyTorch file of the format before 1.6: load it with torch and save it anew, with \
         `torch.save(torch.load(old, weights_only=True), new)`"
    )]
    LegacyTorch,
    /// It ends before what it says it holds.
    #[error("{what} needs bytes {at}..{end}, there are {len}: it is damaged or not fully downloaded")]
    PastEnd { what: String, at: u64, end: u64, len: u64 },
    /// More of something than is read.
    #[error("{what}: there would be {count}, at most {max} are read: it is damaged, or made to do harm")]
    TooMany { what: String, count: u64, max: u64 },
    /// Something that its format's description does not allow.
    #[error("byte {at}: {}: it is damaged, or of another version of the format", shown(.what))]
    Malformed { at: u64, what: String },
    /// A part of it that a reader of that format refuses.
    #[error("its {format} cannot be read: {}: it is damaged or not fully downloaded", shown(.message))]
    Unreadable { format: &'static str, message: String },
    /// A tensor breaks a rule.
    #[error("tensor {}: {}", quoted(.tensor), shown(.what))]
    Tensor { tensor: String, what: String },
    /// Two tensors, or two members, of one name.
    #[error("it has {} twice: write it anew with the names made unique", quoted(.name))]
    Duplicate { name: String },
    /// Bytes that belong to two things.
    #[error("{} and {} share bytes: {why}", quoted(.first), quoted(.second))]
    Overlap { first: String, second: String, why: &'static str },
    /// A member of a zip file that cannot be what it says.
    #[error("member {}: {}", quoted(.member), shown(.what))]
    Member { member: String, what: String },
    /// Much data out of few bytes.
    #[error(
        "its compressed members would unpack to {unpacked} bytes, out of a file of {len}: at most {max} are unpacked; if it is \
         to be trusted, unpack it and save it uncompressed"
    )]
    Bomb { unpacked: u64, len: u64, max: u64 },
    /// A pickle asks for something that is no tensor.
    #[error(
        "byte {at} of {}: its pickle asks for {}, and only tensors in dictionaries, lists and tuples are read: nothing was run; \
         save it as `torch.save(model.state_dict(), …)`",
        quoted(.member), quoted(.global)
    )]
    Global { member: String, at: u64, global: String },
    /// A pickle has an opcode that no checkpoint needs.
    #[error("byte {at} of {}: its pickle has the opcode {opcode}, which is not run: {why}", quoted(.member))]
    Opcode { member: String, at: u64, opcode: String, why: &'static str },
    /// A pickle is not one of tensors.
    #[error("byte {at} of {}: {}", quoted(.member), shown(.what))]
    Pickle { member: String, at: u64, what: String },
    /// External data that is not beside the model.
    #[error("tensor {}: its data is in {}, {why}", quoted(.tensor), quoted(.location))]
    External { tensor: String, location: String, why: String },
    /// A tensor that is not held by what it is to be written as.
    #[error("tensor {}: {}; {hint}", quoted(.tensor), shown(.what))]
    NotHeld { tensor: String, what: String, hint: &'static str },
    /// It was written to.
    #[error(
        "it was written to while it was read (it had {len} bytes, it now has {now}): run again when nothing else writes there"
    )]
    Changed { len: u64, now: u64 },
    /// A format that is read only.
    #[error("{what} files are read, not written: {hint}")]
    ReadOnly { what: &'static str, hint: &'static str },
}

/// The text, cut short, with what a terminal would obey escaped.
fn shown(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    cut(text).chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_files_are_inert_and_short() {
        let what = format!("NumPy type \x1b[2J{}", "x".repeat(60_000));
        let problem = ContainerProblem::NotHeld { tensor: "a".into(), what, hint: "convert it" };
        let text = problem.to_string();
        assert!(text.contains("NumPy type \\u{1b}[2Jx") && !text.contains('\x1b') && text.len() < 1000, "{text}");
    }
}
