//! A recipe in TOML.

use std::fmt::Write;
use std::path::Path;

use super::Recipe;
use crate::pruner::{Compat, Layout, Rule, Score};
use crate::{Norm, Scope, Target, Unit};

pub fn recipe(recipe: &Recipe) -> String {
    let tables: Vec<String> = recipe.rules.iter().map(rule).collect();
    tables.join("\n")
}

fn rule(rule: &Rule) -> String {
    let mut text = String::from("[[rule]]\n");
    let mut key = |key: &str, value: String| writeln!(text, "{key} = {value}").expect("a string takes any text");
    let selection = &rule.selection;
    for (name, globs) in [("include", &selection.include), ("exclude", &selection.exclude)] {
        if !globs.is_empty() {
            key(name, list(globs));
        }
    }
    if selection.all {
        key("all", "true".into());
    }
    match rule.target {
        Target::Sparsity(share) => key("sparsity", float(share)),
        Target::Threshold(magnitude) => key("threshold", float(magnitude)),
        Target::Keep(n) => key("keep", n.to_string()),
    }
    if !selection.sparsity_for.is_empty() {
        let pairs: Vec<String> =
            selection.sparsity_for.iter().map(|(glob, s)| format!("{glob}={}", float(*s))).collect();
        key("sparsity-for", list(&pairs));
    }
    match rule.scope {
        Scope::Tensor => {}
        Scope::Group(of) => key("of", of.to_string()),
        Scope::Row | Scope::Global => key("scope", string(rule.scope.name())),
    }
    if rule.unit != Unit::default() {
        key("unit", string(&rule.unit.to_string()));
    }
    if rule.norm != Norm::default() {
        key("norm", string(rule.norm.name()));
    }
    match &rule.score {
        Score::Magnitude => {}
        Score::Random { seed } => {
            key("score", string("random"));
            key("seed", seed.to_string());
        }
        Score::Wanda { activations } => {
            key("score", string("wanda"));
            key("activations", path(activations));
        }
        Score::File { scores, signed } => {
            key("score", string(if *signed { "signed-file" } else { "file" }));
            key("scores", path(scores));
        }
    }
    if rule.layout != Layout::default() {
        key("layout", string(rule.layout.name()));
    }
    if rule.compat != Compat::default() {
        key("compat", string(rule.compat.name()));
    }
    text
}

/// A number that is read again as the same one.
fn float(number: f64) -> String {
    format!("{number:?}")
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| string(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// `Rule::check` sees to it that a path is Unicode.
fn path(path: &Path) -> String {
    string(&path.to_string_lossy())
}

/// A basic string: control characters, quotes and backslashes escaped.
fn string(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
