//! Several processes do what one does: the same weights at the same step, whatever the number of
//! processes and whatever happens to them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{program, read, succeed};
use safetensors::SafeTensors;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const FLAGS: &str =
    "--batch-size 12 --log-every 10 --sample-every 0 --save-every 10 --keep-checkpoints 0 --dist-timeout 40";

/// The quickstart's U-Net without dropout, whose masks libtorch draws.
const PLAIN: &str = "preset = \"quickstart\"\nnum_workers = 1\n[model]\ndropout = 0.0\n";
/// A small one.
const SMALL: &str = "channels = 32\nchannel_mult = [1]\nres_blocks = 1\nattention_at = []\n";

fn train_plain(dir: &Path, run: &str, flags: &str) -> String {
    let path = dir.join("plain.toml");
    std::fs::write(&path, PLAIN).unwrap();
    format!("train --config {} {FLAGS} {flags} --out {}", path.display(), dir.join(run).display())
}

fn train(dir: &Path, run: &str, flags: &str) -> String {
    let path = dir.join("small.toml");
    std::fs::write(&path, PLAIN.to_owned() + SMALL).unwrap();
    format!("train --config {} {FLAGS} {flags} --out {}", path.display(), dir.join(run).display())
}

/// One command, started once per rank.
fn start(ranks: usize, words: &str) -> Vec<Child> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = |rank: usize| {
        let mut command = program();
        command.args(words.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("RANK", rank.to_string()).env("LOCAL_RANK", rank.to_string()).env("WORLD_SIZE", ranks.to_string());
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string()).spawn().unwrap()
    };
    (0..ranks).map(start).collect()
}

fn finish(processes: Vec<Child>) -> Vec<Output> {
    processes.into_iter().map(|p| p.wait_with_output().unwrap()).collect()
}

fn succeed_as(ranks: usize, words: &str) -> String {
    let outputs = finish(start(ranks, words));
    for output in &outputs {
        assert!(output.status.success(), "{words}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let texts: Vec<String> = outputs.iter().map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).collect();
    assert!(texts[1..].iter().all(String::is_empty), "only rank 0 speaks: {texts:?}");
    texts[0].clone()
}

/// All values of one file of a checkpoint.
fn weights(run: &Path, step: u64, file: &str) -> Vec<f64> {
    let bytes = read(run.join(format!("checkpoints/step-{step}")).join(file));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut named = tensors.tensors();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let values = |data: &[u8]| -> Vec<f64> {
        data.as_chunks::<4>().0.iter().map(|v| f64::from(f32::from_le_bytes(*v))).collect()
    };
    named.iter().flat_map(|(_, view)| values(view.data())).collect()
}

/// |a - b| / |a| of two runs' weights or their average, whichever is more; what the optimizer keeps is held to less.
fn distance(dir: &Path, a: &str, b: &str, step: u64) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    let of = |file: &str| {
        let [a, b] = [a, b].map(|run| weights(&dir.join(run), step, file));
        assert_eq!(a.len(), b.len());
        norm(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / norm(&mut a.iter().copied())
    };
    let moments = of("optimizer.safetensors");
    assert!(moments < 1e-2, "the optimizer's moments: {moments}");
    of("model.safetensors").max(of("ema.safetensors"))
}

fn losses(run: &Path) -> Vec<f64> {
    let text = String::from_utf8(read(run.join("metrics.jsonl"))).unwrap();
    text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["loss"].as_f64().unwrap()).collect()
}

fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_and_three_processes_end_where_one_does() {
    let dir = tempfile::tempdir().unwrap();
    for coupling in ["independent", "exact"] {
        let flags = format!("--steps 50 --coupling {coupling} --micro-batch-size 5");
        let name = |ranks: usize| format!("{coupling}-{ranks}");
        succeed(&train_plain(dir.path(), &name(1), &flags));
        for ranks in [2, 3] {
            let said = succeed_as(ranks, &train_plain(dir.path(), &name(ranks), &flags));
            assert!(said.contains(&format!("processes {ranks}, each with {} rows of every 12", 12 / ranks)), "{said}");
            let off = distance(dir.path(), &name(1), &name(ranks), 50);
            assert!(off < 1e-4, "{coupling}, {ranks} processes: {off}");
            let [one, several] = [1, ranks].map(|ranks| losses(&dir.path().join(name(ranks))));
            assert_eq!(one.len(), 5);
            assert!(one.iter().zip(&several).all(|(a, b)| (a / b - 1.0).abs() < 1e-5), "{one:?} {several:?}");
        }
    }
}

/// Loss-aware times, the rows' losses by time, and stratified times depend on all rows of a batch.
#[test]
fn what_depends_on_a_whole_batch_is_the_same_for_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let flags = "--steps 60 --loss-aware 8 --time-draw stratified --horizontal-flip true --source sparse --path constant-noise --keep-best true";
    succeed(&train(dir.path(), "one", flags));
    succeed_as(2, &train(dir.path(), "two", flags));
    let off = distance(dir.path(), "one", "two", 60);
    assert!(off < 1e-4, "{off}");
    let line = |run: &str| {
        let text = String::from_utf8(read(dir.path().join(run).join("metrics.jsonl"))).unwrap();
        serde_json::from_str::<serde_json::Value>(text.lines().last().unwrap()).unwrap()
    };
    let [one, two] = ["one", "two"].map(line);
    let bins = |line: &serde_json::Value| line["loss_by_time"].as_array().unwrap().clone();
    for (a, b) in bins(&one).iter().zip(bins(&two)) {
        assert!((a.as_f64().unwrap() / b.as_f64().unwrap() - 1.0).abs() < 1e-4, "{one} {two}");
    }
}

/// The log decides, and the log is the same; a run that is resumed has its lines again, on every
/// rank.
#[test]
fn early_stopping_is_everyones_at_the_same_step() {
    let dir = tempfile::tempdir().unwrap();
    let flags = "--steps 400 --early-stopping 3";
    let words = |run: &str| train(dir.path(), run, flags).replace("--log-every 10", "--log-every 2");
    assert!(succeed(&words("one")).contains("has not improved for 3 lines"));
    assert!(succeed_as(2, &words("two")).contains("has not improved for 3 lines"));
    let [one, two] = ["one", "two"].map(|run| losses(&dir.path().join(run)));
    assert!(one.len() == two.len() && one.len() < 200, "{} and {} lines", one.len(), two.len());
    // Two of the three lines without a lower value lie before the checkpoint that the run is taken
    // up from.
    let last = 2 * one.len();
    let resumed = dir.path().join("two");
    for step in (0..=last).filter(|step| *step > last - 2) {
        let _ = std::fs::remove_dir_all(resumed.join(format!("checkpoints/step-{step}")));
    }
    succeed_as(2, &format!("train --resume --save-every 10 --dist-timeout 40 --out {}", resumed.display()));
    assert_eq!(losses(&resumed).len(), one.len());
}

#[test]
fn a_killed_rank_is_named_and_others_go_on_from_the_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let flags = "--steps 60 --coupling exact";
    succeed(&train_plain(dir.path(), "whole", flags));
    let run = dir.path().join("killed");
    let mut processes = start(2, &train_plain(dir.path(), "killed", flags));
    wait_for(&run.join("checkpoints/step-10/meta.json"));
    processes[1].kill().unwrap();
    let outputs = finish(processes);
    let said = String::from_utf8_lossy(&outputs[0].stderr).into_owned();
    assert_eq!(outputs[0].status.code(), Some(2), "{said}");
    assert!(said.lines().count() == 1 && said.contains("lost rank 1: ended without a message"), "{said}");
    assert!(said.contains("the last good checkpoint is"), "{said}");
    assert!(!run.join("checkpoints/step-60").exists(), "it ended before it was killed");
    // As a launcher starts it anew: the same command, told that it is not the first time, and with
    // another number of processes.
    let again = format!("train --resume {FLAGS} --out {}", run.display());
    succeed_as(3, &again);
    let off = distance(dir.path(), "whole", "killed", 60);
    assert!(off < 1e-4, "{off}");
    assert_eq!(losses(&run).len(), 6);
    // And one process takes over from three.
    succeed(&format!("train --resume {FLAGS} --steps 65 --out {}", run.display()));
}

#[test]
fn a_rank_that_fails_is_quoted_by_the_others_and_a_signal_to_one_stops_all_at_the_same_step() {
    let dir = tempfile::tempdir().unwrap();
    succeed(&train(dir.path(), "there", "--steps 1"));
    let outputs = finish(start(3, &train(dir.path(), "there", "--steps 1")));
    for (rank, output) in outputs.iter().enumerate() {
        let said = String::from_utf8_lossy(&output.stderr);
        let whose = if rank == 0 { "error: " } else { "error: rank 0 failed: " };
        assert!(output.status.code() == Some(2) && said.lines().count() == 1, "{said}");
        assert!(said.starts_with(whose) && said.contains("already holds a run; pass --resume"), "{said}");
    }
    let processes = start(2, &train(dir.path(), "stopped", "--steps 5000"));
    wait_for(&dir.path().join("stopped/checkpoints/step-10/meta.json"));
    let signalled = Command::new("kill").args(["-INT", &processes[1].id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let outputs = finish(processes);
    let said = String::from_utf8_lossy(&outputs[0].stdout);
    assert!(outputs.iter().all(|o| o.status.code() == Some(130)), "{outputs:?}");
    assert!(said.contains("continue with --resume"), "{said}");
    let few = finish(start(2, &train(dir.path(), "few", "--steps 1").replace("--batch-size 12", "--batch-size 1")));
    let said = String::from_utf8_lossy(&few[1].stderr);
    assert!(said.contains("cannot split batch_size 1 over 2 processes"), "{said}");
    let refused = finish(start(2, &format!("vqvae --out {}", dir.path().join("vqvae").display())));
    let said = String::from_utf8_lossy(&refused[1].stderr);
    assert!(said.contains("cannot run vqvae as several processes"), "{said}");
}

#[test]
fn samples_and_pairs_do_not_depend_on_how_many_make_them() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&train(dir.path(), "run", "--steps 2"));
    for ranks in [1, 3] {
        let from = format!("--checkpoint {d}/run --num-steps 2 --batch-size 7");
        succeed_as(
            ranks,
            &format!("evaluate {from} --num-samples 70 --cache {d}/cache-{ranks} --json {d}/{ranks}.json"),
        );
        succeed_as(ranks, &format!("sample {from} --num-samples 25 --out {d}/{ranks}.png --npy {d}/{ranks}.npy"));
        succeed_as(ranks, &format!("reflow pairs {from} --num-pairs 50 --shard-size 9 --out {d}/pairs-{ranks}"));
    }
    let shards: Vec<String> = (0..6).map(|k| format!("shard-{k:05}.safetensors")).collect();
    let pairs = shards.iter().map(String::as_str).chain(["pairs.json"]);
    assert!(
        ["json", "npy", "png"]
            .iter()
            .all(|e| read(dir.path().join(format!("1.{e}"))) == read(dir.path().join(format!("3.{e}"))))
    );
    pairs.for_each(|f| {
        assert!(read(dir.path().join("pairs-1").join(f)) == read(dir.path().join("pairs-3").join(f)), "{f}")
    });
    // A student of those pairs, too, is the same by two processes.
    let student = |run: &str| {
        format!("train --pairs {d}/pairs-1 --steps 8 --batch-size 6 --log-every 4 --sample-every 0 --out {d}/{run}")
    };
    succeed(&student("student-1"));
    succeed_as(2, &student("student-2"));
    let off = distance(dir.path(), "student-1", "student-2", 8);
    assert!(off < 1e-4, "{off}");
}

/// torchrun itself starts the processes, and starts them anew when one was killed.
#[test]
fn torchrun_starts_and_restarts_it() {
    let Some(python) = python_with_torch() else { return eprintln!("skipped: no Python with torch; set FM_PYTHON") };
    let dir = tempfile::tempdir().unwrap();
    let words = train_plain(dir.path(), "run", "--steps 60");
    let mut torchrun = Command::new(python);
    torchrun.args([
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "1",
        "--monitor-interval",
        "0.2",
    ]);
    torchrun
        .args(["--master-port", &TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()]);
    torchrun.args(["--no-python", env!("CARGO_BIN_EXE_cifar-train")]).args(words.split_whitespace());
    torchrun.env("OMP_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    let torchrun = torchrun.spawn().unwrap();
    wait_for(&dir.path().join("run/checkpoints/step-10/meta.json"));
    // One of its children, found by its command line.
    let listed = Command::new("pgrep")
        .args(["-f", &format!("cifar-train.*{}", dir.path().join("run").display())])
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let worker = listed.lines().rfind(|pid| **pid != torchrun.id().to_string()).unwrap();
    Command::new("kill").args(["-KILL", worker]).status().unwrap();
    let output = torchrun.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("resumed   "), "{said}");
    succeed(&train_plain(dir.path(), "whole", "--steps 60"));
    assert!(distance(dir.path(), "whole", "run", 60) < 1e-4);
}

fn python_with_torch() -> Option<String> {
    let named = std::env::var("FM_PYTHON").ok().into_iter().chain(["python3".to_owned()]);
    let works = |python: &String| {
        let output = Command::new(python).args(["-c", "import torch.distributed.run"]).output();
        output.is_ok_and(|o| o.status.success())
    };
    named.into_iter().find(works)
}
