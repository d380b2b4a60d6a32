//! Work that is shared out among threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Result;

/// What is told bytes done and bytes in all, and stops the work with [`ControlFlow::Break`](std::ops::ControlFlow::Break).
pub type OnBytes<'a> = &'a (dyn Fn(u64, u64) -> std::ops::ControlFlow<()> + Sync);

/// Does shares number 0 to `shares`, each once, on as many threads as there are processors, each with a `T` of its own. All
/// of these come back; an error ends the work.
pub(crate) fn shared<T: Send>(
    shares: u64,
    new: impl Fn() -> T + Sync,
    each: impl Fn(&mut T, u64) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut own = new();
        while !failed.load(Ordering::Relaxed) {
            let share = next.fetch_add(1, Ordering::Relaxed);
            if share >= shares {
                break;
            }
            each(&mut own, share).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(own)
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..shares.min(threads)).map(|_| scope.spawn(work)).collect();
        let first = work();
        let join = |other: std::thread::ScopedJoinHandle<'_, _>| {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let others: Vec<_> = others.into_iter().map(join).collect();
        [first].into_iter().chain(others).collect()
    })
}
