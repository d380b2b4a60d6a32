//! One entry of a header's `__metadata__`, found and put in as text: all else stays as it is, and nothing is built that a
//! header of ten million entries would make large.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The value of `key`, where there is one.
pub(super) fn entry(header: &str, key: &str) -> Option<String> {
    serde_json::from_str(value_of(value_of(header, METADATA)?, key)?).ok()
}

/// All entries.
pub(super) fn entries(header: &str) -> BTreeMap<String, String> {
    value_of(header, METADATA).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The header, which has been checked, with this entry instead of any other of its key; padded with spaces so that data
/// begins at a multiple of 8 bytes.
pub(super) fn with_entry(header: &str, key: &str, value: &str) -> String {
    let (key_text, value_text) = (string(key), string(value));
    let entry = format!("{key_text}:{value_text}");
    let mut text = match value_of(header, METADATA) {
        None => with_first(header, &format!("{}:{{{entry}}}", string(METADATA))),
        Some(metadata) => {
            let metadata_now = match value_of(metadata, key) {
                Some(old) => replaced(metadata, old, &value_text),
                None if metadata.starts_with('{') => with_first(metadata, &entry),
                None => format!("{{{entry}}}"), // it is null
            };
            replaced(header, metadata, &metadata_now)
        }
    };
    text.truncate(text.trim_end().len());
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    text
}

const METADATA: &str = "__metadata__";

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object's text with one more entry, in front of the others.
fn with_first(object: &str, entry: &str) -> String {
    let rest = object.trim_start().strip_prefix('{').unwrap_or_default();
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    format!("{{{entry}{comma}{rest}")
}

/// `text` with `part`, a slice of it, replaced.
fn replaced(text: &str, part: &str, by: &str) -> String {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    [&text[..start], by, &text[start + part.len()..]].concat()
}

/// The text of the value of `key` in an object's text; none if that is no object.
fn value_of<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    serde_json::Deserializer::from_str(object).deserialize_map(Find { key }).ok()?
}

struct Find<'a> {
    key: &'a str,
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            if key == self.key {
                found = Some(value.get());
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_put_into_any_header_and_found_again() {
        let value = "[[rule]]\nsparsity = 0.5 # \"ü\"\n";
        for (header, expected) in [
            ("{}", r#"{"__metadata__":{"k":"V"}}"#),
            (r#"{"a":{"x":1}}   "#, r#"{"__metadata__":{"k":"V"},"a":{"x":1}}"#),
            (r#"{ "__metadata__" : {} , "a":2}"#, r#"{ "__metadata__" : {"k":"V"} , "a":2}"#),
            (r#"{"a":2,"__metadata__":null}"#, r#"{"a":2,"__metadata__":{"k":"V"}}"#),
            (r#"{"__metadata__":{"format":"pt"},"a":2}"#, r#"{"__metadata__":{"k":"V","format":"pt"},"a":2}"#),
            (r#"{"__metadata__":{"\u006b":"old","z":"k"}}"#, r#"{"__metadata__":{"\u006b":"V","z":"k"}}"#),
        ] {
            let text = with_entry(header, "k", value);
            assert_eq!(text.trim_end(), expected.replace("\"V\"", &string(value)), "{header}");
            assert!(text.len().is_multiple_of(8));
            assert_eq!(entry(&text, "k").as_deref(), Some(value));
            assert_eq!(with_entry(&text, "k", value), text, "a second time changes nothing");
        }
        assert_eq!(entry(r#"{"__metadata__":{"a":"b"},"k":"v"}"#, "k"), None);
        assert_eq!(entry(r#"{"__metadata__":null}"#, "k"), None);
    }
}
