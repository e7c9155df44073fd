//! `tabular-train train`.

use crate::args::TrainArgs;
use crate::config::Config;
use crate::resolve::resolve;
use crate::saved::Saved;
use crate::teacher_batches::{self, TeacherBatches};
use anyhow::Context;
use fm_cli::every::total_steps;
use fm_cli::given::{self, Effect};
use fm_cli::memory::{ensure_batch_fits, ensure_network_fits, ensure_step_fits};
use fm_core::data::Dataset;
use fm_core::rng::{Key, Stream};
use fm_core::source::{Source, deviation};
use fm_data::Preprocess;
use fm_models::interchange;
use fm_ot::Reports;
use fm_pictures::scatter;
use fm_run::advice::{Setting, advice, common_effects};
use fm_run::flow::Averaged;
use fm_run::guidance::Guide;
use fm_run::host::to_host;
use fm_run::models::TableModel;
use fm_run::optimizer_args::Measurements;
use fm_run::potentials::{Fitted, Place, Potentials, Problem};
use fm_run::process_group::Group;
use fm_run::progress::Cadence;
use fm_run::quality::{COMPARED, Quality, ensure_samples_fit, spread};
use fm_run::sources::least;
use fm_run::training_run::{Job, Parts};
use fm_run::weights;
use fm_solvers::sampler::Sampler;
use fm_solvers::sampler::SolverName;
use fm_tables::data::{self, open_source};
use fm_tables::draw::{Classes, Drawer, points};
use fm_tables::moments::{Look, Moments};
use fm_tables::source_rows::source_rows;
use fm_tables::training_data::Material;
use fm_terminal::println;
use fm_train::batch::BatchSource;
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::checkpoint::{DataMeta, RunInfo};
use fm_train::fingerprint::fingerprint;
use fm_train::flat::Precision;
use fm_train::held_out::{HeldOutOptions, Validation};
use fm_train::run_dir::latest_checkpoint;
use fm_train::task::FlowTask;
use fm_train::train::{TrainOptions, TrainState};
use fm_train::trained_source::TrainedSource;
use ndarray::Array2;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tch::nn;

/// Number of samples for each evaluation during training.
const LOOKED_AT: usize = 1000;

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    start(args, || Ok(None))
}

/// Runs a training; `student` is the configuration derived from a teacher.
pub(crate) fn start(
    args: &TrainArgs,
    student: impl FnOnce() -> anyhow::Result<Option<Config>>,
) -> anyhow::Result<ExitCode> {
    Group::run(&args.group, |group| {
        // A restarted program resumes its own run.
        let resume = args.resume || group.restarted() && latest_checkpoint(&args.out).is_ok();
        let (config, resume) = group.agree(|| {
            let student = if resume { None } else { student()? };
            Ok((resolve(args, resume, student)?, resume))
        })?;
        train(group, config, resume, args)
    })
}

fn train(group: &Arc<Group>, mut config: Config, resume: bool, args: &TrainArgs) -> anyhow::Result<ExitCode> {
    config.validate()?;
    let material = Material::open(&config.data_options())?;
    let Material { table, columns, seen, .. } = &material;
    let (dim, classes) = (columns.dim(), columns.classes.len());
    ensure_batch_fits(config.batch_size, dim)?;
    let epoch = material.epoch(config.batch_size, !config.teacher.is_empty());
    if let Some(epochs) = args.epochs {
        config.steps = total_steps(epochs, epoch)?;
        config.validate()?;
    }
    let log_every = config.log_every.steps(epoch)?;
    let sample_every = config.sample_every.steps(epoch)?;
    let Measurements { validate_every, quality_every } =
        config.learning.measurements(log_every, config.held_out() > 0.0, epoch)?;
    if quality_every > 0 {
        ensure_samples_fit(config.learning.quality_samples, dim)?;
    }
    let network = config.model(columns)?;
    ensure_network_fits(network.parameters()?, config.learning.averages())?;
    let on = device_for(&config.device, network.parameters()?).to_owned();
    let device = fm_run::device::select(&on)?;
    group.use_device(device)?;
    config.runtime.apply(device)?;
    if !device.is_cuda() {
        ensure_step_fits(config.learning.rows_per_pass(config.batch_size), network.activations().all)?;
    }
    let how = config.reading();
    let source =
        open_source(&mut config.flow.source, &how, columns, || deviation(seen.values.iter().map(|x| f64::from(*x))))?;
    let couplings = Reports::default();
    let flow = config.flow.flow(source, config.seed, classes > 0, &couplings)?;
    flow.validate()?;
    // Fail before training rather than after.
    flow.objective.span().context("a network trained so could not be sampled")?;
    let how = BatchOptions {
        rows: config.batch_size,
        conditional: classes > 0,
        dropped: network.null_class().map(|null| (null, config.label_drop)),
        ..BatchOptions::default()
    };
    let problem = Problem {
        config: &config.flow,
        source: &flow.source,
        data: material.training(),
        mirror: false,
        conditional: classes > 0,
        seed: config.seed,
    };
    let fitted = problem.fit(Place { out: &args.out, resume, group }, &mut None)?;
    if matches!(fitted, Fitted::Interrupted) {
        return Ok(ExitCode::from(130));
    }
    let potentials = fitted.potentials();
    let mut batches = FlowBatches::new(&flow, material.training(), how)?.shared(group.shard());
    if let Some(potentials) = potentials {
        batches = batches.chosen_by(&potentials.coupling)?;
    }
    let batches: Box<dyn BatchSource> = match config.teacher.as_str() {
        "" => Box::new(batches),
        _ => Box::new(TeacherBatches::new(batches, &config, group.shard(), &on)?),
    };
    tch::manual_seed(Key::new(config.seed, 0, Stream::Init).torch_seed());
    let store = nn::VarStore::new(device);
    let model = network.build(&store.root())?;
    let trained_source = config.trained_source(&store, dim);
    if !config.teacher.is_empty() && !resume {
        warm_start(&store, &config, &on)?;
    }
    if !config.init.is_empty() && !resume {
        initialise(&store, network.kind(), Path::new(&config.init))?;
    }
    let processes = group.describe(config.batch_size)?;
    if group.is_first() {
        println!("{}", describe(&config, &material));
        println!("model     {}, {} parameters, on {device:?}", config.model, fm_models::parameter_count(&store));
        println!("learning  {}", config.flow.describe());
        println!("training  {} steps of {} rows, into {}", config.steps, config.batch_size, args.out.display());
        processes.iter().for_each(|line| println!("{line}"));
        let spread = deviation(seen.values.iter().map(|x| f64::from(*x)));
        let derived = network.time_scale().filter(|_| config.flow.task.takes_derivative());
        let setting = Setting {
            batch_size: config.batch_size,
            learning: &config.learning,
            deviation: Some(spread),
            derived: derived.map(|scale| (scale, "choose --task split, or another --model")),
            rescale: (config.preprocess == Preprocess::None).then_some("--preprocess standardize"),
        };
        let idle = given::without_effect(&effects(&config, group.shard().count));
        advice(&setting).iter().chain(&idle).for_each(|line| println!("advice    {line}"));
    }
    let known =
        group.agree(|| least(&config.flow, &flow.source, || seen.values.clone(), classes > 0, config.seed, "row"))?;

    let bins = flow.objective.loss_aware_bins;
    let state = config.learning.state(&store, &network, Precision::F32, bins)?;
    let saved = Saved { run: config.clone(), columns: columns.clone() };
    let job = Job {
        out: args.out.clone(),
        resume,
        config_toml: toml::to_string(&config).context("cannot write the configuration as TOML; please report this")?,
        allow_changed_data: args.allow_changed_data,
        info: RunInfo {
            program: format!("tabular-train {}", env!("CARGO_PKG_VERSION")),
            path: config.flow.objective.path.to_string(),
            prediction: config.flow.objective.prediction.to_string(),
            data: DataMeta {
                shape: vec![dim as i64],
                normalisation: columns.describe(),
                classes: columns.classes.iter().map(|(name, _)| name.clone()).collect(),
                fingerprint: fingerprint_of(&config, &material, &flow.source)?
                    + &potentials.map_or_else(String::new, Potentials::fingerprint),
                ..DataMeta::default()
            },
            model: serde_json::to_value(&network)?,
            log: String::new(),
            flow: None,
            config: serde_json::to_value(&saved)?,
        },
        tensors: source_rows(&flow.source),
        files: potentials.into_iter().flat_map(Potentials::files).collect(),
        options: TrainOptions {
            steps: config.steps,
            // A teacher on a GPU runs between the steps of its student, because both would use the
            // same stream anyway.
            workers: usize::from(config.teacher.is_empty() || !device.is_cuda()),
            log_every,
            clip: config.learning.clip,
            schedule: config.learning.schedule(),
            micro_batch: config.learning.micro_batch_size,
            patience: config.learning.non_finite_patience,
            irreducible: known,
            collective: group.peers(config.learning.reduce_in),
            ..TrainOptions::default()
        },
        cadence: Cadence::new(config.save_every, 3, config.sample_every, epoch)?,
        epoch,
        batch_size: config.batch_size,
        learning: config.learning.clone(),
        profile: args.profile.clone(),
        couplings,
    };
    let drawer = Drawer {
        model: model.as_ref(),
        device,
        objective: &config.flow.objective,
        source: &flow.source,
        trained_source: trained_source.as_ref(),
        columns,
        from: None,
        guide: Guide::of_scale(1.0),
    };
    let shown = points(table.values.as_slice().unwrap_or_default());
    let moments = Moments::wanted(&config.data, &table.values);
    // Rows per epoch.
    let epoch = if material.stream.is_some() { 0 } else { seen.len() };
    let look = Box::new(|state: &mut TrainState| {
        let rows = if dim == 2 { 2 * LOOKED_AT } else { LOOKED_AT };
        state.params.bind(Some(state.ema.weights()));
        // New samples at every evaluation and for every seed, so that means over them are more
        // accurate than a single one.
        let seed = Key::new(config.seed, state.step, Stream::Sample).torch_seed() as u64;
        let drawn = drawer.draw(&solver(dim), rows, seed, columns.asked(None, rows)?, false);
        state.params.bind(None);
        let drawn = drawn?;
        if dim != 2 {
            let printed = sample_every >= log_every || state.step.is_multiple_of(log_every);
            let seen = state.step as usize * config.batch_size;
            let look = Look {
                step: state.step,
                epoch: seen.checked_div(epoch),
                printed: printed || state.step == config.steps,
            };
            return moments.look(&args.out, &look, &drawn.values);
        }
        let path = args.out.join("samples").join(format!("step-{}.png", state.step));
        let sets = [("data", shown[..shown.len().min(2000)].to_vec()), ("samples", points(&drawn.values))];
        scatter(&path, &format!("{} after {} steps", config.data, state.step), &sets)
    });
    let options = HeldOutOptions { conditional: classes > 0, ..HeldOutOptions::default() };
    let validation = config.learning.validation(
        &flow,
        model.as_ref(),
        &material.unseen,
        &options,
        (validate_every, config.steps),
    )?;
    // A student's pairs start from its source already.
    let learned = || trained_source.as_ref().filter(|_| config.teacher.is_empty()).map(TrainedSource::shallow_clone);
    let validation = validation.map(|validation| Validation { trained_source: learned(), ..validation });
    let quality = (quality_every > 0).then(|| quality(&config, &material, &drawer, quality_every)).transpose()?;
    let task = FlowTask { trained_source: learned(), ..FlowTask::new(model.as_ref(), &flow) };
    let averaged = Averaged::of(&config.flow, &network, &state)?;
    let task = config.flow.task_of(task, averaged.as_ref());
    job.run(group, state, Parts { task: task.as_ref(), source: batches.as_ref(), validation, quality, draw: look })
}

/// The options that need another one to have an effect.
fn effects(config: &Config, processes: usize) -> Vec<Effect> {
    let mut effects = common_effects(&config.learning, &config.flow, processes);
    effects.extend([("heads", config.model == TableModel::Transformer, "--model transformer")]);
    effects.extend(data::effects(&config.data, &config.table));
    effects
}

/// The solver of samples during training.
fn solver(dim: usize) -> Sampler {
    if dim == 2 { Sampler::fixed(SolverName::Euler, 50) } else { Sampler::fixed(SolverName::Tsit5, 20) }
}

/// The measurement of the quality of samples, against held-out rows if there are any.
fn quality<'a>(
    config: &Config,
    material: &Material,
    drawer: &'a Drawer<'a>,
    every: u64,
) -> anyhow::Result<Quality<'a>> {
    let data = if material.unseen.is_empty() { &material.seen } else { &material.unseen };
    let (rows, dim, columns) = (config.learning.quality_samples, material.columns.dim(), drawer.columns);
    let seed = config.seed;
    let sample = move || {
        let drawn = drawer.solve(&solver(dim), rows, seed, &columns.asked(None, rows)?, false)?;
        Ok(Array2::from_shape_vec((rows, dim), to_host(&drawn.x)?)?)
    };
    Ok(Quality { data: spread(data, COMPARED)?, sample: Box::new(sample), every, last: config.steps })
}

/// Number of parameters from which a GPU trains a table network faster than a CPU. Below it, each
/// of about 250 launches per step takes longer than its arithmetic.
const LARGE: i64 = 1_000_000;

/// Resolves `auto` to the CPU for a small network; other names stay as given.
fn device_for(asked: &str, parameters: i64) -> &str {
    if asked == "auto" && parameters < LARGE { "cpu" } else { asked }
}

/// The fingerprint of the rows, of the teacher's weights, of held-out rows and of the source's.
fn fingerprint_of(config: &Config, material: &Material, source: &Source) -> anyhow::Result<String> {
    let mut parts = fingerprint(&material.seen)?;
    if !config.teacher.is_empty() {
        let (_, meta, _) = latest_checkpoint(Path::new(&config.teacher))?;
        let weights = meta.files.get("ema.safetensors").map_or("", |file| file.sha256.as_str());
        parts += &format!(" {weights}");
    }
    if !material.unseen.is_empty() {
        parts += &format!(" held={}", fingerprint(&material.unseen)?);
    }
    if let Source::Rows(rows) = source {
        parts += &format!(" source={}", fingerprint(rows)?);
    }
    Ok(parts)
}

/// Loads the student's initial weights; only the source of a fresh one.
fn warm_start(store: &nn::VarStore, config: &Config, device: &str) -> anyhow::Result<()> {
    let teacher = teacher_batches::open(Path::new(&config.teacher), device)?;
    let known = teacher.store.variables();
    for (name, mut variable) in store.variables() {
        if config.fresh && !name.starts_with("source.") {
            continue;
        }
        let from = known.get(&name).filter(|from| from.size() == variable.size());
        let from = from.with_context(|| {
            format!("{} has another network: it lacks {name}; drop what changes it, or pass --fresh", config.teacher)
        })?;
        tch::no_grad(|| variable.copy_(from));
    }
    Ok(())
}

/// Loads the initial weights of the network, and the source that was trained with them if this run
/// trains one too.
fn initialise(store: &nn::VarStore, kind: &'static str, init: &Path) -> anyhow::Result<()> {
    let other = "give another --init, or drop it";
    let mut weights =
        weights::initial(init).with_context(|| format!("cannot start from {}; {other}", init.display()))?;
    let own = store.variables();
    weights.retain(|name, _| !name.starts_with("source.") || own.contains_key(name));
    for (name, variable) in own.iter().filter(|(name, _)| name.starts_with("source.")) {
        weights.entry(name.clone()).or_insert_with(|| variable.detach().copy());
    }
    interchange::load(store, kind, &weights).with_context(|| format!("{} has another network; {other}", init.display()))
}

fn describe(config: &Config, material: &Material) -> String {
    let Material { table, held, columns, stream, .. } = material;
    let (rows, dim) = table.values.dim();
    let kept = if held.values.is_empty() { String::new() } else { format!(", {} more held out", held.values.nrows()) };
    let classes =
        if columns.classes.is_empty() { String::new() } else { format!(", {} classes", columns.classes.len()) };
    let teacher = match config.teacher.as_str() {
        "" => String::new(),
        teacher => format!("; learned are the pairs of {teacher} by {} steps of rk4", config.teacher_steps),
    };
    let rows = if stream.is_some() { "new points at every step".to_owned() } else { format!("{rows} rows") };
    format!(
        "data      {}: {rows} of {dim} columns{kept}{classes}; preprocessing {}{teacher}",
        config.data,
        columns.describe()
    )
}
