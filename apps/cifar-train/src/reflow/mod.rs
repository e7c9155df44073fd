//! Reflow and distillation: a model learns the pairs of another model's ODE, so that it needs fewer
//! steps.

pub(crate) mod compare;
pub(crate) mod pairs;
pub(crate) mod rounds;

use crate::args::Which;
use crate::config::{Config, Sampling};
use crate::model::open;
use crate::presets;
use anyhow::{Context, ensure};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::time::TimeKind;
use fm_images::latent;
use fm_ot::CouplingKind;
use fm_run::objective_args::FlowConfig;
use fm_run::weights::WhichWeights;
use fm_solvers::guidance::GuidanceRule;
use fm_solvers::sampler::SolverName;
use fm_train::pairs::PairsAbout;
use std::path::Path;

/// Default configuration of a run on pairs: the teacher's or a preset's, with the settings that the
/// pairs determine. Guidance is already part of the pairs, so the student is sampled without it.
pub(crate) fn student(pairs: &str, preset: Option<&str>) -> anyhow::Result<Config> {
    let about = PairsAbout::read(Path::new(pairs))?;
    let teacher: Config = serde_json::from_value(about.config)
        .with_context(|| format!("{pairs} was not made by cifar-train; make pairs with `cifar-train reflow pairs`"))?;
    let mut base = preset.map_or_else(|| Ok(teacher.clone()), presets::preset)?;
    base.model.fit_to_images(shape(&about.data.shape), about.data.classes.len(), teacher.model.null_class().is_some());
    let latent = match teacher.latent.as_str() {
        "" => String::new(),
        _ => latent::copy_of(Path::new(&about.teacher))?.display().to_string(),
    };
    Ok(Config {
        data: teacher.data,
        image_size: teacher.image_size,
        latent,
        latent_scale: teacher.latent_scale,
        conditional: about.conditional,
        pairs: pairs.into(),
        init: about.teacher,
        horizontal_flip: false,
        random_crop: 0,
        random_rotation: 0.0,
        random_translation: 0,
        label_drop: 0.0,
        flow: FlowConfig {
            source: teacher.flow.source,
            coupling: CouplingKind::Independent,
            excess_loss: false,
            objective: Objective { path: PathKind::Linear, ..base.flow.objective },
            ..base.flow
        },
        sampling: Sampling { cfg_scale: 1.0, guidance: GuidanceRule::default(), cfg_rescale: 0.0, ..base.sampling },
        ..base
    })
}

/// A student that starts from the weights of its teacher needs those that made the pairs.
///
/// # Errors
/// A teacher that changed since.
pub(crate) fn ensure_same_teacher(config: &Config) -> anyhow::Result<()> {
    let about = PairsAbout::read(Path::new(&config.pairs))?;
    if config.init != about.teacher {
        return Ok(());
    }
    let made_by = |raw_weights| {
        let weights = WhichWeights { raw_weights, ..WhichWeights::default() };
        let which = Which { device: "cpu".into(), weights, ..Which::default() };
        let same = open(Path::new(&about.teacher), &which, false).and_then(|teacher| teacher.sha256());
        same.is_ok_and(|found| found == about.teacher_sha256)
    };
    ensure!(
        made_by(false) || made_by(true),
        "{} is not the teacher that made the pairs, because it was trained on or replaced; restore it, or pass --init fresh",
        about.teacher
    );
    Ok(())
}

/// Trains a run on pairs for sampling with this number of Euler steps: it learns the velocity only
/// at their times.
pub(crate) fn distil(config: &mut Config, steps: usize) -> anyhow::Result<()> {
    ensure!(!config.pairs.is_empty(), "distillation needs a teacher's pairs; give --pairs DIR");
    ensure!((1..=1000).contains(&steps), "--num-steps is {steps}; choose 1 to 1000 Euler steps");
    config.flow.objective.times.distribution = TimeKind::Discrete { k: steps as f64 };
    (config.sampling.solver, config.sampling.num_steps) = (SolverName::Euler, steps);
    Ok(())
}

fn shape(of: &[i64]) -> [usize; 3] {
    [0, 1, 2].map(|i| of.get(i).copied().unwrap_or(1) as usize)
}
