//! Flags, numbers and times as people give them.

use super::page::Part;
use super::{common::succeed, told};
use ndarray::{Array2, ArrayD, IxDyn};
use ndarray_npy::write_npy;
use std::fs;
use std::path::Path;

pub(super) fn flags(part: &mut Part, d: &Path) {
    let train = |flags: &str| told(&format!("train --data moons --sample-every 0 --out {}/flags {flags}", d.display()));
    for (input, flags, says) in [
        ("`--learning-rate 1e-3`, the name of another program", "--learning-rate 1e-3", "--lr"),
        ("`--steps 1e4`", "--steps 1e4", "whole number"),
        ("`--steps 10_000`", "--steps 10_000", "whole number"),
        ("`--steps -5`", "--steps -5", "equals sign"),
        ("`--steps=-5`", "--steps=-5", "whole number"),
        ("`--steps 99999999999999999999`", "--steps 99999999999999999999", "smaller"),
        ("`--lr 0,001`", "--lr 0,001", "0.001"),
        ("`--lr nan`", "--lr nan", "above 0"),
        ("`--lr 1e999`", "--lr 1e999", "above 0"),
        ("`--batch-size 0`", "--batch-size 0", "at least one"),
        ("`--batch-size 64 --batch-size 128`", "--batch-size 64 --batch-size 128", "multiple times"),
        ("`--coupling ot`, torchcfm's name", "--coupling ot --steps 1", "wrote"),
        ("`--coupling sinkhorn:0`", "--coupling sinkhorn:0", "above 0"),
        ("`--coupling sinkhorn:inf`", "--coupling sinkhorn:inf", "above 0"),
        ("`--ema-decay 1.5`", "--ema-decay 1.5", "[0, 1)"),
        ("`--widths 64,64,`", "--widths 64,64,", "empty"),
        ("`--widths 99999999`", "--widths 99999999", "2^20"),
    ] {
        part.row(input, d, train(flags), says);
    }
    divergence(part, d);
}

/// The remedy of a diverged run.
fn divergence(part: &mut Part, d: &Path) {
    let train = format!("train --data moons --sample-every 0 --log-every 1 --out {}/high", d.display());
    part.row("`--lr 1e30`, which diverges", d, told(&format!("{train} --steps 40 --lr 1e30")), "lower learning rate");
    part.row("the remedy: a new run", d, told(&format!("{train}-lower --steps 40 --lr 1e-3")), "wrote");
    let lower = told(&format!("{train}-lower --resume --steps 60 --lr 1e-4"));
    part.row("`--resume` with another rate", d, lower, "another --out");
}

/// Numbers at the ends of their types, and time stamps.
pub(super) fn numbers(part: &mut Part, d: &Path) {
    let data = |name: &str| told(&format!("data {}/{name}", d.display()));
    let columns = |top: i64| Array2::from_shape_fn((40, 2), |(i, j)| top - 7 * i as i64 - j as i64);
    write_npy(d.join("nanoseconds.npy"), &columns(1_700_000_000_000_000_000)).unwrap();
    part.row("nanoseconds as int64 in an `.npy`", d, data("nanoseconds.npy"), "subtract an offset");
    write_npy(d.join("largest.npy"), &columns(i64::MAX)).unwrap();
    part.row("numbers around the largest int64", d, data("largest.npy"), "subtract an offset");
    write_npy(d.join("unsigned.npy"), &columns(i64::MAX).mapv(|x| x as u64 + (1 << 63))).unwrap();
    part.row("numbers around the largest uint64", d, data("unsigned.npy"), "subtract an offset");
    let windows = ArrayD::from_shape_fn(IxDyn(&[5, 4, 2]), |at| (1i64 << 60) + at[0] as i64);
    write_npy(d.join("windows.npy"), &windows).unwrap();
    part.row("sequences of such numbers", d, data("windows.npy"), "subtract an offset");
    write_npy(d.join("exact.npy"), &columns(1 << 53)).unwrap();
    part.row("int64 up to 2^53", d, data("exact.npy"), "40 rows of 2 columns");
    fs::write(d.join("nanoseconds.csv"), "t,x\n1700000000000000001,1\n1700000000000000002,2\n").unwrap();
    part.row("nanoseconds in a CSV", d, data("nanoseconds.csv"), "subtract an offset");
    write_npy(d.join("huge.npy"), &Array2::from_shape_fn((40, 2), |(i, _)| 2e306 * i as f64)).unwrap();
    let huge = format!("train --data {0}/huge.npy --steps 1 --out {0}/huge", d.display());
    part.row("floats of 1e307", d, told(&huge), "scale the column down");
    for (input, text, says) in [
        ("an index column that pandas wrote", ",x\n0,1.5\n1,2.5\n2,9\n", "counts the rows"),
        ("comments at the start", "# made by x\na,b\n1,2\n", "comments"),
        ("comments further down", "a,b\n1,2\n# half\n3,4\n", "comments"),
        ("columns separated by `|`", "a|b\n1|2\n3|4\n", "'|' between numbers"),
        ("libsvm's format", "1 1:0.5 2:0.7\n0 1:0.2 2:0.1\n", "':' between numbers"),
        ("commas between thousands", "a;b\n1,234.5;2\n1,235.5;3\n", "thousands"),
        ("`NA`", "a,b\n1,2\nNA,3\n", "fill in or drop"),
        ("an empty field", "a,b\n1,2\n,3\n", "fill in or drop"),
        ("a trailing comma in every line", "a,b,\n1,2,\n3,4,\n", "ignore the column"),
        ("`True` and `False`", "a,b\n1,True\n2,False\n", "'True'"),
        ("dates", "a,b\n1,2020-01-01\n2,2020-01-02\n", "'2020-01-01'"),
        ("JSON named `.csv`", "[{\"a\": 1}]", "read_json"),
    ] {
        fs::write(d.join("t.csv"), text).unwrap();
        part.row(input, d, data("t.csv"), says);
    }
    part.row("`x.csv.bz2`", d, data("x.csv.bz2"), "compressed");
    part.row("`x.xlsx`", d, data("x.xlsx"), "spreadsheet");
    part.row("`x.parquet`", d, data("x.parquet"), "to_csv");
    part.row("`x.tar.gz`", d, data("x.tar.gz"), "archive");
    fs::create_dir(d.join("tables")).unwrap();
    part.row("a folder", d, data("tables"), "folder");
    costs(part, d);
}

/// Costs that no regularisation of a usual size fits.
fn costs(part: &mut Part, d: &Path) {
    let far: String = (0..20).map(|i| format!("{}\n", 1e9 * f64::from(i))).collect();
    fs::write(d.join("far.csv"), far).unwrap();
    let couple = |flags: &str| told(&format!("couple {0}/far.csv {0}/far.csv {flags}", d.display()));
    part.row("costs of 1e20 with `sinkhorn-absolute:0.01`", d, couple("--coupling sinkhorn-absolute:0.01"), "error");
    part.brief(
        "the same with `sinkhorn:0.05`, relative to the mean cost",
        d,
        couple("--coupling sinkhorn:0.05"),
        "of mass",
    );
    let run = format!("{}/near", d.display());
    succeed(&format!("train --data moons --steps 2 --sample-every 0 --out {run}"));
    let solve = |flags: &str| told(&format!("sample --checkpoint {run} --num-samples 5 --out {run}.csv {flags}"));
    part.row("`--num-steps 0`", d, solve("--num-steps 0"), "error");
    part.row("`--solver dopri5 --rtol 0 --atol 0`", d, solve("--solver dopri5 --rtol 0 --atol 0"), "error");
    part.row("`--solver dopri5 --rtol nan`", d, solve("--solver dopri5 --rtol nan"), "error");
    let many = told(&format!("sample --checkpoint {run} --num-samples 10000000000000 --out {run}.csv"));
    part.brief("`--num-samples 10000000000000`", d, many, "cannot hold the samples: they take");
}
