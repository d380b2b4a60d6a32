//! `lopper schedule`: how much a schedule prunes at which step.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use lopper::Schedule;

use super::term;
use super::text::{self, count};

const HELP: &str = "\
Examples:
  lopper schedule polynomial:0:0.8:begin=100:end=1000
  lopper schedule steps:0=0.5:1000=0.75:2000=0.875
  One step, for a training loop in any language:
    lopper schedule cosine:0:0.9:end=5000:every=100 --step 1200
    lopper prune model.safetensors -o pruned.safetensors --schedule cosine:0:0.9:end=5000:every=100 --step 1200

Schedules, S from 0 to 1; what is in [] may be left out:
  constant:S[:begin=N]
  linear:S:S:end=N[:begin=N][:every=N]
  polynomial:S:S:end=N[:begin=N][:every=N][:power=P]   power 3; s1 + (s0 - s1)(1 - p)^power
  cosine:S:S:end=N[:begin=N][:every=N]
  steps:N=S:N=S…                                       each from its step on
Before it begins nothing is pruned; after its end the last sparsity stays. With every=N it changes at every N-th step only.

Exit codes: 0 done, 2 the command line makes no sense";

/// Steps that are shown, unless there are fewer.
const SHOWN: u64 = 20;

/// Characters of the longest bar.
const WIDE: f64 = 50.0;

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct ScheduleArgs {
    /// The schedule
    pub schedule: Schedule,
    /// Print the sparsity at this step, and nothing else; may be repeated
    #[arg(long, value_name = "N")]
    pub step: Vec<u64>,
    /// Print it as JSON: steps, sparsities, and whether there is something to prune
    #[arg(long)]
    pub json: bool,
}

#[derive(serde::Serialize)]
struct At {
    step: u64,
    sparsity: f64,
    acts: bool,
}

pub fn run(args: &ScheduleArgs) -> Result<ExitCode> {
    let schedule = &args.schedule;
    let steps = if args.step.is_empty() { shown(schedule) } else { args.step.clone() };
    let all: Vec<At> =
        steps.into_iter().map(|step| At { step, sparsity: schedule.at(step), acts: schedule.acts(step) }).collect();
    if args.json {
        text::print_json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = String::new();
    for At { step, sparsity, acts } in &all {
        if !args.step.is_empty() {
            writeln!(shown, "{sparsity}")?;
            continue;
        }
        let bar = if term::unicode() { "█" } else { "#" }.repeat((sparsity * WIDE).round() as usize);
        let line = format!("{:>9}  {sparsity:.4} {} {bar}", count(*step), if *acts { "prunes" } else { "      " });
        writeln!(shown, "{}", line.trim_end())?;
    }
    text::print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// Steps from before the first that prunes until after the last, as many as can be looked at.
fn shown(schedule: &Schedule) -> Vec<u64> {
    let last = schedule.end().unwrap_or(0);
    let acting: Vec<u64> =
        if last < 1_000_000 { (0..=last).filter(|step| schedule.acts(*step)).collect() } else { vec![] };
    let mut steps: Vec<u64> = if (1..=SHOWN as usize).contains(&acting.len()) {
        acting
    } else {
        (0..=SHOWN).map(|i| (u128::from(last) * u128::from(i) / u128::from(SHOWN)) as u64).collect()
    };
    steps.push(0);
    steps.push(last.saturating_add((last / SHOWN).max(1)));
    steps.sort_unstable();
    steps.dedup();
    steps
}
