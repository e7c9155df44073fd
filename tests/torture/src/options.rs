//! Which options of a command are drawn, and their values.
//!
//! Names and defaults come from the command's help and from docs/options.md, so a new option is
//! drawn without a change here: a named option gets one of its names, a switch is given or not, and
//! a number becomes half of its default, the default, or twice the default. [`VALUES`] has the
//! options with other values, and [`NOT_DRAWN`] those that are left out.

use crate::help::Flag;
use crate::named::Named;
use rand::Rng;
use rand::seq::IndexedRandom;
use std::collections::BTreeMap;

/// Options that are left out: places, other commands' results, devices, processes, and what the
/// configurations set themselves.
const NOT_DRAWN: &str = "
    help help-all preset config out resume dry-run profile data image-size pairs init latent dit epochs device
    dist-timeout teacher checkpoint raw-weights part set labels ignore header separator encoding test steps batch-size
    save-every sample-every log-every channels guide-with rounds from";

/// Values of options whose useful values do not follow from the help, for runs of a few small
/// steps.
const VALUES: &[(&str, &[&str])] = &[
    ("lr", &["1e-4", "1e-3", "1e-2"]),
    ("warmup-steps", &["0", "2", "5"]),
    ("clip", &["0.05", "1", "inf"]),
    ("ema-decay", &["0", "0.9", "0.9,0.99", "0.5,0.9,0.999"]),
    ("ema-sigma", &["0.05", "0.05,0.1", "0.2,0.1,0.05"]),
    ("micro-batch-size", &["1", "2", "3", "5"]),
    ("non-finite-patience", &["1", "5"]),
    ("monitor", &["loss", "grad_norm", "update_ratio"]),
    ("validate-every", &["0", "6"]),
    ("quality-every", &["0", "6"]),
    ("quality-samples", &["2", "20"]),
    ("early-stopping", &["1", "2", "3"]),
    ("keep-best", &["0", "1", "2"]),
    ("min-delta", &["0", "0.01"]),
    ("flow-type", &["cfm", "ot_cfm", "rectified_flow"]),
    ("sigma-min", &["0", "0.01"]),
    ("ot-regularization", &["0.05", "0.5"]),
    ("time-sampling", &["uniform", "logit_normal", "u_shaped"]),
    ("logit-normal-loc", &["0", "-0.5"]),
    ("logit-normal-scale", &["0.5", "1"]),
    ("heads", &["1", "2"]),
    ("decoder-blocks", &["0", "1"]),
    ("window", &["0", "8"]),
    ("stride", &["1", "4"]),
    ("loss-aware", &["2", "5", "10"]),
    ("ot-batch", &["2", "3", "4"]),
    ("random-crop", &["0", "1", "2"]),
    ("random-rotation", &["0", "7.5"]),
    ("random-translation", &["0", "1"]),
    ("label-drop", &["0", "0.1", "0.5", "1"]),
    ("weight-decay", &["0", "0.01", "0.3"]),
    ("seed", &["1", "7", "123456789"]),
    ("keep-checkpoints", &["0", "1", "2", "3"]),
    ("num-workers", &["0", "1", "3"]),
    ("time-clip", &["0.001", "0.05"]),
    ("source", &["gaussian", "matched", "sparse:rate=0.3"]),
    ("clip-outliers", &["0", "0.02"]),
    ("hold-out", &["0", "0.1", "0.5"]),
    ("rows", &["0", "40", "300"]),
    ("activation", &["gelu", "selu", "tanh", "softplus"]),
    ("degree", &["1"]),
    ("widths", &["8", "16,16", "4,8,4"]),
    ("teacher-steps", &["1", "3"]),
    ("codes", &["4", "16"]),
    ("code-dim", &["2", "4"]),
    ("channel-mult", &["1", "1,1", "1,2"]),
    ("commitment", &["0.1", "1"]),
    ("num-steps", &["1", "3"]),
    ("times", &["0,1", "0,0.3,1"]),
    ("rtol", &["1e-2", "1e-3"]),
    ("atol", &["1e-2", "1e-3"]),
    ("cfg-scale", &["1", "2"]),
    ("cfg-interval", &["0.2,0.8"]),
    ("cfg-rescale", &["0", "0.7"]),
];

/// The options of a command that are drawn, each with the texts from which its value is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Drawn {
    name: String,
    from: From,
}

#[derive(Debug, Clone)]
enum From {
    /// The option has no value.
    Switch,
    /// One of these.
    Texts(Vec<String>),
    /// One of these, with parameters.
    Names(Vec<Named>),
}

/// Sorts the options of a command: those that are drawn, and the names of those for which no value
/// is known.
pub(crate) fn sort(flags: &[Flag], named: &BTreeMap<String, Vec<Named>>) -> (Vec<Drawn>, Vec<String>) {
    let (mut drawn, mut unknown) = (Vec::new(), Vec::new());
    for flag in flags.iter().filter(|flag| NOT_DRAWN.split_whitespace().all(|name| name != flag.name)) {
        match values(flag, named) {
            Some(from) => drawn.push(Drawn { name: flag.name.clone(), from }),
            None => unknown.push(flag.name.clone()),
        }
    }
    (drawn, unknown)
}

fn values(flag: &Flag, named: &BTreeMap<String, Vec<Named>>) -> Option<From> {
    let texts = |texts: &[&str]| From::Texts(texts.iter().map(|&text| text.to_owned()).collect());
    if let Some((_, known)) = VALUES.iter().find(|(name, _)| *name == flag.name) {
        return Some(texts(known));
    }
    // An option of one program may have the name of a named option of the other.
    let page = named.get(&flag.name).or_else(|| (flag.name == "schedule").then(|| named.get("path"))?);
    let listed = |name: &Named| flag.values.is_empty() || flag.values.iter().any(|value| name.is(value));
    if let Some(names) = page.filter(|names| names.iter().all(listed)) {
        return Some(From::Names(names.clone()));
    }
    if !flag.values.is_empty() {
        return Some(From::Texts(flag.values.clone()));
    }
    match flag.value.as_deref() {
        None => Some(From::Switch),
        Some("BOOL") => Some(texts(&["true", "false"])),
        Some(_) => numbers(flag.default.as_deref()?),
    }
}

/// Half of a number, the number, and twice the number.
fn numbers(default: &str) -> Option<From> {
    let texts = match (default.parse::<u64>(), default.parse::<f64>()) {
        (Ok(whole), _) => [whole.div_ceil(2), whole, whole * 2].map(|n| n.to_string()),
        (_, Ok(real)) => [real / 2.0, real, real * 2.0].map(|x| x.to_string()),
        _ => return None,
    };
    Some(From::Texts(texts.to_vec()))
}

impl Drawn {
    /// The option as it is written.
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// The words of the option on a command line.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> Vec<String> {
        let option = self.flag();
        let value = match &self.from {
            From::Switch => return vec![option],
            From::Texts(texts) => texts.choose(rng).cloned(),
            From::Names(names) => names.choose(rng).map(|name| name.draw(rng)),
        };
        [option].into_iter().chain(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn flag(name: &str, value: Option<&str>, default: Option<&str>) -> Flag {
        Flag { name: name.into(), value: value.map(Into::into), default: default.map(Into::into), ..Flag::default() }
    }

    /// Options that nobody has entered here are drawn by what their help says.
    #[test]
    fn new_options_are_drawn_without_a_change_here() {
        let page = "## News (`--news`)\n\n| `good` |  |  | none |\n| `bad` |  |  | none |\n";
        let flags = [
            flag("news", Some("NEWS"), None),
            flag("brave", None, None),
            flag("new-number", Some("N"), Some("6")),
            flag("new-share", Some("SHARE"), Some("0.5")),
            flag("new-bool", Some("BOOL"), Some("false")),
            flag("new-text", Some("TEXT"), None),
            flag("out", Some("DIR"), None),
        ];
        let (drawn, unknown) = sort(&flags, &crate::named::read(page));
        assert_eq!(unknown, ["new-text"]);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut texts: Vec<String> = (0..300)
            .flat_map(|_| drawn.iter().map(|d| d.draw(&mut rng)).collect::<Vec<_>>())
            .map(|words| words.join(" "))
            .collect();
        texts.sort();
        texts.dedup();
        let wanted = "--brave/--new-bool false/--new-bool true/--new-number 12/--new-number 3/--new-number 6/\
                      --new-share 0.25/--new-share 0.5/--new-share 1/--news bad/--news good";
        assert_eq!(texts.join("/"), wanted);
    }
}
