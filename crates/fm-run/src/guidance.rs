//! Guidance: its flags, and the field that follows from them.
//!
//! The scale is a flag of each program, whose defaults differ. Without a rule, a rescale or a weak
//! model, the field is that of classifier-free guidance, by one pass over a doubled batch.

use anyhow::{bail, ensure};
use fm_cli::options::help_with_default;
use fm_core::field::RowField;
use fm_core::objective::Objective;
use fm_core::tensor::VelocityModel;
use fm_solvers::Sampler;
use fm_solvers::guidance::{Doubled, Field, GuidanceOptions, GuidanceRule, Guided, Guider, Pair, Unconditional};
use fm_solvers::sampler::SolverName;
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tch::Tensor;

/// The flags of guidance, without its scale.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Sampling")]
pub struct GuidanceArgs {
    /// Rule of guidance.
    #[arg(long, value_name = "RULE", help = help_with_default::<GuidanceRule>("Rule of guidance"))]
    pub guidance: Option<GuidanceRule>,
    /// Guide only at times from LOW to HIGH; 0 is noise, 1 is data (default: 0,1).
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',', hide = true)]
    pub cfg_interval: Vec<f64>,
    /// Share, from 0 to 1, of the guided velocity that is rescaled to the deviation of the
    /// unguided one (default: 0).
    #[arg(long, value_name = "SHARE", hide = true)]
    pub cfg_rescale: Option<f64>,
    /// Guide away from a weaker model, a run or step-N (an earlier checkpoint of this run), instead
    /// of the same model without its class; --cfg-scale is the scale.
    #[arg(long, value_name = "RUN")]
    pub guide_with: Option<String>,
}

/// A weaker model to guide away from.
#[derive(Debug)]
pub struct Weak {
    /// The network.
    pub model: Box<dyn VelocityModel>,
    /// Whether it has classes, those of the model.
    pub conditional: bool,
    /// Description of it and of its weights.
    pub name: String,
    /// Everything that its predictions depend on, for caches; `None` where nothing is cached.
    pub key: Option<Value>,
}

/// How samples are guided.
#[derive(Debug, Clone)]
pub struct Guide {
    /// The rule.
    pub rule: GuidanceRule,
    /// The scale; 1 is the model without guidance.
    pub scale: f64,
    /// Times with guidance.
    pub interval: (f64, f64),
    /// The share that is rescaled.
    pub rescale: f64,
    /// The weaker model, if it is not the same one without its class.
    pub weak: Option<Rc<Weak>>,
}

impl Guide {
    /// Classifier-free guidance with this scale.
    pub fn of_scale(scale: f64) -> Self {
        Self { rule: GuidanceRule::default(), scale, interval: (0.0, 1.0), rescale: 0.0, weak: None }
    }

    /// This guide, with the flags that are given.
    ///
    /// # Errors
    /// A scale or a rescale outside its domain, and an interval that is not two rising times from 0
    /// to 1.
    pub fn with(self, args: &GuidanceArgs) -> anyhow::Result<Self> {
        let (scale, rescale) = (self.scale, args.cfg_rescale.unwrap_or(self.rescale));
        ensure!(scale.is_finite(), "--cfg-scale is {scale}; give a finite number, 1 for no guidance");
        ensure!((0.0..=1.0).contains(&rescale), "--cfg-rescale is {rescale}; give a share from 0 to 1");
        let interval = match args.cfg_interval[..] {
            [] => self.interval,
            [low, high] if 0.0 <= low && low < high && high <= 1.0 => (low, high),
            _ => bail!("--cfg-interval is {:?}; give two rising times from 0 to 1, such as 0.2,0.8", args.cfg_interval),
        };
        Ok(Self { rule: args.guidance.unwrap_or(self.rule), interval, rescale, ..self })
    }

    /// Refuses given flags that have no effect at this scale.
    ///
    /// # Errors
    /// A rule, a rescale, an interval or a weak model at scale 1.
    pub fn refuse_idle(&self, args: &GuidanceArgs) -> anyhow::Result<()> {
        let given = [
            (args.guidance.is_some_and(|rule| rule != GuidanceRule::Plain), "--guidance"),
            (args.cfg_rescale.is_some_and(|share| share > 0.0), "--cfg-rescale"),
            (self.interval != (0.0, 1.0), "--cfg-interval"),
            (args.guide_with.is_some(), "--guide-with"),
        ];
        if let Some((_, flag)) = given.iter().find(|(given, _)| *given && self.scale == 1.0) {
            bail!("{flag} has no effect at scale 1, the model without guidance; give --cfg-scale 2, or drop {flag}");
        }
        Ok(())
    }

    /// Fails if the steps are jumps and the model under this guidance has none.
    ///
    /// # Errors
    /// `--solver map` with a flow, along another path, or with more than plain guidance.
    pub fn ensure_jumps(&self, sampler: &Sampler, model: &dyn VelocityModel) -> anyhow::Result<()> {
        if sampler.solver != SolverName::FlowMap || sampler.stochastic.is_some() {
            return Ok(());
        }
        ensure!(
            model.takes_intervals(),
            "cannot use --solver map: this model is a flow; give another --solver, or train with --task split"
        );
        // A rule and a rescale can be those of the run's configuration, where no flag is to drop.
        let given = [
            (sampler.schedule.is_some(), "--schedule", "drop --schedule"),
            (self.weak.is_some(), "--guide-with", "drop --guide-with"),
            (self.rule != GuidanceRule::Plain, "--guidance", "give --guidance cfg"),
            (self.rescale > 0.0, "--cfg-rescale", "give --cfg-rescale 0"),
        ];
        if let Some((_, flag, remedy)) = given.iter().find(|(given, ..)| *given) {
            bail!(
                "cannot use --solver map with {flag}: a flow map jumps on its own path, by plain guidance only; {remedy}"
            );
        }
        Ok(())
    }

    /// Whether this is classifier-free guidance without further rules.
    fn is_plain(&self) -> bool {
        self.rule == GuidanceRule::Plain && self.rescale == 0.0 && self.weak.is_none()
    }

    /// The rules, for the steps of a sampler.
    ///
    /// # Errors
    /// A rule that suits neither the steps nor the prediction.
    pub fn options(&self, sampler: &Sampler, objective: &Objective) -> anyhow::Result<GuidanceOptions> {
        let options = sampler.guidance_options(self.rule, objective.span()?)?;
        let Self { scale, interval, rescale, .. } = *self;
        let options = GuidanceOptions { scale, interval, rescale, ..options };
        let of_velocities = options.zero_star.is_some() || options.look_ahead.is_some();
        ensure!(
            !of_velocities || objective.prediction.is_velocity(),
            "cannot use --guidance {} with a model that predicts the {}: its formula is of velocities; give --guidance apg or cfg",
            self.rule,
            objective.prediction
        );
        ensure!(
            sampler.stochastic.is_none() || objective.prediction.score_weight().is_none() || self.is_plain(),
            "cannot use --sde with more than plain guidance of this model: the rules guide its velocity, and not its score; \
             give --guidance cfg without --cfg-rescale and --guide-with, or drop --sde"
        );
        options.check(objective.prediction)?;
        Ok(options)
    }

    /// The field of a model for rows with these conditions, if it has any.
    ///
    /// # Errors
    /// As [`options`](Self::options).
    pub fn field<'m>(
        &'m self,
        model: &'m dyn VelocityModel,
        conditions: Option<(Tensor, i64)>,
        sampler: &Sampler,
        objective: &Objective,
    ) -> anyhow::Result<Box<dyn RowField<Tensor> + 'm>> {
        let field = |model: &'m dyn VelocityModel, scale: f64, conditional: bool| match &conditions {
            Some((conditions, null_class)) if conditional => Field::Conditional(Guided {
                model,
                conditions: conditions.shallow_clone(),
                null_class: *null_class,
                scale,
                interval: self.interval,
            }),
            _ => Field::Unconditional(Unconditional(model)),
        };
        if self.is_plain() {
            return Ok(Box::new(field(model, self.scale, true)));
        }
        let (options, prediction) = (self.options(sampler, objective)?, objective.prediction);
        if let Some(weak) = &self.weak {
            let pair = Pair { main: field(model, 1.0, true), weak: field(weak.model.as_ref(), 1.0, weak.conditional) };
            return Ok(Box::new(Guider::new(pair, options, prediction)?));
        }
        match field(model, 1.0, true) {
            Field::Conditional(guided) => Ok(Box::new(Guider::new(Doubled(guided), options, prediction)?)),
            // Rows without conditions have one prediction.
            field @ Field::Unconditional(_) => Ok(Box::new(field)),
        }
    }

    /// What the guidance is, as readable text.
    pub fn describe(&self) -> String {
        let (low, high) = self.interval;
        let mut text = format!("guidance {}", self.scale);
        if self.rule != GuidanceRule::Plain {
            text += &format!(" by {}", self.rule);
        }
        if let Some(weak) = &self.weak {
            text += &format!(" away from {}", weak.name);
        }
        if self.rescale > 0.0 {
            text += &format!(", rescale {}", self.rescale);
        }
        if (low, high) != (0.0, 1.0) {
            text += &format!(" for t from {low} to {high}");
        }
        let passes = if matches!(self.rule, GuidanceRule::LookAhead { .. }) { "three" } else { "two" };
        text + &format!(" ({passes} network passes per evaluation)")
    }

    /// The values, for files beside samples.
    pub fn about(&self) -> Value {
        json!({
            "rule": self.rule, "scale": self.scale, "interval": [self.interval.0, self.interval.1],
            "rescale": self.rescale, "guide_with": self.weak.as_ref().map(|weak| &weak.name),
        })
    }

    /// Everything beside scale and interval that samples depend on, as a key for caches; `None` for
    /// classifier-free guidance without further rules.
    pub fn key(&self) -> Option<Value> {
        let weak = self.weak.as_ref().and_then(|weak| weak.key.as_ref());
        (!self.is_plain()).then(|| json!({ "rule": self.rule, "rescale": self.rescale, "weak": weak }))
    }
}

/// The path of a weak model: `step-N` is always a checkpoint beside `checkpoint`, that of the
/// model; `./step-N` is another path.
///
/// # Errors
/// A step of a file of weights, and one that the run has not kept.
pub fn weak_path(given: &str, checkpoint: &Path) -> anyhow::Result<PathBuf> {
    let step = given.strip_prefix("step-").filter(|step| step.parse::<u64>().is_ok());
    if step.is_none() {
        return Ok(given.into());
    }
    ensure!(
        checkpoint.is_dir(),
        "cannot find {given} beside {}, a file of weights; give the run itself by --checkpoint, or a run by --guide-with",
        checkpoint.display()
    );
    let beside = checkpoint.parent().unwrap_or(Path::new("."));
    let path = beside.join(given);
    if !path.is_dir() {
        let entries = std::fs::read_dir(beside).into_iter().flatten().flatten();
        let others =
            entries.map(|entry| entry.file_name()).filter(|name| Some(name.as_os_str()) != checkpoint.file_name());
        let names = others.filter_map(|name| name.into_string().ok());
        let mut steps: Vec<u64> = names.filter_map(|name| name.strip_prefix("step-")?.parse().ok()).collect();
        steps.sort_unstable();
        ensure!(
            !steps.is_empty(),
            "cannot find {given} in {}: the run keeps no other checkpoint; train with a smaller --save-every, and for images --keep-checkpoints 0",
            beside.display()
        );
        let first: Vec<String> = steps.iter().take(8).map(|step| format!("step-{step}")).collect();
        bail!(
            "cannot find {given} in {}: the run does not keep it; give --guide-with one of {}",
            beside.display(),
            first.join(", ")
        );
    }
    Ok(path)
}

/// Fails if a scale needs the prediction without a class, and the model has no null class.
///
/// # Errors
/// A scale other than 1 of a model without a null class.
pub fn ensure_guidable(scale: f64, null_class: bool) -> anyhow::Result<()> {
    ensure!(
        scale == 1.0 || null_class,
        "cannot guide: the model was trained without --label-drop; drop --cfg-scale, or give --guide-with a weaker model"
    );
    Ok(())
}

/// What two models need in common: names, and the values as text.
pub type Traits = [(&'static str, String); 5];

/// Fails if a weak model differs from the model in one of these.
///
/// # Errors
/// Two different values.
pub fn ensure_alike(path: &Path, main: &Traits, weak: &Traits) -> anyhow::Result<()> {
    main.iter().zip(weak).try_for_each(|((what, main), (_, weak))| ensure_same(path, what, main, weak))
}

/// Fails if a weak model differs from the model in `what`.
///
/// # Errors
/// Two different values.
pub fn ensure_same<T: PartialEq + Display>(path: &Path, what: &str, main: &T, weak: &T) -> anyhow::Result<()> {
    ensure!(
        main == weak,
        "cannot guide with {}: its {what} is {weak}, the model's {main}; give --guide-with a model that was trained alike",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_further_rules_have_a_key() {
        let plain = Guide { interval: (0.2, 0.8), ..Guide::of_scale(3.0) };
        assert_eq!(plain.key(), None);
        let rule = "apg:eta=0.5".parse().unwrap();
        let keys = [Guide { rule, ..plain.clone() }, Guide { rescale: 0.5, ..plain.clone() }].map(|guide| guide.key());
        assert!(keys[0].is_some() && keys[1].is_some() && keys[0] != keys[1]);
        let text = Guide { rule, rescale: 0.5, ..plain }.describe();
        assert_eq!(
            text,
            "guidance 3 by apg:eta=0.5,norm=5,momentum=-0.5, rescale 0.5 for t from 0.2 to 0.8 (two network passes per evaluation)"
        );
    }

    #[test]
    fn intervals_are_rising_times_from_0_to_1_and_need_guidance() {
        let given = |interval: &[f64]| GuidanceArgs { cfg_interval: interval.to_vec(), ..GuidanceArgs::default() };
        for wrong in [&[3.0, 4.0][..], &[-0.1, 0.5], &[0.5, 1.1], &[0.8, 0.2], &[0.5, 0.5], &[0.5], &[f64::NAN, 1.0]] {
            let error = Guide::of_scale(2.0).with(&given(wrong)).unwrap_err().to_string();
            assert!(error.contains("two rising times from 0 to 1"), "{error}");
        }
        let at = |scale: f64, args: &GuidanceArgs| Guide::of_scale(scale).with(args).unwrap().refuse_idle(args);
        assert!(at(2.0, &given(&[0.2, 0.4])).is_ok() && at(1.0, &given(&[0.0, 1.0])).is_ok());
        let error = at(1.0, &given(&[0.2, 0.4])).unwrap_err().to_string();
        assert!(error.starts_with("--cfg-interval has no effect at scale 1"), "{error}");
    }

    #[test]
    fn steps_are_checkpoints_of_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("step-20");
        std::fs::create_dir(&own).unwrap();
        let error = weak_path("step-10", &own).unwrap_err().to_string();
        assert!(error.contains("keeps no other checkpoint"), "{error}");
        std::fs::create_dir(dir.path().join("step-15")).unwrap();
        assert_eq!(weak_path("step-15", &own).unwrap(), dir.path().join("step-15"));
        let error = weak_path("step-10", &own).unwrap_err().to_string();
        assert!(error.ends_with("give --guide-with one of step-15"), "{error}");
        assert_eq!(weak_path("./step-10", &own).unwrap(), Path::new("./step-10"));
    }
}
