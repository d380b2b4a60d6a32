//! What must come out of a rule: by the indices of every weight, and sums in `f64`.

use lopper::Dtype;
use lopper::pruner::{Compat, Layout, Norm, Rule, Scope, Target, Unit, quota};

use super::common::{Fill, weights};

pub struct Tensor {
    pub name: &'static str,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

pub fn tensor(name: &'static str, dtype: Dtype, shape: &[usize], fill: Fill, seed: u64) -> Tensor {
    let cols = shape[1..].iter().product();
    Tensor { name, dtype, shape: shape.into(), bytes: weights(dtype, shape[0], cols, fill, seed) }
}

pub fn zoo(fill: Fill) -> Vec<Tensor> {
    vec![
        tensor("a", Dtype::F32, &[37, 129], fill, 1),
        tensor("b", Dtype::BF16, &[96, 640], fill, 2),
        tensor("c", Dtype::F16, &[12, 6, 3, 3], fill, 3),
        tensor("d", Dtype::F8E4M3, &[3, 2, 20, 9], fill, 4),
        tensor("e", Dtype::F32, &[260, 500], fill, 5),
    ]
}

impl Tensor {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn magnitude(&self, i: usize) -> f64 {
        self.dtype.magnitude(self.dtype.key(&self.bytes, i))
    }

    /// Outputs, inputs, kernel places, and where each element lies.
    pub fn axes(&self, layout: Layout) -> ([usize; 3], impl Fn(usize, usize, usize) -> usize + use<>) {
        let (rank, s) = (self.shape.len(), &self.shape);
        let (o, i) = if layout == Layout::OutIn { (s[0], s[1]) } else { (s[rank - 1], s[rank - 2]) };
        let k = self.len() / o / i;
        let at = move |a: usize, b: usize, c: usize| match layout {
            Layout::OutIn => (a * i + b) * k + c,
            Layout::InOut => (c * i + b) * o + a,
        };
        ([o, i, k], at)
    }

    /// The rows of the matrix that a rule sees: places in the tensor.
    fn rows(&self, rule: &Rule) -> Vec<Vec<usize>> {
        let ([o, i, k], at) = self.axes(rule.layout);
        let all = |n: usize, m: usize, f: &dyn Fn(usize, usize) -> usize| {
            (0..n).flat_map(|x| (0..m).map(move |y| (x, y))).map(|(x, y)| f(x, y)).collect::<Vec<_>>()
        };
        match (rule.unit, rule.scope) {
            (Unit::Column, _) => (0..i).map(|b| all(o, k, &|a, c| at(a, b, c))).collect(),
            (_, Scope::Group(_)) => (0..o * k).map(|r| (0..i).map(|b| at(r / k, b, r % k)).collect()).collect(),
            _ => (0..o).map(|a| all(i, k, &|b, c| at(a, b, c))).collect(),
        }
    }

    /// The units, in rows of them.
    fn units(&self, rule: &Rule) -> Vec<Vec<Vec<usize>>> {
        let rows = self.rows(rule);
        match rule.unit {
            Unit::Weight => rows.into_iter().map(|row| row.into_iter().map(|i| vec![i]).collect()).collect(),
            Unit::Row | Unit::Column => rows.into_iter().map(|row| vec![row]).collect(),
            Unit::Kernel => {
                let ([_, _, k], _) = self.axes(rule.layout);
                rows.into_iter().map(|row| row.chunks(k).map(<[_]>::to_vec).collect()).collect()
            }
            Unit::Block { rows: r, cols: c } => {
                let block = |rows: &[Vec<usize>], at: usize| {
                    rows.iter().flat_map(|row| row[at..row.len().min(at + c as usize)].to_vec()).collect::<Vec<_>>()
                };
                let across =
                    |rows: &[Vec<usize>]| (0..rows[0].len()).step_by(c as usize).map(|at| block(rows, at)).collect();
                rows.chunks(r as usize).map(across).collect()
            }
        }
    }
}

fn norm(norm: Norm, values: &[f64]) -> f64 {
    match norm {
        Norm::L1 => values.iter().sum(),
        Norm::L2 => values.iter().map(|v| v * v).sum::<f64>().sqrt(),
        Norm::Linf => values.iter().copied().fold(0.0, f64::max),
        Norm::Mean => values.iter().sum::<f64>() / values.len() as f64,
    }
}

/// What must come out, if weights score `score(tensor, place)`.
pub fn expected(tensors: &[Tensor], order: &[usize], rule: &Rule, score: &dyn Fn(usize, usize) -> f64) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = tensors.iter().map(|t| t.bytes.clone()).collect();
    let mut pools: Vec<Vec<(f64, usize, Vec<usize>)>> = vec![Vec::new()];
    for &t in order {
        for row in tensors[t].units(rule) {
            let scored = row.into_iter().map(|unit| {
                let values: Vec<f64> = unit.iter().map(|&i| score(t, i)).collect();
                (if unit.len() == 1 { values[0] } else { norm(rule.norm, &values) }, t, unit)
            });
            pools.last_mut().unwrap().extend(scored);
            if rule.scope == Scope::Row {
                pools.push(Vec::new());
            } else if let Scope::Group(of) = rule.scope {
                let row = pools.pop().unwrap();
                pools.extend(row.chunks_exact(of as usize).map(<[_]>::to_vec));
                pools.push(Vec::new());
            }
        }
        if rule.scope == Scope::Tensor {
            pools.push(Vec::new());
        }
    }
    for mut pool in pools.into_iter().filter(|pool| !pool.is_empty()) {
        pool.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = pool.len();
        let go = match (rule.target, rule.compat) {
            (Target::Keep(keep), _) => n - keep as usize,
            (Target::Threshold(t), _) => pool.iter().filter(|unit| unit.0 <= t).count(),
            (Target::Sparsity(s), Compat::Lopper | Compat::Torch) => quota(s, n as u64) as usize,
            (Target::Sparsity(s), Compat::Wanda) => (s * n as f64) as usize,
            (Target::Sparsity(s), Compat::WandaMagnitude) => {
                let cut = pool[((s * n as f64) as usize).min(n - 1)].0;
                pool.iter().filter(|unit| unit.0 <= cut).count()
            }
            (Target::Sparsity(s), Compat::LlmCompressor) => match (s * n as f64) as usize {
                0 => 0,
                k => pool.iter().filter(|unit| unit.0 <= pool[k - 1].0).count(),
            },
            (Target::Sparsity(s), Compat::Tfmot) => {
                let stay = ((n as f32 * (1.0 - s as f32)).round_ties_even() as usize).max(1);
                pool.iter().filter(|unit| unit.0 < pool[n - stay].0).count()
            }
        };
        for (_, t, unit) in &pool[..go] {
            let size = tensors[*t].dtype.size();
            unit.iter().for_each(|i| out[*t][i * size..(i + 1) * size].fill(0));
        }
    }
    out
}
