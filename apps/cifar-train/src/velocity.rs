//! `cifar-train velocity`: writes the prediction of a network, for comparison with other programs.

use crate::args::VelocityArgs;
use crate::model::load;
use anyhow::ensure;
use fm_core::tensor::{upload, upload_rows};
use fm_terminal::println;
use ndarray::Array4;
use ndarray::Ix4;
use ndarray_npy::WriteNpyExt;
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
    let (classes, known) =
        (&args.classes, loaded.config.model.classes() + loaded.config.model.null_class().map_or(0, |_| 1));
    ensure!(
        classes.is_empty() || classes.len() == rows && classes.iter().all(|k| (0..known).contains(k)),
        "--classes does not fit; give one class from 0 to {} for each of the {rows} images",
        known - 1
    );
    ensure!(
        !classes.is_empty() || loaded.config.model.classes() == 0 || loaded.config.model.null_class().is_some(),
        "this network has classes and no null class; give --classes"
    );
    let x = upload(&images.iter().copied().collect::<Vec<f32>>(), &shape, loaded.device);
    let t = upload_rows(&args.at, loaded.device);
    let classes = (!classes.is_empty()).then(|| Tensor::from_slice(classes).to_device(loaded.device));
    let v = no_grad(|| loaded.model.forward_t(&x, &t, classes.as_ref(), false));
    let v = Vec::<f32>::try_from(v.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1]))?;
    let mut bytes = Vec::new();
    Array4::from_shape_vec(images.dim(), v)?.write_npy(&mut bytes)?;
    fm_train::files::output(&args.out, &bytes)?;
    println!("wrote {}: what the network predicts; {}", args.out.display(), loaded.weights);
    Ok(ExitCode::SUCCESS)
}
