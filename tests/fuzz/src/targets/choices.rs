//! Named options: their text on the command line, in configurations and in checkpoints.

use crate::accepted::accepted;
use crate::seeds;
use crate::target::{Finish, Target};
use fm_core::choice::Choice;
use fm_core::loss::{Loss, Reduction};
use fm_core::path::PathKind;
use fm_core::{Prediction, SourceKind, TimeKind, Weighting};
use fm_data::Preprocess;
use fm_ot::{CouplingKind, Metric, PairSampling};
use fm_solvers::Grid;
use fm_solvers::sampler::{Controller, Pace, SolverName};
use fm_solvers::sde::{Diffusion, Method};
use std::fmt::{Debug, Display};

pub(super) const CHOICES: Target = Target {
    name: "choices",
    seeds: || {
        seeds::texts(&[
            "linear",
            "linear-sigma-min:sigma_min=0.1",
            "sinkhorn:epsilon=0.05",
            "logit-normal:loc=0,scale=1",
            "dopri5",
            "karras:7",
            "mse",
            "huber:1",
            "standardize",
            "gaussian",
            "velocity",
            "uniform",
            "euler-maruyama",
            "exact",
        ])
    },
    words: &[
        ":",
        ",",
        "=",
        " ",
        "1e-3",
        "inf",
        "nan",
        "-0",
        "sigma_min",
        "epsilon",
        "loc",
        "scale",
        "rho",
        "uniform",
        "euler",
    ],
    finish: Finish::Nothing,
    read,
};

/// Whether a text is a choice; its own text, and JSON, must then be the same choice.
fn one<C: Choice + Display + PartialEq + Debug>(text: &str) -> bool {
    let choice = C::parse(text);
    if let Ok(choice) = &choice {
        assert_eq!(C::parse(&choice.to_string()).as_ref(), Ok(choice), "of {text:?}");
    }
    accepted(choice)
}

fn read(bytes: &[u8]) -> bool {
    let text = &String::from_utf8_lossy(bytes);
    let core = one::<PathKind>(text) | one::<Prediction>(text) | one::<SourceKind>(text) | one::<Loss>(text);
    let training = one::<Reduction>(text) | one::<Preprocess>(text) | accepted(text.parse::<TimeKind>());
    let coupling = one::<CouplingKind>(text) | one::<Metric>(text) | one::<PairSampling>(text);
    let solver = one::<SolverName>(text) | one::<Grid>(text) | one::<Pace>(text) | one::<Controller>(text);
    let stochastic = one::<Diffusion>(text) | one::<Method>(text) | accepted(text.parse::<Weighting>());
    core | training | coupling | solver | stochastic
}
