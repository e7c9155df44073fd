//! `cifar-train train`.

use crate::args::{TrainArgs, Which};
use crate::config::Config;
use crate::model::open;
use crate::plan;
use crate::reflow::{self, compare};
use anyhow::{Context, bail};
use fm_cli::every::total_steps;
use fm_cli::given;
use fm_cli::memory::{ensure_batch_fits, ensure_network_fits, ensure_step_fits};
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_core::tensor::VelocityModel;
use fm_images::data;
use fm_images::duration;
use fm_images::latent::to_pixels;
use fm_images::sampling::{Request, generate, rows_of};
use fm_images::training_data::{Choice, Material};
use fm_models::interchange;
use fm_ot::Reports;
use fm_pictures::{Grid, save_picture};
use fm_run::advice::{Setting, advice, common_effects};
use fm_run::flow::Averaged;
use fm_run::optimizer_args::Measurements;
use fm_run::potentials::{Fitted, Place, Potentials, Problem};
use fm_run::process_group::Group;
use fm_run::progress::Cadence;
use fm_run::quality::{COMPARED, Quality, ensure_samples_fit, spread};
use fm_run::sources::least;
use fm_run::training_run::{Job, Parts};
use fm_run::weights;
use fm_terminal::println;
use fm_train::batches::BatchOptions;
use fm_train::checkpoint::{DataMeta, RunInfo};
use fm_train::epoch::EpochLength;
use fm_train::flat::Precision;
use fm_train::flow_map::TaskKind;
use fm_train::held_out::HeldOutOptions;
use fm_train::run_dir::latest_checkpoint;
use fm_train::task::FlowTask;
use fm_train::train::{TrainOptions, TrainState};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tch::{Device, nn};

/// The configuration and the output directory of a run.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    out: PathBuf,
    resume: bool,
    config: Config,
}

/// Runs a training, and measures a finished run on pairs; `distilled` is the number of Euler steps
/// of `distill`.
pub(crate) fn run(args: &TrainArgs, distilled: Option<usize>) -> anyhow::Result<ExitCode> {
    let (code, on_pairs) = trained(args, distilled)?;
    if let Some((out, device)) = on_pairs.filter(|_| code == ExitCode::SUCCESS) {
        measure(&out, &device)?;
    }
    Ok(code)
}

/// Runs a training. Returns the directory and the device of a run on pairs too.
pub(crate) fn trained(
    args: &TrainArgs,
    distilled: Option<usize>,
) -> anyhow::Result<(ExitCode, Option<(PathBuf, String)>)> {
    let mut on_pairs = None;
    let code = Group::run(&args.group, |group| {
        let plan = group.agree(|| configure(args, distilled, group.restarted()))?;
        on_pairs = (group.is_first() && !args.dry_run && !plan.config.pairs.is_empty())
            .then(|| (plan.out.clone(), plan.config.device.clone()));
        train(group, plan, args)
    })?;
    Ok((code, on_pairs))
}

fn train(group: &Arc<Group>, plan: Plan, args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let Plan { mut config, out, resume } = plan;
    config.validate()?;
    if args.dry_run && config.pairs.is_empty() {
        data::ensure_present(&config.data)?;
    }
    let device = fm_run::device::select(&config.device)?;
    config.check_device(device)?;
    group.use_device(device)?;
    config.runtime.apply(device)?;
    config.precision = config.precision.resolve(device);
    let material = Material::open(&config.data_options(), resume.then_some(&out), device)?;
    config.latent_scale = material.latent_scale;
    let set = &material.set;
    let epoch = EpochLength::new(material.len() as u64, config.batch_size as u64);
    if let Some(epochs) = args.epochs {
        config.steps = total_steps(epochs, epoch)?;
        config.validate()?;
    }
    let log_every = config.log_every.steps(epoch)?;
    let Measurements { validate_every, quality_every } =
        config.learning.measurements(log_every, config.hold_out > 0.0, epoch)?;
    let classes = if config.conditional { set.classes.len() } else { 0 };
    let null_class = config.label_drop > 0.0 || config.model.null_class().is_some();
    config.model.fit_to_images(material.shape, classes, null_class);
    if config.flow.task != TaskKind::Flow {
        config.model = config.model.with_intervals(true);
    }
    config.model = config.model.with_score(config.flow.objective.prediction.score_weight().is_some())?;
    let dim = material.shape.iter().product();
    ensure_batch_fits(config.batch_size, dim)?;
    ensure_network_fits(config.model.parameters()?, config.learning.averages())?;
    if quality_every > 0 {
        ensure_samples_fit(config.learning.quality_samples, dim)?;
    }
    let source = data::open_source(&mut config.flow.source, config.image_size, dim, || material.deviation())?;
    let couplings = Reports::default();
    let flow = config.flow.flow(source, config.seed, config.conditional, &couplings)?;
    flow.validate()?;
    // Fail before training rather than after.
    flow.objective.span().context("a network trained so could not be sampled")?;

    tch::manual_seed(Key::new(config.seed, 0, Stream::Init).torch_seed());
    let store = nn::VarStore::new(device);
    let model = config.model.build(&store.root())?;
    if group.is_first() && !resume && !config.init.is_empty() {
        initialise(&store, &config)?;
    }
    let processes = group.describe(config.batch_size)?;
    if group.is_first() {
        println!("{}", plan::describe(&config, &material, fm_models::parameter_count(&store), device, &out));
        processes.iter().for_each(|line| println!("{line}"));
        let derived = config.model.time_scale().filter(|_| config.flow.task.takes_derivative());
        let derived = derived.map(|scale| (scale, "set time = { scale = 10.0 } in [model] of a --config"));
        let setting = Setting {
            batch_size: config.batch_size,
            learning: &config.learning,
            deviation: None,
            rescale: None,
            derived,
        };
        let mut effects = common_effects(&config.learning, &config.flow, group.shard().count);
        effects.push(("label_drop", config.model.classes() > 0, "classes"));
        let idle = given::without_effect(&effects);
        advice(&setting).iter().chain(&idle).for_each(|line| println!("advice    {line}"));
        let images = config.batch_size as f64 * config.steps as f64;
        let time = || duration::on_cpu(&config.model, images, &store, model.as_ref(), group.shard().count);
        if !resume && let Some(line) = time()? {
            println!("{line}");
        }
    }
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    // After the plan, which says what the run would take.
    if !device.is_cuda() && !config.checkpoint_activations && Precision::from(config.precision) == Precision::F32 {
        ensure_step_fits(config.learning.rows_per_pass(config.batch_size), config.model.activations().all)?;
    }
    let mut resident = material.resident(config.data_on_device.given(), device)?;
    let problem = Problem {
        config: &config.flow,
        source: &flow.source,
        data: material.dataset(),
        mirror: config.horizontal_flip,
        conditional: config.model.classes() > 0,
        seed: config.seed,
    };
    // On the CPU, workers choose rows in f64.
    let mut chooses = resident.take_if(|images| images.device().is_cuda());
    let fitted = problem.fit(Place { out: &out, resume, group }, &mut chooses)?;
    if matches!(fitted, Fitted::Interrupted) {
        return Ok(ExitCode::from(130));
    }
    let potentials = fitted.potentials();
    let choice = match potentials {
        None => Choice::Order,
        Some(_) if chooses.is_some() => Choice::Device,
        Some(potentials) => Choice::Workers(&potentials.coupling),
    };
    let resident = chooses.or(resident);
    let batches = material.batches(&flow, batch_options(&config, resident.is_some()), choice, group.shard())?;
    let known = group
        .agree(|| least(&config.flow, &flow.source, || material.rows(), config.conditional, config.seed, "image"))?;
    let row_shape: Vec<i64> = material.shape.iter().map(|n| *n as i64).collect();
    let state =
        config.learning.state(&store, &config.model, config.precision.into(), flow.objective.loss_aware_bins)?;
    let job = Job {
        resume,
        config_toml: toml::to_string(&config).context("cannot write the configuration as TOML; please report this")?,
        allow_changed_data: args.allow_changed_data,
        info: info(&config, &material, &flow.source, potentials, &row_shape)?,
        tensors: Vec::new(),
        files: potentials.into_iter().flat_map(Potentials::files).chain(material.files()?).collect(),
        options: TrainOptions {
            irreducible: known,
            collective: group.peers(config.learning.reduce_in),
            log_every,
            ..options(&config)
        },
        cadence: Cadence::new(config.save_every, config.keep_checkpoints, config.sample_every, epoch)?,
        epoch,
        batch_size: config.batch_size,
        learning: config.learning.clone(),
        profile: args.profile.clone(),
        out: out.clone(),
        couplings,
    };
    let preview = Preview {
        config: &config,
        material: &material,
        model: model.as_ref(),
        source: &flow.source,
        device,
        out: &out,
    };
    let task = FlowTask { resident, ..FlowTask::new(model.as_ref(), &flow) };
    let averaged = Averaged::of(&config.flow, &config.model, &state)?;
    let task = config.flow.task_of(task, averaged.as_ref());
    let pass = if config.learning.micro_batch_size == 0 { config.batch_size } else { config.learning.micro_batch_size };
    let options = HeldOutOptions { rows: pass, conditional: config.model.classes() > 0, ..HeldOutOptions::default() };
    let validation = config.learning.validation(
        &flow,
        model.as_ref(),
        material.held_out(),
        &options,
        (validate_every, config.steps),
    )?;
    let quality = (quality_every > 0).then(|| preview.quality(quality_every)).transpose()?;
    let draw = Box::new(|state: &mut TrainState| preview.draw(state));
    job.run(group, state, Parts { task: task.as_ref(), source: batches.as_ref(), validation, quality, draw })
}

/// The configuration from the flags. A restarted program resumes its own run.
fn configure(args: &TrainArgs, distilled: Option<usize>, restarted: bool) -> anyhow::Result<Plan> {
    let left = args.out.as_ref().filter(|out| restarted && latest_checkpoint(out).is_ok());
    if !args.resume && left.is_none() {
        let mut config = Config::resolve(args)?;
        let mut place = config.preset.clone();
        if !config.pairs.is_empty() {
            place += "-reflow";
        }
        if let Some(steps) = distilled {
            reflow::distil(&mut config, steps)?;
            place = format!("{}-distilled", config.preset);
        }
        let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(place));
        return Ok(Plan { out, resume: false, config });
    }
    let Some(out) = args.out.clone() else { bail!("--resume needs the run to continue; give --out DIR") };
    let (path, meta, _) = latest_checkpoint(&out).context("there is nothing to resume")?;
    let saved = serde_json::from_value(meta.config)
        .with_context(|| format!("{} was not written by cifar-train; give a run of this program", path.display()))?;
    Ok(Plan { config: Config::resume(saved, args)?, out, resume: true })
}

/// Loads the initial weights into the network.
fn initialise(store: &nn::VarStore, config: &Config) -> anyhow::Result<()> {
    let init = Path::new(&config.init);
    let other = "give another --init, or --init fresh";
    if !config.pairs.is_empty() {
        reflow::ensure_same_teacher(config)?;
    }
    let weights = weights::initial(init).with_context(|| format!("cannot start from {}; {other}", init.display()))?;
    interchange::load(store, config.model.kind(), &weights)
        .with_context(|| format!("{} has another network; {other}", init.display()))?;
    Ok(())
}

/// Measures the result of a run on pairs, prints it and stores it in the run directory.
fn measure(out: &Path, device: &str) -> anyhow::Result<()> {
    let which = Which { device: device.into(), ..Which::default() };
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (found, _) = compare::measure(&open(out, &which, false)?, &name, &compare::Plan::default())?;
    println!("{}", compare::table(std::slice::from_ref(&found)));
    let text = serde_json::to_string_pretty(&[found])?;
    fm_train::files::write(&out.join("reflow.json"), format!("{text}\n").as_bytes())?;
    Ok(())
}

/// Inputs of samples during training.
struct Preview<'a> {
    config: &'a Config,
    material: &'a Material,
    model: &'a dyn VelocityModel,
    source: &'a Source,
    device: Device,
    out: &'a Path,
}

impl Preview<'_> {
    /// The measurement of the quality of samples, against held-out images if there are any.
    fn quality(&self, every: u64) -> anyhow::Result<Quality<'_>> {
        let (config, held_out) = (self.config, self.material.held_out());
        let data = if held_out.is_empty() { self.material.dataset() } else { held_out };
        let (rows, shape) = (config.learning.quality_samples, self.material.shape.map(|n| n as i64));
        let sample = move || {
            let request = config.request(self.source, &shape, rows, config.seed);
            let values = rows_of(self.model, self.device, &request)?;
            Ok(Array2::from_shape_vec((rows, values.len() / rows), values)?)
        };
        Ok(Quality { data: spread(data, COMPARED)?, sample: Box::new(sample), every, last: config.steps })
    }

    /// Draws a grid of EMA samples, `samples/step-N.png`.
    fn draw(&self, state: &mut TrainState) -> anyhow::Result<()> {
        let (config, set) = (self.config, &self.material.set);
        let names = if config.conditional { set.classes.as_slice() } else { &[] };
        let (columns, rows) = (8, if names.is_empty() { 8 } else { names.len().min(16) });
        let count = rows * columns;
        let shape = self.material.shape.map(|n| n as i64);
        let request = Request {
            classes: if names.is_empty() { Vec::new() } else { (0..count).map(|i| (i / columns) as i64).collect() },
            batch_size: count,
            ..config.request(self.source, &shape, count, config.seed)
        };
        state.params.bind(Some(state.ema.weights()));
        let drawn = generate(self.model, self.device, &request, false, &Group::alone());
        state.params.bind(None);
        let row_names = names.iter().take(rows).cloned().collect();
        let grid = Grid { shape: set.shape, levels: set.levels, columns, row_names };
        let path = self.out.join("samples").join(format!("step-{}.png", state.step));
        let images = to_pixels(self.material.autoencoder.as_ref(), config.latent_scale, drawn?.values)?;
        save_picture(&path, &grid.draw(&set.denormalise(&images))?)
    }
}

fn batch_options(config: &Config, resident: bool) -> BatchOptions {
    BatchOptions {
        rows: config.batch_size,
        mirror: config.horizontal_flip,
        conditional: config.model.classes() > 0,
        dropped: config.model.null_class().map(|null| (null, config.label_drop)),
        resident,
    }
}

fn options(c: &Config) -> TrainOptions {
    TrainOptions {
        steps: c.steps,
        workers: c.num_workers,
        clip: c.learning.clip,
        schedule: c.learning.schedule(),
        micro_batch: c.learning.micro_batch_size,
        patience: c.learning.non_finite_patience,
        checkpoint_activations: c.checkpoint_activations,
        irreducible: None,
        ..TrainOptions::default()
    }
}

fn info(
    config: &Config,
    material: &Material,
    source: &Source,
    potentials: Option<&Potentials>,
    shape: &[i64],
) -> anyhow::Result<RunInfo> {
    let (set, levels) = (&material.set, material.set.levels);
    let pixels = format!("pixel values 0..={levels} as 2 p / {levels} - 1");
    let normalisation = match config.latent.is_empty() {
        true => pixels,
        false => format!("{pixels}, encoded, times {}", config.latent_scale),
    };
    Ok(RunInfo {
        program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
        path: config.flow.objective.path.to_string(),
        prediction: config.flow.objective.prediction.to_string(),
        data: DataMeta {
            shape: shape.to_vec(),
            normalisation,
            levels,
            classes: if config.conditional { set.classes.clone() } else { Vec::new() },
            fingerprint: material.fingerprint(source)? + &potentials.map_or_else(String::new, Potentials::fingerprint),
        },
        model: serde_json::to_value(&config.model)?,
        log: String::new(),
        flow: None,
        config: serde_json::to_value(config)?,
    })
}
