//! What a person sees on stderr while something goes on; gone once it is done. Nothing with `--quiet`, and nothing where
//! stderr is no terminal.

use std::collections::VecDeque;
use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lopper::pruner::{Busy, Pass, Progress, Stage, Times};

use super::term;
use super::text::{self, bytes};

/// How often lines are written anew.
const TICK: Duration = Duration::from_millis(100);

/// What is said of right now is of about so long.
const RECENT: Duration = Duration::from_secs(1);

fn target(quiet: bool) -> ProgressDrawTarget {
    if quiet || !stderr().is_terminal() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() }
}

/// A short bar, and a text that is cut off where the terminal ends.
fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{bar:14} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    if term::unicode() { style } else { style.progress_chars("=>-") }
}

/// A bar of bytes, cleared when dropped.
pub struct Bar(ProgressBar, Mutex<Rate>);

impl Bar {
    pub fn new(quiet: bool) -> Self {
        Self(ProgressBar::with_draw_target(Some(0), target(quiet)).with_style(style()), Mutex::default())
    }

    /// What is being done, and how many of such things are done.
    pub fn say(&self, what: &str, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
        self.0.set_message(format!("{done} of {all}: {what}"));
        self.0.tick();
    }

    pub fn set(&self, done: u64, all: u64) {
        if self.0.is_hidden() {
            return;
        }
        let mut rate = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        rate.at(Instant::now(), done);
        self.0.set_length(all);
        self.0.set_message(amount("", done, all, &rate));
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// `name  1.2 GB of 1.7 GB, 940 MB/s, 3 s left`
fn amount(name: &str, done: u64, all: u64, rate: &Rate) -> String {
    let so_far = format!("{name}{} of {}", bytes(done as f64), bytes(all as f64));
    match rate.per_second() {
        Some(rate) => {
            format!("{so_far}, {}/s, {} left", bytes(rate), left(all.saturating_sub(done) as f64 / rate))
        }
        None => so_far,
    }
}

/// `7 s`, `3 min 20 s`, `2 h 5 min`.
fn left(seconds: f64) -> String {
    match seconds.min(1e9).ceil() as u64 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// Values by time, of the last few seconds.
struct Recent<T>(VecDeque<(Instant, T)>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Recent<T> {
    /// Takes a value, and lets go of those that are older than `window`, but for one.
    fn take(&mut self, now: Instant, value: T, window: Duration) {
        self.0.push_back((now, value));
        while self.0.len() > 2 && now.duration_since(self.0[1].0) >= window {
            self.0.pop_front();
        }
    }

    /// The oldest and the latest, and the seconds between them.
    fn ends(&self) -> Option<(&T, &T, f64)> {
        let ((from, old), (to, new)) = (self.0.front()?, self.0.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        (seconds > 0.0).then_some((old, new, seconds))
    }
}

/// Bytes per second over the last seconds, or since the work began if that is less.
#[derive(Default)]
struct Rate(Recent<u64>);

impl Rate {
    fn at(&mut self, now: Instant, done: u64) {
        match self.0.0.back() {
            // Begun anew, or gone on from.
            Some((_, before)) if done < *before => *self = Self::default(),
            // Often enough.
            Some((then, _)) if now.duration_since(*then) < TICK / 2 => return,
            _ => {}
        }
        self.0.take(now, done, 5 * RECENT);
    }

    fn per_second(&self) -> Option<f64> {
        let (old, new, seconds) = self.0.ends()?;
        (new > old).then(|| (new - old) as f64 / seconds)
    }
}

/// The lines of a pruning: one for each pass that goes on, one below it for the shard at hand, and one that says which
/// stage holds the others up. Cleared when dropped.
pub struct Lines {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    shards: Vec<String>,
}

#[derive(Default)]
struct State {
    /// Of each pass, as far as it goes on, what was told last, and how fast it is.
    passes: [Option<(Progress, Rate, Rate)>; 3],
    busy: Option<Busy>,
    recent: Recent<Times>,
    committing: bool,
    ended: bool,
}

impl Lines {
    /// For shards of these names.
    pub fn new(quiet: bool, shards: Vec<String>) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), shards });
        let target = target(quiet);
        let ticker = (!target.is_hidden()).then(|| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.draw(target))
        });
        Self { shared, ticker }
    }

    pub fn set(&self, progress: &Progress) {
        if self.ticker.is_none() {
            return;
        }
        let mut state = self.shared.state();
        if state.busy.is_none() {
            state.busy = Some(progress.busy.clone());
        }
        let number = match progress.pass {
            Pass::Count => 0,
            Pass::Prune => 1,
            Pass::Copy => 2,
            _ => {
                state.committing = true;
                return;
            }
        };
        state.committing = false;
        let now = Instant::now();
        let (last, pass, shard) =
            state.passes[number].get_or_insert_with(|| (progress.clone(), Rate::default(), Rate::default()));
        if last.shard != progress.shard {
            *shard = Rate::default();
        }
        last.clone_from(progress);
        pass.at(now, progress.pass_done);
        shard.at(now, progress.shard_done);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            // What draws lines does not matter to what was done.
            drop(ticker.join());
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws, again and again, also while nothing is told: a stage that hangs is to be seen.
    fn draw(&self, target: ProgressDrawTarget) {
        let lines = MultiProgress::with_draw_target(target);
        let mut bars: Vec<ProgressBar> = Vec::new();
        loop {
            let (shown, ended) = {
                let mut state = self.state();
                (self.lines(&mut state, Instant::now()), state.ended)
            };
            if ended {
                break;
            }
            while bars.len() < shown.len() {
                bars.push(lines.add(ProgressBar::new(0).with_style(style())));
            }
            while bars.len() > shown.len() {
                bars.pop().iter().for_each(ProgressBar::finish_and_clear);
            }
            for (bar, Line { text, part }) in bars.iter().zip(shown) {
                match part {
                    Some((done, all)) => {
                        bar.set_style(style());
                        bar.set_length(all);
                        bar.set_position(done);
                    }
                    None => bar.set_style(
                        ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
                    ),
                }
                bar.set_message(text);
                bar.tick();
            }
            std::thread::park_timeout(TICK);
        }
        bars.iter().for_each(ProgressBar::finish_and_clear);
    }

    fn lines(&self, state: &mut State, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        if state.committing {
            return vec![Line { text: "syncing what was written, and giving it its name".into(), part: None }];
        }
        for (last, pass, shard) in state.passes.iter().flatten().filter(|(last, ..)| last.pass_done < last.pass_all) {
            let name = match last.pass {
                Pass::Count => "counting  ",
                Pass::Copy => "copying   ",
                _ => "pruning   ",
            };
            let text = amount(name, last.pass_done, last.pass_all, pass);
            lines.push(Line { text, part: Some((last.pass_done, last.pass_all)) });
            if self.shards.len() > 1
                && let Some(of) = self.shards.get(last.shard)
            {
                let name = format!("  {}  ", text::printable(of));
                let text = amount(&name, last.shard_done, last.shard_all, shard);
                lines.push(Line { text, part: Some((last.shard_done, last.shard_all)) });
            }
        }
        if let Some(busy) = &state.busy {
            state.recent.take(now, busy.times(), RECENT);
            lines.extend(state.recent.ends().map(|(old, new, seconds)| {
                let text = bottleneck(&new.since(old), seconds);
                Line { text, part: None }
            }));
        }
        lines
    }
}

/// A line, and how much of its bar is done if it has one.
struct Line {
    text: String,
    part: Option<(u64, u64)>,
}

/// `bottleneck now: reading (read 93 %, upload 4 %, gpu 40 %, download 1 %, write 52 %)`
fn bottleneck(times: &Times, seconds: f64) -> String {
    let Some((slowest, _)) = times.bottleneck() else { return "waiting for everything".into() };
    let share = |stage: Stage| format!("{:.0} %", (100.0 * times.of(stage) / seconds).min(100.0));
    let busy: Vec<String> = Stage::ALL.iter().map(|&stage| format!("{} {}", stage.name(), share(stage))).collect();
    format!("bottleneck now: {} (busy: {})", slowest.name(), busy.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds_and_times_are_easy_to_read() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), None);
        for second in 0..20 {
            // 10 bytes a second, and from the tenth second on 1000.
            let done = if second < 10 { 10 * second } else { 100 + 1000 * (second - 10) };
            rate.at(at(1000 * second), done);
        }
        assert_eq!(rate.per_second(), Some(1000.0));
        assert_eq!(amount("x  ", 9100, 20_000, &rate), "x  9.10 kB of 20.0 kB, 1.00 kB/s, 11 s left");
        rate.at(at(21_000), 3);
        assert_eq!(rate.per_second(), None, "begun anew");
        assert_eq!([left(0.2), left(200.0), left(7500.0)], ["1 s", "3 min 20 s", "2 h 5 min"]);
        assert_eq!(left(f64::INFINITY), "277777 h 46 min");
    }

    #[test]
    fn what_is_slow_right_now_is_named() {
        assert_eq!(bottleneck(&Times::default(), 1.0), "waiting for everything");
        let times = Times { read: 0.93, upload: 0.04, gpu: 0.4, download: 0.01, write: 0.52, copy: 0.0 };
        let said = "bottleneck now: read (busy: read 93 %, upload 4 %, gpu 40 %, download 1 %, write 52 %, copy 0 %)";
        assert_eq!(bottleneck(&times, 1.0), said);
    }
}
