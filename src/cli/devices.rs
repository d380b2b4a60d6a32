//! `lopper devices`: the adapters, and whether they will do.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;

use super::args::DevicesArgs;
use super::table::Grid;
use super::text;

const NO_ADAPTER: &str = "\
no GPU adapter was found. lopper needs a driver for Vulkan, Metal or DX12; without a GPU a software one will do, such as \
the package mesa-vulkan-drivers of Debian and Ubuntu";

pub fn run(args: &DevicesArgs) -> Result<ExitCode> {
    let adapters = pollster::block_on(lopper::gpu::adapters());
    if args.json {
        text::print_json(&adapters)?;
    } else {
        let mut grid = Grid::new(&["#", "name", "backend", "kind", "driver", "will do"], &[0]);
        let mut unfit = String::new();
        for (index, a) in adapters.iter().enumerate() {
            let fit = if a.unfit.is_none() { "yes" } else { "no" };
            let [name, backend, kind, driver] = [&a.name, &a.backend, &a.kind, &a.driver].map(Clone::clone);
            grid.row([index.to_string(), name, backend, kind, driver, fit.into()]);
            if let Some(why) = &a.unfit {
                writeln!(unfit, "{index} will not do: {}", text::printable(why))?;
            }
        }
        text::print(&format!("{grid}{unfit}"))?;
    }
    if adapters.is_empty() {
        text::tell(NO_ADAPTER);
    } else if adapters.iter().all(|a| a.unfit.is_some()) {
        text::tell("none of these adapters will do");
    } else {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
