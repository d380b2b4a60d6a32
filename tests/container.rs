//! Files of other programs, made by those programs: what is read, what is written back, what is refused.
#![cfg(feature = "containers")]

mod common;
#[path = "container/convert.rs"]
mod convert;
#[path = "container/fixtures.rs"]
mod fixtures;
#[path = "container/hostile.rs"]
mod hostile;
#[path = "container/prune.rs"]
mod prune;
#[path = "container/read.rs"]
mod read;
