//! `cifar-train velocity`: writes the prediction of a network, for comparison with other programs.

use crate::args::VelocityArgs;
use crate::model::{Loaded, load};
use anyhow::{bail, ensure};
use fm_cli::outputs::save_array;
use fm_core::tensor::{upload, upload_rows};
use fm_images::classes;
use fm_terminal::println;
use ndarray::Array4;
use ndarray::Ix4;
use std::process::ExitCode;
use tch::{Device, Kind, Tensor, no_grad};

pub(crate) fn run(args: &VelocityArgs) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.from)?;
    let images = fm_data::npy::read::<f32, Ix4>(args.images.as_path())?;
    ensure!(!images.is_empty(), "{} has no images; give at least one", args.images.display());
    ensure!(
        images.iter().all(|v| v.is_finite()),
        "{} has values that are not finite; correct or remove them",
        args.images.display()
    );
    let inside = |t: &f64| (0.0..=1.0).contains(t);
    ensure!(args.at.iter().all(inside), "--at has a time outside [0, 1]; give times from 0 (noise) to 1 (data)");
    let shape = images.shape().iter().map(|n| *n as i64).collect::<Vec<_>>();
    ensure!(
        shape[1..] == loaded.data.shape,
        "{} holds images of {:?}, the model is for {:?}; give images of that shape",
        args.images.display(),
        &shape[1..],
        loaded.data.shape
    );
    let rows = shape[0] as usize;
    let fits = |n: usize| n == 1 || n == rows;
    ensure!(fits(args.at.len()), "--at has another number of times; give one, or one for each of the {rows} images");
    let classes = classes_of(args, &loaded)?;
    ensure!(
        classes.is_empty() || classes.len() == rows,
        "--classes has {} classes; give one class for each of the {rows} images",
        classes.len()
    );
    ensure!(
        !classes.is_empty() || loaded.config.model.classes() == 0 || loaded.config.model.null_class().is_some(),
        "this network has classes and no null class; give --classes"
    );
    let x = upload(&images.iter().copied().collect::<Vec<f32>>(), &shape, loaded.device);
    let t = upload_rows(&args.at, loaded.device);
    let classes = (!classes.is_empty()).then(|| Tensor::from_slice(&classes).to_device(loaded.device));
    let v = no_grad(|| loaded.model.forward_t(&x, &t, classes.as_ref(), false));
    let v = Vec::<f32>::try_from(v.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1]))?;
    if let Some(broken) = v.iter().find(|v| !v.is_finite()) {
        let largest = images.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        bail!(
            "the network's output has the value {broken}: the largest input is {largest:e}; give images in [-1, 1], or use an earlier checkpoint"
        );
    }
    save_array(&args.out, &Array4::from_shape_vec(images.dim(), v)?)?;
    println!("wrote {}: what the network predicts; {}", args.out.display(), loaded.weights);
    Ok(ExitCode::SUCCESS)
}

/// The numbers of the requested classes, the null class included.
fn classes_of(args: &VelocityArgs, loaded: &Loaded) -> anyhow::Result<Vec<i64>> {
    let model = &loaded.config.model;
    ensure!(args.classes.is_empty() || model.classes() > 0, "this network has no classes; drop --classes");
    let known = model.classes() as usize + usize::from(model.null_class().is_some());
    args.classes.iter().map(|class| classes::number(class, &loaded.data.classes, known)).collect()
}
