//! The configuration of a run, from a preset, a file and flags, or from the resumed run.

use crate::args::TrainArgs;
use crate::config::Config;
use crate::presets;
use crate::saved::Saved;
use anyhow::{Context, bail};
use fm_cli::{options, settings};
use fm_data::points::Toy;
use fm_tables::data::Reading;
use fm_tables::training_data::DataOptions;
use fm_train::run_dir::latest_checkpoint;
use toml::{Table, Value};

/// Settings that may change when a run is resumed; a change of any other setting makes a different
/// run.
pub(crate) const MAY_CHANGE: [&str; 5] = ["steps", "device", "save_every", "sample_every", "log_every"];

/// A preset or the teacher's configuration, then the file, then flags; with --resume the run's
/// configuration, with the flags that may change.
pub(crate) fn resolve(args: &TrainArgs, resume: bool, student: Option<Config>) -> anyhow::Result<Config> {
    let mut flags = options::table(&args.options)?;
    flags.extend(options::table(&args.aliases)?);
    if !resume {
        let mut file = args.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
        older_names(&mut file);
        let base = match (&args.preset, student) {
            (Some(_), Some(_)) => bail!("a student learns what its teacher does; drop --preset"),
            (Some(name), None) => presets::preset(name)?,
            (None, student) => student.unwrap_or_default(),
        };
        let config: Config = settings::lay_over(&settings::lay_over(&base, file)?, flags)?;
        return Ok(config.with_parameters(false).with_absolute_paths());
    }
    let (path, meta, _) = latest_checkpoint(&args.out).context("there is nothing to resume")?;
    let saved: Saved = serde_json::from_value(meta.config)
        .with_context(|| format!("{} was not written by tabular-train; give a run of this program", path.display()))?;
    let older = saved.run.is_of_older_run();
    let config: Config = settings::lay_over(&saved.run, flags)?;
    let config = config.with_parameters(older).with_absolute_paths();
    settings::check_resumed(&saved.run.with_parameters(older).with_absolute_paths(), &config, &MAY_CHANGE)?;
    Ok(config)
}

/// Gives the names of toy distributions in the config.toml of an older run, which has every key,
/// the meaning that they had.
fn older_names(file: &mut Table) {
    if !file.contains_key("teacher_steps") {
        return;
    }
    for key in ["data", "source"] {
        if let Some(Value::String(name)) = file.get_mut(key)
            && let Some(toy) = Toy::of_older_runs(name).filter(|_| name != "gaussian")
        {
            *name = toy.to_string();
        }
    }
}

impl Config {
    /// How tables are read or drawn.
    pub(crate) fn reading(&self) -> Reading {
        Reading { table: self.table.clone(), rows: self.rows, seed: self.seed }
    }

    /// What the run wants of its data.
    pub(crate) fn data_options(&self) -> DataOptions {
        DataOptions {
            data: self.data.clone(),
            how: self.reading(),
            hold_out: self.held_out(),
            preprocess: self.preprocess,
            clip_outliers: self.clip_outliers,
            non_negative: self.non_negative,
        }
    }
}
