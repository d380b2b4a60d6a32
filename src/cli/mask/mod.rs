//! `lopper mask`: masks as files.

mod args;
mod shown;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use lopper::checkpoint::{Checkpoint, Unfinished};
use lopper::masks::{self, ApplyOptions, MaskTo, Masks, Operation, Regrow};
use serde::Serialize;

pub use self::args::MaskArgs;
use self::args::{ApplyArgs, DiffArgs, MaskCommand, RegrowArgs, SelectArgs, StatsArgs, ToArgs};
use super::progress::Bar;
use super::stop::Stop;
use super::text;

pub fn run(args: &MaskArgs) -> Result<ExitCode> {
    match &args.command {
        MaskCommand::Extract(args) => one(&args.masks, &args.select, &args.to, masks::extract),
        MaskCommand::Invert(args) => one(&args.masks, &args.select, &args.to, masks::invert),
        MaskCommand::And(args) => several(Operation::And, args),
        MaskCommand::Or(args) => several(Operation::Or, args),
        MaskCommand::Xor(args) => several(Operation::Xor, args),
        MaskCommand::Apply(args) => apply(args),
        MaskCommand::Regrow(args) => regrow(args),
        MaskCommand::Diff(args) => diff(args),
        MaskCommand::Stats(args) => stats(args),
    }
}

fn open(path: &Path, select: &SelectArgs) -> Result<Masks> {
    Ok(Masks::open(path, select.selection().as_ref())?)
}

/// Writes something, with a bar and so that Ctrl-C leaves nothing behind.
fn written<T>(to: &ToArgs, write: impl FnOnce(&MaskTo<'_>) -> lopper::Result<T>) -> Result<T> {
    let (stop, unfinished, bar) = (Stop::listen(None)?, Unfinished::default(), Bar::new(to.json));
    stop.cleans_up(unfinished.clone());
    let progress = |done, all| {
        bar.set(done, all);
        if stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let to = MaskTo { output: &to.output, force: to.force, unfinished: &unfinished, progress: &progress };
    Ok(write(&to)?)
}

/// Prints a result, as JSON or as text.
fn print<T: Serialize>(found: &T, json: bool, shown: impl FnOnce(&T) -> String) -> Result<ExitCode> {
    match json {
        true => text::print_json(found)?,
        false => text::print(&shown(found))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn one(
    path: &Path,
    select: &SelectArgs,
    to: &ToArgs,
    write: impl FnOnce(&Masks, &MaskTo<'_>) -> lopper::Result<masks::Written>,
) -> Result<ExitCode> {
    let masks = open(path, select)?;
    let found = written(to, |to| write(&masks, to))?;
    print(&found, to.json, shown::written)
}

fn several(operation: Operation, args: &args::SeveralArgs) -> Result<ExitCode> {
    let masks = args.masks.iter().map(|path| open(path, &args.select)).collect::<Result<Vec<_>>>()?;
    let masks: Vec<&Masks> = masks.iter().collect();
    let found = written(&args.to, |to| masks::combine(operation, &masks, to))?;
    print(&found, args.to.json, shown::written)
}

fn apply(args: &ApplyArgs) -> Result<ExitCode> {
    let (masks, checkpoint) = (open(&args.masks, &args.select)?, Checkpoint::open(&args.input)?);
    let revive = args.revive.as_deref().map(Checkpoint::open).transpose()?;
    let options = ApplyOptions { names: args.names.clone(), revive, force: args.to.force };
    let found =
        written(&args.to, |to| masks::apply(&masks, &checkpoint, to.output, &options, to.unfinished, to.progress))?;
    print(&found, args.to.json, shown::applied)
}

fn regrow(args: &RegrowArgs) -> Result<ExitCode> {
    let masks = open(&args.masks, &args.select)?;
    let (weights, scores) = (Checkpoint::open(&args.weights)?, Checkpoint::open(&args.scores)?);
    let by = Regrow { weights: &weights, scores: &scores, fraction: args.fraction };
    let found = written(&args.to, |to| masks::regrow(&masks, &by, to))?;
    print(&found, args.to.json, shown::regrown)
}

fn diff(args: &DiffArgs) -> Result<ExitCode> {
    let [first, second] = [&args.first, &args.second].map(|path| open(path, &args.select));
    let bar = Bar::new(args.json);
    let found = masks::diff(&first?, &second?, &|done, all| {
        bar.set(done, all);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    print(&found, args.json, |found| shown::diff(found, args.tensors))
}

fn stats(args: &StatsArgs) -> Result<ExitCode> {
    let masks = open(&args.masks, &args.select)?;
    let bar = Bar::new(args.json);
    let found = masks::stats(&masks, &|done, all| {
        bar.set(done, all);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    print(&found, args.json, |found| shown::stats(found, args.tensors))
}
