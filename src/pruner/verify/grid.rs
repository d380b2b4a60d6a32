//! Where each element of a tensor lies in the matrix that a rule prunes, by indices alone.

use super::super::{Layout, Rule, Scope, Unit};

/// Which dimensions are the rows of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Outputs; a column is an input and a place of the kernel.
    Outputs,
    /// Outputs and places of the kernel; a column is an input.
    OutputsAndKernel,
    /// Inputs; a column is an output and a place of the kernel.
    Inputs,
}

/// A tensor as a rule sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    outputs: u64,
    inputs: u64,
    kernel: u64,
    layout: Layout,
    rows: Rows,
    unit: Unit,
    scope: Scope,
}

/// What a unit or a pool is, by its number, and how many weights or units it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub number: u64,
    pub size: u64,
}

impl Grid {
    /// Of a tensor that has weights.
    pub fn new(shape: &[u64], rule: &Rule) -> Self {
        let (outputs, inputs, kernel) = match (shape, rule.layout) {
            ([], _) => (1, 1, &[][..]),
            ([inputs], _) => (1, *inputs, &[][..]),
            ([outputs, inputs, kernel @ ..], Layout::OutIn) => (*outputs, *inputs, kernel),
            ([kernel @ .., inputs, outputs], Layout::InOut) => (*outputs, *inputs, kernel),
        };
        let rows = match (rule.unit, rule.scope) {
            (Unit::Column, _) => Rows::Inputs,
            (_, Scope::Group(_)) => Rows::OutputsAndKernel,
            _ => Rows::Outputs,
        };
        let layout = if shape.len() < 2 { Layout::OutIn } else { rule.layout };
        let (unit, scope) = (rule.unit, rule.scope);
        Self { outputs, inputs, kernel: kernel.iter().product(), layout, rows, unit, scope }
    }

    /// Rows and columns of the matrix.
    fn shape(&self) -> (u64, u64) {
        let Self { outputs, inputs, kernel, .. } = *self;
        match self.rows {
            Rows::Outputs => (outputs, inputs * kernel),
            Rows::OutputsAndKernel => (outputs * kernel, inputs),
            Rows::Inputs => (inputs, outputs * kernel),
        }
    }

    /// Row and column of the element that is number `at` in the file.
    pub fn place(&self, at: u64) -> (u64, u64) {
        let Self { outputs, inputs, kernel, .. } = *self;
        let (o, i, k) = match self.layout {
            Layout::OutIn => (at / (inputs * kernel), at / kernel % inputs, at % kernel),
            Layout::InOut => (at % outputs, at / outputs % inputs, at / (outputs * inputs)),
        };
        match self.rows {
            Rows::Outputs => (o, i * kernel + k),
            Rows::OutputsAndKernel => (o * kernel + k, i),
            Rows::Inputs => (i, o * kernel + k),
        }
    }

    /// How many elements from this one on lie in the file as they do in its row.
    pub fn run(&self, at: u64) -> u64 {
        let as_stored = match self.rows {
            Rows::Outputs => true,
            Rows::OutputsAndKernel => self.kernel == 1,
            Rows::Inputs => false,
        };
        if as_stored && self.layout == Layout::OutIn { self.shape().1 - at % self.shape().1 } else { 1 }
    }

    /// The input that a column belongs to.
    pub fn input(&self, column: u64) -> u64 {
        if self.rows == Rows::Outputs { column / self.kernel } else { column }
    }

    pub fn inputs(&self) -> u64 {
        self.inputs
    }

    /// Rows and columns of a whole unit.
    fn unit_shape(&self) -> (u64, u64) {
        match self.unit {
            Unit::Weight => (1, 1),
            Unit::Kernel => (1, self.kernel),
            Unit::Row | Unit::Column => (1, self.shape().1),
            Unit::Block { rows, cols } => (rows.into(), cols.into()),
        }
    }

    /// Whether single weights compete.
    pub fn is_of_weights(&self) -> bool {
        self.unit == Unit::Weight
    }

    /// Units from left to right, and from top to bottom.
    fn units(&self) -> (u64, u64) {
        let ((rows, cols), (r, c)) = (self.shape(), self.unit_shape());
        (cols.div_ceil(c), rows.div_ceil(r))
    }

    /// How many units there are.
    pub fn unit_count(&self) -> u64 {
        self.units().0 * self.units().1
    }

    /// The unit of a place.
    pub fn unit(&self, (row, col): (u64, u64)) -> Part {
        let ((rows, cols), (r, c)) = (self.shape(), self.unit_shape());
        let number = row / r * self.units().0 + col / c;
        Part { number, size: r.min(rows - row / r * r) * c.min(cols - col / c * c) }
    }

    /// How many columns from this one on are in the same unit.
    pub fn rest_of_unit(&self, col: u64) -> u64 {
        let c = self.unit_shape().1;
        (c - col % c).min(self.shape().1 - col)
    }

    /// The pool in which a unit competes; none for a weight behind the last whole group of its row.
    pub fn pool(&self, unit: u64) -> Option<Part> {
        let (across, down) = self.units();
        match self.scope {
            Scope::Tensor | Scope::Global => Some(Part { number: 0, size: across * down }),
            Scope::Row => Some(Part { number: unit / across, size: across }),
            Scope::Group(of) => {
                let (of, row, col) = (u64::from(of), unit / across, unit % across);
                let groups = across / of;
                (col / of < groups).then(|| Part { number: row * groups + col / of, size: of })
            }
        }
    }

    /// How many units from this one on, in its row, are in the same pool.
    pub fn rest_of_pool(&self, unit: u64) -> u64 {
        let across = self.units().0;
        match self.scope {
            Scope::Group(of) => (u64::from(of) - unit % across % u64::from(of)).min(across - unit % across),
            _ => across - unit % across,
        }
    }

    /// A unit, for people.
    pub fn unit_name(&self, unit: u64) -> String {
        let (across, (r, c)) = (self.units().0, self.unit_shape());
        let (row, col) = (unit / across * r, unit % across * c);
        match self.unit {
            Unit::Weight => self.weight_name((row, col)),
            Unit::Kernel => format!("the kernel of output {row}, input {}", col / self.kernel),
            Unit::Row => format!("row {row}"),
            Unit::Column => format!("column {row}"),
            Unit::Block { .. } => format!("the block at row {row}, column {col}"),
        }
    }

    /// A weight, for people.
    pub fn weight_name(&self, (row, col): (u64, u64)) -> String {
        let (output, input, place) = match self.rows {
            Rows::Outputs => (row, col / self.kernel, col % self.kernel),
            Rows::OutputsAndKernel => (row / self.kernel, col, row % self.kernel),
            Rows::Inputs => (col / self.kernel, row, col % self.kernel),
        };
        let kernel = if self.kernel > 1 { format!(", place {place} of the kernel") } else { String::new() };
        format!("the weight of output {output}, input {input}{kernel}")
    }

    /// A pool, for people.
    pub fn pool_name(&self, pool: u64) -> String {
        match (self.scope, self.unit) {
            (Scope::Tensor | Scope::Global, _) => "in the tensor".into(),
            (Scope::Row, Unit::Block { .. }) => format!("in row {pool} of blocks"),
            (Scope::Row, _) => format!("in row {pool}"),
            (Scope::Group(of), _) => {
                let (of, groups) = (u64::from(of), self.units().0 / u64::from(of));
                let (row, first) = (pool / groups, pool % groups * of);
                let place = self.weight_name((row, first));
                format!("in the group of {of} from {place} on")
            }
        }
    }
}
