//! `cifar-train grid`: learns the times of a few steps.

use crate::args::GridOf;
use crate::model::open;
use crate::sample::{in_turn, with_classes};
use fm_core::tensor::upload;
use fm_run::grids::learn;
use fm_run::process_group::Group;
use fm_terminal::println;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn run(args: &GridOf) -> anyhow::Result<ExitCode> {
    Group::refuse("grid")?;
    let which = args.which.given("guidance", args.solver.cfg_scale.is_some());
    let mut loaded = open(&args.model, &which, false)?;
    loaded.open_weak(&args.solver.guidance, &which, None)?;
    let rows = args.grid.grid_rows;
    let classes = in_turn(loaded.data.classes.len(), rows)?;
    let request = with_classes(&args.solver, &loaded, rows, classes)?;
    request.guide.refuse_idle(&args.solver.guidance)?;
    let field = request.field(loaded.model.as_ref(), loaded.device, 0, rows)?;
    let shape = [&[rows as i64], request.shape.as_slice()].concat();
    let x0 = upload(&request.noise(0, rows)?, &shape, loaded.device);
    let about = json!({
        "program": format!("cifar-train {}", env!("CARGO_PKG_VERSION")), "model": loaded.path, "weights": loaded.weights,
        "guidance": request.guide.about(), "rows": rows, "seed": request.seed,
        "fine_steps": args.grid.fine_steps, "iterations": args.grid.iterations,
    });
    println!("{}", learn(&args.grid, &request.sampler, field.as_ref(), &request.objective, &x0, about)?);
    println!("wrote {}", args.grid.out.display());
    Ok(ExitCode::SUCCESS)
}
