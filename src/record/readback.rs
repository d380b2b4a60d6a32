//! What the GPU found, on the host, when the caller's own polling gets to it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::{Error, Result};

/// Buffers that are mapped, and come back when what they held has been read.
#[derive(Debug, Clone, Default)]
pub struct Shelf(Arc<Mutex<Vec<wgpu::Buffer>>>);

impl Shelf {
    fn buffers(&self) -> std::sync::MutexGuard<'_, Vec<wgpu::Buffer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, device: &wgpu::Device, size: u64) -> wgpu::Buffer {
        if let Some(buffer) = self.buffers().pop() {
            return buffer;
        }
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("lopper readback"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }
}

#[derive(Debug, Default)]
enum Progress {
    #[default]
    Waiting,
    Mapped,
    Failed(String),
}

#[derive(Debug, Default)]
struct State {
    progress: Progress,
    waker: Option<Waker>,
}

/// Told by wgpu's callback; dropped without being told if the commands never run.
struct Signal(Arc<Mutex<State>>);

impl Signal {
    fn tell(&self, progress: Progress) {
        let waker = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(state.progress, Progress::Waiting) {
                return;
            }
            state.progress = progress;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.tell(Progress::Failed("its commands were dropped before they ran".into()));
    }
}

type Decode<T> = Box<dyn Fn(&[u8]) -> T + Send + Sync>;

/// A future of what the GPU finds. It completes when the commands it was recorded with have been submitted and are done,
/// and the device is polled, by anyone: nothing here polls but [`Readback::wait`]. Works under any executor.
#[must_use = "nothing is read back unless it is awaited"]
pub struct Readback<T> {
    state: Arc<Mutex<State>>,
    buffer: wgpu::Buffer,
    shelf: Shelf,
    decode: Decode<T>,
}

impl<T> std::fmt::Debug for Readback<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readback").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<T> Readback<T> {
    /// Records a copy of `size` bytes; `copy(encoder, buffer)` makes it.
    pub(super) fn record(
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        shelf: &Shelf,
        size: u64,
        copy: impl FnOnce(&mut wgpu::CommandEncoder, &wgpu::Buffer),
        decode: impl Fn(&[u8]) -> T + Send + Sync + 'static,
    ) -> Self {
        let buffer = shelf.take(device, size);
        copy(encoder, &buffer);
        let state = Arc::<Mutex<State>>::default();
        let signal = Signal(state.clone());
        encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Read, .., move |result| {
            signal.tell(match result {
                Ok(()) => Progress::Mapped,
                Err(error) => Progress::Failed(error.to_string()),
            });
        });
        Self { state, buffer, shelf: shelf.clone(), decode: Box::new(decode) }
    }

    /// Blocks until the commands are done, polling the device they were submitted to, for programs that have nothing else
    /// to do.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the commands were never submitted, or the device fails.
    pub fn wait(mut self, device: &wgpu::Device) -> Result<T> {
        device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| Error::Gpu { doing: "waiting for the GPU", message: error.to_string() })?;
        // Another thread's poll may be running the callback this very moment.
        for _ in 0..1000 {
            if let Some(result) = now(Pin::new(&mut self)) {
                return result;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let message = "the encoder that it was recorded with has not been submitted, or is another device's".into();
        Err(Error::Gpu { doing: "reading back", message })
    }
}

impl<T> Future for Readback<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let failed = |message: String| Err(Error::Gpu { doing: "reading back", message });
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match &state.progress {
                Progress::Waiting => {
                    state.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Progress::Failed(message) => return Poll::Ready(failed(message.clone())),
                Progress::Mapped => {}
            }
        }
        let read = match self.buffer.get_mapped_range(..) {
            Ok(bytes) => Ok((self.decode)(&bytes)),
            Err(error) => failed(error.to_string()),
        };
        self.buffer.unmap();
        self.shelf.buffers().push(self.buffer.clone());
        self.state.lock().unwrap_or_else(PoisonError::into_inner).progress =
            Progress::Failed("it was read already".into());
        Poll::Ready(read)
    }
}

/// The result of a future that is ready.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}
