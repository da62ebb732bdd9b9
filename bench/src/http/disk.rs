//! What the disk itself can do: no durable write, of anybody, is answered sooner than it syncs.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

const PAGE: [u8; 4096] = [0x4b; 4096];

/// How often a second 4 KiB can be appended to a file of this folder and synced, one after the other. Blocks.
pub(crate) fn appends_per_second(folder: &Path, measured: Duration) -> anyhow::Result<f64> {
    let path = folder.join("appended");
    let append = || -> std::io::Result<f64> {
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        let began = Instant::now();
        let mut appended = 0_u32;
        while began.elapsed() < measured {
            file.write_all(&PAGE)?;
            file.sync_data()?;
            appended += 1;
        }
        Ok(f64::from(appended) / began.elapsed().as_secs_f64())
    };
    let rate = append().with_context(|| format!("appending to {}", path.display()))?;
    std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    Ok(rate)
}
