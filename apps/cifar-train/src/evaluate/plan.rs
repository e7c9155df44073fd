//! Everything about an evaluation that is determined before the first image.

use super::samples::{PROGRAM, describe, of_samples};
use crate::args::{EvaluateArgs, SolverArgs};
use crate::model::{Loaded, check_shape, open};
use crate::sample::{image_scale, in_turn, with_classes};
use anyhow::{Context, bail, ensure};
use fm_cli::given;
use fm_data::ImageSet;
use fm_evaluation::extract::Extractor;
use fm_evaluation::features::{FeatureRequest, ImageFeatures, of_images};
use fm_evaluation::images::Images;
use fm_evaluation::measured::{Measured, ensure_any};
use fm_evaluation::metrics::{self, MetricName, Needs};
use fm_evaluation::neighbours::neighbours;
use fm_evaluation::reference::{AssignedMetric, Reference};
use fm_evaluation::request::{Extractors, MetricSpec, Sources};
use fm_evaluation::table::{self, Column};
use fm_images::data;
use fm_metrics::MetricError;
use fm_run::process_group::Group;
use fm_run::weights::{FileArgs, WhichWeights};
use fm_terminal::{eprintln, println};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Noise levels, relative to the range of values: measuring training images with such noise shows
/// what the numbers mean.
const NOISES: [f64; 3] = [0.01, 0.03, 0.1];
/// Default number of samples, and default metrics.
const SAMPLES: usize = 1000;
const DEFAULT: [&str; 4] = ["fd", "kid", "pr", "nn"];

/// Everything that is determined before the first image.
pub(super) struct Plan<'a> {
    pub(super) args: &'a EvaluateArgs,
    pub(super) loaded: Option<Loaded>,
    /// Images that are evaluated instead of a model's samples.
    pub(super) samples: Option<Images>,
    pub(super) count: usize,
    pub(super) asked: Vec<MetricSpec>,
    /// Requested metrics that cannot be computed of these images.
    left_out: Vec<Measured>,
    pub(super) placed: Vec<AssignedMetric>,
    pub(super) extractors: Extractors,
    /// Per extractor: whether samples need features, and logits.
    pub(super) parts: Vec<Needs>,
    /// The images that samples are compared with.
    pub(super) real: Images,
    /// Training images in memory, for the nearest-neighbour search.
    pub(super) training: Option<ImageSet>,
    pub(super) held_out: Option<Images>,
    pub(super) cache: PathBuf,
}

impl<'a> Plan<'a> {
    pub(super) fn of(args: &'a EvaluateArgs) -> anyhow::Result<Self> {
        let names = if args.metrics.is_empty() { DEFAULT.map(String::from).to_vec() } else { args.metrics.clone() };
        let asked = names.iter().map(|m| MetricSpec::parse(m)).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(args.num_samples != Some(0), "--num-samples is 0; ask for at least one sample");
        let which = args.which.given("guidance", args.solver.cfg_scale.is_some());
        let mut loaded = args.checkpoint.as_ref().map(|path| open(path, &which, false)).transpose()?;
        if let Some(loaded) = &mut loaded {
            loaded.open_weak(&args.solver.guidance, &which, None)?;
        }
        let (name, size) = match &loaded {
            Some(loaded) => {
                let name = args.data.clone().unwrap_or_else(|| loaded.config.data.clone());
                (name, args.image_size.or(Some(loaded.config.image_size)))
            }
            None => (compared_with(args, &asked)?, args.image_size),
        };
        let absent = args.data.is_none() && loaded.is_none();
        let (asked, mut left_out) = without_real(asked, absent);
        let at_size = |name: &str| data::at_size(name, args.image_size);
        let real = data::images(&at_size(&name), size)?;
        let shape = real.shape()?;
        let sources = Sources {
            default: args.extractor,
            weights: args.inception_weights.as_deref(),
            protocol: args.protocol,
            device: match &loaded {
                Some(loaded) => loaded.device,
                None => fm_run::device::select(&args.which.device)?,
            },
        };
        let samples =
            args.samples.as_deref().map(|name| data::sampled_images(&at_size(name), args.image_size)).transpose()?;
        let count = count(args.num_samples, samples.as_ref());
        let fewest = if args.statistics.is_some() { count } else { count.min(real.len()) };
        let Features { asked, placed, extractors, few } = Features::of(args, asked, &sources, shape, fewest)?;
        left_out.extend(few);
        if asked.is_empty() {
            ensure_any(&left_out)?;
        }
        let parts = parts(&placed, extractors.all.len());
        let wants = |metric| asked.iter().any(|a: &MetricSpec| a.metric == metric);
        ensure!(loaded.is_some() || !wants(MetricName::Nll), "nll is the likelihood under a model; give --checkpoint");
        let training = wants(MetricName::Nn).then(|| real.whole()).transpose()?;
        if let (Some(loaded), Some(training)) = (&loaded, &training) {
            check_shape(training, loaded)?;
        }
        let nll = wants(MetricName::Nll);
        let held_out = held_out(args, &name, nll);
        let held_out = held_out.map(|name| data::images(&at_size(&name), size)).transpose()?;
        let evaluated = match (&loaded, &samples) {
            (Some(loaded), _) => Some(image_scale(loaded).shape),
            (None, Some(images)) => Some(images.shape()?),
            (None, None) => None,
        };
        let pixels =
            placed.iter().any(|p: &AssignedMetric| matches!(extractors.all[p.extractor], Extractor::Pixels { .. }));
        if let Some(shape) = evaluated.filter(|_| pixels || training.is_some()) {
            for images in std::iter::once(&real).chain(&held_out) {
                comparable(shape, images)?;
            }
        }
        let cache = args.cache.clone().map_or_else(default_cache, Ok)?;
        warn_of_idle(args, &extractors, nll, training.is_some(), loaded.is_some());
        Ok(Self {
            args,
            loaded,
            samples,
            count,
            asked,
            left_out,
            placed,
            extractors,
            parts,
            real,
            training,
            held_out,
            cache,
        })
    }

    pub(super) fn wanted(&self, neighbours: bool) -> FeatureRequest<'_> {
        let training = self.training.as_ref().filter(|_| neighbours).map(|set| (set, self.real.fingerprint()));
        FeatureRequest { extractors: &self.extractors, parts: &self.parts, training }
    }

    /// The evaluated images: their values, their description and the requested classes. `None` in
    /// all processes except the first.
    pub(super) fn subject(&self, group: &Group) -> anyhow::Result<Option<(ImageFeatures, Value, Vec<i64>)>> {
        if let Some(loaded) = &self.loaded {
            let classes = in_turn(loaded.data.classes.len(), self.count)?;
            let request = with_classes(&self.args.solver, loaded, self.count, classes.clone())?;
            request.guide.refuse_idle(&self.args.solver.guidance)?;
            let Some(found) = of_samples(loaded, &request, self.wanted(true), &self.cache, group)? else {
                return Ok(None);
            };
            let about = describe(loaded, &loaded.weights, &request, &found);
            return Ok(Some((found, about, classes)));
        }
        if !group.is_first() {
            return Ok(None);
        }
        let images =
            self.samples.as_ref().context("there are no images to evaluate; give --samples or --checkpoint")?;
        let (name, count) = (&images.name, self.count);
        let found = of_images(images, count, self.wanted(true), &self.cache)?;
        match self.only_statistics() {
            Some(file) => println!("{count} images of {name} against the statistics of {}", file.display()),
            None => println!("{count} images of {name} against {} of {}", self.real.len(), self.real.name),
        }
        Ok(Some((found, json!({ "images": name, "count": count, "fingerprint": images.fingerprint() }), Vec::new())))
    }

    pub(super) fn reference(&self) -> anyhow::Result<Reference> {
        let real = if self.args.reference_flips { self.real.clone().with_mirrored() } else { self.real.clone() };
        Reference::of(&real, &self.placed, &self.extractors, self.args.statistics.as_deref(), &self.cache)
    }

    pub(super) fn measured(
        &self,
        found: &ImageFeatures,
        reference: &Reference,
        classes: &[i64],
    ) -> anyhow::Result<Vec<Measured>> {
        let mut out = self.on_features(found, reference)?;
        if let Some(training) = &self.training {
            // The requested classes are meaningful only if the model and the images have the same
            // classes.
            let known = self.loaded.as_ref().is_some_and(|loaded| loaded.data.classes == training.classes);
            let classes = if known { classes } else { &[] };
            out.extend(neighbours(found, classes, &self.real, training, &self.cache)?);
        }
        out.extend(self.left_out.iter().cloned());
        Ok(out)
    }

    pub(super) fn on_features(&self, found: &ImageFeatures, reference: &Reference) -> anyhow::Result<Vec<Measured>> {
        let mut out = Vec::new();
        for placed in &self.placed {
            out.extend(reference.measure(*placed, found, &self.extractors)?);
        }
        Ok(out)
    }

    /// As many held-out real images as samples, and as many training images with noise.
    pub(super) fn calibration(&self, found: &ImageFeatures, reference: &Reference) -> anyhow::Result<Vec<Column>> {
        let noisy = NOISES.map(|noise| self.real.clone().with_noise(noise));
        let mut columns = Vec::new();
        for images in self.held_out.iter().chain(&noisy) {
            let count = found.count.min(images.len());
            let found = of_images(images, count, self.wanted(false), &self.cache)?;
            let name = if count < found.count { format!("{count} of {}", images.name) } else { images.name.clone() };
            columns.push(Column { name, measured: self.on_features(&found, reference)? });
        }
        Ok(columns)
    }

    pub(super) fn save_statistics(&self, path: &Path, found: &ImageFeatures) -> anyhow::Result<()> {
        let Some(AssignedMetric { extractor: place, .. }) =
            self.placed.iter().find(|placed| placed.needs().real_gaussian)
        else {
            bail!("--save-statistics writes what fd is made of; ask for fd or fid too")
        };
        let gaussian = metrics::gaussian(found.features[*place].view())?;
        fm_train::files::output(path, &fm_metrics::statistics::write(&gaussian)?)?;
        println!("wrote {}: mu and sigma of {}", path.display(), self.extractors.all[*place].key());
        Ok(())
    }

    pub(super) fn write_json(&self, columns: &[Column], about: &Value) -> anyhow::Result<()> {
        let Some(path) = &self.args.json else { return Ok(()) };
        let result = table::json(PROGRAM, columns, about, &self.about_reference());
        fm_train::files::output(path, format!("{result:#}\n").as_bytes())?;
        println!("wrote {}", path.display());
        Ok(())
    }

    /// The file of statistics, if it replaces the real images.
    fn only_statistics(&self) -> Option<&Path> {
        self.args.statistics.as_deref().filter(|_| self.args.data.is_none() && self.loaded.is_none())
    }

    pub(super) fn about_reference(&self) -> Value {
        if let Some(file) = self.only_statistics() {
            return json!({ "statistics": file });
        }
        json!({
            "images": self.real.name, "count": self.real.len() * (1 + usize::from(self.args.reference_flips)), "fingerprint": self.real.fingerprint(),
            "flips": self.args.reference_flips, "statistics": self.args.statistics,
        })
    }
}

/// Prints a warning for each flag that has no effect in this evaluation.
fn warn_of_idle(args: &EvaluateArgs, extractors: &Extractors, nll: bool, neighbours: bool, model: bool) {
    let inception = extractors.all.iter().any(|extractor| matches!(extractor, Extractor::Inception { .. }));
    let measured = !extractors.all.is_empty();
    given::warn(&[
        ("nll_images", nll, "--metrics nll"),
        ("nll_probes", nll, "--metrics nll"),
        ("held_out", nll || args.calibrate, "--calibrate or --metrics nll"),
        ("inception_weights", inception, "a metric on features of Inception"),
        ("protocol", inception, "a metric on features of Inception"),
        ("extractor", measured, "a metric on features"),
        ("reference_flips", measured, "a metric on features"),
        ("cache", measured || neighbours, "a metric on features"),
    ]);
    if !model {
        given::warn_of_all::<SolverArgs>("--checkpoint");
        given::warn_of_all::<WhichWeights>("--checkpoint");
        given::warn_of_all::<FileArgs>("--checkpoint");
    }
}

/// The images that samples are compared with. Without any, statistics of a file are enough for the
/// Fréchet distance; the samples then stand for them where only the shape matters.
fn compared_with(args: &EvaluateArgs, asked: &[MetricSpec]) -> anyhow::Result<String> {
    let replaced = args.statistics.is_some() && !args.calibrate && !asked.iter().all(needs_images);
    let stand_in = args.samples.clone().filter(|_| replaced);
    args.data.clone().or(stand_in).context(NO_IMAGES)
}

const NO_IMAGES: &str = "there are no images to compare with; name them by --data";

/// Whether a metric compares with images, and not with their statistics alone.
fn needs_images(asked: &MetricSpec) -> bool {
    metrics::of(asked.metric).is_none() || metrics::needs(asked.metric).real_features
}

/// The metrics that can be computed, and if the real images are absent, those that need them.
fn without_real(asked: Vec<MetricSpec>, absent: bool) -> (Vec<MetricSpec>, Vec<Measured>) {
    let (without, rest): (Vec<MetricSpec>, Vec<MetricSpec>) =
        asked.into_iter().partition(|a| absent && needs_images(a));
    let left_out = |a: &MetricSpec| Measured::left_out(a.metric.to_string(), NO_IMAGES.into());
    (rest, without.iter().map(left_out).collect())
}

/// The metrics on features, and the extractors that they use.
struct Features {
    /// The requested metrics that can be computed, also those without features.
    asked: Vec<MetricSpec>,
    placed: Vec<AssignedMetric>,
    extractors: Extractors,
    /// Metrics for which there are too few images.
    few: Vec<Measured>,
}

impl Features {
    /// Loads the extractors of the requested metrics for images of this shape. A Gaussian is fitted
    /// to `fewest` images: if they are too few, a metric that needs it is left out.
    fn of(
        args: &EvaluateArgs,
        mut asked: Vec<MetricSpec>,
        sources: &Sources<'_>,
        shape: [usize; 3],
        fewest: usize,
    ) -> anyhow::Result<Self> {
        let (mut extractors, mut placed, mut few) = (Extractors::default(), Vec::new(), Vec::new());
        for asked in asked.iter().filter(|a| metrics::of(a.metric).is_some()) {
            let place = extractors.place(*asked, shape, sources)?;
            let extractor = &extractors.all[place];
            // The dimension is known before any image is drawn.
            let (dimensions, _) = extractor.widths();
            if metrics::needs(asked.metric).real_gaussian && fewest <= dimensions {
                let rank = MetricError::Rank { dimensions, got: fewest };
                ensure!(args.save_statistics.is_none(), rank);
                few.push(Measured::left_out(asked.key(extractor), rank.to_string()));
                continue;
            }
            ensure!(
                asked.metric != MetricName::Fid || extractor.is_fids(),
                "{} is not the file that FID is defined by (its sha256 does not begin with {}); the distance by it is called fd-inception",
                args.inception_weights.as_deref().unwrap_or("the file".as_ref()).display(),
                fm_models::features::inception::HASH
            );
            placed.push(AssignedMetric { asked: *asked, extractor: place });
        }
        let kept =
            |a: &MetricSpec| metrics::of(a.metric).is_none() || placed.iter().any(|p: &AssignedMetric| p.asked == *a);
        asked.retain(kept);
        Ok(Self { asked, placed, extractors, few })
    }
}

/// The number of images to measure.
fn count(asked: Option<usize>, samples: Option<&Images>) -> usize {
    let Some(images) = samples else { return asked.unwrap_or(SAMPLES) };
    if let Some(asked) = asked.filter(|asked| *asked > images.len()) {
        eprintln!("note: {} has {} images, fewer than the {asked} of --num-samples", images.name, images.len());
    }
    asked.unwrap_or(images.len()).min(images.len())
}

/// Per extractor: whether samples need features, and logits.
fn parts(placed: &[AssignedMetric], extractors: usize) -> Vec<Needs> {
    let mut parts = vec![Needs::default(); extractors];
    for placed in placed {
        let (part, needs) = (&mut parts[placed.extractor], placed.needs());
        part.features |= needs.features;
        part.logits |= needs.logits;
    }
    parts
}

/// The name of the held-out images: the given ones, or the test split of CIFAR-10 where they are
/// needed.
fn held_out(args: &EvaluateArgs, data: &str, nll: bool) -> Option<String> {
    let test_split = || {
        let rest = data.strip_prefix("cifar10").filter(|rest| !rest.starts_with("-test"))?;
        (args.calibrate || nll).then(|| format!("cifar10-test{rest}"))
    };
    args.held_out.clone().or_else(test_split)
}

/// Refuses to compare pixels of different shapes. Networks resize images, so their features are
/// compared in any case.
fn comparable(shape: [usize; 3], real: &Images) -> anyhow::Result<()> {
    let other = real.shape()?;
    ensure!(
        shape == other,
        "cannot compare pixels of {shape:?} with those of {}, {other:?}; give images of one size, or metrics on other \
         features, such as kid-inception",
        real.name
    );
    Ok(())
}

/// Default directory of the cache.
fn default_cache() -> anyhow::Result<PathBuf> {
    let given = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")));
    Ok(home.context("there is no home to keep features in; give --cache DIR")?.join("flow-matching"))
}
