//! One turn of a loop, counted in the assembly of an AMD GPU.

use std::collections::HashMap;

use anyhow::{Context, Result};

/// Instructions of one turn; what only waits or orders is not among them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    pub vector: u32,
    pub scalar: u32,
    pub memory: u32,
    pub shared: u32,
    pub branch: u32,
}

impl Round {
    fn all(&self) -> u32 {
        self.vector + self.scalar + self.memory + self.shared + self.branch
    }

    fn add(&mut self, instruction: &str) {
        let is = |names: &[&str]| names.iter().any(|name| instruction.starts_with(name));
        if is(&["buffer_", "global_", "s_load", "s_buffer_load"]) {
            self.memory += 1;
        } else if is(&["ds_"]) {
            self.shared += 1;
        } else if is(&["v_"]) {
            self.vector += 1;
        } else if is(&["s_cbranch", "s_branch", "s_barrier"]) {
            self.branch += 1;
        } else if is(&["s_"]) && !is(&["s_waitcnt", "s_nop", "s_clause", "s_inst_prefetch", "s_depctr"]) {
            self.scalar += 1;
        }
    }
}

/// The longest of the innermost loops that read memory or workgroup memory.
pub fn longest(assembly: &str) -> Result<Round> {
    let lines: Vec<&str> = assembly.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let labels: HashMap<&str, usize> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((line.strip_suffix(':')?, at))).collect();
    let target = |at: usize| {
        let mut words = lines[at].split_whitespace();
        let is_branch = words.next().is_some_and(|word| word.starts_with("s_cbranch") || word == "s_branch");
        words.next().filter(|_| is_branch).and_then(|label| labels.get(label).copied())
    };
    // Where each loop begins, and the last way back there.
    let mut loops: HashMap<usize, usize> = HashMap::new();
    for at in 0..lines.len() {
        if let Some(begin) = target(at).filter(|begin| *begin <= at) {
            loops.insert(begin, at);
        }
    }
    let rounds: Vec<(usize, usize, Round)> = loops
        .iter()
        .filter_map(|(&begin, &end)| Some((begin, end, shortest(&lines, &target, begin, end)?)))
        .filter(|(.., round)| round.memory + round.shared > 0)
        .collect();
    // A short one within, of a few instructions that drivers make of one, counts as one turn.
    let holds_no_other = |(begin, end, round): &&(usize, usize, Round)| {
        let mut within = rounds.iter().filter(|(first, last, _)| first > begin && last < end);
        within.all(|(.., inner)| 4 * inner.all() < round.all())
    };
    let longest = rounds.iter().filter(holds_no_other).max_by_key(|(.., round)| round.all());
    Ok(longest.context("no loop reads memory")?.2)
}

/// The shortest way from the first line of a loop to the last, with all that lanes which part do: what is skipped where no lane
/// is left is run, but for the other side where all lanes went one way.
fn shortest(lines: &[&str], target: &impl Fn(usize) -> Option<usize>, begin: usize, end: usize) -> Option<Round> {
    let mut best: Vec<Option<Round>> = vec![None; end + 1];
    best[begin] = Some(Round::default());
    for at in begin..end {
        let Some(mut round) = best[at] else { continue };
        round.add(lines[at]);
        let other_side =
            at > 0 && ["s_andn2_b64 exec", "s_and_not1_b64 exec"].iter().any(|name| lines[at - 1].starts_with(name));
        let falls = match lines[at].split_whitespace().next() {
            Some("s_branch") => false,
            Some("s_cbranch_execz") => !other_side,
            _ => true,
        };
        let jumps = target(at).filter(|_| !lines[at].starts_with("s_cbranch_execz") || other_side);
        for next in [falls.then_some(at + 1), jumps].into_iter().flatten().filter(|next| (at + 1..=end).contains(next))
        {
            if best[next].is_none_or(|known| round.all() < known.all()) {
                best[next] = Some(round);
            }
        }
    }
    best[end]
}
