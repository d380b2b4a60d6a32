//! `lopper prune`: a plan from the arguments, run or only shown.

use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::{Context, Result};
use lopper::checkpoint::{Checkpoint, TensorInfo};
use lopper::packed::{self, PackOptions};
use lopper::pruner::{Action, Options, Plan, Progress, Pruner, Recipe, Report, TensorReport};

use super::args::PruneArgs;
use super::container;
use super::device;
use super::file::{NewFile, json};
use super::pack;
use super::page;
use super::plan::goes;
use super::progress::Lines;
use super::stop::Stop;
use super::table::{Grid, groups, range};
use super::term::{Paint, paint};
use super::text::{self, bytes, count, percent};

pub fn run(args: &PruneArgs) -> Result<ExitCode> {
    let asked = args.rule.recipe("prune")?;
    if let Some(container) = container::of(args)? {
        return container::prune(args, &container, asked);
    }
    // Planned before the GPU is asked for anything: a misspelt glob fails at once, on any machine.
    let checkpoint = Checkpoint::open(&args.input)?;
    let recipe = if args.from_mask { asked.among_remaining(&checkpoint)? } else { asked };
    let plan = Plan::new(&recipe, checkpoint.tensors())?;
    let output = args.output.as_deref();
    let report_file = args.report.as_ref().map(|path| NewFile::create(path, &args.input, output)).transpose()?;
    let html_file = args.html.as_ref().map(|path| NewFile::create(path, &args.input, output)).transpose()?;
    let wants_report = report_file.is_some();
    let (report, shown) = match output {
        Some(output) if !args.dry_run => {
            let shards = checkpoint.shards().iter().map(|shard| shard.name.clone()).collect();
            drop(checkpoint);
            let stop = Stop::listen(report_file.as_ref().map(NewFile::temporary))?;
            let pruner = Pruner::new(device::open(args.adapter.as_deref())?);
            stop.cleans_up(pruner.unfinished());
            let mut options = Options::default();
            if let Some(memory) = args.memory {
                options.memory = memory;
            }
            options.force = args.force;
            options.earlier = args.earlier();
            let lines = Lines::new(args.quiet, shards);
            let go_on = || if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let on_pruned = |progress: &Progress| {
                lines.set(progress);
                go_on()
            };
            let (report, packed) = match args.pack {
                None => (pruner.prune(&args.input, output, &recipe, &options, &on_pruned), None),
                Some(packing) => {
                    let packing = PackOptions { packing, ..PackOptions::default() };
                    let paths = (&*args.input, output);
                    let on_packed = |_, _| go_on();
                    match packed::prune(&pruner, paths, &recipe, &options, &packing, (&on_pruned, &on_packed)) {
                        Ok((report, packed)) => (Ok(report), Some(packed)),
                        Err(error) => (Err(error), None),
                    }
                }
            };
            drop(lines);
            let report = match (report, pruner.unfinished().kept()) {
                // What was pruned to be packed is gone.
                (Err(error), Some(kept)) if args.pack.is_none() => {
                    let code = text::failure(&error.into());
                    text::tell(&text::resumable(&kept));
                    return Ok(code);
                }
                (report, _) => report?,
            };
            report.retries.iter().for_each(|retry| text::tell(&format!("note: {}", text::printable(retry))));
            let shown = outcome(&report) + &packed.as_ref().map_or(String::new(), pack::shown);
            (Some(report), shown)
        }
        _ => {
            let shown = preview(&plan, checkpoint.tensors(), &recipe);
            (wants_report.then(|| plan.dry_report(&recipe, checkpoint.tensors())), shown)
        }
    };
    if let (Some(file), Some(report)) = (html_file, &report) {
        let page = page::prune::page(args, report).and_then(|page| page.write(file));
        page.context("the pruned checkpoint was written, its page was not")?;
    }
    if let (Some(file), Some(report)) = (report_file, report) {
        file.write(json(&report)).context(match report.adapter {
            Some(_) => "the pruned checkpoint was written, its report was not",
            None => "the report was not written",
        })?;
    }
    if !args.quiet {
        text::print(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a dry run shows: each tensor, how much of it goes, and why.
pub fn preview(plan: &Plan, infos: &[TensorInfo], recipe: &Recipe) -> String {
    let mut grid = Grid::new(&["tensor", "dtype", "shape", "weights", "pruned", "why"], &[3, 4]);
    for (planned, info) in plan.tensors.iter().zip(infos) {
        let weights = planned.shape.weights();
        let goes = goes(planned, planned.rule.map(|r| &recipe.rules[r]));
        let (dtype, shape) = (info.dtype.to_string(), text::shape(&info.shape));
        grid.row([info.name.clone(), dtype, shape, count(weights), goes, planned.reason.clone()]);
    }
    let pruned = || plan.tensors.iter().filter(|t| t.action == Action::Prune);
    let weights = count(pruned().map(|t| t.shape.weights()).sum());
    let (pruned, all) = (pruned().count(), infos.len());
    format!(
        "{grid}{pruned} of {all} tensors would be pruned, {weights} weights; this was a dry run, nothing was written\n"
    )
}

/// What a run shows: tensors that were pruned, those that were copied, and the totals.
pub fn outcome(report: &Report) -> String {
    let of = |action| report.tensors.iter().filter(move |t| t.action == action);
    let sum = |members: &[&TensorReport], part: fn(&TensorReport) -> u64| members.iter().map(|t| part(t)).sum::<u64>();

    let mut pruned = Grid::new(&["pruned", "n", "dtype", "weights", "sparsity", "cut"], &[1, 3, 4]);
    for (name, members) in groups(of(Action::Prune), |t| &t.name, |t| t.dtype.as_str()) {
        let weights = sum(&members, |t| t.weights);
        let sparsity = percent(sum(&members, |t| t.zeros.unwrap_or(0)), weights);
        let (number, dtype) = (members.len().to_string(), members[0].dtype.clone());
        pruned.short_row([name, number, dtype, count(weights), sparsity, range(members.iter().filter_map(|t| t.cut))]);
    }
    let mut copied = Grid::new(&["copied", "n", "dtype", "weights", "why"], &[1, 3]);
    for (name, members) in groups(of(Action::Copy), |t| &t.name, |t| (t.dtype.as_str(), t.reason.as_str())) {
        let [first, ..] = members[..] else { continue };
        let (number, weights) = (members.len().to_string(), count(sum(&members, |t| t.weights)));
        copied.short_row([name, number, first.dtype.clone(), weights, first.reason.clone()]);
    }

    let (weights, zeros, seconds) = (report.totals.weights, report.totals.zeros, report.seconds.total);
    let written = report.bytes_written as f64;
    let rate = if seconds > 0.0 { bytes(written / seconds) } else { "-".into() };
    let adapter = report.adapter.as_ref().map_or("no adapter", |a| &a.name);
    let totals = format!(
        "{} weights, {} zeros ({}), {} in {}, {rate}/s on {}",
        count(weights),
        count(zeros),
        percent(zeros, weights),
        bytes(written),
        text::seconds(seconds),
        text::printable(adapter)
    );
    format!("{pruned}{copied}{}\n", paint(Paint::Bold, &totals))
}
