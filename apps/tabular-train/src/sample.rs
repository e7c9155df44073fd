//! `tabular-train sample` and `trajectory`.

use crate::args::{SampleArgs, TrajectoryArgs};
use crate::draw::drawn;
use anyhow::{Context, bail, ensure};
use fm_data::columns::{Columns, quoted};
use fm_data::series::Series;
use fm_terminal::println;
use ndarray::{Array2, Array3};
use ndarray_npy::{WritableElement, WriteNpyExt};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let format = Format::of(&args.out)?;
    let (loaded, sampler, rows) = drawn(&args.draw, args.num_samples, false)?;
    let dim = loaded.dim();
    match format {
        Format::Csv => {
            let text = csv(&rows.values, &rows.classes, &loaded.columns);
            fm_train::files::output(&args.out, text.as_bytes())?;
        }
        Format::Npy => match loaded.columns.series {
            Some(Series { length, channels }) => {
                npy(&args.out, &Array3::from_shape_vec((args.num_samples, length, channels), rows.values)?)?;
            }
            None => npy(&args.out, &Array2::from_shape_vec((args.num_samples, dim), rows.values)?)?,
        },
    }
    let (nfe, weights, seed) = (rows.nfe, &loaded.weights, args.draw.seed);
    println!("{} rows, NFE {nfe}; {}; {weights}; seed {seed}", args.num_samples, sampler.describe());
    println!("wrote {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn trajectory(args: &TrajectoryArgs) -> anyhow::Result<ExitCode> {
    let format = Format::of(&args.out)?;
    let (loaded, sampler, rows) = drawn(&args.draw, args.num_samples, true)?;
    let (dim, times) = (loaded.dim(), rows.frames.len());
    ensure!(times > 0, "this solver keeps no states on its way; give --num-steps");
    match format {
        Format::Csv => {
            let mut text = String::new();
            for (time, frame) in rows.frames.iter().enumerate() {
                for (row, values) in frame.chunks_exact(dim).enumerate() {
                    writeln!(text, "{time},{row},{}", line(values, &loaded.columns))?;
                }
            }
            fm_train::files::output(&args.out, text.as_bytes())?;
        }
        Format::Npy => npy(&args.out, &Array3::from_shape_vec((times, args.num_samples, dim), rows.frames.concat())?)?,
    }
    let (nfe, weights) = (rows.nfe, &loaded.weights);
    println!(
        "{} rows at {times} times, NFE {nfe}; {}; {weights}; seed {}",
        args.num_samples,
        sampler.describe(),
        args.draw.seed
    );
    println!("wrote {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// The format of an output.
enum Format {
    Csv,
    Npy,
}

impl Format {
    /// The format that a name ends in; a pipe or a device gets text.
    fn of(path: &Path) -> anyhow::Result<Self> {
        let special = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
            || path.starts_with("/dev")
            || path.starts_with("/proc");
        match path.extension().and_then(|e| e.to_str()).map(str::to_lowercase).as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("npy") => Ok(Self::Npy),
            _ if special => Ok(Self::Csv),
            _ => bail!("cannot tell the format of {}; end its name in .csv or .npy", path.display()),
        }
    }
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

fn npy<T: WritableElement, D: ndarray::Dimension>(path: &Path, array: &ndarray::Array<T, D>) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).context("cannot encode the array; please report this")?;
    Ok(fm_train::files::output(path, &bytes)?)
}
