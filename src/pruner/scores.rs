//! Scores that come from files of the user's: norms of the inputs, and scores of weights or units.

use std::path::Path;

use super::{Rule, Score};
use crate::checkpoint::{Checkpoint, TensorInfo, quoted};
use crate::scheduler::Scoring;
use crate::{Error, Result};

/// A rule's file, opened; none for rules that need none.
#[derive(Debug)]
pub(super) struct Scores(Option<(Checkpoint, Kind)>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// A norm for each input.
    Norms,
    /// A score for each weight or unit.
    Scores { signed: bool },
}

/// Scores of either sign are compared in this range of magnitudes: smaller ones count as 0, larger ones are refused.
const SMALLEST: f32 = f32::from_bits((127 - 100) << 23);
const LARGEST: f32 = (1u32 << 27) as f32;

/// What a score of 0 becomes where scores may be negative.
const MIDDLE: u32 = 0x3fc0_0000;

impl Scores {
    /// What tells whether the file of a rule is still the same: path, size and time.
    pub fn identity(rule: &Rule) -> Option<(String, u64, Option<std::time::SystemTime>)> {
        let path = rule.score.file()?;
        let about = std::fs::metadata(path).ok();
        let len = about.as_ref().map_or(0, std::fs::Metadata::len);
        Some((path.display().to_string(), len, about.and_then(|about| about.modified().ok())))
    }

    /// Opens the file of a rule.
    pub fn open(rule: &Rule) -> Result<Self> {
        let open = |path: &Path, kind| Ok(Self(Some((Checkpoint::open(path)?, kind))));
        match &rule.score {
            Score::Wanda { activations } => open(activations, Kind::Norms),
            Score::File { scores, signed } => open(scores, Kind::Scores { signed: *signed }),
            Score::Magnitude | Score::Random { .. } => Ok(Self(None)),
        }
    }

    /// The file's tensor for a tensor of so many units and inputs that is pruned, and how it scores it.
    ///
    /// # Errors
    /// [`Error::Rule`] where it is missing, has another number of elements or an element type that holds no scores, and for
    /// norms that cannot be.
    pub fn find(&self, info: &TensorInfo, units: u64, inputs: u64) -> Result<Option<(usize, Scoring)>> {
        let Some((file, kind)) = &self.0 else { return Ok(None) };
        let path = file.shards().first().map_or(Path::new("the file"), |shard| shard.path());
        let bare = info.name.strip_suffix(".weight").unwrap_or(&info.name);
        let by_name = |name: &str| file.tensors().iter().position(|other| other.name == name);
        let what = if *kind == Kind::Norms { "norms of the inputs" } else { "scores" };
        let Some(number) = by_name(&info.name).or_else(|| by_name(bare)) else {
            let (name, path) = (quoted(&info.name), path.display());
            return Err(Error::Rule(format!(
                "{path} has no {what} for tensor {name}: give it a tensor of that name, or exclude the tensor"
            )));
        };
        let found = &file.tensors()[number];
        let wrong = |problem: String| {
            Err(Error::Rule(format!("{}: tensor {}: {problem}", path.display(), quoted(&found.name))))
        };
        let Some(dtype) = found.number() else {
            return wrong(format!("{what} are F32, F16 or BF16, not {}", found.dtype));
        };
        let have = found.bytes() / dtype.size() as u64;
        let weights: u64 = info.shape.iter().product();
        let scoring = match kind {
            Kind::Norms if have == inputs => {
                // They are few, and what is wrong with them is said before anything is written.
                self.read(number, 0, &mut vec![0.0; inputs as usize])?;
                Scoring::Scaled
            }
            Kind::Norms => return wrong(format!("{have} norms for {inputs} inputs of {}", quoted(&info.name))),
            Kind::Scores { .. } if found.shape == info.shape => Scoring::Given,
            Kind::Scores { .. } if have == units && units < weights => Scoring::GivenByUnit,
            Kind::Scores { .. } => {
                let (shape, name) = (&info.shape, quoted(&info.name));
                let units = if units < weights { format!(", or {units} for its units") } else { "".into() };
                return wrong(format!("shape {:?}, where {name} has {shape:?}{units}", found.shape));
            }
        };
        Ok(Some((number, scoring)))
    }

    /// How many scores of a tensor there are from number `first` on, but at most `most`.
    pub fn held(&self, number: usize, first: u64, most: u64) -> u64 {
        let (file, _) = self.0.as_ref().expect("found before");
        let info = &file.tensors()[number];
        let all = info.bytes() / info.number().expect("looked at before").size() as u64;
        all.saturating_sub(first).min(most)
    }

    /// Scores from number `first` on, as what is compared: finite and not negative.
    ///
    /// # Errors
    /// Those of reading; [`Error::Rule`] for a score that cannot be one.
    pub fn read(&self, number: usize, first: u64, scores: &mut [f32]) -> Result<()> {
        let (file, kind) = self.0.as_ref().expect("found before");
        let info = &file.tensors()[number];
        let dtype = info.number().expect("looked at before");
        let mut bytes = vec![0; scores.len() * dtype.size()];
        file.read_at(number, first * dtype.size() as u64, &mut bytes)?;
        for (i, score) in scores.iter_mut().enumerate() {
            let value = dtype.value(dtype.bits(&bytes, i));
            let at = first + i as u64;
            *score = compared(value, *kind).map_err(|problem| {
                let path = file.shards().first().map_or(Path::new(""), |shard| shard.path()).display();
                Error::Rule(format!("{path}: tensor {}: number {at} is {value}: {problem}", quoted(&info.name)))
            })?;
        }
        Ok(())
    }
}

/// A score as what is compared, or what is wrong with it.
fn compared(score: f32, kind: Kind) -> Result<f32, &'static str> {
    match kind {
        _ if !score.is_finite() => Err("scores must be finite"),
        Kind::Norms if score < 0.0 => Err("norms are not negative"),
        Kind::Scores { signed: false } if score < 0.0 => {
            Err("scores are not negative, unless the rule says that they may be (`--score signed-file`)")
        }
        Kind::Norms | Kind::Scores { signed: false } => Ok(score.abs()),
        Kind::Scores { signed: true } => {
            let magnitude = score.abs();
            if magnitude >= LARGEST {
                return Err("scores of either sign must be below 2^27: scale them");
            }
            let steps = if magnitude < SMALLEST { 0 } else { magnitude.to_bits() - SMALLEST.to_bits() + 1 };
            Ok(f32::from_bits(if score < 0.0 { MIDDLE - steps } else { MIDDLE + steps }))
        }
    }
}

/// The score of either sign that is compared as this number.
pub(super) fn signed(compared: f64) -> f64 {
    let bits = (compared as f32).to_bits();
    let magnitude =
        |steps: u32| if steps == 0 { 0.0 } else { f64::from(f32::from_bits(SMALLEST.to_bits() + steps - 1)) };
    if bits < MIDDLE { -magnitude(MIDDLE - bits) } else { magnitude(bits - MIDDLE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_either_sign_keep_their_order_and_come_back() {
        let all = [-1.3e8, -7.25, -1.0, -1e-20, -1e-30, 0.0, 1e-30, 1e-10, 0.5, 0.500_000_06, 1.0, 1.3e8];
        let codes: Vec<f32> = all.map(|s| compared(s, Kind::Scores { signed: true }).unwrap()).to_vec();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        for (score, code) in all.into_iter().zip(codes) {
            assert!(code.is_finite() && code > 0.0);
            assert_eq!(signed(f64::from(code)), f64::from(score));
        }
        assert_eq!(compared(1e-38, Kind::Scores { signed: true }), compared(-0.0, Kind::Scores { signed: true }));
        assert!(compared(2e8, Kind::Scores { signed: true }).is_err());
    }

    #[test]
    fn what_is_no_score_is_refused() {
        for kind in [Kind::Norms, Kind::Scores { signed: false }, Kind::Scores { signed: true }] {
            assert!(compared(f32::NAN, kind).is_err() && compared(f32::INFINITY, kind).is_err());
        }
        assert!(compared(-1.0, Kind::Norms).is_err() && compared(-1.0, Kind::Scores { signed: false }).is_err());
        assert_eq!(compared(-0.0, Kind::Norms).unwrap().to_bits(), 0);
    }
}
