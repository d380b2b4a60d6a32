//! When a run cannot be gone on from, and what is said then; and the moment in which files are given their names.

use super::*;

fn reason(error: lopper::Result<Report>) -> String {
    match error.unwrap_err() {
        Error::Output { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

impl Setup {
    /// A run that was stopped near its end.
    fn stopped(rule: &Rule) -> Self {
        let setup = Self::new();
        let calls = setup.run(rule, MEMORIES[0], Earlier::Refuse, u64::MAX).1;
        setup.take_output();
        setup.run(rule, MEMORIES[0], Earlier::Refuse, calls - 2).0.unwrap_err();
        assert!(left(&setup.output).is_some());
        setup
    }

    fn resume(&self, rule: &Rule) -> lopper::Result<Report> {
        self.run(rule, MEMORIES[1], Earlier::Resume, u64::MAX).0
    }
}

#[test]
fn another_rule_or_input_is_refused_with_the_difference() {
    let half = rule(Scope::Tensor, Target::Sparsity(0.5));
    let setup = Setup::stopped(&half);
    let other = reason(setup.resume(&rule(Scope::Tensor, Target::Sparsity(0.6))));
    assert!(other.contains("rule.sparsity was `0.5` then, and is `0.6` now") && other.contains("--restart"), "{other}");
    let other = reason(setup.resume(&rule(Scope::Row, Target::Sparsity(0.5))));
    assert!(other.contains("rule.scope was `tensor` then, and is `row` now"), "{other}");

    let shard = setup.input.join("1.safetensors");
    let original = fs::read(&shard).unwrap();
    let modified = fs::metadata(&shard).unwrap().modified().unwrap();
    let put = |bytes: &[u8], later: u64| {
        fs::write(&shard, bytes).unwrap();
        let time = modified + std::time::Duration::from_secs(later);
        fs::File::options().write(true).open(&shard).unwrap().set_modified(time).unwrap();
    };
    put(&original, 1);
    let touched = reason(setup.resume(&half));
    assert!(touched.contains("`1.safetensors` has been modified since"), "{touched}");
    let mut renamed = original.clone();
    let at = renamed.windows(5).position(|text| text == b"scale").unwrap();
    renamed[at] = b'S';
    put(&renamed, 0);
    let header = reason(setup.resume(&half));
    assert!(header.contains("the header of the input's `1.safetensors` was another then"), "{header}");
    fs::rename(setup.input.join("2.safetensors"), setup.temp.path().join("gone")).unwrap();
    put(&original, 0);
    let fewer = reason(setup.resume(&half));
    assert!(fewer.contains("the input had 3 shards then, and has 2 now"), "{fewer}");
    fs::rename(setup.temp.path().join("gone"), setup.input.join("2.safetensors")).unwrap();

    // None of this has cost the work.
    setup.resume(&half).unwrap();
    setup.take_output();
}

#[test]
fn restarting_deletes_what_was_left_and_only_that() {
    let half = rule(Scope::Tensor, Target::Sparsity(0.5));
    let setup = Setup::stopped(&half);
    let before = left(&setup.output).unwrap();
    fs::write(setup.output.join(".lopper-mine"), "a file").unwrap();
    fs::create_dir(setup.output.join(".lopper-folder")).unwrap();
    let other = rule(Scope::Row, Target::Sparsity(0.2));
    setup.run(&other, MEMORIES[0], Earlier::Restart, u64::MAX).0.unwrap();
    assert!(!before.exists());
    fs::remove_file(setup.output.join(".lopper-mine")).unwrap();
    fs::remove_dir(setup.output.join(".lopper-folder")).unwrap();
    setup.take_output();
}

#[test]
fn work_that_is_damaged_is_refused_and_a_torn_journal_costs_only_its_end() {
    let half = rule(Scope::Global, Target::Sparsity(0.5));
    let setup = Setup::stopped(&half);
    let work = left(&setup.output).unwrap();
    let journal = fs::read(work.join("journal")).unwrap();
    fs::rename(work.join("1"), work.join("gone")).unwrap();
    let said = reason(setup.resume(&half));
    assert!(said.contains("is gone") && said.contains("--restart"), "{said}");
    fs::rename(work.join("gone"), work.join("1")).unwrap();
    fs::OpenOptions::new().write(true).open(work.join("1")).unwrap().set_len(5).unwrap();
    let said = reason(setup.resume(&half));
    assert!(said.contains("it has 5"), "{said}");

    let setup = Setup::stopped(&half);
    let work = left(&setup.output).unwrap();
    assert!(journal.len() > 600);
    fs::write(work.join("journal"), &journal[..journal.len() / 2]).unwrap();
    let fresh = fs::metadata(setup.input.join("0.safetensors")).unwrap().modified().unwrap();
    // This journal is of another input: its files were written at another time.
    assert!(reason(setup.resume(&half)).contains("modified since"), "{fresh:?}");
    let setup = Setup::stopped(&half);
    let work = left(&setup.output).unwrap();
    let journal = fs::read(work.join("journal")).unwrap();
    for cut in [1, 40, journal.len() / 2] {
        fs::write(work.join("journal"), &journal[..journal.len() - cut]).unwrap();
        let stopped = setup.run(&half, MEMORIES[0], Earlier::Resume, 1).0;
        assert!(matches!(stopped.unwrap_err(), Error::Cancelled));
    }
    fs::write(work.join("counts"), "noise").unwrap();
    setup.resume(&half).unwrap();
    let resumed = setup.take_output();
    setup.run(&half, MEMORIES[2], Earlier::Refuse, u64::MAX).0.unwrap();
    assert!(setup.take_output() == resumed);
}

#[test]
fn a_run_that_is_at_work_is_left_alone() {
    let setup = Setup::new();
    let half = rule(Scope::Tensor, Target::Sparsity(0.5));
    let tried = AtomicU64::new(0);
    let progress = |_: &Progress| {
        if tried.fetch_add(1, Ordering::Relaxed) == 3 {
            for earlier in [Earlier::Refuse, Earlier::Resume, Earlier::Restart] {
                let said = reason(setup.run(&half, MEMORIES[0], earlier, u64::MAX).0);
                assert!(said.contains("another run is writing it"), "{said}");
            }
        }
        ControlFlow::Continue(())
    };
    let options = Options { memory: MEMORIES[0], ..Options::default() };
    common::pruner(common::gpu()).prune(&setup.input, &setup.output, &(&half).into(), &options, &progress).unwrap();
    setup.take_output();
}

/// A run that cannot give its second shard its name has given the first one its own, if it may replace files.
#[test]
fn names_that_were_not_given_are_given_by_the_next_run() {
    let half = rule(Scope::Tensor, Target::Sparsity(0.5));
    let setup = Setup::new();
    setup.run(&half, MEMORIES[0], Earlier::Refuse, u64::MAX).0.unwrap();
    let whole = setup.take_output();
    for force in [false, true] {
        let options = Options { memory: MEMORIES[0], force, earlier: Earlier::Resume };
        let obstacle = setup.output.join("1.safetensors");
        let progress = |_: &Progress| {
            fs::create_dir_all(&obstacle).unwrap();
            ControlFlow::Continue(())
        };
        let pruner = common::pruner(common::gpu());
        pruner.prune(&setup.input, &setup.output, &(&half).into(), &options, &progress).unwrap_err();
        assert_eq!(setup.output.join("0.safetensors").exists(), force);
        let kept = pruner.unfinished().kept().unwrap();
        assert_eq!(kept, fs::canonicalize(left(&setup.output).unwrap()).unwrap());
        // Still in the way: refused, and nothing is lost.
        let still =
            pruner.prune(&setup.input, &setup.output, &(&half).into(), &options, &|_| ControlFlow::Continue(()));
        assert!(matches!(still.unwrap_err(), Error::Output { .. }));
        fs::remove_dir(&obstacle).unwrap();
        let report =
            pruner.prune(&setup.input, &setup.output, &(&half).into(), &options, &|_| ControlFlow::Continue(()));
        assert!(report.unwrap().bytes_written > 0);
        assert!(setup.take_output() == whole);
    }
}
