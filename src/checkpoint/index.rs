//! `*.safetensors.index.json`: which tensor lies in which shard.
//!
//! Guarantees: the map agrees with the shards in both directions, and every shard is named by a plain file name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::json::{Keys, Skip, stop};
use super::problem::CheckpointProblem as Problem;
use super::read::Shard;
use super::tensor::TensorInfo;

/// Tensor names and the shards that have them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WeightMap(BTreeMap<String, String>);

impl WeightMap {
    /// Parses an index; its keys other than `weight_map` are ignored.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let (mut found, mut problem) = (None, None);
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let index = Index { found: &mut found, problem: &mut problem };
        if let Err(e) = index.deserialize(&mut json).and_then(|()| json.end()) {
            return Err(problem.unwrap_or_else(|| Problem::IndexJson { message: e.to_string() }));
        }
        found.map(Self).ok_or(Problem::NoWeightMap)
    }

    /// The names of the shards, sorted, each known to be a plain file name.
    pub(super) fn shards(&self) -> Result<Vec<String>, Problem> {
        let names: BTreeSet<&str> = self.0.values().map(String::as_str).collect();
        match names.iter().find(|name| !is_plain(name)) {
            Some(name) => Err(Problem::ShardName { shard: (*name).to_owned() }),
            None => Ok(names.into_iter().map(str::to_owned).collect()),
        }
    }

    /// Checks the map against the tensors that the shards have.
    pub(super) fn check(&self, tensors: &[TensorInfo], shards: &[Shard]) -> Result<(), Problem> {
        for info in tensors {
            let shard = &shards[info.shard].name;
            if self.0.get(&info.name) != Some(shard) {
                return Err(Problem::NotInIndex { tensor: info.name.clone(), shard: shard.clone() });
            }
        }
        if self.0.len() == tensors.len() {
            return Ok(());
        }
        let there: BTreeSet<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
        match self.0.iter().find(|(tensor, _)| !there.contains(tensor.as_str())) {
            Some((tensor, shard)) => Err(Problem::NotInShard { tensor: tensor.clone(), shard: shard.clone() }),
            None => Ok(()),
        }
    }
}

/// One name and nothing else, on unix and on Windows alike.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let one = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    one && !name.contains(['/', '\\', '\0']) && !(cfg!(windows) && name.contains(':'))
}

struct Index<'a> {
    found: &'a mut Option<BTreeMap<String, String>>,
    problem: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for Index<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Index<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a `weight_map`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(name) = map.next_key::<String>()? {
            if !keys.insert(&name) {
                return stop(self.problem, Problem::DuplicateInIndex { name });
            }
            if name == "weight_map" {
                *self.found = Some(map.next_value_seed(Weights { problem: self.problem })?);
            } else {
                map.next_value::<Skip>()?;
            }
        }
        Ok(())
    }
}

struct Weights<'a> {
    problem: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for Weights<'_> {
    type Value = BTreeMap<String, String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Weights<'_> {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that maps tensor names to shard names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut weights = BTreeMap::new();
        while let Some((tensor, shard)) = map.next_entry::<String, String>()? {
            if weights.contains_key(&tensor) {
                return stop(self.problem, Problem::DuplicateInIndex { name: tensor });
            }
            weights.insert(tensor, shard);
        }
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_plain_file_names() {
        for name in ["model.safetensors", "a b", ".hidden", "model-00001-of-00002.safetensors", "..."] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", ".", "..", "/", "/etc/passwd", "../a", "a/b", "a/", "./a", "a\\b", "..\\a", "a\0"] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn an_index_is_parsed_or_its_problem_named() {
        let parse = |text: &str| WeightMap::parse(text.as_bytes());
        let map = parse(r#"{"metadata":{"total_size":1},"weight_map":{"b":"y","a":"x","c":"x"}}"#).unwrap();
        assert_eq!(map.shards().unwrap(), ["x", "y"]);
        assert_eq!(parse("{}"), Err(Problem::NoWeightMap));
        let twice = |name: &str| Err(Problem::DuplicateInIndex { name: name.into() });
        assert_eq!(parse(r#"{"weight_map":{"a":"x","a":"x"}}"#), twice("a"));
        assert_eq!(parse(r#"{"weight_map":{},"weight_map":{}}"#), twice("weight_map"));
        for bad in ["", "[]", "{", r#"{"weight_map":[]}"#, r#"{"weight_map":{"a":1}}"#, r#"{"weight_map":{}} x"#] {
            assert!(matches!(parse(bad), Err(Problem::IndexJson { .. })), "{bad}");
        }
    }
}
