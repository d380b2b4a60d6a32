//! The pipeline's threads under stress: the least memory and so many tiny chunks, delays at random places, and errors,
//! panics and cancellation in the middle of it. Each run must end, with the right bytes or with the right error.
//!
//! `LOPPER_TEST_STRESS` is the number of runs per thread; `LOPPER_TEST_STRESS_SEED` begins another sequence.

mod common;

use std::any::Any;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::{Fill, Random, gpu, weights};
use lopper::checkpoint::TensorInfo;
use lopper::gpu::Gpu;
use lopper::pruner::{Options, Progress, Rule, Scope, Sink, Source, Target};
use lopper::{BoxError, Dtype, Error, safetensors};

/// The least memory that works.
const TINY: u64 = 128 << 10;
/// The watchdog's patience with one run, which takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(400);

/// Tensors in memory, of which the larger ones take many chunks.
struct Model {
    infos: Vec<TensorInfo>,
    tensors: Vec<Vec<u8>>,
}

fn model() -> Model {
    let shapes: [(Dtype, safetensors::Dtype, usize, usize); 6] = [
        (Dtype::BF16, safetensors::Dtype::BF16, 200, 501),
        (Dtype::F32, safetensors::Dtype::F32, 37, 129),
        (Dtype::F8E4M3, safetensors::Dtype::F8_E4M3, 64, 640),
        (Dtype::F16, safetensors::Dtype::F16, 3, 7),
        (Dtype::F32, safetensors::Dtype::F32, 64, 500),
        (Dtype::F8E5M2, safetensors::Dtype::F8_E5M2, 41, 83),
    ];
    let each = shapes.into_iter().enumerate().map(|(i, (dtype, file, rows, cols))| {
        let fill = if i % 2 == 0 { Fill::Normal } else { Fill::Coarse };
        let info = TensorInfo::new(format!("layers.{i}.weight"), file, [rows as u64, cols as u64]).unwrap();
        (info, weights(dtype, rows, cols, fill, i as u64))
    });
    let (infos, tensors) = each.unzip();
    Model { infos, tensors }
}

/// Where a run is made to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    None,
    ReadFails,
    ReadPanics,
    WriteFails,
    WritePanics,
    CommitFails,
    ProgressStops,
    ProgressPanics,
}

impl Fault {
    const ALL: [Fault; 8] = [
        Fault::None,
        Fault::ReadFails,
        Fault::ReadPanics,
        Fault::WriteFails,
        Fault::WritePanics,
        Fault::CommitFails,
        Fault::ProgressStops,
        Fault::ProgressPanics,
    ];
}

const BROKEN: &str = "broken on purpose";

/// A source, a sink and a progress function that dawdle, and break at one call.
struct Troubled<'a> {
    model: &'a Model,
    out: Mutex<Vec<Vec<Option<u8>>>>,
    random: Mutex<Random>,
    /// In how many of 16 calls it sleeps.
    laziness: u64,
    fault: Fault,
    /// How many calls of the kind that breaks come before it does.
    at: u64,
    calls: AtomicU64,
    broke: AtomicU64,
    commits: AtomicU64,
}

impl<'a> Troubled<'a> {
    fn new(model: &'a Model, laziness: u64, fault: Fault, at: u64, seed: u64) -> Self {
        let out = model.tensors.iter().map(|tensor| vec![None; tensor.len()]).collect();
        Self {
            model,
            out: Mutex::new(out),
            random: Mutex::new(Random::new(seed)),
            laziness,
            fault,
            at,
            calls: AtomicU64::new(0),
            broke: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        }
    }

    fn dawdle(&self) {
        let (chance, length) = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            (random.next() >> 20 & 15, random.next() >> 20 & 1023)
        };
        match chance {
            _ if chance < self.laziness => std::thread::sleep(Duration::from_micros(length)),
            15 => std::thread::yield_now(),
            _ => {}
        }
    }

    /// Whether this call of a kind is the one to break at.
    fn breaks(&self, kind: [Fault; 2]) -> Option<Fault> {
        let now = kind.contains(&self.fault) && self.calls.fetch_add(1, Ordering::Relaxed) == self.at;
        now.then(|| {
            self.broke.fetch_add(1, Ordering::Relaxed);
            self.fault
        })
    }

    fn bytes(&self) -> Vec<Vec<u8>> {
        let out = self.out.lock().unwrap();
        out.iter().map(|tensor| tensor.iter().map(|byte| byte.expect("every byte has come")).collect()).collect()
    }

    fn progress(&self) -> ControlFlow<()> {
        self.dawdle();
        match self.breaks([Fault::ProgressStops, Fault::ProgressPanics]) {
            Some(Fault::ProgressStops) => ControlFlow::Break(()),
            // As a panic, but without a message on the terminal.
            Some(_) => resume_unwind(Box::new(BROKEN)),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Source for Troubled<'_> {
    fn read(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<(), BoxError> {
        self.dawdle();
        match self.breaks([Fault::ReadFails, Fault::ReadPanics]) {
            Some(Fault::ReadFails) => return Err(BROKEN.into()),
            Some(_) => resume_unwind(Box::new(BROKEN)),
            None => {}
        }
        buf.copy_from_slice(&self.model.tensors[tensor][offset as usize..][..buf.len()]);
        Ok(())
    }
}

impl Sink for Troubled<'_> {
    fn write(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<(), BoxError> {
        self.dawdle();
        match self.breaks([Fault::WriteFails, Fault::WritePanics]) {
            Some(Fault::WriteFails) => return Err(BROKEN.into()),
            Some(_) => resume_unwind(Box::new(BROKEN)),
            None => {}
        }
        assert_eq!(self.commits.load(Ordering::Relaxed), 0, "nothing comes after the commit");
        let mut out = self.out.lock().unwrap();
        for (to, byte) in out[tensor][offset as usize..][..bytes.len()].iter_mut().zip(bytes) {
            assert!(to.replace(*byte).is_none(), "tensor {tensor}: a byte from {offset} on came twice");
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), BoxError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        match self.breaks([Fault::CommitFails; 2]) {
            Some(_) => Err(BROKEN.into()),
            None => Ok(()),
        }
    }
}

const SCOPES: [Scope; 3] = [Scope::Tensor, Scope::Row, Scope::Global];

type Ended = Result<lopper::Result<()>, Box<dyn Any + Send>>;

fn prune(gpu: &Gpu, troubled: &Troubled<'_>, scope: Scope, memory: u64) -> Ended {
    let rule = Rule { scope, ..Rule::new(Target::Sparsity(0.4)) };
    let (options, progress) = (Options { memory, ..Options::default() }, |_: &Progress| troubled.progress());
    catch_unwind(AssertUnwindSafe(|| {
        let pruner = common::pruner(gpu);
        pruner.prune_tensors(&troubled.model.infos, troubled, troubled, &rule.into(), &options, &progress).map(drop)
    }))
}

/// That a run ended as its fault says it must; returns whether the fault was met.
fn judge(about: &str, troubled: &Troubled<'_>, ended: Ended, want: &[Vec<u8>]) -> bool {
    let commits = troubled.commits.load(Ordering::Relaxed);
    if troubled.broke.load(Ordering::Relaxed) == 0 {
        ended.unwrap_or_else(|_| panic!("{about}: panicked")).unwrap_or_else(|e| panic!("{about}: {e}"));
        assert_eq!(commits, 1, "{about}");
        assert!(troubled.bytes() == want, "{about}: other bytes");
        return false;
    }
    assert_eq!(commits, u64::from(troubled.fault == Fault::CommitFails), "{about}");
    match (troubled.fault, ended) {
        (Fault::ReadPanics | Fault::WritePanics | Fault::ProgressPanics, Err(payload)) => {
            assert_eq!(payload.downcast_ref(), Some(&BROKEN), "{about}");
        }
        (Fault::ReadFails, Ok(Err(Error::Source { source, .. })))
        | (Fault::WriteFails, Ok(Err(Error::Sink { source, .. })))
        | (Fault::CommitFails, Ok(Err(Error::Commit { source, .. }))) => {
            assert_eq!(source.to_string(), BROKEN, "{about}");
        }
        (Fault::ProgressStops, Ok(Err(Error::Cancelled))) => {}
        (_, Err(_)) => panic!("{about}: panicked"),
        (_, Ok(other)) => panic!("{about}: {other:?}"),
    }
    true
}

/// Ends the process where a run does not: a test that hangs says nothing.
struct Watchdog(Mutex<Vec<Option<(Instant, String)>>>);

impl Watchdog {
    fn start(threads: usize) -> &'static Self {
        let watchdog: &'static Self = Box::leak(Box::new(Self(Mutex::new(vec![None; threads]))));
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                for (since, about) in watchdog.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten() {
                    if since.elapsed() > PATIENCE {
                        eprintln!("this run has not ended for {} s: {about}", since.elapsed().as_secs());
                        std::process::abort();
                    }
                }
            }
        });
        watchdog
    }

    fn begins(&self, thread: usize, about: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[thread] = Some((Instant::now(), about.to_owned()));
    }

    fn ended(&self, thread: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[thread] = None;
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`")))
}

#[test]
fn whatever_the_timing_a_run_ends_with_the_right_bytes_or_the_right_error() {
    let (runs, first_seed) = (number("LOPPER_TEST_STRESS", 16), number("LOPPER_TEST_STRESS_SEED", 0));
    let model = model();
    let asked = std::env::var("LOPPER_ADAPTER").ok();
    // Both threads share them: as is, and staged.
    let gpus = [gpu().clone(), pollster::block_on(Gpu::open_staged(asked.as_deref())).unwrap()];
    // A run in one piece, undisturbed; `prune.rs` and `kernels.rs` hold such runs against the CPU.
    let wants = SCOPES.map(|scope| {
        let calm = Troubled::new(&model, 0, Fault::None, 0, 0);
        prune(&gpus[0], &calm, scope, 64 << 20).expect("no panic").unwrap();
        let bytes = calm.bytes();
        assert!(bytes != model.tensors);
        bytes
    });
    // How many calls of each kind a tiny run takes, so that faults fall anywhere in it.
    let counted = |fault, scope| {
        let never = Troubled::new(&model, 0, fault, u64::MAX, 0);
        prune(&gpus[0], &never, scope, TINY).expect("no panic").unwrap();
        never.calls.load(Ordering::Relaxed)
    };
    let counts = Fault::ALL.map(|fault| SCOPES.map(|scope| counted(fault, scope).max(1)));

    let watchdog = Watchdog::start(2);
    let met = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (model, gpus, wants, counts, met) = (&model, &gpus, &wants, &counts, &met);
            scope.spawn(move || {
                for run in 0..runs {
                    let seed = first_seed + 2 * run + thread as u64;
                    let mut random = Random::new(seed + 1);
                    let mut pick = |below: u64| (random.next() >> 11) % below;
                    // All faults in turn, so that even a few runs meet most.
                    let (fault, which) = ((seed % 8) as usize, pick(3) as usize);
                    let (staged, laziness) = (pick(2) as usize, [0, 2, 8][pick(3) as usize]);
                    let memory = TINY + pick(8) * (TINY / 4);
                    let at = pick(counts[fault][which]);
                    let (fault, scope) = (Fault::ALL[fault], SCOPES[which]);
                    let about = format!(
                        "seed {seed}: {scope:?}, {fault:?} at {at}, {memory} bytes, laziness {laziness},                          staged {staged}"
                    );
                    watchdog.begins(thread, &about);
                    let troubled = Troubled::new(model, laziness, fault, at, seed);
                    let ended = prune(&gpus[staged], &troubled, scope, memory);
                    if judge(&about, &troubled, ended, &wants[which]) {
                        met.lock().unwrap().insert(fault);
                    }
                }
                watchdog.ended(thread);
            });
        }
    });
    let met = met.into_inner().unwrap();
    assert!(runs < 16 || met.len() == Fault::ALL.len() - 1, "only these faults were met: {met:?}");
    for gpu in &gpus {
        assert_eq!(gpu.check().map_err(|e| e.to_string()), Ok(()));
    }
}
