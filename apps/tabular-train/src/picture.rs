//! `tabular-train picture` and `animate`: plots of two-dimensional models.

use crate::args::{AnimateArgs, DrawArgs, ModelFileArgs, PictureArgs};
use crate::model::{Loaded, load};
use anyhow::ensure;
use fm_pictures::{Layer, Plane, Point, around, ink, reach, save_gif, save_picture, side_by_side};
use fm_run::weights::is_weights;
use fm_solvers::sampler::{Sampler, Steps};
use fm_tables::draw::{Classes, Drawer, ensure_samples_fit, points};
use fm_tables::fields::{arrows, of_pairs};
use fm_tables::training_data::Material;
use fm_terminal::println;
use fm_train::TrainError;
use std::path::Path;
use std::process::ExitCode;

/// Number of drawn paths.
const PATHS: usize = 150;

/// A two-dimensional model with its data.
struct Scene {
    loaded: Loaded,
    sampler: Sampler,
    data: Vec<Point>,
    /// The same rows in the units of the network.
    rows: Vec<f32>,
    title: String,
}

impl Scene {
    fn open(path: &Path, args: &DrawArgs, shown: usize) -> anyhow::Result<Self> {
        let loaded = load(path, &args.file, &args.device)?;
        ensure!(
            loaded.dim() == 2,
            "pictures are of the plane, and {} has {} columns; give a model of two columns",
            path.display(),
            loaded.dim()
        );
        let material = Material::open(&loaded.config.data_options())?;
        let data = points(material.table.values.as_slice().unwrap_or_default());
        let title = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let rows = material.seen.values.iter().copied().take(2 * shown).collect();
        let data = data.into_iter().take(shown).collect();
        Ok(Self { sampler: args.solve.sampler()?, data, rows, title, loaded })
    }

    fn drawer(&self, args: &DrawArgs) -> anyhow::Result<Drawer<'_>> {
        self.loaded.guided(args, &self.sampler)
    }

    /// States from the source to the samples, as points.
    fn frames(&self, args: &DrawArgs, rows: usize) -> anyhow::Result<Vec<Vec<Point>>> {
        ensure_samples_fit(&self.sampler, rows, self.loaded.dim(), true)?;
        let classes = self.loaded.columns.asked(args.class.as_deref(), rows)?;
        let drawn = self.drawer(args)?.draw(&self.sampler, rows, args.seed, classes, true)?;
        ensure!(drawn.frames.len() > 1, "this solver keeps no states on its way; give --num-steps");
        Ok(drawn.frames.iter().map(|frame| points(frame)).collect())
    }
}

/// The most times at which a field is drawn.
const PLANES: usize = 100;

pub(crate) fn run(args: &PictureArgs) -> anyhow::Result<ExitCode> {
    let scene = Scene::open(&args.draw.checkpoint, &args.draw, args.num_samples)?;
    ensure!(args.at.len() <= PLANES, "--at names {} times; give at most {PLANES}, one picture each", args.at.len());
    ensure!(
        args.at.iter().all(|t| (0.0..=1.0).contains(t)),
        "--at has a time outside [0, 1]; give times from 0 (noise) to 1 (data)"
    );
    std::fs::create_dir_all(&args.out).map_err(TrainError::io("create", &args.out))?;
    let frames = scene.frames(&args.draw, args.num_samples)?;
    let (source, samples) = (&frames[0], &frames[frames.len() - 1]);
    let reach = reach(scene.data.iter().chain(source));
    let plane = |title: &str, layers| Plane { title: title.into(), span: around(reach), layers };
    let cloud = |points: &[Point], colour| Layer::Points(String::new(), points.to_vec(), colour);
    let mut clouds = vec![
        plane("source", vec![cloud(source, ink::SOURCE)]),
        plane("data", vec![cloud(&scene.data, ink::DATA)]),
        plane("samples", vec![cloud(samples, ink::SAMPLES)]),
    ];
    if args.untrained {
        clouds.push(plane("untrained", vec![cloud(&untrained(&scene, args)?, ink::SAMPLES)]));
    }
    let shown = (0..PATHS.min(args.num_samples)).map(|i| frames.iter().map(|frame| frame[i]).collect()).collect();
    let few = |points: &[Point]| points[..PATHS.min(points.len())].to_vec();
    let paths = vec![
        Layer::Paths(shown, ink::FIELD),
        Layer::Points("source".into(), few(source), ink::SOURCE),
        Layer::Points("samples".into(), few(samples), ink::SAMPLES),
    ];
    let drawer = scene.drawer(&args.draw)?;
    let mut fields = Vec::new();
    for t in &args.at {
        let at = frames[((t * (frames.len() - 1) as f64).round() as usize).min(frames.len() - 1)].clone();
        let layers = vec![
            cloud(&at, ink::SAMPLES),
            Layer::Arrows(arrows(&drawer, &scene.sampler, args.draw.class.as_deref(), *t, reach)?, ink::FIELD),
        ];
        fields.push(plane(&format!("velocity at t = {t}"), layers));
    }
    let mut pairs = Vec::new();
    for t in args.at.iter().filter(|_| args.velocities) {
        let arrows = of_pairs(&drawer, &scene.rows, args.draw.seed, *t, reach)?;
        let starts: Vec<Point> = arrows.iter().map(|(start, _)| *start).collect();
        let layers = vec![cloud(&starts, ink::SOURCE), Layer::Arrows(arrows, ink::FIELD)];
        pairs.push(plane(&format!("velocities of random pairs at t = {t}"), layers));
    }
    let pictures =
        [("samples", clouds), ("paths", vec![plane("paths", paths)]), ("field", fields), ("velocities", pairs)];
    for (name, planes) in pictures.iter().filter(|(_, planes)| !planes.is_empty()) {
        let path = args.out.join(format!("{name}.png"));
        save_picture(&path, &side_by_side(planes)?)?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Samples of the network with the weights that the run began with.
fn untrained(scene: &Scene, args: &PictureArgs) -> anyhow::Result<Vec<Point>> {
    let loaded = &scene.loaded;
    ensure!(
        !is_weights(&args.draw.checkpoint)?,
        "a file of weights does not have the seed of its run; give the run, or drop --untrained"
    );
    let (_store, model) = loaded.at_the_start()?;
    let drawer = Drawer { model: model.as_ref(), trained_source: None, ..scene.drawer(&args.draw)? };
    let classes = loaded.columns.asked(args.draw.class.as_deref(), args.num_samples)?;
    Ok(points(&drawer.draw(&scene.sampler, args.num_samples, args.draw.seed, classes, false)?.values))
}

pub(crate) fn animate(args: &AnimateArgs) -> anyhow::Result<ExitCode> {
    let first = Scene::open(&args.draw.checkpoint, &args.draw, args.num_samples)?;
    let file = ModelFileArgs::default();
    let beside = args.beside.as_ref().map(|path| {
        let draw = DrawArgs { checkpoint: path.clone(), file, ..args.draw.clone() };
        Scene::open(path, &draw, args.num_samples)
    });
    let scenes: Vec<Scene> = [first].into_iter().chain(beside.transpose()?).collect();
    let all = scenes.iter().map(|s| s.frames(&args.draw, args.num_samples)).collect::<anyhow::Result<Vec<_>>>()?;
    let count = all.iter().map(Vec::len).min().unwrap_or(0);
    let reach = reach(scenes.iter().flat_map(|s| &s.data).chain(all.iter().flat_map(|frames| &frames[0])));
    let mut pictures = Vec::new();
    for k in 0..count {
        let t = k as f64 / (count - 1) as f64;
        let plane = |(scene, frames): (&Scene, &Vec<Vec<Point>>)| {
            let tail = |i: usize| (k.saturating_sub(6)..=k).map(|at| frames[at][i]).collect::<Vec<_>>();
            let steps = match &scene.sampler.steps {
                Steps::Fixed(_, steps) => format!(", {} {steps}", scene.sampler.solver),
                _ => String::new(),
            };
            Plane {
                title: format!("{}{steps}, t = {t:.2}", scene.title),
                span: around(reach),
                layers: vec![
                    Layer::Points(String::new(), scene.data.clone(), ink::DATA),
                    Layer::Paths((0..PATHS.min(args.num_samples)).map(tail).collect(), ink::FIELD),
                    Layer::Points(String::new(), frames[k].clone(), ink::SAMPLES),
                ],
            }
        };
        pictures.push(side_by_side(&scenes.iter().zip(&all).map(plane).collect::<Vec<_>>())?);
    }
    save_gif(&args.out, pictures)?;
    println!("wrote {}: {count} frames of {} particles", args.out.display(), args.num_samples);
    Ok(ExitCode::SUCCESS)
}
