//! How much sparsity at which step of a training run.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A sparsity that changes from step to step: for pruning a little, training on, pruning more.
///
/// In text, for recipes of others and the command line, parts are set apart by colons; all but the sparsities have names:
///
/// | schedule | |
/// |---|---|
/// | `constant:0.5` | this sparsity from `begin` on |
/// | `linear:0:0.8:end=1000` | from the first to the second, evenly |
/// | `polynomial:0:0.8:begin=100:end=1000` | s₁ + (s₀ − s₁)(1 − p)^power, `power=3` unless given; p goes from 0 to 1 ([Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878); tfmot's `PolynomialDecay`) |
/// | `cosine:0:0.8:end=1000` | s₁ + (s₀ − s₁)(1 + cos πp)/2 |
/// | `steps:100=0.3:200=0.5:300=0.6` | each from its step on |
///
/// `begin` is 0 unless given. With `every=100` the sparsity changes at steps `begin`, `begin + 100` and so on up to `end`, as
/// tfmot's `frequency` has it, so the last sparsity is only reached where the steps hit `end`.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    curve: Curve,
    begin: u64,
    /// None for one that does not end.
    end: Option<u64>,
    every: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Curve {
    Constant(f64),
    Linear {
        from: f64,
        to: f64,
    },
    Polynomial {
        from: f64,
        to: f64,
        power: f64,
    },
    Cosine {
        from: f64,
        to: f64,
    },
    /// Steps in order, and the sparsity from each on.
    Steps(Vec<(u64, f64)>),
}

impl Schedule {
    /// The sparsity in force at a step: 0 before the first one that prunes.
    pub fn at(&self, step: u64) -> f64 {
        let Some(last) = self.last_at(step) else { return 0.0 };
        let share = || {
            let all = self.end.unwrap_or(last).saturating_sub(self.begin);
            if all == 0 { 1.0 } else { (last - self.begin) as f64 / all as f64 }
        };
        let (from, to, left) = match &self.curve {
            Curve::Constant(s) => return *s,
            Curve::Steps(steps) => return steps.iter().rev().find(|(from, _)| *from <= last).map_or(0.0, |(_, s)| *s),
            Curve::Linear { from, to } => (from, to, 1.0 - share()),
            Curve::Polynomial { from, to, power } => (from, to, (1.0 - share()).powf(*power)),
            Curve::Cosine { from, to } => (from, to, (1.0 + (std::f64::consts::PI * share()).cos()) / 2.0),
        };
        (to + (from - to) * left).clamp(0.0, 1.0)
    }

    /// Whether weights are to be pruned at this step, since another sparsity may be in force from it on.
    pub fn acts(&self, step: u64) -> bool {
        match &self.curve {
            Curve::Steps(steps) => steps.iter().any(|(from, _)| *from == step),
            _ => self.last_at(step) == Some(step),
        }
    }

    /// The step at which the last sparsity is in force, if there is one.
    pub fn end(&self) -> Option<u64> {
        match &self.curve {
            Curve::Constant(_) => Some(self.begin),
            Curve::Steps(steps) => steps.last().map(|(step, _)| *step),
            _ => self.end.and_then(|end| self.last_at(end)),
        }
    }

    /// The last step up to this one that prunes.
    fn last_at(&self, step: u64) -> Option<u64> {
        if let Curve::Steps(_) = self.curve {
            return Some(step);
        }
        let step = self.end.map_or(step, |end| step.min(end));
        let since = step.checked_sub(self.begin)?;
        Some(self.begin + since / self.every * self.every)
    }
}

impl FromStr for Schedule {
    type Err = Error;

    /// Reads one as [`Schedule`] has it.
    ///
    /// # Errors
    /// [`Error::Rule`] with the part that is wrong, and what it may be.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| Error::Rule(format!("schedule `{}`: {why}", text.escape_debug())))
    }
}

const KINDS: [&str; 5] = ["constant", "linear", "polynomial", "cosine", "steps"];

fn parse(text: &str) -> Result<Schedule, String> {
    let mut parts = text.split(':');
    let kind = parts.next().unwrap_or_default();
    if !KINDS.contains(&kind) {
        let near = KINDS.iter().max_by(|a, b| strsim::jaro(a, kind).total_cmp(&strsim::jaro(b, kind)));
        let near =
            near.filter(|near| strsim::jaro(near, kind) > 0.7).map_or(String::new(), |near| format!(", {near}?"));
        return Err(format!("unknown kind `{}`{near}: give one of {}", kind.escape_debug(), KINDS.join(", ")));
    }
    if kind == "steps" {
        return steps(parts);
    }
    let mut sparsity = |which: &str| share(parts.next().ok_or(format!("it has no {which}"))?);
    let (from, to) = match kind {
        "constant" => (sparsity("sparsity")?, 0.0),
        _ => (sparsity("first sparsity")?, sparsity("last sparsity")?),
    };
    let (mut begin, mut end, mut every, mut power) = (0, None, 1, None);
    for part in parts {
        let (name, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
        let number =
            || value.parse::<u64>().map_err(|_| format!("`{}` is to be a step, 0 or more", part.escape_debug()));
        match name {
            "begin" => begin = number()?,
            "end" => end = Some(number()?),
            "every" => every = number()?,
            "power" if kind == "polynomial" => {
                let power_of = value.parse().ok().filter(|power: &f64| power.is_finite() && *power > 0.0);
                power = Some(power_of.ok_or_else(|| format!("`{}` is to be above 0", part.escape_debug()))?);
            }
            _ => return Err(wrong(part)),
        }
    }
    match end {
        Some(end) if end < begin => return Err(format!("it ends at step {end}, before it begins at {begin}")),
        None if kind != "constant" => return Err("it has no end: add `end=` and the step".into()),
        _ if every == 0 => return Err("`every` is to be 1 or more".into()),
        _ => {}
    }
    let curve = match kind {
        "constant" => Curve::Constant(from),
        "linear" => Curve::Linear { from, to },
        "cosine" => Curve::Cosine { from, to },
        _ => Curve::Polynomial { from, to, power: power.unwrap_or(3.0) },
    };
    Ok(Schedule { curve, begin, end, every })
}

fn steps<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Schedule, String> {
    let mut steps: Vec<(u64, f64)> = Vec::new();
    for part in parts {
        let (step, sparsity) = part.split_once('=').ok_or_else(|| wrong(part))?;
        let step = step.parse().map_err(|_| wrong(part))?;
        if let Some((before, _)) = steps.last().filter(|(before, _)| *before >= step) {
            return Err(format!("step {step} comes after step {before}: give steps in order"));
        }
        steps.push((step, share(sparsity)?));
    }
    match steps.first() {
        None => Err("it has no steps: give some, such as `steps:100=0.3:200=0.5`".into()),
        Some((begin, _)) => Ok(Schedule { begin: *begin, curve: Curve::Steps(steps), end: None, every: 1 }),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("`{}` is to be a sparsity from 0 to 1", text.escape_debug()))
}

fn wrong(part: &str) -> String {
    format!("`{}` is none of its parts", part.escape_debug())
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.curve {
            Curve::Constant(s) => write!(f, "constant:{s}")?,
            Curve::Linear { from, to } => write!(f, "linear:{from}:{to}")?,
            Curve::Cosine { from, to } => write!(f, "cosine:{from}:{to}")?,
            Curve::Polynomial { from, to, power } => write!(f, "polynomial:{from}:{to}:power={power}")?,
            Curve::Steps(steps) => {
                f.write_str("steps")?;
                return steps.iter().try_for_each(|(step, sparsity)| write!(f, ":{step}={sparsity}"));
            }
        }
        write!(f, ":begin={}", self.begin)?;
        self.end.map_or(Ok(()), |end| write!(f, ":end={end}"))?;
        write!(f, ":every={}", self.every)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    /// tfmot 0.8.1: `PolynomialDecay(0.25, 0.75, 100, 200, power=3, frequency=10)`, `_should_prune_in_step` and sparsity.
    #[test]
    fn polynomial_is_that_of_tfmot() {
        let schedule = schedule("polynomial:0.25:0.75:begin=100:end=200:every=10");
        for step in [100u64, 110, 150, 190, 200] {
            let p = (step - 100) as f64 / 100.0;
            assert_eq!(schedule.at(step), 0.75 + (0.25 - 0.75) * (1.0 - p).powf(3.0));
            assert!(schedule.acts(step));
        }
        assert_eq!((schedule.at(99), schedule.at(100), schedule.at(200), schedule.at(10_000)), (0.0, 0.25, 0.75, 0.75));
        assert_eq!(schedule.at(159), schedule.at(150));
        for step in [0, 99, 101, 159, 210, 300] {
            assert!(!schedule.acts(step), "{step}");
        }
        // Where the steps miss the end, so does the sparsity.
        let missed = super::Schedule { end: Some(195), ..schedule };
        assert!(missed.at(1000) < 0.75 && missed.end() == Some(190));
    }

    #[test]
    fn other_curves_have_their_ends_and_middles() {
        for (text, first, middle, last) in [
            ("linear:0.2:0.8:begin=10:end=20", 0.2, 0.5, 0.8),
            ("cosine:0.2:0.8:begin=10:end=20", 0.2, 0.5, 0.8),
            ("polynomial:0.2:0.8:begin=10:end=20:power=1", 0.2, 0.5, 0.8),
            ("constant:0.4:begin=10", 0.4, 0.4, 0.4),
            ("steps:10=0.1:15=0.5:20=0.6", 0.1, 0.5, 0.6),
            ("linear:0.8:0.8:begin=10:end=10", 0.8, 0.8, 0.8),
        ] {
            let schedule = schedule(text);
            let found = [9, 10, 15, 20, u64::MAX].map(|step| schedule.at(step));
            let expected = [0.0, first, middle, last, last];
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{text}: {found:?}");
        }
        let steps = schedule("steps:10=0.1:15=0.5");
        assert_eq!([9, 10, 11, 15, 16].map(|step| steps.acts(step)), [false, true, false, true, false]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (text, why) in [
            ("", "unknown kind"),
            ("polinomial:0:1:end=3", "polynomial?"),
            ("constant", "no sparsity"),
            ("linear:0.5", "no last sparsity"),
            ("linear:0:1.5:end=3", "`1.5` is to be a sparsity"),
            ("linear:0:NaN:end=3", "`NaN`"),
            ("linear:0:1", "no end"),
            ("linear:0:1:begin=10:end=9", "ends at step 9, before it begins at 10"),
            ("linear:0:1:end=9:power=2", "`power=2` is none of its parts"),
            ("polynomial:0:1:end=9:power=0", "above 0"),
            ("linear:0:1:end=-1", "step, 0 or more"),
            ("linear:0:1:end=9:every=0", "`every` is to be 1 or more"),
            ("linear:0:1:end=9:0.7", "`0.7` is none"),
            ("steps", "no steps"),
            ("steps:5=0.1:5=0.2", "step 5 comes after step 5"),
            ("steps:x=0.1", "`x=0.1`"),
        ] {
            let message = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(message.contains(why) && message.starts_with("schedule `"), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn sparsities_stay_between_their_ends_and_rise_if_these_do(
            kind in prop::sample::select(vec!["linear", "polynomial", "cosine"]),
            from in 0.0..0.5f64, to in 0.5..1.0f64, begin in 0..50u64, long in 0..200u64, every in 1..30u64,
        ) {
            let text = format!("{kind}:{from}:{to}:begin={begin}:end={}:every={every}", begin + long);
            let schedule: Schedule = text.parse().unwrap();
            prop_assert_eq!(&schedule, &schedule.to_string().parse::<Schedule>().unwrap());
            let mut before = 0.0;
            for step in 0..begin + long + 40 {
                let s = schedule.at(step);
                prop_assert!(s >= before - 1e-12 && s <= to + 1e-12, "{} at {}: {} after {}", text, step, s, before);
                prop_assert!((s - before).abs() < 1e-12 || schedule.acts(step) || step == 0, "{} at {}", text, step);
                before = s;
            }
        }

        #[test]
        fn no_text_panics(text in "[a-z]{0,10}(:[0-9.=a-z-]{0,12}){0,5}") {
            if let Ok(schedule) = text.parse::<Schedule>() {
                prop_assert!((0.0..=1.0).contains(&schedule.at(u64::MAX)) && (0.0..=1.0).contains(&schedule.at(0)));
            }
        }
    }
}
