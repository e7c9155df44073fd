//! Paths of the scripts and programs of a bench, and the order of its contestants: settings of the
//! whole run.
//!
//! By default everything is in this workspace and cargo builds the programs. On a machine without
//! cargo, `--root`, `--workers` and `--python` give the paths.

use anyhow::Context;
use clap::Args;
use fm_terminal::eprintln;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::OnceLock;
use xtask_shell::{cargo, execute, root as workspace, target};

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Places {
    /// Root of a copy of this workspace, with benches/peers [default: this workspace]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Directory of the built programs; cargo is then not used [default: target/release, built
    /// first]
    #[arg(long, value_name = "DIR")]
    workers: Option<PathBuf>,
    /// Python with the peers installed [default: a virtual environment in target/peers, created if
    /// missing]
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Random seed of the order of contestants [default: from the clock]
    #[arg(long, value_name = "N")]
    order_seed: Option<u64>,
}

static PLACES: OnceLock<Places> = OnceLock::new();

/// Sets the settings; only the first call has an effect.
pub(crate) fn settle(places: &Places) -> anyhow::Result<()> {
    let absolute = |path: &Option<PathBuf>| {
        let found = path.as_ref().map(|p| p.canonicalize().with_context(|| format!("cannot find {}", p.display())));
        found.transpose()
    };
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let order_seed = Some(places.order_seed.unwrap_or(now));
    // The Python of a virtual environment is a link, and must be started with the link's path.
    let python = places.python.clone().map(std::path::absolute).transpose()?;
    let (root, workers) = (absolute(&places.root)?, absolute(&places.workers)?);
    let _ = PLACES.set(Places { root, workers, python, order_seed });
    Ok(())
}

fn places() -> &'static Places {
    PLACES.get_or_init(Places::default)
}

/// Whether the programs are given rather than built.
pub(crate) fn prebuilt(places: &Places) -> bool {
    places.workers.is_some()
}

pub(super) fn root() -> PathBuf {
    places().root.clone().unwrap_or_else(workspace)
}

pub(super) fn workers() -> PathBuf {
    places().workers.clone().unwrap_or_else(|| target().join("release"))
}

pub(super) fn python() -> Option<PathBuf> {
    places().python.clone()
}

pub(super) fn seed() -> u64 {
    places().order_seed.unwrap_or(0)
}

/// Builds programs with optimisation, unless they are given.
pub(super) fn build(what: &[&str]) -> anyhow::Result<()> {
    if prebuilt(places()) {
        return Ok(());
    }
    execute(&mut cargo(&[&["build", "--release"], what].concat()))
}

/// The order of contestants in a case, which is also printed. 0 is our code, k is the k-th peer.
pub(super) fn order(case: &str, peers: &[&str]) -> Vec<usize> {
    let order = drawn(seed(), case, peers.len() + 1);
    let names: Vec<&str> = order.iter().map(|k| if *k == 0 { "ours" } else { peers[*k - 1] }).collect();
    eprintln!("{case}: {} (order seed {})", names.join(", "), seed());
    order
}

/// A permutation of `0..count` that depends only on the seed and the case.
fn drawn(seed: u64, case: &str, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|k| Sha256::digest(format!("{seed} {case} {k}")).to_vec());
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_that_vary_with_case_and_seed() {
        let mut first = [0; 3];
        for seed in 0..30 {
            for case in ["train tiny", "infer dit"] {
                let order = drawn(seed, case, 3);
                assert_eq!(order, drawn(seed, case, 3));
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, [0, 1, 2]);
                first[order[0]] += 1;
            }
        }
        // A uniform distribution would give 20 each.
        assert!(first.iter().all(|n| (8..=32).contains(n)), "{first:?}");
    }
}
