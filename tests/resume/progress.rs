//! What a run tells of itself while it goes on: by pass and shard, also where it goes on from another.

use std::collections::BTreeMap;
use std::sync::Mutex;

use lopper::pruner::Stage;

use super::*;

/// What was told last of each pass and shard, and of the whole; every number is held against those before it.
#[derive(Default)]
struct Told {
    shards: BTreeMap<(String, usize), (u64, u64)>,
    passes: BTreeMap<String, (u64, u64)>,
    first: Option<u64>,
    run: (u64, u64),
    commits: usize,
}

impl Told {
    fn take(&mut self, told: &Progress) {
        let Progress { done, all, pass, pass_done, pass_all, shard, shard_done, shard_all, .. } = *told;
        assert!(done <= all && pass_done <= pass_all && shard_done <= shard_all && shard < 3, "{told:?}");
        self.first.get_or_insert(done);
        self.run = (self.run.0.max(done), all);
        if pass == Pass::Commit {
            self.commits += 1;
            return;
        }
        assert_eq!(self.commits, 0, "it comes last");
        let name = format!("{pass:?}");
        let last = self.shards.entry((name.clone(), shard)).or_default();
        *last = (last.0.max(shard_done), shard_all);
        let last = self.passes.entry(name).or_default();
        *last = (last.0.max(pass_done), pass_all);
    }
}

#[test]
fn it_tells_passes_and_shards_to_the_last_byte() {
    for (scope, passes) in [(Scope::Tensor, &["Copy", "Prune"][..]), (Scope::Global, &["Copy", "Count", "Prune"])] {
        let (setup, rule) = (Setup::new(), rule(scope, Target::Sparsity(0.5)));
        // A budget that holds every matrix.
        let run = |earlier, stop_at: u64| {
            let (told, calls) = (Mutex::new(Told::default()), AtomicU64::new(0));
            let progress = |progress: &Progress| {
                told.lock().unwrap().take(progress);
                match calls.fetch_add(1, Ordering::Relaxed) + 1 >= stop_at {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            let options = Options { earlier, ..Options::default() };
            let pruner = common::pruner(common::gpu());
            let report = pruner.prune(&setup.input, &setup.output, &(&rule).into(), &options, &progress);
            (report, told.into_inner().unwrap())
        };
        let (report, told) = run(Earlier::Refuse, u64::MAX);
        let report = report.unwrap();
        assert_eq!(told.passes.keys().collect::<Vec<_>>(), passes, "{scope:?}");
        let of = |pass: &str| {
            told.shards.iter().filter(|((other, _), _)| other == pass).map(|(_, (_, all))| *all).collect::<Vec<u64>>()
        };
        for (pass, (done, all)) in &told.passes {
            assert_eq!(done, all, "{scope:?} {pass}");
            assert_eq!(*all, of(pass).iter().sum::<u64>(), "{scope:?} {pass}");
            assert_eq!(of(pass).len(), 3, "{scope:?} {pass}");
        }
        assert!(told.shards.values().all(|(done, all)| done == all), "{scope:?} {:?}", told.shards);
        assert_eq!((told.run.0, told.commits, told.first.unwrap() < told.run.1), (told.run.1, 1, true));
        assert_eq!(told.run.1, told.passes.values().map(|(_, all)| all).sum::<u64>());

        let seconds = report.seconds;
        let times = [
            seconds.stages.read,
            seconds.stages.upload,
            seconds.stages.gpu,
            seconds.stages.download,
            seconds.stages.write,
            seconds.stages.copy,
        ];
        for (stage, busy) in Stage::ALL.into_iter().zip(times) {
            let waiting = report.waiting.of(stage);
            assert!(busy > 0.0 && busy <= seconds.total, "{scope:?} {stage:?}: {seconds:?}");
            let share = 1.0 - busy / (seconds.total - seconds.commit);
            assert!((waiting - share).abs() < 1e-9 && (0.0..1.0).contains(&waiting), "{scope:?} {stage:?}: {waiting}");
        }

        setup.take_output();
        let (stopped, before) = run(Earlier::Refuse, 5);
        let (report, after) = run(Earlier::Resume, u64::MAX);
        report.unwrap();
        // It may have been stopped before anything was worth keeping, or after all was done.
        assert!(stopped.is_err() || before.commits == 1);
        assert_eq!((after.run.0, after.run.1, after.commits), (told.run.1, told.run.1, 1), "{scope:?}");
    }
}
