//! What a compiler for real GPUs makes of the kernels of products, on a machine without one: Mesa's for AMD, which compiles for
//! hardware that is not there.
//!
//! `cargo run --release [-- NAME...] [--text]` in this folder; `--text` prints the assembly too. `RADV_FORCE_FAMILY` takes another
//! GPU than `navi21`, as Mesa calls them. `docs/products.md` has what it says.

mod cases;
mod driver;
mod round;

use anyhow::Result;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = args.iter().any(|arg| arg == "--text");
    let asked: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let driver = driver::Driver::open()?;
    println!("{}: instructions per weight, of the longest loop that reads memory", driver.name);
    println!(
        "{:<14} {:<5} {:>7} {:>7} {:>7} {:>7} {:>7} {:>10}",
        "", "", "vector", "scalar", "memory", "shared", "branch", "registers"
    );
    for case in cases::all().iter().filter(|case| asked.is_empty() || asked.iter().any(|name| **name == case.name)) {
        let compiled = driver.compile(&case.spirv()?, &case.bindings())?;
        if text {
            println!("{}", compiled.assembly);
        }
        let round = round::longest(&compiled.assembly)?;
        let per = |count: u32| format!("{:.2}", f64::from(count) / f64::from(case.weights));
        let counts = [round.vector, round.scalar, round.memory, round.shared, round.branch].map(per);
        print!("{:<14} {:<5}", case.name, case.dtype());
        counts.iter().for_each(|count| print!(" {count:>7}"));
        println!(" {:>10}", compiled.statistic("VGPRs"));
    }
    Ok(())
}
