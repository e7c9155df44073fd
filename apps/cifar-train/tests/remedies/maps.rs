//! Messages about flow maps and averages, the remedy followed, and its command.

use crate::rows::Row;

pub(crate) const MAPS: &[Row] = &[
    (
        "TRAIN --decoder-blocks 1 --task split",
        "a U-Net has no sequence of blocks; drop it, or use --model dit",
        "train --preset quickstart --steps 1 --batch-size 8 --sample-every 0 --model dit --decoder-blocks 1 --task split --out {d}/decoder",
    ),
    (
        "train --preset quickstart --steps 1 --batch-size 8 --sample-every 0 --model dit --decoder-blocks 1 --out {d}/new-flow",
        "has no effect on a flow, which has no intervals; give --task split, or --decoder-blocks 0",
        "train --preset quickstart --steps 1 --batch-size 8 --sample-every 0 --model dit --decoder-blocks 0 --out {d}/new-zero",
    ),
    (
        "TRAIN --task split:omega=2 --label-drop 0",
        "; give --label-drop 0.1 to a class-conditional model, or omega=1,kappa=0",
        "TRAIN --task split:omega=2 --label-drop 0.1",
    ),
    (
        "TRAIN --ema-sigma 0.5",
        "give 0.001 to 0.28",
        "train --config {d}/tiny.toml --steps 2 --ema-sigma 0.05,0.1 --out {d}/averaged",
    ),
    (
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/averaged --num-samples 8 --num-steps 2 --metrics kid-pixels --sweep ema-sigma=1",
        "or widths of averages from 0.001 to 0.28 as ema-sigma=0.05,0.1",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/averaged --num-samples 8 --num-steps 2 --metrics kid-pixels --sweep ema-sigma=0.05,0.1",
    ),
];
