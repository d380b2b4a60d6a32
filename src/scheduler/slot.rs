//! A slot: the buffers one chunk passes through. See the module's drawing.

use std::sync::mpsc;
use std::time::Duration;

use wgpu::BufferUsages as Usage;

use super::Job;
use super::budget::{Budget, Chunk};
use super::busy::{Busy, Stage};
use super::results::ENTRY;
use crate::gpu::{Gpu, PATIENCE};
use crate::kernels::{BOUNDARY_BYTES, MatrixView};
use crate::{Error, Result};

/// Bytes moved at a time between a file and memory that the GPU maps: small enough to stay in cache.
const BLOCK: usize = 256 << 10;

#[derive(Debug)]
enum Host {
    /// The host maps `weights` and `mask` themselves.
    Direct,
    /// The host keeps a copy of the weights, and reads the mask back.
    Staged { copy: Vec<u8>, upload: wgpu::Buffer, readback: wgpu::Buffer },
}

#[derive(Debug)]
pub struct Slot {
    pub weights: wgpu::Buffer,
    pub mask: wgpu::Buffer,
    pub tiles: wgpu::Buffer,
    pub boundary: wgpu::Buffer,
    /// Scores of weights and keys of units, where weights do not compete by their own bits.
    pub scores: Option<wgpu::Buffer>,
    pub keys: Option<wgpu::Buffer>,
    /// Scores that the source gave.
    given: Vec<f32>,
    host: Host,
    /// Where an entry lies behind the mask, in the buffer that the host maps.
    tail: u64,
    /// Buffers asked to be mapped, whose callbacks have not been seen yet.
    pending: Vec<mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>>,
}

impl Slot {
    pub fn new(gpu: &Gpu, budget: Budget) -> Self {
        let buffer = |label, size: u64, usage, mapped_at_creation| {
            let size = size.next_multiple_of(256);
            let label = Some(label);
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation })
        };
        let direct = gpu.maps_storage();
        let tail = budget.mask.next_multiple_of(256);
        let (weights, mask) = if direct {
            (Usage::STORAGE | Usage::MAP_READ | Usage::MAP_WRITE, Usage::STORAGE | Usage::MAP_READ | Usage::COPY_DST)
        } else {
            (Usage::STORAGE | Usage::COPY_DST, Usage::STORAGE | Usage::COPY_SRC)
        };
        let host = if direct {
            Host::Direct
        } else {
            Host::Staged {
                copy: Vec::new(),
                upload: buffer("slot upload", budget.chunk, Usage::MAP_WRITE | Usage::COPY_SRC, true),
                readback: buffer("slot mask readback", tail + ENTRY, Usage::MAP_READ | Usage::COPY_DST, false),
            }
        };
        let scored = |label, size| {
            let usage = Usage::STORAGE | Usage::COPY_DST;
            (size > 0).then(|| buffer(label, size, usage, false))
        };
        Self {
            scores: scored("slot scores", budget.scored[0]),
            keys: scored("slot keys", budget.scored[1]),
            given: Vec::new(),
            weights: buffer("slot weights", budget.chunk, weights, direct),
            mask: buffer("slot mask", tail + ENTRY, mask, false),
            tiles: buffer("slot tiles", budget.tiles, Usage::STORAGE | Usage::COPY_DST, false),
            boundary: buffer("slot boundary", BOUNDARY_BYTES, Usage::STORAGE, false),
            host,
            tail,
            pending: Vec::new(),
        }
    }

    /// What competes in the chunk, as kernels see it: weights, or keys.
    pub fn view(&self, chunk: Chunk, job: &Job) -> MatrixView<'_> {
        let buffer = self.keys.as_ref().filter(|_| !job.is_plain()).unwrap_or(&self.weights);
        MatrixView::dense(buffer, 0, job.keys(), chunk.rows, chunk.cols)
    }

    /// Takes scores besides the weights.
    pub fn score(&mut self, scores: u64, busy: &Busy, read: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
        self.given.resize(scores as usize, 0.0);
        busy.during(Stage::Read, || read(&mut self.given))
    }

    /// Scores that were taken.
    pub fn given(&self) -> &[u8] {
        bytemuck::cast_slice(&self.given)
    }

    /// Fills the slot with `bytes` bytes; `read(offset, buf)` gives them. The slot must be fresh or made ready.
    pub fn fill(
        &mut self,
        bytes: usize,
        block: &mut Vec<u8>,
        busy: &Busy,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        block.resize(BLOCK, 0);
        let (buffer, mut copy) = match &mut self.host {
            Host::Direct => (&self.weights, None),
            Host::Staged { copy, upload, .. } => {
                copy.resize(bytes, 0);
                (&*upload, Some(copy))
            }
        };
        // Mappings are multiples of 4 bytes.
        let length = bytes.next_multiple_of(4) as u64;
        let mut mapped = buffer.get_mapped_range_mut(..length).map_err(map_error)?;
        for at in (0..bytes).step_by(BLOCK) {
            let part = match &mut copy {
                Some(copy) => &mut copy[at..bytes.min(at + BLOCK)],
                None => &mut block[..BLOCK.min(bytes - at)],
            };
            busy.during(Stage::Read, || read(at as u64, part))?;
            busy.during(Stage::Upload, || mapped.slice(at..at + part.len()).copy_from_slice(part));
        }
        Ok(())
    }

    /// Hands the filled slot to the GPU: nothing may be recorded on its weights before.
    pub fn upload(&self, encoder: &mut wgpu::CommandEncoder, bytes: u64) {
        match &self.host {
            Host::Direct => self.weights.unmap(),
            Host::Staged { upload, .. } => {
                upload.unmap();
                encoder.copy_buffer_to_buffer(upload, 0, &self.weights, 0, bytes.next_multiple_of(4));
            }
        }
    }

    /// After the mask has been recorded: what it takes to read it on the host, and an entry that lies in `found`.
    pub fn download(&self, encoder: &mut wgpu::CommandEncoder, mask_words: u64, found: Option<(&wgpu::Buffer, u64)>) {
        let host = match &self.host {
            Host::Direct => &self.mask,
            Host::Staged { readback, .. } => {
                encoder.copy_buffer_to_buffer(&self.mask, 0, readback, 0, 4 * mask_words);
                readback
            }
        };
        if let Some((found, bytes)) = found {
            encoder.copy_buffer_to_buffer(found, 0, host, self.tail, bytes);
        }
    }

    fn map(&mut self, buffer: wgpu::Buffer, mode: wgpu::MapMode) {
        let (sender, receiver) = mpsc::sync_channel(1);
        buffer.map_async(mode, .., move |result| drop(sender.send(result)));
        self.pending.push(receiver);
    }

    /// After submission: asks for the mask and the weights to be mapped for reading.
    pub fn map_results(&mut self) {
        match &self.host {
            Host::Direct => {
                self.map(self.mask.clone(), wgpu::MapMode::Read);
                self.map(self.weights.clone(), wgpu::MapMode::Read);
            }
            Host::Staged { readback, .. } => {
                let readback = readback.clone();
                self.map(readback, wgpu::MapMode::Read);
            }
        }
    }

    /// Waits for this submission alone, and for the mappings that were asked for.
    pub fn wait(&mut self, gpu: &Gpu, submission: &wgpu::SubmissionIndex, busy: &Busy) -> Result<()> {
        let what = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(PATIENCE) };
        busy.during(Stage::Gpu, || gpu.poll(what))?;
        busy.during(Stage::Download, || self.wait_mapped(gpu))
    }

    fn wait_mapped(&mut self, gpu: &Gpu) -> Result<()> {
        for receiver in self.pending.drain(..) {
            // Another thread's poll may be running the callbacks this very moment.
            loop {
                gpu.poll(wgpu::PollType::Poll)?;
                match receiver.recv_timeout(Duration::from_millis(1)) {
                    Ok(result) => break result.map_err(map_error)?,
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => {
                        return Err(Error::Gpu { doing: "mapping a buffer", message: "it was dropped".into() });
                    }
                }
            }
        }
        Ok(())
    }

    /// Calls `with(weights, mask)` on the chunk's bytes, after [`Self::wait`].
    pub fn read<T>(&self, bytes: usize, mask_words: usize, with: impl FnOnce(&[u8], &[u8]) -> Result<T>) -> Result<T> {
        let length = bytes.next_multiple_of(4) as u64;
        let mask_range = ..4 * mask_words as u64;
        match &self.host {
            Host::Direct => {
                let weights = self.weights.get_mapped_range(..length).map_err(map_error)?;
                let mask = self.mask.get_mapped_range(mask_range).map_err(map_error)?;
                with(&weights[..bytes], &mask)
            }
            Host::Staged { copy, readback, .. } => {
                let mask = readback.get_mapped_range(mask_range).map_err(map_error)?;
                with(&copy[..bytes], &mask)
            }
        }
    }

    /// The entry that was downloaded with the mask, after [`Self::wait`].
    pub fn entry(&self) -> Result<Vec<u32>> {
        let mapped = match &self.host {
            Host::Direct => &self.mask,
            Host::Staged { readback, .. } => readback,
        };
        let range = mapped.get_mapped_range(self.tail..self.tail + ENTRY).map_err(map_error)?;
        Ok(bytemuck::pod_collect_to_vec(&range))
    }

    /// Makes the slot ready to be filled again; `masked` says whether results were mapped.
    pub fn make_ready(&mut self, gpu: &Gpu, masked: bool) -> Result<()> {
        gpu.watch("mapping a buffer", || {
            let refill = match &self.host {
                Host::Direct => {
                    if masked {
                        self.mask.unmap();
                        self.weights.unmap();
                    }
                    self.weights.clone()
                }
                Host::Staged { upload, readback, .. } => {
                    if masked {
                        readback.unmap();
                    }
                    upload.clone()
                }
            };
            self.map(refill, wgpu::MapMode::Write);
            Ok(())
        })?;
        self.wait_mapped(gpu)
    }
}

fn map_error(error: impl std::fmt::Display) -> Error {
    Error::Gpu { doing: "mapping a buffer", message: error.to_string() }
}
