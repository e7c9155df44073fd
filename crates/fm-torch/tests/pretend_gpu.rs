//! Devices, with and without a CUDA half, each case in a process of its own: libtorch decides once
//! per process whether it has CUDA.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use fm_pretend_gpu::{Counts, LIBRARY, build};
use fm_torch::TorchError;
use fm_torch::adam::{Adam, Moments, update};
use fm_torch::device::DeviceChoice;
use fm_torch::memory::device_memory;
use std::path::Path;
use std::process::Command;
use tch::{Device, Kind, Tensor};

const CASE: &str = "FM_TORCH_CASE";
const ANSWER: &str = "answer: ";

/// Runs a case of [`child`] with `directory` as the one place to search, and returns its answer.
fn ask(case: &str, directory: &Path, devices: u32, counts: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CASE, case)
        .env("LD_LIBRARY_PATH", directory)
        .env("PRETEND_DEVICES", devices.to_string())
        .env("PRETEND_OUT", counts)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = text.lines().find_map(|line| line.split_once(ANSWER)).map(|(_, answer)| answer.to_owned());
    answer.unwrap_or_else(|| panic!("{case}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Not a test of its own: the process that [`ask`] starts.
#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    let words: Vec<&str> = case.split(' ').collect();
    let answer = match words[..] {
        ["open", name, rank] => name.parse::<DeviceChoice>().unwrap().open(rank.parse().unwrap()).map(|device| {
            assert_eq!(Tensor::zeros([2], (Kind::Float, device)).device(), device);
            format!("{device:?}")
        }),
        ["early"] => {
            let before = tch::Cuda::is_available();
            DeviceChoice::Cuda(None).open(0).map(|device| format!("{device:?} after {before}"))
        }
        ["memory"] => memory(),
        ["copies"] => copies(),
        ["mixed"] => mixed(),
        ["adam"] => adam(),
        _ => panic!("no case is called {case}"),
    };
    let answer = answer.unwrap_or_else(|error| match error {
        TorchError::Load { .. } => "Load".to_owned(),
        TorchError::NoCudaHalf { .. } => "NoCudaHalf".to_owned(),
        other => format!("{other:?}"),
    });
    println!("{ANSWER}{answer}");
}

fn gpu() -> Result<Device, TorchError> {
    DeviceChoice::Cuda(None).open(0)
}

fn memory() -> Result<String, TorchError> {
    let device = gpu()?;
    let before = device_memory(device).unwrap();
    let tensor = Tensor::zeros([1 << 20], (Kind::Float, device));
    let with = device_memory(device).unwrap();
    drop(tensor);
    let after = device_memory(device).unwrap();
    assert_eq!((with.allocated - before.allocated, after.allocated), (4 << 20, before.allocated));
    assert_eq!((after.peak_allocated, device_memory(Device::Cpu)), (with.allocated, None));
    Ok("counted".to_owned())
}

/// Two uploads, one of them from pinned memory, one download and one number.
fn copies() -> Result<String, TorchError> {
    let device = gpu()?;
    let host = Tensor::from_slice(&[1f32, 2.0, 3.0]);
    let pinned = host.pin_memory(device);
    assert!(pinned.is_pinned(device) && !host.is_pinned(device));
    let sum = host.to_device(device) + pinned.to_device(device);
    let back = Vec::<f32>::try_from(sum.to_device(Device::Cpu)).unwrap();
    Ok(format!("{back:?} {}", sum.mean(Kind::Float).double_value(&[])))
}

fn mixed() -> Result<String, TorchError> {
    let device = gpu()?;
    let (here, there) = (Tensor::ones([3], (Kind::Float, Device::Cpu)), Tensor::ones([3], (Kind::Float, device)));
    let number = Tensor::from(2f32);
    assert!(there.f_mul(&number).is_ok(), "a number on the host may meet device tensors");
    let errors = [there.f_add(&here), here.f_add(&there), Tensor::f_cat(&[&here, &there], 0)].map(|r| r.is_err());
    Ok(format!("{errors:?}"))
}

/// The fused update of lists of tensors, and gradients written by lists.
fn adam() -> Result<String, TorchError> {
    let weights = |device: Device| -> Result<Vec<f32>, TorchError> {
        let full = |value: f64| Tensor::full([5], value, (Kind::Float, device));
        let number = |value: f64| Tensor::full([1], value, (Kind::Float, device));
        let (mut parameters, mut mean, mut square) = (full(1.0), full(0.0), full(0.0));
        let leaf = full(3.0).set_requires_grad(true);
        (&leaf * &leaf * Tensor::arange(5, (Kind::Float, device))).sum(Kind::Float).backward();
        let gradient = leaf.grad();
        for step in 1..=3 {
            let moments = Moments { mean: &mut mean, square: &mut square, step: &number(f64::from(step)) };
            update(&mut parameters, &gradient, moments, &number(1.0), &number(0.0), &ADAM)?;
        }
        Ok(Vec::try_from(parameters.to_device(Device::Cpu)).unwrap())
    };
    let device = gpu()?;
    let (there, here) = (weights(device)?, weights(Device::Cpu)?);
    assert!(there[1..].iter().all(|w| *w < 0.9), "{there:?}");
    Ok(format!("{}", there == here))
}

const ADAM: Adam = Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, decay: 0.01, eps: 1e-8, decoupled: true };

#[test]
fn a_cuda_half_is_loaded_before_the_first_question() {
    let dir = tempfile::tempdir().unwrap();
    let library = build().unwrap();
    let half = library.parent().unwrap();
    let with = |case: &str, devices: u32| ask(case, half, devices, &dir.path().join("counts.json"));
    for (case, devices, answer) in [
        ("open cuda 0", 1, "Cuda(0)"),
        ("open auto 0", 1, "Cuda(0)"),
        ("open cpu 0", 1, "Cpu"),
        // As many devices as each process sees.
        ("open cuda 1", 1, "Cuda(0)"),
        ("open cuda 1", 2, "Cuda(1)"),
        ("open cuda 3", 2, "Cuda(1)"),
        ("open cuda:1 0", 2, "Cuda(1)"),
        ("open cuda:7 0", 1, "NoSuchDevice { index: 7, count: 1 }"),
        ("early", 1, "AskedTooEarly"),
        ("memory", 1, "counted"),
        ("mixed", 1, "[true, true, true]"),
        ("adam", 1, "true"),
    ] {
        assert_eq!(with(case, devices), answer, "{case}, {devices} device(s)");
    }
    assert!(with("open cuda 0", 0).starts_with("NoDevice"));
    assert_eq!(with("open auto 0", 0), "Cpu");

    assert_eq!(with("copies", 1), "[2.0, 4.0, 6.0] 4");
    let counts = Counts::read(&dir.path().join("counts.json")).unwrap();
    assert_eq!((counts.uploads, counts.unpinned_uploads, counts.upload_bytes), (2, 1, 24));
    assert_eq!((counts.downloads, counts.download_bytes, counts.numbers_read), (1, 12, 1));
    assert_eq!((counts.operators["aten::add"], counts.launches), (1, 2), "{counts:?}");
}

#[test]
fn without_a_cuda_half_auto_is_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let counts = dir.path().join("counts.json");
    let damaged = dir.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join(LIBRARY), "not a library").unwrap();
    assert_eq!(ask("open cuda 0", &damaged, 1, &counts), "Load");
    assert_eq!(ask("open auto 0", &damaged, 1, &counts), "Cpu");
    let absent = ask("open cuda 0", dir.path(), 1, &counts);
    if absent.starts_with("Cuda") || absent.starts_with("NoDevice") {
        return eprintln!("skipped: this libtorch has a CUDA half");
    }
    assert_eq!(absent, "NoCudaHalf");
    assert_eq!(ask("open auto 0", dir.path(), 1, &counts), "Cpu");
    assert!(!counts.exists(), "the pretend half was loaded");
}
