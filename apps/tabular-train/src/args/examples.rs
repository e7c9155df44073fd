//! The examples at the end of each command's help.

pub(crate) const PROGRAM: &str = "\
Examples:
  tabular-train train --preset spiral --out runs/spiral     # a minute on two cores
  tabular-train sample --checkpoint runs/spiral --out samples.csv
  tabular-train picture --checkpoint runs/spiral --num-steps 50 --out pictures";

pub(crate) const TRAIN: &str = "\
Examples:
  tabular-train train --preset spiral --out runs/spiral
  tabular-train train --data patients.csv --labels diagnosis --ignore id --out runs/patients
  tabular-train train --data moons --source 8gaussians --coupling exact --out runs/transport
  tabular-train train --resume --steps 20000 --out runs/spiral";

pub(crate) const DATA: &str = "\
Examples:
  tabular-train data moons --picture moons.png
  tabular-train data patients.csv --labels diagnosis --ignore id";

pub(crate) const REFLOW: &str = "\
Examples:
  tabular-train reflow --teacher runs/spiral --out runs/spiral-reflow
  tabular-train sample --checkpoint runs/spiral-reflow --num-steps 2 --out samples.csv";

pub(crate) const SAMPLE: &str = "\
Examples:
  tabular-train sample --checkpoint runs/spiral --solver heun --num-steps 20 --out samples.csv
  tabular-train sample --checkpoint runs/patients --num-samples 5000 --class healthy --out healthy.csv
  tabular-train sample --checkpoint runs/transport --from monday.csv --out tuesday.csv";

pub(crate) const GRID: &str = "\
Examples:
  tabular-train grid --checkpoint runs/spiral --solver heun --num-steps 4 --out grid.json
  tabular-train sample --checkpoint runs/spiral --times grid.json --out samples.csv";

pub(crate) const TRAJECTORY: &str = "\
Examples:
  tabular-train trajectory --checkpoint runs/spiral --num-samples 100 --num-steps 50 --out paths.npy";

pub(crate) const LIKELIHOOD: &str = "\
Examples:
  tabular-train likelihood rows.csv --checkpoint runs/spiral --out log-densities.csv
  tabular-train likelihood --checkpoint runs/spiral --picture density.png";

pub(crate) const EVALUATE: &str = "\
Examples:
  tabular-train evaluate --checkpoint runs/patients
  tabular-train evaluate --checkpoint runs/spiral --num-samples 2000 --num-steps 20 --json distances.json";

pub(crate) const PICTURE: &str = "\
Examples:
  tabular-train picture --checkpoint runs/spiral --num-steps 50 --at 0,0.5,1 --out pictures";

pub(crate) const ANIMATE: &str = "\
Examples:
  tabular-train animate --checkpoint runs/spiral --beside runs/spiral-reflow --num-steps 30 --out reflow.gif";

pub(crate) const CONVERT: &str = "\
Examples:
  tabular-train convert runs/patients patients.pt               # and patients.py, which builds the network in PyTorch
  tabular-train convert 8gaussian-moons__otcfm_v1.pt moons.safetensors --source 8gaussians";

pub(crate) const INSPECT: &str = "\
Examples:
  tabular-train inspect runs/patients
  tabular-train inspect patients.pt --tensors";

pub(crate) const VELOCITY: &str = "\
Examples:
  tabular-train velocity points.csv --checkpoint runs/spiral --out velocities.csv";

pub(crate) const SOLVE: &str = "\
Examples:
  tabular-train solve means.csv --solver heun --num-steps 10 --out ends.csv";

pub(crate) const REPORT: &str = "\
Examples:
  tabular-train report runs/spiral
  tabular-train report runs/spiral --out spiral.html --plots curves";

pub(crate) const OBJECTIVE: &str = "\
Examples:
  tabular-train objective --path trigonometric --prediction data --weighting min-snr --time mode --time-clip 0.001 \\
      --picture objective.png --csv objective.csv";

pub(crate) const COUPLE: &str = "\
Examples:
  tabular-train couple monday.csv tuesday.csv friday.csv --coupling exact --out paths.csv
  tabular-train couple gaussian:dim=2 moons --coupling semidiscrete --picture pairs.png";
