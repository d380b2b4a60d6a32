//! Opening an adapter, with the knobs that `lopper tune` found for it.

use std::path::PathBuf;

use anyhow::Result;
use lopper::gpu::Gpu;
use lopper::tune::Table;

use super::text;

/// Opens the adapter that is asked for. A table that cannot be read is told of, and passed over: knobs change no results.
pub fn open(adapter: Option<&str>) -> Result<Gpu> {
    let gpu = pollster::block_on(Gpu::open(adapter))?;
    let Some(path) = table_path().filter(|path| path.exists()) else { return Ok(gpu) };
    let table = match Table::read(&path) {
        Ok(table) => table,
        Err(error) => {
            text::tell(&format!("note: tuning is passed over: {error}; `lopper tune` writes it anew"));
            return Ok(gpu);
        }
    };
    match table.find(gpu.info()) {
        Some(tuning) => Ok(gpu.with_tuning(tuning)?),
        None => Ok(gpu),
    }
}

/// Where the table is, in the user's folder for caches; none where there is no such folder.
pub fn table_path() -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("lopper").join("tuning.json"))
}
