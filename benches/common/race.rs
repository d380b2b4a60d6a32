//! Several things timed in turn, round after round, so that what else the machine does falls on all of them alike.

use std::time::Instant;

use lopper::gpu::Gpu;
use lopper::wgpu;

use super::common::repeats;

type Recording<'a> = Box<dyn Fn(&mut wgpu::ComputePass<'_>) + 'a>;

/// What is timed: a name, and a recording of it.
pub struct Race<'a> {
    gpu: &'a Gpu,
    entries: Vec<(String, Recording<'a>)>,
}

/// Seconds of each entry, round by round.
pub struct Times {
    names: Vec<String>,
    rounds: Vec<Vec<f64>>,
}

impl<'a> Race<'a> {
    pub fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, entries: Vec::new() }
    }

    pub fn enter(&mut self, name: impl Into<String>, record: impl Fn(&mut wgpu::ComputePass<'_>) + 'a) {
        self.entries.push((name.into(), Box::new(record)));
    }

    /// Runs them all `rounds` times in turn, and twice before to warm up. Where they take less than it takes to submit them,
    /// each is repeated within its submission. One round is run as it is.
    pub fn run(self, rounds: usize) -> Times {
        let once = |record: &Recording<'a>, repeats: usize| {
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                (0..repeats).for_each(|_| record(&mut pass));
            }
            let commands = encoder.finish();
            let start = Instant::now();
            self.gpu.queue().submit([commands]);
            self.gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
            start.elapsed().as_secs_f64() / repeats as f64
        };
        let repeats: Vec<usize> = self
            .entries
            .iter()
            .map(|(_, record)| {
                once(record, 1);
                if rounds > 1 { repeats(once(record, 1)) } else { 1 }
            })
            .collect();
        let all = || self.entries.iter().zip(&repeats).map(|((_, record), repeats)| once(record, *repeats)).collect();
        let rounds = (0..rounds).map(|_| all()).collect();
        Times { names: self.entries.into_iter().map(|(name, _)| name).collect(), rounds }
    }
}

/// Of several numbers.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Times {
    fn place(&self, name: &str) -> usize {
        self.names.iter().position(|other| other == name).unwrap_or_else(|| panic!("{name} was not timed"))
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Median seconds.
    pub fn seconds(&self, name: &str) -> f64 {
        let at = self.place(name);
        median(self.rounds.iter().map(|round| round[at]).collect())
    }

    /// How many times as fast as another, which was timed just before or after it: the median over the rounds.
    pub fn speedup(&self, name: &str, over: &str) -> f64 {
        let (at, other) = (self.place(name), self.place(over));
        median(self.rounds.iter().map(|round| round[other] / round[at]).collect())
    }
}
