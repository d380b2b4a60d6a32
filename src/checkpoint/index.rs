//! `*.safetensors.index.json`: which tensor lies in which shard.
//!
//! Guarantees: the map agrees with the shards in both directions, and every shard is named by a plain file name.

use std::fmt;
use std::path::{Component, Path};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::json::{Keys, Skip, stop};
use super::problem::CheckpointProblem as Problem;
use super::tensor::TensorInfo;

/// Tensor names and the shards that have them. All names in one text, as in [`Keys`]: so it takes no more than a few
/// times the index, whatever the names are.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct WeightMap {
    text: String,
    /// By name. Where in the text a tensor's name begins, where its shard's name does, and where that ends.
    entries: Vec<[u32; 3]>,
}

impl WeightMap {
    /// Parses an index; its keys other than `weight_map` are ignored.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let (mut found, mut problem) = (None, None);
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let index = Index { found: &mut found, problem: &mut problem };
        if let Err(e) = index.deserialize(&mut json).and_then(|()| json.end()) {
            return Err(problem.unwrap_or_else(|| Problem::IndexJson { message: e.to_string() }));
        }
        found.ok_or(Problem::NoWeightMap)
    }

    /// The names of the shards, sorted, each known to be a plain file name.
    pub(super) fn shards(&self) -> Result<Vec<String>, Problem> {
        let mut names: Vec<&str> = self.iter().map(|(_, shard)| shard).collect();
        names.sort_unstable();
        names.dedup();
        match names.iter().find(|name| !is_plain(name)) {
            Some(name) => Err(Problem::ShardName { shard: (*name).to_owned() }),
            None => Ok(names.into_iter().map(str::to_owned).collect()),
        }
    }

    /// Checks the map against the tensors that the shards have; `shard` gives the name of a shard of that number.
    pub(super) fn check<'a>(&self, tensors: &[TensorInfo], shard: impl Fn(usize) -> &'a str) -> Result<(), Problem> {
        for info in tensors {
            let shard = shard(info.shard);
            if self.shard_of(&info.name) != Some(shard) {
                return Err(Problem::NotInIndex { tensor: info.name.clone(), shard: shard.to_owned() });
            }
        }
        if self.entries.len() == tensors.len() {
            return Ok(());
        }
        let mut there: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
        there.sort_unstable();
        match self.iter().find(|(tensor, _)| there.binary_search(tensor).is_err()) {
            Some((tensor, shard)) => Err(Problem::NotInShard { tensor: tensor.to_owned(), shard: shard.to_owned() }),
            None => Ok(()),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| self.names(*entry))
    }

    fn names(&self, [tensor, shard, end]: [u32; 3]) -> (&str, &str) {
        (&self.text[tensor as usize..shard as usize], &self.text[shard as usize..end as usize])
    }

    fn shard_of(&self, tensor: &str) -> Option<&str> {
        let at = self.entries.binary_search_by(|entry| self.names(*entry).0.cmp(tensor)).ok()?;
        Some(self.names(self.entries[at]).1)
    }

    fn push(&mut self, tensor: &str, shard: &str) {
        let begin = self.text.len();
        self.text.push_str(tensor);
        self.text.push_str(shard);
        self.entries.push([begin, begin + tensor.len(), self.text.len()].map(|at| at as u32));
    }

    /// Sorts it by tensor; a tensor that is there twice.
    fn sort(&mut self) -> Option<String> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| self.names(*a).0.cmp(self.names(*b).0));
        self.entries = entries;
        let twice = self.entries.windows(2).find(|pair| self.names(pair[0]).0 == self.names(pair[1]).0);
        twice.map(|pair| self.names(pair[0]).0.to_owned())
    }
}

/// One name and nothing else, on unix and on Windows alike.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let one = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    one && !name.contains(['/', '\\', '\0']) && !(cfg!(windows) && name.contains(':'))
}

struct Index<'a> {
    found: &'a mut Option<WeightMap>,
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
            keys.push(&name);
            if name == "weight_map" {
                *self.found = Some(map.next_value_seed(Weights { problem: self.problem })?);
            } else {
                map.next_value::<Skip>()?;
            }
        }
        match keys.duplicate() {
            Some(name) => stop(self.problem, Problem::DuplicateInIndex { name }),
            None => Ok(()),
        }
    }
}

struct Weights<'a> {
    problem: &'a mut Option<Problem>,
}

impl<'de> DeserializeSeed<'de> for Weights<'_> {
    type Value = WeightMap;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Weights<'_> {
    type Value = WeightMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that maps tensor names to shard names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut weights = WeightMap::default();
        while let Some((tensor, shard)) = map.next_entry::<String, String>()? {
            weights.push(&tensor, &shard);
        }
        match weights.sort() {
            Some(name) => stop(self.problem, Problem::DuplicateInIndex { name }),
            None => Ok(weights),
        }
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
