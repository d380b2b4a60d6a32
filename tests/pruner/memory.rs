//! A source and a sink in memory, which hold their callers to what they promise and can break at any call.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lopper::BoxError;
use lopper::checkpoint::{Checkpoint, TensorInfo};
use lopper::pruner::{Sink, Source};
use lopper::safetensors::Dtype;
use lopper::safetensors::tensor::{TensorView, serialize_to_file};

use super::common::{Fill, Random, weights};

/// One read or one write.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// How many came before it.
    pub number: usize,
    pub tensor: usize,
    pub offset: u64,
}

type Then = Box<dyn Fn(Call) -> Result<(), BoxError> + Sync>;

/// Counts calls, and does something else at one of them.
#[derive(Default)]
struct Calls {
    count: AtomicUsize,
    now: AtomicUsize,
    most_at_once: AtomicUsize,
    at: Option<(usize, Then)>,
    broke: Mutex<Option<Call>>,
}

impl Calls {
    fn call(&self, tensor: usize, offset: u64, length: usize, work: impl FnOnce()) -> Result<(), BoxError> {
        assert!((1..=1 << 20).contains(&length), "{length} bytes at a time");
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.most_at_once.fetch_max(1 + self.now.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        if let Some((_, then)) = self.at.as_ref().filter(|(at, _)| *at == number) {
            let call = Call { number, tensor, offset };
            *self.broke.lock().unwrap() = Some(call);
            then(call)?;
        }
        work();
        self.now.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Tensors in memory.
pub struct Memory {
    pub infos: Vec<TensorInfo>,
    pub tensors: Vec<Vec<u8>>,
    calls: Calls,
}

impl Memory {
    pub fn new(infos: Vec<TensorInfo>, tensors: Vec<Vec<u8>>) -> Self {
        Self { infos, tensors, calls: Calls::default() }
    }

    /// All of a checkpoint.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let read = |(number, info): (usize, &TensorInfo)| {
            let mut bytes = vec![0; info.bytes() as usize];
            checkpoint.read_at(number, 0, &mut bytes).unwrap();
            (TensorInfo::new(&info.name, info.dtype, info.shape.clone()).unwrap(), bytes)
        };
        let (infos, tensors) = checkpoint.tensors().iter().enumerate().map(read).unzip();
        Self::new(infos, tensors)
    }

    /// The model of [`model`], which is in no file.
    pub fn model() -> Self {
        model(&tempfile::tempdir().unwrap().path().join("model.safetensors"))
    }

    pub fn calls(&self) -> usize {
        assert!(self.calls.most_at_once.load(Ordering::Relaxed) <= 2, "reads come from two threads");
        self.calls.count.load(Ordering::Relaxed)
    }

    pub fn restart(&self) {
        self.calls.count.store(0, Ordering::Relaxed);
    }

    pub fn at(&mut self, number: usize, then: impl Fn(Call) -> Result<(), BoxError> + Sync + 'static) {
        self.calls.at = Some((number, Box::new(then)));
    }

    pub fn broke(&self) -> Option<Call> {
        *self.calls.broke.lock().unwrap()
    }
}

impl Source for Memory {
    fn read(&self, tensor: usize, offset: u64, buf: &mut [u8]) -> Result<(), BoxError> {
        let at = usize::try_from(offset)?;
        let from = &self.tensors[tensor][at..at + buf.len()];
        self.calls.call(tensor, offset, buf.len(), || buf.copy_from_slice(from))
    }
}

/// Where tensors go. Each byte may come once.
pub struct Store {
    bytes: Mutex<Vec<Vec<Option<u8>>>>,
    calls: Calls,
    commits: AtomicUsize,
    refuse: Option<Box<dyn Fn() -> BoxError + Sync>>,
}

impl Store {
    pub fn new(infos: &[TensorInfo]) -> Self {
        let bytes = infos.iter().map(|info| vec![None; info.bytes() as usize]).collect();
        Self { bytes: Mutex::new(bytes), calls: Calls::default(), commits: AtomicUsize::new(0), refuse: None }
    }

    /// What has come, which must be everything.
    pub fn tensors(&self) -> Vec<Vec<u8>> {
        let bytes = self.bytes.lock().unwrap();
        bytes.iter().map(|tensor| tensor.iter().map(|byte| byte.expect("every byte has come")).collect()).collect()
    }

    pub fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }

    pub fn calls(&self) -> usize {
        assert!(self.calls.most_at_once.load(Ordering::Relaxed) <= 3, "writes come from three threads");
        self.calls.count.load(Ordering::Relaxed)
    }

    pub fn at(&mut self, number: usize, then: impl Fn(Call) -> Result<(), BoxError> + Sync + 'static) {
        self.calls.at = Some((number, Box::new(then)));
    }

    pub fn broke(&self) -> Option<Call> {
        *self.calls.broke.lock().unwrap()
    }

    pub fn refuse_commit(&mut self, error: impl Fn() -> BoxError + Sync + 'static) {
        self.refuse = Some(Box::new(error));
    }
}

impl Sink for Store {
    fn write(&self, tensor: usize, offset: u64, bytes: &[u8]) -> Result<(), BoxError> {
        assert_eq!(self.commits(), 0, "nothing comes after the commit");
        self.calls.call(tensor, offset, bytes.len(), || {
            let mut all = self.bytes.lock().unwrap();
            let to = &mut all[tensor][offset as usize..offset as usize + bytes.len()];
            for (to, byte) in to.iter_mut().zip(bytes) {
                assert!(to.replace(*byte).is_none(), "tensor {tensor}: a byte from {offset} on came twice");
            }
        })
    }

    fn commit(&self) -> Result<(), BoxError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.refuse.as_ref().map_or(Ok(()), |error| Err(error()))
    }
}

/// A model with tensors of every prunable type, some that a budget must cut, and some of each kind that is passed
/// through: written to `path`, and in memory in the order of the file.
pub fn model(path: &Path) -> Memory {
    let float = |name: &str, dtype: lopper::Dtype, shape: &[usize], fill, seed| {
        let file = match dtype {
            lopper::Dtype::F32 => Dtype::F32,
            lopper::Dtype::F16 => Dtype::F16,
            lopper::Dtype::BF16 => Dtype::BF16,
            lopper::Dtype::F8E4M3 => Dtype::F8_E4M3,
            lopper::Dtype::F8E5M2 => Dtype::F8_E5M2,
        };
        let bytes = weights(dtype, shape[0], shape[1..].iter().product(), fill, seed);
        (name.to_owned(), file, shape.to_vec(), bytes)
    };
    let mut tensors = Vec::new();
    for (i, dtype) in lopper::Dtype::ALL.into_iter().enumerate() {
        tensors.push(float(&format!("layers.{i}.up.weight"), dtype, &[37, 129], Fill::Normal, i as u64));
        tensors.push(float(&format!("layers.{i}.down.weight"), dtype, &[64, 640], Fill::Coarse, 10 + i as u64));
    }
    tensors.push(float("layers.0.up.bias", lopper::Dtype::F32, &[37], Fill::Normal, 20));
    tensors.push(float("embed.weight", lopper::Dtype::BF16, &[600, 1001], Fill::Normal, 21));
    tensors.push(float("layers.0.empty", lopper::Dtype::F32, &[0, 4], Fill::Normal, 22));
    let mut random = Random::new(23);
    tensors.push(("ids".into(), Dtype::I64, vec![3, 5], (0..120).map(|_| random.next() as u8).collect()));
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).expect("it has its size"))
    });
    serialize_to_file(views, None, path).unwrap();
    Memory::of(&Checkpoint::open(path).unwrap())
}
