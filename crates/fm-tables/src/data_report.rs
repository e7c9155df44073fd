//! The command `data`: how a table is read.

use crate::data::{Reading, TableArgs, TableConfig, effects, read};
use crate::draw::points;
use fm_cli::{given, options, outputs, settings};
use fm_core::message::{brief, line};
use fm_pictures::scatter;
use fm_terminal::println;
use ndarray::{ArrayView1, s};
use std::path::PathBuf;
use std::process::ExitCode;

/// Columns and classes that are listed.
const SHOWN: usize = 30;
/// Rows in the picture.
const DRAWN: usize = 5000;

/// The flags of the command.
#[derive(Debug, clap::Args)]
pub struct DataArgs {
    /// Data, as for `train --data`: moons, genes, FILE.csv, FILE.npy, ...
    data: String,
    /// How the table is read.
    #[command(flatten)]
    options: TableArgs,
    /// Draw the first two columns.
    #[arg(long, value_name = "FILE.png", value_parser = outputs::picture(), help_heading = "Output")]
    picture: Option<PathBuf>,
}

/// Prints the columns and classes of a table, and draws its first two columns.
///
/// # Errors
/// A table that cannot be read, and a picture that cannot be written.
pub fn run(args: &DataArgs) -> anyhow::Result<ExitCode> {
    let table: TableConfig = settings::lay_over(&TableConfig::default(), options::table(&args.options)?)?;
    let effects = effects(&args.data, &table);
    let table = read(&args.data, &Reading { table, ..Reading::default() }, &[])?;
    given::warn(&effects);
    let (rows, columns) = table.values.dim();
    println!("data      {}: {rows} rows of {columns} columns", args.data);
    println!("{:>6}  {:20}{:>14}{:>14}{:>14}{:>14}", "column", "name", "least", "mean", "largest", "deviation");
    for (k, column) in table.values.columns().into_iter().enumerate().take(SHOWN) {
        let name: String = line(table.names.get(k).map_or("", String::as_str)).chars().take(19).collect();
        println!("{:>6}  {name:20}{}", k + 1, statistics(column));
    }
    if columns > SHOWN {
        println!("   ...  {} more columns", columns - SHOWN);
    }
    let constant = table.values.columns().into_iter().filter(|c| c.iter().all(|x| *x == c[0])).count();
    if constant > 0 {
        println!("constant  {constant} columns have one value; their samples have it too");
    }
    for (k, name) in table.classes.iter().enumerate().take(SHOWN) {
        let count = table.labels.iter().filter(|label| usize::from(**label) == k).count();
        println!("class     {k} {}: {count} rows", brief(name, 60));
    }
    if let Some(path) = &args.picture {
        let pairs = table.values.slice(s![..rows.min(DRAWN), ..columns.min(2)]);
        // A single column is drawn against itself.
        let both: Vec<f64> = pairs.rows().into_iter().flat_map(|row| [row[0], row[row.len() - 1]]).collect();
        let title = format!("{}: the first two columns", args.data);
        scatter(path, &title, &[("rows", points(&both))])?;
        println!("wrote     {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn statistics(column: ArrayView1<'_, f64>) -> String {
    let (least, most) = column.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
    let first = column.first().copied().unwrap_or_default();
    // Differences from the first value keep the digits of values with a large offset.
    let mean = first + column.iter().map(|x| x - first).sum::<f64>() / column.len().max(1) as f64;
    let variance = column.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / column.len().max(1) as f64;
    let number = |value: f64| {
        let plain = format!("{value:.6}");
        if plain.len() < 20 { plain } else { format!("{value:e}") }
    };
    [least, mean, most, variance.sqrt()].map(|value| format!(" {:>13}", number(value))).concat()
}
