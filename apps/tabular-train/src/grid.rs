//! `tabular-train grid`: learns the times of a few steps.

use crate::args::GridOf;
use crate::model::load;
use fm_run::grids::learn;
use fm_run::process_group::Group;
use fm_tables::draw::{Classes, ensure_samples_fit};
use fm_terminal::println;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn run(args: &GridOf) -> anyhow::Result<ExitCode> {
    Group::refuse("grid")?;
    let (draw, rows) = (&args.draw, args.grid.grid_rows);
    let loaded = load(&draw.checkpoint, &draw.file, &draw.device)?;
    let sampler = draw.solve.sampler()?;
    ensure_samples_fit(&sampler, rows, loaded.dim(), true)?;
    let classes = loaded.columns.asked(draw.class.as_deref(), rows)?;
    let drawer = loaded.guided(draw, &sampler)?;
    let field = drawer.field(&classes, &sampler)?;
    let about = json!({
        "program": format!("tabular-train {}", env!("CARGO_PKG_VERSION")), "model": draw.checkpoint,
        "weights": loaded.weights, "guidance": drawer.guide.about(), "rows": rows, "seed": draw.seed,
        "fine_steps": args.grid.fine_steps, "iterations": args.grid.iterations,
    });
    let x0 = drawer.start(rows, draw.seed)?;
    println!("{}", learn(&args.grid, &sampler, field.as_ref(), drawer.objective, &x0, about)?);
    println!("wrote {}", args.grid.out.display());
    Ok(ExitCode::SUCCESS)
}
