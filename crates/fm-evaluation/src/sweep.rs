//! Quality as a function of the number of function evaluations, for several solvers, of the scale
//! of classifier-free guidance, or of the relative width of the weights' average.
//!
//! ```
//! use fm_evaluation::sweep::{Sweep, parse};
//! assert_eq!(parse("nfe=1,2")?, Sweep::Nfe(vec![1, 2]));
//! # Ok::<(), anyhow::Error>(())
//! ```

use crate::measured::Measured;
use crate::table::{Column, number, reasons};
use anyhow::Context;
use fm_pictures::Curves;
use fm_train::power_average::exponent;
use std::path::Path;

/// What a sweep varies.
#[derive(Debug, Clone, PartialEq)]
pub enum Sweep {
    /// The number of function evaluations, for each of several solvers.
    Nfe(Vec<usize>),
    /// The scale of classifier-free guidance.
    Cfg(Vec<f64>),
    /// The relative width of the average.
    Sigma(Vec<f64>),
}

/// Result of one point of a sweep.
#[derive(Debug)]
pub struct Case {
    /// The first column of the table: the solver, the scale or the width.
    pub line: String,
    /// The place on the plot's axis.
    pub at: f64,
    /// Mean number of evaluations per sample.
    pub nfe: f64,
    /// The numbers.
    pub column: Column,
}

/// Parses `nfe=1,2,4`, `cfg=0,1,1.5` and `ema-sigma=0.03,0.1`.
///
/// # Errors
/// Another text, and values outside their domains.
pub fn parse(sweep: &str) -> anyhow::Result<Sweep> {
    if let Some(list) = sweep.strip_prefix("cfg=") {
        let each: Result<Vec<f64>, _> = list.split(',').map(str::parse).collect();
        let each = each.ok().filter(|each| each.iter().all(|scale| scale.is_finite()));
        return Ok(Sweep::Cfg(
            each.with_context(|| format!("--sweep is '{sweep}'; give finite guidance scales as cfg=0,1,1.5,2"))?,
        ));
    }
    let wrong = || {
        format!(
            "--sweep is '{sweep}'; give whole numbers of evaluations above 0 as nfe=1,2,4,8, scales as cfg=0,1,2, or widths of averages from 0.001 to 0.28 as ema-sigma=0.05,0.1"
        )
    };
    if let Some(list) = sweep.strip_prefix("ema-sigma=") {
        let each: Result<Vec<f64>, _> = list.split(',').map(str::parse).collect();
        let each = each.ok().filter(|each| each.iter().all(|width| exponent(*width).is_ok()));
        return Ok(Sweep::Sigma(each.with_context(wrong)?));
    }
    let list = sweep.strip_prefix("nfe=").with_context(wrong)?;
    let each: Result<Vec<usize>, _> = list.split(',').map(str::parse).collect();
    let each = each.ok().filter(|each| each.iter().all(|n| (1..=1_000_000).contains(n)));
    Ok(Sweep::Nfe(each.with_context(wrong)?))
}

/// A table with one row per case.
pub fn lines(sweep: &Sweep, cases: &[Case]) -> String {
    let Some(first) = cases.first() else { return String::new() };
    let width = |m: &Measured| m.label.len().max(18) + 2;
    let head: String = first.column.measured.iter().map(|m| format!("{:>1$}", m.label, width(m))).collect();
    let name = match sweep {
        Sweep::Nfe(_) => "solver",
        Sweep::Cfg(_) => "scale",
        Sweep::Sigma(_) => "average",
    };
    let mut lines = vec![format!("{name:18}{:>6}{head}", "NFE")];
    for case in cases {
        let cells: String = case.column.measured.iter().map(|m| format!("{:>1$}", number(m), width(m))).collect();
        lines.push(format!("{:18}{:>6}{cells}", case.line, case.nfe));
    }
    lines.extend(reasons(&first.column.measured));
    lines.join("\n")
}

/// Plots the first metric over the number of evaluations, the scale, or the width.
///
/// # Errors
/// Cases without a number, and a file that cannot be written.
pub fn plot(path: &Path, sweep: &Sweep, cases: &[Case], count: usize, data: &str) -> anyhow::Result<()> {
    let first = cases.iter().flat_map(|case| &case.column.measured).find(|m| m.value.is_ok());
    let first = first.context("--plot draws the first metric; ask for one of samples (not nll alone)")?;
    let (label, by_nfe) = (first.label.clone(), matches!(sweep, Sweep::Nfe(_)));
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for case in cases {
        let Some(measured) = case.column.measured.iter().find(|m| m.key == first.key) else { continue };
        let Ok(found) = &measured.value else { continue };
        let (point, name) = ((case.at, found.value), if by_nfe { &case.line } else { &label });
        match lines.iter_mut().find(|(known, _)| known == name) {
            Some((_, line)) => line.push(point),
            None => lines.push((name.clone(), vec![point])),
        }
    }
    let title = format!("{label} of {count} samples, against {data}");
    let axis = match sweep {
        Sweep::Nfe(_) => "evaluations of the network",
        Sweep::Cfg(_) => "guidance scale",
        Sweep::Sigma(_) => "relative width of the average (sigma_rel)",
    };
    Curves { title, labels: (axis.into(), label), lines, doubling: by_nfe, log_y: false }.save(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_are_over_evaluations_scales_or_averages() {
        assert_eq!(parse("nfe=1,2").unwrap(), Sweep::Nfe(vec![1, 2]));
        assert_eq!(parse("cfg=0,1.5,-1").unwrap(), Sweep::Cfg(vec![0.0, 1.5, -1.0]));
        assert_eq!(parse("ema-sigma=0.05,0.1").unwrap(), Sweep::Sigma(vec![0.05, 0.1]));
        assert!(parse("ema-sigma=0.05,0.3").unwrap_err().to_string().contains("0.001 to 0.28"));
        for (wrong, says) in
            [("cfg=", "finite guidance scales"), ("cfg=1,inf", "finite"), ("1,2", "nfe=1,2,4,8"), ("nfe=0", "above 0")]
        {
            assert!(parse(wrong).unwrap_err().to_string().contains(says), "{wrong}");
        }
    }
}
