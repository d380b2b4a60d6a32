//! Reading hostile JSON: no tree is built, and duplicate keys and typed problems are seen while it is read.

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

/// The keys of an object. All in one text: ten million of two letters are a header of 100 MB, and as strings of their
/// own they took more than a GiB.
#[derive(Default)]
pub(super) struct Keys {
    text: String,
    /// Where in it each begins and ends. JSON that holds the keys has at most [`MAX_HEADER_BYTES`](super::MAX_HEADER_BYTES).
    places: Vec<(u32, u32)>,
}

impl Keys {
    pub(super) fn push(&mut self, key: &str) {
        let begin = self.text.len() as u32;
        self.text.push_str(key);
        self.places.push((begin, self.text.len() as u32));
    }

    /// A key that is there twice.
    pub(super) fn duplicate(mut self) -> Option<String> {
        let key = |(begin, end): (u32, u32)| &self.text[begin as usize..end as usize];
        self.places.sort_unstable_by(|a, b| key(*a).cmp(key(*b)));
        let twice = self.places.windows(2).find(|pair| key(pair[0]) == key(pair[1]));
        twice.map(|pair| key(pair[0]).to_owned())
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
