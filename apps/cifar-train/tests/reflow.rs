//! Reflow and distillation through the real binary: a teacher's pairs, models that learn them, and
//! what is said of both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, program, read, succeed, tiny_config};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A teacher of 12 steps and its 24 pairs in three shards.
struct Bench {
    dir: tempfile::TempDir,
}

const SOLVE: &str = "--solver rk4 --num-steps 2 --cfg-scale 1.5 --batch-size 10 --seed 3";

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        succeed(&format!("train --config {} --out {}", tiny_config(bench.dir.path()), bench.at("teacher")));
        bench
    }

    fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pairs(&self, name: &str) -> String {
        self.pairs_command(name, 24)
    }

    fn pairs_command(&self, name: &str, count: usize) -> String {
        format!(
            "reflow pairs --checkpoint {} {SOLVE} --num-pairs {count} --shard-size 10 --out {}",
            self.at("teacher"),
            self.at(name)
        )
    }

    fn weights(&self, run: &str, step: u64, file: &str) -> Tensors {
        tensors(&self.path(run).join(format!("checkpoints/step-{step}/{file}")))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&read(self.path(name))).unwrap()
    }
}

/// Tensors by name, in the order of their names.
type Tensors = Vec<(String, Vec<f32>)>;

fn tensors(path: &Path) -> Tensors {
    let bytes = read(path.into());
    let parsed = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| data.chunks_exact(4).map(|v| f32::from_le_bytes(v.try_into().unwrap())).collect();
    let mut named: Vec<_> = parsed
        .iter()
        .filter(|(_, view)| view.dtype() == safetensors::Dtype::F32)
        .map(|(name, view)| (name.to_owned(), floats(view.data())))
        .collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

fn distance(a: &Tensors, b: &Tensors) -> f32 {
    let flat = |t: &Tensors| t.iter().flat_map(|(_, values)| values.clone()).collect::<Vec<f32>>();
    assert!(a.iter().map(|t| &t.0).eq(b.iter().map(|t| &t.0)));
    flat(a).iter().zip(flat(b)).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn pairs_are_the_samples_of_their_noise_whether_or_not_they_were_interrupted() {
    let bench = Bench::new();
    let said = succeed(&bench.pairs("pairs"));
    assert!(said.contains("24 pairs") && said.contains("NFE 8.0") && said.contains("next "), "{said}");
    succeed(&format!(
        "sample --checkpoint {} {SOLVE} --num-samples 24 --out {} --npy {}",
        bench.at("teacher"),
        bench.at("s.png"),
        bench.at("s.npy")
    ));
    let drawn = read(bench.path("s.npy"));
    let drawn: Vec<f32> =
        drawn[drawn.len() - 24 * 64 * 4..].chunks_exact(4).map(|v| f32::from_le_bytes(v.try_into().unwrap())).collect();
    let shard = |run: &str, k: usize| bench.path(run).join(format!("shard-0000{k}.safetensors"));
    let x1: Vec<f32> = (0..3).flat_map(|k| tensors(&shard("pairs", k))[1].1.clone()).collect();
    assert_eq!(x1, drawn);
    let again = succeed(&bench.pairs("pairs"));
    assert!(again.contains("24 of 24 pairs are there") && again.contains("0 made now"), "{again}");

    // Killed once a shard is listed, and gone on with.
    let words = bench.pairs_command("killed", 400);
    let mut child = program().args(words.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let listed =
        || fs::read_to_string(bench.path("killed/pairs.json")).is_ok_and(|index| index.contains("shard-00000"));
    while !listed() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "no shard in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = succeed(&words);
    assert!(said.contains("resumed"), "{said}");
    succeed(&bench.pairs_command("whole", 400));
    for file in fs::read_dir(bench.path("whole")).unwrap().flatten() {
        let name = file.file_name();
        assert!(read(file.path()) == read(bench.path("killed").join(&name)), "{name:?} differs");
    }
}

#[test]
fn a_student_starts_from_its_teacher_and_goes_on_without_it() {
    let bench = Bench::new();
    succeed(&bench.pairs("pairs"));
    let train = |out: &str, flags: &str| {
        succeed(&format!("train --pairs {} --save-every 3 {flags} --out {}", bench.at("pairs"), bench.at(out)))
    };
    // A step of no length leaves what the run started from.
    train("still", "--steps 1 --warmup-steps 1 --lr 1e-12");
    train("fresh", "--steps 1 --warmup-steps 1 --lr 1e-12 --init fresh");
    let teacher = bench.weights("teacher", 12, "ema.safetensors");
    assert!(distance(&bench.weights("still", 1, "model.safetensors"), &teacher) < 1e-9);
    assert!(distance(&bench.weights("fresh", 1, "model.safetensors"), &teacher) > 1e-3);

    let said = train("whole", "--steps 6");
    assert!(said.contains("24 pairs of noise and samples") && said.contains("straightness"), "{said}");
    let found = &bench.json("whole/reflow.json")[0];
    let nfe: Vec<f64> = found["euler"].as_array().unwrap().iter().map(|few| few["nfe"].as_f64().unwrap()).collect();
    assert_eq!(nfe, [1.0, 2.0, 4.0, 8.0]);
    assert!(found["straightness"].as_f64().unwrap() > 0.0 && found["cfg_scale"] == 1.0);

    // A model that is not told the classes is another network.
    train("untold", "--steps 1 --conditional false --init fresh");

    train("parts", "--steps 6");
    fs::remove_dir_all(bench.path("parts/checkpoints/step-6")).unwrap();
    fs::remove_dir_all(bench.path("teacher")).unwrap();
    succeed(&format!("train --resume --out {}", bench.at("parts")));
    for file in ["model.safetensors", "ema.safetensors", "optimizer.safetensors"] {
        let of = |run: &str| read(bench.path(run).join("checkpoints/step-6").join(file));
        assert!(of("whole") == of("parts"), "{file} differs");
    }
    assert_eq!(read(bench.path("whole/metrics.jsonl")), read(bench.path("parts/metrics.jsonl")));
    let gone = fail(&format!("train --pairs {} --out {}", bench.at("pairs"), bench.at("orphan")));
    assert!(gone.contains("--init fresh"), "{gone}");
}

#[test]
fn distillation_learns_the_times_of_its_steps_and_samples_by_them() {
    let bench = Bench::new();
    succeed(&bench.pairs("pairs"));
    let pairs = bench.at("pairs");
    succeed(&format!("distill --pairs {pairs} --num-steps 2 --steps 5 --log-every 5 --out {}", bench.at("two")));
    let log = String::from_utf8(read(bench.path("two/metrics.jsonl"))).unwrap();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let seen: Vec<usize> = (0..10).filter(|k| !line["loss_by_time"][*k].is_null()).collect();
    assert_eq!(seen, [0, 5], "times 0 and 1/2 alone");
    let config = String::from_utf8(read(bench.path("two/config.toml"))).unwrap();
    assert!(config.contains("time = \"discrete:k=2\"") && config.contains("num_steps = 2"), "{config}");

    // Of one step: what the network says at t = 0 is the way to go.
    succeed(&format!(
        "distill --pairs {pairs} --steps 40 --lr 1e-3 --warmup-steps 1 --log-every 1 --out {}",
        bench.at("one")
    ));
    let log = String::from_utf8(read(bench.path("one/metrics.jsonl"))).unwrap();
    let losses: Vec<f64> =
        log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["loss"].as_f64().unwrap()).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[35..]) < 0.9 * mean(&losses[..5]), "{losses:?}");

    let compare = format!(
        "reflow compare {} {} --nfe 1,3 --num-samples 20 --trajectories 8",
        bench.at("teacher"),
        bench.at("one")
    );
    let said = succeed(&format!("{compare} --json {} --picture {}", bench.at("c.json"), bench.at("c.png")));
    assert!(said.contains("teacher") && said.contains("one"), "{said}");
    let found = bench.json("c.json");
    assert_eq!((found[0]["euler"][1]["nfe"].as_f64(), found[1]["model"].as_str()), (Some(3.0), Some("one")));
    assert!(read(bench.path("c.png")).starts_with(b"\x89PNG"));
}

/// A flow map is compared by its jumps, and the network of a guided one needs no guidance.
#[test]
fn a_flow_map_is_compared_by_jumps() {
    let bench = Bench::new();
    let config = bench.at("tiny.toml");
    succeed(&format!(
        "train --config {config} --task split:omega=1.5 --init {} --steps 3 --out {}",
        bench.at("teacher"),
        bench.at("map")
    ));
    let config = String::from_utf8(read(bench.path("map/config.toml"))).unwrap();
    assert!(config.contains("cfg_scale = 1.0") && config.contains("omega=1.5"), "{config}");
    let said = succeed(&format!(
        "reflow compare {} {} --nfe 1,2 --num-samples 20 --trajectories 8 --json {}",
        bench.at("teacher"),
        bench.at("map"),
        bench.at("c.json")
    ));
    assert!(said.contains("map (map)") && said.contains("by the jumps of a map"), "{said}");
    let found = bench.json("c.json");
    assert_eq!((found[0]["solver"].as_str(), found[1]["solver"].as_str()), (Some("euler"), Some("map")));
    assert_eq!(found[1]["euler"][1]["nfe"].as_f64(), Some(2.0));
    // One jump over the whole time is not a step of the velocity.
    let sample = |solver: &str| {
        let (map, npy) = (bench.at("map"), bench.at("s.npy"));
        let png = bench.at("s.png");
        succeed(&format!(
            "sample --checkpoint {map} --solver {solver} --num-steps 1 --num-samples 4 --out {png} --npy {npy}"
        ));
        read(bench.path("s.npy"))
    };
    assert!(sample("map") != sample("euler"));
}

#[test]
fn requests_that_cannot_be() {
    let bench = Bench::new();
    succeed(&bench.pairs("pairs"));
    let out = bench.at("out");
    let train = |flags: &str| fail(&format!("train --pairs {} {flags} --out {out}", bench.at("pairs")));
    assert!(train("--coupling exact").contains("--coupling independent"));
    assert!(train("--path vp").contains("--path linear"));
    assert!(train("--horizontal-flip true").contains("cannot be mirrored"));
    assert!(train("--label-drop 0.1").contains("--label-drop at 0"));
    assert!(train("--init nowhere").contains("cannot start from nowhere"));
    assert!(train("--preset cifar10-unet").contains("has another network"));
    assert!(fail(&format!("train --pairs nowhere --out {out}")).contains("give a directory of pairs"));
    assert!(fail(&format!("distill --preset quickstart --out {out}")).contains("--pairs DIR"));
    assert!(fail(&format!("distill --pairs {} --num-steps 0 --out {out}", bench.at("pairs"))).contains("1 to 1000"));
    assert!(!Path::new(&out).exists(), "a refused run must leave no directory");
    let other = bench.pairs("pairs").replace("--seed 3", "--seed 4");
    assert!(fail(&other).contains("choose another directory"));
    for inside in ["teacher/pairs", "teacher/samples", "teacher/best/more"] {
        assert!(fail(&bench.pairs(inside)).contains("it is inside the run"), "{inside}");
        assert!(!bench.path("teacher/pairs").exists());
    }
    let stochastic = bench.pairs("x") + " --sde constant";
    assert!(fail(&stochastic).contains("give --sde-method, not --solver"));
    assert!(fail(&stochastic.replace("--solver rk4", "")).contains("drop --sde"));
    assert!(fail(&bench.pairs_command("x", 0)).contains("at least 1"));
    let compare = format!("reflow compare {} --num-samples 20 --trajectories 8", bench.at("teacher"));
    assert!(fail(&format!("{compare} --nfe 0")).contains("--nfe is 0; choose 1 to 1000000"));
    fs::remove_file(bench.path("pairs/shard-00001.safetensors")).unwrap();
    assert!(train("").contains("shard-00001"));
}

/// A student starts from the weights that made its pairs, not from others that have their place.
#[test]
fn a_teacher_that_changed_after_its_pairs_is_noticed() {
    let bench = Bench::new();
    succeed(&bench.pairs("pairs"));
    let student = |more: &str, out: &str| {
        format!("train --pairs {} --steps 1 --batch-size 4 {more} --out {}", bench.at("pairs"), bench.at(out))
    };
    succeed(&student("", "before"));
    fs::remove_dir_all(bench.path("teacher")).unwrap();
    succeed(&format!("train --config {} --seed 1 --out {}", tiny_config(bench.dir.path()), bench.at("teacher")));
    let error = fail(&student("", "after"));
    assert!(error.contains("is not the teacher that made the pairs"), "{error}");
    succeed(&student("--init fresh", "fresh"));
}
