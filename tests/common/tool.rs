//! Where the tool is.

/// The tool that is tested: cargo's, or the one that lies beside the tests in a bundle (`scripts/bundle.sh`).
pub const TOOL: &str = match option_env!("LOPPER_TEST_TOOL") {
    Some(tool) => tool,
    None => env!("CARGO_BIN_EXE_lopper"),
};
