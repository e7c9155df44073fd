//! `tabular-train likelihood`: log-densities of rows under a trained model, and a plot of a
//! two-dimensional density.

use crate::args::LikelihoodOf;
use crate::draw::Drawer;
use crate::model::{Loaded, load};
use crate::training_data::Material;
use anyhow::{Context, bail, ensure};
use fm_app::likelihood::{Densities, mean_and_error};
use fm_app::pictures::{Layer, Plane, around, ink, reach, save_png, side_by_side};
use fm_core::tensor::upload;
use fm_data::table::{CsvOptions, csv};
use fm_terminal::println;
use ndarray::Array2;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(args: &LikelihoodOf) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.checkpoint, &args.file, &args.device)?;
    if !loaded.columns.is_affine() || !loaded.columns.classes.is_empty() {
        bail!(
            "densities are known for models without classes, of tables whose columns are only shifted and scaled; train such a model: --preprocess standardize"
        );
    }
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
    Ok(ExitCode::SUCCESS)
}

fn of_rows(args: &LikelihoodOf, loaded: &Loaded, file: &Path) -> anyhow::Result<()> {
    let table = loaded.columns.apply_table(&csv(file, &CsvOptions::default())?);
    let table = table.with_context(|| format!("cannot use {}", file.display()))?.values;
    let rows = table.nrows();
    let (values, found) = densities(args, loaded, table)?;
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

/// Log-densities in the table's units of rows in those of the network.
fn densities(args: &LikelihoodOf, loaded: &Loaded, table: Array2<f32>) -> anyhow::Result<(Vec<f64>, Densities)> {
    let (rows, dim) = table.dim();
    let x = upload(table.as_slice().unwrap_or_default(), &[rows as i64, dim as i64], loaded.device);
    let field = Drawer::of(loaded, 1.0)?.field(&[]);
    let objective = &loaded.config.flow.objective;
    let found = match &loaded.trained_source {
        Some(source) => args.how.evaluate_from(&field, objective, |x| source.log_density(x), &x, 0)?,
        None => args.how.evaluate(&field, objective, &loaded.source, &x, 0)?,
    };
    // Change of units: the density in the table's units is smaller by the product of the columns'
    // deviations.
    let scale: f64 = loaded.columns.deviation.iter().filter(|d| **d > 0.0).map(|d| d.ln()).sum();
    Ok((found.values.iter().map(|log_p| log_p - scale).collect(), found))
}

fn picture(args: &LikelihoodOf, loaded: &Loaded, path: &Path) -> anyhow::Result<()> {
    let material = Material::open(&loaded.config)?;
    let data = crate::draw::points(material.table.values.as_slice().unwrap_or_default());
    let (reach, side) = (reach(&data), args.resolution);
    let centre = |k: usize| f64::from(reach) * ((2 * k + 1) as f64 / side as f64 - 1.0);
    let grid = Array2::from_shape_fn((side * side, 2), |(i, j)| centre(if j == 0 { i % side } else { i / side }));
    let (values, _) = densities(args, loaded, loaded.columns.apply(grid.view())?)?;
    let heat = values.iter().map(|log_p| log_p.exp() as f32).collect();
    let plane = |title: &str, layers| Plane { title: title.into(), span: around(reach), layers };
    let shown = data.into_iter().take(3000).collect();
    let planes = [
        plane("data", vec![Layer::Points(String::new(), shown, ink::DATA)]),
        plane("density of the model", vec![Layer::Heat(heat, side)]),
    ];
    save_png(path, &side_by_side(&planes)?)
}
