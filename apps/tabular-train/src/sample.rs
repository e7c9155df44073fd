//! `tabular-train sample` and `trajectory`.

use crate::args::{SampleArgs, TrajectoryArgs};
use crate::draw::drawn;
use anyhow::ensure;
use fm_cli::outputs::{Format, Kind, save_array};
use fm_data::columns::{Columns, quoted};
use fm_data::series::Series;
use fm_run::guidance::Guide;
use fm_terminal::println;
use ndarray::{Array2, Array3};
use std::fmt::Write as _;
use std::process::ExitCode;

pub(crate) fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let format = Format::of(&args.out, Kind::Table)?;
    let (loaded, sampler, rows) = drawn(&args.draw, args.from.as_deref(), args.num_samples, false)?;
    let dim = loaded.dim();
    let count = rows.values.len() / dim;
    match format {
        Format::Npy => match loaded.columns.series {
            Some(Series { length, channels }) => {
                save_array(&args.out, &Array3::from_shape_vec((count, length, channels), rows.values)?)?;
            }
            None => save_array(&args.out, &Array2::from_shape_vec((count, dim), rows.values)?)?,
        },
        _ => {
            let text = csv(&rows.values, &rows.classes, &loaded.columns);
            fm_train::files::output(&args.out, text.as_bytes())?;
        }
    }
    let (nfe, guidance, weights, seed) = (rows.nfe, guidance(&rows.guide), &loaded.weights, args.draw.seed);
    println!("{count} rows, NFE {nfe}; {}{guidance}; {weights}; seed {seed}", sampler.describe());
    println!("wrote {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// The guidance, if there is any, as an entry of a summary.
fn guidance(guide: &Guide) -> String {
    if guide.scale == 1.0 { String::new() } else { format!("; {}", guide.describe()) }
}

pub(crate) fn trajectory(args: &TrajectoryArgs) -> anyhow::Result<ExitCode> {
    let format = Format::of(&args.out, Kind::Table)?;
    let (loaded, sampler, rows) = drawn(&args.draw, args.from.as_deref(), args.num_samples, true)?;
    let (dim, times) = (loaded.dim(), rows.frames.len());
    let count = rows.values.len() / dim;
    ensure!(times > 0, "this solver keeps no states on its way; give --num-steps");
    match format {
        Format::Npy => {
            save_array(&args.out, &Array3::from_shape_vec((times, count, dim), rows.frames.concat())?)?;
        }
        _ => {
            let mut text = String::new();
            for (time, frame) in rows.frames.iter().enumerate() {
                for (row, values) in frame.chunks_exact(dim).enumerate() {
                    writeln!(text, "{time},{row},{}", line(values, &loaded.columns))?;
                }
            }
            fm_train::files::output(&args.out, text.as_bytes())?;
        }
    }
    let (nfe, guidance, weights) = (rows.nfe, guidance(&rows.guide), &loaded.weights);
    println!(
        "{count} rows at {times} times, NFE {nfe}; {}{guidance}; {weights}; seed {}",
        sampler.describe(),
        args.draw.seed
    );
    println!("wrote {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Values with the digits that f32 has, unless the deviation of their column is small beside them.
fn line(row: &[f64], columns: &Columns) -> String {
    let written = |(value, deviation): (&f64, &f64)| {
        let narrow = *value as f32;
        let close = (f64::from(narrow) - value).abs() <= 1e-6 * deviation;
        if close { narrow.to_string() } else { value.to_string() }
    };
    row.iter().zip(&columns.deviation).map(written).collect::<Vec<_>>().join(",")
}

/// Rows as CSV, with a header if columns or classes have names.
fn csv(values: &[f64], classes: &[i64], columns: &Columns) -> String {
    let mut text: String =
        columns.header(!classes.is_empty()).into_iter().flat_map(|header| [header, "\n".into()]).collect();
    for (i, row) in values.chunks_exact(columns.dim()).enumerate() {
        text += &line(row, columns);
        if let Some((name, _)) = classes.get(i).and_then(|class| columns.classes.get(*class as usize)) {
            text += ",";
            text += &quoted(name);
        }
        text += "\n";
    }
    text
}
