//! `ode-worker`: our side of the comparison of solvers. Reads one request per line on standard
//! input and answers with one line of JSON.
//!
//! `make DIR` writes the initial points; `load DIR CHECKPOINT` reads the final states and the
//! trained network; `PROBLEM METHOD PACE TOLERANCE REPEATS` solves and answers {"seconds", "value",
//! "evaluations"}: the mean time per repeat, the root mean square error at the end, and the
//! evaluations (their mean per sample).

mod network;
mod problems;

use fm_core::field::{RowField, SharedTime, VelocityField};
use fm_core::state::{OdeState, RowState};
use fm_solvers::tableau::{DOPRI5, TSIT5, Tableau};
use fm_solvers::{AdaptiveOptions, SaveAt, adaptive, per_sample};
use ndarray::Array2;
use ndarray_npy::{read_npy, write_npy};
use network::{Network, flat};
use problems::{FLOW, HARMONIC, MIXTURE_ROWS, NETWORK_ROWS, VAN_DER_POL, mixture, mixture_field, noise};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::Kind;

type Answer = Result<String, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut home, mut network) = (PathBuf::new(), None);
    fm_benches::serve(|words| {
        Ok(match words {
            ["make", dir] => {
                write_npy(Path::new(dir).join("mixture-x0.npy"), &noise(MIXTURE_ROWS))?;
                write_npy(Path::new(dir).join("network-x0.npy"), &noise(NETWORK_ROWS))?;
                "{}".into()
            }
            ["load", dir, checkpoint] => {
                home = dir.into();
                network = Some(Network::load(Path::new(checkpoint))?);
                "{}".into()
            }
            [problem, method, pace, tolerance, repeats] => {
                let exact: Array2<f64> = read_npy(home.join(format!("{}-x1.npy", problem.trim_end_matches("-f32"))))?;
                let job = Job {
                    tableau: if *method == "tsit5" { &TSIT5 } else { &DOPRI5 },
                    options: AdaptiveOptions {
                        max_evaluations: 1_000_000,
                        ..AdaptiveOptions::with_tolerance(tolerance.parse()?)
                    },
                    per_sample: *pace == "per-sample",
                    repeats: repeats.parse()?,
                    exact: exact.into_raw_vec_and_offset().0,
                };
                let network = network.as_ref().ok_or("load first")?;
                match *problem {
                    "harmonic" => job.whole(&problems::harmonic, vec![1.0, 0.0], HARMONIC, Clone::clone)?,
                    "van-der-pol" => job.whole(&problems::van_der_pol, vec![2.0, 0.0], VAN_DER_POL, Clone::clone)?,
                    "mixture" => {
                        let mixture = mixture()?;
                        job.rows(mixture_field(&mixture)?, noise(MIXTURE_ROWS), |x| x.iter().copied().collect())?
                    }
                    "network" => job.rows(network.field(Kind::Double), network.start(Kind::Double), flat)?,
                    "network-f32" => job.rows(network.field(Kind::Float), network.start(Kind::Float), flat)?,
                    other => return Err(format!("unknown problem {other}").into()),
                }
            }
            other => return Err(format!("unknown request {other:?}").into()),
        })
    })
}

struct Job {
    tableau: &'static Tableau,
    options: AdaptiveOptions,
    per_sample: bool,
    repeats: u32,
    exact: Vec<f64>,
}

impl Job {
    /// Solves one system.
    fn whole<S: OdeState>(
        &self,
        field: &impl VelocityField<S>,
        x: S,
        span: (f64, f64),
        values: impl Fn(&S) -> Vec<f64>,
    ) -> Answer {
        let solve = || -> Result<_, Box<dyn Error>> {
            let start = S::linear_combination(&[(1.0, &x)]);
            let solution = adaptive::solve(field, start, span, self.tableau, &self.options, SaveAt::End)?;
            Ok((solution.x, solution.stats.evaluations as f64))
        };
        self.timed(solve, values)
    }

    /// Integrates a batch from noise to data.
    fn rows<S: OdeState + RowState>(&self, field: impl RowField<S>, x: S, values: impl Fn(&S) -> Vec<f64>) -> Answer {
        if !self.per_sample {
            return self.whole(&SharedTime(field), x, FLOW, values);
        }
        let solve = || -> Result<_, Box<dyn Error>> {
            let start = S::linear_combination(&[(1.0, &x)]);
            let solution = per_sample::solve(&field, start, FLOW, self.tableau, &self.options, SaveAt::End)?;
            let evaluations = solution.row_evaluations() as f64 / solution.rows.len() as f64;
            Ok((solution.x, evaluations))
        };
        self.timed(solve, values)
    }

    fn timed<S>(
        &self,
        solve: impl Fn() -> Result<(S, f64), Box<dyn Error>>,
        values: impl Fn(&S) -> Vec<f64>,
    ) -> Answer {
        let started = Instant::now();
        let mut found = solve()?;
        for _ in 1..self.repeats {
            found = solve()?;
        }
        let seconds = started.elapsed().as_secs_f64() / f64::from(self.repeats.max(1));
        let (values, evaluations) = (values(&found.0), found.1);
        let squares = values.iter().zip(&self.exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let error = (squares / values.len() as f64).sqrt();
        Ok(format!(r#"{{"seconds": {seconds:e}, "value": {error:e}, "evaluations": {evaluations}}}"#))
    }
}
