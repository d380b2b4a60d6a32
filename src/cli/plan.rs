//! What a plan does to a tensor, in words.

use lopper::Ties;
use lopper::pruner::{PlannedTensor, Rule, Scope, Target, Unit};

use super::text::{count, magnitude};

/// `tensor`, `row`, `global`, or how many stay of each group: `2 of 4`.
pub fn scope(rule: &Rule) -> String {
    match (rule.scope, rule.target) {
        (Scope::Group(of), Target::Keep(keep)) => format!("{keep} of {of} stay"),
        (scope, _) => scope.name().into(),
    }
}

/// How much of a tensor goes.
pub fn goes(planned: &PlannedTensor, rule: Option<&Rule>) -> String {
    let (Some(units), Some(target), Some(rule)) = (planned.units, planned.target, rule) else { return "copied".into() };
    let plural = match rule.unit {
        Unit::Weight => String::new(),
        Unit::Block { .. } => format!(" blocks of {}", rule.unit),
        unit => format!(" {}s", unit.name()),
    };
    match (target, units.go) {
        (Target::Threshold(t), _) if plural.is_empty() => format!("up to {}", magnitude(t)),
        (Target::Threshold(t), _) => format!("{} up to {}", plural.trim_start(), magnitude(t)),
        (_, None) => format!("{} by the global cut", plural.trim_start()).trim_start().into(),
        (_, Some(go)) => {
            let bound = match units.ties {
                Ties::Exact => "",
                Ties::Stay => "at most ",
                Ties::Go => "at least ",
            };
            let of = if plural.is_empty() { String::new() } else { format!(" of {}", count(units.count)) };
            format!("{bound}{}{of}{plural}", count(go))
        }
    }
}
