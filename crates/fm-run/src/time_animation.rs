//! The animation of a time distribution: its quantile function and density while its first
//! parameter goes through its range.

use anyhow::{Context, ensure};
use fm_core::choice::Choice;
use fm_core::time::TimeKind;
use fm_pictures::{Panel, panels, save_gif};
use std::path::Path;

/// Frames of the animation.
const FRAMES: usize = 40;
/// Points of a line.
const POINTS: usize = 200;
/// The density at the top of the picture.
const TOP: f64 = 3.0;

/// Writes the animation.
///
/// # Errors
/// A distribution without parameters, and a file that cannot be written.
pub(crate) fn animate(path: &Path, kind: TimeKind) -> anyhow::Result<()> {
    let pictures = kinds(kind)?.into_iter().map(frame).collect::<anyhow::Result<Vec<_>>>()?;
    save_gif(path, pictures)
}

/// The distributions of the frames, of which each differs from the one before.
fn kinds(kind: TimeKind) -> anyhow::Result<Vec<TimeKind>> {
    let entry = kind.entry();
    ensure!(
        !entry.parameters.is_empty(),
        "the time distribution {kind} has no parameter to animate; choose another, such as --time warp"
    );
    let domain = entry.parameters[0].domain;
    let mut kinds = Vec::new();
    for k in 0..FRAMES {
        // The ends may be excluded, or belong to a distribution without a density.
        let share = (k as f64 + 0.5) / FRAMES as f64;
        let value = domain.low + share * (domain.high - domain.low);
        let values =
            [if domain.whole { value.round() } else { value }].into_iter().chain(kind.parameters().into_iter().skip(1));
        let pairs: Vec<String> = entry.parameters.iter().zip(values).map(|(p, v)| format!("{}={v}", p.name)).collect();
        let text = format!("{}:{}", entry.name(), pairs.join(","));
        let next = TimeKind::parse(&text).with_context(|| format!("cannot animate {kind}; please report this"))?;
        if kinds.last() != Some(&next) {
            kinds.push(next);
        }
    }
    Ok(kinds)
}

fn frame(kind: TimeKind) -> anyhow::Result<image::RgbImage> {
    let places = || (0..POINTS).map(|i| (i as f64 + 0.5) / POINTS as f64);
    let line = |f: &dyn Fn(f64) -> f64| places().map(|x| (x, f(x))).collect::<Vec<_>>();
    let [name, value] = [kind.entry().parameters[0].name.to_owned(), format!("{:.2}", kind.parameters()[0])];
    panels(&[
        Panel {
            title: format!("{}: time of u, {name} = {value}", kind.entry().name()),
            lines: vec![("t = Q(u)".into(), line(&|u| kind.quantile(u))), ("uniform".into(), line(&|u| u))],
            top: Some(1.0),
        },
        Panel {
            title: format!("density, {name} = {value}"),
            lines: vec![("p(t)".into(), line(&|t| kind.density(t)))],
            top: Some(TOP),
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distribution_with_a_parameter_is_animated() {
        for entry in TimeKind::TABLE {
            let kind = TimeKind::parse(entry.name()).unwrap();
            let Ok(kinds) = kinds(kind) else {
                assert!(entry.parameters.is_empty(), "{kind}");
                continue;
            };
            assert!(
                kinds.len() > 10 && kinds.iter().all(|k| k.entry().name() == entry.name()),
                "{kind}: {}",
                kinds.len()
            );
            let firsts: Vec<f64> = kinds.iter().map(|k| k.parameters()[0]).collect();
            assert!(firsts.is_sorted(), "{firsts:?}");
        }
        let warps = kinds(TimeKind::Warp { s: 0.5 }).unwrap();
        assert!(warps.len() == 40 && (warps[0].parameters()[0] - 0.01875).abs() < 1e-12);
    }
}
