//! The examples at the end of each command's help.

pub(crate) const PROGRAM: &str = "\
Examples:
  cifar-train train                                           # a DiT on CIFAR-10, fetched if missing: for a GPU
  cifar-train train --preset quickstart --out runs/digits     # minutes on a CPU, no download
  cifar-train sample --checkpoint runs/digits --class-grid --out digits.png
  cifar-train evaluate --checkpoint runs/digits";

pub(crate) const TRAIN: &str = "\
Examples:
  cifar-train train                                # the preset cifar10-dit: a DiT on CIFAR-10, for a GPU
  cifar-train train --preset quickstart --out runs/digits
  cifar-train train --preset quickstart --model dit --dry-run
  cifar-train train --preset cifar10-tiny --data folder:photos --image-size 32 --out runs/photos
  cifar-train train --resume --steps 5000 --out runs/digits";

pub(crate) const DATA: &str = "\
Examples:
  cifar-train data digits --picture digits.png
  cifar-train data folder:photos";

pub(crate) const SAMPLE: &str = "\
Examples:
  cifar-train sample --checkpoint runs/digits --class-grid --out digits.png
  cifar-train sample --checkpoint runs/digits --class-label 3 --solver heun --num-steps 20 --out threes.png
  cifar-train sample --checkpoint runs/digits --size 8x16 --trajectory states.npy --out wide.png";

pub(crate) const GRID: &str = "\
Examples:
  cifar-train grid runs/digits --num-steps 8 --out grid.json
  cifar-train sample --checkpoint runs/digits --times grid.json --out digits.png";

pub(crate) const EVALUATE: &str = "\
Examples:
  cifar-train evaluate --checkpoint runs/digits
  cifar-train evaluate --checkpoint runs/digits --metrics fd --sweep nfe=2,4,8,16 --plot sweep.png
  cifar-train evaluate --samples cifar10-test --data cifar10 --metrics fd,kid,pr";

pub(crate) const REFLOW: &str = "\
Examples:
  cifar-train reflow --teacher runs/digits --rounds 3 --steps 2000 --lr 5e-4 --out runs/rounds";

pub(crate) const PAIRS: &str = "\
Examples:
  cifar-train reflow pairs --checkpoint runs/digits --solver rk4 --num-steps 16 --out runs/pairs
  cifar-train train --pairs runs/pairs --steps 2000 --lr 5e-4 --out runs/reflow";

pub(crate) const COMPARE: &str = "\
Examples:
  cifar-train reflow compare runs/digits runs/reflow --json compare.json --picture compare.png";

pub(crate) const DISTILL: &str = "\
Examples:
  cifar-train reflow pairs --checkpoint runs/digits --solver rk4 --num-steps 16 --out runs/pairs
  cifar-train distill --pairs runs/pairs --num-steps 1 --steps 1500 --lr 5e-4 --out runs/one-step";

pub(crate) const REPORT: &str = "\
Examples:
  cifar-train report runs/digits
  cifar-train report runs/digits --out digits.html --plots curves";

pub(crate) const VQVAE: &str = "\
Examples:
  cifar-train vqvae --data digits --codes 64 --out runs/vq
  cifar-train train --preset quickstart --latent runs/vq --out runs/latent";

pub(crate) const CONVERT: &str = "\
Examples:
  cifar-train convert runs/digits digits.safetensors
  cifar-train convert otcfm_cifar10_weights.pt otcfm.safetensors --set head_channels=64
  cifar-train convert runs/digits digits.pt                     # and digits.py, which builds the network in PyTorch
  cifar-train convert theirs.pt ours.safetensors --time-direction data-to-noise";

pub(crate) const VELOCITY: &str = "\
Examples:
  cifar-train velocity x.npy --checkpoint runs/digits --at 0.5 --out v.npy";

pub(crate) const LIKELIHOOD: &str = "\
Examples:
  cifar-train likelihood --checkpoint runs/digits --num-images 64 --probes 1";

pub(crate) const INSPECT: &str = "\
Examples:
  cifar-train inspect runs/digits
  cifar-train inspect otcfm_cifar10_weights.pt --tensors";

pub(crate) const OBJECTIVE: &str = "\
Examples:
  cifar-train objective --path trigonometric --prediction data --weighting min-snr --time mode --time-clip 0.001 \\
      --picture objective.png --csv objective.csv";
