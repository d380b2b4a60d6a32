//! A disk that is full, and one that may not be written to: real ones, mounted where only the run sees them.

use std::process::{Command, Output};

use super::common::tool::TOOL;
use super::*;

/// Runs a script in a namespace of its own, in which it may mount; `prune INPUT -o OUTPUT` prunes half.
fn mounted(setup: &Setup, script: &str) -> Output {
    let own_root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let mut command = Command::new("unshare");
    let prune =
        r#"prune() { "$LOPPER" prune "$@" --sparsity 0.5 --quiet ${LOPPER_ADAPTER:+--adapter "$LOPPER_ADAPTER"}; }"#;
    let script = format!("{prune}\n{script}");
    command.arg("--mount").args((!own_root).then_some("--map-root-user")).args(["sh", "-ec", &script]);
    let output = command
        .env("LOPPER", TOOL)
        .env("IN", &setup.input)
        .env("DISK", setup.temp.path().join("disk"))
        .env("OUT", &setup.output)
        .output()
        .expect("util-linux has `unshare`");
    assert_ne!(output.status.code(), Some(99), "nothing can be mounted: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_full_disk_costs_nothing_but_the_room_that_was_missing() {
    let setup = Setup::new();
    fs::create_dir(setup.temp.path().join("disk")).unwrap();
    let whole: u64 = files(&setup.input).iter().map(|(_, bytes)| bytes.len() as u64).sum();
    // From no room at all to a little too little; then there is enough.
    for room in [16, whole / 3, whole * 2 / 3, whole - 8192] {
        let script = format!(
            r#"mount -t tmpfs -o size={}k none "$DISK" || exit 99
               prune "$IN" -o "$DISK/out" && exit 98
               for name in "$DISK"/out/*; do [ ! -e "$name" ] || exit 97; done
               mount -o remount,size=64m "$DISK"
               prune "$IN" -o "$DISK/out" --resume
               prune "$IN" -o "$OUT"
               for name in "$OUT"/*; do cmp "$name" "$DISK/out/$(basename "$name")"; done
               [ "$(ls -A "$DISK/out")" = "$(ls -A "$OUT")" ]
            "#,
            room.div_ceil(1024)
        );
        let Output { status, stderr, .. } = mounted(&setup, &script);
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{room} of {whole} bytes: {status}\n{said}");
        assert!(said.contains("No space left on device") && said.contains("disk/out"), "{said}");
        setup.take_output();
    }
}

#[test]
fn a_disk_that_may_not_be_written_to_is_named() {
    let setup = Setup::new();
    fs::create_dir(setup.temp.path().join("disk")).unwrap();
    let script = r#"mount -t tmpfs -o ro none "$DISK" || exit 99
        prune "$IN" -o "$DISK/out""#;
    let Output { status, stderr, .. } = mounted(&setup, script);
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("Read-only file system") && said.contains("disk/out"), "{said}");
}
