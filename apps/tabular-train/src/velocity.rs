//! `tabular-train velocity`: the prediction of a network at given points, for comparison with other
//! programs.

use crate::args::{ModelFileArgs, VelocityArgs};
use crate::model::load;
use anyhow::ensure;
use fm_core::tensor::{upload, upload_rows};
use fm_data::table::{CsvOptions, csv};
use fm_terminal::println;
use std::process::ExitCode;
use tch::{Device, Kind, no_grad};

pub(crate) fn run(args: &VelocityArgs) -> anyhow::Result<ExitCode> {
    // A velocity has no source, so none is assumed.
    let mut network = args.file.clone();
    network.given.push("source");
    let file = ModelFileArgs { which: args.which, file: network, source: None };
    let loaded = load(&args.checkpoint, &file, &args.device)?;
    ensure!(
        loaded.columns.classes.is_empty(),
        "this model is conditioned on classes, and points have none; draw from it with sample --class"
    );
    let table = csv(&args.rows, &CsvOptions::default())?.values;
    let (rows, columns) = table.dim();
    let dim = loaded.dim();
    ensure!(
        columns == dim + 1,
        "{} has {columns} columns; {dim} of the point and one of the time",
        args.rows.display()
    );
    let x: Vec<f32> = loaded.columns.apply(table.slice(ndarray::s![.., ..dim]))?.into_iter().collect();
    let t: Vec<f64> = table.column(dim).to_vec();
    let x = upload(&x, &[rows as i64, dim as i64], loaded.device);
    let v = no_grad(|| loaded.model.forward_t(&x, &upload_rows(&t, loaded.device), None, false));
    let v = Vec::<f32>::try_from(v.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1]))?;
    let line = |row: &[f32]| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n";
    fm_train::files::output(&args.out, v.chunks_exact(dim).map(line).collect::<String>().as_bytes())?;
    println!("wrote {}: what the network predicts, in standardised units", args.out.display());
    Ok(ExitCode::SUCCESS)
}
