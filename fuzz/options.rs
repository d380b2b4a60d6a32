//! The body of the target `options`: what is typed, and the plan that comes of it. Apart from the others because these
//! parsers are the tool's and not the library's.

#[path = "../src/cli/values.rs"]
#[allow(dead_code, reason = "the tool uses the rest")]
mod values;

use lopper::checkpoint::TensorInfo;
use lopper::pruner::{Rule, Scope, Target, Unit, UnitWord};
use lopper::safetensors::Dtype;

const DTYPES: [Dtype; 8] =
    [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F8_E4M3, Dtype::F8_E5M2, Dtype::U8, Dtype::F4, Dtype::BOOL];

/// Lines, each an option by its first letter, or a tensor: `w` and a digit for its type, dimensions with commas between
/// them, a space, its name.
pub fn options(data: &[u8]) {
    // Long globs only make it slow.
    let Ok(text) = std::str::from_utf8(&data[..data.len().min(600)]) else { return };
    let mut rule = Rule::new(Target::Sparsity(0.5));
    let mut tensors = Vec::new();
    for line in text.split('\n') {
        let mut letters = line.chars();
        let (Some(letter), value) = (letters.next(), letters.as_str()) else { continue };
        match letter {
            'm' => memory(value),
            'p' => rule.target = values::share(value).map_or(rule.target, Target::Sparsity),
            't' => rule.target = values::magnitude(value).map_or(rule.target, Target::Threshold),
            'k' => rule.target = value.parse().map_or(rule.target, Target::Keep),
            's' => rule.selection.sparsity_for.extend(values::sparsity_for(value)),
            'i' => rule.selection.include.push(value.to_owned()),
            'e' => rule.selection.exclude.push(value.to_owned()),
            'a' => rule.selection.all = true,
            'r' => rule.scope = Scope::Row,
            'g' => rule.scope = Scope::Global,
            'n' => rule.scope = value.parse().map_or(rule.scope, Scope::Group),
            'u' => unit(value, &mut rule),
            'w' => tensors.extend(tensor(value)),
            _ => {}
        }
    }
    if let Target::Sparsity(share) = rule.target {
        assert!((0.0..=1.0).contains(&share));
    }
    lopper::fuzzing::plan(&rule.into(), &tensors);
}

/// A unit is a word, or a block that has weights.
fn unit(text: &str, rule: &mut Rule) {
    rule.unit = match values::unit(text) {
        Ok(UnitWord::Block { rows, cols }) => {
            assert_eq!((rows > 0, cols > 0, text.contains('x')), (true, true, true));
            Unit::Block { rows, cols }
        }
        Ok(UnitWord::Kernel) => Unit::Kernel,
        Ok(UnitWord::Row) => Unit::Row,
        Ok(UnitWord::Column) => Unit::Column,
        Ok(UnitWord::Weight | UnitWord::Nm) => Unit::Weight,
        Err(why) => return assert!(!why.is_empty()),
    };
}

/// A size is what its digits say, times its unit.
fn memory(text: &str) {
    let bytes = values::parse_bytes(text);
    if let Ok(number) = text.parse::<u64>() {
        assert_eq!(bytes, Ok(number));
        let kib = values::parse_bytes(&format!("{text} KiB")).ok();
        assert_eq!(kib, number.checked_mul(1024));
    }
}

fn tensor(text: &str) -> Option<TensorInfo> {
    let (form, name) = text.split_once(' ')?;
    let kind = form.chars().next()?.to_digit(8)? as usize;
    let dims = form[1..].split(',').filter(|dim| !dim.is_empty());
    let shape: Vec<u64> = dims.map(str::parse).collect::<Result<_, _>>().ok()?;
    TensorInfo::new(name, DTYPES[kind], shape).ok()
}
