//! Runs the tool and looks at what came of it.

#[path = "../common/tool.rs"]
mod tool;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub use tool::TOOL;

/// A small model that is fit to be shipped with the tests.
pub const MODEL: &str = concat!(env!("LOPPER_TEST_ROOT"), "/tests/data/silero_vad_16k.safetensors");

/// A command, its exit code and both of its streams.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs it.
pub fn lopper<S: AsRef<OsStr>>(args: &[S]) -> Ran {
    lopper_with(args, &[])
}

/// Where no tuning is, whatever the user's own cache has.
fn cache() -> PathBuf {
    std::env::temp_dir().join("lopper-test-cache")
}

/// Runs it with these variables.
pub fn lopper_with<S: AsRef<OsStr>>(args: &[S], vars: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(TOOL);
    let command = command.args(args).env("XDG_CACHE_HOME", cache()).envs(vars.iter().copied()).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

impl Ran {
    /// Asserts the exit code and what stderr must contain.
    #[track_caller]
    pub fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for text in says {
            assert!(self.err.contains(text), "{text:?} is missing in: {}", self.err);
        }
    }

    #[track_caller]
    pub fn works(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A folder of its own for a test.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().into()
    }

    pub fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

/// Whether tests may prune. Only the switch says no.
pub fn gpu() -> bool {
    let allowed = std::env::var_os("LOPPER_TEST_NO_GPU").is_none();
    if !allowed {
        eprintln!("skipped: LOPPER_TEST_NO_GPU is set");
    }
    allowed
}

/// `--adapter` and the adapter under test.
pub fn adapter() -> Vec<String> {
    std::env::var("LOPPER_ADAPTER").into_iter().flat_map(|name| ["--adapter".to_string(), name]).collect()
}

/// Copies the model and overwrites 4 bytes of the last tensor but one, `final_conv.weight`.
pub fn tampered(model: &str, copy: &str, value: f32) {
    let mut bytes = fs::read(model).unwrap();
    let at = bytes.len() - 4 - 4;
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    fs::write(copy, bytes).unwrap();
}
