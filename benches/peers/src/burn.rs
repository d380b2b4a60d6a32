//! burn-wgpu's products: the tensor API, autotuned. A dense layer can be asked for in several ways; all are entered.

use anyhow::{Result, anyhow};
use burn_tensor::{DType, Device, DeviceKind, Tensor, TensorData};
use lopper::{Dtype, wgpu};

use crate::data::Data;
use crate::race::{Product, guard};

/// How the product is put.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// W · X, X with a vector in each column.
    Plain,
    /// W · Xᵀ, X with a vector in each row, as lopper takes it.
    Across,
    /// Xᵀ · V, where V is W stored transposed, as burn's `Linear` stores it.
    Linear,
}

pub const WAYS: [Way; 3] = [Way::Plain, Way::Across, Way::Linear];

struct Contestant {
    device: Device,
    way: Way,
    columns: usize,
    x: Tensor<2>,
    /// Of each copy, the matrix by rows that a binding holds: burn splits nothing itself.
    copies: Vec<Vec<Tensor<2>>>,
    y: Vec<Tensor<2>>,
}

/// The device burn opens for the same kind of adapter. Its name cannot be asked for, so there must be one of the kind.
pub fn device(kind: wgpu::DeviceType) -> Result<Device> {
    let kind = match kind {
        wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(0),
        wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(0),
        wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(0),
        wgpu::DeviceType::Cpu => DeviceKind::Cpu,
        wgpu::DeviceType::Other => DeviceKind::DefaultDevice,
    };
    guard(|| Ok(Device::wgpu_options().device_kind(kind).init()?))
}

/// A contestant, with as many copies of the matrix; `binding` is how many bytes the adapter binds.
pub fn product(device: &Device, data: &Data, way: Way, copies: usize, binding: u64) -> Result<Box<dyn Product>> {
    let shape = data.shape;
    let dtype = match shape.dtype {
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        _ => DType::F32,
    };
    let tensor =
        |numbers: Vec<f32>, dims: [usize; 2]| Tensor::<2>::from_data(TensorData::new(numbers, dims), (device, dtype));
    let transposed = |numbers: &[f32], cols: usize| -> Vec<f32> {
        (0..cols).flat_map(|c| numbers.iter().skip(c).step_by(cols).copied()).collect()
    };
    let row = shape.cols * shape.dtype.size();
    let at_once = (binding as usize / row).min(shape.rows);
    let columns = shape.columns;
    guard(|| {
        let x = match way {
            Way::Plain => tensor(transposed(&data.x, shape.cols), [shape.cols, columns]),
            Way::Across | Way::Linear => tensor(data.x.clone(), [columns, shape.cols]),
        };
        let matrix = || {
            let part = |rows: &[f32]| match way {
                Way::Linear => tensor(transposed(rows, shape.cols), [shape.cols, rows.len() / shape.cols]),
                _ => tensor(rows.to_vec(), [rows.len() / shape.cols, shape.cols]),
            };
            data.weights.chunks(at_once * shape.cols).map(part).collect::<Vec<_>>()
        };
        let copies: Vec<_> = (0..copies).map(|_| matrix()).collect();
        device.sync().map_err(|e| anyhow!("{e:?}"))?;
        Ok(Box::new(Contestant { device: device.clone(), way, columns, x, copies, y: Vec::new() }) as Box<dyn Product>)
    })
}

impl Product for Contestant {
    fn run(&mut self, round: usize) -> Result<()> {
        guard(|| {
            let product = |part: &Tensor<2>| match self.way {
                Way::Plain => part.clone().matmul(self.x.clone()),
                Way::Across => part.clone().matmul(self.x.clone().transpose()),
                Way::Linear => self.x.clone().matmul(part.clone()),
            };
            self.y = self.copies[round % self.copies.len()].iter().map(product).collect();
            Ok(())
        })
    }

    fn wait(&mut self) -> Result<()> {
        guard(|| self.device.sync().map_err(|e| anyhow!("{e:?}")))
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        guard(|| {
            let mut columns = vec![Vec::new(); self.columns];
            for part in std::mem::take(&mut self.y) {
                let part = if self.way == Way::Linear { part } else { part.transpose() };
                let numbers = part.into_data_as::<f32>().try_to_vec::<f32>().map_err(|e| anyhow!("{e:?}"))?;
                let rows = numbers.len() / self.columns;
                for (column, numbers) in columns.iter_mut().zip(numbers.chunks(rows)) {
                    column.extend_from_slice(numbers);
                }
            }
            Ok(columns.concat())
        })
    }
}
