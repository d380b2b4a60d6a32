//! The bodies of the fuzz targets, for `fuzz/` and `tests/fuzz.rs`. They assert what must hold for any bytes. No part of
//! the API.

pub use crate::checkpoint::fuzzing::{header, index};
#[cfg(feature = "containers")]
pub use crate::container::fuzzing::container;
pub use crate::scheduler::fuzzing::planner;

use crate::checkpoint::{Checkpoint, TensorInfo, Unfinished, check_list};
use crate::masks::Masks;
use crate::packed;
use crate::pruner::{Action, Plan, Recipe};
use crate::{Error, safetensors};

/// A recipe in TOML: it is read or refused with a line that it has; what is read is good, is written as what is read
/// again, and makes a plan or is refused.
///
/// # Panics
/// If that does not hold.
pub fn recipe(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let recipe = match Recipe::from_toml(text) {
        Ok(recipe) => recipe,
        Err(Error::Recipe { path: None, line, problem }) => {
            assert!(!problem.is_empty() && !problem.contains(char::is_control), "{problem:?}");
            return assert!(line.is_none_or(|line| (1..=text.split('\n').count()).contains(&line)), "{line:?}");
        }
        Err(other) => panic!("{other:?}"),
    };
    assert!(!recipe.rules.is_empty() && recipe.rules.iter().all(|rule| rule.check().is_ok()));
    assert_eq!(Recipe::from_toml(&recipe.to_toml()).as_ref().ok(), Some(&recipe), "{}", recipe.to_toml());
    let dims: [&[u64]; 5] = [&[64, 48], &[3, 5, 2, 2], &[7], &[], &[0, 4]];
    let names = ["a.mlp.weight", "a.conv.weight", "a.bias", "scale", "none"];
    let tensor = |(name, dims): (&str, &&[u64])| TensorInfo::new(name, safetensors::Dtype::BF16, dims.to_vec());
    let tensors: Vec<_> = names.into_iter().zip(&dims).map(|pair| tensor(pair).expect("it is good")).collect();
    plan(&recipe, &tensors);
}

/// A recipe and made-up tensors: whatever they are, a plan is made or refused, and says the same as its report.
///
/// # Panics
/// If that does not hold.
pub fn plan(recipe: &Recipe, tensors: &[TensorInfo]) {
    if check_list(tensors).is_err() {
        return;
    }
    let Ok(plan) = Plan::new(recipe, tensors) else { return };
    assert_eq!(plan.tensors.len(), tensors.len());
    for (planned, info) in plan.tensors.iter().zip(tensors) {
        let pruned = planned.action == Action::Prune;
        assert_eq!((planned.dtype.is_some(), planned.target.is_some()), (pruned, pruned));
        assert_eq!((planned.rule.is_some(), planned.units.is_some()), (pruned, pruned));
        assert!(!planned.reason.is_empty());
        let Some(dtype) = planned.dtype else { continue };
        let weights = planned.shape.weights();
        assert!(weights > 0 && weights * dtype.size() as u64 == info.bytes());
        let units = planned.units.expect("as asserted");
        assert!(units.count <= weights && units.dense <= weights && units.go.unwrap_or(0) <= units.count);
    }
    let report = plan.dry_report(recipe, tensors);
    let pruned = plan.tensors.iter().filter(|t| t.action == Action::Prune);
    assert_eq!(report.totals.weights, pruned.map(|t| t.shape.weights()).sum::<u64>());
}

/// A whole file, packed or with masks or neither: it is unpacked to what a checkpoint can be, or refused and nothing is
/// written; masks are told of or refused.
///
/// # Panics
/// If that does not hold.
pub fn packed(file: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room");
    let (input, output) = (folder.path().join("in.safetensors"), folder.path().join("out.safetensors"));
    std::fs::write(&input, file).expect("there is room");
    let Ok(checkpoint) = Checkpoint::open(&input) else { return };
    let go_on = |_, _| std::ops::ControlFlow::Continue(());
    match packed::unpack(&checkpoint, &output, false, &Unfinished::default(), &go_on) {
        Ok(unpacked) => {
            let dense = Checkpoint::open(&output).expect("what is written is a checkpoint");
            assert!(
                unpacked.tensors.iter().all(|t| dense.tensors().iter().any(|d| d.name == t.name && d.shape == t.shape))
            );
        }
        Err(error) => assert!(!output.exists() && !error.to_string().is_empty()),
    }
    if let Ok(masks) = Masks::of(checkpoint, None)
        && let Ok(found) = crate::masks::stats(&masks, &go_on)
    {
        assert!(found.iter().all(|t| t.kept <= t.weights && t.empty_rows <= t.rows));
    }
}
