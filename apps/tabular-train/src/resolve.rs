//! The configuration of a run, from a preset, a file and flags, or from the resumed run.

use crate::args::TrainArgs;
use crate::config::Config;
use crate::presets;
use crate::saved::Saved;
use anyhow::{Context, bail};
use fm_app::objective_args::set;
use fm_app::settings;
use fm_train::run_dir::latest_checkpoint;

/// A preset or the teacher's configuration, then the file, then flags; with --resume the run's
/// configuration, with more steps if requested.
pub(crate) fn resolve(args: &TrainArgs, resume: bool, student: Option<Config>) -> anyhow::Result<Config> {
    if !resume {
        let file = args.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
        let base = match (&args.preset, student) {
            (Some(_), Some(_)) => bail!("a student learns what its teacher does; drop --preset"),
            (Some(name), None) => presets::preset(name)?,
            (None, student) => student.unwrap_or_default(),
        };
        let mut config = settings::lay_over(&base, file)?;
        apply(&mut config, args);
        return Ok(config);
    }
    let (path, meta, _) = latest_checkpoint(&args.out).context("there is nothing to resume")?;
    let saved: Saved = serde_json::from_value(meta.config)
        .with_context(|| format!("{} was not written by tabular-train", path.display()))?;
    let mut config = saved.run.clone();
    apply(&mut config, args);
    settings::check_resumed(&saved.run, &config, &["steps", "log_every"])?;
    Ok(config)
}

fn apply(config: &mut Config, args: &TrainArgs) {
    set(&mut config.data, &args.data);
    set(&mut config.labels, &args.labels);
    set(&mut config.ignore, &args.ignore);
    set(&mut config.preprocess, &args.preprocess);
    set(&mut config.hold_out, &args.hold_out);
    set(&mut config.rows, &args.rows);
    set(&mut config.steps, &args.steps);
    set(&mut config.batch_size, &args.batch_size);
    args.learning.apply(&mut config.learning);
    set(&mut config.model, &args.model);
    set(&mut config.widths, &args.widths);
    set(&mut config.label_drop, &args.label_drop);
    set(&mut config.trainable_source, &args.trainable_source);
    set(&mut config.seed, &args.seed);
    set(&mut config.log_every, &args.log_every);
    args.runtime.apply(&mut config.runtime);
    args.flow.apply(&mut config.flow);
}
