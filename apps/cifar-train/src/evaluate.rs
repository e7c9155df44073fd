//! `cifar-train evaluate`: do samples show the class that was asked for, and are they copies of training images?

use crate::args::EvaluateArgs;
use crate::data;
use crate::generate::generate;
use crate::model::{check_shape, load};
use crate::sample::{decode, image_scale, in_turn, summary, with_classes};
use fm_app::group::Group;
use fm_metrics::nearest::{class_agreement, copy_rate};
use ndarray::Array2;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    Group::run(&args.solver.group, |group| evaluate(group, args))
}

fn evaluate(group: &Group, args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.solver.from)?;
    let training = data::open(&loaded.config.data, loaded.config.image_size)?;
    check_shape(&training, &loaded)?;
    let classes = in_turn(loaded.data.classes.len(), args.num_samples);
    let request = with_classes(&args.solver, &loaded, args.num_samples, classes)?;
    let mut drawn = generate(loaded.model.as_ref(), loaded.device, &request, false, group)?;
    if !group.is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    decode(&mut drawn, &loaded)?;
    println!("{}", summary(&request, &drawn, &loaded));

    // Both sides as pixel values, since that is what a picture holds.
    let matrix = |pixels: Vec<u8>| {
        let rows = pixels.len() / training.dim();
        Array2::from_shape_vec((rows, training.dim()), pixels.into_iter().map(f32::from).collect())
    };
    let samples = matrix(image_scale(&loaded).denormalise(&drawn.values))?;
    let real = matrix(training.pixels.clone())?;
    let copies = copy_rate(samples.view(), real.view())?;
    let mut result = json!({
        "checkpoint": loaded.path, "step": loaded.step, "data": loaded.config.data, "samples": request.count,
        "solver": request.sampler.describe(), "nfe": drawn.mean_nfe(request.count, request.batch_size),
        "cfg_scale": request.cfg_scale, "cfg_interval": [request.cfg_interval.0, request.cfg_interval.1], "seed": request.seed,
        "weights": loaded.weights,
        "copies": copies.rate, "copy_threshold": copies.threshold,
    });
    if !request.classes.is_empty() {
        let asked: Vec<u16> = request.classes.iter().map(|&c| c as u16).collect();
        let agreement = class_agreement(samples.view(), &asked, real.view(), &training.labels)?;
        println!(
            "class agreement {:.1} %: the nearest of {} training images has the class that was asked for",
            100.0 * agreement,
            training.len()
        );
        result["class_agreement"] = agreement.into();
    }
    println!(
        "copies {:.1} %: closer to a training image than {:.3} pixel levels, the 1st percentile among training images themselves",
        100.0 * copies.rate,
        copies.threshold
    );
    if let Some(path) = &args.json {
        fm_train::files::write(path, format!("{result:#}\n").as_bytes())?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
