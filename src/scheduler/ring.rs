//! The ring of slots, and how one thread's failure stops the others.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::budget::Budget;
use super::slot::Slot;
use crate::gpu::Gpu;
use crate::{Error, Result};

#[derive(Debug)]
pub struct Ring<'a> {
    gpu: &'a Gpu,
    budget: Budget,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The last slot returned is the first one taken: its memory is in cache, and no more slots are made than needed.
    free: Vec<Slot>,
    made: usize,
    stopped: bool,
    error: Option<Error>,
}

impl<'a> Ring<'a> {
    pub fn new(gpu: &'a Gpu, budget: Budget) -> Self {
        Self { gpu, budget, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot that is ready to be filled; none once the run has stopped.
    pub fn take(&self) -> Option<Slot> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(slot) = state.free.pop() {
                return Some(slot);
            }
            if state.made < self.budget.slots {
                state.made += 1;
                drop(state);
                let made = self.gpu.watch("allocating a slot", || Ok(Slot::new(self.gpu, self.budget)));
                return made.map_err(|error| self.fail(error)).ok();
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns a slot that is ready to be filled.
    pub fn give_back(&self, slot: Slot) {
        self.state().free.push(slot);
        self.changed.notify_one();
    }

    /// Stops the run. The first error is kept: those that follow are mostly its consequences.
    pub fn fail(&self, error: Error) {
        let mut state = self.state();
        state.stopped = true;
        state.error.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Whether the run has stopped.
    pub fn stopped(&self) -> bool {
        self.state().stopped
    }

    /// The error the run failed with.
    pub fn result(&self) -> Result<()> {
        let error = self.state().error.take();
        error.map_or(Ok(()), Err)
    }
}

/// Stops the run if its thread panics, as the caller's source or sink may: the other threads would wait for it for
/// ever.
pub struct StopOnPanic<'a>(pub &'a Ring<'a>);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::Cancelled);
        }
    }
}
