//! `cifar-train reflow compare`: compares models by straightness and by quality in few steps, on
//! the same noise. Flows take steps of Euler's method, flow maps jump.

use crate::args::CompareArgs;
use crate::model::{Loaded, check_shape, open};
use crate::sample::image_scale;
use anyhow::{Context, ensure};
use fm_cli::memory::ensure_fits;
use fm_core::tensor::upload;
use fm_data::ImageSet;
use fm_images::data;
use fm_images::sampling::{Request, generate};
use fm_metrics::energy::energy_distance;
use fm_metrics::nearest::class_agreement;
use fm_pictures::{Grid, save_picture};
use fm_run::process_group::Group;
use fm_run::solvers::{ensure_steps, of_few_steps};
use fm_run::straightness;
use fm_solvers::sampler::Sampler;
use fm_solvers::sampler::SolverName;
use fm_terminal::{eprintln, println};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::process::ExitCode;

/// RK4 steps per trajectory for measuring straightness.
const STEPS: usize = 24;
/// Images of the data set that samples are compared with.
const REAL: usize = 5000;
/// Columns of the sample grid.
const COLUMNS: usize = 10;

/// Settings of a comparison.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) nfe: Vec<usize>,
    pub(crate) num_samples: usize,
    pub(crate) trajectories: usize,
    pub(crate) seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { nfe: vec![1, 2, 4, 8], num_samples: 1000, trajectories: 128, seed: 0 }
    }
}

/// Results for a model, with their protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) model: String,
    pub(crate) weights: String,
    pub(crate) cfg_scale: f64,
    /// Mean squared norm over trajectories, and its standard error.
    pub(crate) straightness: f64,
    pub(crate) straightness_error: f64,
    pub(crate) trajectories: usize,
    pub(crate) data: String,
    pub(crate) real_images: usize,
    pub(crate) num_samples: usize,
    pub(crate) seed: u64,
    /// The solver of the samples: `euler`, or `map` of a flow map.
    #[serde(default)]
    pub(crate) solver: SolverName,
    /// The samples. The name is that of earlier versions, which had Euler's method only.
    pub(crate) euler: Vec<FewSteps>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FewSteps {
    /// Number of function evaluations.
    pub(crate) nfe: f64,
    /// Squared energy distance between samples and data, with values in [-1, 1].
    pub(crate) energy_distance: f64,
    /// Fraction of samples whose nearest image has the requested class.
    pub(crate) class_agreement: Option<f64>,
}

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let (nfe, num_samples) = (args.nfe.clone(), args.num_samples);
    let plan = Plan { nfe, num_samples, trajectories: args.trajectories, seed: args.seed };
    let mut measured = Vec::new();
    let mut picture: Option<(Grid, Vec<u8>)> = None;
    for path in &args.models {
        let loaded = open(path, &args.which, false)?;
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        let (found, rows) = measure(&loaded, &name, &plan)?;
        eprintln!("measured  {name}");
        measured.push(found);
        let scale = image_scale(&loaded);
        let names = plan.nfe.iter().map(|n| format!("{name}, {n}"));
        let grid = picture.get_or_insert_with(|| {
            let (shape, levels) = (scale.shape, scale.levels);
            (Grid { shape, levels, columns: COLUMNS, row_names: Vec::new() }, Vec::new())
        });
        ensure!(
            grid.0.shape == scale.shape,
            "{} has images of another size than the first model; compare models of one size",
            path.display()
        );
        grid.0.row_names.extend(names);
        grid.1.extend(scale.denormalise(&rows));
    }
    println!("{}", table(&measured));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&measured)?;
        fm_train::files::output(path, format!("{text}\n").as_bytes())?;
        println!("wrote {}", path.display());
    }
    if let (Some(path), Some((grid, pixels))) = (&args.picture, picture) {
        save_picture(path, &grid.draw(&pixels)?)?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures a model, and draws a row of samples for each number of steps.
pub(crate) fn measure(loaded: &Loaded, name: &str, plan: &Plan) -> anyhow::Result<(Measured, Vec<f32>)> {
    ensure!(
        plan.num_samples > 1 && plan.trajectories > 1,
        "--num-samples or --trajectories is below 2; both must be at least 2"
    );
    for steps in &plan.nfe {
        ensure_steps("--nfe", *steps)?;
    }
    let dim = loaded.data.shape.iter().product::<i64>() as usize;
    let (floats, trajectories) = (4 * size_of::<f32>(), [plan.trajectories, size_of::<f64>()]);
    ensure_fits("the samples", &[plan.num_samples, dim], floats, "--num-samples")?;
    ensure_fits("the trajectories", &trajectories, 4, "--trajectories")?;
    let config = &loaded.config;
    let real = data::open(&config.data, config.image_size)
        .with_context(|| format!("samples are compared with the data of {name}, {}", config.data))?;
    check_shape(&real, loaded)?;
    let count = REAL.min(real.len());
    let images = data::matrix(&ImageSet {
        pixels: real.pixels[..count * real.dim()].to_vec(),
        labels: real.labels[..count].to_vec(),
        ..real.clone()
    });
    let request = config.request(&loaded.source, &loaded.data.shape, plan.num_samples.max(COLUMNS), plan.seed);
    let solver = of_few_steps(loaded.model.as_ref());
    let few = |steps: usize| Request { sampler: Sampler::fixed(solver, steps), ..request.clone() };
    // Before anything is computed.
    few(1).check(loaded.model.as_ref())?;
    let values = straightness_of(loaded, &request, plan.trajectories)?;
    let (mut euler, mut shown) = (Vec::new(), Vec::new());
    for steps in &plan.nfe {
        let request = few(*steps);
        let drawn = generate(loaded.model.as_ref(), loaded.device, &request, false, &Group::alone())?;
        let nfe = drawn.mean_nfe(request.count, request.batch_size);
        let pixels = loaded.to_pixels(drawn.values)?;
        shown.extend_from_slice(&pixels[..COLUMNS * real.dim()]);
        let samples = Array2::from_shape_vec((request.count, real.dim()), pixels)?;
        let asked: Vec<u16> = request.classes.iter().map(|c| *c as u16).collect();
        let agreement = (!asked.is_empty())
            .then(|| class_agreement(samples.view(), &asked, images.view(), &real.labels[..count]))
            .transpose()?;
        let energy_distance = energy_distance(samples.view(), images.view())?;
        euler.push(FewSteps { nfe, energy_distance, class_agreement: agreement });
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let measured = Measured {
        model: name.into(),
        weights: loaded.weights.clone(),
        cfg_scale: request.guide.scale,
        straightness: mean,
        straightness_error: (variance / n).sqrt(),
        trajectories: values.len(),
        data: config.data.clone(),
        real_images: count,
        num_samples: request.count,
        seed: plan.seed,
        solver,
        euler,
    };
    Ok((measured, shown))
}

/// The straightness of some trajectories: squared norms, in the space of the network.
fn straightness_of(loaded: &Loaded, request: &Request, trajectories: usize) -> anyhow::Result<Vec<f64>> {
    let request = Request {
        count: trajectories,
        // The steps below.
        sampler: Sampler::rk4(STEPS),
        ..loaded.config.request(&loaded.source, &request.shape, trajectories, request.seed)
    };
    let dim = request.shape.iter().product::<i64>() as usize;
    let mut values = Vec::with_capacity(trajectories);
    for first in (0..trajectories).step_by(request.batch_size) {
        let rows = request.batch_size.min(trajectories - first);
        let field = request.field(loaded.model.as_ref(), loaded.device, first, rows)?;
        let shape = [&[rows as i64], request.shape.as_slice()].concat();
        let x0 = upload(&request.noise(first, rows)?, &shape, loaded.device);
        let bends = straightness::of_rows(field.as_ref(), &request.objective, &x0, STEPS)?;
        values.extend(bends.iter().map(|s| s * dim as f64));
    }
    Ok(values)
}

/// A table with one line per model.
pub(crate) fn table(measured: &[Measured]) -> String {
    let mut text = String::from("model                 straightness       ");
    for few in measured.iter().flat_map(|m| &m.euler).take(measured.first().map_or(0, |m| m.euler.len())) {
        let _ = write!(text, " NFE {:<16}", few.nfe);
    }
    for m in measured {
        let map = if m.solver == SolverName::FlowMap { " (map)" } else { "" };
        let name = format!("{}{map}", m.model);
        let _ = write!(text, "\n{name:<20} {:>9.4} +- {:<7.4}", m.straightness, m.straightness_error);
        for few in &m.euler {
            let agreement = few.class_agreement.map_or(String::new(), |a| format!(" {:5.1} %", 100.0 * a));
            let _ = write!(text, " D2 {:.4}{agreement:<10}", few.energy_distance);
        }
    }
    let (samples, real, data) = measured.first().map_or((0, 0, ""), |m| (m.num_samples, m.real_images, &m.data));
    let _ = write!(
        text,
        "\nstraightness: squared norm, 0 is straight; D2: energy distance of {samples} samples, by Euler's method or by the jumps of a map, to {real} images of {data}; %: class agreement"
    );
    text
}
