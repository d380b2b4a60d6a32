use proptest::prelude::*;
use safetensors::Dtype as FileDtype;

use super::*;
use crate::Scope;

mod recipes;

fn info(name: &str, dtype: FileDtype, shape: &[u64]) -> TensorInfo {
    let bytes = shape.iter().product::<u64>() * dtype.bitsize() as u64 / 8;
    TensorInfo { name: name.into(), dtype, shape: shape.to_vec(), shard: 0, range: 0..bytes }
}

fn model() -> Vec<TensorInfo> {
    vec![
        info("embed_tokens.weight", FileDtype::BF16, &[100, 8]),
        info("layers.0.mlp.weight", FileDtype::BF16, &[16, 8]),
        info("layers.0.conv.weight", FileDtype::F32, &[4, 3, 3, 3]),
        info("layers.0.mlp.bias", FileDtype::F32, &[16]),
        info("layers.0.norm.weight", FileDtype::F16, &[2, 2]),
        info("layers.0.index.weight", FileDtype::I64, &[4, 4]),
        info("layers.0.empty.weight", FileDtype::F32, &[0, 4]),
        info("lm_head.weight", FileDtype::F8_E4M3, &[100, 8]),
    ]
}

fn half() -> Rule {
    Rule::new(Target::Sparsity(0.5))
}

fn pruned(rule: &Rule) -> Vec<usize> {
    let plan = Plan::new(&rule.into(), &model()).unwrap();
    (0..plan.tensors.len()).filter(|i| plan.tensors[*i].action == Action::Prune).collect()
}

fn message(rule: &Rule) -> String {
    match Plan::new(&rule.into(), &model()) {
        Err(Error::Rule(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn shape(dims: &[u64]) -> Shape {
    Axes::new(dims, Layout::OutIn).matrix()
}

fn globs(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|g| g.to_string()).collect()
}

#[test]
fn by_default_matrices_that_are_no_embedding_head_or_norm_are_pruned() {
    let plan = Plan::new(&half().into(), &model()).unwrap();
    assert_eq!(pruned(&half()), [1, 2]);
    let reasons: Vec<&str> = plan.tensors.iter().map(|t| t.reason.as_str()).collect();
    assert_eq!(reasons[0], "embedding, by its name");
    assert_eq!(reasons[1], "rank 2, no embedding, head or norm");
    assert_eq!(reasons[3], "rank 1, below 2");
    assert_eq!(reasons[4], "normalisation, by its name");
    assert_eq!(reasons[5], "dtype I64 is not pruned");
    assert_eq!(reasons[6], "it has no weights");
    assert_eq!(reasons[7], "output head, by its name");
    assert_eq!(plan.tensors[2].shape, Shape::new(4, 27));
    assert_eq!(plan.tensors[3].shape, Shape::new(1, 16));
}

#[test]
fn include_overrules_names_and_ranks_and_exclude_overrules_include() {
    let mut rule = half();
    rule.selection.include = globs(&["*.bias", "embed*"]);
    assert_eq!(pruned(&rule), [0, 3]);
    rule.selection.include = globs(&["*"]);
    assert_eq!(pruned(&rule), [0, 1, 2, 3, 4, 7]);
    rule.selection.exclude = globs(&["lm_head.*", "layers.[0-9].{norm,conv}.weight"]);
    assert_eq!(pruned(&rule), [0, 1, 3]);
    let plan = Plan::new(&(&rule).into(), &model()).unwrap();
    assert_eq!(plan.tensors[7].reason, "excluded by `lm_head.*`");
    assert_eq!(plan.tensors[0].reason, "included by `*`");
}

#[test]
fn all_selects_every_float_tensor_that_has_weights() {
    let mut rule = half();
    rule.selection.all = true;
    assert_eq!(pruned(&rule), [0, 1, 2, 3, 4, 7]);
}

#[test]
fn the_last_sparsity_for_a_tensor_wins() {
    let mut rule = half();
    rule.selection.sparsity_for = vec![("layers.*".into(), 0.3), ("*conv*".into(), 0.9)];
    let plan = Plan::new(&(&rule).into(), &model()).unwrap();
    let targets: Vec<_> = plan.tensors.iter().map(|t| t.target).collect();
    assert_eq!(targets[..3], [None, Some(Target::Sparsity(0.3)), Some(Target::Sparsity(0.9))]);
    assert!(plan.tensors[2].reason.ends_with("; sparsity 0.9 by `*conv*`"), "{}", plan.tensors[2].reason);
    rule.selection.sparsity_for.reverse();
    assert_eq!(Plan::new(&(&rule).into(), &model()).unwrap().tensors[2].target, Some(Target::Sparsity(0.3)));
    rule.selection.sparsity_for = vec![("lm_head.*".into(), 0.3)];
    assert!(message(&rule).contains("`lm_head.*` has no effect"), "{}", message(&rule));
}

#[test]
fn globs_that_match_nothing_or_are_malformed_are_named() {
    for place in 0..3 {
        for (glob, says) in [("layer.0.*", "`layer.0.*` matches no tensor"), ("[", "`[` is no glob")] {
            let mut rule = half();
            match place {
                0 => rule.selection.include = globs(&["*", glob]),
                1 => rule.selection.exclude = globs(&[glob]),
                _ => rule.selection.sparsity_for = vec![(glob.into(), 0.1)],
            }
            assert!(message(&rule).contains(says), "{}", message(&rule));
        }
    }
}

#[test]
fn a_selection_of_nothing_is_refused() {
    let mut rule = half();
    rule.selection.exclude = globs(&["*"]);
    assert!(message(&rule).contains("all 8 tensors would be copied"));
    assert!(matches!(Plan::new(&half().into(), &[]), Err(Error::Rule(_))));
}

#[test]
fn keeping_more_than_there_is_names_both_numbers() {
    let keep = |n, scope| Rule { scope, ..Rule::new(Target::Keep(n)) };
    for (scope, most, of) in [
        (Scope::Tensor, 108, "tensor `layers.0.conv.weight`"),
        (Scope::Row, 8, "a row of"),
        (Scope::Global, 236, "the selection"),
    ] {
        Plan::new(&keep(most, scope).into(), &model()).unwrap();
        let says = message(&keep(most + 1, scope));
        let numbers = [(most + 1).to_string(), format!("only {most}")];
        assert!(says.contains(of) && numbers.iter().all(|n| says.contains(n)), "{says}");
    }
}

#[test]
fn a_dry_report_has_names_and_reasons_but_no_counts() {
    let report = Plan::new(&half().into(), &model()).unwrap().dry_report(&half().into(), &model());
    assert_eq!(report.tensors.len(), 8);
    assert_eq!((report.totals.weights, report.totals.zeros), (16 * 8 + 108, 0));
    assert!(report.adapter.is_none() && report.tensors.iter().all(|t| t.zeros.is_none() && t.cut.is_none()));
}

#[test]
fn huge_dimensions_beside_a_zero_do_not_overflow() {
    assert_eq!(shape(&[0, u64::MAX, u64::MAX]).weights(), 0);
    assert_eq!(shape(&[u64::MAX, u64::MAX, 0, u64::MAX]).weights(), 0);
    assert_eq!(shape(&[]).weights(), 1);
}

fn any_tensor() -> impl Strategy<Value = TensorInfo> {
    let dtypes = [FileDtype::F32, FileDtype::BF16, FileDtype::F8_E5M2, FileDtype::I32, FileDtype::F64, FileDtype::BOOL];
    let name = prop_oneof!["[a-z]{1,4}\\.(weight|bias)", "(embed|lm_head|norm|ln_1)\\.weight", "\\PC{0,8}"];
    (name, prop::sample::select(dtypes.to_vec()), prop::collection::vec(0..5u64, 0..4))
        .prop_map(|(name, dtype, shape)| info(&name, dtype, &shape))
}

proptest! {
    #[test]
    fn every_plan_is_consistent(tensors in prop::collection::vec(any_tensor(), 1..12), all: bool) {
        let mut rule = half();
        rule.selection.all = all;
        let Ok(plan) = Plan::new(&(&rule).into(), &tensors) else { return Ok(()) };
        prop_assert_eq!(plan.tensors.len(), tensors.len());
        for (planned, info) in plan.tensors.iter().zip(&tensors) {
            let prune = planned.action == Action::Prune;
            prop_assert_eq!(planned.shape.weights(), info.shape.iter().product::<u64>());
            prop_assert_eq!(planned.dtype.map(|d| d.name().to_string()), prune.then(|| info.dtype.to_string()));
            prop_assert_eq!(planned.target.is_some(), prune);
            prop_assert!(!planned.reason.is_empty());
            prop_assert!(!prune || planned.shape.weights() > 0);
            prop_assert!(!prune || all || info.shape.len() >= 2);
        }
    }

    #[test]
    fn including_a_tensor_by_its_own_name_prunes_it_alone(tensors in prop::collection::vec(any_tensor(), 1..12)) {
        let Some(first) = tensors.iter().find(|t| t.prunable().is_some() && shape(&t.shape).weights() > 0)
        else { return Ok(()) };
        let mut rule = half();
        // Every character escaped or in a class: a name is no glob.
        rule.selection.include = vec![first.name.chars().map(|c| format!("\\{c}")).collect()];
        let plan = Plan::new(&(&rule).into(), &tensors).unwrap();
        for (planned, info) in plan.tensors.iter().zip(&tensors) {
            if planned.action == Action::Prune { prop_assert_eq!(&info.name, &first.name); }
        }
    }
}
