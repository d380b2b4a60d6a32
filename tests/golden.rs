//! Masks that peers made (`tests/data/golden`), against what lopper prunes by the same rule.

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use lopper::pruner::{
    self, Against, Compat, Layout, Norm, Options, Recipe, Rule, Scope, Score, Selection, Target, Unit,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("LOPPER_TEST_ROOT")).join("tests/data/golden").join(name)
}

/// The numbers of a tensor.
fn values(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let tensor = file.tensor(name).unwrap();
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b).into()).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).into()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|&b| half::bf16::from_le_bytes(b).into()).collect(),
        Dtype::U8 => bytes.iter().map(|&b| b.into()).collect(),
        other => panic!("{other}"),
    }
}

fn rule(case: &Value) -> Rule {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let number = |key: &str| case[key].as_u64().unwrap();
    let (target, scope) = match text("scope") {
        "group" => (Target::Keep(number("keep")), Scope::Group(number("of") as u32)),
        scope => {
            let scope = match scope {
                "tensor" => Scope::Tensor,
                "row" => Scope::Row,
                "global" => Scope::Global,
                other => panic!("{other}"),
            };
            (Target::Sparsity(case["sparsity"].as_f64().unwrap()), scope)
        }
    };
    let unit = match text("unit") {
        "weight" => Unit::Weight,
        "row" => Unit::Row,
        "column" => Unit::Column,
        "block" => {
            let side = |i: usize| case["block"][i].as_u64().unwrap() as u32;
            Unit::Block { rows: side(0), cols: side(1) }
        }
        other => panic!("{other}"),
    };
    let norm = match text("norm") {
        "" => Norm::default(),
        "max" => Norm::Linf,
        name => Norm::ALL.into_iter().find(|norm| norm.name() == name).unwrap(),
    };
    let score = match text("score") {
        "magnitude" => Score::Magnitude,
        "random" => Score::Random { seed: 1 },
        "wanda" => Score::Wanda { activations: golden("activations.safetensors") },
        "file" => Score::File { scores: golden("scores.safetensors"), signed: false },
        "signed-file" => Score::File { scores: golden("signed_scores.safetensors"), signed: true },
        other => panic!("{other}"),
    };
    let layout = if text("layout") == "in-out" { Layout::InOut } else { Layout::OutIn };
    // In groups a peer's counts are ours.
    let compat = if matches!(scope, Scope::Group(_)) { "lopper" } else { text("compat") };
    let compat = Compat::ALL.into_iter().find(|other| other.name() == compat).unwrap();
    let names = case["tensors"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    let selection = Selection { include: names.collect(), ..Selection::default() };
    Rule { scope, unit, norm, score, layout, compat, selection, ..Rule::new(target) }
}

/// Output, input and place in the kernel of an element.
fn place(rule: &Rule, shape: &[usize], i: usize) -> [usize; 3] {
    let (outputs, inputs) = match rule.layout {
        Layout::OutIn => (shape[0], shape[1]),
        Layout::InOut => (shape[shape.len() - 1], shape[shape.len() - 2]),
    };
    let kernel = shape.iter().product::<usize>() / outputs / inputs;
    match rule.layout {
        Layout::OutIn => [i / (inputs * kernel), i / kernel % inputs, i % kernel],
        Layout::InOut => [i % outputs, i / outputs % inputs, i / (outputs * inputs)],
    }
}

/// Who competes, as far as the counts are to agree: rows for scope `row`, groups for N:M, else the tensor.
fn pool(rule: &Rule, [output, input, place]: [usize; 3]) -> [usize; 3] {
    match rule.scope {
        Scope::Row => [output, 0, 0],
        Scope::Group(of) => [output, input / of as usize, place],
        _ => [0; 3],
    }
}

/// What each weight's unit scores. Rounded, so that sums in another order tie.
fn scores_of(rule: &Rule, shape: &[usize], weights: Vec<f64>) -> Vec<f64> {
    let unit = |i: usize| match (rule.unit, place(rule, shape, i)) {
        (Unit::Row, [output, ..]) => output,
        (Unit::Column, [_, input, _]) => input,
        _ => i,
    };
    let mut norms: BTreeMap<usize, f64> = BTreeMap::new();
    for (i, weight) in weights.iter().enumerate() {
        let norm = norms.entry(unit(i)).or_insert(0.0);
        *norm = match rule.norm {
            _ if rule.unit == Unit::Weight => *weight,
            Norm::L2 => *norm + weight * weight,
            Norm::Linf => norm.max(*weight),
            Norm::L1 | Norm::Mean => *norm + weight,
        };
    }
    if rule.unit == Unit::Weight {
        return weights;
    }
    (0..weights.len()).map(|i| format!("{:.5e}", norms[&unit(i)]).parse().unwrap()).collect()
}

/// Of those that compete: all that scores below the peer's cut goes, all above stays, and as many of those at the cut go.
/// A weight that was zero shows no mask.
fn same_but_for_ties(about: &str, pool: &[usize], scored: &[f64], [before, after, peer]: [&[f64]; 3]) {
    let gone = || pool.iter().filter(|&&i| peer[i] == 0.0);
    let Some(cut) = gone().map(|&i| scored[i]).max_by(f64::total_cmp) else {
        return assert!(pool.iter().all(|&i| before[i] == 0.0 || after[i] != 0.0), "{about}: nothing is to go");
    };
    for &i in pool.iter().filter(|&&i| before[i] != 0.0 && scored[i] != cut) {
        assert_eq!(after[i] != 0.0, scored[i] > cut, "{about}: weight {i}, which scores {}, cut {cut}", scored[i]);
    }
    let at_cut = || pool.iter().filter(|&&i| scored[i] == cut);
    let theirs = at_cut().filter(|&&i| peer[i] == 0.0).count();
    let ours = at_cut().filter(|&&i| before[i] != 0.0 && after[i] == 0.0).count();
    let unseen = at_cut().filter(|&&i| before[i] == 0.0).count();
    assert!(
        ours <= theirs && theirs <= ours + unseen,
        "{about}: {ours} and {theirs} of those at the cut, {unseen} unseen"
    );
}

#[test]
fn what_peers_prune_is_pruned() {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(golden("cases.json")).unwrap()).unwrap();
    let files = ["weights", "masks", "scores", "activations"]
        .map(|name| std::fs::read(golden(&format!("{name}.safetensors"))).unwrap());
    let [weights, masks, scores, norms] = files.each_ref().map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    let pruner = common::pruner(common::gpu());
    let mut compared = BTreeMap::new();
    for case in &cases {
        let (rule, name) = (rule(case), case["case"].as_str().unwrap());
        let recipe = Recipe::from(&rule);
        let options = Options { force: true, ..Options::default() };
        let input = golden("weights.safetensors");
        pruner.prune(&input, &output, &recipe, &options, &|_| ControlFlow::Continue(())).unwrap();
        let found = pruner::verify(&input, &output, Against::Recipe(&recipe), &|_, _| {}).unwrap();
        assert!(found.ok(), "{name}: {}", found.mismatches[0]);
        let bytes = std::fs::read(&output).unwrap();
        let pruned = SafeTensors::deserialize(&bytes).unwrap();
        // Over all tensors, for scope `global`: scores, weights before and after, the peer's mask.
        let mut together: [Vec<f64>; 4] = Default::default();
        for tensor in &rule.selection.include {
            let about = format!("{name} {tensor}");
            let (before, after) = (values(&weights, tensor), values(&pruned, tensor));
            let peer = values(&masks, &format!("{name}/{tensor}"));
            let shape = weights.tensor(tensor).unwrap().shape().to_vec();
            let scored = match case["score"].as_str().unwrap() {
                "file" => values(&scores, tensor),
                "wanda" => {
                    let norms = values(&norms, tensor);
                    let norm = |i| norms[place(&rule, &shape, i)[1]];
                    before.iter().enumerate().map(|(i, w)| (w.abs() as f32 * norm(i) as f32).into()).collect()
                }
                _ => before.iter().map(|w| w.abs()).collect(),
            };
            let scored = scores_of(&rule, &shape, scored);
            match case["match"].as_str().unwrap() {
                "mask" => {
                    for i in 0..before.len() {
                        assert_eq!(after[i] != 0.0, peer[i] != 0.0 && before[i] != 0.0, "{about}: weight {i}");
                    }
                }
                "cut" if rule.scope == Scope::Global => {
                    together.iter_mut().zip([&scored, &before, &after, &peer]).for_each(|(all, of)| all.extend(of));
                }
                "cut" => {
                    let mut pools: BTreeMap<[usize; 3], Vec<usize>> = BTreeMap::new();
                    for i in 0..before.len() {
                        pools.entry(pool(&rule, place(&rule, &shape, i))).or_default().push(i);
                    }
                    pools.values().for_each(|pool| same_but_for_ties(&about, pool, &scored, [&before, &after, &peer]));
                }
                "count" => {
                    let zeros = before.iter().filter(|w| **w == 0.0).count();
                    let (ours, theirs) =
                        (after.iter().filter(|w| **w == 0.0).count(), peer.iter().filter(|b| **b == 0.0).count());
                    assert!(ours >= theirs && ours <= theirs + zeros, "{about}: {ours} and {theirs}");
                }
                "differs" => continue,
                other => panic!("{other}"),
            }
            *compared.entry(case["match"].as_str().unwrap()).or_insert(0) += 1;
        }
        let [scored, before, after, peer] = &together;
        same_but_for_ties(name, &(0..scored.len()).collect::<Vec<_>>(), scored, [before, after, peer]);
    }
    println!("compared: {compared:?}");
    assert!(compared["mask"] > 100 && compared["cut"] > 50 && compared["count"] > 5, "{compared:?}");
}
