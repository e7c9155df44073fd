//! `tabular-train likelihood`: log-densities of rows under a trained model, and a plot of a
//! two-dimensional density.

use crate::args::LikelihoodOf;
use crate::model::{Loaded, load};
use anyhow::{Context, ensure};
use fm_cli::given;
use fm_data::Columns;
use fm_data::table::{CsvOptions, csv};
use fm_pictures::{Layer, Plane, around, ink, reach, save_picture, side_by_side};
use fm_run::likelihood::mean_and_error;
use fm_tables::draw::{Classes, points};
use fm_tables::likelihood::{classes_of, densities};
use fm_tables::training_data::Material;
use fm_terminal::println;
use ndarray::Array2;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(args: &LikelihoodOf) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.checkpoint, &args.file, &args.device)?;
    let columns = &loaded.columns;
    ensure!(
        columns.quantiles.is_empty() && columns.limits.is_empty() && !columns.whole,
        "densities are known for columns that are shifted and scaled, and for their logarithms; train such a model: --preprocess standardize"
    );
    ensure!(
        !columns.classes.is_empty() || (args.class.is_none() && args.labels.is_none()),
        "this model was trained without classes; drop --class and --labels"
    );
    ensure!(
        columns.classes.is_empty() || args.class.is_some() || args.labels.is_some(),
        "the density of this model depends on the class; give --class CLASS, or --labels COLUMN of the rows"
    );
    if let Some(rows) = &args.rows {
        of_rows(args, &loaded, rows)?;
    }
    if let Some(path) = &args.picture {
        ensure!(
            loaded.dim() == 2,
            "a picture shows the density in the plane, and this model has {} columns; drop --picture",
            loaded.dim()
        );
        ensure!((2..=1000).contains(&args.resolution), "--resolution is {}; choose 2 to 1000", args.resolution);
        picture(args, &loaded, path)?;
        println!("wrote {}", path.display());
    }
    given::warn(&[("seed", args.how.is_estimated(), "--probes")]);
    Ok(ExitCode::SUCCESS)
}

fn of_rows(args: &LikelihoodOf, loaded: &Loaded, file: &Path) -> anyhow::Result<()> {
    let options = CsvOptions { labels: args.labels.clone(), ..CsvOptions::default() };
    let unsuited = || format!("cannot use {}", file.display());
    let table = loaded.columns.apply_table(&csv(file, &options)?).with_context(unsuited)?;
    let rows = table.values.nrows();
    let classes = match &args.labels {
        Some(_) => classes_of(&table, &loaded.columns).with_context(unsuited)?,
        None => given_class(args, &loaded.columns, rows)?,
    };
    let (values, found) = densities(&loaded.drawer(), &args.how, table.values, &classes)?;
    let (mean, error) = mean_and_error(&values);
    println!(
        "{rows} rows: mean log-density {mean:.4} +- {error:.4} nats in the table's units, NFE {:.1}; {}; {}",
        found.nfe,
        args.how.describe(),
        loaded.weights
    );
    if let Some(path) = &args.out {
        let text: String = values.iter().map(|v| format!("{v}\n")).collect();
        fm_train::files::output(path, text.as_bytes())?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn given_class(args: &LikelihoodOf, columns: &Columns, rows: usize) -> anyhow::Result<Vec<i64>> {
    if columns.classes.is_empty() { Ok(Vec::new()) } else { columns.asked(args.class.as_deref(), rows) }
}

fn picture(args: &LikelihoodOf, loaded: &Loaded, path: &Path) -> anyhow::Result<()> {
    let material = Material::open(&loaded.config.data_options())?;
    let data = points(material.table.values.as_slice().unwrap_or_default());
    let (reach, side) = (reach(&data), args.resolution);
    let centre = |k: usize| f64::from(reach) * ((2 * k + 1) as f64 / side as f64 - 1.0);
    let grid = Array2::from_shape_fn((side * side, 2), |(i, j)| centre(if j == 0 { i % side } else { i / side }));
    let classes = given_class(args, &loaded.columns, grid.nrows())?;
    let (values, _) = densities(&loaded.drawer(), &args.how, loaded.columns.apply(grid.view())?, &classes)?;
    let heat = values.iter().map(|log_p| log_p.exp() as f32).collect();
    let plane = |title: &str, layers| Plane { title: title.into(), span: around(reach), layers };
    let shown = data.into_iter().take(3000).collect();
    let planes = [
        plane("data", vec![Layer::Points(String::new(), shown, ink::DATA)]),
        plane("density of the model", vec![Layer::Heat(heat, side)]),
    ];
    save_picture(path, &side_by_side(&planes)?)
}
