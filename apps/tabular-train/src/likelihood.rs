//! `tabular-train likelihood`: the log-density of rows under a trained model.

use crate::args::LikelihoodOf;
use crate::model::load;
use anyhow::ensure;
use fm_app::likelihood::mean_and_error;
use fm_core::tensor::upload;
use fm_data::points;
use fm_solvers::guidance::Unconditional;
use std::process::ExitCode;

pub(crate) fn run(args: &LikelihoodOf) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.checkpoint, &args.file, &args.device)?;
    let mut table = points::csv(&args.rows)?;
    let (rows, dim) = table.dim();
    ensure!(dim == loaded.dim(), "{} has {dim} columns; the model has {}", args.rows.display(), loaded.dim());
    loaded.columns.standardise(&mut table);
    let x = upload(table.as_slice().unwrap_or_default(), &[rows as i64, dim as i64], loaded.device);
    let field = Unconditional(loaded.model.as_ref());
    let found = args.how.evaluate(&field, &loaded.config.flow.objective, &loaded.source, &x, 0)?;
    // A density in the table's units is thinner by the deviation of every column.
    let scale: f64 = loaded.columns.deviation.iter().map(|d| f64::from(*d).ln()).sum();
    let values: Vec<f64> = found.values.iter().map(|log_p| log_p - scale).collect();
    let (mean, error) = mean_and_error(&values);
    println!(
        "{rows} rows: mean log-density {mean:.4} +- {error:.4} nats in the table's units, NFE {:.1}; {}; {}",
        found.nfe,
        args.how.describe(),
        loaded.weights
    );
    if let Some(path) = &args.out {
        let text: String = values.iter().map(|v| format!("{v}\n")).collect();
        fm_train::files::write(path, text.as_bytes())?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
