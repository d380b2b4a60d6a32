//! What holds between runs: masks grow, and units of one weight are weights.

use super::*;

/// Whatever goes at one sparsity goes at every higher one.
#[test]
fn masks_grow_with_sparsity() {
    let tensors = zoo(Fill::Coarse);
    let setup = Setup::new(&tensors);
    let random = Score::Random { seed: 3 };
    let rules = [
        Rule { scope: Scope::Row, layout: Layout::InOut, ..half() },
        Rule { scope: Scope::Global, ..half() },
        Rule { unit: Unit::Row, norm: Norm::L1, ..half() },
        Rule { unit: Unit::Column, scope: Scope::Global, norm: Norm::Mean, ..half() },
        Rule { unit: Unit::Block { rows: 2, cols: 3 }, scope: Scope::Row, ..half() },
        Rule { score: random.clone(), ..half() },
        Rule { score: random, unit: Unit::Row, ..half() },
        Rule { compat: Compat::Tfmot, ..half() },
        Rule { compat: Compat::WandaMagnitude, ..half() },
    ];
    let sparsities = [0.0, 0.1, 0.33, 0.5, 0.77, 1.0].map(Target::Sparsity);
    let sparser = rules.into_iter().map(|rule| sparsities.map(|target| Rule { target, ..rule.clone() }).to_vec());
    let fewer = [4, 7].map(|of: u32| {
        let kept = (0..=u64::from(of)).rev();
        kept.map(|keep| Rule { scope: Scope::Group(of), ..rule(Target::Keep(keep)) }).collect()
    });
    for rules in sparser.chain(fewer) {
        let mut before: Vec<Vec<u8>> = Vec::new();
        for rule in rules {
            setup.prune(common::gpu(), &rule, MEMORIES[1]).unwrap();
            let after = contents(&setup.file("out.safetensors"), &tensors);
            for ((tensor, after), before) in tensors.iter().zip(&after).zip(&before) {
                let zero = |bytes: &[u8], i: usize| tensor.dtype.bits(bytes, i) == 0;
                let back = (0..tensor.len()).find(|&i| zero(before, i) && !zero(after, i));
                assert_eq!(back, None, "{}: {rule:?}", tensor.name);
            }
            before = after;
        }
    }
}

/// A global cut over rows, of which one matrix has rows of one weight.
#[test]
fn a_unit_of_one_weight_competes_with_others_by_the_same_norm() {
    let tensors = [
        tensor("thin", Dtype::F32, &[40, 1], Fill::Normal, 1),
        tensor("wide", Dtype::F32, &[40, 9], Fill::Normal, 2),
        tensor("half", Dtype::BF16, &[40, 2], Fill::Normal, 3),
    ];
    let setup = Setup::new(&tensors);
    let rule = Rule { unit: Unit::Row, scope: Scope::Global, ..half() };
    setup.check(&tensors, &rule, &|t, i| tensors[t].magnitude(i));
}
