//! `cifar-train sample`.

use crate::args::{ImageSize, SampleArgs};
use crate::model::{Loaded, open};
use anyhow::{bail, ensure};
use fm_cli::memory::{ensure_batch_fits, ensure_fits};
use fm_cli::outputs::save_array;
use fm_data::ImageSet;
use fm_images::sampling::{Generated, Request, generate};
use fm_images::{classes, data, trajectory};
use fm_pictures::{Grid, save_gif, save_picture};
use fm_run::guidance::{Guide, ensure_guidable};
use fm_run::process_group::Group;
use fm_terminal::println;
use fm_train::TrainError;
use ndarray::Array4;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    Group::run(&args.solver.group, |group| sample(group, args))
}

fn sample(group: &Group, args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let which = args.from.which.given("guidance", args.solver.cfg_scale.is_some());
    let mut loaded = open(&args.from.checkpoint, &which, false)?;
    loaded.open_weak(&args.solver.guidance, &which, args.size)?;
    if let Some(ImageSize(size)) = args.size {
        loaded.resize(size)?;
    }
    let request = request(args, &loaded)?;
    let grid = grid(args, &loaded);
    grid.ensure_fits(request.count)?;
    let times = times(args, &request)?;
    let outputs = [Some(&args.out), args.npy.as_ref(), args.gif.as_ref(), args.trajectory.as_ref()];
    outputs.into_iter().flatten().try_for_each(|p| make_parent(p))?;
    let (mut drawn, states) = match &times {
        Some(times) => trajectory::draw(loaded.model.as_ref(), loaded.device, &request, times, args.gif.is_some())?,
        None => (generate(loaded.model.as_ref(), loaded.device, &request, args.gif.is_some(), group)?, Vec::new()),
    };
    if !group.is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    let latents = (loaded.autoencoder.as_ref(), loaded.config.latent_scale);
    if let (Some(path), Some(times)) = (&args.trajectory, &times) {
        trajectory::write(path, latents, &loaded.image_shape(), times.len(), states)?;
        println!("wrote {}", path.display());
    }
    drawn.decode(latents.0, latents.1)?;
    let scale = image_scale(&loaded);
    save_picture(&args.out, &grid.draw(&scale.denormalise(&drawn.values))?)?;
    println!("wrote {}", args.out.display());
    if let Some(path) = &args.npy {
        write_npy(path, &loaded.image_shape(), &drawn)?;
        let (least, most) = drawn.values.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        println!("wrote {}: values from {least:.3} to {most:.3}, of which -1 is black and 1 is white", path.display());
    }
    if let Some(path) = &args.gif {
        // 100 images are enough to look at; more would only increase the file.
        let shown = grid.columns * (100 / grid.columns).max(1) * scale.dim();
        let frames: anyhow::Result<Vec<_>> =
            drawn.frames.iter().map(|f| grid.draw(&scale.denormalise(&f[..f.len().min(shown)]))).collect();
        save_gif(path, frames?)?;
        println!("wrote {}", path.display());
    }
    println!("{}", summary(&request, &drawn, &loaded));
    Ok(ExitCode::SUCCESS)
}

/// The times of the trajectory, if there is one. Requests that do not fit are refused before
/// anything is drawn.
fn times(args: &SampleArgs, request: &Request) -> anyhow::Result<Option<Vec<f64>>> {
    if args.trajectory.is_none() {
        return Ok(None);
    }
    let count = args.trajectory_times;
    ensure!((2..=10_000).contains(&count), "--trajectory-times is {count}; choose 2 to 10000");
    ensure!(request.count > 0 && request.batch_size > 0, "--num-samples or --batch-size is 0; both must be at least 1");
    ensure!(request.sampler.stochastic.is_none(), "a stochastic path has no states between its steps; drop --sde");
    Group::refuse("sample --trajectory")?;
    let dim = request.shape.iter().product::<i64>() as usize;
    // On the device, here and in the file.
    let flag = "number of samples or --trajectory-times";
    ensure_fits("the trajectory", &[count, request.count, dim], 3 * size_of::<f32>(), flag)?;
    Ok(Some((0..count).map(|k| k as f64 / (count - 1) as f64).collect()))
}

/// Summary of the samples; all numbers are counted or timed.
fn summary(request: &Request, drawn: &Generated, loaded: &Loaded) -> String {
    let nfe = match drawn.nfe.as_slice() {
        [first, rest @ ..] if first.fract() == 0.0 && rest.iter().all(|n| n == first) => first.to_string(),
        _ => format!("{:.1} (mean; {} calls)", drawn.mean_nfe(request.count, request.batch_size), drawn.calls),
    };
    let class = match request.classes.as_slice() {
        [first, rest @ ..] if rest.iter().all(|class| class == first) => {
            let name = loaded.data.classes.get(*first as usize).filter(|name| **name != first.to_string());
            format!("class {first}{}, ", name.map_or(String::new(), |name| format!(" ({name})")))
        }
        _ => String::new(),
    };
    let guidance = match request.classes.is_empty() {
        true if request.guide.scale == 1.0 => "unconditional".into(),
        false if request.guide.scale == 1.0 => "class-conditional".into(),
        _ => request.guide.describe(),
    };
    format!(
        "{} samples in {:.1} s: {:.1} samples/s, NFE {nfe}; {}, {class}{guidance}; {}; seed {}",
        request.count,
        drawn.seconds,
        request.count as f64 / drawn.seconds,
        request.sampler.describe(),
        loaded.weights,
        request.seed,
    )
}

fn request(args: &SampleArgs, loaded: &Loaded) -> anyhow::Result<Request> {
    let names = &loaded.data.classes;
    let classes = match (args.class_grid, &args.class_label) {
        (true, _) | (_, Some(_)) if names.is_empty() => {
            bail!("this model was trained without classes; drop --class-grid and --class-label")
        }
        (true, _) => {
            let (each, dim) = (args.samples_per_class, loaded.data.shape.iter().product::<i64>() as usize);
            ensure!(each > 0, "--samples-per-class is 0; give at least one");
            ensure_fits("the samples", &[names.len(), each, dim], 2 * size_of::<f32>(), "--samples-per-class")?;
            (0..names.len()).flat_map(|k| std::iter::repeat_n(k as i64, each)).collect()
        }
        (false, Some(class)) => {
            let class = classes::number(class, names, names.len())?;
            ensure_fits("the classes of the samples", &[args.num_samples], size_of::<i64>(), "number of samples")?;
            vec![class; args.num_samples]
        }
        (false, None) => in_turn(names.len(), args.num_samples)?,
    };
    let count = if args.class_grid { classes.len() } else { args.num_samples };
    let request = with_classes(&args.solver, loaded, count, classes)?;
    request.guide.refuse_idle(&args.solver.guidance)?;
    Ok(request)
}

/// Classes 0, 1, 2, ..., repeated; empty for an unconditional model.
pub(crate) fn in_turn(classes: usize, count: usize) -> anyhow::Result<Vec<i64>> {
    ensure_fits("the classes of the samples", &[count], size_of::<i64>(), "number of samples")?;
    Ok(if classes == 0 { Vec::new() } else { (0..count).map(|i| (i % classes) as i64).collect() })
}

pub(crate) fn with_classes(
    args: &crate::args::SolverArgs,
    loaded: &Loaded,
    count: usize,
    classes: Vec<i64>,
) -> anyhow::Result<Request> {
    let dim = loaded.data.shape.iter().product::<i64>() as usize;
    // Noise and samples.
    ensure_fits("the samples", &[count, dim], 2 * size_of::<f32>(), "number of samples")?;
    ensure_batch_fits(args.batch_size, dim)?;
    let values = loaded.config.model.activations().largest.max(0) as usize;
    ensure_fits(
        "a block of the network",
        &[args.batch_size.min(count), values],
        size_of::<f32>(),
        "--batch-size or --size",
    )?;
    let request = Request {
        sampler: args.solve.sampler_or(loaded.config.sampling.solver)?,
        guide: guide(args, loaded)?,
        classes,
        batch_size: args.batch_size,
        ..loaded.config.request(&loaded.source, &loaded.data.shape, count, args.seed)
    };
    request.check(loaded.model.as_ref())?;
    Ok(request)
}

/// The guidance of these flags.
fn guide(args: &crate::args::SolverArgs, loaded: &Loaded) -> anyhow::Result<Guide> {
    let (given, weak) = (&args.guidance, &loaded.weak);
    if let Some(scale) = args.cfg_scale.filter(|scale| scale.is_finite()) {
        ensure_guidable(scale, weak.is_some() || loaded.config.model.null_class().is_some())?;
    }
    let base = match (args.cfg_scale, loaded.config.model.null_class()) {
        (None, _) if weak.is_some() => bail!("--guide-with has no default scale; give --cfg-scale, such as 2"),
        (Some(scale), _) if weak.is_some() => Guide::of_scale(scale),
        (scale, None) => Guide::of_scale(scale.unwrap_or(1.0)),
        (None, Some(_)) => loaded.config.sampling.guide(),
        // The rule of the configuration has no effect at scale 1.
        (Some(scale), Some(_)) if scale == 1.0 => Guide::of_scale(scale),
        (Some(scale), Some(_)) => Guide { scale, ..loaded.config.sampling.guide() },
    };
    Ok(Guide { weak: weak.clone(), ..base.with(given)? })
}

fn grid(args: &SampleArgs, loaded: &Loaded) -> Grid {
    let data = &loaded.data;
    let shape = image_scale(loaded).shape;
    if args.class_grid {
        return Grid { shape, levels: data.levels, columns: args.samples_per_class, row_names: data.classes.clone() };
    }
    let columns = if args.num_samples >= 10 && args.class_label.is_none() && data.classes.len() == 10 {
        10
    } else {
        (args.num_samples as f64).sqrt().ceil() as usize
    };
    Grid { shape, levels: data.levels, columns: columns.max(1), row_names: Vec::new() }
}

/// An empty set with the model's image shape and pixel range.
pub(crate) fn image_scale(loaded: &Loaded) -> ImageSet {
    data::without_images(&loaded.data, &loaded.image_shape())
}

fn make_parent(path: &Path) -> anyhow::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(std::fs::create_dir_all(parent).map_err(TrainError::io("create", parent))?)
}

fn write_npy(path: &Path, shape: &[i64], drawn: &Generated) -> anyhow::Result<()> {
    let side = |i: usize| shape[i] as usize;
    let dims = (drawn.values.len() / shape.iter().product::<i64>() as usize, side(0), side(1), side(2));
    save_array(path, &Array4::from_shape_vec(dims, drawn.values.clone())?)
}
