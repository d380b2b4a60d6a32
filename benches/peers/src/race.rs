//! Contestants timed in turn, round after round, so that what else the machine does falls on all of them alike.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::data::Data;

/// Seconds that a round of a contestant is to take at least.
const LONG: f64 = 5e-3;

/// Whether a panic is going to be an error.
static GUARDED: AtomicBool = AtomicBool::new(false);

/// Peers, and wgpu below them, panic where something is refused: their message becomes an error, and is not printed besides.
pub fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = GUARDED.swap(true, Ordering::Relaxed);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.store(outer, Ordering::Relaxed);
    done.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
        Err(anyhow!("it panicked: {}", text.split("Backtrace").next().unwrap_or_default().trim()))
    })
}

/// Panics that nothing guards are printed as always.
pub fn quiet() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !GUARDED.load(Ordering::Relaxed) {
            print(panic);
        }
    }));
}

/// A product that can be run over and over.
pub trait Product {
    /// Multiplies by copy `round` modulo as many as there are.
    fn run(&mut self, round: usize) -> Result<()>;

    /// Waits until all of it is done.
    fn wait(&mut self) -> Result<()>;

    /// What the last run computed, as `[columns][rows]`.
    fn result(&mut self) -> Result<Vec<f32>>;
}

pub struct Entry {
    pub name: String,
    product: Box<dyn Product>,
    /// Distance from the product in f64.
    pub distance: f64,
    pub seconds: Vec<f64>,
}

pub struct Race<'a> {
    data: &'a Data,
    pub entries: Vec<Entry>,
    pub failed: Vec<(String, String)>,
}

impl<'a> Race<'a> {
    pub fn new(data: &'a Data) -> Self {
        Self { data, entries: Vec::new(), failed: Vec::new() }
    }

    /// What enters from now on computes another product.
    pub fn judge(&mut self, data: &'a Data) {
        self.data = data;
    }

    /// Enters one whose result is within `most` of the product in f64; what fails is noted, and not timed.
    pub fn enter(&mut self, name: String, product: impl FnOnce() -> Result<Box<dyn Product>>, most: f64) {
        let checked = guard(|| {
            let mut product = product()?;
            product.run(0)?;
            product.wait()?;
            let distance = self.data.distance(&product.result()?);
            anyhow::ensure!(distance <= most, "its product is {distance:.1e} from the one in f64, {most:.0e} at most");
            Ok((product, distance))
        });
        match checked {
            Ok((product, distance)) => self.entries.push(Entry { name, product, distance, seconds: Vec::new() }),
            Err(error) => self.failed.push((name, format!("{error:#}"))),
        }
    }

    /// All in turn, twice to warm up, then `rounds` times. Each is repeated so that it takes far longer than waiting does.
    pub fn run(&mut self, rounds: usize) -> Result<()> {
        let mut repeats = vec![1; self.entries.len()];
        for round in 0..rounds + 2 {
            for (entry, repeats) in self.entries.iter_mut().zip(&mut repeats) {
                let start = Instant::now();
                for repeat in 0..*repeats {
                    entry.product.run(round * *repeats + repeat)?;
                }
                entry.product.wait()?;
                let seconds = start.elapsed().as_secs_f64();
                match round {
                    0 => {}
                    1 => *repeats = ((LONG / seconds).ceil() as usize).clamp(1, 100),
                    _ => entry.seconds.push(seconds / *repeats as f64),
                }
            }
        }
        Ok(())
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Entry {
    /// How many times as fast as another: the median over rounds.
    pub fn speedup(&self, over: &Entry) -> f64 {
        median(self.seconds.iter().zip(&over.seconds).map(|(own, other)| other / own).collect())
    }

    pub fn median(&self) -> f64 {
        median(self.seconds.clone())
    }
}
