//! How long commands take.

use std::time::Instant;

use super::results::{Moment, STEADY};
use crate::Result;
use crate::gpu::{Dispatch, Gpu, PATIENCE};
use crate::record::Pruning;

/// Records what is timed.
type Work = Box<dyn Fn(&mut wgpu::ComputePass<'_>)>;

/// Something that is timed: the same work on each of several copies of its data, in turn.
pub struct Entry {
    pub name: String,
    /// The work on each copy.
    copies: Vec<Work>,
    next: usize,
    /// How often it is done in one submission.
    repeats: usize,
}

impl Entry {
    /// The dispatches on each copy.
    pub fn new(name: impl Into<String>, copies: Vec<Vec<Dispatch>>) -> Self {
        let replay = |dispatches: Vec<Dispatch>| -> Work {
            Box::new(move |pass| dispatches.iter().for_each(|dispatch| dispatch.replay(pass)))
        };
        Self { name: name.into(), copies: copies.into_iter().map(replay).collect(), next: 0, repeats: 1 }
    }

    /// Prunings, one on each copy.
    pub fn prunings(name: impl Into<String>, prunings: Vec<Pruning>) -> Self {
        let replay = |pruning: Pruning| -> Work { Box::new(move |pass| pruning.record_in(pass)) };
        Self { name: name.into(), copies: prunings.into_iter().map(replay).collect(), next: 0, repeats: 1 }
    }

    /// Records it once, on the first copy.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        if let Some(first) = self.copies.first() {
            first(pass);
        }
    }
}

/// A submission is to take about as long: far longer than it takes to submit.
const LONG: f64 = 5e-3;

/// Repeats in one submission at most.
const REPEATS: usize = 256;

/// Rounds at least.
const ROUNDS: usize = 5;

/// A submission over which clocks are compared takes as long.
const VERY_LONG: f64 = 20e-3;

/// Seconds that the rounds of a case may take, if there are more than the least; or this share of the time in all.
pub const ROOM: f64 = 1.5;
pub const SHARE: f64 = 0.02;

/// Timestamps are believed if they make up this share of the time on the wall, over work that takes long.
const BELIEVED: std::ops::Range<f64> = 0.8..1.02;

/// Tells seconds, by the GPU's timestamps or by the clock on the wall.
pub struct Clock<'a> {
    gpu: &'a Gpu,
    queries: Option<Queries>,
    believed: bool,
    /// Seconds that the rounds of a case may take, and how many there may be.
    room: f64,
    rounds: usize,
    /// Why it is which.
    pub why: String,
    /// Seconds in which the GPU was measured, by the clock on the wall.
    pub measuring: f64,
}

struct Queries {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

impl<'a> Clock<'a> {
    /// One that has not been compared yet, and so is the one on the wall. The rounds of a case may take so many seconds,
    /// and there are so many at most.
    pub fn new(gpu: &'a Gpu, room: f64, rounds: usize) -> Result<Self> {
        let device = gpu.device();
        let has = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let queries = || {
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            let (label, ty) = (Some("bench timestamps"), wgpu::QueryType::Timestamp);
            Ok(Queries {
                set: device.create_query_set(&wgpu::QuerySetDescriptor { label, ty, count: 2 }),
                resolved: device.create_buffer(&wgpu::BufferDescriptor {
                    label,
                    size: 256,
                    usage,
                    mapped_at_creation: false,
                }),
            })
        };
        let queries = if has { Some(gpu.watch("making timestamps", queries)?) } else { None };
        let why = "the adapter has no timestamps".to_string();
        Ok(Self { gpu, queries, believed: false, room, rounds: rounds.max(1), why, measuring: 0.0 })
    }

    /// The rounds of a case may take so many seconds from now on, if that is less than before.
    pub fn limit(&mut self, room: f64) {
        self.room = self.room.min(room);
    }

    /// `timestamps` or `wall`.
    pub fn name(&self) -> &'static str {
        if self.believed { "timestamps" } else { "wall" }
    }

    /// Holds timestamps against the clock on the wall, over work that takes long.
    pub fn compare(&mut self, entry: &mut Entry) -> Result<()> {
        let wall = self.prepare(entry)?;
        entry.repeats *= ((VERY_LONG / wall).ceil() as usize).clamp(1, 4);
        let mut shares = Vec::new();
        for _ in 0..5 {
            let (wall, ticks) = self.submit(entry)?;
            let Some(ticks) = ticks else { return Ok(()) };
            shares.push(ticks / wall);
        }
        shares.sort_by(f64::total_cmp);
        let [low, middle, high] = [shares[0], shares[shares.len() / 2], shares[shares.len() - 1]];
        self.believed = BELIEVED.contains(&low) && BELIEVED.contains(&high);
        let not = if self.believed { "" } else { " not" };
        self.why = format!(
            "timestamps say {:.0} % of what the clock on the wall says ({:.0} to {:.0} %), and are{not} believed",
            100.0 * middle,
            100.0 * low,
            100.0 * high
        );
        Ok(())
    }

    /// Warms up, and sets how often the work is done in one submission.
    fn prepare(&mut self, entry: &mut Entry) -> Result<f64> {
        entry.repeats = 1;
        // The first one compiles, and brings memory in.
        self.submit(entry)?;
        let wall = self.submit(entry)?.0;
        entry.repeats = ((LONG / wall).ceil() as usize).clamp(1, REPEATS);
        Ok(wall.max(LONG.min(wall * entry.repeats as f64)))
    }

    /// Seconds of each entry, round by round, in turn.
    pub fn race(&mut self, entries: &mut [Entry]) -> Result<Vec<Vec<f64>>> {
        Ok(self.race_unless(entries, &|| false)?.unwrap_or_default())
    }

    /// The same, but none where `stops` says so, which is asked before each entry of each round.
    pub fn race_unless(&mut self, entries: &mut [Entry], stops: &dyn Fn() -> bool) -> Result<Option<Vec<Vec<f64>>>> {
        let mut a_round = 0.0;
        for entry in entries.iter_mut() {
            if stops() {
                return Ok(None);
            }
            a_round += self.prepare(entry)?;
        }
        let rounds = ((self.room / a_round) as usize).clamp(ROUNDS.min(self.rounds), self.rounds);
        let mut seconds = vec![Vec::with_capacity(rounds); entries.len()];
        for _ in 0..rounds {
            for (entry, seconds) in entries.iter_mut().zip(&mut seconds) {
                if stops() {
                    return Ok(None);
                }
                let (wall, ticks) = self.submit(entry)?;
                let time = if self.believed { ticks.unwrap_or(wall) } else { wall };
                seconds.push(time / entry.repeats as f64);
            }
        }
        Ok(Some(seconds))
    }

    /// Seconds on the wall from submission to the end of the work, and by timestamps.
    fn submit(&mut self, entry: &mut Entry) -> Result<(f64, Option<f64>)> {
        let gpu = self.gpu;
        let (start, index) = gpu.watch("timing kernels", || {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let timestamp_writes = self.queries.as_ref().map(|queries| wgpu::ComputePassTimestampWrites {
                query_set: &queries.set,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            });
            let mut pass =
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("bench"), timestamp_writes });
            for _ in 0..entry.repeats {
                entry.copies[entry.next](&mut pass);
                entry.next = (entry.next + 1) % entry.copies.len();
            }
            drop(pass);
            if let Some(queries) = &self.queries {
                encoder.resolve_query_set(&queries.set, 0..2, &queries.resolved, 0);
            }
            let commands = encoder.finish();
            let start = Instant::now();
            Ok((start, gpu.queue().submit([commands])))
        })?;
        gpu.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: Some(PATIENCE) })?;
        let wall = start.elapsed().as_secs_f64();
        self.measuring += wall;
        let Some(queries) = &self.queries else { return Ok((wall, None)) };
        let words = gpu.read_words(&queries.resolved, 16)?;
        let tick = |i: usize| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32;
        let ticks = tick(1).saturating_sub(tick(0)) as f64 * f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
        Ok((wall, Some(ticks)))
    }
}

/// The median of some, and how far they are apart.
pub fn moment(seconds: &[f64]) -> Moment {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rounds = sorted.len();
    let at = |share: f64| sorted.get(((rounds as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0.0);
    let median = at(0.5);
    let spread = if median > 0.0 { (at(0.75) - at(0.25)) / median } else { 0.0 };
    Moment { seconds: median, spread, steady: spread <= STEADY, rounds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_median_and_what_spreads_is_marked() {
        let steady = moment(&[1.0, 1.02, 1.01, 0.99, 9.0]);
        assert_eq!((steady.seconds, steady.rounds, steady.steady), (1.01, 5, true));
        let other = moment(&[1.0, 2.0, 1.5, 1.6, 1.7]);
        assert!(!other.steady && other.seconds == 1.6 && other.spread > 0.1, "{other:?}");
        assert_eq!(moment(&[]).seconds, 0.0);
    }
}
