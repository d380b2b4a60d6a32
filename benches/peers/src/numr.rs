//! numr's CSR product: f32, the only type its wgpu shaders multiply. In two ways: its sparse tensor, whose indices are i64 and are
//! made i32 anew for each product; and its kernel, given indices that are i32 already.

use anyhow::{Result, anyhow};
use lopper::wgpu;
use numr::runtime::RuntimeClient;
use numr::runtime::wgpu::{WgpuClient, WgpuDevice, WgpuRuntime};
use numr::sparse::{CsrData, SparseOps};
use numr::tensor::Tensor;

use crate::data::Data;
use crate::race::Product;

type Numbers = Tensor<WgpuRuntime>;

/// Row pointers, columns, values; or a tensor made of them.
enum Matrix {
    Parts([Numbers; 3]),
    Tensor(CsrData<WgpuRuntime>),
}

struct Contestant {
    client: WgpuClient,
    shape: [usize; 2],
    x: Numbers,
    copies: Vec<Matrix>,
    y: Option<Numbers>,
}

/// The client for the adapter of this name and backend.
pub fn client(name: &str, backend: &str) -> Result<WgpuClient> {
    let instance = wgpu::Instance::default();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let is_it = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        info.name == name && info.backend.to_string() == backend
    };
    let index = adapters.iter().position(is_it).ok_or_else(|| anyhow!("numr sees no {name}, {backend}"))?;
    WgpuClient::new(WgpuDevice::new(index)).map_err(|e| anyhow!("{e}"))
}

pub fn product(client: &WgpuClient, data: &Data, copies: usize, tensor: bool) -> Result<Box<dyn Product>> {
    let shape = data.shape;
    let (mut rows, mut cols, mut values) = (vec![0_i32], Vec::new(), Vec::new());
    for (i, &weight) in data.weights.iter().enumerate() {
        if data.mask[i / 32] >> (i % 32) & 1 == 1 {
            cols.push((i % shape.cols) as i32);
            values.push(weight);
        }
        if (i + 1).is_multiple_of(shape.cols) {
            rows.push(values.len() as i32);
        }
    }
    let device = client.device();
    let upload = || -> numr::error::Result<_> {
        let values = Numbers::from_slice(&values, &[values.len()], device)?;
        if tensor {
            let wide = |numbers: &[i32]| {
                let wide: Vec<i64> = numbers.iter().map(|&n| n.into()).collect();
                Numbers::from_slice(&wide, &[wide.len()], device)
            };
            return Ok(Matrix::Tensor(CsrData::new(wide(&rows)?, wide(&cols)?, values, [shape.rows, shape.cols])?));
        }
        let rows = Numbers::from_slice(&rows, &[rows.len()], device)?;
        Ok(Matrix::Parts([rows, Numbers::from_slice(&cols, &[cols.len()], device)?, values]))
    };
    let copies = (0..copies).map(|_| upload()).collect::<numr::error::Result<_>>().map_err(|e| anyhow!("{e}"))?;
    let x = Numbers::from_slice(&data.x, &[shape.cols], device).map_err(|e| anyhow!("{e}"))?;
    client.synchronize();
    Ok(Box::new(Contestant { client: client.clone(), shape: [shape.rows, shape.cols], x, copies, y: None }))
}

impl Product for Contestant {
    fn run(&mut self, round: usize) -> Result<()> {
        let y = match &self.copies[round % self.copies.len()] {
            Matrix::Parts([rows, cols, values]) => self.client.spmv_csr::<f32>(rows, cols, values, &self.x, self.shape),
            Matrix::Tensor(matrix) => matrix.spmv(&self.x),
        };
        self.y = Some(y.map_err(|e| anyhow!("{e}"))?);
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        self.client.synchronize();
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        self.y.as_ref().ok_or_else(|| anyhow!("it has not run"))?.try_to_vec().map_err(|e| anyhow!("{e}"))
    }
}
