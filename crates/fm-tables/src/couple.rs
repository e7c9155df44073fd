//! The command `couple`: applies a coupling to two tables, or to a series of tables.
//!
//! Rows are paired one to one; tables of different lengths share masses. The cost is the mean over
//! pairs, or per unit of mass.

use crate::data::told;
use anyhow::{Context, bail, ensure};
use fm_cli::given::{self, Effect};
use fm_cli::memory::ensure_fits;
use fm_cli::options::help;
use fm_cli::outputs;
use fm_core::coupling::{Conditions, CouplingInput};
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_data::table::{CsvOptions, csv};
use fm_data::{Columns, Preprocess, Table, TableSource};
use fm_ot::cost::Metric;
use fm_ot::coupling::{OtCoupling, Solved};
use fm_ot::pairs::PairSampling;
use fm_ot::trajectory::trajectory_reported;
use fm_ot::{CouplingKind, Semidiscrete, SemidiscreteOptions};
use fm_pictures::{Layer, Plane, around, ink, reach, save_picture, side_by_side};
use fm_run::potentials::fit_shown;
use fm_terminal::println;
use ndarray::{Array2, ArrayView2};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The flags of the command.
#[derive(Debug, clap::Args)]
pub struct CoupleArgs {
    /// Two or more tables of numbers with the same columns, in order of time: FILE.csv, FILE.npy,
    /// or the name of a toy distribution. Two tables may have different numbers of rows.
    #[arg(value_name = "TABLE", required = true)]
    tables: Vec<String>,
    /// Number of points to draw from a toy distribution.
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = "Coupling")]
    rows: usize,
    #[arg(
        long,
        value_name = "HOW",
        default_value_t = CouplingKind::Exact,
        help_heading = "Coupling",
        help = help::<CouplingKind>("How rows of consecutive tables are paired")
    )]
    coupling: CouplingKind,
    #[arg(
        long,
        value_name = "COST",
        default_value_t,
        help_heading = "Coupling",
        help = help::<Metric>("Cost that optimal transport minimises")
    )]
    cost: Metric,
    #[arg(
        long,
        value_name = "HOW",
        default_value_t,
        help_heading = "Coupling",
        help = help::<PairSampling>("How pairs are taken from the transport plan")
    )]
    pairing: PairSampling,
    /// Path whose sigma the schroedinger-bridge coupling uses.
    #[arg(long, value_name = "PATH", default_value_t, help_heading = "Coupling")]
    path: PathKind,
    /// Classes of the rows of the second of two tables, one whole number per line (used by c2ot).
    #[arg(long, value_name = "FILE.csv", help_heading = "Coupling")]
    classes: Option<PathBuf>,
    /// Random seed of drawn pairs.
    #[arg(long, default_value_t = 0, help_heading = "Coupling")]
    seed: u64,
    /// Draw the pairs of two tables of two columns.
    #[arg(long, value_name = "FILE.png", value_parser = outputs::picture(), help_heading = "Output")]
    picture: Option<PathBuf>,
    /// Write the paths through the tables, one per line, as row numbers from 0; for tables of
    /// different numbers of rows, pairs of rows and the mass between them.
    #[arg(long, value_name = "FILE.csv", value_parser = outputs::lines(), help_heading = "Output")]
    out: Option<PathBuf>,
}

/// Couples the tables, prints the cost, and writes the pairs.
///
/// # Errors
/// Tables that cannot be read or do not suit each other or the coupling, and solves that fail.
pub fn run(args: &CoupleArgs) -> anyhow::Result<ExitCode> {
    ensure_fits("the points", &[args.rows, 2], 3 * size_of::<f64>(), "--rows")?;
    ensure!(args.tables.len() >= 2, "there is one table; give at least two, in the order of time");
    let fit = args.coupling.semidiscrete();
    let coupling = match fit {
        Some(_) => None,
        None => args.coupling.transport(args.cost, args.pairing, args.path)?,
    };
    let read = |path: &Path| csv(path, &CsvOptions::default()).inspect(|table| told(&table.notes));
    let classes = args.classes.as_deref().map(read).transpose()?.map(|table| table.values);
    if let Some(odd) = classes.iter().flatten().find(|v| v.fract() != 0.0) {
        bail!("--classes holds {odd}, which is no class; give whole numbers");
    }
    let tables = args.tables.iter().enumerate().map(|(k, name)| table(args, name, k)).collect::<anyhow::Result<_>>()?;
    let tables = centred(tables, args.cost)?;
    if args.picture.is_some() {
        ensure_drawable(&tables, fit.is_some())?;
    }
    let classes: Option<Vec<i64>> = classes.map(|c| c.iter().map(|v| *v as i64).collect());
    ensure!(
        fit.is_none() || classes.is_none(),
        "the rows of the first table have no classes to choose within; drop --classes"
    );
    ensure!(classes.is_none() || tables.len() == 2, "--classes belong to the second of two tables; give two");
    given::warn(&effects(args));
    if let Some(options) = fit {
        return semidiscrete(args, &options, tables);
    }
    let coupling =
        coupling.with_context(|| format!("the {} coupling leaves rows as they are; choose another", args.coupling))?;
    if let [from, to] = tables.as_slice()
        && from.nrows() != to.nrows()
    {
        return unequal(args, &coupling, [from, to]);
    }
    let views: Vec<ArrayView2<'_, f32>> = tables.iter().map(Array2::view).collect();
    let conditions = classes.as_deref().map_or(Conditions::None, Conditions::Classes);
    for (k, leg) in tables.windows(2).enumerate() {
        describe(&coupling, [&leg[0], &leg[1]], conditions, [&args.tables[k], &args.tables[k + 1]])?;
    }
    let rng = &mut Key::new(args.seed, 0, Stream::Coupling).generator(0);
    let paths = trajectory_reported(&views, &coupling, conditions, rng)?.rows;
    let legs = (1..views.len()).map(|k| leg_cost(&coupling, &tables, &paths, k)).collect::<anyhow::Result<Vec<_>>>()?;
    println!("pairs     cost {}", legs.iter().map(f64::to_string).collect::<Vec<_>>().join(", "));
    if let (Some(picture), [from, to]) = (&args.picture, tables.as_slice()) {
        draw(picture, args, [from, to], paths[0].iter().copied().zip(paths[1].iter().copied()))?;
    }
    if let Some(out) = &args.out {
        let names = (0..views.len()).map(|k| format!("table_{k}")).collect::<Vec<_>>().join(",");
        let line = |r: usize| paths.iter().map(|p| p[r].to_string()).collect::<Vec<_>>().join(",") + "\n";
        let text: String = (0..views[0].nrows()).map(line).collect();
        fm_train::files::output(out, format!("{names}\n{text}").as_bytes())?;
        println!("wrote {}: one path per line, as row numbers from 0", out.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The flags that only some couplings and tables use.
fn effects(args: &CoupleArgs) -> [Effect; 5] {
    let toys = args.tables.iter().any(|name| matches!(name.parse(), Ok(TableSource::Toy(_))));
    let (batches, drawn) = (args.coupling.semidiscrete().is_none(), args.pairing == PairSampling::Drawn);
    let bridge = args.coupling == CouplingKind::SchroedingerBridge;
    let by_classes = matches!(args.coupling, CouplingKind::C2ot { .. });
    [
        ("rows", toys, "a toy distribution among the tables"),
        ("pairing", batches, "a --coupling of batches"),
        ("path", bridge, "--coupling schroedinger-bridge"),
        ("classes", by_classes, "--coupling c2ot"),
        ("seed", toys || !batches || drawn, "something to draw: --pairing drawn, or a toy distribution"),
    ]
}

/// The rows of the second table that noise drawn from the rows of the first chooses, by potentials
/// that are fitted to it.
fn semidiscrete(
    args: &CoupleArgs,
    options: &SemidiscreteOptions,
    tables: Vec<Array2<f32>>,
) -> anyhow::Result<ExitCode> {
    let [from, to] = tables.as_slice() else {
        bail!("cannot couple {} tables by semidiscrete; give two", tables.len())
    };
    let mut coupling = Semidiscrete::new(to.clone(), args.cost)?;
    let (source, dim) = (Source::Rows(from.clone()), to.ncols());
    let report = fit_shown(&mut coupling, options, |at, stream| at.draw(&source, args.seed, stream, dim))?;
    println!("plan      rows of {} choose among {} rows of {}: {report}", args.tables[0], to.nrows(), args.tables[1]);
    let chosen = coupling.choose(from.view(), None)?;
    if let Some(picture) = &args.picture {
        draw(picture, args, [from, to], chosen.iter().copied().enumerate())?;
    }
    if let Some(out) = &args.out {
        let text: String = chosen.iter().enumerate().map(|(from, to)| format!("{from},{to}\n")).collect();
        fm_train::files::output(out, format!("table_0,table_1\n{text}").as_bytes())?;
        println!(
            "wrote {}: one pair per line: the row of the first table and the chosen row of the second, from 0",
            out.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The most pairs that are drawn.
const DRAWN: usize = 300;

/// Fails if the pairs of these tables have no picture. Tables of different lengths share masses,
/// unless the rows of one choose among the others.
fn ensure_drawable(tables: &[Array2<f32>], choose: bool) -> anyhow::Result<()> {
    let [from, to] = tables else {
        bail!("cannot draw --picture: there are {} tables; give two, or drop --picture", tables.len())
    };
    let dim = from.ncols();
    ensure!(dim == 2, "cannot draw --picture: the tables have {dim} columns; give two columns, or drop --picture");
    ensure!(
        choose || from.nrows() == to.nrows(),
        "cannot draw --picture: the tables have {} and {} rows, which share masses; give tables of one length, or drop --picture",
        from.nrows(),
        to.nrows()
    );
    Ok(())
}

/// Draws the pairs of two tables of two columns as lines between their points.
fn draw(
    path: &Path,
    args: &CoupleArgs,
    [from, to]: [&Array2<f32>; 2],
    pairs: impl Iterator<Item = (usize, usize)>,
) -> anyhow::Result<()> {
    let point = |table: &Array2<f32>, row: usize| (table[(row, 0)], table[(row, 1)]);
    let cloud = |table: &Array2<f32>| (0..table.nrows()).map(|row| point(table, row)).collect::<Vec<_>>();
    let lines: Vec<_> = pairs.take(DRAWN).map(|(i, j)| vec![point(from, i), point(to, j)]).collect();
    let clouds = [(&args.tables[0], cloud(from), ink::SOURCE), (&args.tables[1], cloud(to), ink::DATA)];
    let span = around(reach(clouds.iter().flat_map(|(_, points, _)| points)));
    let mut layers = vec![Layer::Paths(lines, ink::FIELD)];
    layers.extend(clouds.map(|(name, points, colour)| Layer::Points(name.clone(), points, colour)));
    save_picture(path, &side_by_side(&[Plane { title: format!("{} coupling", args.coupling), span, layers }])?)?;
    println!("wrote {}", path.display());
    Ok(())
}

/// The plan between two tables of different numbers of rows, all rows of a table having the same
/// mass: which share of the whole goes from a row to another.
fn unequal(args: &CoupleArgs, coupling: &OtCoupling, [from, to]: [&Array2<f32>; 2]) -> anyhow::Result<ExitCode> {
    ensure!(
        args.classes.is_none() && coupling.condition_weight == 0.0,
        "rows with classes are paired one to one, and these tables have different numbers of rows; give tables of one length"
    );
    let cost = coupling.cost.matrix(to.view(), from.view())?;
    let plan = coupling.plan.solve(cost.view())?;
    let spent = plan.cost(cost.view())?;
    println!(
        "plan      {} rows of {} to {} of {}: cost {spent} of mass {}",
        from.nrows(),
        args.tables[0],
        to.nrows(),
        args.tables[1],
        spent.mass
    );
    let (Solved::Masses(plan), Some(out)) = (plan, &args.out) else { return Ok(ExitCode::SUCCESS) };
    let least = LEAST / plan.len() as f64;
    let shared = plan.indexed_iter().filter(|(_, mass)| **mass > least);
    let text: String = shared.map(|((to, from), mass)| format!("{from},{to},{mass}\n")).collect();
    fm_train::files::output(out, format!("table_0,table_1,mass\n{text}").as_bytes())?;
    println!("wrote {}: one pair per line: the row of each table, from 0, and the mass between them", out.display());
    Ok(ExitCode::SUCCESS)
}

/// The least mass that is written, as a share of the mean mass of a pair.
const LEAST: f64 = 1e-9;

/// Table number `k` by name. Toy distributions of one name are drawn with one seed each, so that
/// they differ.
fn table(args: &CoupleArgs, name: &str, k: usize) -> anyhow::Result<Table> {
    let source: TableSource = name.parse()?;
    let table = source.open(&CsvOptions::default(), args.rows, args.seed.wrapping_add(k as u64))?;
    told(&table.notes);
    Ok(Table { labels: Vec::new(), classes: Vec::new(), ..table })
}

/// A mean of this many deviations is subtracted before f32.
const OFFSET: f64 = 1000.0;

/// The tables with the columns of the first, in f32. Large means of the first are subtracted
/// before, so that columns such as time stamps keep their differences; no cost changes by that,
/// except the cosine's, which keeps its means.
fn centred(mut tables: Vec<Table>, metric: Metric) -> anyhow::Result<Vec<Array2<f32>>> {
    let names = tables.first().map(|first| first.names.clone()).unwrap_or_default();
    for table in &mut tables[1..] {
        *table = table.in_order(&names)?;
    }
    let mut columns = Columns::of(&tables[0], Preprocess::Standardize)?;
    for (mean, deviation) in columns.mean.iter_mut().zip(&columns.deviation) {
        if metric == Metric::Cosine || mean.abs() < OFFSET * deviation {
            *mean = 0.0;
        }
    }
    columns.deviation.fill(1.0);
    tables.iter().map(|table| Ok(columns.apply(table.values.view())?)).collect()
}

/// Prints the cost of the plan between two tables, per unit of its mass.
fn describe(
    coupling: &OtCoupling,
    [from, to]: [&Array2<f32>; 2],
    conditions: Conditions<'_>,
    names: [&str; 2],
) -> anyhow::Result<()> {
    let cost = coupling.cost.matrix(to.view(), from.view())?;
    let n = cost.nrows().max(1) as f64;
    let input = CouplingInput { x0: from.view(), x1: to.view(), conditions: conditions.view() };
    let spent = coupling.solve(&input)?.cost(cost.view())?;
    let mass = spent.mass;
    println!(
        "plan      {} rows of {} to {}: cost {spent} of mass {mass}; as they stand {}",
        cost.nrows(),
        names[0],
        names[1],
        cost.diag().sum() / n
    );
    Ok(())
}

/// The mean cost of the pairs of tables k - 1 and k.
fn leg_cost(coupling: &OtCoupling, tables: &[Array2<f32>], paths: &[Vec<usize>], k: usize) -> anyhow::Result<f64> {
    let cost = coupling.cost.matrix(tables[k - 1].view(), tables[k].view())?;
    let pairs = paths[k - 1].iter().zip(&paths[k]);
    Ok(pairs.map(|(&i, &j)| cost[(i, j)]).sum::<f64>() / paths[k].len().max(1) as f64)
}
