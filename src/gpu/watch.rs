//! How lopper waits for its own work alone, and tells its errors from those of others on the same device.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::mpsc::sync_channel;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Gpu;
use crate::fault::{Fault, Point};
use crate::{Error, Result};

/// How long the GPU may take over one submission before the run is given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

impl Gpu {
    /// Does `work` inside error scopes: what goes wrong on the device in there becomes an error, and the device's
    /// handler hears nothing of it. Scopes belong to a thread, so this neither sees nor hides the errors of others. No
    /// code of the caller's may run inside, and so no polling, which runs callbacks.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the device reported one, for it is why `work` failed, if it did; else the error of `work`.
    pub(crate) fn watch<T>(&self, doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        watch(self.device(), doing, || {
            match self.faults.as_ref().and_then(|faults| faults.at(Point::Gpu(doing))) {
                Some(Fault::OutOfMemory) => return Err(Error::GpuMemory { doing, message: "a test says so".into() }),
                Some(Fault::Rejected(message)) => return Err(Error::Gpu { doing, message: message.into() }),
                Some(Fault::Lost) => self.device().destroy(),
                _ => {}
            }
            work()
        })
    }

    /// Records and submits one command buffer, watched.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the device reported one.
    pub(crate) fn submit(&self, label: &str, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Result<()> {
        self.watch("running kernels", || {
            let mut encoder = self.encoder(label);
            record(&mut encoder);
            self.queue().submit([encoder.finish()]);
            Ok(())
        })
    }

    /// A buffer of the same size and use, with the same contents.
    pub(crate) fn copy_of(&self, buffer: &wgpu::Buffer) -> Result<wgpu::Buffer> {
        let (size, usage) = (buffer.size(), buffer.usage());
        let made = || {
            let copy = wgpu::BufferDescriptor { label: Some("copy"), size, usage, mapped_at_creation: false };
            Ok(self.device().create_buffer(&copy))
        };
        let copy = self.watch("allocating buffers", made)?;
        self.submit("copying", |encoder| encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, size))?;
        Ok(copy)
    }

    /// Polls, or waits for a submission. The caller's own callbacks may run in here.
    pub(crate) fn poll(&self, what: wgpu::PollType) -> Result<()> {
        self.check()?;
        let doing = "waiting for the GPU";
        let failed = |message| Error::Gpu { doing, message };
        let hangs = || failed("it did not finish within minutes; the driver hangs, or another program holds it".into());
        match self.faults.as_ref().and_then(|faults| faults.at(Point::Gpu(doing))) {
            Some(Fault::Hangs) => return Err(hangs()),
            Some(Fault::Lost) => self.device().destroy(),
            _ => {}
        }
        match unless_lost(|| self.device().poll(what)).map_err(failed)? {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => Err(hangs()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// The words in a buffer's first `bytes` bytes, once everything submitted so far is done.
    pub(crate) fn read_words(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<Vec<u32>> {
        let (sender, receiver) = sync_channel(1);
        let (readback, submission_index) = self.watch("reading back", || {
            let readback = self.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("readback"),
                size: bytes,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let mut encoder = self.encoder("readback");
            encoder.copy_buffer_to_buffer(buffer, 0, &readback, 0, bytes);
            let submission_index = Some(self.queue().submit([encoder.finish()]));
            readback.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
            Ok((readback, submission_index))
        })?;
        self.poll(wgpu::PollType::Wait { submission_index, timeout: Some(PATIENCE) })?;
        let failed = |message: String| Error::Gpu { doing: "reading back", message };
        loop {
            match receiver.recv_timeout(Duration::from_millis(1)) {
                Ok(result) => break result.map_err(|e| failed(e.to_string()))?,
                Err(_) => self.poll(wgpu::PollType::Poll)?,
            }
        }
        let mapped = readback.get_mapped_range(..).map_err(|e| failed(e.to_string()))?;
        Ok(bytemuck::pod_collect_to_vec(&mapped))
    }
}

/// [`Gpu::watch`] on any device.
pub(crate) fn watch<T>(device: &wgpu::Device, doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
    let scopes = [Validation, OutOfMemory, Internal].map(|filter| device.push_error_scope(filter));
    let done = unless_lost(work);
    // All must be popped, the last one first.
    let errors = scopes.into_iter().rev().filter_map(|scope| ready(scope.pop()).flatten());
    match errors.fold(None, |first, error| first.or(Some(error))) {
        Some(error @ wgpu::Error::OutOfMemory { .. }) => Err(Error::GpuMemory { doing, message: error.to_string() }),
        Some(error) => Err(Error::Gpu { doing, message: error.to_string() }),
        None => done.unwrap_or_else(|message| Err(Error::Gpu { doing, message })),
    }
}

/// What wgpu knows at once.
pub(super) fn ready<T>(known: impl Future<Output = T>) -> Option<T> {
    match pin!(known).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(known) => Some(known),
        Poll::Pending => None,
    }
}

/// How the panics begin with which wgpu (30.0) ends where a device is lost: in `Device::poll`, if a driver says so
/// then, and in `DeviceExt::create_buffer_init`, where memory that runs out does it too.
const LOST: [&str; 2] =
    ["Error in Device::poll", "Failed to get mapped range for buffer created with mapped_at_creation"];

/// A lost device is no reason to end the caller's program; any other panic is not ours to stop.
fn unless_lost<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| match panic.downcast::<String>() {
        Ok(message) if LOST.iter().any(|lost| message.starts_with(lost)) => *message,
        Ok(other) => resume_unwind(other),
        Err(other) => resume_unwind(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_device_stops_a_panic() {
        let panics =
            |message: &str| catch_unwind(|| unless_lost(|| -> () { std::panic::panic_any(message.to_owned()) }));
        let lost = "Error in Device::poll: Parent device is lost";
        assert_eq!(panics(lost).unwrap().unwrap_err(), lost);
        let other = "in a callback of the caller's";
        assert_eq!(*panics(other).unwrap_err().downcast::<String>().unwrap(), other);
    }
}
