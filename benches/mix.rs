//! The SPIR-V instructions of each product's innermost loops, called functions included, as naga writes them: what an
//! adapter has to issue for each turn. Needs no adapter.
//!
//! `cargo bench --bench mix`. `docs/products.md` compares these with what it counts by hand. Branches on `override`
//! constants are followed as the driver will; naga's own checks of bounds are left out, as a driver's are.

use std::collections::{BTreeMap, HashMap, HashSet};

use lopper::kernels::SHADERS;
use naga::back::spv;
use naga::valid::{Capabilities, ValidationFlags, Validator};

type Mix = BTreeMap<&'static str, u32>;

/// One instruction: opcode and operands.
type Instruction<'a> = (u32, &'a [u32]);

/// What an opcode of SPIR-V is to the reader.
fn kind(opcode: u32) -> Option<&'static str> {
    Some(match opcode {
        61 => "load",
        62 => "store",
        65 | 66 => "address",
        12 => "extended", // unpack, fma, min, first bit
        127 | 129 | 131 | 133 | 136 | 142..=148 => "float",
        124 | 128 | 130 | 132 | 134 | 137 | 194..=205 => "integer",
        169 => "select",
        164..=191 => "compare",
        224 => "barrier",
        250 | 251 => "branch",
        246 => "loop",
        _ => return None,
    })
}

/// A module, taken apart.
struct Module<'a> {
    constants: HashMap<u32, bool>,
    /// Variables of functions, and what points into them: registers, not memory.
    locals: HashSet<u32>,
    /// Blocks of each function, its first one first.
    functions: HashMap<u32, Vec<u32>>,
    blocks: HashMap<u32, Vec<Instruction<'a>>>,
}

impl<'a> Module<'a> {
    fn new(words: &'a [u32]) -> Self {
        let mut module = Self {
            constants: HashMap::new(),
            locals: HashSet::new(),
            functions: HashMap::new(),
            blocks: HashMap::new(),
        };
        let (mut at, mut function, mut block) = (5, 0, 0);
        while at < words.len() {
            let (opcode, length) = (words[at] & 0xffff, (words[at] >> 16) as usize);
            let operands = &words[at + 1..at + length];
            at += length;
            match opcode {
                41 | 42 => {
                    module.constants.insert(operands[1], opcode == 41);
                }
                54 => function = operands[1],
                59 if operands[2] == 7 => {
                    module.locals.insert(operands[1]);
                }
                65 if module.locals.contains(&operands[2]) => {
                    module.locals.insert(operands[1]);
                }
                61 if module.locals.contains(&operands[2]) => {}
                62 if module.locals.contains(&operands[0]) => {}
                248 => {
                    block = operands[0];
                    module.functions.entry(function).or_default().push(block);
                    module.blocks.insert(block, Vec::new());
                }
                _ => {
                    if let Some(instructions) = module.blocks.get_mut(&block) {
                        instructions.push((opcode, operands));
                    }
                }
            }
        }
        module
    }

    /// Blocks reached from one without entering `end`, and where a constant decides only the branch that is taken.
    fn reached(&self, from: u32, end: Option<u32>) -> HashSet<u32> {
        let (mut seen, mut next) = (HashSet::new(), vec![from]);
        while let Some(block) = next.pop() {
            if Some(block) == end || !seen.insert(block) {
                continue;
            }
            match self.blocks[&block].last() {
                Some((249, to)) => next.push(to[0]),
                Some((250, to)) => match self.constants.get(&to[0]) {
                    Some(holds) => next.push(if *holds { to[1] } else { to[2] }),
                    None => next.extend(&to[1..3]),
                },
                Some((251, to)) => {
                    next.push(to[1]);
                    next.extend(to[2..].chunks(2).filter_map(|case| case.get(1)));
                }
                _ => {}
            }
        }
        seen
    }

    fn add(&self, blocks: &HashSet<u32>, mix: &mut Mix) {
        for (opcode, operands) in blocks.iter().flat_map(|block| &self.blocks[block]) {
            if *opcode == 57 {
                self.add(&self.reached(self.functions[&operands[2]][0], None), mix);
            } else if let Some(kind) = kind(*opcode) {
                *mix.entry(kind).or_default() += 1;
            }
        }
    }

    /// Loops that hold no other and read memory, as they are met from the entry point on.
    fn innermost(&self, function: u32, all: &mut Vec<Mix>, been: &mut HashSet<u32>) {
        if !been.insert(function) {
            return;
        }
        let blocks = self.reached(self.functions[&function][0], None);
        for block in self.functions[&function].iter().filter(|block| blocks.contains(block)) {
            for (opcode, operands) in &self.blocks[block] {
                match opcode {
                    57 => self.innermost(operands[2], all, been),
                    246 => {
                        let within = self.reached(*block, Some(operands[0]));
                        let inner = within.iter().filter(|other| *other != block).flat_map(|b| &self.blocks[b]);
                        if inner.clone().all(|(opcode, _)| *opcode != 246) {
                            let mut mix = Mix::new();
                            self.add(&within, &mut mix);
                            all.push(mix);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

fn main() {
    let products = ["gemv", "gemm", "ell", "bitmask", "csr", "nm", "block"];
    for &(name, source, entries) in SHADERS.iter().filter(|shader| products.contains(&shader.0)) {
        let product = source.contains("fn epilogue(") && !source.contains("var<uniform> x:");
        if entries != ["main"] || !product {
            continue;
        }
        for size in [4, 2] {
            for (at, mix) in loops(name, source, size)
                .iter()
                .enumerate()
                .filter(|(_, mix)| mix["loop"] == 1 && mix.contains_key("float"))
            {
                let text: Vec<_> = mix
                    .iter()
                    .filter(|(kind, _)| **kind != "loop")
                    .map(|(kind, count)| format!("{count} {kind}"))
                    .collect();
                println!("{name:<8} {size} bytes, loop {at}: {}", text.join(", "));
            }
        }
    }
}

fn loops(name: &str, source: &str, size: u32) -> Vec<Mix> {
    let module = naga::front::wgsl::parse_str(source).expect("shaders are tested");
    let capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module).expect("shaders are tested");
    let constants = [("SIZE".to_string(), f64::from(size)), ("BRAIN".to_string(), 1.0)].into_iter().collect();
    let stage = naga::ShaderStage::Compute;
    let (module, info) =
        naga::back::pipeline_constants::process_overrides(&module, &info, Some((stage, "main")), &constants)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    let pipeline = spv::PipelineOptions { shader_stage: stage, entry_point: "main".into() };
    let options = spv::Options { force_loop_bounding: false, ..Default::default() };
    let words = spv::write_vec(&module, &info, &options, Some(&pipeline)).expect("shaders are tested");
    let entry = words[5..].windows(3).find(|three| three[0] & 0xffff == 15 && three[1] == 5).expect("an entry point");
    let module = Module::new(&words);
    let mut all = Vec::new();
    module.innermost(entry[2], &mut all, &mut HashSet::new());
    all
}
