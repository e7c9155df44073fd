//! The weaker model of `--guide-with`.

use crate::args::{ImageSize, Which};
use crate::model::{Loaded, open};
use fm_run::guidance::{GuidanceArgs, Traits, Weak, ensure_alike, ensure_same, weak_path};
use fm_run::weights::{FileArgs, WhichWeights, is_weights};
use std::rc::Rc;

impl Loaded {
    /// Opens the model to guide samples of this one away from, if one is given, for images of this
    /// size, if one is given.
    ///
    /// # Errors
    /// A model that does not exist, or that was trained for other images, another prediction or
    /// another path.
    pub(crate) fn open_weak(
        &mut self,
        args: &GuidanceArgs,
        which: &Which,
        size: Option<ImageSize>,
    ) -> anyhow::Result<()> {
        let Some(given) = &args.guide_with else { return Ok(()) };
        let path = weak_path(given, &self.path)?;
        let mut which = which.clone();
        // The flags of a model apply to the other one where they can.
        if is_weights(&path)? {
            which.weights = WhichWeights::default();
        } else {
            which.file = FileArgs::default();
        }
        let mut weak = open(&path, &which, false)?;
        ensure_alike(&path, &traits(self)?, &traits(&weak)?)?;
        let conditional = !weak.data.classes.is_empty();
        if conditional {
            ensure_same(&path, "number of classes", &self.data.classes.len(), &weak.data.classes.len())?;
        }
        let key = Some(weak.key()?);
        if let Some(ImageSize(size)) = size {
            weak.resize(size)?;
        }
        let name = format!("{} of {}", weak.weights, weak.path.display());
        self.weak = Some(Rc::new(Weak { model: weak.model, conditional, name, key }));
        Ok(())
    }
}

/// What two models need in common.
fn traits(loaded: &Loaded) -> anyhow::Result<Traits> {
    let objective = &loaded.config.flow.objective;
    let autoencoder = loaded.autoencoder.as_ref().map(|autoencoder| autoencoder.sha256()).transpose()?;
    Ok([
        ("image shape", format!("{:?}", loaded.data.shape)),
        ("prediction", objective.prediction.to_string()),
        ("path", objective.path.to_string()),
        ("autoencoder", autoencoder.map_or_else(|| "none".into(), |sha256| sha256[..8].to_owned())),
        ("scale of latents", loaded.config.latent_scale.to_string()),
    ])
}
