//! Work that is shared out among threads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::{Error, Result};

/// What is told bytes done and bytes in all, and stops the work with [`ControlFlow::Break`].
pub type OnBytes<'a> = &'a (dyn Fn(u64, u64) -> ControlFlow<()> + Sync);

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

/// The same, where each share says how many bytes it has done: `progress` is told their sum, on top of `before`, of so many in
/// all, and stops the work with [`Error::Cancelled`](crate::Error::Cancelled).
pub(crate) fn shared_bytes<T: Send>(
    shares: u64,
    (before, total): (u64, u64),
    progress: OnBytes<'_>,
    new: impl Fn() -> T + Sync,
    each: impl Fn(&mut T, u64) -> Result<u64> + Sync,
) -> Result<Vec<T>> {
    let done = AtomicU64::new(before);
    shared(shares, new, |own, share| {
        let bytes = each(own, share)?;
        match progress(done.fetch_add(bytes, Ordering::Relaxed) + bytes, total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    })
}

/// As [`shared`], where each share has a result; `take` is given them in the order of the shares, whatever order threads come in,
/// so that sums in floating point are the same on every machine. A thread holds at most one result.
pub(crate) fn in_order<T: Send, R>(
    shares: u64,
    new: impl Fn() -> T + Sync,
    each: impl Fn(&mut T, u64) -> Result<R> + Sync,
    take: impl FnMut(u64, R) + Send,
) -> Result<()> {
    // Whose turn it is; none once a share has failed, so that no thread waits for it.
    let (turn, moved) = (Mutex::new((Some(0), take)), Condvar::new());
    shared(shares, new, |own, share| {
        let result = each(own, share);
        let mut state = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match result {
            Ok(result) => result,
            Err(error) => {
                state.0 = None;
                moved.notify_all();
                return Err(error);
            }
        };
        while state.0.is_some_and(|turn| turn != share) {
            state = moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.0.is_some() {
            (state.1)(share, result);
            state.0 = Some(share + 1);
        }
        moved.notify_all();
        Ok(())
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_the_wait() {
        let mut taken = Vec::new();
        in_order(100, || (), |(), share| Ok(share * share), |share, square| taken.push((share, square))).unwrap();
        assert_eq!(taken, (0..100).map(|share| (share, share * share)).collect::<Vec<_>>());
        taken.clear();
        let each = |(): &mut (), share| if share == 7 { Err(Error::Cancelled) } else { Ok(0) };
        let ended = in_order(100, || (), each, |share, square| taken.push((share, square)));
        assert!(matches!(ended, Err(Error::Cancelled)));
        assert!(taken.len() <= 7 && taken.iter().zip(0..).all(|((share, _), at)| *share == at));
    }
}
