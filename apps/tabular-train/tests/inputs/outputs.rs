//! Devices, pipes and names as outputs, and variables of the environment that others have left.

use super::common::succeed;
use super::page::Part;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SAMPLE: &str = "--num-steps 2 --num-samples 3";

fn program(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabular-train"));
    command.env("OMP_NUM_THREADS", "1").args(words.split_whitespace());
    command
}

fn text(output: &Output) -> (i32, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
}

pub(super) fn outputs(part: &mut Part, d: &Path) {
    let at = d.display();
    succeed(&format!("train --data gaussian4 --widths 8 --steps 2 --sample-every 0 --out {at}/run"));
    let sample =
        |out: &str| text(&program(&format!("sample --checkpoint {at}/run {SAMPLE} --out {out}")).output().unwrap());
    part.row("`--out /dev/null`", d, sample("/dev/null"), "/dev/null");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    part.row("`--out /dev/full`, a full disk", d, sample("/dev/full"), "No space left");
    part.row("`--out /dev/stdout`", d, sample("/dev/stdout"), "wrote");
    symlink("nowhere/x.csv", d.join("dangling.csv")).unwrap();
    part.brief("a link to a folder that is not there", d, sample(&format!("{at}/dangling.csv")), "check the path");
    fs::write(d.join("file"), "").unwrap();
    part.brief(
        "a path below a file",
        d,
        sample(&format!("{at}/file/x.csv")),
        "a part of the path is a file; give another path",
    );
    part.row("a folder", d, sample(&format!("{at}/run")), "error");
    part.brief("a file system that takes no files, `/proc`", d, sample("/proc/x.csv"), "error: cannot create /proc/");
    part.row("`--out x.xlsx`", d, sample(&format!("{at}/x.xlsx")), "error");
    assert!(Command::new("mkfifo").arg(d.join("pipe.csv")).status().unwrap().success());
    let mut reader = Command::new("cat").arg(d.join("pipe.csv")).stdout(Stdio::null()).spawn().unwrap();
    part.row("a FIFO with a reader", d, sample(&format!("{at}/pipe.csv")), "pipe.csv");
    reader.wait().unwrap();
    assert!(fs::symlink_metadata(d.join("pipe.csv")).unwrap().file_type().is_fifo());
    let train = |out: &str| text(&program(&format!("train --data moons --steps 1 --out {out}")).output().unwrap());
    part.row("a run in `/dev/null`", d, train("/dev/null"), "error");
    part.row("a run in a file", d, train(&format!("{at}/file")), "error");
    pipes(part, d);
    names(part, d);
}

/// A reader of standard output that goes away.
fn pipes(part: &mut Part, d: &Path) {
    for (input, words) in [
        ("`data ... \\| true`", format!("data {}/run.csv", d.display())),
        ("`train ... \\| true`", format!("train --data moons --steps 3 --sample-every 0 --out {}/unread", d.display())),
    ] {
        fs::write(d.join("run.csv"), "1,2\n3,4\n".repeat(40)).unwrap();
        let mut child = program(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let (code, error) = text(&output);
        part.row(input, d, (code, format!("exit code {code}{error}")), "exit code");
    }
    assert!(d.join("unread/model.safetensors").is_file());
}

fn names(part: &mut Part, d: &Path) {
    let data = |name: &OsStr| {
        fs::write(d.join(name), "1,2\n3,4\n").unwrap();
        text(&program("data").arg(d.join(name)).output().unwrap())
    };
    part.row("a name that is not UTF-8", d, data(OsStr::from_bytes(b"caf\xe9.csv")), "UTF-8");
    part.row("a name with a line break", d, data(OsStr::new("two\nlines.csv")), "lines.csv: 2 rows");
    part.row("a name with spaces and quotes", d, data(OsStr::new("it's \"mine\".csv")), "rows");
}

pub(super) fn environment(part: &mut Part, d: &Path) {
    let at = d.display();
    let train = format!("train --data moons --steps 1 --sample-every 0 --dist-timeout 8 --out {at}/new");
    let fresh = || drop(fs::remove_dir_all(d.join("new")));
    let with = |variables: &[(&str, &str)], words: &str| {
        fresh();
        text(&program(words).envs(variables.iter().copied()).output().unwrap())
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut group = |input: &str, variables: &[(&str, &str)], says: &str| {
        let (code, told) = with(&[&[("MASTER_PORT", port.as_str())], variables].concat(), &train);
        // The port is another one in each run, and how a connection fails depends on the moment.
        let found = (code, told.replace(&port, "PORT"));
        let row = if input.ends_with("time-out") { Part::brief } else { Part::row };
        row(part, input, d, found, says);
    };
    let two = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1")];
    group("`RANK=0 WORLD_SIZE=2` are left over: at once", &two, "note: waiting");
    group("the same, at the time-out", &two, "cannot open the process group: rank 1 of 2 did not connect");
    // The remedy.
    fresh();
    succeed(&train);
    let second = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1")];
    group("`RANK=1` of two is left over: at once", &second, "note: waiting");
    group("the same, at the time-out", &second, "rank 1 cannot reach rank 0 at 127.0.0.1:PORT");
    group("`RANK=0 WORLD_SIZE=1`", &[("RANK", "0"), ("WORLD_SIZE", "1")], "wrote");
    group("`RANK=0` alone", &[("RANK", "0")], "WORLD_SIZE");
    group("`WORLD_SIZE=2` alone", &[("WORLD_SIZE", "2")], "RANK");
    group("`RANK=0 WORLD_SIZE=2` without `MASTER_ADDR`", &two[..2], "MASTER_ADDR");
    let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_LOCALID", "0"), ("SLURM_JOB_ID", "1")];
    group("`SLURM_NTASKS=8`, a command in a job", &slurm, "wrote");
    let started = [&slurm[..], &[("MASTER_ADDR", "127.0.0.1")]].concat();
    group("the same with `MASTER_ADDR`", &started, "note: waiting");
    for (input, variables, says) in [
        ("`OMP_NUM_THREADS=many`", [("OMP_NUM_THREADS", "many")], "wrote"),
        ("`OMP_NUM_THREADS=0`", [("OMP_NUM_THREADS", "0")], "wrote"),
        ("`OMP_NUM_THREADS=100000`", [("OMP_NUM_THREADS", "100000")], "wrote"),
        ("`CUDA_VISIBLE_DEVICES=7`", [("CUDA_VISIBLE_DEVICES", "7")], "wrote"),
        ("`LIBTORCH=/nowhere`", [("LIBTORCH", "/nowhere")], "wrote"),
        ("`HOME=/nowhere`", [("HOME", "/nowhere")], "wrote"),
        ("`TMPDIR=/nowhere`", [("TMPDIR", "/nowhere")], "wrote"),
        ("`LC_ALL=de_DE.UTF-8`", [("LC_ALL", "de_DE.UTF-8")], "wrote"),
        ("`TERM=dumb`", [("TERM", "dumb")], "wrote"),
        ("`COLUMNS=1`", [("COLUMNS", "1")], "wrote"),
    ] {
        part.row(input, d, with(&variables, &train), says);
    }
    let cuda = with(&[("CUDA_VISIBLE_DEVICES", "")], &format!("{train} --device cuda:9"));
    part.brief("`--device cuda:9` with `CUDA_VISIBLE_DEVICES=`", d, cuda, "error: ");
}
