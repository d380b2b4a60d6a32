//! What a run is: all that its output's bytes depend on.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::quoted;
use super::read::{Checkpoint, Layout};

/// Raised when older journals no longer mean the same.
const FORMAT: u32 = 2;

/// What a run is: another one with the same head writes the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    /// The output's name in its folder, if it is one file.
    pub(super) output: Option<String>,
    shards: Vec<Input>,
    /// Of the index, if there is one.
    index: Option<String>,
    /// What the caller does.
    work: Value,
}

/// A shard of the input: what tells whether it is still the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Input {
    name: String,
    bytes: u64,
    /// Nanoseconds since 1970, where the system says.
    modified: Option<u64>,
    /// Digest of the header.
    header: String,
}

/// The start of the SHA-256, in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn nanoseconds(time: Option<SystemTime>) -> Option<u64> {
    time?.duration_since(UNIX_EPOCH).ok()?.as_nanos().try_into().ok()
}

impl Head {
    pub(super) fn new(input: &Checkpoint, output: Option<String>, work: Value) -> Self {
        let shards = input.shards().iter().map(|shard| Input {
            name: shard.name.clone(),
            bytes: shard.len,
            modified: nanoseconds(shard.modified),
            header: shard.header.clone(),
        });
        let index = match &input.0.layout {
            Layout::Folder { index: Some(index), .. } => Some(digest(&index.bytes)),
            _ => None,
        };
        Self { format: FORMAT, output, shards: shards.collect(), index, work }
    }

    /// How the run that is asked for now differs from this one, in a few words.
    pub(super) fn difference(&self, now: &Head) -> Option<String> {
        if self.format != now.format {
            return Some(format!("it is of another version of lopper (format {}, not {})", self.format, now.format));
        }
        for (then, now) in self.shards.iter().zip(&now.shards) {
            let (name, was) = (quoted(&now.name), quoted(&then.name));
            if then.name != now.name {
                return Some(format!("the input's shard {name} was {was} then"));
            }
            if then.bytes != now.bytes {
                return Some(format!("the input's {name} had {} bytes then, and has {} now", then.bytes, now.bytes));
            }
            if then.header != now.header {
                return Some(format!("the header of the input's {name} was another then"));
            }
            if then.modified != now.modified {
                return Some(format!("the input's {name} has been modified since"));
            }
        }
        if self.shards.len() != now.shards.len() {
            return Some(format!("the input had {} shards then, and has {} now", self.shards.len(), now.shards.len()));
        }
        if self.index != now.index {
            return Some("the input's index was another then".into());
        }
        let (what, then, now) = differs(&self.work, &now.work, "")?;
        let short = |value: &Value| quoted(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str());
        Some(format!("{what} was {} then, and is {} now", short(then), short(now)))
    }
}

/// The first place where two values differ: its name, and both values.
fn differs<'a>(a: &'a Value, b: &'a Value, name: &str) -> Option<(String, &'a Value, &'a Value)> {
    match (a, b) {
        (Value::Object(one), Value::Object(two)) => {
            let keys = one.keys().chain(two.keys().filter(|key| !one.contains_key(*key)));
            let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
            let of = |map: &'a serde_json::Map<String, Value>, key: &str| map.get(key).unwrap_or(&Value::Null);
            keys.into_iter().find_map(|key| differs(of(one, key), of(two, key), &inner(key)))
        }
        _ if a == b => None,
        _ => Some((name.to_owned(), a, b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Head {
        pub(in super::super) fn of_nothing(work: Value) -> Self {
            Self { format: FORMAT, output: None, shards: vec![], index: None, work }
        }
    }

    #[test]
    fn differences_have_names() {
        let head = Head::of_nothing;
        let rule = |s: f64| serde_json::json!({"rule": {"scope": "row", "sparsity": s}, "plan": "x"});
        assert_eq!(head(rule(0.5)).difference(&head(rule(0.5))), None);
        let said = head(rule(0.5)).difference(&head(rule(0.6))).unwrap();
        assert_eq!(said, "rule.sparsity was `0.5` then, and is `0.6` now");
    }
}
