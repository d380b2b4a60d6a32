//! What was found, for each adapter.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::gpu::{AdapterInfo, Tuning};
use crate::{Error, Result, json_file};

/// Bytes of a table at most: a few thousand adapters.
const MOST: u64 = 1 << 20;

/// The only version of the format there is.
const VERSION: u32 = 1;

/// Knobs for adapters, as [`tune`](super::tune) found them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    version: u32,
    adapters: Vec<Found>,
}

/// Knobs for one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its name.
    pub adapter: String,
    /// `vulkan`, `metal`, `dx12` or `gl`.
    pub backend: String,
    /// The driver and its version: another one may compile kernels otherwise.
    pub driver: String,
    /// The version of lopper whose kernels were timed.
    pub lopper: String,
    /// The knobs.
    pub tuning: Tuning,
}

impl Default for Table {
    fn default() -> Self {
        Self { version: VERSION, adapters: Vec::new() }
    }
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] where the file holds something else, a table of another version, or knobs that kernels
    /// cannot do with.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |problem: String| Error::Data { path: path.into(), tensor: None, problem };
        let table: Table = json_file::read(path, MOST, "a table of `lopper tune`")?;
        if table.version != VERSION {
            return Err(bad(format!("a table of version {}, this lopper knows {VERSION}", table.version)));
        }
        match table.adapters.iter().find_map(|found| found.tuning.check().err()) {
            Some(error) => Err(bad(error.to_string())),
            None => Ok(table),
        }
    }

    /// The table in JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The knobs for an adapter with this driver and this version of lopper, if they were searched.
    pub fn find(&self, adapter: &AdapterInfo) -> Option<Tuning> {
        let now = |found: &&Found| found.is_for(adapter) && found.lopper == env!("CARGO_PKG_VERSION");
        self.adapters.iter().find(now).map(|found| found.tuning)
    }

    /// Keeps knobs for an adapter in place of what was known of it.
    pub fn keep(&mut self, adapter: &AdapterInfo, tuning: Tuning) {
        self.forget(adapter);
        self.adapters.push(Found {
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            lopper: env!("CARGO_PKG_VERSION").into(),
            tuning,
        });
    }

    /// Forgets what was found for an adapter, by whatever version; whether there was anything.
    pub fn forget(&mut self, adapter: &AdapterInfo) -> bool {
        let before = self.adapters.len();
        self.adapters.retain(|found| !found.is_for(adapter));
        self.adapters.len() < before
    }

    /// All that it knows.
    pub fn adapters(&self) -> &[Found] {
        &self.adapters
    }
}

impl Found {
    fn is_for(&self, adapter: &AdapterInfo) -> bool {
        (&self.adapter, &self.backend, &self.driver) == (&adapter.name, &adapter.backend, &adapter.driver)
    }
}
