//! A recipe from TOML. Whatever is in it, its place and what is wrong are named.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::words::{COMPATS, LAYOUTS, NORMS, SCOPES, SCORES, one_of, suggestion, unit};
use super::{Draft, Recipe};
use crate::checkpoint::quoted;
use crate::pruner::Rule;
use crate::{Error, Result};

const KEYS: [&str; 17] = [
    "include",
    "exclude",
    "all",
    "sparsity",
    "threshold",
    "keep",
    "of",
    "sparsity-for",
    "scope",
    "unit",
    "norm",
    "score",
    "activations",
    "scores",
    "seed",
    "layout",
    "compat",
];

/// Rules at most, and globs at most: each is asked about every tensor, and a glob takes some kB.
const MOST: usize = 4096;

type Entry<'a, 'i> = (&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>);

/// Reads a recipe of any length.
pub fn recipe(text: &str) -> Result<Recipe> {
    let line =
        |at: usize| Some(text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map(|span| span.start);
        problem(at.and_then(line), format!("it is no TOML: {}", error.message().escape_debug()))
    })?;
    let (mut rules, mut globs) = (Vec::new(), 0);
    for (key, value) in in_order(table.get_ref()) {
        // What hangs together is a matter of `shrink`, which reads it from the same file.
        if key.get_ref() == "couple" {
            continue;
        }
        if key.get_ref() != "rule" {
            let why =
                format!("unknown key {}: {}", quoted(key.get_ref()), suggestion(key.get_ref(), ["rule"].into_iter()));
            return Err(problem(line(key.span().start), why));
        }
        let Some(array) = value.get_ref().as_array() else {
            return Err(problem(line(key.span().start), "`rule` is a list of tables: write `[[rule]]`".into()));
        };
        for item in array.iter() {
            let n = rules.len() + 1;
            if n > MOST {
                return Err(problem(
                    line(item.span().start),
                    format!("it has more than {MOST} rules, which is the most"),
                ));
            }
            let wrong = |at: usize, why: String| problem(line(at), format!("rule {n}: {why}"));
            let Some(table) = item.get_ref().as_table() else {
                return Err(wrong(item.span().start, "it is no table: write `[[rule]]`".into()));
            };
            let rule = rule(table, item.span().start, &wrong)?;
            globs += rule.selection.globs().count();
            if globs > MOST {
                return Err(wrong(
                    item.span().start,
                    format!("with it there are more than {MOST} globs, which is the most"),
                ));
            }
            rules.push(rule);
        }
    }
    match rules.is_empty() {
        true => Err(problem(None, "it has no rules: each begins with `[[rule]]`".into())),
        false => Ok(Recipe { rules }),
    }
}

/// Reads one rule, whose table begins at byte `at`.
fn rule(table: &DeTable<'_>, at: usize, wrong: &dyn Fn(usize, String) -> Error) -> Result<Rule> {
    let mut draft = Draft::default();
    for (key, value) in in_order(table) {
        set(&mut draft, key.get_ref(), value.get_ref())
            .map_err(|(of_key, why)| wrong(if of_key { key.span().start } else { value.span().start }, why))?;
    }
    let rule = draft.rule().map_err(|why| wrong(at, why))?;
    rule.check().map_err(|error| wrong(at, error.to_string()))?;
    Ok(rule)
}

/// Takes in one key. The error says whether it is the key's, and what is wrong.
fn set(draft: &mut Draft, key: &str, value: &DeValue<'_>) -> Result<(), (bool, String)> {
    let wrong = |why: String| (false, format!("`{key}`: {why}"));
    let word = || value.as_str().ok_or_else(|| wrong(unlike("a word", value)));
    let strings = || strings(value).ok_or_else(|| wrong(unlike("a string or a list of strings", value)));
    let number = || number(value).ok_or_else(|| wrong(unlike("a number", value)));
    let count = || count(value).ok_or_else(|| wrong(unlike("a whole number of 0 or more", value)));
    let file = || word().map(PathBuf::from);
    match key {
        "include" => draft.selection.include = strings()?,
        "exclude" => draft.selection.exclude = strings()?,
        "all" => draft.selection.all = value.as_bool().ok_or_else(|| wrong(unlike("`true` or `false`", value)))?,
        "sparsity" => draft.sparsity = Some(number()?),
        "threshold" => draft.threshold = Some(number()?),
        "keep" => draft.keep = Some(count()?),
        "of" => draft.of = Some(u32::try_from(count()?).unwrap_or(u32::MAX)),
        "sparsity-for" => {
            let pairs = strings()?.into_iter().map(|text| pair(&text).ok_or(text));
            let pairs: Result<Vec<_>, _> = pairs.collect();
            draft.selection.sparsity_for =
                pairs.map_err(|text| wrong(format!("{} is not GLOB=S, such as `*.mlp.*=0.7`", quoted(&text))))?;
        }
        "scope" => draft.scope = Some(one_of("scope", word()?, &SCOPES).map_err(wrong)?),
        "unit" => draft.unit = Some(unit(word()?).map_err(wrong)?),
        "norm" => draft.norm = Some(one_of("norm", word()?, &NORMS).map_err(wrong)?),
        "score" => draft.score = Some(one_of("score", word()?, &SCORES).map_err(wrong)?),
        "activations" => draft.activations = Some(file()?),
        "scores" => draft.scores = Some(file()?),
        "seed" => draft.seed = Some(count()?),
        "layout" => draft.layout = Some(one_of("layout", word()?, &LAYOUTS).map_err(wrong)?),
        "compat" => draft.compat = Some(one_of("compat", word()?, &COMPATS).map_err(wrong)?),
        other => {
            return Err((true, format!("unknown key {}: {}", quoted(other), suggestion(other, KEYS.into_iter()))));
        }
    }
    Ok(())
}

/// A table's entries, in the order of the text.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// What is there instead.
fn unlike(wanted: &str, value: &DeValue<'_>) -> String {
    let have = match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => quoted(&number.to_string()),
        DeValue::Float(number) => quoted(&number.to_string()),
        DeValue::Boolean(truth) => format!("`{truth}`"),
        other => format!("of type {}", other.type_str()),
    };
    format!("give {wanted}; it is {have}")
}

fn strings(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::String(text) => Some(vec![text.to_string()]),
        DeValue::Array(array) => array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    }
}

fn count(value: &DeValue<'_>) -> Option<u64> {
    value.as_integer().and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
}

/// `GLOB=S`.
fn pair(text: &str) -> Option<(String, f64)> {
    // The last `=`: a glob may hold one, a number does not.
    let (glob, sparsity) = text.rsplit_once('=')?;
    Some((glob.into(), sparsity.parse().ok()?))
}

pub fn problem(line: Option<usize>, problem: String) -> Error {
    Error::Recipe { path: None, line, problem }
}
