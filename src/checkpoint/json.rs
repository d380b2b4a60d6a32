//! Reading hostile JSON: no tree is built, and duplicate keys and typed problems are seen while it is read.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Any JSON value, checked and dropped.
///
/// Unlike serde's `IgnoredAny`, which skips over what it ignores, this refuses unpaired surrogates, numbers out of
/// range and deep nesting, as the safetensors crate does.
pub(super) struct Skip;

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Skip)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = Skip;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_str<E>(self, _: &str) -> Result<Skip, E> {
        Ok(Skip)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Skip, A::Error> {
        while seq.next_element::<Skip>()?.is_some() {}
        Ok(Skip)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Skip, A::Error> {
        while map.next_entry::<Skip, Skip>()?.is_some() {}
        Ok(Skip)
    }
}

/// Object keys seen so far.
#[derive(Default)]
pub(super) struct Keys(HashSet<String>);

impl Keys {
    /// Whether `key` is new.
    pub(super) fn insert(&mut self, key: &str) -> bool {
        !self.0.contains(key) && self.0.insert(key.to_owned())
    }
}

/// Keeps the first problem and returns an error that ends the parsing; who started it takes the problem instead.
pub(super) fn stop<P, T, E: de::Error>(slot: &mut Option<P>, problem: P) -> Result<T, E> {
    slot.get_or_insert(problem);
    Err(E::custom("refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_is_still_checked() {
        let skip = |text: &str| serde_json::from_str::<Skip>(text).is_ok();
        assert!(skip(r#"{"a": [1, -1, 1.5, true, null, "é", {"b": {}}]}"#));
        assert!(!skip(r#""\ud800""#));
        assert!(!skip("1e999"));
        assert!(skip(&("[".repeat(100) + &"]".repeat(100))));
        assert!(!skip(&("[".repeat(100_000) + &"]".repeat(100_000))));
    }
}
