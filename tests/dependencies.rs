//! The library stays lean: without the `cli` feature no crate of the command line is pulled in.

use std::process::Command;

fn tree(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Of the feature `containers`, which the tool has too.
const CONTAINER_CRATES: [&str; 3] = ["crc32fast", "hdf5-reader", "zip"];

const CLI_CRATES: [&str; 9] =
    ["anyhow", "clap", "clap_builder", "comfy-table", "ctrlc", "indicatif", "pollster", "console", "signal-hook"];

#[test]
fn the_library_pulls_in_no_crate_of_the_command_line() {
    let library = tree(&["--no-default-features"]);
    assert!(library.iter().any(|name| name == "wgpu"), "this is the wrong tree");
    for name in CLI_CRATES.into_iter().chain(CONTAINER_CRATES) {
        assert!(!library.iter().any(|other| other == name), "the library pulls in {name}");
    }
}

#[test]
fn other_programs_files_bring_their_crates_and_none_of_the_command_line() {
    let library = tree(&["--no-default-features", "--features", "containers"]);
    for name in CONTAINER_CRATES {
        assert!(library.iter().any(|other| other == name), "{name} is not in the tree: this test proves nothing");
    }
    for name in CLI_CRATES {
        assert!(!library.iter().any(|other| other == name), "the library pulls in {name}");
    }
}

#[test]
fn the_command_line_does() {
    let tool = tree(&[]);
    for name in ["anyhow", "clap", "indicatif", "pollster"] {
        assert!(tool.iter().any(|other| other == name), "{name} is not in the tool's tree: this test proves nothing");
    }
}
