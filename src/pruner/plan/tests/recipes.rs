//! Recipes of several rules, and what of a tensor competes.

use super::*;
use crate::pruner::{Compat, Recipe};
use crate::target::Ties;
use crate::{Scope, Unit};

fn of(globs_of: &[&str], rule: Rule) -> Rule {
    Rule { selection: crate::pruner::Selection { include: globs(globs_of), ..rule.selection.clone() }, ..rule }
}

fn refused(recipe: &Recipe, says: &[&str]) {
    match Plan::new(recipe, &model()) {
        Err(Error::Rule(why)) => assert!(says.iter().all(|text| why.contains(text)), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_rule_that_selects_a_tensor_decides() {
    let mut last = of(&["*.bias", "*conv*"], Rule::new(Target::Keep(2)));
    let first = Rule { selection: crate::pruner::Selection { all: true, ..Default::default() }, ..half() };
    let recipe = Recipe { rules: vec![first.clone(), last.clone()] };
    let plan = Plan::new(&recipe, &model()).unwrap();
    let rules: Vec<_> = plan.tensors.iter().map(|tensor| tensor.rule).collect();
    assert_eq!(rules, [Some(0), Some(0), Some(1), Some(1), Some(0), None, None, Some(0)]);
    assert_eq!(plan.tensors[2].target, Some(Target::Keep(2)));
    assert_eq!(plan.tensors[2].reason, "rule 2: included by `*conv*`");
    assert_eq!(plan.tensors[0].reason, "rule 1: all float tensors");
    assert_eq!(plan.tensors[5].reason, "dtype I64 is not pruned");
    // What one rule excludes is another's.
    last.selection.exclude = globs(&["*conv*"]);
    let plan = Plan::new(&Recipe { rules: vec![first, last.clone()] }, &model()).unwrap();
    assert_eq!(plan.tensors[2].rule, Some(0));
    // What none selects is copied, for the reason of one that has an opinion.
    let plan = Plan::new(&Recipe { rules: vec![half(), last] }, &model()).unwrap();
    assert_eq!(plan.tensors[0].reason, "rule 1: embedding, by its name");
    assert_eq!(plan.tensors[3].reason, "rule 2: included by `*.bias`");
    assert_eq!(plan.dry_report(&Recipe { rules: vec![half()] }, &model()).tensors[2].rule, Some(0));
}

#[test]
fn rules_that_get_nothing_and_errors_of_one_of_several_are_named() {
    refused(&Recipe::default(), &["no rules"]);
    let biases = of(&["*.bias"], half());
    refused(&Recipe { rules: vec![biases.clone(), of(&["*"], half())] }, &["rule 1 gets no tensor", "it selects 1,"]);
    refused(&Recipe { rules: vec![half(), of(&["*.index.*"], half())] }, &["rule 2 gets no tensor", "selects none"]);
    refused(&Recipe { rules: vec![half(), of(&["*.biases"], half())] }, &["rule 2: `*.biases` matches no tensor"]);
    refused(&Recipe { rules: vec![half(), Rule::new(Target::Sparsity(2.0))] }, &["rule 2: sparsity 2"]);
    refused(&Recipe { rules: vec![half(), of(&["*.bias"], Rule::new(Target::Keep(17)))] }, &["rule 2: 17", "only 16"]);
    let mut own = half();
    own.selection.sparsity_for = vec![("*.conv.*".into(), 0.1)];
    refused(&Recipe { rules: vec![own, of(&["*.conv.*"], half())] }, &["rule 1: the sparsity for `*.conv.*`"]);
}

/// What competes in a tensor of this shape, under a rule that selects it whatever it is.
fn units(rule: Rule, shape: &[u64]) -> (Units, Shape, String) {
    let mut plan = Plan::new(&of(&["*"], rule).into(), &[info("t", FileDtype::F32, shape)]).unwrap();
    let tensor = plan.tensors.remove(0);
    (tensor.units.unwrap(), tensor.shape, tensor.reason)
}

#[test]
fn units_are_counted_along_outputs_and_inputs_in_either_layout() {
    let unit = |unit| Rule { unit, ..half() };
    type Case = (Rule, &'static [u64], u64, u64, Option<u64>);
    let cases: [Case; 14] = [
        (half(), &[6, 10], 60, 1, Some(30)),
        (Rule { scope: Scope::Row, ..half() }, &[6, 5], 30, 6, Some(12)),
        (Rule { scope: Scope::Global, ..half() }, &[6, 5], 30, 1, None),
        (Rule::new(Target::Threshold(0.1)), &[6, 5], 30, 1, None),
        (Rule::new(Target::Keep(7)), &[6, 5], 30, 1, Some(23)),
        (unit(Unit::Row), &[6, 10], 6, 1, Some(3)),
        (unit(Unit::Column), &[6, 10], 10, 1, Some(5)),
        (unit(Unit::Column), &[6, 10, 3, 3], 10, 1, Some(5)),
        (unit(Unit::Row), &[10], 1, 1, Some(0)),
        (unit(Unit::Column), &[10], 10, 1, Some(5)),
        (unit(Unit::Block { rows: 4, cols: 4 }), &[6, 10], 6, 1, Some(3)),
        (Rule { scope: Scope::Row, ..unit(Unit::Block { rows: 2, cols: 4 }) }, &[6, 10], 9, 3, Some(6)),
        (Rule { scope: Scope::Group(4), ..Rule::new(Target::Keep(1)) }, &[6, 8], 48, 12, Some(36)),
        (Rule { scope: Scope::Group(4), ..Rule::new(Target::Keep(2)) }, &[2, 10, 3, 3], 144, 36, Some(72)),
    ];
    for (rule, shape, count, pools, go) in cases {
        let (units, matrix, _) = units(rule.clone(), shape);
        assert_eq!((units.count, units.pools, units.go), (count, pools, go), "{rule:?} {shape:?}");
        // The other layout of the transposed shape is the same matrix.
        let transposed: Vec<u64> = match shape {
            [outputs, inputs, kernel @ ..] => [kernel, &[*inputs, *outputs]].concat(),
            short => short.to_vec(),
        };
        let (other, other_matrix, _) = self::units(Rule { layout: Layout::InOut, ..rule.clone() }, &transposed);
        assert_eq!((other, other_matrix), (units, matrix), "{rule:?} {transposed:?}");
    }
}

#[test]
fn inputs_that_fill_no_group_stay_and_are_reported() {
    let group = |of| Rule { scope: Scope::Group(of), ..Rule::new(Target::Keep(1)) };
    let (two, _, reason) = units(group(4), &[3, 10]);
    assert_eq!((two.count, two.dense), (24, 6));
    assert_eq!(reason, "included by `*`; the last 2 of 10 inputs are no group of 4: they stay");
    let (all, _, reason) = units(group(32), &[3, 10]);
    assert_eq!((all.count, all.pools, all.go, all.dense), (0, 0, Some(0), 30));
    assert!(reason.ends_with("its 10 inputs are no group of 32: all stay"), "{reason}");
    let (none, _, reason) = units(group(5), &[3, 10]);
    assert_eq!((none.dense, reason.as_str()), (0, "included by `*`"));
}

#[test]
fn peers_counts_are_bounds_where_ties_do_not_split() {
    let go = |compat, share| {
        let (units, ..) = units(Rule { compat, ..Rule::new(Target::Sparsity(share)) }, &[1, 10]);
        (units.go, units.ties)
    };
    assert_eq!(go(Compat::Torch, 0.25), (Some(2), Ties::Exact));
    assert_eq!(go(Compat::Wanda, 0.29), (Some(2), Ties::Exact));
    assert_eq!(go(Compat::WandaMagnitude, 0.29), (Some(3), Ties::Go));
    assert_eq!(go(Compat::LlmCompressor, 0.29), (Some(2), Ties::Go));
    assert_eq!(go(Compat::Tfmot, 0.29), (Some(3), Ties::Stay));
    assert_eq!(go(Compat::Tfmot, 1.0), (Some(9), Ties::Stay));
    assert_eq!(go(Compat::Tfmot, 0.0), (Some(0), Ties::Stay));
}

#[test]
fn units_that_do_not_fit_name_both_numbers() {
    let block = |rows, cols| Rule { unit: Unit::Block { rows, cols }, ..half() };
    Plan::new(&block(4, 8).into(), &model()).unwrap();
    refused(&block(17, 8).into(), &["a block of 17x8", "`layers.0.mlp.weight`, a matrix of 16x8"]);
    refused(&block(4, 9).into(), &["a block of 4x9", "16x8"]);
    let in_out = Rule { layout: Layout::InOut, ..block(4, 9) };
    refused(&in_out.into(), &["`layers.0.conv.weight`, a matrix of 3x36"]);
    let keep = |n, unit| Rule { unit, ..Rule::new(Target::Keep(n)) };
    refused(&keep(5, Unit::Row).into(), &["5 rows", "`layers.0.conv.weight` has only 4"]);
    refused(&keep(4, Unit::Column).into(), &["4 columns", "only 3"]);
    refused(&keep(200, Unit::Block { rows: 4, cols: 4 }).into(), &["200 blocks", "only 8"]);
    let all = Rule { scope: Scope::Global, ..keep(21, Unit::Row) };
    refused(&all.into(), &["21 rows", "the selection has only 20"]);
}
