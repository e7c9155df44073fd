//! `models-worker [DEVICE]`: our side of the comparison of networks. Reads one request per line on
//! standard input and answers with one line of JSON.
//!
//! `make DIR` writes each network's weights; `load DIR NAME [ROWS f32|bf16]` reads one;
//! `build CHANNELS SIDE ROWS` makes a U-Net of that size. `train [N]` does N forward and backward
//! passes on its batch, `infer [N]` N forward passes, `sample STEPS` integrates the batch to
//! samples. They answer {"seconds", "value"}: seconds per pass, and the loss or the mean absolute
//! output, which must equal the peers'. The device is read once, at the end. `gradient DIR NAME`
//! writes the gradient for comparison with the peers; `memory` answers {"peak"}.

use fm_benches::networks::{Network, make};
use fm_benches::{Failure, peak, serve, start};
use fm_train::flat::Precision;
use std::path::Path;
use std::time::Instant;
use tch::{Kind, Tensor};

fn main() -> Result<(), Failure> {
    let device = start()?;
    let mut loaded: Option<Network> = None;
    serve(|words| {
        Ok(match (words, &mut loaded) {
            (["make", dir], _) => {
                make(Path::new(dir))?;
                "{}".into()
            }
            (["load", dir, name], slot) => {
                *slot = Some(Network::load(Path::new(dir), name, device, None)?);
                "{}".into()
            }
            (["load", dir, name, rows, precision], slot) => {
                let precision = if *precision == "bf16" { Precision::Bf16 } else { Precision::F32 };
                *slot = Some(Network::load(Path::new(dir), name, device, Some((rows.parse()?, precision)))?);
                "{}".into()
            }
            (["gradient", dir, name], Some(network)) => {
                let gradient: Vec<_> = network.computed()?.gradient.into_iter().collect();
                let single: Vec<_> = gradient.iter().map(|(name, g)| (name, g.to_kind(Kind::Float))).collect();
                Tensor::write_safetensors(&single, Path::new(dir).join(format!("{name}-gradient.safetensors")))?;
                "{}".into()
            }
            (["build", channels, side, rows], slot) => {
                *slot = Some(Network::unet(channels.parse()?, side.parse()?, rows.parse()?, device)?);
                "{}".into()
            }
            (["memory"], _) => format!(r#"{{"peak": {}}}"#, peak()?),
            (["train"], Some(network)) => timed(1, || network.train())?,
            (["infer"], Some(network)) => timed(1, || Ok(network.infer()))?,
            (["train", passes], Some(network)) => {
                let passes = passes.parse()?;
                timed(passes, || network.trains(passes))?
            }
            (["infer", passes], Some(network)) => {
                let passes = passes.parse()?;
                timed(passes, || Ok(network.infers(passes)))?
            }
            (["sample", steps], Some(network)) => {
                let steps = steps.parse()?;
                timed(1, || network.sample(steps))?
            }
            (other, _) => return Err(format!("unknown request {other:?}, or nothing is loaded").into()),
        })
    })
}

fn timed(passes: usize, work: impl FnOnce() -> Result<f64, Failure>) -> Result<String, Failure> {
    let started = Instant::now();
    let value = work()?;
    Ok(format!(r#"{{"seconds": {:e}, "value": {value:e}}}"#, started.elapsed().as_secs_f64() / passes as f64))
}
