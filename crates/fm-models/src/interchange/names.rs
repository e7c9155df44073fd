//! Names of tensors: the networks that they belong to, and the components that wrappers add.

use super::error::clip;
use std::borrow::Cow;

/// Components that wrappers add anywhere in a name.
const INSIDE: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Components that wrappers add before the names of a network.
const BEFORE: [&str; 9] =
    ["module", "model", "ema_model", "net_model", "state_dict", "unet", "dit", "network", "diffusion_model"];

/// A tensor that a network always has, and the network.
const MARKERS: [(&str, &str); 7] = [
    ("time_embed.0.weight", "unet"),
    ("x_embedder.proj.weight", "dit"),
    ("x_embedder.weight", "sequence"),
    ("net.0.weight", "mlp"),
    ("layers.0.lin1.weight", "concat-squash"),
    ("layers.0.lin2.weight", "concat-squash"),
    ("codebook.embed", "vq-vae"),
];

/// Tensors of networks of others, for messages.
const OTHERS: [(&str, &str); 12] = [
    ("down_blocks.0.resnets.0.conv1.weight", "a U-Net or autoencoder of diffusers"),
    ("transformer_blocks.0.attn1.to_q.weight", "a transformer of diffusers"),
    ("joint_blocks.0.x_block.attn.qkv.weight", "an MM-DiT (Stable Diffusion 3)"),
    ("double_blocks.0.img_attn.qkv.weight", "a FLUX transformer"),
    ("encoder.conv_in.weight", "an autoencoder for latents"),
    ("temb.dense.0.weight", "the U-Net of DDPM"),
    ("init_conv.weight", "the U-Net of denoising-diffusion-pytorch"),
    ("map_layer0.weight", "a network of EDM"),
    ("patch_embed.proj.weight", "a vision transformer"),
    ("Conv2d_1a_3x3.conv.weight", "the Inception network for FID, which is no velocity network"),
    ("text_model.embeddings.token_embedding.weight", "a text encoder"),
    ("layer1.0.conv1.weight", "a ResNet"),
];

/// The kind of network with these parameter names.
pub(super) fn family<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    names.filter_map(|name| MARKERS.iter().find(|(marker, _)| *marker == name)).map(|(_, kind)| *kind).next()
}

/// The kind of a network of others with these names.
pub(super) fn other_family<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    names
        .filter_map(|name| OTHERS.iter().find(|(marker, _)| under(name, marker).is_some()))
        .map(|(_, kind)| *kind)
        .next()
}

/// The prefix of a network whose tensor this is, with its dot, and the kind of the network.
pub(super) fn network_prefix(name: &str) -> Option<(&str, &'static str)> {
    MARKERS.iter().find_map(|(marker, kind)| Some((under(name, marker)?, *kind)))
}

fn under<'a>(name: &'a str, marker: &str) -> Option<&'a str> {
    name.strip_suffix(marker).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
}

/// A name without the components that compilation and sharding add to every level.
pub(super) fn clean(name: &str) -> Cow<'_, str> {
    if !INSIDE.iter().any(|component| name.contains(component)) {
        return Cow::Borrowed(name);
    }
    let kept: Vec<&str> = name.split('.').filter(|component| !INSIDE.contains(component)).collect();
    Cow::Owned(kept.join("."))
}

/// The name of the part of the file with this prefix: without the components of wrappers around a
/// network.
pub(super) fn part_of(prefix: &str) -> String {
    let mut components: Vec<&str> = prefix.split('.').filter(|c| !c.is_empty()).collect();
    while components.last() == Some(&"module") {
        components.pop();
    }
    components.join(".")
}

/// The length of the prefix of wrappers that all names share.
pub(super) fn shared_wrappers(names: &[&str]) -> usize {
    let mut length = 0;
    while let Some(first) = names.first() {
        let Some(wrapper) =
            BEFORE.iter().find(|w| first[length..].strip_prefix(**w).is_some_and(|r| r.starts_with('.')))
        else {
            break;
        };
        let next = length + wrapper.len() + 1;
        let known = family(names.iter().map(|name| &name[length..])).is_some();
        let shared = names.iter().all(|name| name.len() > next && name[..next] == first[..next]);
        if known || !shared {
            break;
        }
        length = next;
    }
    length
}

/// Whether a component of a name says that the weights are averages.
fn names_averages(component: &str) -> bool {
    let lower = component.to_lowercase();
    if lower.starts_with("exp_avg") || lower.starts_with("max_exp_avg") {
        return false;
    }
    lower.split(|c: char| !c.is_ascii_alphabetic()).any(|token| {
        matches!(token, "averaged" | "average" | "averages" | "swa" | "shadow" | "polyak" | "ewa")
            || token.ends_with("ema") && !matches!(token, "schema" | "cinema")
    })
}

/// The problem of a network with a layer whose weight is computed from several tensors.
pub(super) fn computed<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    names.find(|name| is_computed(name)).map(|name| {
        format!(
            "its {} belongs to a weight norm, spectral norm, pruning or an adapter; merge it before saving: \
             remove_weight_norm, remove_spectral_norm, remove_parametrizations, prune.remove or merge_and_unload",
            clip(name, 60)
        )
    })
}

fn is_computed(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    matches!(last, "weight_g" | "weight_v" | "weight_orig" | "weight_mask" | "weight_u" | "weight_sigma")
        || name.split('.').any(|component| component == "parametrizations" || component.starts_with("lora_"))
}

/// Whether all names end with numbers, as those of lists do.
pub(super) fn is_list(names: &[&str]) -> bool {
    let number = |name: &&str| name.rsplit('.').next().is_some_and(|last| last.parse::<usize>().is_ok());
    !names.is_empty() && names.iter().all(number)
}

/// Whether a component belongs to the state of an optimizer.
pub(super) fn names_an_optimizer(component: &str) -> bool {
    let lower = component.to_lowercase();
    lower.starts_with("optim") || lower == "opt" || lower.contains("exp_avg") || lower == "collected_params"
}

/// The part of a name up to its last component that names averages, without the rest; `None` if the
/// name is not of an average.
pub(super) fn averaged(name: &str) -> Option<(&str, &str)> {
    let (mut start, mut found) = (0, None);
    for component in name.split('.') {
        if names_an_optimizer(component) {
            return None;
        }
        let end = start + component.len();
        if names_averages(component) && end < name.len() {
            found = Some((&name[..end], &name[end + 1..]));
        } else if component == "online_model" {
            // ema_pytorch keeps the weights in training beside their average.
            found = None;
        }
        start = end + 1;
    }
    found
}

/// The part of a name that names averages which the state of an optimizer holds.
pub(super) fn averaged_by_optimizer(name: &str) -> Option<&str> {
    let (mut start, mut inside) = (0, false);
    for component in name.split('.') {
        let end = start + component.len();
        if inside && names_averages(component) {
            return Some(&name[..end]);
        }
        inside |= names_an_optimizer(component);
        start = end + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_told_from_the_state_of_optimizers() {
        for (name, part) in [
            ("ema_model.net.0.weight", Some("ema_model")),
            ("state_dict.model_ema.x", Some("state_dict.model_ema")),
            ("ema.shadow_params.3", Some("ema.shadow_params")),
            ("EMA.w", Some("EMA")),
            ("netEMA.w", Some("netEMA")),
            ("ema_0.9999.w", Some("ema_0")),
            ("swa.module.w", Some("swa")),
            ("optimizer.state.0.exp_avg", None),
            ("optimizer.ema.0.w", None),
            ("model.exp_avg.w", None),
            ("schema.w", None),
            ("ema.collected_params.0", None),
            ("model.w", None),
            ("ema", None),
        ] {
            assert_eq!(averaged(name).map(|(part, _)| part), part, "{name}");
        }
        let inside = |name| averaged_by_optimizer(name);
        assert_eq!(inside("optimizer_states.0.ema.3"), Some("optimizer_states.0.ema"));
        assert_eq!([inside("optimizer.state.0.exp_avg"), inside("ema.3"), inside("model.w")], [None; 3]);
    }

    #[test]
    fn wrappers_fall_away_at_every_level() {
        assert_eq!(clean("_fsdp_wrapped_module.blocks.0._fsdp_wrapped_module.w"), "blocks.0.w");
        assert_eq!(clean("_orig_mod.module.w"), "module.w");
        assert_eq!(clean("blocks.1._checkpoint_wrapped_module._orig_mod.w"), "blocks.1.w");
        assert_eq!(network_prefix("a.net.time_embed.0.weight"), Some(("a.net.", "unet")));
        assert_eq!(network_prefix("subnet.0.weight"), None);
        assert_eq!(part_of("ema.module."), "ema");
        assert_eq!(part_of("module."), "");
        assert_eq!(shared_wrappers(&["model.module.a", "model.module.b"]), "model.module.".len());
        assert_eq!(shared_wrappers(&["model.net.0.weight"]), "model.".len());
        assert_eq!(shared_wrappers(&["net.0.weight", "net.0.bias"]), 0);
    }
}
