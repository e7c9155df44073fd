//! The quality of a model in few steps: sliced Wasserstein-2 distance and energy distance of
//! samples to real rows.

use crate::draw::{Classes, Drawer};
use fm_metrics::energy::energy_distance;
use fm_metrics::sliced::sliced_wasserstein;
use fm_run::solvers::of_few_steps;
use fm_solvers::sampler::{Sampler, SolverName};
use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;
use std::fmt::Write as _;

/// Numbers of steps at which the rounds are compared.
const STEPS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Samples and real rows of the sliced Wasserstein distance, and of the energy distance.
pub const SAMPLES: usize = 10_000;
const FEWER: usize = 2000;
/// Directions of the sliced Wasserstein distance.
const DIRECTIONS: usize = 200;

/// The quality of one model at a number of steps.
#[derive(Debug, Clone, Serialize)]
pub struct Quality {
    /// The number of steps.
    pub steps: usize,
    /// Sliced Wasserstein-2 distance.
    pub sliced_wasserstein_2: f64,
    /// Energy distance.
    pub energy_distance: f64,
}

/// The quality of one model.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The solver of its samples.
    pub solver: SolverName,
    /// The quality at each number of steps.
    pub quality: Vec<Quality>,
}

/// Samples in few steps, of Euler's method or of a flow map, against real rows in the units of the
/// table. Distances are of rows in the units of the network.
///
/// # Errors
/// Samples that cannot be drawn.
pub fn measure(drawer: &Drawer<'_>, real: ArrayView2<'_, f64>) -> anyhow::Result<Measured> {
    let columns = drawer.columns;
    let real = columns.apply(real)?;
    let solver = of_few_steps(drawer.model);
    let at = |steps: usize| {
        let classes = columns.asked(None, SAMPLES)?;
        let drawn = drawer.draw(&Sampler::fixed(solver, steps), SAMPLES, 0, classes, false)?;
        let samples = columns.apply(Array2::from_shape_vec((SAMPLES, columns.dim()), drawn.values)?.view())?;
        let few = |rows: &Array2<f32>| rows.slice(s![..rows.nrows().min(FEWER), ..]).to_owned();
        Ok(Quality {
            steps,
            sliced_wasserstein_2: sliced_wasserstein(samples.view(), real.view(), 2, DIRECTIONS, 0)?,
            energy_distance: energy_distance(few(&samples).view(), few(&real).view())?,
        })
    };
    let quality = STEPS.into_iter().map(at).collect::<anyhow::Result<_>>()?;
    Ok(Measured { solver, quality })
}

/// A line per model, with both distances at each number of steps.
pub fn table(found: &[Measured]) -> String {
    let mut text = String::from("round ");
    for steps in STEPS {
        let _ = write!(text, "{:>16}", format!("NFE {steps}"));
    }
    for (round, Measured { quality, .. }) in found.iter().enumerate() {
        let _ = write!(text, "\n{round:<6}");
        for quality in quality {
            let both = format!("{:.4} {:.4}", quality.sliced_wasserstein_2, quality.energy_distance);
            let _ = write!(text, "{both:>16}");
        }
    }
    let mut solvers: Vec<String> = found.iter().map(|found| found.solver.to_string()).collect();
    solvers.dedup();
    text + &format!(
        "\nsliced Wasserstein-2 distance of {SAMPLES} samples by {}, and energy distance of {FEWER}; round 0 is the teacher",
        solvers.join(", ")
    )
}
